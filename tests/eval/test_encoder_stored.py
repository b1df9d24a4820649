"""Features made elsewhere: looked up by class index, whatever the order of rows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from babel_eval.encoders import load_encoder
from babel_eval.encoders.base import Encoder
from babel_eval.encoders.stored import StoredFeatures, save_features

RNG = np.random.default_rng(0)
IMAGES = RNG.normal(size=(4, 6)).astype(np.float32), np.array([999, 3, 3, 7])
CLASSES = RNG.normal(size=(3, 6)).astype(np.float16), np.array([7, 999, 3])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    save_features(tmp_path, IMAGES, {("label", "DE"): CLASSES}, source="mine", parameters=12)
    return tmp_path


def test_features_come_by_class_index(folder: Path) -> None:
    encoder = load_encoder(f"features:{folder}")
    assert isinstance(encoder, Encoder)
    assert isinstance(encoder, StoredFeatures)
    assert (encoder.source, encoder.parameters, encoder.dim) == ("mine", 12, 6)
    np.testing.assert_array_equal(
        encoder.class_features("label", "DE", [3, 999]), CLASSES[0][[2, 1]].astype(np.float32)
    )
    features, classes = encoder.stored_images()
    np.testing.assert_array_equal(features, IMAGES[0])
    np.testing.assert_array_equal(classes, IMAGES[1])


def test_the_fingerprint_follows_every_file(folder: Path) -> None:
    before = load_encoder(f"features:{folder}").fingerprint
    assert before == load_encoder(f"features:{folder}").fingerprint
    save_features(folder, IMAGES, {("label", "FR"): CLASSES})
    assert before != load_encoder(f"features:{folder}").fingerprint


def test_what_is_missing_is_named(folder: Path, tmp_path: Path) -> None:
    encoder = load_encoder(f"features:{folder}")
    with pytest.raises(ValueError, match="FR"):
        encoder.class_features("label", "FR", [3])
    with pytest.raises(ValueError, match="lacks 1 of 2 classes, the first is 8"):
        encoder.class_features("label", "DE", [3, 8])
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match=r"features\.json"):
        load_encoder(f"features:{tmp_path / 'empty'}")
    with pytest.raises(ValueError, match="no text tower"):
        encoder.encode_texts(["tench"], "DE")


@pytest.mark.parametrize(
    ("arrays", "said"),
    [
        ({"features": np.ones((2, 6), np.float32)}, "class_index"),
        ({"features": np.ones((2, 6), np.float32), "class_index": np.array([1, 2, 3])}, "needs"),
        ({"features": np.ones((2, 5), np.float32), "class_index": np.array([1, 2])}, "dim 6"),
        ({"features": np.ones((2, 6), np.float32), "class_index": np.array([1, 1000])}, "0..999"),
        ({"features": np.full((2, 6), np.nan, np.float32), "class_index": np.array([1, 2])}, "not finite"),
    ],
)
def test_files_that_do_not_hold_features_are_refused(arrays: dict, said: str, folder: Path) -> None:
    save_file(arrays, folder / "label" / "DE.safetensors")
    with pytest.raises(ValueError, match=said):
        load_encoder(f"features:{folder}").class_features("label", "DE", [1])


def test_a_file_that_is_no_safetensors_is_refused(folder: Path) -> None:
    (folder / "images.safetensors").write_bytes(b"not a tensor")
    with pytest.raises(ValueError, match="safetensors"):
        load_encoder(f"features:{folder}")
