"""The nearest class: photos and classes from features to ranks, block by block."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from .checks import as_matrix, bad_row, check_rows

TIES = ("first", "pessimistic", "optimistic")

_BLOCK = 1024  # rows that are brought to length 1 at once
_PRODUCT = 1 << 20  # scores in one matrix product
_CACHED = 1 << 18  # scores that are looked at together: few enough to stay in a core's cache
_PAIRS = 256  # pairs that are compared in float64 at once
_LANES = 16  # columns are padded to a multiple of it
_SMALL, _LARGE = 1e-20, 1e30
_SET_BITS = np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1).sum(axis=1, dtype=np.uint8)


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
    return NearestClass(class_features, ties=ties)(image_features, true_rows, block=block)


class NearestClass:
    """The classes of one language, made ready once for photos that come in parts."""

    def __init__(self, class_features: Any, *, ties: str = "first") -> None:
        """Bring the classes to rows of length 1.

        Args:
          class_features: float [n_classes, dim], one row a class.
          ties: as in `classify`.

        Raises:
          ValueError: an unknown rule for ties, no matrix, a value that is not finite, or a row of zeros.
        """
        if ties not in TIES:
            raise ValueError(f"ties is {ties!r}; allowed: {', '.join(TIES)}")
        self._ties, self._classes = ties, unit_rows(class_features, name="class_features")
        n_classes, dim = self._classes.shape
        self._padded = np.zeros((-(-n_classes // _LANES) * _LANES, dim), dtype=np.float32)
        self._padded[:n_classes] = self._classes

    def __call__(
        self, image_features: Any, true_rows: Any, *, block: int | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Give some photos' nearest classes and the ranks of their true ones, as `classify` does for all at once."""
        images, truth = self._checked(image_features, true_rows)
        predicted, ranks = np.empty(len(images), dtype=np.int64), np.empty(len(images), dtype=np.int64)
        for part, tile in self._tiles(images, truth, block):
            predicted[part], ranks[part] = _winners(tile, self._ties), _before(tile, self._ties)[1]
        return predicted, ranks

    def ranks(self, image_features: Any, true_rows: Any, *, block: int | None = None) -> np.ndarray:
        """Give the ranks alone, int64 [n_images]."""
        images, truth = self._checked(image_features, true_rows)
        ranks = np.empty(len(images), dtype=np.int64)
        for part, tile in self._tiles(images, truth, block):
            ranks[part] = _before(tile, self._ties)[1]
        return ranks

    def before(self, image_features: Any, true_rows: Any) -> np.ndarray:
        """Give the classes before each true one as bits (`numpy.packbits`), uint8 [n_images, ⌈n_classes / 8⌉]."""
        images, truth = self._checked(image_features, true_rows)
        n_classes = len(self._classes)
        bits = np.empty((len(images), -(-n_classes // 8)), dtype=np.uint8)
        for part, tile in self._tiles(images, truth, None):
            bits[part] = np.packbits(_before(tile, self._ties)[0][:, :n_classes], axis=1)
        return bits

    def _checked(self, image_features: Any, true_rows: Any) -> tuple[np.ndarray, np.ndarray]:
        images = as_matrix(image_features, "image_features")
        n_classes, dim = self._classes.shape
        if images.shape[1] != dim:
            raise ValueError(
                f"image_features are {images.shape[1]} wide and class_features {dim}; give both from one model"
            )
        truth = check_rows(true_rows, n_classes, "true_rows")
        if len(truth) != len(images):
            raise ValueError(
                f"{len(images)} rows of image_features and {len(truth)} true_rows; give one true row a photo"
            )
        return images, truth

    def _tiles(self, images: np.ndarray, truth: np.ndarray, block: int | None) -> Iterator[tuple[slice, _Tile]]:
        """Yield the photos' scores few enough at a time to stay in a core's cache, and which photos they are.

        Photos keep their lengths, which play no part in the order of one photo's scores.
        """
        n_classes, dim = self._classes.shape
        block = min(block or 1 + _PRODUCT // n_classes, len(images))
        scores = np.empty((block, len(self._padded)), dtype=np.float32)
        height = max(64, _CACHED // len(self._padded))
        for rows in slices(0, len(images), block):
            photos, squares = _safe_rows(images[rows], rows.start)
            slack = rounding(dim) * np.sqrt(squares)
            np.matmul(photos, self._padded.T, out=scores[: len(photos)])
            scores[:, n_classes:] = -np.inf
            for some in slices(0, len(photos), height):
                part = slice(rows.start + some.start, rows.start + some.stop)
                yield part, _Tile(scores[some], slack[some], photos[some], self._classes, truth[part])


class SubsetRanks:
    """Ranks of true classes within any subset of the classes, such as English on the classes of each language.

    Which of two classes comes first does not depend on the others: so a photo meets all classes once, whatever is asked
    of it later. One bit a photo and class is kept.
    """

    def __init__(self, class_features: Any, n_images: int) -> None:
        """Make room for so many photos.

        Args:
          class_features: float [n_classes, dim], one row a class.
          n_images: number of photos.

        Raises:
          ValueError: as `NearestClass`.
        """
        self._nearest = NearestClass(class_features)
        self._n_classes = len(class_features)
        self._bits = np.zeros((n_images, -(-self._n_classes // 8)), dtype=np.uint8)
        self._is_known = np.zeros(n_images, dtype=bool)

    def __call__(self, images: np.ndarray, image_features: Any, true_rows: Any, subset: np.ndarray) -> np.ndarray:
        """Count the classes of a subset before the true one; of equal scores the lowest row comes first.

        Args:
          images: int64 [n], which photos these are, 0 … n_images − 1; none twice.
          image_features: float [n, dim], the same each time for the same photo.
          true_rows: int64 [n], row of the true class in `class_features`, likewise.
          subset: int64 [n_subset], the rows that count.

        Returns:
          int64 [n].
        """
        new = ~self._is_known[images]
        if new.any():
            self._bits[images[new]] = self._nearest.before(image_features[new], true_rows[new])
            self._is_known[images] = True
        counts = np.zeros(self._n_classes, dtype=bool)
        counts[subset] = True
        return _SET_BITS[self._bits[images] & np.packbits(counts)].sum(axis=1, dtype=np.int64)


class _Tile(NamedTuple):
    """Scores of some photos, float32 [n, width], −∞ from n_classes on, and all that settles what they leave open."""

    scores: np.ndarray
    slack: np.ndarray  # float32 [n], how far a photo's scores may lie from the exact ones
    photos: np.ndarray  # float32 [n, dim]
    classes: np.ndarray  # float32 [n_classes, dim]
    truth: np.ndarray  # int64 [n]

    def own(self) -> np.ndarray:
        """Give the true classes' scores, float32 [n]."""
        return self.scores[np.arange(len(self.truth)), self.truth]

    def exact(self, unclear: np.ndarray, candidates: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Give line in `unclear`, class, and score in float64 of each candidate (bool [len(unclear), width])."""
        line, column = np.nonzero(candidates)
        return line, column, pair_scores(self.photos[unclear], self.classes, line, column)


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


def _before(tile: _Tile, ties: str) -> tuple[np.ndarray, np.ndarray]:
    """Mark the classes before the true one, and count them; what float32 cannot tell from it is compared in float64."""
    own = tile.own()
    above = (own + tile.slack)[:, None]
    mask = tile.scores > above
    ranks = _count_true(mask)
    near = tile.scores >= (own - tile.slack)[:, None]
    unclear = np.flatnonzero(_count_true(near) - ranks > 1)  # the true class is always near itself
    if len(unclear):
        line, column, scores = tile.exact(unclear, near[unclear] & (tile.scores[unclear] <= above[unclear]))
        truth = tile.truth[unclear][line]
        own = scores[column == truth][line]  # one a photo, in the order of the photos
        first = {"first": column < truth, "pessimistic": column != truth, "optimistic": np.zeros_like(column, bool)}
        before = (scores > own) | ((scores == own) & first[ties])
        mask[unclear[line[before]], column[before]] = True
        ranks[unclear] += np.bincount(line[before], minlength=len(unclear))
    return mask, ranks


def _winners(tile: _Tile, ties: str) -> np.ndarray:
    """Give the class with the highest score; those that float32 cannot tell from it are compared in float64."""
    each, scores = np.arange(len(tile.truth)), tile.scores
    winners = scores.argmax(axis=1)
    top = scores[each, winners]
    scores[each, winners] = -np.inf
    least = top - tile.slack
    unclear = np.flatnonzero(scores.max(axis=1) >= least)
    scores[each, winners] = top
    if len(unclear):
        line, column, exact = tile.exact(unclear, scores[unclear] >= least[unclear, None])
        truth = tile.truth[unclear][line]
        last = {"first": column, "pessimistic": column == truth, "optimistic": column != truth}[ties]
        order = np.lexsort((column, last, -exact, line))
        winners[unclear] = column[order][np.searchsorted(line, np.arange(len(unclear)))]
    return winners


def _count_true(mask: np.ndarray) -> np.ndarray:
    """Count the True of each row of a contiguous mask, int64 [n]; eight bytes are added at once, 255 times at most."""
    words = mask.view(np.uint64)
    counts = np.zeros(len(mask), dtype=np.int64)
    for start in range(0, words.shape[1], 255):
        lanes = words[:, start : start + 255].sum(axis=1).view(np.uint8)
        counts += lanes.reshape(len(mask), 8).sum(axis=1, dtype=np.int64)
    return counts
