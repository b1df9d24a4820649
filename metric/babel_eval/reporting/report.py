"""The report: one page that holds everything, its data as CSV beside it, and the same as Markdown, CSV or LaTeX."""

from __future__ import annotations

import base64
import csv
import gzip
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources import files as package_files
from pathlib import Path
from typing import Any

from babel_eval.correlation.scatter import PROMPTS, score_title
from babel_eval.reporting import classes as report_classes
from babel_eval.reporting import pairs as report_pairs
from babel_eval.reporting import view as report_view
from babel_eval.reporting.audits import audit_rows, audit_view, take_audit
from babel_eval.reporting.charts import Chart, charts, curse_charts, pair_chart
from babel_eval.reporting.classes import ClassTable, class_rows, class_table, flag_rows
from babel_eval.reporting.data import ReportData, Row, best_models, gather, group_means
from babel_eval.vega import Spec, compiled, draw, runtime
from babel_imagenet_dataset.files import atomic_folder, check_replaceable, write_text
from babel_imagenet_dataset.release import LabelFile

TITLES = {
    "groups": "Mean accuracy by resource group, English apart",
    "accuracy": "Accuracy with its 95 % interval; ticks are chance",
    "gap": "Points of accuracy that a language lacks; a tick is a language, a dot the mean of its group",
    "classes_raw": "Accuracy among all of a language's classes",
    "classes_k_way": "Accuracy that compares between languages of unlike size",
    "best": "Number of languages in which a model has the highest accuracy",
    "flags": "Accuracy above chance against the share of flagged labels",
    "pairs": "Difference in accuracy, language by language, with its 95 % interval",
    "curse_parameters": "Mean gap to English against the size of the model",
    "curse_training_languages": "Mean gap to English against the languages trained on",
}


_SIGNATURE = '<meta name="generator" content="babel-imagenet report">'  # as the template has it


@dataclass(frozen=True)
class Report:
    """Everything that a report is made of, computed once for all its forms.

    Attributes:
      data: the results.
      classes: labels, flags and shares by class; None where no label file was given.
      flags: counts of flags a language; empty without labels.
      comparisons: every pair of runs, see `pairs.compare_runs`.
      notes: what could not be shown, and why.
      audit: what `babel-imagenet audit` wrote; None where it was not given.
    """

    data: ReportData
    classes: ClassTable | None = None
    flags: list[Row] = field(default_factory=list)
    comparisons: list[Row] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    audit: dict[str, Any] | None = None

    @property
    def has_classes(self) -> bool:
        """True where shares by class are known."""
        return self.classes is not None and bool(self.classes.right)


def make_report(files: Sequence[Path | str], labels: LabelFile | None = None) -> Report:
    """Read result files and compute everything that a report shows.

    Args:
      files: zero-shot and retrieval results, ours or the reference's, CSV tables of other tasks, and an audit.
      labels: for flags and for the page of classes; None leaves both out.
    """
    results, audit = take_audit(files)
    data = gather(results)
    table = class_table(data, labels) if labels is not None else None
    comparisons, notes = report_pairs.compare_runs(data)
    notes = [*data.notes, *(table.notes if table else ()), *notes, *report_view.notes(data)]
    return Report(data, table, flag_rows(table) if table else [], comparisons, notes, audit)


def write_page(report: Report, folder: Path | str, *, title: str, pictures: Sequence[str] = ()) -> Path:
    """Write `index.html`, `data/*.csv`, and where asked for `charts/*`; an earlier report is replaced as a whole.

    Args:
      report: what to show.
      folder: where to.
      title: the page's heading.
      pictures: suffixes out of `png` and `svg`.

    Returns:
      the page's path.

    Raises:
      ValueError: the folder holds anything that no report wrote, or is a file or the current folder.
    """
    target = Path(folder).expanduser().resolve()
    check_replaceable(target, lambda path: _is_ours(path, target), "report")
    page = render_page(report, title)
    with atomic_folder(target) as part:
        write_text(part / "index.html", page)
        for name, rows in csv_tables(report).items():
            write_text(part / "data" / f"{name}.csv", _csv(rows))
        for chart in _charts(report) if pictures else ():
            for suffix in pictures:
                draw(_picture(chart), part / "charts" / f"{chart.name}.{suffix}")
        for name, spec in report_view.scatters(report.data, titles=True).items() if pictures else ():
            for suffix in pictures:
                draw({**spec, "width": 400}, part / "charts" / f"{name}.{suffix}")
    return Path(folder) / "index.html"


def render_page(report: Report, title: str) -> str:
    """Give the page's HTML, with the style, the script, the charting library and the data inside."""
    from jinja2 import Environment, PackageLoader
    from markupsafe import Markup

    environment = Environment(loader=PackageLoader("babel_eval.reporting", "page"), autoescape=True, trim_blocks=True)
    page = package_files("babel_eval.reporting") / "page"
    asset = {name: Markup((page / f"report.{name}").read_text(encoding="utf-8")) for name in ("css", "js")}
    specs = {name: compiled(spec) for name, spec in _specs(report).items()}
    parts = {
        "data": _packed(report_view.packed(report.data, report.flags)),
        "pairs": _packed(report_pairs.packed(report.comparisons, report.data)) if report.comparisons else "",
        "classes": _packed(_classes(report)) if report.has_classes else "",
        "specs": Markup(json.dumps(specs, ensure_ascii=False).replace("<", "\\u003c")),
        "vega": Markup(runtime().replace("</script", "<\\/script")),
    }
    audit = audit_view(report.audit)
    view = report_view.context(
        report.data, report.classes, report.flags, report.comparisons, report.notes, has_audit=audit is not None
    )
    return environment.get_template("report.html.j2").render(title=title, audit=audit, **asset, **parts, **view)


