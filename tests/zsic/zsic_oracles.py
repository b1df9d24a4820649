"""Slow and plain versions of what the measure computes."""

from __future__ import annotations

from itertools import combinations

import numpy as np


def cosines(images: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """All cosines at once, in float64."""
    unit = [
        rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in (images.astype(float), classes.astype(float))
    ]
    return unit[0] @ unit[1].T


def sorted_places(scores: np.ndarray, truth: np.ndarray, ties: str = "first") -> tuple[np.ndarray, np.ndarray]:
    """Sort the classes of each photo by score; the true class stands among its equals as the rule for ties says."""
    predicted, ranks = [], []
    for row, true in zip(scores, truth, strict=True):
        keys = [(-score, _among_equals(j, int(true), ties), j) for j, score in enumerate(row)]
        order = sorted(range(len(row)), key=keys.__getitem__)
        predicted.append(order[0])
        ranks.append(order.index(true))
    return np.array(predicted), np.array(ranks)


def _among_equals(row: int, true: int, ties: str) -> bool:
    return {"first": False, "pessimistic": row == true, "optimistic": row != true}[ties]


def k_way_by_enumeration(rank: int, n_classes: int, k: int) -> float:
    """Draw every set of K − 1 other classes; the true class wins where none of those before it was drawn."""
    draws = list(combinations(range(n_classes - 1), k - 1))
    return sum(all(other >= rank for other in draw) for draw in draws) / len(draws)


def recall_at(scores: np.ndarray, relevant: np.ndarray, k: int) -> float:
    """Share of queries (rows) with something relevant among the k best; ties go to the lower column."""
    best = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    return float(np.take_along_axis(relevant, best, axis=1).any(axis=1).mean())


def simulated_classes(
    rng: np.random.Generator, n_classes: int, n_images: int, accuracy: float, correlation: float
) -> tuple[np.ndarray, np.ndarray]:
    """Draw right and wrong photos; the rates of classes are beta with this correlation of photos in a class."""
    size = 1 / correlation - 1
    rates = rng.beta(accuracy * size, (1 - accuracy) * size, size=n_classes)
    right = rng.random((n_classes, n_images)) < rates[:, None]
    return right.ravel().astype(float), np.repeat(np.arange(n_classes), n_images)
