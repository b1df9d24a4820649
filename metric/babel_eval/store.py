"""Features on disk, keyed by everything that determines them, so that no model is asked twice for the same photo."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from babel_eval.images import ImageFeatures, PhotoSet, Problem
from babel_imagenet_dataset.files import atomic_path, read_json, sha256_of_file, sha256_of_text, write_json

if TYPE_CHECKING:
    from babel_eval.encoders.base import Encoder

FORMAT = "1"


def default_store() -> Path:
    """Give the folder for features: `BABEL_IMAGENET_STORE`, else `babel-imagenet/features` in the user's cache."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return Path(os.environ.get("BABEL_IMAGENET_STORE") or cache / "babel-imagenet" / "features")


def image_key(encoder: Encoder, photo_set: PhotoSet) -> str:
    """Give the key of a photo set's features: image tower (weights, dtype, preprocessing) and photos, all of them.

    An adapter on the text side leaves the image tower as it is, so its photos are not encoded again.
    """
    return sha256_of_text(FORMAT, getattr(encoder, "image_fingerprint", encoder.fingerprint), photo_set.fingerprint)


class FeatureStore:
    """A folder of features: for each key `KEY.safetensors` and, written last, `KEY.json` with its sha256."""

    def __init__(self, folder: Path | str) -> None:
        self.folder = Path(folder)

    def load(self, key: str) -> ImageFeatures | None:
        """Give the features kept under a key, memory-mapped; None where there are none or they are damaged."""
        from safetensors import safe_open

        manifest, array = self.folder / f"{key}.json", self.folder / f"{key}.safetensors"
        if not manifest.is_file() or not array.is_file():
            return None
        try:
            record = read_json(manifest)
            if record["sha256"] != sha256_of_file(array):
                return None
        except (ValueError, KeyError, TypeError):
            return None
        with safe_open(str(array), framework="numpy") as tensors:
            features, class_index = tensors.get_tensor("features"), tensors.get_tensor("class_index")
        problems = tuple(Problem(p["photo"], p["why"]) for p in record["problems"])
        return ImageFeatures(tuple(record["ids"]), class_index, features, problems)

    def save(self, key: str, images: ImageFeatures) -> None:
        """Keep features under a key; the manifest comes last, so that a kill leaves nothing that `load` would take."""
        from safetensors.numpy import save_file

        array = self.folder / f"{key}.safetensors"
        with atomic_path(array) as part:
            save_file({"features": np.ascontiguousarray(images.features), "class_index": images.class_index}, part)
        problems = [{"photo": p.photo, "why": p.why} for p in images.problems]
        record = {"sha256": sha256_of_file(array), "ids": list(images.ids), "problems": problems}
        write_json(self.folder / f"{key}.json", record)
