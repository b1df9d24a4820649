"""`babel-imagenet retrieve`: a model and a retrieval set in; recalls in both directions out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from babel_eval.config import RetrieveConfig, help_texts

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

help_of = help_texts(RetrieveConfig)


def retrieve(
    model: Annotated[str, typer.Option("--model", help=help_of("model"))],
    dataset: Annotated[str, typer.Option("--dataset", help=help_of("dataset"))],
    out: Annotated[str, typer.Option("--out", help=help_of("out"))],
    image_root: Annotated[str | None, typer.Option("--image-root", help=help_of("image_root"))] = None,
    languages: Annotated[str, typer.Option("--languages", "--language", help=help_of("languages"))] = "all",
    k: Annotated[str, typer.Option("--k", help=help_of("k"))] = "1,5,10",
    image_column: Annotated[str, typer.Option("--image-column", help=help_of("image_column"))] = "image",
    caption_column: Annotated[str, typer.Option("--caption-column", help=help_of("caption_column"))] = "caption",
    language_column: Annotated[str, typer.Option("--language-column", help=help_of("language_column"))] = "language",
    device: Annotated[str | None, typer.Option("--device", help=help_of("device"))] = None,
    dtype: Annotated[str, typer.Option("--dtype", help=help_of("dtype"))] = "fp32",
    compile: Annotated[bool, typer.Option("--compile/--no-compile", help=help_of("compile"))] = False,
    precision_sample: Annotated[int, typer.Option("--precision-sample", help=help_of("precision_sample"))] = 512,
    batch_size: Annotated[int, typer.Option("--batch-size", help=help_of("batch_size"))] = 32,
    workers: Annotated[int, typer.Option("--workers", help=help_of("workers"))] = 2,
    language_token: Annotated[str, typer.Option("--language-token", help=help_of("language_token"))] = "fallback",
    store: Annotated[str | None, typer.Option("--store", help=help_of("store"))] = None,
    n_resamples: Annotated[int, typer.Option("--resamples", help=help_of("n_resamples"))] = 10_000,
    seed: Annotated[int, typer.Option("--seed", help=help_of("seed"))] = 0,
    allow_missing_images: Annotated[
        bool, typer.Option("--allow-missing-images/--no-allow-missing-images", help=help_of("allow_missing_images"))
    ] = False,
    allow_blank_captions: Annotated[
        bool, typer.Option("--allow-blank-captions/--no-allow-blank-captions", help=help_of("allow_blank_captions"))
    ] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite/--no-overwrite", help=help_of("overwrite"))] = False,
) -> None:
    """Measure retrieval of photos and of captions.

    Photos by captions, and captions by photos, in each language.
    """
    settings = dict(locals())
    try:
        settings["k"] = tuple(int(part) for part in k.split(","))
    except ValueError as error:
        raise ValueError(f"--k {k!r}: a comma list of whole numbers is needed, 1,5,10") from error
    config = RetrieveConfig(**settings)
    from rich.console import Console

    from babel_eval.retrieval import run
    from babel_eval.team import find_team

    console = Console()
    found = run(config, progress=console.is_terminal, say=console.print)
    if not find_team().leads:
        return
    for side, text in (("t2i", "photos by captions"), ("i2t", "captions by photos")):
        console.print(_table(found, f"{model} on {found['meta']['dataset']['name']}: {text}", side, config.k))
    _print_left_out(console, found)
    console.print(f"results: {out}")
    if any(row["status"].startswith("failed") for row in found["failures"]):
        raise typer.Exit(1)


def _table(found: Mapping[str, Any], title: str, side: str, k: Sequence[int]) -> Table:
    """Give a table of one direction: recalls in percent with their intervals, a line a language, the mean last.

    English is in no mean.
    """
    from babel_eval.tables import interval, new_table, percent

    columns = [name for cutoff in k for name in (f"R@{cutoff}", "95 %")]
    table = new_table(title, ("lang",), ("photos", "captions", *columns))
    for row in found["results"]:
        scores = [f"{side}_r@{cutoff}" for cutoff in k]
        cells = [cell for name in scores for cell in (percent(row[name]), interval(row[f"{name}_interval"]))]
        table.add_row(row["lang"], str(row["n_images"]), str(row["n_texts"]), *cells)
    if found["results"]:
        means = [found["macro"][f"{side}_r@{cutoff}{end}"] for cutoff in k for end in ("", "_interval")]
        table.add_section()
        cells = [interval(value) if isinstance(value, list) else percent(value) for value in means]
        table.add_row(f"mean of {found['macro']['n_languages']}", "", "", *cells)
    return table


def _print_left_out(console: Console, found: Mapping[str, Any]) -> None:
    """Print the languages without a number, and the captions and photos that were left out on request."""
    from babel_eval.tables import print_note

    for row in found["failures"]:
        print_note(console, f"{row['lang']}: {row['status']}")
    for row in found["results"]:
        if row["n_blank_captions"] or row["n_photos_without_caption"]:
            n_blank, n_without = row["n_blank_captions"], row["n_photos_without_caption"]
            print_note(
                console, f"{row['lang']}: {n_blank} blank captions and {n_without} photos without one were left out"
            )
    for missing in found["meta"]["dataset"]["missing"]:
        print_note(console, f"photo left out: {missing['photo']}: {missing['why']}")


def register(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command()(retrieve)
