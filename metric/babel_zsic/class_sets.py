"""What a caller says about the classes of each language: checked, and brought into ascending order of class index."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .checks import N_CLASSES, check_features, check_labels, check_mapping, check_rows, check_whole, look_up


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
        given = {"class_indices": self.indices, "class_labels": self.labels, "num_classes": self.sizes}
        for name, mapping in given.items():
            if mapping is not None:
                check_mapping(mapping, name)

    def classes(self, language: str) -> np.ndarray:
        """Give a language's class_index in ascending order, int64 [n_classes]."""
        classes = check_rows(
            look_up(self.indices or {}, language, "class_indices"), None, f"class_indices of {language}"
        )
        if len(np.unique(classes)) < len(classes):
            raise ValueError(f"class_indices of {language} name a class twice")
        known = {
            "class_labels": None if self.labels is None else len(self._labels(language)),
            "num_classes": self.size(language),
        }
        for name, n in known.items():
            if n is not None and n != len(classes):
                raise ValueError(f"{language} has {len(classes)} class_indices, but {n} by {name}")
        return np.sort(classes)

    def size(self, language: str) -> int | None:
        """Give the number of classes that the caller states for a language; None where `sizes` are not given."""
        return (
            None
            if self.sizes is None
            else check_whole(look_up(self.sizes, language, "num_classes"), f"num_classes of {language}", 1, N_CLASSES)
        )

    def sorted_labels(self, language: str) -> list[str] | None:
        """Give a language's labels in the order of `classes`; None where labels are not given."""
        if self.labels is None:
            return None
        labels = self._labels(language)
        return [labels[row] for row in self._order(language)]

    def sorted_rows(self, matrix: Any, language: str, name: str) -> np.ndarray:
        """Bring a matrix with one row a class, in the order of `indices`, into that of `classes`; rows are checked."""
        order = self._order(language)
        rows = check_features(matrix, len(order), f"{name} of {language}")
        return rows if np.array_equal(order, np.arange(len(order))) else rows[order]

    def _labels(self, language: str) -> list[str]:
        return check_labels(look_up(self.labels or {}, language, "class_labels"), f"class_labels of {language}")

    def _order(self, language: str) -> np.ndarray:
        return np.argsort(np.asarray(look_up(self.indices or {}, language, "class_indices")), kind="stable")
