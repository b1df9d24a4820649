"""Whole runs with what is special about a family: language tokens, stored features, adapters."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import test_encoder_nllb as nllb
import test_encoder_peft as adapters
import tiny_models as tiny

from babel_eval.config import EvaluateConfig
from babel_eval.encoders import load_encoder
from babel_eval.encoders.stored import save_features
from babel_eval.photo_sources import find_photos
from babel_eval.runner import run
from babel_eval.store import image_key
from babel_eval.zero_shot import Scoring

LABELS = {"EN": [[0, 1, 2], ["tench", "goldfish", "shark"]], "DE": [[0, 2], ["Schleie", "Weißer Hai"]],
          "BAR": [[0, 1], ["Schlei", "Goidfisch"]], "SR": [[1, 2], ["riba", "ајкула"]]}  # fmt: skip
QUICK = Scoring(n_resamples=100)


@pytest.fixture
def labels(tmp_path: Path) -> str:
    path = tmp_path / "labels.json"
    path.write_text(json.dumps(LABELS))
    return str(path)


def rows_of(labels: str, model: str, images: str, out: Path, **settings: str) -> tuple[dict, dict, dict]:
    config = EvaluateConfig(model=model, images=images, out=str(out), labels=labels, device="cpu", **settings)
    results = run(config, scoring=QUICK)
    return {r["lang"]: r for r in results.rows}, {f["lang"]: f for f in results.failures}, results.meta


def test_each_row_says_how_the_tokenizer_saw_its_language(labels: str, tmp_path: Path) -> None:
    model = f"open_clip:{nllb.nllb_folder(tmp_path / 'nllb')}"
    rows, failures, meta = rows_of(labels, model, "names", tmp_path / "r.json")
    assert rows["DE"]["language_token"] == "native: deu_Latn"
    assert rows["BAR"]["language_token"] == "fallback: eng_Latn"
    assert rows["SR"]["language_token"] == "native: srp_Cyrl; 1 labels in another script"
    assert meta["language_token"] == "fallback"
    assert not failures


def test_a_language_without_a_token_can_be_left_out_and_is_listed(labels: str, tmp_path: Path) -> None:
    model = f"open_clip:{nllb.nllb_folder(tmp_path / 'nllb')}"
    rows, failures, _ = rows_of(labels, model, "names", tmp_path / "skip.json", language_token="skip")
    assert set(rows) == {"EN", "DE", "SR"}
    assert failures["BAR"]["status"] == "skipped: NLLB has no token for BAR"
    _, failures, _ = rows_of(labels, model, "names", tmp_path / "strict.json", language_token="strict")
    assert failures["BAR"]["status"].startswith("failed: ")
    with pytest.raises(ValueError, match="strict, skip, fallback"):
        EvaluateConfig(model="m", images="names", out="r.json", language_token="perhaps")


def test_stored_features_are_scored_by_class_index(labels: str, tmp_path: Path) -> None:
    eye = np.eye(3, dtype=np.float32)
    images = (eye[[2, 0, 1, 0]] * 5, np.array([2, 0, 1, 1]))  # the last photo, of class 1, looks like class 0
    order = np.r_[1, 2, 0, 3:1000]  # English is always the 1000 class names; 3 and on are far from every photo
    english = np.concatenate([eye[[1, 2, 0]], -np.ones((997, 3), dtype=np.float32)])
    names = {("label", "EN"): (english, order), ("label", "DE"): (eye[[2, 0]], np.array([2, 0]))}
    save_features(tmp_path / "features", images, names, source="mine")
    model = f"features:{tmp_path / 'features'}"
    rows, failures, meta = rows_of(labels, model, "features", tmp_path / "r.json")
    assert rows["EN"]["accuracy"] == 0.75
    assert rows["DE"]["accuracy"] == 1.0
    assert failures["SR"]["status"].startswith("failed: ")
    assert (meta["source"], meta["images"]["n_images"]) == ("mine", 4)
    with pytest.raises(ValueError, match="go together"):
        rows_of(labels, model, "names", tmp_path / "other.json")


def test_an_adapter_leaves_the_stored_photos_good(tmp_path: Path) -> None:
    base = f"open_clip:{tiny.open_clip_folder(tmp_path / 'base', {})}"
    adapters.trained(base, tmp_path / "adapter")
    folder = tmp_path / "photos" / "n01440764"
    folder.mkdir(parents=True)
    for number, photo in enumerate(tiny.photos(2)):
        photo.save(folder / f"{number}.png")
    photos = find_photos(str(folder.parent))
    plain, adapted = load_encoder(base, device="cpu"), load_encoder(f"{base}+peft:{tmp_path / 'adapter'}", device="cpu")
    assert image_key(plain, photos) == image_key(adapted, photos)


def test_random_weights_are_marked_in_the_result(labels: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import open_clip

    config = {"embed_dim": 24, "vision_cfg": tiny.IMAGES, "text_cfg": tiny.TEXT}
    monkeypatch.setitem(open_clip.factory._MODEL_CONFIGS, "ViT-tiny", config)
    _, _, meta = rows_of(labels, "open_clip:ViT-tiny@random", "names", tmp_path / "r.json")
    assert meta["random_weights"] is True
