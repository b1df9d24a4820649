"""`babel-imagenet demo`: from nothing to a table for each language, on what the extra [sample] brings."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from babel_eval.results import Results

MODEL = "conse-e5"


def demo(
    out: Annotated[Path, typer.Option("--out", help="folder for everything that the demo makes")] = Path("demo"),
) -> None:
    """Measure the embedded model, from labels to a chart.

    Builds the dataset, loads a language back, and measures in 93 languages.
    """
    from rich.console import Console

    from babel_eval.charts import draw_accuracy
    from babel_eval.config import EvaluateConfig
    from babel_eval.encoders import load_encoder
    from babel_eval.runner import run
    from babel_eval.tables import print_means
    from babel_eval.texts import ClassFeatures

    console = Console()
    _dataset(console, out / "babel-imagenet")
    features = ClassFeatures(load_encoder(MODEL))
    results = {}
    for images in ("sample", "names"):
        config = EvaluateConfig(MODEL, images, str(out / f"{images}.json"), overwrite=True, store=str(out / "features"))
        results[images] = run(config, features=features, progress=console.is_terminal)
    console.print(_both(results["sample"], results["names"]))
    print_means(console, results["names"])
    chart = out / "accuracy.png"
    draw_accuracy(results["names"], chart, f"{MODEL}, English names in place of photos: accuracy in each language")
    for path in (out / "sample.json", out / "names.json", chart):
        console.print(f"made: {path}")
    console.print(f"{MODEL} is a baseline: its image tower was trained on ImageNet's own labels.")


def _dataset(console: Console, folder: Path) -> None:
    """Build the dataset's folder and show one language as `load_dataset` gives it back."""
    from datasets import load_dataset

    from babel_imagenet_dataset.export import build
    from babel_imagenet_dataset.release import load_labels, load_prompts

    build(load_labels(), load_prompts(), folder)
    german = load_dataset(str(folder), "de", split="test")
    console.print(f"made: {folder}; load_dataset({str(folder)!r}, 'de') has {len(german)} rows, the first is")
    console.print(german[0])


def _both(sample: Results, names: Results) -> Table:
    """Put accuracy on the sample's photos and on names side by side, a line for each language."""
    from babel_eval.tables import interval, new_table, percent
    from babel_imagenet_dataset.languages import language

    numbers = ("classes", "names %", "95 %", "gap", "photos", "sample %", "95 %")
    table = new_table(f"{MODEL}, prompts: label", ("code", "language"), numbers)
    for row in names.rows:
        other = sample.row(row["lang"], row["prompt"])
        photos = ["0", "–", "–"] if other is None else [str(other["n_images"]), percent(other["accuracy"])]
        photos += [] if other is None else [interval(other["accuracy_interval"])]
        figures = [percent(row["accuracy"]), interval(row["accuracy_interval"]), percent(row.get("gap"))]
        table.add_row(row["lang"], language(row["lang"]).name, str(row["num_classes"]), *figures, *photos)
    return table


def register(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command()(demo)
