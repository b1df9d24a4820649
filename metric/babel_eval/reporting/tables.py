"""The report as plain tables: Markdown, CSV, or LaTeX with booktabs rules, as the paper sets them."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence

from babel_eval.correlation.scatter import PROMPTS
from babel_eval.reporting.charts import GROUP_NAMES
from babel_eval.reporting.data import ReportData, group_means
from babel_imagenet_dataset.languages import GROUPS

FORMATS = ("md", "csv", "latex")
_ESCAPES = {c: f"\\{c}" for c in "&%$#_{}"} | {
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "\\": r"\textbackslash{}",
}


def render(data: ReportData, form: str) -> str:
    """Give the report's two tables: means by resource group, and every language.

    Args:
      data: the results.
      form: `md`, `csv` or `latex`. Numbers are percent with one decimal in `md` and `latex`, and fractions at full
        precision in `csv`, where the two tables are one: a row a run, prompt set and language.

    Raises:
      ValueError: another form.
    """
    if form == "csv":
        return _csv(data)
    if form not in FORMATS:
        raise ValueError(f"format {form!r} is unknown; there is: html, {', '.join(FORMATS)}")
    tables = [("Mean accuracy in % by resource group", _groups(data)), ("Accuracy in % by language", _languages(data))]
    return "\n".join(_markdown(*table) if form == "md" else _latex(*table) for table in tables)


def _groups(data: ReportData) -> list[list[str]]:
    """Give a line a run and prompt set; a heading says how many languages a mean holds where all runs agree."""
    means = {(row["run"], row["prompt"], row["group"]): row for row in group_means(data)}
    names = [*GROUPS, "all"]
    rows = [["model", "prompts", *(GROUP_NAMES.get(g, g) for g in names)]]
    for run in data.labels:
        for prompt in data.prompts:
            found = [means.get((run, prompt, g)) for g in names]
            if any(found):
                cells = ["–" if c is None else f"{_percent(c['accuracy'])} ({c['n']})" for c in found]
                rows.append([run, PROMPTS.get(prompt, prompt), *cells])
    return rows


def _languages(data: ReportData) -> list[list[str]]:
    table = {(row["run"], row["prompt"], row["lang"]): row["accuracy"] for row in data.rows}
    columns = [(run, prompt) for prompt in data.prompts for run in data.labels]
    columns = [c for c in columns if any((*c, x["code"]) in table for x in data.languages)]
    several = len(data.prompts) > 1
    heads = [f"{run}, {PROMPTS.get(prompt, prompt)}" if several else run for run, prompt in columns]
    return [
        ["code", "language", "classes", *heads],
        *(
            [x["code"], x["name"], str(x["n_classes"]), *(_percent(table.get((*c, x["code"]))) for c in columns)]
            for x in data.languages
        ),
    ]


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.1f}"


def _markdown(title: str, rows: Sequence[Sequence[str]]) -> str:
    cells = [[cell.replace("|", "\\|") for cell in row] for row in rows]
    aligned = ["---" if not _is_number(cells, i) else "---:" for i in range(len(cells[0]))]
    lines = [f"| {' | '.join(row)} |" for row in (cells[0], aligned, *cells[1:])]
    return f"### {title}\n\n" + "\n".join(lines) + "\n"


def _latex(title: str, rows: Sequence[Sequence[str]]) -> str:
    """Give a longtable-free tabular: needs `\\usepackage{booktabs}`; cut it by hand where it is too long for a page."""
    columns = "".join("r" if _is_number(rows, i) else "l" for i in range(len(rows[0])))
    head, *body = ["    " + " & ".join(_tex(cell) for cell in row) + r" \\" for row in rows]
    lines = [
        r"\begin{table}",
        r"  \centering",
        rf"  \caption{{{_tex(title)}.}}",
        rf"  \begin{{tabular}}{{{columns}}}",
        r"    \toprule",
        head,
        r"    \midrule",
        *body,
        r"    \bottomrule",
        r"  \end{tabular}",
        r"\end{table}",
    ]
    return "\n".join(lines) + "\n"


def _is_number(rows: Sequence[Sequence[str]], column: int) -> bool:
    return all(row[column][:1].isdigit() or row[column] == "–" for row in rows[1:])


def _tex(text: str) -> str:
    return "".join(_ESCAPES.get(c, c) for c in text).replace("–", "--")


def _csv(data: ReportData) -> str:
    names = {x["code"]: x["name"] for x in data.languages}
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    header = list(data.rows[0]) if data.rows else ["run", "prompt", "lang"]
    writer.writerow([*header, "language"])
    writer.writerows([*row.values(), names[row["lang"]]] for row in data.rows)
    return buffer.getvalue()
