"""Features made elsewhere: `features:FOLDER`, for models that no family here can load.

    FOLDER/features.json                 {"name": …, "source": …, "parameters": …} (what is known of the model)
    FOLDER/images.safetensors            features float [n_images, dim], class_index int64 [n_images]
    FOLDER/PROMPTS/LANGUAGE.safetensors  features float [n_classes, dim], class_index int64 [n_classes]

PROMPTS is `label`, `openai_en` or `nllb`, LANGUAGE is BabelNet's code; EN is needed under each prompt set, with all
1000 classes, as every language is compared with it. Classes are known by ImageNet's class index, so no order of files
or rows is relied upon; rows need not be normalised.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from babel_eval.encoders.fingerprints import fingerprint_of
from babel_imagenet_dataset.files import atomic_path, read_json, sha256_of_file, write_json

_INFO = "features.json"
_IMAGES = "images.safetensors"


class StoredFeatures:
    """An encoder that looks its features up: photos and class texts were encoded elsewhere."""

    device = "cpu"
    uses_language = True

    def __init__(self, folder: Path) -> None:
        info = read_json(folder / _INFO)
        self.folder, self.model = folder, f"features:{folder}"
        self.source = str(info.get("source", "features"))
        self.parameters = int(info.get("parameters") or 0)
        self._image_features, self._class_index = _read(folder / _IMAGES, None)
        self.dim = self._image_features.shape[1]
        files = sorted(path for path in folder.rglob("*.safetensors"))
        self.fingerprint = fingerprint_of(*(f"{p.relative_to(folder).as_posix()} {sha256_of_file(p)}" for p in files))

    def stored_images(self) -> tuple[np.ndarray, np.ndarray]:
        """Give the photos' features, float32 [n_images, dim], and their class indices, int64 [n_images]."""
        return self._image_features, self._class_index

    def class_features(self, prompt: str, language: str, class_index: Sequence[int]) -> np.ndarray:
        """Give the features of a language's classes, float32 [n_classes, dim], in the order asked for.

        Raises:
          ValueError: the folder has no file for the language and prompt set, or the file lacks a class.
        """
        path = self.folder / prompt / f"{language}.safetensors"
        if not path.is_file():
            raise ValueError(f"{self.folder}: no features of {language} for prompts {prompt!r} ({path} is not there)")
        features, classes = _read(path, self.dim)
        row_of = {int(index): row for row, index in enumerate(classes)}
        missing = [index for index in class_index if index not in row_of]
        if missing:
            raise ValueError(f"{path}: lacks {len(missing)} of {len(class_index)} classes, the first is {missing[0]}")
        return features[[row_of[index] for index in class_index]]

    def preprocess(self, image: Any) -> Any:
        """Refuse: photos were encoded elsewhere."""
        raise ValueError(f"{self.model} has no image tower; its photos are those of {_IMAGES}: --images features")

    encode_pixels = encode_images = preprocess

    def encode_texts(self, texts: Sequence[str], language: str, names: Sequence[str] | None = None) -> np.ndarray:
        """Refuse: class texts were encoded elsewhere, and are looked up by class index."""
        raise ValueError(f"{self.model} has no text tower; it holds class features only, by class index")


def load(name: str, *, device: str, dtype: str) -> StoredFeatures:
    """Open a folder of features; `device` and `dtype` have no say.

    Raises:
      ValueError: the folder or a file is missing, shapes do not agree, or a value is not finite.
    """
    folder = Path(name)
    missing = [file for file in (_INFO, _IMAGES) if not (folder / file).is_file()]
    if not name or missing:
        raise ValueError(
            f"features:{name}: {', '.join(missing) or 'no folder'} is not there; see babel_eval.encoders.stored"
        )
    return StoredFeatures(folder)


def save_features(
    folder: Path | str,
    images: tuple[np.ndarray, np.ndarray],
    classes: Mapping[tuple[str, str], tuple[np.ndarray, np.ndarray]],
    **info: Any,
) -> None:
    """Write a folder that `features:FOLDER` reads.

    Args:
      folder: where to write.
      images: features float [n_images, dim] and class indices int [n_images], 0..999.
      classes: (prompt set, language) → features float [n_classes, dim] and class indices int [n_classes].
      info: what is known of the model: `name`, `source`, `parameters`.
    """
    folder = Path(folder)
    for (prompt, language), pair in classes.items():
        _write(folder / prompt / f"{language}.safetensors", *pair)
    _write(folder / _IMAGES, *images)
    write_json(folder / _INFO, info)


def _write(path: Path, features: np.ndarray, class_index: np.ndarray) -> None:
    from safetensors.numpy import save_file

    arrays = {"features": np.ascontiguousarray(features), "class_index": np.asarray(class_index, dtype=np.int64)}
    with atomic_path(path) as part:
        save_file(arrays, part)


def _read(path: Path, dim: int | None) -> tuple[np.ndarray, np.ndarray]:
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        arrays = load_file(path)
        features, classes = arrays["features"], arrays["class_index"].astype(np.int64)
    except (SafetensorError, KeyError) as error:
        raise ValueError(f"{path}: needs tensors `features` and `class_index` in safetensors ({error})") from error
    if features.ndim != 2 or classes.shape != features.shape[:1] or (dim is not None and features.shape[1] != dim):
        wide = "" if dim is None else f", dim {dim} as the photos have"
        raise ValueError(
            f"{path}: features {features.shape} and class_index {classes.shape}; needs [n, dim] and [n]{wide}"
        )
    if len(classes) and not 0 <= classes.min() <= classes.max() <= 999:
        raise ValueError(f"{path}: class_index must lie in 0..999, it holds {classes.min()} to {classes.max()}")
    features = features.astype(np.float32)
    if not np.isfinite(features).all():
        raise ValueError(f"{path}: a feature is not finite")
    return features, classes
