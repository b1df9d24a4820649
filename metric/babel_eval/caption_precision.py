"""Whether fewer bits, or compiled towers, give the captions and photos of a retrieval set what fp32 gives them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from babel_eval.captions import CaptionSet
from babel_eval.config import RetrieveConfig
from babel_eval.correlation.joining import code_of
from babel_eval.encoding import kept_features
from babel_eval.images import PhotoSet
from babel_eval.precision import ENGLISH, N_LANGUAGES, checked, report_of, some_photos, text_pairs
from babel_zsic.classification import unit_rows

if TYPE_CHECKING:
    from babel_eval.encoders.base import Encoder


@dataclass(frozen=True)
class MeasuredCaptions:
    """What an encoder makes of a sample; rows have length 1.

    Attributes:
      images: float32 [n_images, dim].
      captions: by the set's name of a language, float32 [n_texts, dim] and the row of each caption's photo.
    """

    images: np.ndarray
    captions: Mapping[str, tuple[np.ndarray, list[int]]]


def load_checked(
    config: RetrieveConfig,
    device: str | None,
    photos: PhotoSet,
    captions: CaptionSet,
    names: Sequence[str],
    say: Callable[[str], None] | None = None,
) -> tuple[Encoder, dict[str, Any]]:
    """Load the encoder that the settings ask for; where it is not plain fp32, compare it with that first.

    The sample is photos spread evenly over the set and their captions in English and two more languages of the run.

    Args:
      config: `model`, `dtype`, `compile`, `precision_sample` and what else a model is loaded by.
      device: as torch names it.
      photos: of the set.
      captions: of the set.
      names: the languages of the run, as the set names them.
      say: called with what the comparison found.

    Returns:
      the encoder, and what the result file says of its precision.

    Raises:
      ValueError: a feature's cosine with its fp32 self is below 0.999, or R@1 of a language, in either direction,
        changes by more than 0.3 points on the sample; or the machine cannot compile.
    """
    chosen = sorted(names, key=lambda name: code_of(name) != ENGLISH)[:N_LANGUAGES]

    def prepare() -> Callable[[Encoder], MeasuredCaptions]:
        some = some_photos(photos, config.precision_sample)
        return lambda encoder: _measured(encoder, some, captions, chosen, config)

    return checked(config, device, prepare, compared, say)


def _measured(
    encoder: Encoder, photos: PhotoSet, captions: CaptionSet, names: Sequence[str], config: RetrieveConfig
) -> MeasuredCaptions:
    images = kept_features(encoder, photos, None, batch_size=config.batch_size, workers=config.workers)
    row_of = {photo: row for row, photo in enumerate(images.ids)}
    found = {}
    for name in names:
        pairs = [
            (text, row_of[photo])
            for photo, texts in zip(captions.images, captions.captions[name], strict=True)
            for text in (texts if photo in row_of else ())
            if text.strip()
        ]
        if not pairs:
            continue
        with suppress(ValueError):  # a language that the model refuses: the run says so at its row
            rows = unit_rows(encoder.encode_texts([text for text, _ in pairs], code_of(name)))
            found[name] = rows, [row for _, row in pairs]
    return MeasuredCaptions(np.asarray(images.features), found)


def compared(exact: MeasuredCaptions, other: MeasuredCaptions) -> dict[str, Any]:
    """Give how far features and recalls are from those of fp32.

    Returns:
      as `precision.compared`; `largest_change` is that of R@1 in either direction, a fraction.
    """
    pairs = text_pairs(exact.captions, other.captions)
    changes = {}
    for name in exact.captions:
        recalls = [_recalls(one, name) for one in (exact, other)]
        changes[name] = float(np.abs(recalls[0] - recalls[1]).max())
    return {"figure": "R@1", **report_of((exact.images, other.images), pairs, list(exact.captions), changes)}


def _recalls(measured: MeasuredCaptions, name: str) -> np.ndarray:
    """Give R@1 of texts and of photos that have a caption, float64 [2]."""
    from babel_zsic.retrieval import rank_pairs

    features, rows = measured.captions[name]
    with_caption, own = np.unique(rows, return_inverse=True)
    ranks = rank_pairs(own, text_features=features, image_features=measured.images[with_caption])
    return np.array([np.mean(ranks.text == 0), np.mean(ranks.caption[:, 0] == 0)])
