"""Zero-shot classification: from features or decisions to the figures of one language, and their means over languages.

Pure functions over arrays; they know no model, no file and no device. A `row` is a class's place within one language's
list (0 … n_classes − 1), never the ImageNet index.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from .uncertainty import class_interval, paired_interval

GROUPS: dict[str, int] = {"vlow": 100, "low": 333, "mid": 666, "high": 1000}
"""Resource groups by number of classes: the name and the largest number of classes that still belongs to it."""

TIES = ("first", "pessimistic", "optimistic")
YARDSTICK = "EN"

_BLOCK = 1024
_TILE = 64
_MEANS = (
    "accuracy",
    "top5",
    "chance",
    "centred",
    "ceiling",
    "accuracy_merged",
    "english_same_classes",
    "gap",
    "k_way_10",
    "k_way_50",
    "k_way_100",
)


def unit_rows(features: Any, *, name: str = "features") -> np.ndarray:
    """Scale every row to length 1.

    Args:
      features: float [n, dim], any float or integer dtype, finite; no row of zeros.
      name: what the errors call the matrix.

    Returns:
      float32 [n, dim]. The length is taken in float64, so a row times a power of two gives the same bits; −0 becomes 0.

    Raises:
      ValueError: not a matrix, a value that is not finite, or a row of zeros; the row is named.
    """
    matrix = _as_matrix(features, name)
    result = np.empty(matrix.shape, dtype=np.float32)
    for start in range(0, len(matrix), _BLOCK):
        _normalise(matrix[start : start + _BLOCK], result[start : start + _BLOCK], name, start)
    return result


def classify(
    image_features: Any,
    class_features: Any,
    true_rows: Any,
    *,
    ties: str = "first",
    block: int | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Give every photo the class nearest by cosine, and the place of its true class in that order.

    Both matrices are brought to rows of length 1 here and only here (`unit_rows`), so raw features may be given. Images ×
    classes are never held whole. Classes equal bit for bit after that get equal scores, whatever the matrix product does.

    Args:
      image_features: float [n_images, dim].
      class_features: float [n_classes, dim], one row a class of this language.
      true_rows: integer [n_images], row of the true class in `class_features`.
      ties: who wins among equal scores: `first` the lowest row, `pessimistic` never the true class, `optimistic` the
        true class.
      block: photos in one product (1024; rounded up to a multiple of 64). The result does not depend on it.

    Returns:
      predicted_rows int64 [n_images]; ranks int64 [n_images], the number of classes placed before the true one, by
      higher score or by the rule for ties. Rank 0 is right, and then the predicted row is the true one.

    Raises:
      ValueError: an input is empty, widths or lengths differ, a value is not finite, a row is all zeros, or a true row
        is no row of `class_features`.
    Source: Geigle et al. 2023, arXiv:2306.08658, section 3 (protocol); `first` is the reference's argmax.
    """
    if ties not in TIES:
        raise ValueError(f"ties is {ties!r}; allowed: {', '.join(TIES)}")
    images = _as_matrix(image_features, "image_features")
    classes = unit_rows(class_features, name="class_features")
    if images.shape[1] != classes.shape[1]:
        raise ValueError(
            f"image_features are {images.shape[1]} wide and class_features {classes.shape[1]}; both must come from one model"
        )
    truth = check_rows(true_rows, len(classes), "true_rows")
    if len(truth) != len(images):
        raise ValueError(f"{len(images)} rows of image_features and {len(truth)} true_rows; give one true row a photo")
    first = first_equal_rows(classes)
    predicted = np.empty(len(images), dtype=np.int64)
    ranks = np.empty(len(images), dtype=np.int64)
    for part, scores in _score_blocks(images, classes, first, block):
        predicted[part], ranks[part] = _place(scores, truth[part], ties)
    return predicted, ranks


