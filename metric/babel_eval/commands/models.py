"""`babel-imagenet models`: which models can be measured, and what is special about each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from babel_eval.catalogue import Known


def models(
    names: Annotated[bool, typer.Option("--names/--no-names", help="the model strings alone, one a line")] = False,
    paper: Annotated[
        bool, typer.Option("--paper/--all", help="only the models of the paper and its repository")
    ] = False,
) -> None:
    """List models worth measuring, and forms of --model."""
    from rich.console import Console
    from rich.markup import escape

    from babel_eval.catalogue import CATALOGUE
    from babel_eval.encoders import FAMILIES

    chosen = [known for known in CATALOGUE if known.paper or not paper]
    if names:
        typer.echo("\n".join(known.model for known in chosen if known.is_loadable))
        return
    console = Console()
    for title, is_of_paper in (("Models of the paper and its repository", True), ("Others", False)):
        some = [known for known in chosen if known.paper is is_of_paper]
        if some:
            console.print(f"[bold]{title}[/]")
        for known in some:
            _print_entry(console, known.model, _facts(known), style="dim" if not known.is_loadable else "cyan")
    console.print("[bold]Any other model: forms of --model[/]")
    for family in FAMILIES.values():
        _print_entry(console, escape(family.form), family.about)
    _print_entry(console, "…+peft:PATH_OR_REPO", "any of them with a language adapter on its text tower")


def _facts(known: Known) -> str:
    return f"{known.parameters / 1e6:,.0f} M parameters · licence: {known.licence} · {known.text}"


def _print_entry(console: Console, name: str, about: str, style: str = "cyan") -> None:
    """Print a name by itself, whole, so that it can be copied, and what there is to say below it."""
    from rich.padding import Padding

    console.print(f"  [{style}]{name}[/]", soft_wrap=True, highlight=False)
    console.print(Padding(about, (0, 0, 0, 6)), highlight=False, markup=False)


def register(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command()(models)
