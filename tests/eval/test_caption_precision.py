"""Retrieval in fewer bits: compared with fp32 on a sample, and refused where features or recalls are others."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from test_precision import Overflowing, Rounded
from toy import write_photo

from babel_eval import precision
from babel_eval.config import EvaluateConfig, RetrieveConfig
from babel_eval.retrieval import run

N = 60
NAMES = [f"word {index}" for index in range(N)]


class Reading(Rounded):
    """A toy that knows a word for each photo, in any language; it counts what it is asked."""

    def __init__(self, **more: Any) -> None:
        super().__init__(**more)
        self.vocabulary = {name: index for index, name in enumerate(NAMES)}


@pytest.fixture
def place(tmp_path: Path) -> Path:
    for index in range(N):
        write_photo(tmp_path / "photos" / f"{index}.png", index)
    captions = {"de": [[name, " "] for name in NAMES], "en": [[name] for name in NAMES]}
    content = {"images": [f"{index}.png" for index in range(N)], "captions": captions}
    (tmp_path / "toyset.json").write_text(json.dumps(content), encoding="utf-8")
    return tmp_path


def measured(place: Path, lower: Rounded, monkeypatch: pytest.MonkeyPatch, **more: Any) -> dict[str, Any]:
    loaded = {"fp32": Reading(), "bf16": lower}
    monkeypatch.setattr("babel_eval.encoders.load_encoder", lambda model, *, dtype, **_: loaded[dtype])
    given = {"image_root": str(place / "photos"), "k": (1,), "n_resamples": 100, "store": str(place / "store")}
    given |= {"dtype": "bf16", "allow_blank_captions": True, **more}
    return run(RetrieveConfig("toy", str(place / "toyset.json"), str(place / "r.json"), **given))


def test_equal_features_pass_and_the_file_says_on_what(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert measured(place, Reading(), monkeypatch, precision_sample=20)["meta"]["precision"] == {
        "dtype": "bf16", "compile": False, "checked": True, "figure": "R@1", "n_photos": 20, "n_texts": 40,
        "languages": ["en", "de"], "lowest_cosine": {"photos": 1.0, "texts": 1.0},
        "largest_change": 0.0, "largest_change_in": "en",
    }  # fmt: skip


def test_captions_that_turn_are_refused_before_anything_is_written(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cosine = 1 / np.sqrt(1 + 0.05**2)
    with pytest.raises(ValueError, match=f"{cosine:.6f}.*0.999.*--dtype fp32"):
        measured(place, Reading(turn=0.05), monkeypatch)
    assert not (place / "r.json").exists()
    assert not list((place / "store").glob("*"))


def test_a_language_that_only_fp32_can_encode_is_a_refusal_in_words(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ValueError, match=r"no features of en, de.*not finite.*--dtype fp32"):
        measured(place, Overflowing(), monkeypatch)


def test_a_change_of_a_recall_is_refused_whatever_the_cosines(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision, "LEAST_COSINE", 0.0)
    lower = Reading()
    lower.vocabulary["word 7"] = 8  # one caption finds another photo; two photos of sixty, another caption
    with pytest.raises(ValueError, match=r"largest change of R@1 3\.33 points"):
        measured(place, lower, monkeypatch)


def test_the_check_can_be_left_out_and_plain_fp32_needs_none(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = measured(place, Reading(turn=1.0), monkeypatch, precision_sample=0)
    assert found["meta"]["precision"] == {"dtype": "bf16", "compile": False, "checked": False}
    found = measured(place, Reading(), monkeypatch, dtype="fp32", overwrite=True)
    assert found["meta"]["precision"] == {"dtype": "fp32", "compile": False}


def test_a_model_in_hand_is_taken_as_it_is(place: Path) -> None:
    given = {"image_root": str(place / "photos"), "k": (1,), "n_resamples": 100, "store": str(place / "store")}
    config = RetrieveConfig("toy", str(place / "toyset.json"), str(place / "r.json"), languages="en", **given)
    assert run(config, encoder=Reading())["meta"]["precision"] == {"dtype": "fp32", "compile": False}


@pytest.mark.parametrize("config", [EvaluateConfig, RetrieveConfig])
def test_an_unknown_dtype_is_refused_before_anything_is_compared(config: Any) -> None:
    with pytest.raises(ValueError, match="--dtype 'fp8' is unknown; allowed: fp32, bf16, fp16"):
        config("conse-e5", "place", "r.json", dtype="fp8")
