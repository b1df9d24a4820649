"""The nearest class: photos and classes from features to ranks, block by block."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from .checks import as_matrix, bad_row, check_rows

TIES = ("first", "pessimistic", "optimistic")

_BLOCK = 1024  # rows that are brought to length 1 at once
_PRODUCT = 1 << 20  # scores in one matrix product
_CACHED = 1 << 18  # scores that are looked at together: few enough to stay in a core's cache
_PAIRS = 256  # pairs that are compared in float64 at once
_LANES = 16  # columns are padded to a multiple of it
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
    matrix = as_matrix(features, name)
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
    of a photo's row changes nothing. Images × classes are never held whole. Scores that float32 cannot tell apart are
    compared in float64, pair by pair, so that equal scores tie whatever the matrix product rounds.

    Args:
      image_features: float [n_images, dim].
      class_features: float [n_classes, dim], one row a class of this language.
      true_rows: integer [n_images], row of the true class in `class_features`.
      ties: who wins among equal scores: `first` the lowest row, `pessimistic` never the true class, `optimistic` the
        true class.
      block: photos in one product (as many as give a million scores). The result does not depend on it.

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
    images = as_matrix(image_features, "image_features")
    classes = unit_rows(class_features, name="class_features")
    if images.shape[1] != classes.shape[1]:
        raise ValueError(
            f"image_features are {images.shape[1]} wide and class_features {classes.shape[1]}; give both from one model"
        )
    truth = check_rows(true_rows, len(classes), "true_rows")
    if len(truth) != len(images):
        raise ValueError(f"{len(images)} rows of image_features and {len(truth)} true_rows; give one true row a photo")
    predicted = np.empty(len(images), dtype=np.int64)
    ranks = np.empty(len(images), dtype=np.int64)
    for part, photos, slack, scores in _score_tiles(images, classes, block or 1 + _PRODUCT // len(classes)):
        predicted[part], ranks[part] = _place(scores, slack, photos, classes, truth[part], ties)
    return predicted, ranks


def rounding(dim: int) -> float:
    """Give how far a float32 inner product of two rows of length 1 may lie from the exact one: 4·√dim·2⁻²⁴.

    Source: the probabilistic bound of Higham and Mary 2019, SIAM J. Sci. Comput. 41, A2815–A2835.
    """
    return 4 * float(np.sqrt(dim)) * 2.0**-24


def pair_scores(left: np.ndarray, right: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Give the inner products of pairs of rows, float64 [n]; a pair's does not depend on what stands beside it."""
    result = np.empty(len(rows))
    for part in slices(0, len(rows), _PAIRS):
        wide = left[rows[part]].astype(np.float64)
        result[part] = np.einsum("ij,ij->i", wide, right[columns[part]].astype(np.float64))
    return result


def slices(start: int, stop: int, step: int) -> Iterator[slice]:
    """Give the parts of start to stop, `step` long but for the last."""
    return (slice(first, min(first + step, stop)) for first in range(start, stop, step))


def first_equal_rows(rows: Any) -> np.ndarray:
    """Give for every row (of a matrix, or label of a list) the first row that is equal to it, int64 [n]."""
    keys = [row.tobytes() for row in rows] if isinstance(rows, np.ndarray) else [str(row) for row in rows]
    seen: dict[Any, int] = {}
    return np.array([seen.setdefault(key, row) for row, key in enumerate(keys)], dtype=np.int64)


def _normalise(rows: np.ndarray, out: np.ndarray, name: str, start: int) -> None:
    wide = rows.astype(np.float64)
    wide = np.ldexp(wide, _powers(wide, name, start))
    np.divide(wide, np.sqrt(np.einsum("ij,ij->i", wide, wide))[:, None], out=wide)
    np.add(wide, 0.0, out=out, casting="same_kind")


def _powers(rows: np.ndarray, name: str, start: int) -> np.ndarray:
    """Give the power of two that brings each row's largest value between ½ and 1, as an exponent [n, 1]."""
    top = np.abs(rows).max(axis=1)
    bad = ~(np.isfinite(top) & (top > 0))
    if bad.any():
        row = int(np.flatnonzero(bad)[0])
        raise bad_row(name, start + row, zero=bool(top[row] == 0))
    return -np.frexp(top)[1][:, None]


