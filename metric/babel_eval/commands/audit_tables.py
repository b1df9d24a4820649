"""What `babel-imagenet audit` prints: tables in the terminal, and the table of a file."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from babel_eval.label_effect import LabelEffect
    from babel_imagenet_dataset.audit_table import LanguageAudit
    from babel_imagenet_dataset.semantic import WrongShare
    from babel_imagenet_dataset.validation import ErrorRate

T = TypeVar("T")
_WIDE = 100  # columns of a terminal from which on rules stand beside the flags
COLUMNS = {
    "classes": "classes with a label, of 1000",
    "no win": "classes that are never predicted: an earlier class has the same label",
    "ceiling": "highest accuracy, with equally many photos a class",
    "script": "share of labels in the language's script",
    "other's": "labels that are another class's English name",
    "changed": "labels that cleaning changes, or sets to null",
    "null": "labels that cleaning sets to null",
    "human": "labels equal to the name that people gave the class, of those compared",
    "wrong, by meaning": "share of labels that mean another thing, 95 % (the paper: under 0.01)",
    "wrong, judged": "share of judged labels that are wrong, Wilson's 95 % interval",
}
"""What each column of the table of languages says."""
EFFECT_COLUMNS = {
    "labels": "compared with the released ones: clean, or human (named by people)",
    "differ": "of the classes, those whose label is another one",
    "released, these": "accuracy under the released labels, and under these",
}
"""What the columns of the table of effects say that do not speak for themselves."""


def print_languages(
    console: Console, rows: Sequence[LanguageAudit], shares: Mapping[str, WrongShare], judged: Mapping[str, ErrorRate]
) -> None:
    """Print a row a language, one over all, and what the columns say; empty columns are left out."""
    from babel_imagenet_dataset.audit_table import totals

    cells: dict[str, list[str]] = {"lang": [*(row.language for row in rows), "all"]}
    found = [_cells(row, shares.get(row.language), judged.get(row.language)) for row in rows]
    found.append(_total_cells(totals(rows), judged.get("all")))
    cells |= {header: [one[header] for one in found] for header in COLUMNS}
    shown = {header: column for header, column in cells.items() if any(column)}
    table = _table(list(shown), left=("lang",))
    for number, row in enumerate(zip(*shown.values(), strict=True)):
        table.add_row(*row, style="bold" if number == len(rows) else "", end_section=number == len(rows) - 1)
    _print_whole(console, table)
    for header in shown:
        if header in COLUMNS:
            console.print(f"  [bold]{header}[/]: {COLUMNS[header]}", highlight=False)


def print_flags(console: Console, rows: Sequence[LanguageAudit], most_languages: int = 6) -> None:
    """Print how many labels have each flag, and went through each step of cleaning; by language where they are few."""
    from rich.markup import escape

    from babel_imagenet_dataset.audit import FLAGS
    from babel_imagenet_dataset.audit_table import totals
    from babel_imagenet_dataset.cleaning import STEPS

    counts = totals(rows)["flags"]
    codes = [row.language for row in rows] if 1 < len(rows) <= most_languages else []
    has_rules = console.width - 8 * len(codes) >= _WIDE
    table = _table(
        ["flag or step", *codes, "all", *["what it says"] * has_rules], left=("flag or step", "what it says")
    )
    for name, rule in {**FLAGS, **STEPS}.items():
        if name in counts:
            of_each = [str(row.flags.get(name, 0)) for row in rows if row.language in codes]
            table.add_row(name, *of_each, f"{counts[name]:,}", *[escape(rule)] * has_rules)
    if has_rules:
        console.print(table)
    else:
        _print_whole(console, table)


def print_effects(console: Console, effects: Sequence[LabelEffect]) -> None:
    """Print accuracy under released and under other labels, language by language."""
    headers = ("lang", "labels", "classes", "differ", "photos", "released", "these", "difference, 95 %")
    table = _table(headers, left=("lang", "labels"), padding=0)
    for one in effects:
        counts = map(str, (one.n_classes, one.n_differing, one.n_images))
        if one.released is None or one.changed is None or one.interval is None:
            table.add_row(one.language, one.other, *counts, "", "", "no photos")
            continue
        told = f"{one.difference:+.3f} [{one.interval[0]:+.3f}, {one.interval[1]:+.3f}]"
        table.add_row(one.language, one.other, *counts, f"{one.released:.3f}", f"{one.changed:.3f}", told)
    _print_whole(console, table)
    for header, what in EFFECT_COLUMNS.items():
        console.print(f"  [bold]{header}[/]: {what}", highlight=False)


def print_judged(console: Console, judged: Mapping[str, ErrorRate]) -> None:
    """Print what filled sheets hold: labels judged, wrong ones, and those that count neither way."""
    for rate in judged.values():
        wrong = f"{rate.n_wrong} wrong {judgement(rate)}".rstrip()
        console.print(
            f"judged, {rate.language}: {rate.n_judged} labels, {wrong}; {rate.n_unsure} unsure, {rate.n_open} open",
            highlight=False,
        )


def print_refused(console: Console, rows: Sequence[LanguageAudit]) -> None:
    """Print the decisions that are not applied."""
    for decision in (one for row in rows for one in row.refused):
        console.print(
            f"decision refused: {decision.language}, class {decision.class_index}: its label is not {decision.old!r}",
            highlight=False,
            soft_wrap=True,
            markup=False,
            style="yellow",
        )


def track(console: Console, steps: Iterable[T], what: str, total: int | None = None) -> Iterable[T]:
    """Go through languages with a bar in a terminal; nothing stays of it, and nothing goes into a file."""
    from rich.progress import track as bar

    return bar(steps, what, total, console=console, transient=True, disable=not console.is_terminal)


def write_table(
    path: Path, rows: Sequence[LanguageAudit], shares: Mapping[str, WrongShare], judged: Mapping[str, ErrorRate]
) -> None:
    """Write the audit as a table, a row a language: `.csv`, or `.tsv`."""
    import csv
    import io

    from babel_imagenet_dataset.audit_table import flat
    from babel_imagenet_dataset.files import write_text

    table = [flat(row) | _figures(shares.get(row.language), judged.get(row.language)) for row in rows]
    buffer = io.StringIO()
    delimiter = "\t" if path.suffix == ".tsv" else ","
    writer = csv.DictWriter(buffer, list(table[0]), delimiter=delimiter, lineterminator="\n")
    writer.writeheader()
    writer.writerows(table)
    write_text(path, buffer.getvalue())


def judgement(rate: ErrorRate | None) -> str:
    """Give the rate of filled sheets as text; empty where nothing was judged."""
    from babel_eval.reporting.audits import share_text

    return "" if rate is None else share_text("", rate.rate, rate.interval)


def _cells(row: LanguageAudit, share: WrongShare | None, rate: ErrorRate | None) -> dict[str, str]:
    from babel_eval.reporting.audits import share_text

    return {
        "classes": str(row.n_classes),
        "no win": str(row.n_cannot_win),
        "ceiling": f"{row.ceiling:.3f}",
        "script": f"{row.script_purity:.3f}",
        "other's": str(len(row.of_other_english)),
        "changed": str(row.n_changed),
        "null": str(row.n_null),
        "human": f"{row.human.n_equal}/{row.human.n_classes}" if row.human else "",
        "wrong, by meaning": share_text(share.status, share.share, share.interval) if share else "",
        "wrong, judged": judgement(rate),
    }


def _total_cells(totals: Mapping[str, Any], rate: ErrorRate | None) -> dict[str, str]:
    n_labels = totals["n_labels"]
    return {
        "classes": str(n_labels),
        "no win": str(totals["n_cannot_win"]),
        "ceiling": f"{1 - totals['n_cannot_win'] / n_labels:.3f}",
        "script": f"{1 - totals['flags'].get('off_script', 0) / n_labels:.3f}",
        "other's": str(totals["n_of_other_english"]),
        "changed": str(totals["n_changed"]),
        "null": str(totals["n_null"]),
        "human": "",
        "wrong, by meaning": "",
        "wrong, judged": judgement(rate),
    }


def _figures(share: WrongShare | None, rate: ErrorRate | None) -> dict[str, Any]:
    low, high = share.interval if share and share.interval else (None, None)
    judged_low, judged_high = rate.interval if rate and rate.interval else (None, None)
    return {
        "meaning": share.status if share else None,
        "wrong_share": share.share if share else None,
        "wrong_share_low": low,
        "wrong_share_high": high,
        "n_judged": rate.n_judged if rate else None,
        "n_judged_wrong": rate.n_wrong if rate else None,
        "judged_low": judged_low,
        "judged_high": judged_high,
    }


def _table(headers: Sequence[str], left: Sequence[str], padding: int = 1) -> Table:
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, padding))
    for header in headers:
        is_text = header == "what it says"
        table.add_column(header, justify="left" if header in left else "right", no_wrap=not is_text, overflow="fold")
    return table


def _print_whole(console: Console, table: Table) -> None:
    """Print a table of figures as wide as it is: a figure cut short would be another figure."""
    width = console.width
    wide = console.options.update(width=1000)
    try:
        console.width = max(width, console.measure(table, options=wide).maximum)
        console.print(table)
    finally:
        console.width = width