def csv_tables(report: Report) -> dict[str, Iterable[Sequence[Any]]]:
    """Give the data of every table and chart, the header first, by the name of its file."""
    data = report.data
    names = {x["code"]: x["name"] for x in data.languages}
    rows = [{**row, "language": names[row["lang"]]} for row in data.rows]
    tables: dict[str, Iterable[Sequence[Any]]] = {
        "scores": _table(rows),
        "groups": _table(group_means(data)),
        "best": _table(best_models(data)),
        "failures": _table(data.failures),
        "curse": _table([row for chart in curse_charts(data) for row in chart.rows]),
        "flags": _table(report.flags),
        "audit": _table(audit_rows(report.audit)) if report.audit else [],
        "comparisons": _table(report.comparisons),
        "retrieval": _table(data.recalls),
        "correlations": _table(report_view.correlation_rows(data)),
        "points": _table(report_view.points(data)),
    }
    if report.classes is not None and report.has_classes:
        tables["classes"] = class_rows(report.classes, data.labels, data.prompts)
    return {name: table for name, table in tables.items() if table}


def _is_ours(path: Path, folder: Path) -> bool:
    """Tell whether a report writes this: its page and, beside a page, the folders of tables and pictures."""
    page, parts = folder / "index.html", path.relative_to(folder).parts
    if path == page:
        return path.is_file() and _SIGNATURE in path.read_text(encoding="utf-8", errors="replace")
    if len(parts) == 1:
        return page.is_file() and path.is_dir() and parts[0] in ("data", "charts")
    return path.is_file() and (*parts[:-1], path.suffix) in {("data", ".csv"), ("charts", ".png"), ("charts", ".svg")}


def _picture(chart: Chart) -> Spec:
    """Give a chart with its rows inside, and a title that says what the page says around it."""
    chosen = {p["name"]: p["value"] for p in chart.spec["params"]}
    of_run = [chosen["run"]] if "datum.run == run" in json.dumps(chart.spec["transform"]) else []
    of_pair = [f"{chosen['a']} less {chosen['b']}"] if "a" in chosen else []
    shown = ", ".join([*of_run, *of_pair, PROMPTS.get(chosen["prompt"], chosen["prompt"])])
    title = {"text": TITLES[chart.name], "subtitle": shown, "subtitleColor": "var(--soft)"}
    return {**chart.spec, "data": {"values": list(chart.rows)}, "width": 760, "title": title}


def _charts(report: Report) -> list[Chart]:
    return [*charts(report.data, report.flags), *_pair_picture(report), *curse_charts(report.data)]


def _pair_picture(report: Report) -> list[Chart]:
    """Give the chart of the first two runs that are compared, under the first prompt set."""
    if not report.comparisons:
        return []
    first = report.comparisons[0]
    names = {x["code"]: x["name"] for x in report.data.languages}
    same = [r for r in report.comparisons if all(r[k] == first[k] for k in ("prompt", "first", "second"))]
    chosen = {"prompt": first["prompt"], "a": first["first"], "b": first["second"]}
    spec = {**pair_chart(report.data), "params": [{"name": name, "value": value} for name, value in chosen.items()]}
    return [Chart("pairs", spec, [{**r, "language": names[r["lang"]]} for r in same])]


def _specs(report: Report) -> dict[str, Spec]:
    """Give the page's charts: data by name for those that the page fills, inside for the rest."""
    specs = {c.name: c.spec for c in charts(report.data, report.flags)}
    specs |= {c.name: {**c.spec, "data": {"values": list(c.rows)}} for c in curse_charts(report.data)}
    if report.comparisons:
        specs["pairs"] = pair_chart(report.data)
    return specs | report_view.scatters(report.data)


def _classes(report: Report) -> Mapping[str, Any]:
    if report.classes is None:
        raise ValueError("the report has no classes")
    return report_classes.packed(report.classes, report.data.labels, report.data.prompts)


def _packed(value: Any) -> str:
    """Give JSON, compressed and as base64; the same value gives the same text."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return base64.b64encode(gzip.compress(text.encode(), 9, mtime=0)).decode()


def _table(rows: Sequence[Mapping[str, Any]]) -> list[Sequence[Any]]:
    if not rows:
        return []
    header = list(dict.fromkeys(key for row in rows for key in row))
    return [header, *([row.get(key) for key in header] for row in rows)]


def _csv(rows: Iterable[Sequence[Any]]) -> str:
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\n").writerows(rows)
    return buffer.getvalue()


__all__ = ["Report", "csv_tables", "make_report", "render_page", "score_title", "write_page"]
