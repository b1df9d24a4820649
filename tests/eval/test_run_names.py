"""Runs in one report: each has a name of its own, made of the model and what else tells it apart."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from babel_eval.reporting.naming import run_labels
from babel_eval.results import Results


def ours(path: str, images: str = "photos", model: str = "org/m", **more: Any) -> Results:
    meta = {
        "model": model, "images": {"name": images, "kind": "photos"}, "dtype": "fp32", "mode": "default",
        "labels": {"file": "babel_imagenet.json", "sha256": "1699e9"}, "templates": None, **more,
    }  # fmt: skip
    return Results(meta, path=Path(path))


@pytest.mark.parametrize(
    ("other", "names"),
    [
        ({"model": "org/n"}, ["m", "n"]),
        ({"images": "/data/names"}, ["m (photos)", "m (names)"]),
        ({"dtype": "bf16"}, ["m (fp32)", "m (bf16)"]),
        ({"mode": "reference"}, ["m (default mode)", "m (reference mode)"]),
        ({"language_token": "eng_Latn"}, ["m", "m (eng_Latn)"]),
        ({"labels": {"file": "mine.json", "sha256": "5"}}, ["m (babel_imagenet.json)", "m (mine.json)"]),
        (
            {"labels": {"file": "babel_imagenet.json", "sha256": "5"}},
            ["m (babel_imagenet.json 1699e9)", "m (babel_imagenet.json 5)"],
        ),
        ({"templates": {"file": "t.json", "sha256": "7", "mode": "clean"}}, ["m", "m (t.json, clean)"]),
        ({"images": "names", "dtype": "bf16"}, ["m (photos, fp32)", "m (names, bf16)"]),
    ],
)
def test_runs_of_one_model_are_told_apart_by_what_differs(other: dict[str, Any], names: list[str]) -> None:
    assert run_labels([ours("a.json"), ours("b.json", **other)]) == names


def test_folders_of_one_name_are_told_apart_by_their_path() -> None:
    runs = [ours("a.json", "/a/val"), ours("b.json", "/b/val"), ours("c.json", "/c/test")]
    assert run_labels(runs) == ["m (/a/val)", "m (/b/val)", "m (/c/test)"]


def test_what_tells_two_of_three_apart_stands_with_all() -> None:
    runs = [ours("a.json"), ours("b.json", dtype="bf16"), ours("c.json", "names")]
    assert run_labels(runs) == ["m (photos, fp32)", "m (photos, bf16)", "m (names, fp32)"]


def test_files_of_the_reference_runner_say_neither_photos_nor_settings() -> None:
    reference = Results({"model": "org/m"}, path=Path("r.json"))
    assert run_labels([ours("a.json"), reference, ours("b.json", model="x")]) == ["m (photos)", "m (ImageNet)", "x"]


def test_the_same_run_twice_is_an_error_that_names_both_files() -> None:
    with pytest.raises(ValueError, match=r"a\.json and b\.json both hold org/m on photos, under the same settings"):
        run_labels([ours("a.json"), ours("b.json")])
