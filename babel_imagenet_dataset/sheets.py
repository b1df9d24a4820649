"""Sheets: labels for people to judge, as TSV. Samples, review lists and corrections all have this one form.

A sheet has the columns of `COLUMNS`. A judge fills `verdict` with `right`, `wrong` or `unsure` and, for a wrong label,
`new` with a better one (empty: there is none, the label is to be dropped), with reason, source and reviewer.
Cells hold no tab and no line end; nothing is quoted, so that a quotation mark is a letter like any other.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path

from babel_imagenet_dataset.files import read_json, write_text
from babel_imagenet_dataset.imagenet import N_CLASSES, english_class_names, synsets, wnids
from babel_imagenet_dataset.selection import provenance_path

RIGHT, WRONG, UNSURE = "right", "wrong", "unsure"
VERDICTS = (RIGHT, WRONG, UNSURE)


@dataclass(frozen=True)
class SheetRow:
    """One label to judge, or judged.

    Attributes:
      language: BabelNet's code.
      class_index: 0..999.
      wnid: the class's WordNet id.
      english: the English name by OpenAI.
      definition: WordNet's definition of the class; after ` | ` the source's in the language, where it has one.
      old: the label as released.
      others: other words that the source has for the class, with `; ` between.
      hint: why the label is on the list.
      verdict: `right`, `wrong`, `unsure`, or empty where nobody has judged.
      new: the better label of a wrong one; empty drops it.
      reason: why it is wrong.
      source: where that can be looked up.
      reviewer: who says so.
    """

    language: str
    class_index: int
    wnid: str
    english: str
    definition: str
    old: str
    others: str = ""
    hint: str = ""
    verdict: str = ""
    new: str = ""
    reason: str = ""
    source: str = ""
    reviewer: str = ""


@dataclass(frozen=True)
class KnownWords:
    """What is known of labels by language and class index: the source's other words, and a definition in the language.

    Attributes:
      others: the words of the class that did not become its label.
      glosses: definitions; absent where the source has none.
    """

    others: dict[tuple[str, int], tuple[str, ...]]
    glosses: dict[tuple[str, int], str]


COLUMNS = tuple(field.name for field in fields(SheetRow))
_NEEDED = ("language", "class_index", "old", "verdict")


def sheet_row(language: str, class_index: int, label: str, known: KnownWords | None = None, hint: str = "") -> SheetRow:
    """Give a row to be judged, with what English, WordNet and the source say of the class.

    Args:
      language: BabelNet's code.
      class_index: 0..999.
      label: the label to judge.
      known: the source's other words and definitions, where there are some.
      hint: why it is on the list.
    """
    key = (language, class_index)
    others = known.others.get(key, ()) if known else ()
    gloss = known.glosses.get(key, "") if known else ""
    synset = synsets()[class_index]
    english = english_class_names()[class_index]
    definition = f"{synset.definition} | {gloss}" if gloss else synset.definition
    return SheetRow(language, class_index, synset.wnid, english, definition, label, "; ".join(others), hint)


def known_words(labels: Path | str) -> KnownWords:
    """Give what the provenance beside a label file says; nothing where there is none, as with the published files.

    Args:
      labels: the label file; `labels.json` has `labels.provenance.json`.

    Raises:
      ValueError: the provenance is damaged.
    """
    path = provenance_path(labels)
    if not path.exists():
        return KnownWords({}, {})
    try:
        by_language = read_json(path)["labels"]
        records = {(code, int(index)): record for code, of in by_language.items() for index, record in of.items()}
        words = {
            key: tuple(_one_line(other["lemma"]).replace("_", " ") for other in record["others"])
            for key, record in records.items()
        }
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise ValueError(f"{path} is no provenance of labels: {error!r}; build the labels anew") from error
    return KnownWords(words, {key: _one_line(record["gloss"]) for key, record in records.items() if "gloss" in record})


def _one_line(text: str) -> str:
    return " ".join(text.split())


def write_sheet(path: Path | str, rows: Sequence[SheetRow]) -> None:
    """Write a sheet, whole or not at all.

    Raises:
      ValueError: a cell holds a tab or a line end.
    """
    lines = ["\t".join(COLUMNS)]
    for row in rows:
        cells = [str(getattr(row, column)) for column in COLUMNS]
        if any(char in cell for cell in cells for char in "\t\r\n"):
            raise ValueError(f"{row.language}, class {row.class_index}: a cell holds a tab or a line end")
        lines.append("\t".join(cells))
    write_text(path, "\n".join(lines) + "\n")


def read_sheet(path: Path | str) -> list[SheetRow]:
    """Read a sheet; only `language`, `class_index`, `old` and `verdict` must be among its columns.

    Raises:
      FileNotFoundError: there is no such file.
      ValueError: no UTF-8, a column is missing or not known, a class index or a verdict is none; the line is named.
    """
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: not UTF-8 at byte {error.start}; save the sheet as UTF-8") from error
    table = csv.DictReader(re.split(r"\r?\n", text), delimiter="\t", quoting=csv.QUOTE_NONE)
    columns = table.fieldnames or []
    missing = [name for name in _NEEDED if name not in columns]
    unknown = [name for name in columns if name not in COLUMNS]
    if missing or unknown:
        raise ValueError(
            f"{path}: columns {missing or unknown} are {'missing' if missing else 'not known'}; a sheet has "
            f"{', '.join(COLUMNS)}"
        )
    return [_read_row(raw, f"{path}, line {number}") for number, raw in enumerate(table, start=2)]


def _read_row(raw: dict[str, str | None], where: str) -> SheetRow:
    cells = {name: (raw.get(name) or "").strip() for name in COLUMNS}
    if None in raw:
        raise ValueError(f"{where}: more cells than the header has columns")
    index = cells.pop("class_index")
    if not index.isdecimal() or int(index) >= N_CLASSES:
        raise ValueError(f"{where}: class_index {index!r} is not in 0..{N_CLASSES - 1}")
    verdict = cells["verdict"].lower()
    if verdict and verdict not in VERDICTS:
        raise ValueError(f"{where}: verdict {cells['verdict']!r} is none of {', '.join(VERDICTS)}, or empty")
    if cells["wnid"] and cells["wnid"] != wnids()[int(index)]:
        raise ValueError(f"{where}: class_index {index} is {wnids()[int(index)]}, not {cells['wnid']}")
    if not cells["language"] or not cells["old"]:
        raise ValueError(f"{where}: `language` and `old` must not be empty")
    if cells["new"] and verdict != WRONG:
        raise ValueError(f"{where}: `new` {cells['new']!r} stands beside a verdict that is not `wrong`")
    return SheetRow(class_index=int(index), **(cells | {"verdict": verdict, "language": cells["language"].upper()}))
