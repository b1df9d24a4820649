"""Zero-shot classification: from features or decisions to the figures of one language, and their means over languages.

Pure functions over arrays; they know no model, no file and no device. A `row` is a class's place within one language's
list (0 … n_classes − 1), never the ImageNet index.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from .checks import N_CLASSES, check_rows, check_sizes
from .nearest import TIES, classify, first_equal_rows, unit_rows
from .uncertainty import DIFFERENCE, PROPORTION, Prior, Resampling, cluster_intervals

__all__ = ["GROUPS", "TIES", "classify", "k_way_table", "macro", "score_language", "unit_rows"]

GROUPS: dict[str, int] = {"vlow": 100, "low": 333, "mid": 666, "high": 1000}
"""Resource groups by number of classes: the name and the largest number of classes that still belongs to it."""

YARDSTICK = "EN"

_MEANS = (
    "accuracy",
    "top5",
    "chance",
    "centred",
    "ceiling",
    "accuracy_merged",
    "english_same_classes",
    "gap",
)


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
      n_resamples: weightings of the classes in the bootstrap.
      seed: of the bootstrap.

    Returns:
      `n_images`, `n_classes`, `accuracy`, `top5` (five or more classes), `chance` = 1/n_classes, `centred` =
      (accuracy − chance)/(1 − chance), `ceiling` = distinct labels/n_classes, `n_duplicate_labels` (rows whose label
      stands on an earlier row), `accuracy_merged` (a class with the true class's label counts as right), `k_way`
      `{"10": {"value", "interval"}}`, `english_same_classes`, `gap` = english_same_classes − accuracy; and
      `NAME_interval` [low, high] beside accuracy, top5, centred, accuracy_merged, english_same_classes and gap.

    Raises:
      ValueError: empty input, lengths that differ, a row outside the language, or an option out of range.
    Source: arXiv:2306.08658, section 3; intervals: `uncertainty`.
    """
    resampling = Resampling(confidence_level, n_resamples, seed)
    truth = check_rows(true_rows, n_classes, "true_rows")
    given = {"predicted_rows": predicted_rows, "ranks": ranks, "english_ranks": english_ranks}
    checked = {name: check_rows(values, n_classes, name) for name, values in given.items() if values is not None}
    truth, rows = _in_own_order(truth, {name: _same_length(x, truth, name) for name, x in checked.items()})
    predicted, places, english_places = rows["predicted_rows"], rows.get("ranks"), rows.get("english_ranks")
    right = np.equal(predicted, truth).astype(np.float64)
    columns: dict[str, tuple[np.ndarray, Prior]] = {"accuracy": (right, PROPORTION)}
    figures: dict[str, Any] = {"n_images": len(truth)}
    group = _label_groups(labels, class_features, n_classes)
    if group is not None:
        n_labels = len(np.unique(group))
        figures.update(n_duplicate_labels=len(group) - n_labels, ceiling=n_labels / len(group))
        columns["accuracy_merged"] = ((group[predicted] == group[truth]).astype(np.float64), PROPORTION)
    if places is not None and n_classes is not None:
        columns.update(_rank_columns(places, int(n_classes), k_way))
    if english_places is not None:
        english = (english_places == 0).astype(np.float64)
        columns["english_same_classes"] = (english, PROPORTION)
        columns["gap"] = (english - right, DIFFERENCE)
    intervals = cluster_intervals(columns, truth, resampling)
    for name, (values, _) in columns.items():
        _put(figures, name, float(values.mean()), intervals[name])
    if n_classes is not None:
        figures["n_classes"] = int(n_classes)
        figures.update(_against_chance(figures["accuracy"], figures["accuracy_interval"], int(n_classes)))
    return figures


def macro(per_language: Mapping[str, Mapping[str, Any]], groups: Mapping[str, int] = GROUPS) -> dict[str, float]:
    """Give the means over languages, all of them and by resource group, each with the number of languages it holds.

    Args:
      per_language: language → figures of `score_language`.
      groups: group → largest number of classes that belongs to it; a language joins the smallest group that holds it.

    Returns:
      Flat: `accuracy_macro`, `accuracy_macro_n`, `accuracy_low`, `accuracy_low_n`, …, for every figure that a language
      has, `k_way` as `k_way_10_macro`. English is the yardstick and enters no mean, unless it is the only language.
      A language that lacks a figure, or of which no photo was measured, is not in its mean (nor its n); a group
      without languages is absent.
    """
    measured = [language for language, figures in per_language.items() if "accuracy" in figures]
    languages = [language for language in measured if language != YARDSTICK] or measured
    sizes = sorted({int(k) for language in measured for k in per_language[language].get("k_way", {})})
    members: dict[str, list[str]] = {"macro": languages}
    bounds = sorted(groups.items(), key=lambda item: item[1])
    for language in languages:
        n_classes = per_language[language].get("n_classes")
        name = next((name for name, bound in bounds if n_classes is not None and n_classes <= bound), None)
        if name is not None:
            members.setdefault(name, []).append(language)
    result: dict[str, float] = {}
    for group in ["macro", *(name for name, _ in bounds)]:
        for figure in (*_MEANS, *(f"k_way_{k}" for k in sizes)):
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


def _rank_columns(ranks: np.ndarray, n_classes: int, k_way: Sequence[int]) -> dict[str, tuple[np.ndarray, Prior]]:
    columns = {}
    if n_classes >= 5:
        columns["top5"] = ((ranks < 5).astype(np.float64), PROPORTION)
    for k in check_sizes(k_way, "k_way", 2):  # K counts the true class
        if k <= n_classes:
            columns[f"k_way_{k}"] = (k_way_table(n_classes, k)[ranks], PROPORTION)
    return columns


def _put(figures: dict[str, Any], name: str, value: float, interval: list[float]) -> None:
    if name.startswith("k_way_"):
        figures.setdefault("k_way", {})[name.removeprefix("k_way_")] = {"value": value, "interval": interval}
    else:
        figures.update({name: value, f"{name}_interval": interval})


def _figure(figures: Mapping[str, Any], name: str) -> float | None:
    if name.startswith("k_way_"):
        return figures.get("k_way", {}).get(name.removeprefix("k_way_"), {}).get("value")
    return figures.get(name)


def _in_own_order(truth: np.ndarray, rows: dict[str, np.ndarray]) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Bring photos into an order that is theirs, by class and rank, since sums of fractions depend on their order."""
    if "ranks" not in rows:
        return truth, rows
    order = np.argsort(truth * N_CLASSES + rows["ranks"])
    return truth[order], {name: values[order] for name, values in rows.items()}


def _same_length(values: np.ndarray, truth: np.ndarray, name: str) -> np.ndarray:
    if len(values) != len(truth):
        raise ValueError(f"{len(values)} {name} and {len(truth)} true_rows; give one a photo")
    return values