def _score_tiles(
    images: np.ndarray, classes: np.ndarray, block: int
) -> Iterator[tuple[slice, np.ndarray, np.ndarray, np.ndarray]]:
    """Yield (photos, their rows, how far their scores may lie from the exact ones [n], scores float32 [n, width]).

    The columns of scores from n_classes on are −∞. Photos keep their lengths, which play no part in the order of one
    photo's scores.
    """
    n_classes, dim = classes.shape
    right = np.zeros((-(-n_classes // _LANES) * _LANES, dim), dtype=np.float32)
    right[:n_classes] = classes
    scores = np.empty((min(block, len(images)), len(right)), dtype=np.float32)
    height = max(64, _CACHED // len(right))
    for rows in slices(0, len(images), block):
        photos, squares = _safe_rows(images[rows], rows.start)
        slack = rounding(dim) * np.sqrt(squares)
        np.matmul(photos, right.T, out=scores[: len(photos)])
        scores[:, n_classes:] = -np.inf
        for tile in slices(0, len(photos), height):
            yield slice(rows.start + tile.start, rows.start + tile.stop), photos[tile], slack[tile], scores[tile]


def _safe_rows(rows: np.ndarray, start: int) -> tuple[np.ndarray, np.ndarray]:
    """Give rows as float32 and the squares of their lengths; check them.

    Rows whose products would leave float32's range are scaled by a power of two.
    """
    if rows.dtype == np.float32:
        squares = np.einsum("ij,ij->i", rows, rows)
        if bool(np.all((squares > _SMALL) & (squares < _LARGE))):
            return rows, squares
    wide = rows.astype(np.float64)
    narrow = np.ldexp(wide, _powers(wide, "image_features", start)).astype(np.float32)
    return narrow, np.einsum("ij,ij->i", narrow, narrow)


def _place(
    scores: np.ndarray, slack: np.ndarray, photos: np.ndarray, classes: np.ndarray, truth: np.ndarray, ties: str
) -> tuple[np.ndarray, np.ndarray]:
    """Give predicted rows and ranks by float32; a photo that float32 cannot decide goes on to `_settle`."""
    each = np.arange(len(truth))
    predicted = scores.argmax(axis=1)
    own, top = scores[each, truth], scores[each, predicted]
    above = (own + slack)[:, None]
    mask = scores > above
    ranks = _count_true(mask)
    n_near = _count_true(np.greater_equal(scores, (own - slack)[:, None], out=mask)) - ranks
    scores[each, predicted] = -np.inf
    second = scores.max(axis=1)
    scores[each, predicted] = top
    undecided = np.flatnonzero((n_near > 1) | (second >= top - slack))
    if len(undecided):
        left = scores[undecided]
        near = mask[undecided] & (left <= above[undecided])
        leading = left >= (top - slack)[undecided, None]
        predicted[undecided], more = _settle(near, leading, photos[undecided], classes, truth[undecided], ties)
        ranks[undecided] += more
    return predicted, ranks


def _settle(
    near: np.ndarray, leading: np.ndarray, photos: np.ndarray, classes: np.ndarray, truth: np.ndarray, ties: str
) -> tuple[np.ndarray, np.ndarray]:
    """Compare in float64 what lies near the true class's score or near the highest.

    Args:
      near: bool [n, width], the classes that may tie with the true one, itself among them.
      leading: bool [n, width], the classes that may have the highest score.
      photos: float32 [n, dim].
      classes: float32 [n_classes, dim].
      truth: int64 [n].
      ties: as in `classify`.

    Returns:
      predicted rows int64 [n], and int64 [n], how many of the near classes stand before the true one.
    """
    line, column = np.nonzero(near | leading)
    exact, is_true = pair_scores(photos, classes, line, column), column == truth[line]
    own = exact[is_true][line]  # one a photo, in the order of the photos
    comes_first = {"first": column < truth[line], "pessimistic": ~is_true, "optimistic": np.zeros_like(is_true)}[ties]
    before = near[line, column] & ((exact > own) | ((exact == own) & comes_first))
    later = {"first": column, "pessimistic": is_true, "optimistic": ~is_true}[ties]
    order = np.lexsort((column, later, -exact, line))
    best = order[np.searchsorted(line[order], np.arange(len(truth)))]
    return column[best], np.bincount(line[before], minlength=len(truth))


def _count_true(mask: np.ndarray) -> np.ndarray:
    """Count the True of each row of a contiguous mask, int64 [n]; eight bytes are added at once, 255 times at most."""
    words = mask.view(np.uint64)
    counts = np.zeros(len(mask), dtype=np.int64)
    for start in range(0, words.shape[1], 255):
        lanes = words[:, start : start + 255].sum(axis=1).view(np.uint8)
        counts += lanes.reshape(len(mask), 8).sum(axis=1, dtype=np.int64)
    return counts
