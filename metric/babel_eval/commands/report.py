"""`babel-imagenet report`: result files in; a page that holds everything, or tables, out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def report(
    files: Annotated[
        list[Path],
        typer.Argument(help="result files (zero-shot, retrieval), CSV tables (model, language, scores), an audit"),
    ],
    out: Annotated[
        Path | None, typer.Option("--out", help="folder for the page, or file for a table; default: report, terminal")
    ] = None,
    form: Annotated[str, typer.Option("--format", help="html, md, csv or latex")] = "html",
    title: Annotated[str, typer.Option("--title", help="heading of the page")] = "Babel-ImageNet report",
    labels: Annotated[
        str | None,
        typer.Option("--labels", help="label file, for flags and classes; default: the installed one"),
    ] = None,
    with_labels: Annotated[
        bool, typer.Option("--with-labels/--without-labels", help="show labels, their flags, and classes")
    ] = True,
    pictures: Annotated[
        str, typer.Option("--pictures", help="also draw the charts as files: png, svg, or png,svg")
    ] = "",
) -> None:
    """Show results: an HTML page, or tables for a paper.

    The page needs no network; its data lie beside it as CSV.
    """
    from rich.console import Console

    from babel_eval.reporting.report import make_report, write_page
    from babel_eval.tables import print_note
    from babel_imagenet_dataset.files import write_text

    suffixes = [s.strip() for s in pictures.split(",") if s.strip()]
    if unknown := [s for s in suffixes if s not in ("png", "svg")]:
        raise ValueError(f"--pictures {', '.join(unknown)}: allowed are png and svg")
    console = Console()
    if form != "html":
        from babel_eval.reporting.data import gather
        from babel_eval.reporting.tables import render

        text = render(gather(files, n_resamples=0), form)
        if out is None:
            typer.echo(text, nl=False)
        else:
            write_text(out, text)
            console.print(f"table: {out}")
        return
    from babel_imagenet_dataset.release import load_labels

    made = make_report(files, load_labels(labels) if with_labels else None)
    page = write_page(made, out or Path("report"), title=title, pictures=suffixes)
    for note in made.notes:
        print_note(console, note)
    console.print(f"page: {page} ({page.stat().st_size / 1e6:.1f} MB)")


def register(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command()(report)
