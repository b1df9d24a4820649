"""The published label and prompt files: located, checked by sha256, read, and every value in them checked.

Where a file is sought, in this order: the path that is given; inside the installed `clip-benchmark` (which ships the
93-key labels and the prompts); the download of the publishing repository at a pinned commit (see `download.py`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from babel_imagenet_dataset.download import fetch
from babel_imagenet_dataset.files import read_json, sha256_of_file
from babel_imagenet_dataset.imagenet import N_CLASSES, english_class_names
from babel_imagenet_dataset.languages import resolve
from babel_imagenet_dataset.packaged import packaged_file

REPOSITORY = "gregor-ge/Babel-ImageNet"
COMMIT = "317c49896f04bc61d0c7a5dfc6fd4e3b0d8a9430"
SOURCES = ("auto", "packaged", "download")


@dataclass(frozen=True)
class Published:
    """A file of the publishing repository.

    Attributes:
      key: how a user names it: `93`, `298` or `prompts`.
      name: file name, in the folder `data` of the repository.
      sha256: of its bytes.
      is_packaged: whether clip-benchmark ships it.
    """

    key: str
    name: str
    sha256: str
    is_packaged: bool


_SHA256 = {
    "93": "1699e9984d5d02f34640b06230f2d5ebacab2ff1554ddf55883858b5862afc5a",
    "298": "42a1a71eb74fef99414bcbe4d9a2f1f630d5b451259d2090b6acad8192eea4fe",
    "prompts": "6973d7d915868b4fd3d0a354acab15a058d6f98628f83ab7d741d45887aa8985",
}
PUBLISHED = {
    "93": Published("93", "babel_imagenet.json", _SHA256["93"], is_packaged=True),
    "298": Published("298", "babel_imagenet-298.json", _SHA256["298"], is_packaged=False),
    "prompts": Published("prompts", "nllb_dist13b_prompts.json", _SHA256["prompts"], is_packaged=True),
}


@dataclass(frozen=True, eq=False)
class LanguageLabels:
    """The labels of one language.

    Attributes:
      code: BabelNet's code in upper case.
      class_index: int32 [n_classes], 0..999 in ImageNet-1k order, no value twice; read-only.
      labels: the label of each row, in the same order.
    """

    code: str
    class_index: np.ndarray
    labels: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True, eq=False)
class LabelFile:
    """A label file, read and checked.

    Attributes:
      path: where it lies.
      sha256: of its bytes.
      release: `93` or `298` where the bytes are those of a published file, else None: a file of the user's own.
      languages: labels by code, in alphabetical order of the codes. `EN` is always there: the 1000 OpenAI names.
      released_english: what the file itself has under `EN` (BabelNet's labels); None where it has none.
    """

    path: Path
    sha256: str
    release: str | None
    languages: Mapping[str, LanguageLabels]
    released_english: LanguageLabels | None

    @property
    def n_classes(self) -> dict[str, int]:
        """Number of classes by code, for `languages.resolve`."""
        return {code: len(labels) for code, labels in self.languages.items()}


@dataclass(frozen=True)
class PromptFile:
    """A file of prompts, read and checked.

    Attributes:
      path: where it lies.
      sha256: of its bytes.
      templates: templates by code, each with exactly one `{}`, in the file's order, repetitions kept.
    """

    path: Path
    sha256: str
    templates: Mapping[str, tuple[str, ...]]


def load_labels(path: Path | str | None = None, *, source: str = "auto", sha256: str | None = None) -> LabelFile:
    """Find a label file, check its bytes and read it.

    Args:
      path: a file `{CODE: [[class indices], [labels]]}`; `93` or `298` for a published one; None for the 93-key one.
      source: where a published file is taken from: `packaged` (clip-benchmark), `download`, or `auto`: the first where
        clip-benchmark is installed and ships it, else the second.
      sha256: what the file's bytes must have. Without it, a path whose file name is a published one must hold the
        published bytes, and a file of another name may hold anything.

    Returns:
      the labels, `EN` replaced by the 1000 OpenAI names.

    Raises:
      FileNotFoundError: there is no such file.
      ValueError: another sha256, no JSON, or a value that is not allowed; file, language, row and value are named.
      OSError: the download failed.
    """
    found, published = _locate(path, ("93", "298"), source)
    digest = _check_bytes(found, published, sha256)
    raw = _checked_mapping(found, "class indices and labels")
    languages = {code: _read_language(found, code, raw[code]) for code in sorted(raw)}
    released = languages.get("EN")
    languages["EN"] = english()
    release = next((file.key for file in PUBLISHED.values() if file.sha256 == digest), None)
    return LabelFile(found, digest, release, dict(sorted(languages.items())), released)


def load_prompts(path: Path | str | None = None, *, source: str = "auto", sha256: str | None = None) -> PromptFile:
    """Find a file of prompts, check its bytes and read it.

    Args:
      path: a file `{CODE: [template, ...]}`; None for the published one (NLLB-200 translations of the 80 by OpenAI).
      source: as for `load_labels`.
      sha256: as for `load_labels`.

    Raises:
      FileNotFoundError: there is no such file.
      ValueError: another sha256, no JSON, or a template without exactly one `{}`; file, language, row and template are
        named.
      OSError: the download failed.
    """
    found, published = _locate(path, ("prompts",), source)
    digest = _check_bytes(found, published, sha256)
    raw = _checked_mapping(found, "templates")
    templates = {code: tuple(_read_templates(found, code, raw[code])) for code in sorted(raw)}
    return PromptFile(found, digest, templates)


def labels_of(file: LabelFile, code: str) -> LanguageLabels:
    """Give a file's labels of one language, by any code or alias that `languages.resolve` knows.

    Raises:
      ValueError: no language is known by this code, or the file lacks it; the file that has it is named.
    """
    (found,) = resolve([code], file.n_classes)
    return file.languages[found]


@cache
def english() -> LanguageLabels:
    """Give the English labels: the 1000 class names by OpenAI."""
    return LanguageLabels("EN", _read_only(np.arange(N_CLASSES, dtype=np.int32)), english_class_names())


def _locate(path: Path | str | None, keys: tuple[str, ...], source: str) -> tuple[Path, Published | None]:
    if source not in SOURCES:
        raise ValueError(f"source {source!r} is not known; allowed: {', '.join(SOURCES)}")
    if path is not None and (str(path) not in keys or Path(path).exists()):
        given = Path(path).expanduser()
        if not given.is_file():
            raise FileNotFoundError(f"there is no file {given}; give a path, or one of: {', '.join(keys)}")
        return given, next((file for file in PUBLISHED.values() if file.name == given.name), None)
    published = PUBLISHED[keys[0] if path is None else str(path)]
    return _published_file(published, source), published


def _published_file(published: Published, source: str) -> Path:
    if source == "packaged" and not published.is_packaged:
        raise ValueError(f"{published.name} is in no package; allowed sources for it: auto, download")
    if source != "download" and published.is_packaged:
        try:
            return packaged_file(
                "clip-benchmark", f"clip_benchmark/datasets/{published.name}", published.sha256, "sample"
            )
        except (ImportError, FileNotFoundError):
            if source == "packaged":
                raise
    return fetch(REPOSITORY, COMMIT, f"data/{published.name}", published.sha256)


def _check_bytes(path: Path, published: Published | None, sha256: str | None) -> str:
    digest = sha256_of_file(path)
    expected = sha256 or (published.sha256 if published else None)
    if expected is not None and digest != expected.lower():
        why = "the sha256 that was asked for" if sha256 else f"that of the published {published and published.name}"
        raise ValueError(
            f"{path}: sha256 is {digest}, expected {expected} ({why}). The file is cut short, changed or another; get "
            "it again, or give a file of your own another name."
        )
    return digest


def _checked_mapping(path: Path, values: str) -> dict[str, Any]:
    raw = read_json(path)
    if not isinstance(raw, dict) or not raw:
        raise ValueError(f"{path}: expected an object of language codes and their {values}, got {_shown(raw)}")
    for code in raw:
        if not code or code != code.upper() or not code.replace("_", "").isalnum() or not code.isascii():
            raise ValueError(f"{path}: {code!r} is no language code; allowed: A-Z, 0-9 and _, e.g. ZH_YUE")
    return raw


def _read_language(path: Path, code: str, value: Any) -> LanguageLabels:
    where = f"{path}: language {code}"
    if not isinstance(value, list) or len(value) != 2 or not all(isinstance(part, list) for part in value):
        raise ValueError(f"{where}: expected [[class indices], [labels]], got {_shown(value)}")
    indices, labels = value
    if len(indices) != len(labels) or not labels:
        raise ValueError(f"{where}: expected as many labels as class indices, got {len(labels)} and {len(indices)}")
    _check_indices(where, indices)
    for row, label in enumerate(labels):
        if not isinstance(label, str) or not label or label != label.strip() or not _is_text(label):
            raise ValueError(f"{where}, row {row}: a label is text without space at its ends, got {_shown(label)}")
    return LanguageLabels(code, _read_only(np.array(indices, dtype=np.int32)), tuple(labels))


def _check_indices(where: str, indices: list[Any]) -> None:
    first_row: dict[int, int] = {}
    for row, index in enumerate(indices):
        if isinstance(index, bool) or not isinstance(index, int) or not 0 <= index < N_CLASSES:
            raise ValueError(f"{where}, row {row}: a class index is a whole number in 0..999, got {_shown(index)}")
        if first_row.setdefault(index, row) != row:
            raise ValueError(f"{where}, row {row}: class index {index} stands in row {first_row[index]} already")


def _read_templates(path: Path, code: str, value: Any) -> Iterator[str]:
    if not isinstance(value, list) or not value:
        raise ValueError(f"{path}: language {code}: expected a list of templates, got {_shown(value)}")
    for row, template in enumerate(value):
        if not isinstance(template, str) or template.count("{}") != 1 or not _is_text(template):
            raise ValueError(
                f"{path}: language {code}, row {row}: a template is text with exactly one {{}}, got {_shown(template)}"
            )
        yield template


def _is_text(text: str) -> bool:
    """Tell whether a string can be written as UTF-8: half a surrogate pair cannot."""
    return not any("\ud800" <= char <= "\udfff" for char in text)


def _read_only(array: np.ndarray) -> np.ndarray:
    array.setflags(write=False)
    return array


def _shown(value: Any) -> str:
    text = ascii(value) if isinstance(value, str) and not _is_text(value) else repr(value)
    return text if len(text) <= 80 else text[:77] + "..."
