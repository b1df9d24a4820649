"""`babel-imagenet models`: which models can be measured, and what is special about each."""

from __future__ import annotations

from typing import Annotated

import typer


def models(
    names: Annotated[bool, typer.Option("--names/--no-names", help="the model strings alone, one a line")] = False,
    paper: Annotated[
        bool, typer.Option("--paper/--all", help="only the models of the paper and its repository")
    ] = False,
) -> None:
    """List models worth measuring, and the forms of model strings that are accepted."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from babel_eval.catalogue import CATALOGUE
    from babel_eval.encoders import FAMILIES

    chosen = [known for known in CATALOGUE if known.paper or not paper]
    if names:
        typer.echo("\n".join(known.model for known in chosen if known.is_loadable))
        return
    table = Table("model", "parameters", "licence", "text side", "paper", title="Models")
    for known in chosen:
        style = None if known.is_loadable else "dim"
        count = f"{known.parameters / 1e6:,.0f} M"
        table.add_row(escape(known.model), count, known.licence, known.text, "yes" if known.paper else "", style=style)
    forms = Table("form of --model", "what it reads", title="Any other model")
    for family in FAMILIES.values():
        forms.add_row(escape(family.form), escape(family.about))
    forms.add_row("…+peft:PATH_OR_REPO", "any of them with a language adapter on its text tower")
    console = Console()
    console.print(table)
    console.print(forms)


def register(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command()(models)
