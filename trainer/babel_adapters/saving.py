"""An adapter's folder: peft's own two files, what loading checks, and the card."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from babel_adapters.adapter import save
from babel_adapters.card import write_record as write_card
from babel_adapters.measure import Gain, card_record, hub_id
from babel_eval.encoders.peft_adapters import adapter_record, write_record

if TYPE_CHECKING:
    from peft import PeftModel

    from babel_adapters.data import TrainingData
    from babel_adapters.state import LoopState
    from babel_eval.encoders.base import TorchEncoder

_PACKAGES = ("torch", "transformers", "peft", "accelerate", "open_clip_torch", "babel-imagenet")


def save_adapter(
    folder: Path,
    model: PeftModel,
    state: Mapping[str, Any] | None,
    config: Any,
    encoder: TorchEncoder,
    data: TrainingData,
    language: str,
    gains: Sequence[Gain],
    loop: LoopState,
) -> None:
    """Write the adapter, `babel_adapter.json` (what loading checks), `adapter_record.json` and `README.md`.

    Args:
      folder: the adapter's folder.
      model: the tower with the adapter on.
      state: its weights where they had to be gathered from several processes; None takes the model's own.
      config: a `TrainConfig`.
      encoder: the base.
      data: what was trained on.
      language: BabelNet's code.
      gains: what was gained.
      loop: where the loop ended.
    """
    save(model, folder, state)
    versions = {name: version(name) for name in _PACKAGES}
    settings = {**config.settings(), "steps_made": loop.step, "best_step": loop.best_step}
    pairs = {
        "name": data.source.name,
        "licence": data.source.licence or "not stated",
        "pairs": data.n_train,
        "removed": dict(data.source.left_out),
    }
    record = adapter_record(
        encoder,
        [language],
        objective=config.weights,
        method=config.method,
        data={**pairs, "fingerprint": data.source.fingerprint, "held_out": len(data.held_out)},
        leakage=config.leakage,
        settings=settings,
        results=[one.record() for one in gains],
        versions=versions,
    )
    write_record(folder, record)
    card = card_record(
        model=config.model,
        base=hub_id(config.model, config.base_id),
        language=language,
        objective=config.weights,
        method=config.method,
        data=pairs,
        settings=settings,
        gains=gains,
        folder=folder.name,
        versions=versions,
        leakage=config.leakage,
    )
    write_card(folder, card)
