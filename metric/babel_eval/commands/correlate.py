"""`babel-imagenet correlate`: does zero-shot accuracy foretell retrieval, and how much of the benchmark is enough?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from babel_eval.correlation.curse import Curse
    from babel_eval.correlation.figures import Correlation, Estimate
    from babel_eval.correlation.joining import Joined
    from babel_eval.correlation.subsets import Subset

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
    """Correlate zero-shot accuracy with retrieval or any other score, over models and languages."""
    from rich.console import Console

    from babel_eval.correlation.analysis import analyse

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
    _print_correlations(console, shown)
    _print_unjoined(console, shown)
    for prompt, subsets in analysis.subsets.items():
        _print_subsets(console, prompt, subsets, {f"{j.task} {j.score}" for j, _ in shown})
    for note in analysis.notes:
        console.print(f"[yellow]{note}[/]")
    for curse in analysis.curses:
        _print_curse(console, curse)
    _save(console, analysis, shown, json_path, figure, points)


def _print_correlations(console: Console, entries: list[Entry]) -> None:
    from rich.table import Table

    from babel_eval.correlation.scatter import score_title

    table = Table(title="correlation with zero-shot accuracy", title_justify="left", header_style="bold")
    for name in ("set", "prompts", "score"):
        table.add_column(name, overflow="fold")
    for name in ("n", "models", "languages", "Pearson r", "Spearman ρ", "within a model", "within a language"):
        table.add_column(name, justify="right")
    table.add_column("r without one model", justify="right")
    for joined, c in entries:
        names = [joined.task, joined.prompt, score_title(joined.score)]
        if c is None:
            table.add_row(*names, str(len(joined.points.x)), *["–"] * 7)
            continue
        sizes = [str(c.n), str(c.n_models), str(c.n_languages)]
        figures = [_estimate(e) for e in (c.pearson, c.spearman, c.within_model, c.within_language)]
        table.add_row(*names, *sizes, *figures, _range(c), end_section=True)
    console.print(table)
    console.print(
        "[dim]Beneath a figure: its 95 % interval over models (m) and over languages (l), by resampling whole models "
        "or languages. Within: both scores less their mean in that model or language.[/]"
    )
    few = min((c.n_models for _, c in entries if c), default=0)
    if 0 < few < 8:
        console.print(
            f"[yellow]Only {few} models: an interval over models from so few is rough, most often too short.[/]"
        )


def _estimate(estimate: Estimate) -> str:
    if estimate.value is None:
        return "–"
    lines = [f"{estimate.value:.3f}"]
    for letter, bounds in (("m", estimate.over_models), ("l", estimate.over_languages)):
        lines.append(f"[dim]{letter} {bounds[0]:.2f}…{bounds[1]:.2f}[/]" if bounds else f"[dim]{letter} –[/]")
    return "\n".join(lines)


def _range(c: Correlation) -> str:
    if c.leave_one_out is None:
        return "–"
    (worst, low), (best, high) = c.leave_one_out
    return f"{low:.3f}…{high:.3f}\n[dim]{_short(worst)}\n{_short(best)}[/]"


def _short(model: str) -> str:
    return model.rsplit("/", 1)[-1].split("@")[0][:28]


def _print_unjoined(console: Console, entries: list[Entry]) -> None:
    """Say once what did not join: the same reason for several scores and models is one line."""
    lines: dict[tuple[str, tuple[str, ...]], dict[str, None]] = {}
    for joined, c in entries:
        for u in joined.unjoined:
            lines.setdefault((u.why, u.languages), {})[u.model] = None
        if c is None:
            console.print(
                f"[yellow]{joined.task} {joined.prompt} {joined.score}: {len(joined.points.x)} points, 3 needed[/]"
            )
    if lines:
        console.print("[bold]did not join[/]")
    for (why, codes), names in lines.items():
        shown = ", ".join(codes[:12]) + (f" and {len(codes) - 12} more" if len(codes) > 12 else "")
        console.print(f"  {why}: {shown} [dim]({', '.join(map(_short, names))})[/]")


def _print_subsets(console: Console, prompt: str, subsets: list[Subset], tasks: set[str]) -> None:
    from rich.table import Table

    table = Table(title=f"smaller benchmarks, prompts {prompt}", title_justify="left", header_style="bold")
    shown = [task for task in (subsets[0].r if subsets else {}) if task in tasks]
    for name in (
        "part",
        "size",
        "Kendall's τ of models",
        "error of a mean",
        "of a language",
        *(f"r, {task}" for task in shown),
    ):
        table.add_column(name, justify="left" if name == "part" else "right")
    for s in subsets:
        errors = [
            "–" if not error or not error[0] else f"{100 * error[0]:.2f}" for error in (s.mean_error, s.cell_error)
        ]
        table.add_row(s.kind, str(s.size), _three(s.tau), *errors, *(_three(s.r[task]) for task in shown))
    console.print(table)
    console.print(
        f"[dim]mean (2.5 %…97.5 %) over {subsets[0].n_draws if subsets else 0} random parts; "
        "errors are mean absolute differences to the whole, in points[/]"
    )


def _three(figure: tuple[float, float, float] | None) -> str:
    return "–" if figure is None else f"{figure[0]:.2f} ({figure[1]:.2f}…{figure[2]:.2f})"


def _print_curse(console: Console, curse: Curse) -> None:
    from rich.table import Table

    groups = list(curse.slopes)
    title = f"gap to English on {curse.basis}, points, prompts {curse.prompt}"
    table = Table(title=title, title_justify="left", header_style="bold")
    table.add_column("model", overflow="fold")
    table.add_column("text encoder")
    for name in ("parameters", "languages", *groups):
        table.add_column(name, justify="right")
    for model, gaps in curse.gaps.items():
        f = curse.facts[model]
        size = "–" if f.parameters is None else f"{f.parameters / 1e6:.0f} M"
        numbers = [f"{100 * gaps[g]:.1f}" if g in gaps else "–" for g in groups]
        table.add_row(model, f.text_encoder or "–", size, str(f.training_languages or "–"), *numbers)
    table.add_section()
    for quantity in ("parameters", "training_languages"):
        slopes = [curse.slopes[g][quantity] for g in groups]
        table.add_row(f"slope, ten times the {quantity.replace('_', ' ')}", "", "", "", *map(_slope, slopes))
    console.print(table)


def _slope(slope: Any) -> str:
    if slope is None:
        return "–"
    if slope.interval is None:
        return f"{100 * slope.value:+.1f}"
    return f"{100 * slope.value:+.1f}\n[dim]{100 * slope.interval[0]:+.0f}…{100 * slope.interval[1]:+.0f}[/]"


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
