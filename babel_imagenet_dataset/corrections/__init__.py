"""Human decisions on single labels: small reviewed sheets (`sheets.py` says their form), shipped with the package.

A decision is applied only to the very label that it was made on. After a new build from another source the old label
may be gone; the decision is then refused and listed, and no label changes because of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path

from babel_imagenet_dataset.release import LanguageLabels
from babel_imagenet_dataset.sheets import WRONG, SheetRow, read_sheet


@dataclass(frozen=True)
class Fitted:
    """Decisions on one language, held against its labels.

    Attributes:
      accepted: by class index the new label, or None for no label.
      refused: decisions whose `old` is not the label (another label, or the class has none).
    """

    accepted: dict[int, str | None]
    refused: tuple[SheetRow, ...]


@cache
def packaged() -> tuple[SheetRow, ...]:
    """Give the decisions that ship with the package.

    Raises:
      ValueError: a sheet is damaged, two decisions are on one label, or one lacks reason, source or reviewer.
    """
    folder = Path(str(files(__name__)))
    return decisions(sorted(folder.glob("*.tsv")))


def with_own(paths: Iterable[Path | str]) -> tuple[SheetRow, ...]:
    """Give the packaged decisions with a user's own on top: on the same label, the user's counts.

    Args:
      paths: the user's sheets; none gives the packaged decisions alone.

    Raises: as `decisions`.
    """
    own = {(row.language, row.class_index): row for row in decisions(paths)}
    return (*(row for row in packaged() if (row.language, row.class_index) not in own), *own.values())


def decisions(paths: Iterable[Path | str]) -> tuple[SheetRow, ...]:
    """Read the decisions of sheets: the rows whose verdict is `wrong`.

    Args:
      paths: sheets; rows with another verdict, or none, are no decisions and are passed over.

    Raises:
      FileNotFoundError: there is no such sheet.
      ValueError: a sheet cannot be read, two decisions are on one label, or one lacks reason, source or reviewer.
    """
    found: dict[tuple[str, int], SheetRow] = {}
    for path in paths:
        for row in read_sheet(path):
            if row.verdict != WRONG:
                continue
            lacking = [name for name in ("reason", "source", "reviewer") if not getattr(row, name)]
            if lacking:
                raise ValueError(f"{path}: {row.language}, class {row.class_index}: a decision needs {lacking}")
            key = (row.language, row.class_index)
            if key in found and found[key].new != row.new:
                raise ValueError(f"{path}: {row.language}, class {row.class_index} is decided twice, and differently")
            found[key] = row
    return tuple(found.values())


def fit(decided: Sequence[SheetRow], labels: LanguageLabels) -> Fitted:
    """Hold decisions against the labels of a language.

    Args:
      decided: decisions on any languages; those on others are passed over.
      labels: the language's released labels.
    """
    label_of = dict(zip(labels.class_index.tolist(), labels.labels, strict=True))
    accepted: dict[int, str | None] = {}
    refused: list[SheetRow] = []
    for row in decided:
        if row.language != labels.code:
            continue
        if label_of.get(row.class_index) == row.old:
            accepted[row.class_index] = row.new or None
        else:
            refused.append(row)
    return Fitted(accepted, tuple(refused))
