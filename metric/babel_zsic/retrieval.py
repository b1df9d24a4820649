"""Retrieval between texts and images: ranks in both directions from one blocked product, and their figures."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from .checks import check_rows, check_sizes
from .nearest import pair_scores, rounding, slices, unit_rows
from .uncertainty import PROPORTION, Prior, Resampling, quantile_interval, resample_means

MATCHES = ("any", "first", "fraction")
DIRECTIONS = ("text_to_image", "image_to_text")

_PLAIN = Prior(0.0, 0.0, 0.0)
_BLOCK = 1024  # texts in one matrix product
_TILE = 64  # texts that are counted at once: few enough to stay in a cache, at most 255 for a byte
_MEDIAN_STEPS = 32
_EPSILON = 1e-9  # of a share of the weight: sums of thirds are not exact


class Ranks(NamedTuple):
    """Places in both directions, counted from 0.

    Attributes:
      text: int64 [n_texts], the images placed before a text's own image.
      caption: int64 [n_images, n_slots], the texts placed before a caption of the image; −1 where an image has fewer
        captions than slots. One slot unless the match is `fraction`.
    """

    text: np.ndarray
    caption: np.ndarray


def rank_pairs(
    text_to_image: Any,
    *,
    text_features: Any | None = None,
    image_features: Any | None = None,
    similarity: Any | None = None,
    match: str = "any",
    block: int | None = None,
) -> Ranks:
    """Rank images for every text and texts for every image; texts × images is never held whole.

    Args:
      text_to_image: integer [n_texts], the row of each text's image; several texts an image, as many as there are.
      text_features: float [n_texts, dim], of any length (`unit_rows` is applied here).
      image_features: float [n_images, dim], of any length.
      similarity: float [n_texts, n_images] instead of the features; higher is nearer.
      match: which caption counts for an image: `any` the best placed one, `first` the first listed, `fraction` each.
      block: texts in one product; the ranks do not depend on it.

    Returns:
      The ranks. Equal scores: the lower row comes first. With features, scores that float32 cannot tell apart are
      compared in float64, so that equal texts tie whatever the matrix product does.

    Raises:
      ValueError: shapes that disagree, empty input, NaN or infinity, a row of zeros, an image row outside the gallery,
        or an image without a caption.
    Source: any-match is the definition of the reference (arXiv:2306.08658) and of CLIP's retrieval benchmarks.
    """
    if match not in MATCHES:
        raise ValueError(f"match is {match!r}; allowed: {', '.join(MATCHES)}")
    scores = _scores(text_features, image_features, similarity)
    own = _check_pairs(text_to_image, scores.n_texts, scores.n_images)
    pairs = scores.of(np.arange(len(own)), own)
    slots = _caption_slots(own, pairs, scores.n_images, match)
    text = np.zeros(len(own), dtype=np.int64)
    caption = np.zeros((scores.n_images, slots.shape[1]), dtype=np.int64)
    for rows, part in scores.blocks(block):
        text[rows] = _places(part, pairs[rows], own[rows], scores, rows.start, by_text=True)
        for slot, texts in enumerate(slots.T):
            limits = np.where(texts >= 0, pairs[texts], np.inf)
            caption[:, slot] += _places(part, limits, texts, scores, rows.start, by_text=False)
    caption[slots < 0] = -1
    return Ranks(text, caption)


def score_retrieval(
    ranks: Ranks,
    text_to_image: Any,
    *,
    k: Sequence[int] = (1, 5, 10),
    confidence_level: float = 0.95,
    n_resamples: int = 10_000,
    seed: int = 0,
) -> dict[str, Any]:
    """Give recalls and ranks in both directions, with intervals by a bootstrap over images.

    Args:
      ranks: as `rank_pairs` gives them.
      text_to_image: integer [n_texts], the same as there.
      k: the cut-offs; each at most the number of images and the number of texts.
      confidence_level: of the intervals, 0–1.
      n_resamples: weightings of the images; an image carries all its captions.
      seed: of the bootstrap; an image's weights depend on it and on the image's row, so that languages share them.

    Returns:
      `n_images`, `n_texts`; for `text_to_image` and `image_to_text`: `…_r@K` (0–1), `…_median_rank`, `…_mean_rank`
      (from 1), `…_mrr` (0–1); `mean_recall` over both directions and all K; and `NAME_interval` [low, high] beside
      each of them.

    Raises:
      ValueError: a K below 1 or larger than a gallery, lengths that differ, or an option out of range.
    Source: intervals: Bayesian bootstrap over images (Rubin 1981), see `uncertainty`; the median's is that of the
      recalls, read the other way round.
    """
    resampling = Resampling(confidence_level, n_resamples, seed)
    n_texts, n_images = len(ranks.text), len(ranks.caption)
    own = _check_pairs(text_to_image, n_texts, n_images)
    _check_cutoffs(k, n_texts, n_images)
    sides = {
        "text_to_image": _in_own_order(_Side(ranks.text, own, np.ones(n_texts))),
        "image_to_text": _in_own_order(_caption_side(ranks.caption)),
    }
    columns = {
        f"{name}_{figure}": (side, values, prior)
        for name, side in sides.items()
        for figure, values, prior in _columns(side, k)
    }
    totals = {name: _per_image(side, values, n_images) for name, (side, values, _) in columns.items()}
    sums, counts = (np.stack([pair[i] for pair in totals.values()], axis=1) for i in (0, 1))
    drawn = resample_means(sums, counts, [prior for _, _, prior in columns.values()], resampling)
    totals_by_size = (np.sort(part, axis=0).sum(axis=0) for part in (sums, counts))  # the same bits in any order
    values = dict(zip(columns, np.divide(*totals_by_size).tolist(), strict=True))
    return {"n_images": n_images, "n_texts": n_texts, **_figures(values, drawn, sides, k, confidence_level)}


class _Side(NamedTuple):
    ranks: np.ndarray
    images: np.ndarray
    weights: np.ndarray


class _Similarity:
    """Scores that were computed elsewhere: compared as they are."""

    margin = 0.0

    def __init__(self, matrix: np.ndarray) -> None:
        self._matrix = matrix
        self.n_texts, self.n_images = matrix.shape

    def of(self, texts: np.ndarray, images: np.ndarray) -> np.ndarray:
        return self._matrix[texts, images].astype(np.float64)

    def blocks(self, block: int | None) -> Iterator[tuple[slice, np.ndarray]]:
        for rows in slices(0, self.n_texts, min(block or _TILE, _TILE)):
            if not np.all(np.isfinite(self._matrix[rows])):
                raise ValueError(f"similarity holds NaN or infinity in the rows {rows.start} to {rows.stop - 1}")
            yield rows, self._matrix[rows]


class _Cosine:
    """Cosines: float32 products in blocks, and float64 for single pairs; they differ by less than `margin`."""

    def __init__(self, texts: np.ndarray, images: np.ndarray) -> None:
        self._texts, self._images = texts, images
        self.n_texts, self.n_images = len(texts), len(images)
        self.margin = rounding(texts.shape[1])

    def of(self, texts: np.ndarray, images: np.ndarray) -> np.ndarray:
        return pair_scores(self._texts, self._images, texts, images)

    def blocks(self, block: int | None) -> Iterator[tuple[slice, np.ndarray]]:
        height = min(block or _BLOCK, self.n_texts)
        scores = np.empty((height, self.n_images), dtype=np.float32)
        for rows in slices(0, self.n_texts, height):
            np.matmul(self._texts[rows], self._images.T, out=scores[: rows.stop - rows.start])
            for tile in slices(rows.start, rows.stop, _TILE):
                yield tile, scores[tile.start - rows.start : tile.stop - rows.start]


def _scores(text_features: Any | None, image_features: Any | None, similarity: Any | None) -> _Similarity | _Cosine:
    if (similarity is None) == (text_features is None and image_features is None):
        raise ValueError("give text_features and image_features, or similarity; not both, not neither")
    if similarity is not None:
        matrix = np.asarray(similarity)
        if matrix.ndim != 2 or 0 in matrix.shape or matrix.dtype.kind not in "fiu":
            raise ValueError(f"similarity must be real numbers [n_texts, n_images], got {matrix.dtype} {matrix.shape}")
        return _Similarity(matrix)
    if text_features is None or image_features is None:
        raise ValueError("text_features and image_features belong together; one of them is missing")
    texts = unit_rows(text_features, name="text_features")
    images = unit_rows(image_features, name="image_features")
    if texts.shape[1] != images.shape[1]:
        raise ValueError(f"text_features are {texts.shape[1]} wide, image_features {images.shape[1]}")
    return _Cosine(texts, images)


def _check_pairs(text_to_image: Any, n_texts: int, n_images: int) -> np.ndarray:
    own = check_rows(text_to_image, n_images, "text_to_image")
    if len(own) != n_texts:
        raise ValueError(f"text_to_image names {len(own)} texts and there are {n_texts}; give one image row a text")
    without = np.flatnonzero(np.bincount(own, minlength=n_images) == 0)
    if len(without):
        raise ValueError(f"{len(without)} of {n_images} images have no caption, such as {without[0]}; leave them out")
    return own


def _check_cutoffs(k: Sequence[int], n_texts: int, n_images: int) -> None:
    if not check_sizes(k, "k", 1):
        raise ValueError("k is empty; give at least one cut-off, such as (1, 5, 10)")
    for cutoff in k:
        if cutoff > min(n_texts, n_images):
            raise ValueError(
                f"k holds {cutoff}; allowed: 1 to the smaller gallery ({n_images} images, {n_texts} texts)"
            )


def _caption_slots(own: np.ndarray, pairs: np.ndarray, n_images: int, match: str) -> np.ndarray:
    """Give the texts whose places count for each image, int64 [n_images, n_slots], −1 where there is none."""
    keys = (np.arange(len(own)), -pairs, own) if match == "any" else (np.arange(len(own)), own)
    order = np.lexsort(keys)
    captions = np.bincount(own, minlength=n_images)
    starts = np.cumsum(captions) - captions
    n_slots = int(captions.max()) if match == "fraction" else 1
    slots = starts[:, None] + np.arange(n_slots)
    filled = np.arange(n_slots) < captions[:, None]
    return np.where(filled, order[np.where(filled, slots, 0)], -1)


def _places(
    part: np.ndarray,
    limits: np.ndarray,
    rivals: np.ndarray,
    scores: _Similarity | _Cosine,
    start: int,
    *,
    by_text: bool,
) -> np.ndarray:
    """Count along each text (or image) this tile's scores before its limit; ties go to the lower row."""
    bounds = limits[:, None] if by_text else limits[None, :]
    kind = np.float32 if scores.margin else np.float64
    surely = np.greater(part, (bounds + scores.margin).astype(kind))
    if by_text:
        counts = np.array([np.count_nonzero(row) for row in surely])
    else:  # bytes are added as bytes: a tile has at most 255 rows
        counts = surely.view(np.uint8).sum(axis=0, dtype=np.uint8).astype(np.int64)
    maybe = np.greater_equal(part, (bounds - scores.margin).astype(kind))
    maybe ^= surely
    rows, columns = np.divmod(np.flatnonzero(maybe), part.shape[1])
    exact = scores.of(rows + start, columns)
    line, place = (rows, columns) if by_text else (columns, rows + start)
    before = (exact > limits[line]) | ((exact == limits[line]) & (place < rivals[line]))
    return counts + np.bincount(line[before], minlength=len(limits))


