"""What an adapter gained in retrieval: recall at 1 in both directions, before and after, on the same photos."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from babel_adapters.measure import Gain, known_as
from babel_eval.captions import load_captions
from babel_eval.config import RetrieveConfig
from babel_eval.correlation.joining import code_of
from babel_eval.retrieval import LanguageRetrieval, run
from babel_eval.team import Team
from babel_zsic.uncertainty import paired_interval

CUTOFFS = (1, 5, 10)
DIRECTIONS = {"t2i": "text-to-image recall@1", "i2t": "image-to-text recall@1"}


@dataclass(frozen=True)
class RecallGain(Gain):
    """Recall at 1 of one language before and after training: `images` is the set, `prompt` the direction."""

    def record(self) -> dict[str, Any]:
        """Give the gain as the card's record has it."""
        known = super().record()
        figures = {name: known[name] for name in ("before", "after", "gain")}
        return {"dataset": self.images, "task": "image-text-retrieval", "metric": self.prompt, **figures}


def retrieval_captions(dataset: str | None, language: str) -> list[str]:
    """Give all captions that a retrieval set, as `--eval-retrieval` names it, has in a language; none without a set."""
    if not dataset:
        return []
    captions = load_captions(dataset).captions
    return [text for name in captions if code_of(name) == language for texts in captions[name] for text in texts]


def measure_recalls(config: Any, encoder: Any, language: str, folder: Path, when: str) -> LanguageRetrieval | None:
    """Measure a language's retrieval on the set that `--eval-retrieval` names, and write `WHEN-retrieval.json`.

    Args:
      config: a `TrainConfig`.
      encoder: the base, or the base with an adapter on.
      language: BabelNet's code.
      folder: where the result file goes.
      when: `before` or `after`.

    Returns:
      the language's result; None where no set was asked for, or it has no captions in the language.

    Raises:
      ValueError: as `babel-imagenet retrieve`: photos are missing, captions are blank, the encoder refuses a caption.
    """
    if not config.eval_retrieval:
        return None
    captions = load_captions(config.eval_retrieval)
    name = next((name for name in captions.captions if code_of(name) == language), None)
    if name is None:
        return None
    results: list[LanguageRetrieval] = []
    with known_as(config, encoder, language, folder, when) as model:
        settings = RetrieveConfig(
            model=model,
            dataset=config.eval_retrieval,
            out=str(folder / f"{when}-retrieval.json"),
            image_root=config.eval_image_root,
            languages=name,
            k=tuple(k for k in CUTOFFS if k <= len(captions.images)),
            store=config.store,
            overwrite=True,
        )
        found = run(settings, encoder=encoder, on_result=results.append, team=Team())
    if found["failures"]:
        raise ValueError(f"--eval-retrieval {config.eval_retrieval}: {found['failures'][0]['status']}")
    return replace(results[0], row={**results[0].row, "set": captions.name})


def compare_recalls(before: LanguageRetrieval | None, after: LanguageRetrieval) -> list[Gain]:
    """Give the gain of each direction with its interval, paired by caption or photo, photos being the draws.

    Raises:
      ValueError: the captions or photos are not the same.
    """
    if before is None or after.ranks is None or before.ranks is None or before.text_to_image != after.text_to_image:
        raise ValueError("the results of retrieval before and after are not of the same captions and photos")
    own = np.asarray(before.text_to_image)
    photos = np.arange(len(before.ranks.caption))
    sides = {
        "t2i": (before.ranks.text == 0, after.ranks.text == 0, own),
        "i2t": (before.ranks.caption[:, 0] == 0, after.ranks.caption[:, 0] == 0, photos),
    }
    return [_gain(side, before.row, after.row, *hits) for side, hits in sides.items()]


def _gain(
    side: str,
    before: Mapping[str, Any],
    after: Mapping[str, Any],
    was_right: np.ndarray,
    is_right: np.ndarray,
    photos: np.ndarray,
) -> Gain:
    low, high = paired_interval(is_right.astype(float), was_right.astype(float), photos)
    value = float(is_right.mean() - was_right.mean())
    rows = [
        {"accuracy": row[f"{side}_r@1"], "accuracy_interval": row[f"{side}_r@1_interval"], "n_images": row["n_images"]}
        for row in (before, after)
    ]
    return RecallGain(before["set"], DIRECTIONS[side], rows[0], rows[1], value, (low, high))
