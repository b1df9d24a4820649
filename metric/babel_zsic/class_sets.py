"""What a caller says about the classes of each language: checked, and brought into ascending order of class index."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

import numpy as np

from .nearest import check_rows


@dataclass(frozen=True)
class ClassSets:
    """The classes of each language, as far as the caller knows them.

    Attributes:
      indices: language → class_index [n_classes] (0–999), in any order.
      labels: language → label of each class, in the order of `indices`.
      sizes: language → number of classes.

    Raises:
      ValueError: labels without indices; in each method, a language that a mapping lacks, or mappings that disagree.
    """

    indices: Mapping[str, Sequence[int]] | None = None
    labels: Mapping[str, Sequence[str]] | None = None
    sizes: Mapping[str, int] | None = None

    def __post_init__(self) -> None:
        if self.labels is not None and self.indices is None:
            raise ValueError("give class_indices too: language → class_index of each class, in the order of its labels")

    def classes(self, language: str) -> np.ndarray:
        """Give a language's class_index in ascending order, int64 [n_classes]."""
        classes = check_rows(
            look_up(self.indices or {}, language, "class_indices"), None, f"class_indices of {language}"
        )
        if len(np.unique(classes)) < len(classes):
            raise ValueError(f"class_indices of {language} name a class twice")
        known = {
            "class_labels": None if self.labels is None else len(look_up(self.labels, language, "class_labels")),
            "num_classes": self.size(language),
        }
        for name, n in known.items():
            if n is not None and n != len(classes):
                raise ValueError(f"{language} has {len(classes)} class_indices, but {n} by {name}")
        return np.sort(classes)

    def size(self, language: str) -> int | None:
        """Give the number of classes that the caller states for a language; None where `sizes` are not given."""
        return None if self.sizes is None else int(look_up(self.sizes, language, "num_classes"))

    def sorted_labels(self, language: str) -> list[str] | None:
        """Give a language's labels in the order of `classes`; None where labels are not given."""
        if self.labels is None:
            return None
        labels = list(look_up(self.labels, language, "class_labels"))
        return [labels[row] for row in self._order(language)]

    def sorted_rows(self, matrix: Any, language: str, name: str) -> np.ndarray:
        """Bring a matrix with one row a class, in the order of `indices`, into that of `classes`."""
        order = self._order(language)
        rows = row_matrix(matrix, len(order), f"{name} of {language}")
        return rows if np.array_equal(order, np.arange(len(order))) else rows[order]

    def _order(self, language: str) -> np.ndarray:
        return np.argsort(np.asarray(look_up(self.indices or {}, language, "class_indices")), kind="stable")


def look_up(mapping: Mapping[str, Any], language: str, name: str) -> Any:
    """Give a language's entry; a ValueError that names what is there, and the nearest, where it has none."""
    if language in mapping:
        return mapping[language]
    near = get_close_matches(language.upper(), list(mapping), n=1, cutoff=0.5)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    raise ValueError(f"language {language!r} is not in {name}, which holds {', '.join(sorted(mapping)[:20])}{hint}")


def row_matrix(matrix: Any, n: int, name: str) -> np.ndarray:
    """Give a matrix as an array, checked to have n rows."""
    rows = np.asarray(matrix)
    if rows.ndim != 2 or len(rows) != n:
        raise ValueError(f"{name} has shape {rows.shape}; expected a matrix with {n} rows")
    return rows
