"""A toy dual encoder whose right answers are known by construction, and photos that it can read.

A photo of class i is an image whose red and green channels spell i; its feature is unit vector i. A text's feature is
the unit vector of the class that its label names in `vocabulary`, else vector 1000, which no photo has.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

DIM = 1001


class ToyEncoder:
    """Knows the labels it was given, counts what it was asked, and scales its rows to show that scale is no matter."""

    model = "toy"
    source = "toy"
    parameters = 7
    dim = DIM
    device = "cpu"
    uses_language = False

    def __init__(self, vocabulary: Mapping[str, int], fingerprint: str = "f" * 64) -> None:
        self.vocabulary = dict(vocabulary)
        self.fingerprint = fingerprint
        self.texts_seen: list[str] = []
        self.photos_seen = 0

    def preprocess(self, image: Image.Image):
        import torch

        return torch.from_numpy(np.array(image.convert("RGB"), dtype=np.float32)).permute(2, 0, 1)[:, :1, :1]

    def encode_pixels(self, pixels) -> np.ndarray:
        values = pixels[:, :, 0, 0].round().long().numpy()
        self.photos_seen += len(values)
        return self._vectors(values[:, 0] * 256 + values[:, 1])

    def encode_images(self, images: Sequence[Image.Image]) -> np.ndarray:
        import torch

        return self.encode_pixels(torch.stack([self.preprocess(image) for image in images]))

    def encode_texts(self, texts: Sequence[str], language: str) -> np.ndarray:
        self.texts_seen += texts
        return self._vectors(np.array([self.vocabulary.get(text, DIM - 1) for text in texts]))

    @staticmethod
    def _vectors(indices: np.ndarray) -> np.ndarray:
        rows = np.zeros((len(indices), DIM), dtype=np.float32)
        rows[np.arange(len(indices)), indices] = 1 + np.arange(len(indices)) % 3
        return rows


def write_photo(path: Path, class_index: int) -> None:
    """Write a photo of a class that `ToyEncoder` reads back (PNG bytes, whatever the suffix)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (4, 4), (class_index // 256, class_index % 256, 0)).save(path, format="PNG")


def one_by_one(photo_set):
    """Features of a set, photo after photo in a plain loop: what any batching, sharding or sharing must equal."""
    from babel_eval.images import ImageFeatures, Problem, decode

    ids, classes, rows, problems = [], [], [], list(photo_set.problems)
    for photo in photo_set.photos:
        try:
            row = ToyEncoder({}).encode_images([decode(photo)])[0]
        except ValueError as error:
            problems.append(Problem(photo.id, str(error)))
            continue
        ids.append(photo.id)
        classes.append(photo.class_index)
        rows.append(row / np.linalg.norm(row))
    features = np.array(rows, dtype=np.float32).reshape(len(rows), DIM)
    return ImageFeatures(tuple(ids), np.array(classes, dtype=np.int64), features, tuple(problems))
