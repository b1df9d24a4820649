"""The nearest class: photos and classes from features to ranks, block by block."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

TIES = ("first", "pessimistic", "optimistic")

_BLOCK = 1024
_TILE = 16
_SMALL, _LARGE = 1e-20, 1e30


def unit_rows(features: Any, *, name: str = "features") -> np.ndarray:
    """Scale every row to length 1.

    Args:
      features: float or integer [n, dim], finite; no row of zeros.
      name: what the errors call the matrix.

    Returns:
      float32 [n, dim]. Lengths are taken in float64, so a row times a power of two gives the same bits; −0 becomes 0.

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

    Raw features may be given: classes are brought to rows of length 1 here and only here (`unit_rows`), and the length
    of a photo's row changes nothing. Images × classes are never held whole. Classes that are then equal bit for bit get
    equal scores, whatever the matrix product does.

    Args:
      image_features: float [n_images, dim].
      class_features: float [n_classes, dim], one row a class of this language.
      true_rows: integer [n_images], row of the true class in `class_features`.
      ties: who wins among equal scores: `first` the lowest row, `pessimistic` never the true class, `optimistic` the
        true class.
      block: photos in one product (1024; rounded up to a multiple of 16). The result does not depend on it.

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
            f"image_features are {images.shape[1]} wide and class_features {classes.shape[1]}; give both from one model"
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
    _check_lengths(lengths, name, start)
    np.divide(wide, lengths[:, None], out=wide)
    np.add(wide, 0.0, out=out, casting="same_kind")


def _check_lengths(lengths: np.ndarray, name: str, start: int) -> None:
    bad = ~(np.isfinite(lengths) & (lengths > 0))
    if bad.any():
        row = int(np.flatnonzero(bad)[0])
        what = "is all zeros" if lengths[row] == 0 else "holds NaN or infinity"
        raise ValueError(f"row {start + row} of {name} {what}; every row must be finite and longer than 0")


def _score_blocks(
    images: np.ndarray, classes: np.ndarray, first: np.ndarray, block: int | None
) -> Iterator[tuple[slice, np.ndarray]]:
    """Yield (photos, scores float32 [n, width]) block by block; the columns from n_classes on are −∞.

    Every product has the same shape, padded to whole tiles: a score then does not depend on where in the input its
    photo and its class stand. Photos keep their lengths, which play no part in the order of one photo's scores.
    """
    n_classes, dim = classes.shape
    height = -(-max(1, _BLOCK if block is None else int(block)) // _TILE) * _TILE
    right = np.zeros((-(-n_classes // _TILE) * _TILE, dim), dtype=np.float32)
    right[:n_classes] = classes
    scores = np.empty((height, len(right)), dtype=np.float32)
    repeated = np.flatnonzero(first != np.arange(n_classes))
    for start in range(0, len(images), height):
        part = slice(start, min(start + height, len(images)))
        left = _safe_rows(images[part], start)
        if len(left) < height:
            left = np.concatenate([left, np.zeros((height - len(left), dim), dtype=np.float32)])
        np.matmul(left, right.T, out=scores)
        scores[:, n_classes:] = -np.inf
        if len(repeated):
            scores[:, repeated] = scores[:, first[repeated]]
        yield part, scores[: part.stop - start]


def _safe_rows(rows: np.ndarray, start: int) -> np.ndarray:
    """Give rows as float32, scaled by a power of two where products would leave float32's range; check them."""
    narrow = rows if rows.dtype == np.float32 else None
    if narrow is not None:
        lengths = np.einsum("ij,ij->i", narrow, narrow)
        if bool(np.all((lengths > _SMALL) & (lengths < _LARGE))):
            return narrow
    wide = rows.astype(np.float64)
    top = np.abs(wide).max(axis=1)
    _check_lengths(top, "image_features", start)
    return np.ldexp(wide, -np.frexp(top)[1][:, None]).astype(np.float32)


def _place(scores: np.ndarray, truth: np.ndarray, ties: str) -> tuple[np.ndarray, np.ndarray]:
    true_scores = scores[np.arange(len(truth)), truth][:, None]
    mask = np.greater(scores, true_scores)
    higher = _count_true(mask)
    equal = _count_true(np.greater_equal(scores, true_scores, out=mask)) - higher - 1
    predicted = scores.argmax(axis=1)
    if ties == "optimistic":
        return np.where(higher == 0, truth, predicted), higher
    tied = np.flatnonzero(equal)
    same = scores[tied] == true_scores[tied]
    if ties == "pessimistic":
        same[np.arange(len(tied)), truth[tied]] = False
        predicted[tied] = np.where(higher[tied] == 0, same.argmax(axis=1), predicted[tied])
        return predicted, higher + equal
    higher[tied] += (same & (np.arange(scores.shape[1]) < truth[tied, None])).sum(axis=1)
    return predicted, higher


def _count_true(mask: np.ndarray) -> np.ndarray:
    """Count the True of each row of a contiguous mask, int64 [n]; eight bytes are added at once, 255 times at most."""
    words = mask.view(np.uint64)
    counts = np.zeros(len(mask), dtype=np.int64)
    for start in range(0, words.shape[1], 255):
        lanes = words[:, start : start + 255].sum(axis=1).view(np.uint8)
        counts += lanes.reshape(len(mask), 8).sum(axis=1, dtype=np.int64)
    return counts
