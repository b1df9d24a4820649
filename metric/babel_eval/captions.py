"""Retrieval sets: photos with captions in many languages, in the forms in which XTD, xFlickrCO and XM3600 are given."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any

from babel_eval.images import Photo, PhotoSet, Problem, file_stamp
from babel_eval.photo_sources import bytes_of, saved_dataset
from babel_imagenet_dataset.files import read_json

FORMS = (
    'a JSON file {"images": […], "captions": {language: [[caption, …], …]}}, XM3600\'s captions.jsonl, a folder with '
    "XTD's test_image_names.txt and test_1kcaptions_XX.txt, a folder with xFlickrCO's XX/test.jsonl or XX.jsonl, or "
    "hf:NAME:SPLIT"
)
_SUFFIXES = ("", ".jpg", ".jpeg", ".png")


@dataclass(frozen=True)
class CaptionSet:
    """Photos and their captions.

    Attributes:
      name: of the set (`xtd`).
      images: name of each photo.
      captions: language as the set names it → captions of each photo, in the order of `images`; a photo may have none.
      cells: photos that come with the set rather than as files, by name.
    """

    name: str
    images: tuple[str, ...]
    captions: Mapping[str, tuple[tuple[str, ...], ...]]
    cells: Mapping[str, Photo] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if len(set(self.images)) != len(self.images):
            twice = next(i for i in self.images if self.images.count(i) > 1)
            raise ValueError(f"{self.name}: photo {twice} stands there twice")
        for name, captions in self.captions.items():
            if len(captions) != len(self.images):
                raise ValueError(f"{self.name}: {name} has captions for {len(captions)} photos of {len(self.images)}")

    def blank(self, name: str) -> list[int]:
        """Give the places of photos that have a blank caption in a language."""
        return [i for i, captions in enumerate(self.captions[name]) if any(not c.strip() for c in captions)]


def load_captions(
    dataset: str,
    *,
    image_column: str = "image",
    caption_column: str = "caption",
    language_column: str = "language",
) -> CaptionSet:
    """Read a retrieval set.

    Args:
      dataset: a path or `hf:NAME:SPLIT`; see `FORMS`. The set's name is the file's, or the folder's, without suffix.
      image_column: of an `hf:` dataset: the photo, or its file name.
      caption_column: a caption, or a list of them.
      language_column: the caption's language; several rows may hold the same photo.

    Raises:
      ValueError: no such place, another form, or a line that is not what its form says (file and line are named).
    """
    if dataset.startswith("hf:"):
        return _hugging_face(dataset, image_column, caption_column, language_column)
    path = Path(dataset)
    if path.is_file() and path.suffix == ".json":
        return _reference(path)
    if path.is_file() and path.suffix == ".jsonl":
        return _xm3600(path)
    if (path / "test_image_names.txt").is_file():
        return _xtd(path)
    files = sorted([*path.glob("*/test.jsonl"), *path.glob("*.jsonl")]) if path.is_dir() else []
    if files:
        return _xflickrco(path, files)
    raise ValueError(f"--dataset {dataset!r}: no such file or folder, or none of the known forms: {FORMS}")


def photos_of(captions: CaptionSet, root: Path | str | None) -> PhotoSet:
    """Find the photos of a set below a folder, by name with or without a suffix; what is not there is a problem.

    Raises:
      ValueError: the photos are files and no folder was given, or it is none.
    """
    if not captions.cells and (root is None or not Path(root).is_dir()):
        raise ValueError(f"--image-root {root}: the photos of {captions.name} are files; give the folder they lie in")
    photos, problems = [], []
    for name in captions.images:
        if name in captions.cells:
            photos.append(captions.cells[name])
            continue
        path = next((p for s in _SUFFIXES if (p := Path(root or ".") / f"{name}{s}").is_file()), None)
        if path is None:
            problems.append(Problem(name, f"is not in {root}"))
        else:
            photos.append(Photo(name, -1, file_stamp(path), path.read_bytes))
    return PhotoSet(captions.name, tuple(photos), tuple(problems))


def _reference(path: Path) -> CaptionSet:
    content = read_json(path)
    if not isinstance(content, dict) or not {"images", "captions"} <= set(content):
        raise ValueError(f'{path}: needs "images" and "captions"')
    captions = {
        name: tuple(tuple(c) if isinstance(c, list) else (str(c),) for c in lists)
        for name, lists in content["captions"].items()
    }
    return CaptionSet(path.stem, tuple(map(str, content["images"])), captions)


def _lines(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    with open(path, encoding="utf-8") as file:
        for number, line in enumerate(file, start=1):
            try:
                yield number, json.loads(line)
            except json.JSONDecodeError as error:
                raise ValueError(f"{path}: line {number} is no JSON ({error.msg})") from error


def _xm3600(path: Path) -> CaptionSet:
    """One line a photo: `image/key`, and for each language an object with a list `caption`."""
    found: dict[str, dict[str, list[str]]] = {}
    for number, line in _lines(path):
        if "image/key" not in line:
            raise ValueError(f"{path}: line {number} has no image/key")
        texts = {k: list(v["caption"]) for k, v in line.items() if isinstance(v, dict) and "caption" in v}
        if str(line["image/key"]) in found:
            raise ValueError(f"{path}: line {number}: photo {line['image/key']} stands there twice")
        found[str(line["image/key"])] = texts
    return _set("xm3600" if path.stem == "captions" else path.stem, found)


def _xtd(folder: Path) -> CaptionSet:
    """`test_image_names.txt`, and a file of as many lines for each language."""
    images = _text_lines(folder / "test_image_names.txt")
    captions = {}
    for path in sorted(folder.glob("test_1kcaptions_*.txt")):
        lines = _text_lines(path)
        captions[path.stem.removeprefix("test_1kcaptions_")] = tuple((line,) for line in lines)
    if not captions:
        raise ValueError(f"{folder}: there is no test_1kcaptions_XX.txt beside test_image_names.txt")
    return CaptionSet(folder.name, tuple(images), captions)


def _text_lines(path: Path) -> list[str]:
    """Give the lines of a file; only a line feed ends one (`str.splitlines` also cuts at marks inside captions)."""
    with open(path, encoding="utf-8-sig") as file:
        return [line.rstrip("\n") for line in file]


def _xflickrco(folder: Path, files: Sequence[Path]) -> CaptionSet:
    """A file a language; a line has `img_path` and `sentences`."""
    found: dict[str, dict[str, list[str]]] = {}
    for path in files:
        name = path.parent.name if path.name == "test.jsonl" else path.stem
        for number, line in _lines(path):
            if not {"img_path", "sentences"} <= set(line):
                raise ValueError(f"{path}: line {number} has no img_path and sentences")
            found.setdefault(str(line["img_path"]), {}).setdefault(name, []).extend(line["sentences"])
    return _set(folder.name, found)


def _hugging_face(dataset: str, image: str, caption: str, language: str) -> CaptionSet:
    from datasets import Image as ImageFeature
    from datasets import load_dataset

    name, _, split = dataset.removeprefix("hf:").rpartition(":")
    if not name:
        raise ValueError(f"--dataset {dataset!r}: the form is hf:NAME:SPLIT")
    table = saved_dataset(f"--dataset {dataset!r}", name, split)
    table = load_dataset(name, split=split) if table is None else table
    if missing := [c for c in (image, caption, language) if c not in table.column_names]:
        raise ValueError(
            f"--dataset {dataset!r}: lacks the columns {', '.join(missing)}; it has: {', '.join(table.column_names)} "
            "(see --image-column, --caption-column, --language-column)"
        )
    has_bytes = isinstance(table.features[image], ImageFeature)
    if has_bytes:
        table = table.cast_column(image, ImageFeature(decode=False))
    found: dict[str, dict[str, list[str]]] = {}
    cells = _Cells(table, image)
    for row, entry in enumerate(table):
        key = cells.name_of(row, entry[image]) if has_bytes else str(entry[image])
        texts = entry[caption] if isinstance(entry[caption], list) else [entry[caption]]
        found.setdefault(key, {}).setdefault(str(entry[language]), []).extend(t or "" for t in texts)
    return _set(Path(name).name, found, cells.photos)


class _Cells:
    """The photos in a column of a dataset, by name: each row's, and rows of equal path and bytes hold the same one.

    A path alone says little: `datasets` keeps only its last part.
    """

    def __init__(self, table: Any, column: str) -> None:
        self._table, self._column = table, column
        self._names: dict[tuple[str, str], str] = {}
        self.photos: dict[str, Photo] = {}

    def name_of(self, row: int, cell: Mapping[str, Any] | None) -> str:
        """Give the name of a row's photo: its path, with a mark where another photo has that name already."""
        path = str((cell or {}).get("path") or "")
        stamp = self._stamp(row, cell)
        if (path, stamp) not in self._names:
            name = path or stamp[:16]
            name = f"{name} {stamp[:16]}" if name in self.photos else name
            self._names[path, stamp] = name
            self.photos[name] = Photo(name, -1, stamp, partial(self._read, row))
        return self._names[path, stamp]

    def _stamp(self, row: int, cell: Mapping[str, Any] | None) -> str:
        if cell is None or (cell["bytes"] is None and not cell["path"]):
            return f"row {row}"
        if cell["bytes"] is not None:
            return sha256(cell["bytes"]).hexdigest()
        return file_stamp(Path(cell["path"])) if Path(cell["path"]).is_file() else ""

    def _read(self, row: int) -> bytes:
        return bytes_of(self._table[row][self._column])


def _set(
    name: str, found: Mapping[str, Mapping[str, list[str]]], cells: Mapping[str, Photo] | None = None
) -> CaptionSet:
    languages = sorted({code for texts in found.values() for code in texts})
    captions = {code: tuple(tuple(texts.get(code, ())) for texts in found.values()) for code in languages}
    return CaptionSet(name, tuple(found), captions, cells or {})
