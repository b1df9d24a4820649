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
N_CLASSES = "n_classes"
FIGURES = ("chance", "centred")
MOST_BARS = 40
NARROW = 320  # pixels; on a phone the file comes below the text
INTRODUCTION = """# Babel-ImageNet: zero-shot accuracy by language

One row a photo, as CSV: `language`, `prediction` and `reference` (class index, 0 to 999), and, if you know it,
`n_classes` (the language's number of classes), which gives chance. `low` to `high` is a 95 % interval that takes
classes as the independent draws. What is computed, and how to read it: the card of this Space.
"""


def parse(text: str) -> dict[str, Any]:
    """Read CSV with a header into the arguments of `compute`.

    Raises:
      ValueError: no rows, a column is missing or unknown, a row is longer than the header, a quotation mark is left
        open, a cell is no whole number, or a language has two numbers of classes.
    """
    reader = csv.DictReader(io.StringIO(text.lstrip("\ufeff").strip()))
    names = [name.strip() for name in reader.fieldnames or []]
    reader.fieldnames = names
    _check_header(names)
    try:
        rows = [(reader.line_num, row) for row in reader]
    except csv.Error as error:
        raise ValueError(f"Below line {reader.line_num} a quotation mark is left open ({error}).") from error
    if not rows:
        raise ValueError("There are no rows below the header.")
    for line, row in rows:
        if None in row:
            raise ValueError(f"Line {line} has more cells than the header: {', '.join(names)}.")
    columns = {name: [_whole(row, name, line) for line, row in rows] for name in COLUMNS[1:]}
    languages = [(row["language"] or "").strip() for _, row in rows]
    inputs = {"predictions": columns["prediction"], "references": columns["reference"], "languages": languages}
    if N_CLASSES in names:
        inputs["num_classes"] = _numbers_of_classes(rows, languages)
    return inputs


def score(text: str, file: str | None) -> tuple[str, pd.DataFrame, pd.DataFrame]:
    """Give the summary, the table and the chart's data for pasted text, or for a file, which comes first."""
    try:
        content = _read(Path(file)) if file else text
        results = evaluate.load(str(HERE / "babel_zsic.py")).compute(**parse(content))
    except ValueError as error:
        raise gr.Error(str(error), duration=None) from error
    table = _table(results["per_language"])
    return _summary(results, len(table)), table, _bars(table)


def build() -> gr.Blocks:
    """Lay out the page."""
    with gr.Blocks(title="Babel-ImageNet zero-shot accuracy") as page:
        gr.Markdown(INTRODUCTION)
        with gr.Row():
            text = gr.Textbox(EXAMPLE, lines=9, label="Predictions (CSV)", elem_id="predictions", min_width=NARROW)
            kinds, label = [".csv", ".txt"], "or a CSV file (which then counts)"
            file = gr.File(label=label, file_types=kinds, type="filepath", elem_id="upload", min_width=NARROW)
        button = gr.Button("Compute", variant="primary", elem_id="compute")
        summary = gr.Markdown(elem_id="summary")
        table = gr.Dataframe(label="By language", interactive=False, elem_id="table")
        chart = gr.BarPlot(
            x="language", y="accuracy", y_lim=[0, 1], sort="-y", title="Accuracy by language", elem_id="chart"
        )
        button.click(score, [text, file], [summary, table, chart])
    return page


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{file.name} is not UTF-8: save it as CSV UTF-8.") from error


def _check_header(names: list[str]) -> None:
    wanted = f"It must name: {', '.join(COLUMNS)} (and {N_CLASSES}), between commas."
    missing = [name for name in COLUMNS if name not in names]
    if missing:
        raise ValueError(f"The header lacks {', '.join(missing)}. {wanted}")
    unknown = [name for name in names if name not in (*COLUMNS, N_CLASSES)]
    if unknown:
        raise ValueError(f"The header names {', '.join(map(repr, unknown))}. {wanted}")
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f"The header names {', '.join(twice)} twice. {wanted}")


def _whole(row: dict[str, Any], name: str, line: int) -> int:
    cell = (row[name] or "").strip()
    if not (cell.isascii() and cell.isdigit()):
        raise ValueError(f"Line {line}: {name} is {cell!r}; it must be a whole number, 0 or more.")
    return int(cell)


def _numbers_of_classes(rows: list[tuple[int, dict[str, Any]]], languages: list[str]) -> dict[str, int]:
    numbers: dict[str, int] = {}
    for (line, row), language in zip(rows, languages, strict=True):
        n = _whole(row, N_CLASSES, line)
        if numbers.setdefault(language, n) != n:
            raise ValueError(f"Line {line}: {language} has {n} classes here and {numbers[language]} further up.")
    return numbers


def _table(per_language: dict[str, dict[str, Any]]) -> pd.DataFrame:
    rows = []
    for language, figures in per_language.items():
        low, high = figures["accuracy_interval"]
        accuracy = {"accuracy": round(figures["accuracy"], 4), "low": round(low, 4), "high": round(high, 4)}
        known = {name: round(figures[name], 4) for name in FIGURES if name in figures}
        rows.append({"language": language, "photos": figures["n_images"], **accuracy, **known})
    return pd.DataFrame(rows)


def _bars(table: pd.DataFrame) -> pd.DataFrame:
    return table.sort_values("accuracy", ascending=False).head(MOST_BARS)[["language", "accuracy"]]


def _summary(results: dict[str, Any], n_languages: int) -> str:
    n = int(results["accuracy_macro_n"])
    mean = f"**{results['accuracy_macro']:.4f}** over {n} language{'s' * (n != 1)}"
    more = f" The chart shows the {MOST_BARS} highest of {n_languages} languages." if n_languages > MOST_BARS else ""
    beside = " English, the yardstick, is in no mean." if n < n_languages else ""
    return f"Mean accuracy: {mean}.{beside}{more}"


if __name__ == "__main__":
    build().launch()
