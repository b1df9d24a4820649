"""Where `build` has its labels from: a crawl of BabelNet, or wordnets; each ends as a label file on disk."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from babel_imagenet_dataset.babelnet import CrawlConfig, CrawlPlan
    from babel_imagenet_dataset.babelnet_store import CrawlFolder
    from babel_imagenet_dataset.selection import Selection

KEY_VARIABLE = "BABELNET_KEY"


class Source(str, Enum):
    """Where labels come from."""

    RELEASE = "release"
    BABELNET = "babelnet"
    WORDNETS = "wordnets"


@dataclass(frozen=True)
class SourceOptions:
    """What the flags of `build` say of a source.

    Attributes:
      languages: selectors, as the user typed them.
      work: folder for BabelNet's answers, the labels and their provenance.
      all_languages: keep the languages with ten labels or more, as the published file of 298 does.
      dry_run: plan BabelNet's calls and stop.
      base_url: BabelNet's address.
      daily_quota: calls a day; 0 for none.
      languages_per_call: languages a call; 0 sends no list.
      wordnets: `CODE=PATH` or `PATH`, in order of preference.
    """

    languages: str
    work: Path
    all_languages: bool = False
    dry_run: bool = False
    base_url: str = ""
    daily_quota: int = 1000
    languages_per_call: int = 3
    wordnets: Sequence[str] = field(default_factory=tuple)


def label_file_from(console: Console, source: Source, options: SourceOptions) -> Path | None:
    """Make a label file from a source, beside its provenance.

    Returns:
      the path of the label file; None after a dry run.

    Raises:
      typer.Exit: today's calls to BabelNet are used up (status 1, after the message that says how to go on).
      ValueError: an option does not fit the source, or the source gives no label.
    """
    _check(source, options)
    if source is Source.WORDNETS:
        return _written(console, _from_wordnets(console, options), options)
    selection = _from_babelnet(console, options)
    return None if selection is None else _written(console, selection, options)


def crawl_codes(selectors: str) -> list[str]:
    """Turn selectors into BabelNet's codes for a crawl: sets and groups are those of the 298 languages, and a code
    that these lack is taken where it is a valid language tag, for BabelNet has about 600 languages.

    Raises:
      ValueError: a selector is not known; the nearest codes are proposed.
    """
    from babel_imagenet_dataset.languages import GROUPS, codes, language, resolve

    published = {code: language(code).n_classes or 0 for code in codes("298")}
    found: dict[str, None] = {}
    for selector in filter(None, map(str.strip, selectors.split(","))):
        is_set = selector.lower() in (*GROUPS, "all") or selector.isdigit()
        chosen = resolve(selector, published) if is_set else [language(selector).code]
        found.update(dict.fromkeys(chosen))
    if not found:
        raise ValueError("no language is selected; give codes (de,sw), a set (92, 100, 298), a group (low) or all")
    return list(found)


def _check(source: Source, options: SourceOptions) -> None:
    if options.dry_run and source is not Source.BABELNET:
        raise ValueError(f"--dry-run counts calls to BabelNet; with --source {source.value} there are none")
    if options.wordnets and source is not Source.WORDNETS:
        raise ValueError(f"--wordnet is read with --source wordnets only, not with {source.value}")
    if source is Source.WORDNETS and not options.wordnets:
        raise ValueError("--source wordnets needs --wordnet CODE=PATH, once for each file")


def _from_babelnet(console: Console, options: SourceOptions) -> Selection | None:
    from babel_imagenet_dataset.babelnet import CrawlConfig, from_babelnet, plan_crawl, read_crawl
    from babel_imagenet_dataset.babelnet_store import CrawlFolder
    from babel_imagenet_dataset.selection import MIN_CLASSES

    leaves_choice = options.languages_per_call == 0 and options.languages == "all"
    codes = [] if leaves_choice else crawl_codes(options.languages)
    config = CrawlConfig(codes, options.languages_per_call, options.daily_quota)
    folder = CrawlFolder(options.work)
    plan = plan_crawl(folder, config)
    _print_plan(console, config, plan)
    if options.dry_run:
        return None
    if plan.calls:
        _crawl(console, folder, config, options)
    crawled = read_crawl(folder, config)
    for wnid, problem in crawled.malformed:
        told = f"left out, malformed: {wnid}, sense {problem.place}: {problem.reason}"
        console.print(told, highlight=False, markup=False, soft_wrap=True)
    if crawled.absent:
        some = ", ".join(crawled.absent[:10]) + (" …" if len(crawled.absent) > 10 else "")
        console.print(f"BabelNet has nothing for {len(crawled.absent)} synsets: {some}", highlight=False)
    return from_babelnet(crawled, codes or None, MIN_CLASSES if options.all_languages else 0)


def _crawl(console: Console, folder: CrawlFolder, config: CrawlConfig, options: SourceOptions) -> None:
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from babel_imagenet_dataset.babelnet import crawl
    from babel_imagenet_dataset.babelnet_client import BabelNetClient, QuotaError

    client = BabelNetClient(os.environ.get(KEY_VARIABLE, ""), options.base_url)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    try:
        with Progress(*columns, console=console, transient=True) as progress:
            task = progress.add_task("BabelNet, calls", total=None)
            crawl(folder, config, client, lambda done, total: progress.update(task, completed=done, total=total))
    except QuotaError as error:
        console.print(str(error), highlight=False, soft_wrap=True)
        raise typer.Exit(1) from None


def _print_plan(console: Console, config: CrawlConfig, plan: CrawlPlan) -> None:
    languages = len({"EN", *config.languages}) if config.languages else "all"
    console.print(
        f"BabelNet: {len(config.wnids):,} synsets, {languages} languages; {plan.n_done:,} calls are done, "
        f"{len(plan.calls):,} are left",
        highlight=False,
    )
    if plan.calls and plan.n_today is not None:
        answers = f"{config.languages_per_call} languages" if config.languages_per_call else "all languages"
        days = "1 day" if plan.n_days == 1 else f"{plan.n_days:,} days"
        console.print(
            f"a call answers in {answers}; with {config.daily_quota:,} calls a day, {plan.n_today:,} of them left "
            f"today: {days} in all",
            highlight=False,
        )


def _from_wordnets(console: Console, options: SourceOptions) -> Selection:
    from babel_imagenet_dataset.selection import MIN_CLASSES
    from babel_imagenet_dataset.wordnet_files import read_wordnet
    from babel_imagenet_dataset.wordnets import from_wordnets

    given = [_code_and_path(text) for text in options.wordnets]
    aligned = [path for _, path in given if ".xml" in path.suffixes]
    wordnets = []
    for code, path in given:
        for wordnet in read_wordnet(path, code, [other for other in aligned if other != path]):
            console.print(
                f"{wordnet.name}: {wordnet.language}, {len(wordnet.senses)} of 1000 classes, "
                f"licence {wordnet.license or 'not stated'}",
                highlight=False,
                soft_wrap=True,
                markup=False,
            )
            wordnets.append(wordnet)
    wanted = None if options.languages == "all" else crawl_codes(options.languages)
    return from_wordnets(wordnets, wanted, MIN_CLASSES if options.all_languages else 0)


def _code_and_path(text: str) -> tuple[str | None, Path]:
    code, separator, path = text.partition("=")
    return (code, Path(path)) if separator and not Path(text).exists() else (None, Path(text))


def _written(console: Console, selection: Selection, options: SourceOptions) -> Path:
    from babel_imagenet_dataset.selection import write_selection

    without = selection.meta["languages_without_labels"]
    if without:
        console.print(f"no label at all in {len(without)} languages: {', '.join(without)}", highlight=False)
    path = options.work / "labels.json"
    beside = write_selection(selection, path)
    n_labels = sum(len(labels) for labels in selection.labels.values())
    console.print(
        f"{n_labels:,} labels in {len(selection.labels)} languages: {path}; where each comes from: {beside}",
        highlight=False,
        soft_wrap=True,
    )
    return path
