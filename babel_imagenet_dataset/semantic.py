"""Labels by their meaning: where a label's own class ranks among the 1000, and what share of labels is wrong.

The label room takes features and knows no encoder. A label whose English class name ranks beyond the first `k` is
either wrong or not understood by the encoder; one language's ranks alone cannot tell the two apart. So:

* with reference names of the same classes in the same language, made by people (`human_names`), the share that the
  encoder misplaces of right names is known, and the share of wrong labels can be estimated;
* without them there is an upper bound only: at most so many labels are wrong, were every right label understood;
* where ranks under shuffled labels hardly differ from those under the labels themselves, nothing is said at all.

Wrong labels that lie near the right class (a tigress for a tiger) rank early and are not seen: `docs/labels.md` has the
numbers of planted errors of both kinds.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

ESTIMATE, UPPER_BOUND, NOT_ESTIMABLE = "estimate", "upper bound", "not estimable"
MIN_SEPARATION = 0.3
MIN_LABELS = 30


@dataclass(frozen=True)
class WrongShare:
    """The share of labels of a language that name another thing than their class, as far as meaning shows it.

    Attributes:
      status: `estimate`, `upper bound` or `not estimable`.
      share: the estimate, or the bound, a fraction 0-1; None where not estimable.
      interval: 95 % interval of the estimate, by resampling labels, or (0, exact upper end of the bound at 95 %); None
        where not estimable.
      n_labels: number of labels.
      beyond: share of labels whose own class ranks beyond k.
      beyond_null: the same for labels that were shuffled among the classes.
      beyond_reference: the same for the reference names; None without them.
    """

    status: str
    share: float | None
    interval: tuple[float, float] | None
    n_labels: int
    beyond: float
    beyond_null: float
    beyond_reference: float | None


def own_ranks(label_features: np.ndarray, english_features: np.ndarray, class_index: np.ndarray) -> np.ndarray:
    """Give the rank of each label's own class among all English class names.

    Each side is centred on its own mean first: encoders give all texts of one language a common direction.

    Args:
      label_features: float32 [n_labels, dim], not normalised or normalised.
      english_features: float32 [n_classes, dim], by class index.
      class_index: int [n_labels], 0..n_classes-1.

    Returns:
      int64 [n_labels], from 1: how many classes are at least as near as the label's own. Ties count against it.

    Raises:
      ValueError: shapes do not fit, a class index is out of range, or a value is not finite.
    """
    labels, english = np.asarray(label_features, np.float64), np.asarray(english_features, np.float64)
    indices = np.asarray(class_index)
    if labels.ndim != 2 or english.ndim != 2 or labels.shape[1] != english.shape[1] or len(labels) != len(indices):
        raise ValueError(
            f"features [n_labels, dim] and [n_classes, dim] and one index a label are wanted, got "
            f"{labels.shape}, {english.shape}, {indices.shape}"
        )
    if not len(labels) or indices.min() < 0 or indices.max() >= len(english):
        raise ValueError(f"there must be labels, of classes in 0..{len(english) - 1}")
    if not (np.isfinite(labels).all() and np.isfinite(english).all()):
        raise ValueError("a feature is not finite")
    scores = _centred(labels) @ _centred(english).T
    own = scores[np.arange(len(indices)), indices]
    return (scores >= own[:, None]).sum(axis=1)


def null_ranks(
    label_features: np.ndarray,
    english_features: np.ndarray,
    class_index: np.ndarray,
    n_shuffles: int = 20,
    seed: int = 0,
) -> np.ndarray:
    """Give the ranks under labels shuffled among the language's classes, int64 [n_shuffles * n_labels]."""
    rng = np.random.default_rng(seed)
    scores = _centred(np.asarray(label_features, np.float64)) @ _centred(np.asarray(english_features, np.float64)).T
    found = []
    for _ in range(n_shuffles):
        shuffled = rng.permutation(class_index)
        own = scores[np.arange(len(shuffled)), shuffled]
        found.append((scores >= own[:, None]).sum(axis=1))
    return np.concatenate(found)


