"""Two models on the same photos: difference, interval and significance for each language."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from .checks import N_CLASSES, check_codes, check_rows
from .uncertainty import DIFFERENCE, Resampling, cluster_intervals

UNNAMED = "unnamed"
_COLUMNS = ("predictions", "references", "languages", "photos")


def compare(
    a: Mapping[str, Any],
    b: Mapping[str, Any],
    *,
    confidence_level: float = 0.95,
    n_resamples: int = 10_000,
    seed: int = 0,
) -> dict[str, dict[str, Any]]:
    """Compare two models' decisions on the same photos, language by language.

    Args:
      a: columns of one model: `predictions` and `references` (class_index, integer [n]), optional `languages`
        (string [n]) and `photos` (any id [n]; without ids both models must list the same photos in the same order).
      b: the same columns of the other model; with ids, the order may differ.
      confidence_level: of the intervals, 0–1.
      n_resamples: weightings of the classes in the paired bootstrap.
      seed: of the bootstrap.

    Returns:
      language → `n_images`, `accuracy_a`, `accuracy_b`, `difference` (a − b, −1 to 1), `difference_interval`,
      `only_a_right`, `only_b_right`, `mcnemar_p` (exact, two-sided; photos as independent draws, so it speaks of these
      classes) and `holm_p` (corrected over the languages). Languages stand in alphabetical order.

    Raises:
      ValueError: columns that are missing or differ in length, or the two models were measured on other photos.
    Source: McNemar 1947 in its exact form; Holm 1979; interval: `uncertainty.paired_interval`.
    """
    resampling = Resampling(confidence_level, n_resamples, seed)
    first, second = _columns(a, "a"), _columns(b, "b")
    order = _match(first, second)
    languages, references = first["languages"], first["references"]
    right_a = first["predictions"] == references
    right_b = (second["predictions"] == second["references"])[order]
    result = {}
    for language in sorted(set(languages.tolist())):
        chosen = languages == language
        result[str(language)] = _difference(right_a[chosen], right_b[chosen], references[chosen], resampling)
    for row, p in zip(result.values(), holm([row["mcnemar_p"] for row in result.values()]), strict=True):
        row["holm_p"] = p
    return result


def mcnemar(only_a: int, only_b: int) -> float:
    """Give the exact two-sided p-value of `only_a` and `only_b` discordant photos under a fair coin; 1 for none."""
    n = only_a + only_b
    if n == 0:
        return 1.0
    below = np.arange(min(only_a, only_b) + 1)
    logs = [math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1) - n * math.log(2) for k in below.tolist()]
    top = max(logs)
    return min(1.0, 2 * math.exp(top) * math.fsum(math.exp(value - top) for value in logs))


def holm(p_values: Sequence[float]) -> list[float]:
    """Correct p-values for their number by Holm's step-down rule; the order is kept, values are at most 1."""
    order = sorted(range(len(p_values)), key=lambda i: p_values[i])
    corrected = [0.0] * len(p_values)
    highest = 0.0
    for place, i in enumerate(order):
        highest = max(highest, min(1.0, (len(p_values) - place) * p_values[i]))
        corrected[i] = highest
    return corrected


def _difference(a: np.ndarray, b: np.ndarray, classes: np.ndarray, resampling: Resampling) -> dict[str, Any]:
    difference = a.astype(np.float64) - b
    only_a, only_b = int((difference > 0).sum()), int((difference < 0).sum())
    interval = cluster_intervals({"difference": (difference, DIFFERENCE)}, classes, resampling)["difference"]
    return {
        "n_images": len(a),
        "accuracy_a": float(a.mean()),
        "accuracy_b": float(b.mean()),
        "difference": (only_a - only_b) / len(a),
        "difference_interval": interval,
        "only_a_right": only_a,
        "only_b_right": only_b,
        "mcnemar_p": mcnemar(only_a, only_b),
    }


def _columns(given: Mapping[str, Any], name: str) -> dict[str, np.ndarray]:
    if not isinstance(given, Mapping):
        raise ValueError(f"{name} is {given!r}; give a mapping with {', '.join(_COLUMNS)}")
    for column in _COLUMNS[:2]:
        if column not in given:
            how = "; `decide` makes decisions of features" if "image_features" in given else ""
            raise ValueError(f"{name} lacks {column!r}; it holds {sorted(given)}; allowed: {', '.join(_COLUMNS)}{how}")
    unknown = sorted(set(given) - set(_COLUMNS))
    if unknown:
        raise ValueError(f"{name} holds {', '.join(map(repr, unknown))}; allowed: {', '.join(_COLUMNS)}")
    columns = {column: check_rows(given[column], N_CLASSES, f"{column} of {name}") for column in _COLUMNS[:2]}
    n = len(columns["references"])
    columns["languages"] = check_codes(given.get("languages", [UNNAMED] * n), n, f"languages of {name}")
    if "photos" in given:
        columns["photos"] = np.asarray(given["photos"])
    if any(values.shape != (n,) for values in columns.values()):
        shapes = {column: values.shape for column, values in columns.items()}
        raise ValueError(f"the columns of {name} must be lists of one length; got {shapes}")
    return columns


def _match(a: dict[str, np.ndarray], b: dict[str, np.ndarray]) -> np.ndarray:
    """Give for every row of a the row of b with the same language and photo, int64 [n]."""
    if ("photos" in a) != ("photos" in b):
        raise ValueError("only one of a and b has photos; give the ids for both, or for neither")
    keys_a, keys_b = _keys(a), _keys(b)
    if "photos" not in a:
        if keys_a != keys_b:
            raise ValueError(
                f"a and b differ in languages or references ({len(keys_a)} and {len(keys_b)} rows); give photos"
            )
        return np.arange(len(keys_a))
    for name, columns in (("a", a), ("b", b)):
        ids = list(zip(columns["languages"].tolist(), columns["photos"].tolist(), strict=True))
        if len(set(ids)) < len(ids):
            raise ValueError(f"a photo stands twice in one language of {name}; ids must be unique within a language")
    rows, there = {key: row for row, key in enumerate(keys_b)}, set(keys_a)
    missing = [key for key in keys_a if key not in rows] + [key for key in keys_b if key not in there]
    if missing:
        raise ValueError(
            f"a and b were not measured on the same photos: {len(missing)} stand in one only, such as {missing[0]}"
        )
    return np.array([rows[key] for key in keys_a], dtype=np.int64)


def _keys(columns: dict[str, np.ndarray]) -> list[tuple[Any, ...]]:
    names = [name for name in ("languages", "photos", "references") if name in columns]
    return list(zip(*(columns[name].tolist() for name in names), strict=True))
