"""Results as tables on a terminal; fractions become percent here and nowhere else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from babel_eval.results import Results
from babel_imagenet_dataset.languages import language


def percent(value: float | None) -> str:
    """Write a fraction as percent with one decimal, and an unknown one as an en dash."""
    return "–" if value is None else f"{100 * value:.1f}"


def interval(bounds: Sequence[float] | None) -> str:
    """Write an interval of fractions as percent."""
    return "–" if bounds is None else f"{100 * bounds[0]:.1f}–{100 * bounds[1]:.1f}"


def print_note(console: Console, text: str) -> None:
    """Print what a user should see beside a table, to the letter: brackets in names of photos are no markup."""
    console.print(text, style="yellow", highlight=False, markup=False)


def new_table(title: str | None, texts: Sequence[str], numbers: Sequence[str]) -> Table:
    """Give an empty table that fits 80 columns: the code first, names cut where there is no room, numbers whole."""
    table = Table(title=title, title_justify="left", box=None, padding=(0, 1, 0, 0), pad_edge=False)
    for name in texts:
        is_language = name == "language"
        table.add_column(name, no_wrap=True, overflow="ellipsis", min_width=12 if is_language else len(name))
    for name in numbers:
        table.add_column(name, justify="right", no_wrap=True, min_width=9 if name == "95 %" else max(5, len(name)))
    return table


def result_table(results: Results, title: str | None = None) -> Table:
    """Give the table of a run: a line for each language and prompt set, numbers in percent."""
    has_prompts = len({r["prompt"] for r in results.rows + results.failures}) > 1
    texts = ["code", "language"] + (["prompts"] if has_prompts else [])
    table = new_table(title, texts, ("classes", "photos", "acc. %", "95 %", "chance", "English", "gap"))
    for row in results.rows:
        names = [row["lang"], language(row["lang"]).name] + ([row["prompt"]] if has_prompts else [])
        table.add_row(*names, str(row["num_classes"]), *_numbers(row))
    return table


def _numbers(row: Mapping[str, Any]) -> list[str]:
    return [
        str(row["n_images"]),
        percent(row["accuracy"]),
        interval(row.get("accuracy_interval")),
        percent(row["chance"]),
        percent(row.get("english_same_classes")),
        percent(row.get("gap")),
    ]


def print_run(console: Console, results: Results, title: str | None = None) -> None:
    """Print a run's table, the languages without a number, the group means with their n, and the missing photos."""
    console.print(result_table(results, title))
    print_means(console, results)
    for failure in results.failures:
        name = language(failure["lang"]).name
        print_note(console, f"{failure['lang']} {name} ({failure['prompt']}): {failure['status']}")
    images = results.meta["images"]
    for missing in images["missing"]:
        print_note(console, f"photo left out: {missing['photo']}: {missing['why']}")
    if images["kind"] == "names":
        console.print(
            "[dim]No photos: each class is represented by its English name; only the text side is measured.[/]"
        )
    console.print(f"results: {results.path}")


def print_means(console: Console, results: Results) -> None:
    """Print the mean accuracy of each group of languages, English apart, with the number of languages in it."""
    from babel_zsic.classification import GROUPS, macro

    title = "means over languages, English apart"
    table = new_table(title, ("prompts", "group"), ("languages", "acc. %", "gap"))
    for prompt in dict.fromkeys(r["prompt"] for r in results.rows):
        means = macro({r["lang"]: r for r in results.rows if r["prompt"] == prompt})
        for group in (*GROUPS, "macro"):
            if n := means.get(f"accuracy_{group}_n"):
                numbers = [str(int(n)), percent(means[f"accuracy_{group}"]), percent(means.get(f"gap_{group}"))]
                table.add_row(prompt, "all" if group == "macro" else group, *numbers)
    if table.row_count:
        console.print(table)