def wrong_share(
    ranks: np.ndarray,
    null: np.ndarray,
    reference: np.ndarray | None = None,
    k: int = 100,
    n_resamples: int = 2000,
    seed: int = 0,
) -> WrongShare:
    """Estimate the share of wrong labels of a language, or bound it, or say that neither can be done.

    With s, q and p the shares beyond rank k of the labels, of shuffled labels and of right names, s = w q + (1 - w) p
    for a share w of labels that are wrong at random; w = (s - p) / (q - p). Without reference names p is only known
    to be 0 or more, which gives w <= s / q.

    Args:
      ranks: int [n_labels], as `own_ranks` gives them.
      null: int [n], as `null_ranks` gives them.
      reference: int [n_labels], ranks of reference names of the same classes, in the same order.
      k: a rank up to k is near.
      n_resamples: resamples of the classes, for the interval of an estimate.
      seed: of the resamples.

    Returns:
      the share with its interval; `not estimable` with fewer than 30 labels, or where q exceeds p (without reference:
      s) by less than 0.3.

    Raises:
      ValueError: k is below 1, or the reference has another number of names.
    """
    if k < 1:
        raise ValueError(f"k must be at least 1, got {k}")
    if reference is not None and len(reference) != len(ranks):
        raise ValueError(f"one reference name a label is wanted: {len(ranks)} labels, {len(reference)} names")
    far, far_null = np.asarray(ranks) > k, float(np.mean(np.asarray(null) > k))
    known = None if reference is None else np.asarray(reference) > k
    beyond, p = float(far.mean()), None if known is None else float(known.mean())
    if len(far) < MIN_LABELS or far_null - (beyond if p is None else p) < MIN_SEPARATION:
        return WrongShare(NOT_ESTIMABLE, None, None, len(far), beyond, far_null, p)
    share = float(_share(beyond, p or 0.0, far_null))
    if known is None:
        upper = float(_share(_highest_share(int(far.sum()), len(far)), 0.0, far_null))
        return WrongShare(UPPER_BOUND, share, (0.0, upper), len(far), beyond, far_null, p)
    draws = np.random.default_rng(seed).integers(len(far), size=(n_resamples, len(far)))
    low, high = np.quantile(_share(far[draws].mean(axis=1), known[draws].mean(axis=1), far_null), [0.025, 0.975])
    return WrongShare(ESTIMATE, share, (float(low), float(high)), len(far), beyond, far_null, p)


def plant_errors(
    class_index: np.ndarray, english_features: np.ndarray, share: float, kind: str, seed: int
) -> np.ndarray:
    """Choose whose label each row gets when a share of labels is made wrong, to try the estimator.

    Args:
      class_index: int [n_labels].
      english_features: float32 [n_classes, dim]; says which other class is the nearest.
      share: of labels to make wrong, a fraction 0-1.
      kind: `random` (another class's label) or `nearest` (that of the nearest other class of the language).
      seed: of the choice.

    Returns:
      int64 [n_labels]: the row whose label stands there; mostly the row itself.

    Raises:
      ValueError: the kind is not known.
    """
    if kind not in ("random", "nearest"):
        raise ValueError(f"errors are planted `random` or `nearest`, got {kind!r}")
    rng = np.random.default_rng(seed)
    rows = np.arange(len(class_index))
    chosen = rng.choice(rows, round(share * len(rows)), replace=False)
    near = _centred(np.asarray(english_features, np.float64))[class_index]
    scores = near @ near.T
    np.fill_diagonal(scores, -np.inf)
    planted = rows.copy()
    for row in chosen:
        planted[row] = scores[row].argmax() if kind == "nearest" else (row + rng.integers(1, len(rows))) % len(rows)
    return planted


def _highest_share(n_found: int, n: int) -> float:
    """Give the exact upper end, at 95 % on one side, of a share of which n_found < n were found among n.

    Source: Clopper and Pearson 1934, Biometrika 26, 404-413. A bootstrap would give 0 where none was found.
    """
    from scipy.stats import beta

    return float(beta.ppf(0.95, n_found + 1, n - n_found))


def _share(s: np.ndarray | float, p: np.ndarray | float, q: float) -> np.ndarray:
    return np.clip((s - np.asarray(p)) / np.maximum(q - np.asarray(p), 1e-9), 0.0, 1.0)


def _centred(features: np.ndarray) -> np.ndarray:
    moved = features - features.mean(axis=0)
    norms = np.linalg.norm(moved, axis=1, keepdims=True)
    return moved / np.where(norms == 0, 1.0, norms)
