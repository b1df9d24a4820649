"""`babel-imagenet build`: the labels as a dataset that `load_dataset` reads, and the Hub shows."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from babel_imagenet_dataset.export import Build
    from babel_imagenet_dataset.release import LabelFile, PromptFile

METRIC = "babel_zsic"


def build(
    labels: Annotated[
        str | None, typer.Option(help="label file: a path; 93 or 298, the published ones (without it: 93)")
    ] = None,
    prompts: Annotated[
        str | None, typer.Option(help="file of templates: a path (without it: the published one)")
    ] = None,
    languages: Annotated[
        str, typer.Option(help="which: codes, 92, 100, 298, vlow, low, mid, high, all; with commas")
    ] = "all",
    out: Annotated[Path, typer.Option(help="folder to write; an earlier build there is replaced")] = Path(
        "babel-imagenet"
    ),
    with_metric: Annotated[
        bool, typer.Option("--with-metric/--without-metric", help=f"also copy the metric beside it, as {METRIC}/")
    ] = False,
) -> None:
    """Write the labels as Parquet, a configuration a language, with a dataset card.

    In the folder that then holds it, `load_dataset("babel-imagenet", "de")` works without a network.
    """
    from rich.console import Console

    from babel_imagenet_dataset.release import load_labels, load_prompts

    console = Console()
    label_file, prompt_file = load_labels(labels), load_prompts(prompts)
    console.print(f"labels: {label_file.path}\nprompts: {prompt_file.path}", highlight=False, soft_wrap=True)
    written = _build(console, label_file, prompt_file, out, languages)
    _print_summary(console, written)
    if with_metric:
        copied = copy_metric(written.path.parent)
        console.print(f"metric: {copied}", highlight=False, soft_wrap=True)


def register(app: typer.Typer) -> None:
    """Add the command `build`."""
    app.command("build")(build)


def copy_metric(folder: Path) -> Path:
    """Copy the files of the installed metric into `folder`/babel_zsic, whole or not at all.

    A folder of this name where Python is started comes before the installed package.

    Raises:
      ValueError: there is a folder of this name that holds other files.
    """
    import shutil
    from importlib.resources import files

    from babel_imagenet_dataset.files import atomic_folder

    source = Path(str(files(METRIC)))
    target = folder / METRIC
    names = sorted(path.name for path in source.iterdir() if path.suffix in (".py", ".md", ".txt"))
    if target.exists() and source.samefile(target):
        raise ValueError(f"{target} is the installed metric itself; give an --out that lies elsewhere")
    foreign = sorted(path.name for path in target.glob("*") if path.name not in (*names, "__pycache__"))
    if foreign:
        raise ValueError(f"{target} holds what the metric has not ({', '.join(foreign)}); move it, or another --out")
    with atomic_folder(target) as part:
        for name in names:
            shutil.copyfile(source / name, part / name)
    return target


def _build(console: Console, labels: LabelFile, prompts: PromptFile, out: Path, languages: str) -> Build:
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    from babel_imagenet_dataset.export import build as write

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("configurations", total=None)
        return write(
            labels,
            prompts,
            out,
            selectors=languages,
            report=lambda name, number, total: progress.update(task, completed=number, total=total, description=name),
        )


def _print_summary(console: Console, written: Build) -> None:
    from rich import box
    from rich.table import Table

    from babel_imagenet_dataset.languages import GROUPS

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("group")
    for header in ("languages", "labels", "distinct", "flagged"):
        table.add_column(header, justify="right")
    for name in (*GROUPS, "all"):
        rows = [row for row in written.statistics if name in (row.group, "all")]
        sums = (sum(getattr(row, field) for row in rows) for field in ("n_classes", "n_distinct", "n_flagged"))
        table.add_row(name, f"{len(rows):,}", *(f"{n:,}" for n in sums))
    console.print(table)
    size = f"{written.n_bytes / 1e6:.1f} MB"
    console.print(f"wrote {written.path} ({size}, {written.n_prompts:,} templates)", highlight=False, soft_wrap=True)