def score_language(
    predicted_rows: Any,
    ranks: Any | None,
    true_rows: Any,
    n_classes: int | None,
    *,
    labels: Sequence[str] | None = None,
    class_features: Any | None = None,
    english_ranks: Any | None = None,
    k_way: Sequence[int] = (10, 50, 100),
    confidence_level: float = 0.95,
    n_resamples: int = 10_000,
    seed: int = 0,
) -> dict[str, Any]:
    """Give the figures of one language, as built-in floats and ints; what cannot be computed is absent, never zero.

    Args:
      predicted_rows: integer [n_images], as `classify` gives them.
      ranks: integer [n_images], as `classify` gives them; None where only decisions are known (no `top5`, no `k_way`).
      true_rows: integer [n_images]; its classes are the clusters of every interval.
      n_classes: number of classes of the language; None where unknown (no `chance`, no `centred`, no `k_way`).
      labels: the label of each row, [n_classes]: gives duplicates.
      class_features: float [n_classes, dim]: without `labels`, rows equal bit for bit after `unit_rows` are duplicates.
      english_ranks: integer [n_images], ranks of English on the same classes and photos.
      k_way: sizes K; those above `n_classes` are left out.
      confidence_level: of the intervals, 0–1.
      n_resamples: accepted for bootstrap intervals; see `uncertainty`.
      seed: of the resamples.

    Returns:
      `n_images`, `n_classes`, `accuracy`, `top5` (five or more classes), `chance` = 1/n_classes, `centred` =
      (accuracy − chance)/(1 − chance), `ceiling` = distinct labels/n_classes, `n_duplicate_labels` (rows whose label
      stands on an earlier row), `accuracy_merged` (a class with the true class's label counts as right), `k_way`
      `{"10": {"value", "interval"}}`, `english_same_classes`, `gap` = english_same_classes − accuracy; and
      `NAME_interval` [low, high] beside accuracy, top5, centred, accuracy_merged, english_same_classes and gap.

    Raises:
      ValueError: empty input, lengths that differ, a row outside the language, or an option out of range.
    Source: arXiv:2306.08658, section 3; intervals: `uncertainty.class_interval`, `uncertainty.paired_interval`.
    """
    truth = check_rows(true_rows, n_classes, "true_rows")
    predicted = _same_length(check_rows(predicted_rows, n_classes, "predicted_rows"), truth, "predicted_rows")
    right = (predicted == truth).astype(np.float64)
    figures: dict[str, Any] = {"n_images": len(truth)}

    def put(name: str, values: np.ndarray) -> None:
        figures[name] = float(values.mean())
        figures[f"{name}_interval"] = class_interval(values, truth, confidence_level=confidence_level)

    put("accuracy", right)
    if n_classes is not None:
        figures["n_classes"] = int(n_classes)
        figures.update(_against_chance(figures["accuracy"], figures["accuracy_interval"], int(n_classes)))
    group = _label_groups(labels, class_features, n_classes)
    if group is not None:
        n_labels = len(np.unique(group))
        figures["n_duplicate_labels"] = len(group) - n_labels
        figures["ceiling"] = n_labels / len(group)
        put("accuracy_merged", (group[predicted] == group[truth]).astype(np.float64))
    if ranks is not None and n_classes is not None:
        places = _same_length(check_rows(ranks, n_classes, "ranks"), truth, "ranks")
        if n_classes >= 5:
            put("top5", (places < 5).astype(np.float64))
        figures["k_way"] = _k_way_figures(places, truth, int(n_classes), k_way, confidence_level)
    if english_ranks is not None:
        english = (
            _same_length(check_rows(english_ranks, n_classes, "english_ranks"), truth, "english_ranks") == 0
        ).astype(float)
        put("english_same_classes", english)
        figures["gap"] = figures["english_same_classes"] - figures["accuracy"]
        figures["gap_interval"] = paired_interval(english, right, truth, confidence_level=confidence_level)
    return figures


