"""Fewer bits and compiled towers: compared with fp32 on a sample, and refused where they give something else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_models as tiny
from toy import ToyEncoder, write_photo

from babel_eval import precision
from babel_eval.config import EvaluateConfig
from babel_eval.photo_sources import find_photos
from babel_eval.precision import Measured, compared, load_checked, sample_of
from babel_eval.runner import run
from babel_eval.zero_shot import Scoring
from babel_imagenet_dataset.imagenet import english_class_names, wnids
from babel_imagenet_dataset.release import load_labels

NAMES = list(english_class_names())
# Both 'missile' and 'sunglasses' stand twice; without them every English name is right.
VOCABULARY = {name: index for index, name in reversed(list(enumerate(NAMES)))}


class Rounded(ToyEncoder):
    """A toy whose lower precision turns features by an angle, or mistakes some classes."""

    def __init__(self, *, turn: float = 0.0, mistaken: int = 0) -> None:
        super().__init__(VOCABULARY)
        self.turn, self.mistaken = turn, mistaken

    def encode_texts(self, texts, language):
        rows = super().encode_texts(texts, language)
        rows[:, -1] += self.turn * np.linalg.norm(rows, axis=1)
        return rows

    def encode_pixels(self, pixels):
        rows = super().encode_pixels(pixels)
        for index in range(self.mistaken):  # seen as the next class, by a hair
            rows[:, 200] += rows[:, index] * 1.001
        return rows


class Overflowing(Rounded):
    """A toy whose lower precision holds no text, as towers of T5's kind do in fp16."""

    def encode_texts(self, texts, language):
        return np.full_like(super().encode_texts(texts, language), np.nan)


@pytest.fixture
def photos(tmp_path: Path) -> str:
    for index in range(100):
        write_photo(tmp_path / "photos" / wnids()[index] / "x.png", index)
    return str(tmp_path / "photos")


def checked(monkeypatch: pytest.MonkeyPatch, photos: str, lower: Rounded, **settings: Any) -> tuple[Any, dict]:
    loaded = {"fp32": Rounded(), "bf16": lower}
    monkeypatch.setattr("babel_eval.encoders.load_encoder", lambda model, *, dtype, **_: loaded[dtype])
    config = EvaluateConfig(**{"model": "toy", "images": photos, "out": "r.json", "dtype": "bf16", **settings})
    return load_checked(config, "cpu", find_photos(photos), load_labels(), ["DE", "LO", "SW"])


def test_equal_features_pass_and_the_report_says_on_what(monkeypatch: pytest.MonkeyPatch, photos: str) -> None:
    lower = Rounded()
    encoder, report = checked(monkeypatch, photos, lower, precision_sample=20)
    assert encoder is lower
    labels = load_labels().languages
    n_texts = 1000 + len(labels["DE"].labels) + len(labels["SW"].labels)
    assert report == {
        "dtype": "bf16", "compile": False, "checked": True, "n_photos": 20, "n_texts": n_texts,
        "languages": ["EN", "DE", "SW"], "lowest_cosine": {"photos": 1.0, "texts": 1.0},
        "largest_change": 0.0, "largest_change_in": "EN",
    }  # fmt: skip


def test_features_that_turn_are_refused(monkeypatch: pytest.MonkeyPatch, photos: str) -> None:
    cosine = 1 / np.sqrt(1 + 0.05**2)
    assert 0.998 < cosine < 0.999
    with pytest.raises(ValueError, match=f"{cosine:.6f}.*0.999.*--dtype fp32"):
        checked(monkeypatch, photos, Rounded(turn=0.05))
    _, report = checked(monkeypatch, photos, Rounded(turn=0.03))
    assert report["lowest_cosine"]["texts"] == pytest.approx(1 / np.sqrt(1 + 0.03**2), abs=1e-6)


def test_a_language_that_only_fp32_can_encode_is_a_refusal_in_words(
    monkeypatch: pytest.MonkeyPatch, photos: str
) -> None:
    with pytest.raises(ValueError, match=r"no features of EN, DE, SW.*not finite.*--dtype fp32"):
        checked(monkeypatch, photos, Overflowing())


def test_a_change_of_an_accuracy_is_refused_whatever_the_cosines(monkeypatch: pytest.MonkeyPatch, photos: str) -> None:
    monkeypatch.setattr(precision, "LEAST_COSINE", 0.0)
    with pytest.raises(ValueError, match=r"largest change of an accuracy 1\.\d+ points \(DE\)|1\.00 points \(EN\)"):
        checked(monkeypatch, photos, Rounded(mistaken=1))