def _caption_side(caption: np.ndarray) -> _Side:
    images, slots = np.nonzero(caption >= 0)
    n_captions = (caption >= 0).sum(axis=1)
    return _Side(caption[images, slots], images, 1.0 / n_captions[images])


def _in_own_order(side: _Side) -> _Side:
    """Bring an image's texts into the order of their ranks, since sums of fractions depend on their order."""
    order = np.lexsort((side.ranks, side.images))
    return _Side(side.ranks[order], side.images[order], side.weights[order])


def _columns(side: _Side, k: Sequence[int]) -> Iterator[tuple[str, np.ndarray, Prior]]:
    for cutoff in k:
        yield f"r@{int(cutoff)}", side.ranks < cutoff, PROPORTION
    yield "mrr", 1.0 / (side.ranks + 1), PROPORTION
    yield "mean_rank", side.ranks + 1.0, _PLAIN
    for rank in _median_candidates(side.ranks):
        yield f"within_{rank}", side.ranks < rank, _PLAIN


def _median_candidates(ranks: np.ndarray) -> list[int]:
    """Give the ranks (from 1) between which the median's interval is sought: the middle of the sample, thinned."""
    reach = min(0.5, 4.0 / np.sqrt(len(ranks)))
    low, high = np.quantile(ranks + 1, [0.5 - reach, 0.5 + reach], method="lower")
    found = np.unique(ranks + 1)
    found = found[(found >= low) & (found <= high)]
    chosen = np.linspace(0, len(found) - 1, min(len(found), _MEDIAN_STEPS)).round().astype(int)
    return [int(rank) for rank in found[chosen]]