def macro(per_language: Mapping[str, Mapping[str, Any]], groups: Mapping[str, int] = GROUPS) -> dict[str, float]:
    """Give the means over languages, all of them and by resource group, each with the number of languages it holds.

    Args:
      per_language: language → figures of `score_language`.
      groups: group → largest number of classes that belongs to it; a language joins the smallest group that holds it.

    Returns:
      Flat: `accuracy_macro`, `accuracy_macro_n`, `accuracy_low`, `accuracy_low_n`, …, for every figure that a language
      has, `k_way` as `k_way_10_macro`. English is the yardstick and enters no mean, unless it is the only language.
      A language that lacks a figure is not in its mean (nor its n); a group without languages is absent.
    """
    languages = [language for language in per_language if language != YARDSTICK] or list(per_language)
    members: dict[str, list[str]] = {"macro": languages}
    bounds = sorted(groups.items(), key=lambda item: item[1])
    for language in languages:
        n_classes = per_language[language].get("n_classes")
        name = next((name for name, bound in bounds if n_classes is not None and n_classes <= bound), None)
        if name is not None:
            members.setdefault(name, []).append(language)
    result: dict[str, float] = {}
    for group in ["macro", *(name for name, _ in bounds)]:
        for figure in _MEANS:
            values = [
                v for v in (_figure(per_language[x], figure) for x in sorted(members.get(group, []))) if v is not None
            ]
            if values:
                result[f"{figure}_{group}"] = float(np.mean(values))
                result[f"{figure}_{group}_n"] = float(len(values))
    return result


def k_way_table(n_classes: int, k: int) -> np.ndarray:
    """Give the probability to be right among K classes for every rank, float64 [n_classes].

    With b classes placed before the true one, and K − 1 others drawn without replacement from n − 1, none of the b is
    drawn with probability C(n−1−b, K−1) / C(n−1, K−1).

    Raises:
      ValueError: K is below 2 or above `n_classes`.
    """
    if not 2 <= k <= n_classes:
        raise ValueError(f"K is {k}; it must be from 2 to the number of classes, {n_classes}")
    placed = np.arange(n_classes - 1, dtype=np.float64)
    ratios = np.maximum(n_classes - k - placed, 0.0) / (n_classes - 1 - placed)
    return np.concatenate([[1.0], np.cumprod(ratios)])


def first_equal_rows(rows: Any) -> np.ndarray:
    """Give for every row (of a matrix, or label of a list) the first row that is equal to it, int64 [n]."""
    keys = [row.tobytes() for row in rows] if isinstance(rows, np.ndarray) else [str(row) for row in rows]
    seen: dict[Any, int] = {}
    return np.array([seen.setdefault(key, row) for row, key in enumerate(keys)], dtype=np.int64)


def check_rows(values: Any, n_classes: int | None, name: str) -> np.ndarray:
    """Give integers as int64 [n_images], checked to be rows of a language of `n_classes` classes.

    Raises:
      ValueError: empty, not a list of whole numbers, or a value below 0 or not below `n_classes`.
    """
    array = np.asarray(values)
    if array.ndim != 1 or len(array) == 0:
        raise ValueError(f"{name} must be a list with at least one entry, got shape {array.shape}")
    if array.dtype.kind not in "iu":
        raise ValueError(f"{name} must be whole numbers, got {array.dtype}")
    top = np.iinfo(np.int64).max if n_classes is None else n_classes - 1
    if int(array.min()) < 0 or int(array.max()) > top:
        bad = int(array[(array < 0) | (array > top)][0])
        raise ValueError(f"{name} holds {bad}; allowed: 0 to {top}")
    return array.astype(np.int64)


def _as_matrix(features: Any, name: str) -> np.ndarray:
    matrix = np.asarray(features)
    if matrix.ndim != 2 or 0 in matrix.shape:
        raise ValueError(f"{name} must be a matrix [n, dim] with at least one row and one column, got {matrix.shape}")
    if matrix.dtype.kind not in "fiu":
        raise ValueError(f"{name} must hold real numbers, got {matrix.dtype}")
    return matrix


def _normalise(rows: np.ndarray, out: np.ndarray, name: str, start: int) -> None:
    wide = rows.astype(np.float64)
    lengths = np.sqrt(np.einsum("ij,ij->i", wide, wide))
    bad = ~(np.isfinite(lengths) & (lengths > 0))
    if bad.any():
        row = int(np.flatnonzero(bad)[0])
        what = "is all zeros" if lengths[row] == 0 else "holds NaN or infinity"
        raise ValueError(f"row {start + row} of {name} {what}; every row must be finite and longer than 0")
    np.divide(wide, lengths[:, None], out=wide)
    np.add(wide, 0.0, out=out, casting="same_kind")


