"""The figures of `benchmarks/adapters.py`: changes by class from two files of predictions, and the mean's interval."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from babel_adapters.measure import result_file
from babel_eval.results import Predictions, ResultWriter
from babel_zsic.uncertainty import paired_interval

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
import adapters


def write(folder: Path, when: str, photos: list[str], truth: list[int], predicted: list[int]) -> None:
    writer = ResultWriter(folder / result_file(when, "names"), {}, [("LO", "label")])
    found = Predictions(tuple(photos), np.array(truth), np.array(predicted), np.zeros(len(truth), int))
    writer.add({"lang": "LO", "prompt": "label", "num_classes": 3, "accuracy": 0.5}, found)
    writer.finish()


def test_changes_are_counted_by_class(tmp_path: Path) -> None:
    truth = [7, 3, 3, 9]
    write(tmp_path, "before", list("abcd"), truth, [7, 3, 9, 7])
    write(tmp_path, "after", list("abcd"), truth, [3, 3, 3, 9])
    found = adapters.changes(tmp_path, "names")
    assert [part.tolist() for part in found] == [[3, 7, 9], [1, -1, 1], [2, 1, 1]]


def test_two_files_of_other_photos_are_refused(tmp_path: Path) -> None:
    write(tmp_path, "before", ["a", "b"], [1, 2], [1, 2])
    write(tmp_path, "after", ["b", "a"], [2, 1], [2, 1])
    with pytest.raises(ValueError, match="not of the same photos"):
        adapters.changes(tmp_path, "names")


def language(classes: np.ndarray, seed: int) -> Any:
    moved = np.random.default_rng(seed).choice([-1.0, 0.0, 1.0], len(classes), p=[0.1, 0.7, 0.2])
    return adapters.Changes(classes, moved, np.ones(len(classes)))


def test_the_mean_over_one_language_has_the_paired_interval_of_the_measure() -> None:
    one = language(np.arange(0, 600, 3), 0)
    low, high = adapters.mean_interval([one])
    expected = paired_interval(np.maximum(one.sums, 0), np.maximum(-one.sums, 0), one.classes)
    assert [low, high] == pytest.approx(expected, abs=0.003)


def test_languages_on_the_same_classes_lend_each_other_no_certainty() -> None:
    one = language(np.arange(300), 1)
    width = np.subtract(*adapters.mean_interval([one]))
    same = np.subtract(*adapters.mean_interval([one] * 4))
    apart = [adapters.Changes(one.classes + 300 * n, one.sums, one.counts) for n in range(3)]
    assert same == pytest.approx(width, rel=0.08)
    assert np.subtract(*adapters.mean_interval(apart)) == pytest.approx(width / np.sqrt(3), rel=0.08)