def _per_image(side: _Side, values: np.ndarray, n_images: int) -> tuple[np.ndarray, np.ndarray]:
    sums = np.bincount(side.images, weights=values * side.weights, minlength=n_images)
    return sums, np.bincount(side.images, weights=side.weights, minlength=n_images)


def _figures(
    values: Mapping[str, float], drawn: np.ndarray, sides: Mapping[str, _Side], k: Sequence[int], level: float
) -> dict[str, Any]:
    place = {name: column for column, name in enumerate(values)}
    figures: dict[str, Any] = {}
    for name, value in values.items():
        if "_within_" not in name:
            figures[name] = value
            figures[f"{name}_interval"] = quantile_interval(drawn[:, place[name]], value, level)
    for name, side in sides.items():
        within = {rank: drawn[:, place[f"{name}_within_{rank}"]] for rank in _median_candidates(side.ranks)}
        figures[f"{name}_median_rank"] = _weighted_median(side.ranks + 1, side.weights)
        figures[f"{name}_median_rank_interval"] = _median_interval(within, figures[f"{name}_median_rank"], level)
    recalls = [f"{name}_r@{int(cutoff)}" for name in sides for cutoff in k]
    figures["mean_recall"] = float(np.mean([values[name] for name in recalls]))
    means = drawn[:, [place[name] for name in recalls]].mean(axis=1)
    figures["mean_recall_interval"] = quantile_interval(means, figures["mean_recall"], level)
    return figures


def _weighted_median(values: np.ndarray, weights: np.ndarray) -> float:
    """Give the value with half of the weight on either side; the middle between two where the half falls between."""
    order = np.argsort(values, kind="stable")
    below = np.cumsum(weights[order]) / weights.sum()
    low, high = (int(np.searchsorted(below, half)) for half in (0.5 - _EPSILON, 0.5 + _EPSILON))
    return float(values[order[low]] + values[order[min(high, len(order) - 1)]]) / 2


def _median_interval(within: Mapping[int, np.ndarray], value: float, level: float) -> list[float]:
    """The resampled median is at most r where at least half of the weight stands within rank r."""
    tail = (1.0 - level) / 2
    share = {rank: float((drawn >= 0.5).mean()) for rank, drawn in within.items()}
    ranks = list(share)
    low = next((rank for rank in ranks if share[rank] >= tail), ranks[-1])
    high = next((rank for rank in ranks if share[rank] >= 1.0 - tail), ranks[-1])
    return [min(float(low), value), max(float(high), value)]
