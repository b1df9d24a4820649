"""What a report shows, gathered from result files into plain rows for the page, the tables and the charts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from babel_eval.correlation.curse import ENGLISH, Curse, curse_of_multilinguality
from babel_eval.correlation.figures import Correlation, correlate
from babel_eval.correlation.joining import Joined, Score, join, read_scores, short_names
from babel_eval.reporting.naming import place_of, run_labels
from babel_eval.results import Results, predictions_path, read_results
from babel_imagenet_dataset.languages import GROUPS, group, language

Row = dict[str, Any]

FIGURES = (
    "accuracy", "accuracy_low", "accuracy_high", "chance", "centred", "ceiling", "top5", "k10", "k50", "k100",
    "english", "gap", "gap_low", "gap_high",
)  # fmt: skip
"""Figures of a row, each a fraction or None where its file does not have it."""

UNIT = 10**6
"""Figures go to the page as whole multiples of 1 / UNIT: fine enough to be rounded once there, like anywhere else."""

COUNTS = ("n_classes", "n_images", "n_duplicates")


@dataclass(frozen=True)
class Run:
    """One model on one set of photos.

    Attributes:
      label: short name, unique in the report.
      model: the model's name as in its file.
      images: name of the photo set; `ImageNet` for the reference's files, which do not say.
      kind: `photos`, `names` (English names stand in for photos) or `reference`.
      source: family of the model.
      parameters: number of parameters, None where unknown.
      gap_basis: `same classes`, or `all classes` where the file has no gap of its own: English on all its classes less
        the language on its own.
      has_decisions: True where the decision for each photo lies beside the file.
      path: the result file.
    """

    label: str
    model: str
    images: str
    kind: str
    source: str
    parameters: int | None
    gap_basis: str
    has_decisions: bool
    path: Path


@dataclass(frozen=True)
class ReportData:
    """Everything that a report shows, apart from labels, classes and comparisons, which have modules of their own.

    Attributes:
      runs: in the order of the files.
      prompts: prompt sets in the order of the files.
      rows: one a run, prompt set and language: `run`, `prompt`, `lang`, `group`, FIGURES and COUNTS.
      failures: `run`, `prompt`, `lang`, `status`.
      languages: one a language: `code`, `name`, `autonym`, `script`, `dir`, `group`, `n_classes`; by group (few
        classes first), script and name.
      recalls: one a run, retrieval set and language, with the scores of its file.
      correlations: each retrieval set, prompt set and score, None where fewer than 3 points joined.
      curses: one a prompt set.
      notes: what could not be shown, and why.
    """

    runs: list[Run]
    prompts: list[str]
    rows: list[Row]
    failures: list[Row]
    languages: list[Row]
    recalls: list[Row] = field(default_factory=list)
    correlations: list[tuple[Joined, Correlation | None]] = field(default_factory=list)
    curses: list[Curse] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def labels(self) -> list[str]:
        """The runs' short names."""
        return [run.label for run in self.runs]

    @property
    def rivals(self) -> list[str]:
        """Short names of the runs among which a language has its best model: those on photos, where there are any."""
        return [run.label for run in self.runs if run.kind != "names"] or self.labels


def gather(files: Sequence[Path | str], *, n_resamples: int = 2000) -> ReportData:
    """Read result files and gather what a report shows.

    Args:
      files: zero-shot and retrieval results, ours or the reference's, and CSV tables of other tasks.
      n_resamples: bootstrap resamples for the intervals of correlations.

    Raises:
      ValueError: there is no zero-shot result among them, or two files hold the same run (`naming.run_labels`).
    """
    results, scores = _split(files)
    if not results:
        raise ValueError("a report needs at least one zero-shot result file (rows with an accuracy)")
    runs = _runs(results)
    rows = [_row(run, row, r) for run, r in zip(runs, results, strict=True) for row in r.rows]
    failures = [
        {"run": run.label, **{k: f.get(k) for k in ("prompt", "lang", "status")}}
        for run, r in zip(runs, results, strict=True)
        for f in r.failures
    ]
    for run in runs:
        if run.gap_basis == "all classes":
            _add_gaps([row for row in rows if row["run"] == run.label])
    prompts = list(dict.fromkeys(row["prompt"] for row in rows))
    data = ReportData(runs, prompts, rows, failures, _languages(rows))
    _add_retrieval(data, scores, n_resamples)
    for prompt in prompts:
        main = [r for r, run in zip(results, runs, strict=True) if run in main_runs(runs)]
        if (curse := curse_of_multilinguality(main, prompt)) is not None:
            data.curses.append(curse)
    return data


