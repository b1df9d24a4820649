"""`babel-imagenet correlate`: does zero-shot accuracy foretell retrieval, and how much of the benchmark is enough?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from babel_eval.correlation.figures import Correlation
    from babel_eval.correlation.joining import Joined

Entry = tuple["Joined", "Correlation | None"]


def correlate(
    files: Annotated[list[Path], typer.Argument(help="result files (JSON) and tables (CSV: model, language, scores)")],
    models: Annotated[list[str] | None, typer.Option("--models", help="names or patterns, M-CLIP/*; repeat it")] = None,
    exclude_english: Annotated[
        bool, typer.Option("--exclude-english/--include-english", help="leave English out of the points")
    ] = False,
    score: Annotated[str, typer.Option("--score", help="retrieval score to print and draw; the JSON has all")] = "r@1",
    n_resamples: Annotated[int, typer.Option("--resamples", min=0, help="bootstrap resamples an interval")] = 10_000,
    seed: Annotated[int, typer.Option("--seed", help="of the resamples and the draws")] = 0,
    subsample: Annotated[
        bool, typer.Option("--subsample/--no-subsample", help="try fewer photos, classes and languages")
    ] = False,
    draws: Annotated[int, typer.Option("--draws", min=1, help="random parts a size, for --subsample")] = 100,
    facts: Annotated[
        Path | None, typer.Option("--facts", help="CSV: model, text_encoder, training_languages, parameters")
    ] = None,
    json_path: Annotated[Path | None, typer.Option("--json", help="every figure at full precision")] = None,
    figure: Annotated[Path | None, typer.Option("--figure", help="scatter plots, .png or .svg")] = None,
    points: Annotated[Path | None, typer.Option("--points", help="the points as CSV")] = None,
) -> None:
    """Correlate accuracy with retrieval or other scores.

    Over models and languages, with intervals.
    """
    from rich.console import Console

    from babel_eval.correlation.analysis import analyse
    from babel_eval.correlation.tables import print_analysis

    if figure is not None and figure.suffix not in (".png", ".svg"):
        raise ValueError(f"--figure must end in .png or .svg, got {figure}")
    analysis = analyse(
        files,
        models=models or (),
        exclude=("EN",) if exclude_english else (),
        n_resamples=n_resamples,
        seed=seed,
        n_draws=draws if subsample else 0,
        facts=facts,
    )
    console = Console()
    shown = [(j, c) for j, c in analysis.entries if j.score.endswith(score) or not j.score.partition("_r@")[1]]
    if not shown:
        there = ", ".join(sorted({j.score for j, _ in analysis.entries}))
        raise ValueError(f"--score {score!r}: there is no such score among {there}")
    print_analysis(console, analysis, shown)
    _save(console, analysis, shown, json_path, figure, points)


def _save(
    console: Console,
    analysis: Any,
    shown: list[Entry],
    json_path: Path | None,
    figure: Path | None,
    points: Path | None,
) -> None:
    from babel_imagenet_dataset.files import write_json, write_text

    if json_path is not None:
        write_json(json_path, analysis.as_dict())
        console.print(f"figures: {json_path}")
    if points is not None:
        write_text(points, analysis.points_csv())
        console.print(f"points: {points}")
    if figure is not None:
        from babel_eval.correlation.scatter import figure as scatters
        from babel_eval.vega import draw

        draw(scatters([(j, c) for j, c in shown if c is not None], analysis.models), figure)
        console.print(f"scatter: {figure}")


def register(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command()(correlate)
