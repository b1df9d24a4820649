"""An adapter's folder: peft's own two files, what loading checks, and the card."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from babel_adapters.adapter import save
from babel_adapters.card import RECORD_NAME
from babel_adapters.card import write_record as write_card
from babel_adapters.measure import Gain, card_record, hub_id, read_gains
from babel_adapters.state import has_checkpoint
from babel_eval.encoders.peft_adapters import RECORD, adapter_record, base_fingerprint, write_record
from babel_eval.results import differences, plain
from babel_imagenet_dataset.files import read_json

if TYPE_CHECKING:
    from peft import PeftModel

    from babel_adapters.data import TrainingData
    from babel_adapters.pairs import PairSet
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
    (folder / RECORD_NAME).unlink(missing_ok=True)  # until all is written, the folder counts as unfinished
    save(model, folder, state)
    versions = {name: version(name) for name in _PACKAGES}
    settings = {**config.settings(), "steps_made": loop.step, "best_step": loop.best_step}
    pairs = {
        "name": data.source.name,
        "licence": data.source.licence or "not stated",
        "pairs": data.n_train,
        "removed": dict(data.source.left_out),
        "without_english": data.source.n_without_english,
    }
    record = adapter_record(
        encoder,
        [language],
        objective=config.weights,
        method=config.method,
        data={**pairs, "fingerprint": data.fingerprint, "held_out": len(data.held_out)},
        leakage=config.leakage,
        settings=settings,
        evaluated=_evaluations(config),
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


def finished(folder: Path, config: Any, encoder: TorchEncoder, pairs: Callable[[], PairSet]) -> list[Gain] | None:
    """Give what a language gained whose adapter is finished; None where it is to be trained.

    A checkpoint beside a finished adapter is that of a training broken off that was to replace it.

    Args:
      folder: the adapter's folder.
      config: a `TrainConfig`; `overwrite` trains in any case.
      encoder: the base.
      pairs: reads the pairs that would be trained on now, as `allowed_pairs` does.

    Raises:
      ValueError: it is finished and `resume` does not say to take it; or it was made with other settings, not measured
        on all that is asked for now (what differs is named), or trained on another base or other pairs.
    """
    done = read_gains(folder)
    if done is None or config.overwrite:
        return None
    if not config.resume:
        raise ValueError(f"{folder} holds a finished adapter; --overwrite replaces it, --resume goes on to the next")
    if has_checkpoint(folder):
        return None
    instead = "--overwrite replaces it, another --output-dir keeps it"
    record = read_json(folder / RECORD)
    asked = plain(config.settings())
    if other := differences(record["settings"], asked, asked):
        raise ValueError(f"{folder} holds an adapter that was made with other settings ({other}): {instead}")
    if record["base_fingerprint"] != base_fingerprint(encoder):
        raise ValueError(
            f"{folder} holds an adapter of a base with other weights than {config.model} has now: {instead}"
        )
    known = record.get("evaluated", {"eval-images": sorted({one.images for one in done})})
    for name, asked in _evaluations(config).items():
        missing = sorted({*asked} - {*known.get(name, asked)})
        if missing:
            raise ValueError(
                f"{folder} holds an adapter that was not measured for --{name} {','.join(missing)}: {instead}"
            )
    if record["data"]["fingerprint"] != (now := pairs()).fingerprint:
        raise ValueError(
            f"{folder} holds an adapter that was trained on other pairs than {now.name} holds now: {instead}"
        )
    return done


def _evaluations(config: Any) -> dict[str, list[str]]:
    """Give the sets of images and of prompts that are measured, by flag."""
    asked = {"eval-images": config.eval_images, "eval-prompts": config.eval_prompts}
    return {flag: sorted({name.strip() for name in text.split(",")} - {""}) for flag, text in asked.items()}
