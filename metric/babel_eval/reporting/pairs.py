"""Two models on the same photos: difference, interval and significance for each language, for every pair of runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np

from babel_eval.correlation.subsets import Decisions, Photos, read_decisions
from babel_eval.reporting.data import UNIT, ReportData, Row
from babel_imagenet_dataset.imagenet import N_CLASSES
from babel_zsic.comparison import compare

_FIGURES = ("diff", "low", "high", "p")
N_RESAMPLES = 2000  # of each interval: with many models there are tens of thousands


def compare_runs(data: ReportData) -> tuple[list[Row], list[str]]:
    """Compare every two runs that have decisions on photos of the same name.

    Returns:
      rows and notes. A row: `prompt`, `first`, `second` (runs in the report's order), `lang`, `n_images`, `diff`
      (accuracy of the first less the second's), `low` and `high` (95 %, classes as clusters), `p` (exact McNemar,
      Holm's correction over the languages of the pair and prompt set). A note names a pair that was left out.
    """
    runs = [run for run in data.runs if run.has_decisions]
    rows, notes = [], []
    for prompt in data.prompts:
        photos, cells = read_decisions([run.path for run in runs], prompt, [run.label for run in runs])
        same_photos = [(a.label, b.label) for a, b in combinations(runs, 2) if a.images == b.images]
        for a, b in same_photos:
            codes = [x["code"] for x in data.languages if (a, x["code"]) in cells and (b, x["code"]) in cells]
            same = [code for code in codes if np.array_equal(cells[a, code].photo, cells[b, code].photo)]
            if len(same) < len(codes):
                missing = len(codes) - len(same)
                notes.append(
                    f"{a} and {b} ({prompt}): {missing} languages are not compared: other photos, or another order"
                )
            found = _compare(photos, [cells[a, code] for code in same], [cells[b, code] for code in same], same)
            rows += [{"prompt": prompt, "first": a, "second": b, "lang": code, **found[code]} for code in same]
    return rows, notes


def _compare(photos: Photos, a: Sequence[Decisions], b: Sequence[Decisions], codes: Sequence[str]) -> dict[str, Row]:
    """Compare two models in all languages at once, through the measure's own `compare`."""
    if not codes:
        return {}
    languages = np.repeat(codes, [len(d.photo) for d in a])
    references = photos.class_of[np.concatenate([d.photo for d in a])]
    wrong = (references + 1) % N_CLASSES  # which class a wrong one is plays no part
    first, second = (np.where(np.concatenate([d.rank for d in side]) == 0, references, wrong) for side in (a, b))
    found = compare(
        {"predictions": first, "references": references, "languages": languages},
        {"predictions": second, "references": references, "languages": languages},
        n_resamples=N_RESAMPLES,
    )
    return {
        code: {
            "n_images": figures["n_images"],
            "diff": figures["difference"],
            "low": figures["difference_interval"][0],
            "high": figures["difference_interval"][1],
            "p": figures["holm_p"],
        }
        for code, figures in found.items()
    }


def packed(rows: Sequence[Mapping[str, Any]], data: ReportData) -> dict[str, Any]:
    """Pack the comparisons for the page: one entry a prompt set and pair, figures in units of 1 / UNIT."""
    run_of = {label: i for i, label in enumerate(data.labels)}
    prompt_of = {prompt: i for i, prompt in enumerate(data.prompts)}
    place = {x["code"]: i for i, x in enumerate(data.languages)}
    found: dict[str, dict[str, list[int]]] = {}
    for row in rows:
        key = f"{prompt_of[row['prompt']]}|{run_of[row['first']]}|{run_of[row['second']]}"
        entry = found.setdefault(key, {name: [] for name in ("lang", *_FIGURES)})
        entry["lang"].append(place[row["lang"]])
        for name in _FIGURES:
            entry[name].append(round(UNIT * row[name]))
    return found