def _score_blocks(images: np.ndarray, classes: np.ndarray, first: np.ndarray, block: int | None) -> Any:
    """Yield (slice, cosines float32 [n, n_classes]) block by block.

    Every product has the same shape, padded with zeros to whole tiles: a photo's and a class's scores then do not depend
    on where in the input they stand.
    """
    n_classes, dim = classes.shape
    height = -(-max(1, _BLOCK if block is None else int(block)) // _TILE) * _TILE
    right = np.zeros((-(-n_classes // _TILE) * _TILE, dim), dtype=np.float32)
    right[:n_classes] = classes
    left = np.zeros((height, dim), dtype=np.float32)
    scores = np.empty((height, len(right)), dtype=np.float32)
    repeated = np.flatnonzero(first != np.arange(n_classes))
    for start in range(0, len(images), height):
        part = slice(start, min(start + height, len(images)))
        n = part.stop - part.start
        _normalise(images[part], left[:n], "image_features", start)
        np.matmul(left, right.T, out=scores)
        scores[:, repeated] = scores[:, first[repeated]]
        yield part, scores[:n, :n_classes]


def _place(scores: np.ndarray, truth: np.ndarray, ties: str) -> tuple[np.ndarray, np.ndarray]:
    photos = np.arange(len(truth))
    true_scores = scores[photos, truth][:, None]
    higher = (scores > true_scores).sum(axis=1)
    equal = (scores >= true_scores).sum(axis=1) - higher - 1
    predicted = scores.argmax(axis=1)
    if ties == "optimistic":
        return np.where(higher == 0, truth, predicted), higher
    if ties == "pessimistic":
        tied = np.flatnonzero((higher == 0) & (equal > 0))
        others = scores[tied]
        others[np.arange(len(tied)), truth[tied]] = -np.inf
        predicted[tied] = others.argmax(axis=1)
        return predicted, higher + equal
    before = np.arange(scores.shape[1]) < truth[:, None]
    return predicted, higher + ((scores == true_scores) & before).sum(axis=1)


def _against_chance(accuracy: float, interval: list[float], n_classes: int) -> dict[str, Any]:
    chance = 1.0 / n_classes
    if n_classes == 1:
        return {"chance": chance}
    low, high = ((bound - chance) / (1.0 - chance) for bound in interval)
    return {"chance": chance, "centred": (accuracy - chance) / (1.0 - chance), "centred_interval": [low, high]}


def _label_groups(labels: Sequence[str] | None, class_features: Any | None, n_classes: int | None) -> np.ndarray | None:
    if labels is None and class_features is None:
        return None
    name, given = ("labels", labels) if labels is not None else ("class_features", class_features)
    if n_classes is not None and len(given) != n_classes:  # type: ignore[arg-type]
        raise ValueError(f"{len(given)} {name} for {n_classes} classes; give one a class")  # type: ignore[arg-type]
    return first_equal_rows(list(given) if name == "labels" else unit_rows(given, name=name))  # type: ignore[arg-type]


def _k_way_figures(
    ranks: np.ndarray, truth: np.ndarray, n_classes: int, k_way: Sequence[int], confidence_level: float
) -> dict[str, dict[str, Any]]:
    figures: dict[str, dict[str, Any]] = {}
    for k in k_way:
        if k < 2:
            raise ValueError(f"k_way holds {k}; K counts the true class, so it must be at least 2")
        if k <= n_classes:
            values = k_way_table(n_classes, int(k))[ranks]
            interval = class_interval(values, truth, confidence_level=confidence_level)
            figures[str(int(k))] = {"value": float(values.mean()), "interval": interval}
    return figures


def _figure(figures: Mapping[str, Any], name: str) -> float | None:
    if name.startswith("k_way_"):
        return figures.get("k_way", {}).get(name.removeprefix("k_way_"), {}).get("value")
    return figures.get(name)


def _same_length(values: np.ndarray, truth: np.ndarray, name: str) -> np.ndarray:
    if len(values) != len(truth):
        raise ValueError(f"{len(values)} {name} and {len(truth)} true_rows; give one a photo")
    return values
