"""`babel-imagenet build`: the labels as a dataset that `load_dataset` reads, and the Hub shows."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from babel_eval.commands.label_sources import Source, SourceOptions, label_file_from

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from babel_imagenet_dataset.export import Build
    from babel_imagenet_dataset.release import LabelFile, PromptFile
    from babel_imagenet_dataset.sheets import SheetRow

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
    source: Annotated[
        Source, typer.Option(help="release: a label file; babelnet, wordnets: chosen anew, by the paper's rule")
    ] = Source.RELEASE,
    work: Annotated[
        Path, typer.Option(help="babelnet, wordnets: folder for answers, labels and their provenance")
    ] = Path("babel-labels"),
    all_languages: Annotated[
        bool,
        typer.Option(
            "--all-languages/--chosen-languages", help="babelnet, wordnets: only languages of 10 labels or more"
        ),
    ] = False,
    wordnet: Annotated[
        list[str] | None, typer.Option(help="wordnets: CODE=PATH or PATH of a .xml, .tab or .tsv; once for each")
    ] = None,
    correction: Annotated[
        list[Path] | None,
        typer.Option("--corrections", help="sheet of decisions, on top of those in the package; once for each"),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="babelnet: count calls and days, and stop")] = False,
    base_url: Annotated[
        str, typer.Option(help="babelnet: the API's address, for a server of your own")
    ] = "https://babelnet.io/v9",
    daily_quota: Annotated[int, typer.Option(help="babelnet: calls a day; 0 for no end")] = 1000,
    languages_per_call: Annotated[
        int, typer.Option(help="babelnet: 3 is all its own server answers; 0 asks for every language at once")
    ] = 3,
) -> None:
    """Write the labels as Parquet, with a dataset card.

    A language is a configuration: in the folder that holds it, `load_dataset("babel-imagenet", "de")` works without
    a network.

    With --source babelnet the labels are chosen anew from BabelNet's senses; the key stands in BABELNET_KEY, and a
    crawl that was stopped, or whose day's calls are used, goes on when the same command runs again.
    """
    from rich.console import Console

    from babel_imagenet_dataset import corrections
    from babel_imagenet_dataset.release import load_labels, load_prompts

    decided = corrections.with_own(correction or [])
    console = Console()
    if source is not Source.RELEASE or dry_run or wordnet:
        if labels is not None:
            raise ValueError(f"--labels is a label file; with --source {source.value} the labels are chosen anew")
        options = SourceOptions(
            languages=languages,
            work=work,
            all_languages=all_languages,
            dry_run=dry_run,
            base_url=base_url,
            daily_quota=daily_quota,
            languages_per_call=languages_per_call,
            wordnets=wordnet or (),
        )
        chosen = label_file_from(console, source, options)
        if chosen is None:
            return
        labels, languages = str(chosen), "all"
    label_file, prompt_file = load_labels(labels), load_prompts(prompts)
    console.print(f"labels: {label_file.path}\nprompts: {prompt_file.path}", highlight=False, soft_wrap=True)
    written = _build(console, label_file, prompt_file, out, languages, decided)
    _print_summary(console, written, copy_metric(written.path.parent) if with_metric else None)


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


def _build(
    console: Console,
    labels: LabelFile,
    prompts: PromptFile,
    out: Path,
    languages: str,
    decided: Sequence[SheetRow],
) -> Build:
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
            decided=decided,
            report=lambda name, number, total: progress.update(task, completed=number, total=total, description=name),
        )


def _print_summary(console: Console, written: Build, metric: Path | None) -> None:
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
    for row in written.refused:
        told = f"decision refused: {row.language}, class {row.class_index}: its label is not {row.old!r}"
        console.print(told, highlight=False, soft_wrap=True, markup=False, style="yellow")
    console.print(f"wrote {written.path} ({size}, {written.n_prompts:,} templates)", highlight=False, soft_wrap=True)
    if metric is not None:
        console.print(f"metric: {metric}", highlight=False, soft_wrap=True)
