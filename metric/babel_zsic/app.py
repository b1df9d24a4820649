"""The metric's page: paste or upload predictions, see the figures and a chart by language."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

import evaluate
import gradio as gr
import pandas as pd

HERE = Path(__file__).parent
EXAMPLE = """language,prediction,reference,n_classes
DE,1,1,738
DE,2,2,738
DE,7,3,738
LO,1,1,31
LO,3,2,31
LO,3,3,31
"""
COLUMNS = ("language", "prediction", "reference")
FIGURES = ("accuracy", "chance", "centred")
MOST_BARS = 40
INTRODUCTION = """# Babel-ImageNet: zero-shot accuracy by language

One row a photo, as CSV: `language`, `prediction` and `reference` (class index, 0 to 999), and, if you know it,
`n_classes` (the language's number of classes), which gives chance. Intervals (95 %) take classes as the independent
draws. What is computed, and how to read it: the card of this Space.
"""


def parse(text: str) -> dict[str, Any]:
    """Read CSV with a header into the arguments of `compute`.

    Raises:
      ValueError: no rows, a column is missing, a cell is no whole number, or a language has two numbers of classes.
    """
    reader = csv.DictReader(io.StringIO(text.strip()))
    names = [name.strip() for name in reader.fieldnames or []]
    reader.fieldnames = names
    missing = [name for name in COLUMNS if name not in names]
    if missing:
        raise ValueError(f"The header lacks {', '.join(missing)}. It must name: {', '.join(COLUMNS)} (and n_classes).")
    rows = list(reader)
    if not rows:
        raise ValueError("There are no rows below the header.")
    columns = {name: [_whole(row, name, line) for line, row in enumerate(rows, 2)] for name in COLUMNS[1:]}
    languages = [(row["language"] or "").strip() for row in rows]
    inputs = {"predictions": columns["prediction"], "references": columns["reference"], "languages": languages}
    if "n_classes" in names:
        inputs["num_classes"] = _numbers_of_classes(rows, languages)
    return inputs


def score(text: str, file: str | None) -> tuple[str, pd.DataFrame, pd.DataFrame]:
    """Give the summary, the table and the chart's data for pasted text, or for a file, which comes first."""
    try:
        content = Path(file).read_text(encoding="utf-8-sig") if file else text
        results = evaluate.load(str(HERE / "babel_zsic.py")).compute(**parse(content))
    except (ValueError, UnicodeDecodeError) as error:
        raise gr.Error(str(error), duration=None) from error
    table = _table(results["per_language"])
    return _summary(results, len(table)), table, _bars(table)


def build() -> gr.Blocks:
    """Lay out the page."""
    with gr.Blocks(title="Babel-ImageNet zero-shot accuracy") as page:
        gr.Markdown(INTRODUCTION)
        with gr.Row():
            text = gr.Textbox(EXAMPLE, lines=9, label="Predictions (CSV)", elem_id="predictions")
            file = gr.File(label="or a CSV file", file_types=[".csv", ".txt"], type="filepath", elem_id="upload")
        button = gr.Button("Compute", variant="primary", elem_id="compute")
        summary = gr.Markdown(elem_id="summary")
        table = gr.Dataframe(label="By language", interactive=False, elem_id="table")
        chart = gr.BarPlot(x="language", y="accuracy", y_lim=[0, 1], title="Accuracy by language", elem_id="chart")
        button.click(score, [text, file], [summary, table, chart])
    return page


def _whole(row: dict[str, Any], name: str, line: int) -> int:
    cell = (row[name] or "").strip()
    if not (cell.isascii() and cell.isdigit()):
        raise ValueError(f"Line {line}: {name} is {cell!r}; it must be a whole number, 0 or more.")
    return int(cell)


def _numbers_of_classes(rows: list[dict[str, Any]], languages: list[str]) -> dict[str, int]:
    numbers: dict[str, int] = {}
    for line, (row, language) in enumerate(zip(rows, languages, strict=True), 2):
        n = _whole(row, "n_classes", line)
        if numbers.setdefault(language, n) != n:
            raise ValueError(f"Line {line}: {language} has {n} classes here and {numbers[language]} further up.")
    return numbers


def _table(per_language: dict[str, dict[str, Any]]) -> pd.DataFrame:
    rows = []
    for language, figures in per_language.items():
        low, high = figures["accuracy_interval"]
        known = {name: round(figures[name], 4) for name in FIGURES if name in figures}
        interval = {"low": round(low, 4), "high": round(high, 4)}
        rows.append({"language": language, "photos": figures["n_images"], **known, **interval})
    return pd.DataFrame(rows)


def _bars(table: pd.DataFrame) -> pd.DataFrame:
    return table.sort_values("accuracy", ascending=False).head(MOST_BARS)[["language", "accuracy"]]


def _summary(results: dict[str, Any], n_languages: int) -> str:
    mean = f"**{results['accuracy_macro']:.4f}** over {results['accuracy_macro_n']:.0f} languages"
    more = f" The chart shows the {MOST_BARS} highest of {n_languages} languages." if n_languages > MOST_BARS else ""
    return f"Mean accuracy: {mean}.{more}"


if __name__ == "__main__":
    build().launch()