def test_the_check_can_be_left_out_and_the_report_says_so(monkeypatch: pytest.MonkeyPatch, photos: str) -> None:
    _, report = checked(monkeypatch, photos, Rounded(turn=1.0), precision_sample=0)
    assert report == {"dtype": "bf16", "compile": False, "checked": False}


def test_changes_are_counted_like_a_plain_loop() -> None:
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 12, 300)
    classes = np.array([1, 3, 4, 8, 11])
    one, two = rng.normal(size=(2, 300, 4)).astype(np.float32)
    texts = rng.normal(size=(2, 5, 4)).astype(np.float32)
    report = compared(*(Measured(i, truth, {"XX": (t, classes)}) for i, t in zip((one, two), texts, strict=True)))
    rights = []
    for images, rows in zip((one, two), texts, strict=True):
        unit = rows / np.linalg.norm(rows, axis=1)[:, None]
        hits = [classes[(unit @ i).argmax()] == c for i, c in zip(images, truth, strict=True) if c in classes]
        rights.append(np.mean(hits))
    assert report["largest_change"] == pytest.approx(abs(rights[0] - rights[1]))
    lowest = min(float(a @ b / np.linalg.norm(a) / np.linalg.norm(b)) for a, b in zip(one, two, strict=True))
    assert report["lowest_cosine"]["photos"] == pytest.approx(lowest, abs=1e-6)


def test_the_sample_is_spread_over_the_photos_and_takes_the_largest_languages(photos: str) -> None:
    sample = sample_of(find_photos(photos), load_labels(), ["LO", "FR", "SW", "DE"], 7)
    assert [photo.class_index for photo in sample.photos.photos] == [0, 14, 28, 42, 56, 70, 84]
    assert [texts.language for texts in sample.texts] == ["EN", "FR", "DE"], "799 and 738 classes"
    assert sample_of(None, load_labels(), ["EN"], 7).photos is None


def test_a_run_reports_what_the_comparison_found(photos: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = {"fp32": Rounded(), "bf16": Rounded(turn=0.03)}
    monkeypatch.setattr("babel_eval.encoders.load_encoder", lambda model, *, dtype, **_: loaded[dtype])
    said: list[str] = []
    config = EvaluateConfig(
        "toy", photos, str(tmp_path / "r.json"), languages="lo", dtype="bf16", store=str(tmp_path / "s")
    )
    report = run(config, say=said.append, scoring=Scoring(n_resamples=100)).meta["precision"]
    assert report["lowest_cosine"]["texts"] == pytest.approx(1 / np.sqrt(1 + 0.03**2), abs=1e-6)
    assert (report["n_photos"], report["languages"]) == (100, ["EN", "LO"])
    assert "bf16 against fp32 on 100 photos" in said[0]


@pytest.mark.slow
def test_a_run_in_bf16_reports_its_deviation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tiny.open_clip_folder(tmp_path / "m", {})
    for index, photo in enumerate(tiny.photos(3)):
        (tmp_path / "p" / wnids()[index]).mkdir(parents=True)
        photo.save(tmp_path / "p" / wnids()[index] / "x.png")
    monkeypatch.setattr(precision, "MOST_CHANGE", 1.0)  # random weights: all texts are near one another
    monkeypatch.setattr(precision, "LEAST_COSINE", 0.99)
    said: list[str] = []
    config = EvaluateConfig(
        model=f"open_clip:{folder}", images=str(tmp_path / "p"), out=str(tmp_path / "r.json"), languages="lo",
        dtype="bf16", device="cpu", store=str(tmp_path / "s"),
    )  # fmt: skip
    report = run(config, say=said.append, scoring=Scoring(n_resamples=100)).meta["precision"]
    assert 0.99 < report["lowest_cosine"]["photos"] < 1
    assert (report["n_photos"], report["languages"]) == (3, ["EN", "LO"])
    assert "bf16 against fp32 on 3 photos" in said[0]


@pytest.mark.slow
def test_compiled_towers_give_the_same(tmp_path: Path) -> None:
    from babel_eval.encoders import load_encoder

    folder = tiny.open_clip_folder(tmp_path / "m", {})
    plain, compiled = (load_encoder(f"open_clip:{folder}", device="cpu", compile_towers=c) for c in (False, True))
    assert compiled.compiled
    assert (compiled.fingerprint, compiled.image_fingerprint) != (plain.fingerprint, plain.image_fingerprint)
    for one, other in (
        (plain.encode_texts(tiny.TEXTS, "DE"), compiled.encode_texts(tiny.TEXTS, "DE")),
        (plain.encode_images(tiny.photos()), compiled.encode_images(tiny.photos())),
    ):
        assert precision.lowest_cosine(one, other) > 0.99999
