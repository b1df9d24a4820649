"""`babel-imagenet retrieve`: a model and a retrieval set in; recalls in both directions out."""

from __future__ import annotations

from typing import Annotated

import typer


def retrieve(
    model: Annotated[str, typer.Option("--model", help="model string, e.g. conse-e5 or open_clip:NAME@TAG")],
    dataset: Annotated[
        str, typer.Option("--dataset", help="JSON, captions.jsonl, a folder of XTD or xFlickrCO, or hf:NAME:SPLIT")
    ],
    out: Annotated[str, typer.Option("--out", help="JSON file for the results")],
    image_root: Annotated[str | None, typer.Option("--image-root", help="folder of the photos")] = None,
    languages: Annotated[str, typer.Option("--languages", help="the set's own names or codes, de,jp; or all")] = "all",
    k: Annotated[str, typer.Option("--k", help="cut-offs of recall, at most the gallery")] = "1,5,10",
    image_column: Annotated[str, typer.Option("--image-column", help="of an hf: dataset")] = "image",
    caption_column: Annotated[str, typer.Option("--caption-column", help="of an hf: dataset")] = "caption",
    language_column: Annotated[str, typer.Option("--language-column", help="of an hf: dataset")] = "language",
    device: Annotated[str | None, typer.Option("--device", help="cuda, cuda:1, mps or cpu")] = None,
    dtype: Annotated[str, typer.Option("--dtype", help="fp32, bf16 or fp16")] = "fp32",
    batch_size: Annotated[int, typer.Option("--batch-size", min=1, help="photos a batch")] = 32,
    store: Annotated[str | None, typer.Option("--store", help="folder of kept features")] = None,
    n_resamples: Annotated[int, typer.Option("--resamples", min=100, help="resamples of an interval")] = 10_000,
    seed: Annotated[int, typer.Option("--seed", help="of the resamples")] = 0,
    allow_missing_images: Annotated[
        bool, typer.Option("--allow-missing-images/--no-allow-missing-images", help="leave out photos that are missing")
    ] = False,
    allow_blank_captions: Annotated[
        bool, typer.Option("--allow-blank-captions/--no-allow-blank-captions", help="leave out blank captions")
    ] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite/--no-overwrite", help="replace an existing result file")
    ] = False,
) -> None:
    """Measure retrieval of photos by captions, and of captions by photos, in each language."""
    settings = dict(locals())
    try:
        settings["k"] = tuple(int(part) for part in k.split(","))
    except ValueError as error:
        raise ValueError(f"--k {k!r}: a comma list of whole numbers is needed, 1,5,10") from error
    from rich.console import Console
    from rich.table import Table

    from babel_eval.retrieval import RetrieveConfig, run
    from babel_eval.tables import interval, percent

    console = Console()
    found = run(RetrieveConfig(**settings), progress=console.is_terminal)
    names = [f"{side}_r@{n}" for side in ("t2i", "i2t") for n in settings["k"]]
    table = Table(title=f"{model} on {found['meta']['dataset']['name']}", title_justify="left", header_style="bold")
    for name in ("lang", "photos", "captions", *names):
        table.add_column(name, justify="left" if name == "lang" else "right")
    for row in found["results"]:
        cells = [f"{percent(row[n])}\n[dim]{interval(row[f'{n}_interval'])}[/]" for n in names]
        table.add_row(row["lang"], str(row["n_images"]), str(row["n_texts"]), *cells)
    table.add_section()
    means = [percent(found["macro"][n]) for n in names]
    table.add_row(f"mean of {found['macro']['n_languages']}", "", "", *means)
    console.print(table)
    for row in found["results"]:
        if row["n_blank_captions"] or row["n_photos_without_caption"]:
            console.print(
                f"[yellow]{row['lang']}: {row['n_blank_captions']} blank captions and "
                f"{row['n_photos_without_caption']} photos without one were left out[/]"
            )
    for missing in found["meta"]["dataset"]["missing"]:
        console.print(f"[yellow]photo left out: {missing['photo']}: {missing['why']}[/]")
    console.print(f"results: {out}")


def register(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command()(retrieve)
