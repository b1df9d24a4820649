"""`babel-imagenet languages`: which languages there are, and how the other commands call them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from babel_imagenet_dataset.languages import Language

SELECTORS = "codes (de,swa,jp), sets (92, 93, 100, 298), groups (vlow, low, mid, high), all; any mix, with commas"


def list_languages(
    selectors: Annotated[str, typer.Argument(help=SELECTORS)] = "all",
    labels: Annotated[
        str | None, typer.Option(help="what this label file holds (a path, 93 or 298), with its own counts")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json/--no-json", help="print JSON instead of a table")] = False,
) -> None:
    """List languages: code, name, script, classes, group.

    Without --labels these are the 298 of the published labels, and no label file is needed.
    """
    from babel_imagenet_dataset.languages import codes, language, resolve

    counts = {code: language(code).n_classes or 0 for code in codes()} if labels is None else _counts(labels)
    rows = [(language(code), counts[code]) for code in resolve(selectors, counts)]
    if as_json:
        typer.echo(json.dumps([_record(*row) for row in rows], ensure_ascii=False, indent=1))
    else:
        _print_table(rows)


def register(app: typer.Typer) -> None:
    """Add the command `languages`."""
    app.command("languages")(list_languages)


def _counts(labels: str) -> dict[str, int]:
    from babel_imagenet_dataset.release import load_labels

    return load_labels(labels).n_classes


def _record(known: Language, n_classes: int) -> dict[str, Any]:
    from babel_imagenet_dataset.languages import group

    return {
        "code": known.code,
        "config": known.config_name,
        "name": known.name,
        "autonym": known.autonym,
        "script": known.script,
        "tag": known.tag,
        "direction": known.direction,
        "n_classes": n_classes,
        "group": group(n_classes),
        "releases": list(known.releases),
        "aliases": list(known.aliases),
    }


def _print_table(rows: Sequence[tuple[Language, int]]) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table

    from babel_imagenet_dataset.languages import GROUPS, group

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=0)
    for header in ("code", "name", "in itself"):
        table.add_column(header, overflow="fold", min_width=len(header))
    for header in ("script", "tag", "dir"):
        table.add_column(header, no_wrap=True)
    table.add_column("classes", justify="right", no_wrap=True)
    table.add_column("group", no_wrap=True)
    for known, n_classes in rows:
        table.add_row(
            known.code, known.name, known.autonym or "", known.script, known.tag, known.direction, str(n_classes),
            group(n_classes),
        )  # fmt: skip
    console = Console()
    console.print(table)
    held = [group(n_classes) for _, n_classes in rows]
    counted = ", ".join(f"{held.count(name)} {name}" for name in GROUPS if name in held)
    console.print(f"{len(rows)} languages: {counted}", highlight=False)
