"""Two models on the same photos: difference, interval and significance for each language, for every pair of runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np

from babel_eval.correlation.subsets import Decisions, Photos, read_decisions
from babel_eval.reporting.data import ReportData, Row
from babel_zsic.uncertainty import paired_interval

_FIGURES = ("diff", "low", "high", "p")


def compare_runs(data: ReportData) -> tuple[list[Row], list[str]]:
    """Compare every two runs that have decisions on the same photos.

    Returns:
      rows and notes. A row: `prompt`, `first`, `second` (runs in the report's order), `lang`, `n_images`, `diff`
      (accuracy of the first less the second's), `low` and `high` (95 %, classes as clusters), `p` (exact McNemar,
      Holm's correction over the languages of the pair and prompt set). A note names a pair that was left out.
    """
    runs = [run for run in data.runs if run.has_decisions]
    rows, notes = [], []
    for prompt in data.prompts:
        photos, cells = read_decisions([run.path for run in runs], prompt, [run.label for run in runs])
        for a, b in combinations([run.label for run in runs], 2):
            codes = [x["code"] for x in data.languages if (a, x["code"]) in cells and (b, x["code"]) in cells]
            same = [code for code in codes if np.array_equal(cells[a, code].photo, cells[b, code].photo)]
            if len(same) < len(codes):
                missing = len(codes) - len(same)
                notes.append(
                    f"{a} and {b} ({prompt}): {missing} languages are not compared: other photos, or another order"
                )
            found = [_compare(photos, cells[a, code], cells[b, code]) for code in same]
            corrected = holm([row["p"] for row in found])
            for code, row, p in zip(same, found, corrected, strict=True):
                rows.append({"prompt": prompt, "first": a, "second": b, "lang": code, **row, "p": p})
    return rows, notes


def _compare(photos: Photos, a: Decisions, b: Decisions) -> Row:
    right_a, right_b = (d.rank == 0 for d in (a, b))
    low, high = paired_interval(right_a, right_b, photos.class_of[a.photo])
    only_a, only_b = int((right_a & ~right_b).sum()), int((right_b & ~right_a).sum())
    diff = (only_a - only_b) / len(right_a)
    return {
        "n_images": len(right_a),
        "diff": diff,
        "low": low,
        "high": high,
        "only_first": only_a,
        "only_second": only_b,
    }


def mcnemar(only_first: Sequence[int], only_second: Sequence[int]) -> list[float]:
    """Give McNemar's exact two-sided p-values, from the numbers of photos that only one of two models got right."""
    from scipy.special import bdtr

    a, b = np.array(only_first), np.array(only_second)
    return [float(p) for p in np.minimum(2 * bdtr(np.minimum(a, b).astype(float), a + b, 0.5), 1.0)]


def holm(p_values: Sequence[float]) -> list[float]:
    """Correct p-values for their number (Holm 1979): the i-th smallest times n - i, never falling, at most 1."""
    values = np.array(p_values, dtype=float)
    order = np.argsort(values, kind="stable")
    raised = np.minimum(np.maximum.accumulate(values[order] * (len(values) - np.arange(len(values)))), 1.0)
    corrected = np.empty(len(values))
    corrected[order] = raised
    return [float(p) for p in corrected]


def packed(rows: Sequence[Mapping[str, Any]], data: ReportData) -> dict[str, Any]:
    """Pack the comparisons for the page: one entry a prompt set and pair, in whole ten-thousandths."""
    run_of = {label: i for i, label in enumerate(data.labels)}
    prompt_of = {prompt: i for i, prompt in enumerate(data.prompts)}
    place = {x["code"]: i for i, x in enumerate(data.languages)}
    found: dict[str, dict[str, list[int]]] = {}
    for row in rows:
        key = f"{prompt_of[row['prompt']]}|{run_of[row['first']]}|{run_of[row['second']]}"
        entry = found.setdefault(key, {name: [] for name in ("lang", *_FIGURES)})
        entry["lang"].append(place[row["lang"]])
        for name in _FIGURES:
            entry[name].append(round(1e4 * row[name]))
    return found
