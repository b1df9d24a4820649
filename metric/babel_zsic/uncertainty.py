"""How sure a figure is: intervals whose clusters are classes.

Photos of one class stand or fall together, so the independent draws behind an accuracy are its classes.
"""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import Any

import numpy as np

_PSEUDO = 0.5
"""Weight, in classes, of the prior belief that all photos of a class agree; see `class_interval`."""


def class_interval(values: Any, classes: Any, *, confidence_level: float = 0.95) -> list[float]:
    """Give an interval for the mean of `values` when classes are the independent draws.

    Wilson's score interval with the effective number of classes in place of n and Student's t (classes − 1 degrees of
    freedom) in place of z. Where every class has one photo it is the plain Wilson interval. One class says nothing about
    others: [0, 1].

    Args:
      values: float [n_images], each 0–1.
      classes: integer [n_images], the class of each photo.
      confidence_level: 0–1, both ends excluded.

    Returns:
      [low, high], within 0–1, around the mean.
    Source: Wilson 1927; effective size and t: Dean and Pagano 2015, J. Survey Statistics and Methodology 3(4), 484–503.
    """
    check_level(confidence_level)
    sums, counts = _by_class(np.asarray(values, dtype=np.float64), np.asarray(classes))
    mean = float(sums.sum() / counts.sum())
    if counts.max() == 1 and _is_binary(sums):
        return wilson(mean, float(len(counts)), NormalDist().inv_cdf(0.5 + confidence_level / 2))
    if len(counts) == 1:
        return [0.0, 1.0]
    quantile = student_quantile(0.5 + confidence_level / 2, len(counts) - 1)
    return wilson(mean, _effective_classes(sums, counts, np.asarray(values)), quantile)


def paired_interval(a: Any, b: Any, classes: Any, *, confidence_level: float = 0.95) -> list[float]:
    """Give an interval for mean(a) − mean(b), both measured on the same photos.

    The two intervals of `class_interval` are joined by the correlation of the class sums (square-and-add).

    Args:
      a: float [n_images], each 0–1.
      b: float [n_images], each 0–1, the same photos in the same order.
      classes: integer [n_images].
      confidence_level: 0–1, both ends excluded.

    Returns:
      [low, high], within −1 and 1, around the difference; never a point.
    Source: Newcombe 1998, Statistics in Medicine 17, 2635–2650, method 10; Zou and Donner 2008, same journal 27, 1693–1702.
    """
    first, second = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    low_a, high_a = class_interval(first, classes, confidence_level=confidence_level)
    low_b, high_b = class_interval(second, classes, confidence_level=confidence_level)
    mean_a, mean_b = float(first.mean()), float(second.mean())
    correlation = _class_correlation(first, second, np.asarray(classes))

    def reach(x: float, y: float) -> float:
        return math.sqrt(max(0.0, x * x + y * y - 2 * correlation * x * y))

    gap = mean_a - mean_b
    low = gap - reach(mean_a - low_a, high_b - mean_b)
    high = gap + reach(high_a - mean_a, mean_b - low_b)
    return [max(-1.0, low), min(1.0, high)]


def wilson(mean: float, n: float, quantile: float) -> list[float]:
    """Give Wilson's score interval [low, high] of a proportion `mean` over `n` (it need not be whole) draws."""
    square = quantile * quantile
    centre = (mean + square / (2 * n)) / (1 + square / n)
    half = quantile / (1 + square / n) * math.sqrt(mean * (1 - mean) / n + square / (4 * n * n))
    return [max(0.0, min(mean, centre - half)), min(1.0, max(mean, centre + half))]


def check_level(confidence_level: float) -> None:
    """Refuse a confidence level that is not strictly between 0 and 1."""
    if not 0.0 < confidence_level < 1.0:
        raise ValueError(f"confidence_level is {confidence_level}; it must lie between 0 and 1, for example 0.95")


def student_quantile(probability: float, freedom: int) -> float:
    """Give the quantile of Student's t with `freedom` (≥ 1) degrees of freedom, for a probability from 0.5 below 1."""
    low, high = 0.0, 1.0
    while _student_cdf(high, freedom) < probability:
        high *= 2
    for _ in range(80):
        middle = (low + high) / 2
        low, high = (middle, high) if _student_cdf(middle, freedom) < probability else (low, middle)
    return (low + high) / 2


def _student_cdf(t: float, freedom: int) -> float:
    """Closed form for whole degrees of freedom (Abramowitz and Stegun 1964, 26.7.3 and 26.7.4), t ≥ 0."""
    angle = math.atan(t / math.sqrt(freedom))
    cosine, sine = math.cos(angle), math.sin(angle)
    odd = freedom % 2
    term = total = 0.0
    if freedom > 1:
        term = total = cosine if odd else 1.0
        for i in range(2 + odd, freedom - 1, 2):
            term *= cosine * cosine * (i - 1) / i
            total += term
    inside = (2 / math.pi) * (angle + sine * total) if odd else sine * total
    return 0.5 + inside / 2


def _by_class(values: np.ndarray, classes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    if values.ndim != 1 or values.shape != classes.shape or len(values) == 0:
        raise ValueError(f"values {values.shape} and classes {classes.shape} must be lists of one length, not empty")
    _, rows, counts = np.unique(classes, return_inverse=True, return_counts=True)
    return np.bincount(rows, weights=values), counts.astype(np.float64)


def _is_binary(values: np.ndarray) -> bool:
    return bool(np.all((values == 0) | (values == 1)))


def _effective_classes(sums: np.ndarray, counts: np.ndarray, values: np.ndarray) -> float:
    n_images, n_classes = counts.sum(), len(counts)
    mean = sums.sum() / n_images
    square = (counts**2).mean()
    spread = n_classes / (n_classes - 1) * ((sums - mean * counts) ** 2).sum() / square
    ratio = min(1.0, (spread + _PSEUDO) / (n_classes * mean * (1 - mean) + _PSEUDO))
    effective = float(n_images**2 / (counts**2).sum() / ratio)
    return min(effective, float(n_images)) if _is_binary(values) else effective


def _class_correlation(a: np.ndarray, b: np.ndarray, classes: np.ndarray) -> float:
    sums_a, counts = _by_class(a, classes)
    sums_b, _ = _by_class(b, classes)
    square = (counts**2).mean()
    rest_a, rest_b = sums_a - a.mean() * counts, sums_b - b.mean() * counts
    size_a, size_b = (rest_a**2).sum() / square, (rest_b**2).sum() / square
    return float((rest_a * rest_b).sum() / square / math.sqrt((size_a + _PSEUDO) * (size_b + _PSEUDO)))
