"""What `correlate` prints: tables that fit 80 columns with every number whole."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby

from rich.console import Console
from rich.markup import escape

from babel_eval.correlation.analysis import Analysis
from babel_eval.correlation.curse import QUANTITIES, Curse, Slope
from babel_eval.correlation.figures import Correlation, Interval
from babel_eval.correlation.joining import Joined, short_names
from babel_eval.correlation.scatter import PROMPTS, score_title
from babel_eval.correlation.subsets import Subset
from babel_eval.tables import new_table, print_note

Entry = tuple[Joined, Correlation | None]
FIGURES = {
    "pearson": "Pearson r",
    "spearman": "Spearman ρ",
    "within_model": "r within a model",
    "within_language": "r within a language",
}
TASKS_A_TABLE = 4  # more do not fit a terminal


def print_analysis(console: Console, analysis: Analysis, shown: Sequence[Entry]) -> None:
    """Print an analysis: correlations, what did not join, smaller benchmarks, the curse of multilinguality.

    Args:
      console: where to.
      analysis: all that was found.
      shown: the correlations to print, out of `analysis.entries`.
    """
    short = dict(zip(analysis.models, short_names(analysis.models), strict=True))
    for joined, figures in shown:
        _print_correlation(console, joined, figures, short)
    _print_reading(console, [figures for _, figures in shown if figures])
    _print_unjoined(console, [joined for joined, _ in shown], short)
    tasks = list(dict.fromkeys(f"{joined.task} {joined.score}" for joined, _ in shown))
    for prompt, subsets in analysis.subsets.items():
        _print_subsets(console, prompt, subsets, tasks)
    for note in analysis.notes:
        print_note(console, note)
    for curse in analysis.curses:
        _print_curse(console, curse, short)


def _print_correlation(console: Console, joined: Joined, c: Correlation | None, short: Mapping[str, str]) -> None:
    prompt = PROMPTS.get(joined.prompt, joined.prompt)
    title = f"[bold]{joined.task}: {score_title(joined.score)}, against accuracy with {prompt}[/]"
    if c is None:
        console.print(f"{title}\n[yellow]{len(joined.points.x)} points, 3 are needed[/]\n")
        return
    console.print(title)
    models = "1 model" if c.n_models == 1 else f"{c.n_models} models"
    table = new_table(None, (f"n = {c.n}: {models}, {c.n_languages} languages",), ("", *_OVER))
    for name, text in FIGURES.items():
        e = getattr(c, name)
        value = "–" if e.value is None else f"{e.value:.3f}"
        table.add_row(text, value, _bounds(e.over_models), _bounds(e.over_languages))
    if c.leave_one_out is not None:
        for (model, r), text in zip(c.leave_one_out, ("lowest", "highest"), strict=True):
            table.add_row(f"{text} r without one model", f"{r:.3f}", short.get(model, model), "")
    console.print(table)
    console.print()


_OVER = ("95 % over models", "over languages")


def _bounds(bounds: Interval | None) -> str:
    return "–" if bounds is None else f"{bounds[0]:.2f} … {bounds[1]:.2f}"


def _print_reading(console: Console, found: Sequence[Correlation]) -> None:
    console.print(
        "[dim]Intervals: by resampling whole models, or whole languages. Within: both scores less their mean in that "
        "model or language.[/]"
    )
    if 0 < (few := min((c.n_models for c in found), default=0)) < 8:
        console.print(
            f"[yellow]Only {few} model{'s' * (few > 1)}: an interval over models from so few is rough, most often too "
            "short.[/]"
        )
    console.print()


def _print_unjoined(console: Console, entries: Sequence[Joined], short: Mapping[str, str]) -> None:
    """Say once what did not join: the same reason for several scores and models is one line."""
    lines: dict[tuple[str, tuple[str, ...]], dict[str, None]] = {}
    prompts: dict[tuple[str, tuple[str, ...]], dict[str, None]] = {}
    for joined in entries:
        for u in joined.unjoined:
            lines.setdefault((u.why, u.languages), {})[short.get(u.model, u.model)] = None
            prompts.setdefault((u.why, u.languages), {})[joined.prompt] = None
    n_prompts = len({joined.prompt for joined in entries})
    if lines:
        console.print("[bold]did not join[/]")
    for (why, codes), names in lines.items():
        some = ", ".join(codes[:12]) + (f" and {len(codes) - 12} more" if len(codes) > 12 else "")
        under = [PROMPTS.get(p, p) for p in prompts[why, codes] if not why.endswith(p)]
        beside = f"; {', '.join(under)}" if under and len(under) < n_prompts else ""
        console.print(f"  {why}: {some} [dim]({escape(', '.join(names))}{beside})[/]")
    if lines:
        console.print()


def _print_subsets(console: Console, prompt: str, subsets: Sequence[Subset], tasks: Sequence[str]) -> None:
    """Print how well parts rank the models and how far they are from the whole, then r with each task on them."""
    if not subsets:
        return
    title = f"[bold]smaller benchmarks, {PROMPTS.get(prompt, prompt)}: mean over {subsets[0].n_draws} random parts[/]"
    console.print(title)
    table = new_table(None, ("part",), ("size", "Kendall's τ", "95 % of parts", "error of a mean", "of a language"))
    for s in subsets:
        errors = [
            "–" if not error or not error[0] else f"{100 * error[0]:.2f}" for error in (s.mean_error, s.cell_error)
        ]
        table.add_row(s.kind, str(s.size), *_spread(s.tau), *errors)
    console.print(table)
    console.print(
        "[dim]τ: the models' ranking against the whole's. Errors: mean absolute difference to the whole, in points.[/]"
    )
    known = [task for task in tasks if any(s.r.get(task) for s in subsets)]
    for some in _in_parts(known, TASKS_A_TABLE):
        table = new_table("[bold]r on the parts[/]", ("part",), ("size", *some))
        for s in (s for s in subsets if any(s.r.get(task) for task in some)):
            table.add_row(s.kind, str(s.size), *("\n".join(_spread(s.r.get(task))) for task in some))
        console.print(table)
    console.print()


def _in_parts(names: Sequence[str], size: int) -> Iterator[list[str]]:
    for _, part in groupby(enumerate(names), key=lambda pair: pair[0] // size):
        yield [name for _, name in part]


def _spread(figure: tuple[float, float, float] | None) -> tuple[str, str]:
    return ("–", "–") if figure is None else (f"{figure[0]:.2f}", f"{figure[1]:.2f} … {figure[2]:.2f}")


def _print_curse(console: Console, curse: Curse, short: Mapping[str, str]) -> None:
    """Print the gaps by model and by text encoder, and the slopes on size and on training languages."""
    groups = list(curse.slopes)
    prompt = PROMPTS.get(curse.prompt, curse.prompt)
    basis = curse.basis.replace("same", "the same")
    console.print(f"[bold]gap to English on {basis}, in points, {prompt}[/]")
    table = new_table(None, ("model",), ("size", "trained on", *groups))
    for model, gaps in curse.gaps.items():
        f = curse.facts[model]
        size = "–" if f.parameters is None else f"{f.parameters / 1e6:.0f} M"
        table.add_row(short.get(model, model), size, str(f.training_languages or "–"), *_gaps(gaps, groups))
    table.add_row()
    for encoder, gaps in curse.by_encoder.items():
        table.add_row(f"mean of {encoder}", "", "", *_gaps(gaps, groups))
    console.print(table)
    if any(slope for by_quantity in curse.slopes.values() for slope in by_quantity.values()):
        columns = [c for q in QUANTITIES for c in (f"per 10 × {q.replace('training_', '')}", "95 %")]
        table = new_table("slope of the gap over models, in points", ("group",), columns)
        for name in groups:
            cells = [cell for q in QUANTITIES for cell in _slope(curse.slopes[name][q])]
            table.add_row(name, *cells)
        console.print(table)
    console.print()


def _gaps(gaps: Mapping[str, float], groups: Sequence[str]) -> list[str]:
    return [f"{100 * gaps[g]:.1f}" if g in gaps else "–" for g in groups]


def _slope(slope: Slope | None) -> tuple[str, str]:
    if slope is None:
        return "–", "–"
    bounds = slope.interval
    return f"{100 * slope.value:+.1f}", "–" if bounds is None else f"{100 * bounds[0]:+.0f} … {100 * bounds[1]:+.0f}"