def group_means(data: ReportData) -> list[Row]:
    """Give means over the languages of each resource group, and over all (`all`), English apart.

    Returns:
      one row a run, prompt set and group: `n` languages and the mean of each figure, None where a language lacks it.
    """
    members: dict[tuple[str, str, str], list[Row]] = {}
    for row in data.rows:
        if row["lang"] != ENGLISH:
            for name in (row["group"], "all"):
                members.setdefault((row["run"], row["prompt"], name), []).append(row)
    return [
        {"run": run, "prompt": prompt, "group": name, "n": len(rows), **_means(rows)}
        for run in data.labels
        for prompt in data.prompts
        for name in (*GROUPS, "all")
        if (rows := members.get((run, prompt, name)))
    ]


def best_models(data: ReportData) -> list[Row]:
    """Give the run of highest accuracy for each language and prompt set, among `ReportData.rivals`.

    Returns:
      `prompt`, `lang`, `group`, `best`, `accuracy`, `second`, `lead` (None for a single run); equal accuracies: the
      run that comes first in the files, with a lead of 0.
    """
    table: dict[tuple[str, str], list[Row]] = {}
    rivals = set(data.rivals)
    for row in data.rows:
        if row["run"] in rivals:
            table.setdefault((row["prompt"], row["lang"]), []).append(row)
    found = []
    for (prompt, code), rows in table.items():
        first, *rest = sorted(rows, key=lambda row: -row["accuracy"])
        second = rest[0] if rest else None
        found.append(
            {
                "prompt": prompt,
                "lang": code,
                "group": first["group"],
                "best": first["run"],
                "accuracy": first["accuracy"],
                "second": second and second["run"],
                "lead": second and first["accuracy"] - second["accuracy"],
            }
        )
    return found


def _split(files: Sequence[Path | str]) -> tuple[list[Results], list[Score]]:
    """Tell zero-shot files from the rest."""
    results, scores = [], []
    for path in files:
        found = read_scores(path)
        is_empty_run = not found and Path(path).suffix == ".json"
        if is_empty_run or (found and all(score.task == "zero-shot" for score in found)):
            results.append(read_results(path))
        else:
            scores += found
    return results, scores


def _runs(results: Sequence[Results]) -> list[Run]:
    images = [r.meta.get("images") for r in results]
    return [
        Run(
            label=label,
            model=str(r.meta["model"]),
            images=place_of(r.meta),
            kind=str(i.get("kind", "photos")) if isinstance(i, Mapping) else "reference",
            source=str(r.meta.get("source", "")),
            parameters=r.meta.get("parameters"),
            gap_basis="same classes" if all("gap" in x for x in r.rows if x["lang"] != ENGLISH) else "all classes",
            has_decisions=r.path is not None and predictions_path(r.path).exists(),
            path=r.path or Path(),
        )
        for r, label, i in zip(results, run_labels(results), images, strict=True)
    ]


