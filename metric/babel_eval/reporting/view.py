"""What the page's template is filled with: options, tables that the server renders, and the data in whole numbers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from babel_eval.correlation.curse import ENGLISH, QUANTITIES, Slope
from babel_eval.correlation.figures import Correlation
from babel_eval.correlation.scatter import PROMPTS, is_recall, point_rows, scatter, score_title
from babel_eval.reporting.charts import GROUP_NAMES, curse_charts, language_rows
from babel_eval.reporting.classes import ClassTable
from babel_eval.reporting.data import COUNTS, FIGURES, UNIT, ReportData, Row, best_models, group_means
from babel_eval.vega import Spec
from babel_imagenet_dataset.audit import FLAGS
from babel_imagenet_dataset.imagenet import english_class_names
from babel_imagenet_dataset.languages import GROUPS, language

MEASURES = {
    "accuracy": "accuracy",
    "centred": "accuracy above chance",
    "k10": "10-way accuracy",
    "k50": "50-way accuracy",
    "k100": "100-way accuracy",
    "top5": "top 5",
    "gap": "gap to English",
}


def context(
    data: ReportData,
    classes: ClassTable | None,
    flags: Sequence[Row],
    comparisons: Sequence[Row],
    notes: Sequence[str],
    *,
    has_audit: bool = False,
) -> dict[str, Any]:
    """Give what the template names, apart from title, style, scripts and packed data."""
    known = {name for name in MEASURES if any(row[name] is not None for row in data.rows)}
    k_way = [(k, MEASURES[k]) for k in ("k10", "k50", "k100") if k in known]
    other_basis = [run.label for run in data.runs if run.gap_basis == "all classes"]
    has_classes = classes is not None and bool(classes.right)
    return {
        "lede": _lede(data),
        "sections": _sections(has_classes, bool(flags) or has_audit, bool(comparisons), bool(data.recalls)),
        "prompt_options": [(p, PROMPTS.get(p, p)) for p in data.prompts],
        "group_options": [("", "all groups"), *((g, f"{g}: {GROUP_NAMES[g]}") for g in GROUPS)],
        "script_options": [("", "all scripts"), *((s, s) for s in sorted({x["script"] for x in data.languages}))],
        "measure_options": [(name, text) for name, text in MEASURES.items() if name in known],
        "run_options": [(label, label) for label in data.labels],
        "k_options": k_way,
        "k_text": "accuracy among 10, 50 or 100 of them" if k_way else "accuracy above chance",
        "k_caption": "Accuracy among K classes drawn at random" if k_way else "Accuracy above chance",
        "group_names": [GROUP_NAMES[g] for g in GROUPS],
        "overview": _overview(data),
        "notes": notes,
        "several_runs": len(data.rivals) > 1,
        "all_same": not other_basis,
        "other_basis": ", ".join(other_basis),
        "curse": _curse_names(data),
        "curse_tables": _curse_tables(data),
        "has_labels": bool(flags),
        "flag_legend": _flag_legend(flags),
        "has_classes": has_classes,
        "class_languages": [
            ("", "all languages"),
            *((x["code"], x["name"]) for x in sorted(data.languages, key=lambda x: x["name"])),
        ],
        "class_language": next((x["code"] for x in data.languages if x["group"] == "low"), data.languages[0]["code"]),
        "class_options": [("", "all its classes"), *((n, n) for n in sorted(set(english_class_names())))],
        "has_pairs": bool(comparisons),
        "has_retrieval": bool(data.recalls),
        "correlations": [_correlation_texts(row) for row in correlation_rows(data)],
        "scatters": [(name, spec["caption"]) for name, spec in _scatters(data).items()],
        "set_options": [(s, s) for s in dict.fromkeys(row["set"] for row in data.recalls)],
        "about": _about(data, classes),
    }


def packed(data: ReportData, flags: Sequence[Row]) -> dict[str, Any]:
    """Give the results as columns of whole numbers: figures in units of 1 / UNIT, runs and languages by place."""
    run_of = {label: i for i, label in enumerate(data.labels)}
    prompt_of = {prompt: i for i, prompt in enumerate(data.prompts)}
    place = {x["code"]: i for i, x in enumerate(data.languages)}
    number = {"run": run_of.get, "prompt": prompt_of.get, "lang": place.get}
    figures = (*FIGURES, "flagged")

    def column(rows: Sequence[Row], name: str) -> list[Any]:
        if name in number:
            return [number[name](row[name]) for row in rows]
        if name in figures:
            return [None if row[name] is None else round(UNIT * row[name]) for row in rows]
        return [row[name] for row in rows]

    rows = language_rows(data, flags)
    columns = ["run", "prompt", "lang", *COUNTS, *(f for f in figures if any(r[f] is not None for r in rows))]
    means, best = group_means(data), best_models(data)
    elsewhere = {row["lang"] for row in data.recalls} - set(place)

    def is_score(name: str) -> bool:
        return name not in ("set", "run", "lang") and not name.endswith(("_low", "_high"))

    return {
        "runs": [
            {"label": run.label, "model": run.model, "rival": len(data.rivals) > 1 and run.label in data.rivals}
            for run in data.runs
        ],
        "prompts": data.prompts,
        "unit": UNIT,
        "groups": list(GROUPS),
        "figures": list(figures),
        "languages": data.languages,
        "others": {code: _stranger(code) for code in sorted(elsewhere)},
        "columns": {name: column(rows, name) for name in columns},
        "means": {name: column(means, name) for name in ("run", "prompt", "group", "n", *FIGURES)},
        "best": [
            {k: r[k] for k in ("prompt", "lang", "group", "best", "lead")} | {"at": place[r["lang"]]} for r in best
        ],
        "flags": {row["lang"]: {k: row[k] for k in (*FLAGS, "flagged")} for row in flags} or None,
        "rules": {name: rule for name, rule in FLAGS.items() if any(row[name] for row in flags)},
        "recalls": [
            {
                "set": row["set"],
                "run": row["run"],
                "lang": place.get(row["lang"], -1),
                "code": row["lang"],
                "scores": {k: v for k, v in row.items() if is_score(k)},
                "bounds": {k: [row[f"{k}_low"], row[f"{k}_high"]] for k in row if f"{k}_low" in row},
            }
            for row in data.recalls
        ],
    }


def scatters(data: ReportData, *, titles: bool = False) -> dict[str, Spec]:
    """Give the scatter of each retrieval set, prompt set and direction, as wide as the page lets it be."""
    return {
        name: {k: v for k, v in spec.items() if k != "caption"} | ({"title": spec["caption"]} if titles else {})
        for name, spec in _scatters(data).items()
    }


def _scatters(data: ReportData) -> dict[str, Spec]:
    models = list(dict.fromkeys([*data.labels, *(row["run"] for row in data.recalls)]))
    found = {}
    for number, (joined, figures) in enumerate(data.correlations):
        if figures is None or (is_recall(joined.score) and not joined.score.endswith("@1")):
            continue
        caption = f"{joined.task}: {score_title(joined.score)}, {PROMPTS.get(joined.prompt, joined.prompt)}"
        spec = scatter(joined, figures, models, width="container")
        found[f"scatter_{number}"] = {**{k: v for k, v in spec.items() if k != "title"}, "caption": caption}
    return found


def correlation_rows(data: ReportData) -> list[Row]:
    """Give every correlation at full precision as flat rows; empty figures where fewer than 3 points joined."""
    rows = []
    for joined, c in data.correlations:
        row: Row = {"set": joined.task, "prompt": joined.prompt, "score": joined.score, "n": len(joined.points.x)}
        rows.append(row | (_flat(c) if c is not None else {}))
    return rows


def points(data: ReportData) -> list[Row]:
    """Give every point of every correlation."""
    return [
        {"set": joined.task, "prompt": joined.prompt, "score": joined.score, **row}
        for joined, _ in data.correlations
        for row in point_rows(joined)
    ]


def notes(data: ReportData) -> list[str]:
    """Say which languages have no number, and what did not join with retrieval."""
    found = []
    for run in data.runs:
        failed = [f for f in data.failures if f["run"] == run.label]
        for status, count in Counter(str(f["status"]) for f in failed).items():
            codes = sorted({f["lang"] for f in failed if f["status"] == status})
            found.append(f"{run.label}: no number for {count} ({status}): {_some(codes)}")
        if run.kind == "names":
            found.append(f"{run.label}: no photos; English names stand in for them, so only the text side is measured.")
    unjoined = dict.fromkeys(u for joined, _ in data.correlations for u in joined.unjoined)
    found += [
        f"{u.task}: {u.model} did not join: {u.why}: {_some(list(u.languages))}"
        for u in unjoined
        if u.why.startswith("no zero-shot")
    ]
    return list(dict.fromkeys(found))


def _lede(data: ReportData) -> str:
    n = len(data.languages)
    prompts = " and ".join(PROMPTS.get(p, p) for p in data.prompts)
    n_models, n_runs = len({run.model for run in data.runs}), len(data.runs)
    models = (f"{n_models} models" if n_models > 1 else "One model") + (f" in {n_runs} runs" * (n_runs > n_models))
    return f"{models} naming photos of ImageNet in {n} languages, with {prompts} as prompts."


def _sections(has_classes: bool, has_labels: bool, has_pairs: bool, has_retrieval: bool) -> list[tuple[str, str]]:
    sections = {
        "overview": ("Overview", True),
        "languages": ("Languages", True),
        "accuracy": ("Accuracy", True),
        "gap": ("Gap to English", True),
        "size": ("Number of classes", True),
        "labels": ("Label quality", has_labels),
        "classes": ("Classes", has_classes),
        "compare": ("Two models", has_pairs),
        "retrieval": ("Retrieval", has_retrieval),
    }
    return [(key, text) for key, (text, is_there) in sections.items() if is_there]


def _overview(data: ReportData) -> list[Row]:
    means = {(row["run"], row["prompt"], row["group"]): row for row in group_means(data)}
    english = {(row["run"], row["prompt"]): row["accuracy"] for row in data.rows if row["lang"] == ENGLISH}
    rows = []
    for run in data.runs:
        for prompt in data.prompts:
            cells = [means.get((run.label, prompt, g)) for g in (*GROUPS, "all")]
            if cells[-1] is None:
                continue
            rows.append(
                {
                    "run": run.label,
                    "model": run.model,
                    "images": Path(run.images).name,
                    "parameters": "–" if run.parameters is None else f"{run.parameters / 1e6:,.0f} M",
                    "prompt": PROMPTS.get(prompt, prompt),
                    "n": cells[-1]["n"],
                    "english": "–" if (e := english.get((run.label, prompt))) is None else f"{100 * e:.1f}",
                    "cells": [
                        {"text": "–" if c is None else f"{100 * c['accuracy']:.1f}", "n": c["n"] if c else 0}
                        for c in cells
                    ],
                }
            )
    return rows


def _curse_names(data: ReportData) -> list[tuple[str, str]]:
    titles = {
        "curse_parameters": "Gap against size",
        "curse_training_languages": "Gap against the languages trained on",
    }
    return [(chart.name, titles[chart.name]) for chart in curse_charts(data)]


def _curse_tables(data: ReportData) -> list[tuple[str, list[str], list[list[str]]]]:
    """Give the gaps by text encoder, and the slopes over models with their intervals, as texts in points."""
    names = [*GROUPS, "all"]
    groups = [GROUP_NAMES.get(g, g) for g in names]
    gaps, slopes = [], []
    for curse in data.curses:
        prompt = PROMPTS.get(curse.prompt, curse.prompt)
        for encoder, of in curse.by_encoder.items():
            gaps.append([encoder, prompt, *(f"{100 * of[g]:.1f}" if g in of else "–" for g in names)])
        for quantity in QUANTITIES:
            cells = [curse.slopes[g][quantity] if g in curse.slopes else None for g in names]
            if any(cells):
                slopes.append([f"ten times the {quantity.replace('_', ' ')}", prompt, *map(_slope_text, cells)])
    found = [("Mean gap in points, by text encoder", ["text encoder", "prompts", *groups], gaps)]
    found.append(("Slope of the gap over models, with its 95 % interval", ["for", "prompts", *groups], slopes))
    return [table for table in found if table[2]] if slopes else []


def _slope_text(slope: Slope | None) -> str:
    if slope is None:
        return "–"
    bounds = slope.interval and " … ".join(f"{100 * b:+.0f}" for b in slope.interval)
    return (f"{100 * slope.value:+.1f}" + (f" ({bounds})" if bounds else "")).replace("-", "−")


def _flag_legend(flags: Sequence[Row]) -> list[tuple[str, str, int]]:
    return [(name, rule, sum(row[name] for row in flags)) for name, rule in FLAGS.items()] if flags else []


def _about(data: ReportData, classes: ClassTable | None) -> list[tuple[str, str]]:
    entries = [(run.label, f"{run.model}, {run.source or 'source unknown'}; {run.path.name}") for run in data.runs]
    if classes is not None:
        entries.append(("labels", f"{classes.labels.path.name}, sha256 {classes.labels.sha256[:16]}…"))
    return entries


def _flat(c: Correlation) -> Row:
    row: Row = {"n_models": c.n_models, "n_languages": c.n_languages}
    for name in ("pearson", "spearman", "within_model", "within_language"):
        e = getattr(c, name)
        row[name] = e.value
        for kind in ("over_models", "over_languages"):
            low, high = getattr(e, kind) or (None, None)
            row |= {f"{name}_{kind}_low": low, f"{name}_{kind}_high": high}
    (worst, low), (best, high) = c.leave_one_out or ((None, None), (None, None))
    return row | {"lowest_without": worst, "lowest": low, "highest_without": best, "highest": high}


def _correlation_texts(row: Row) -> Row:
    def number(name: str) -> str:
        return "–" if row.get(name) is None else f"{row[name]:.3f}"

    def bounds(low: str, high: str) -> str:
        return "–" if row.get(low) is None else f"{row[low]:.2f} … {row[high]:.2f}"

    numbers = [str(row["n"]), str(row.get("n_models", "–")), str(row.get("n_languages", "–")), number("pearson")]
    numbers += [bounds(f"pearson_{kind}_low", f"pearson_{kind}_high") for kind in ("over_models", "over_languages")]
    numbers += [number(name) for name in ("spearman", "within_model", "within_language")]
    names = [row["set"], PROMPTS.get(row["prompt"], row["prompt"]), score_title(row["score"])]
    return {"names": names, "numbers": [*numbers, bounds("lowest", "highest")]}


def _stranger(code: str) -> Row:
    """Describe a language that has retrieval scores and no zero-shot row."""
    known = language(code)
    facts = {"code": code, "name": known.name, "autonym": known.autonym, "tag": known.tag, "script": known.script}
    return {**facts, "dir": known.direction, "group": known.group or "", "n_classes": known.n_classes or 0}


def _some(codes: Sequence[str]) -> str:
    return ", ".join(codes[:10]) + (f" and {len(codes) - 10} more" if len(codes) > 10 else "")
