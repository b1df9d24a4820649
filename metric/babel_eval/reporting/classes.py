"""Per class: which classes fail in which languages, under which label; and how sound each language's labels are."""

from __future__ import annotations

import base64
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from babel_eval.correlation.subsets import read_decisions
from babel_eval.reporting.data import ReportData, Row
from babel_imagenet_dataset.audit import FLAGS, flag_labels, is_flagged
from babel_imagenet_dataset.imagenet import english_class_names
from babel_imagenet_dataset.release import LabelFile

NO_PHOTO = 255


@dataclass(frozen=True)
class ClassTable:
    """Labels of the report's languages with their flags, and the share of photos named right, class by class.

    Attributes:
      labels: the label file.
      codes: the report's languages that the file holds, in the report's order.
      flags: language → for each row, names out of `audit.FLAGS`.
      right: (run, prompt set, language) → uint8 [n_classes]: percent of the class's photos named right, rounded, or
        `NO_PHOTO`.
      notes: what could not be shown, and why.
    """

    labels: LabelFile
    codes: tuple[str, ...]
    flags: Mapping[str, list[tuple[str, ...]]]
    right: Mapping[tuple[str, str, str], np.ndarray]
    notes: tuple[str, ...]


def class_table(data: ReportData, labels: LabelFile) -> ClassTable:
    """Bring labels, flags and decisions together, class by class.

    A language whose labels in the file are not as many as the run had classes is left out of a run's part, with a note.
    """
    codes = tuple(x["code"] for x in data.languages if x["code"] in labels.languages)
    flags = {code: flag_labels(labels.languages[code]) for code in codes}
    right: dict[tuple[str, str, str], np.ndarray] = {}
    others: dict[str, list[str]] = {}
    for run in data.runs:
        for prompt in data.prompts if run.has_decisions else ():
            photos, cells = read_decisions([run.path], prompt, [run.label])
            for (_, code), d in cells.items():
                if code not in flags or d.n_classes != len(flags[code]):
                    others.setdefault(run.label, []).append(code)
                    continue
                rows = labels.languages[code].class_index
                right[run.label, prompt, code] = _percent_right(photos.class_of[d.photo], d.rank == 0)[rows]
    notes = [
        f"{run}: classes of {', '.join(sorted(set(left)))} are not shown: {labels.path.name} has other labels"
        for run, left in others.items()
    ]
    return ClassTable(labels, codes, flags, right, tuple(notes))


def _percent_right(class_index: np.ndarray, is_right: np.ndarray) -> np.ndarray:
    n_images = np.bincount(class_index, minlength=1000)
    n_right = np.bincount(class_index, weights=is_right, minlength=1000)
    return np.where(n_images > 0, np.rint(100 * n_right / np.maximum(n_images, 1)), NO_PHOTO).astype(np.uint8)


def flag_rows(table: ClassTable) -> list[Row]:
    """Give one row a language: `lang`, `n_classes`, the count of each flag, and `flagged`: labels with any of them.

    `equals_english` is counted but is no defect by itself, so it does not make a label flagged.
    """
    rows = []
    for code in table.codes:
        counts = Counter(flag for flags in table.flags[code] for flag in flags)
        rows.append(
            {
                "lang": code,
                "n_classes": len(table.flags[code]),
                **{flag: counts[flag] for flag in FLAGS},
                "flagged": sum(map(is_flagged, table.flags[code])),
            }
        )
    return rows


def class_rows(table: ClassTable, runs: list[str], prompts: list[str]) -> Iterator[list[Any]]:
    """Give every class of every language as rows for a CSV, the header first: percent right of each run."""
    yield ["prompt", "lang", "class_index", "english", "label", "flags", *runs]
    english = english_class_names()
    for prompt in prompts:
        for code in table.codes:
            columns = [table.right.get((run, prompt, code)) for run in runs]
            if all(column is None for column in columns):
                continue
            entry = table.labels.languages[code]
            for row, index in enumerate(entry.class_index.tolist()):
                cells = ["" if c is None or c[row] == NO_PHOTO else int(c[row]) for c in columns]
                flags = " ".join(table.flags[code][row])
                yield [prompt, code, index, english[index], entry.labels[row], flags, *cells]


def packed(table: ClassTable, runs: list[str], prompts: list[str]) -> dict[str, Any]:
    """Pack the table for the page: flags as bits of `flag_names`, shares as one base64 string a run and prompt set.

    The bytes of a run hold all languages of `codes` one after the other, row by row.
    """
    names = list(FLAGS)
    bits = {name: 1 << i for i, name in enumerate(names)}
    shares = {}
    for i, run in enumerate(runs):
        for j, prompt in enumerate(prompts):
            blocks = [
                table.right.get((run, prompt, code), np.full(len(table.flags[code]), NO_PHOTO, np.uint8))
                for code in table.codes
            ]
            if any((block != NO_PHOTO).any() for block in blocks):
                shares[f"{i}|{j}"] = base64.b64encode(np.concatenate(blocks).tobytes()).decode()
    return {
        "english": list(english_class_names()),
        "flag_names": names,
        "codes": list(table.codes),
        "index": [table.labels.languages[code].class_index.tolist() for code in table.codes],
        "offset": np.cumsum([0, *(len(table.flags[code]) for code in table.codes)]).tolist(),
        "label": [list(table.labels.languages[code].labels) for code in table.codes],
        "flags": [[sum(bits[f] for f in flags) for flags in table.flags[code]] for code in table.codes],
        "right": shares,
    }