def _row(run: Run, row: Mapping[str, Any], results: Results) -> Row:
    n_classes = int(row["num_classes"])
    chance = row.get("chance", 1 / n_classes)
    low, high = row.get("accuracy_interval") or (None, None)
    gap_low, gap_high = row.get("gap_interval") or (None, None)
    k_way = {f"k{k}": figure["value"] for k, figure in row.get("k_way", {}).items()}
    centred = None if n_classes == 1 else (row["accuracy"] - chance) / (1 - chance)
    figures = {
        "accuracy": row["accuracy"],
        "accuracy_low": low,
        "accuracy_high": high,
        "chance": chance,
        "centred": row.get("centred", centred),
        "english": row.get("english_same_classes"),
        "gap_low": gap_low,
        "gap_high": gap_high,
        "n_classes": n_classes,
        "n_images": row.get("n_images"),
        "n_duplicates": row.get("n_duplicate_labels"),
        **k_way,
    }
    known = {name: figures.get(name, row.get(name)) for name in (*FIGURES, *COUNTS)}
    return {"run": run.label, "prompt": row["prompt"], "lang": row["lang"], "group": group(n_classes), **known}


def _add_gaps(rows: Sequence[Row]) -> None:
    """Where a file has no gaps, take English on all its classes: another basis, and the run says so."""
    english = {row["prompt"]: row["accuracy"] for row in rows if row["lang"] == ENGLISH}
    for row in rows:
        if row["lang"] != ENGLISH and row["prompt"] in english:
            row["english"] = english[row["prompt"]]
            row["gap"] = row["english"] - row["accuracy"]


def _languages(rows: Iterable[Row]) -> list[Row]:
    sizes: dict[str, int] = {}
    for row in rows:
        sizes[row["lang"]] = max(sizes.get(row["lang"], 0), row["n_classes"])
    found = []
    for code, n_classes in sizes.items():
        known = language(code)
        found.append(
            {
                "code": code,
                "name": known.name,
                "autonym": known.autonym,
                "tag": known.tag,
                "script": known.script,
                "dir": known.direction,
                "group": group(n_classes),
                "n_classes": n_classes,
            }
        )
    order = list(GROUPS)
    return sorted(found, key=lambda x: (order.index(x["group"]), x["script"] != "Latn", x["script"], x["name"]))


def main_runs(runs: Sequence[Run]) -> list[Run]:
    """Give one run a model, the one with real photos where there are several."""
    best: dict[str, Run] = {}
    for run in runs:
        if run.model not in best or (best[run.model].kind == "names" and run.kind != "names"):
            best[run.model] = run
    return list(best.values())


def _add_retrieval(data: ReportData, scores: Sequence[Score], n_resamples: int) -> None:
    """Join retrieval with the runs, under the runs' short names."""
    if not scores:
        return
    main = {run.model: run for run in main_runs(data.runs)}
    names = {model: run.label for model, run in main.items()}
    others = [m for m in dict.fromkeys(s.model for s in scores) if m not in names]
    names |= dict(zip(others, short_names(others), strict=True))
    cells: dict[tuple[str, str, str], Row] = {}
    for s in scores:
        cell = cells.setdefault(
            (s.task, s.model, s.language), {"set": s.task, "run": names[s.model], "lang": s.language}
        )
        cell[s.name] = s.value
        if s.interval is not None:
            cell[f"{s.name}_low"], cell[f"{s.name}_high"] = s.interval
    data.recalls.extend(cells.values())
    labels = {run.label for run in main.values()}
    own = [
        Score("", "zero-shot", row["run"], row["lang"], row["prompt"], row["accuracy"])
        for row in data.rows
        if row["run"] in labels
    ]
    renamed = [Score(s.source, s.task, names[s.model], s.language, s.name, s.value) for s in scores]
    for joined in join([*own, *renamed]):
        enough = len(joined.points.x) >= 3
        data.correlations.append((joined, correlate(joined.points, n_resamples=n_resamples) if enough else None))


def _means(rows: Sequence[Row]) -> dict[str, float | None]:
    columns = {name: [row[name] for row in rows] for name in FIGURES}
    return {
        name: None if any(v is None for v in values) else float(np.mean(values)) for name, values in columns.items()
    }
