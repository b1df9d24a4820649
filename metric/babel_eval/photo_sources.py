"""Where photos come from: folders, Parquet, WebDataset tars, datasets on disk and on the Hub.

Every source gives each photo its class by wnid or by ImageNet's class index, never by order, and reads its bytes only
when they are asked for, from where they lie.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache, lru_cache, partial
from pathlib import Path, PurePosixPath
from typing import Any

from babel_eval.images import Photo, PhotoSet, Problem, file_stamp
from babel_eval.tar_photos import SUFFIXES, slice_reader, tar_index
from babel_imagenet_dataset.imagenet import class_index_of, synsets

_IMAGE_COLUMNS = ("image", "jpg", "jpeg", "png", "webp", "img")
_CLASS_COLUMNS = ("wnid", "class_index", "label", "cls", "labels")
_WNID = re.compile(r"n\d{8}")

FORMS = (
    "sample (20 photos, extra [sample]), names (no photos: English names stand in for them), a folder with one "
    "sub-folder for each wnid, a folder of n01440764_*.JPEG files, a Parquet file or a folder of them, a WebDataset "
    "tar or a folder of them, hf:NAME:SPLIT (a dataset on disk, or read as a stream from a folder or the Hub)"
)


def find_photos(images: str) -> PhotoSet:
    """List the photos that `--images` names, in a fixed order; no photo is opened, and none is copied.

    Raises:
      ValueError: the form is unknown, nothing is there, or no photo has a known class.
    """
    path = Path(images)
    if images == "sample":
        photo_set = sample()
    elif images.startswith("hf:"):
        photo_set = hugging_face(images)
    elif path.suffix in (".parquet", ".tar") and path.is_file():
        photo_set = (parquet if path.suffix == ".parquet" else tars)(images, [path])
    elif path.is_dir():
        photo_set = _in_folder(images, path)
    else:
        what = "a file of no known form" if path.exists() else "no such file or folder"
        raise ValueError(f"--images {images!r}: {what}; allowed: {FORMS}")
    if not photo_set.photos and photo_set.stream is None:
        listed = "; ".join(f"{p.photo}: {p.why}" for p in photo_set.problems[:3]) or "the place is empty"
        raise ValueError(f"--images {images!r}: no photo with a known class there ({listed}); allowed: {FORMS}")
    return photo_set


def _in_folder(images: str, path: Path) -> PhotoSet:
    kinds = {".parquet files": sorted(path.glob("*.parquet")), ".tar files": sorted(path.glob("*.tar"))}
    kinds["folders of a class"] = sorted(p for p in path.iterdir() if _WNID.fullmatch(p.name) and p.is_dir())
    there = [kind for kind, found in kinds.items() if found]
    if len(there) > 1:
        raise ValueError(f"--images {images!r}: holds {' and '.join(there)}; name one of them, or move them apart")
    if kinds[".parquet files"]:
        return parquet(images, kinds[".parquet files"])
    return tars(images, kinds[".tar files"]) if kinds[".tar files"] else folder(path)


def sample() -> PhotoSet:
    """Give the 20 photos that the extra [sample] brings."""
    from babel_eval.sample import sample_photos

    photos = [Photo(Path(path).name, index, "foolbox", Path(path).read_bytes) for path, index in sample_photos()]
    return PhotoSet("sample", tuple(sorted(photos, key=lambda photo: photo.id)))


def folder(folder: Path) -> PhotoSet:
    """Take every image file below a folder, links followed; its wnid is its folder's name, else its own beginning.

    Raises:
      OSError: a folder cannot be read.
    """
    found: list[Photo | Problem] = []
    for path in sorted(_files_below(folder)):
        name, wnid = path.relative_to(folder).as_posix(), _wnid_of(path.parent.name, path.name)
        if path.is_dir():
            found.append(Problem(name, "a link to a folder that is read already under another name"))
        elif path.suffix.lower() not in SUFFIXES:
            continue
        elif not path.exists():
            found.append(Problem(name, "a link that leads nowhere"))
        elif wnid is None:
            found.append(Problem(name, "neither its folder nor its name begins with a wnid such as n01440764"))
        else:
            found.append(_with_class(name, wnid, "", file_stamp(path), path.read_bytes))
    return _listed(str(folder), found)


def _files_below(folder: Path) -> Iterator[Path]:
    """Give every file below a folder, and of folders that are met a second time by a link, the folder itself."""

    def refuse(error: OSError) -> None:
        raise error

    seen: set[Path] = set()
    for place, folders, files in os.walk(folder, followlinks=True, onerror=refuse):
        folders.sort()
        if (real := Path(place).resolve()) in seen:
            folders.clear()
            yield Path(place)
            continue
        seen.add(real)
        yield from (Path(place) / file for file in files)


def tars(images: str, files: Sequence[Path]) -> PhotoSet:
    """Take WebDataset tars: `KEY.jpg` with `KEY.cls` (a wnid or class index), or a wnid in the name.

    The tars are indexed by their headers; photos are read from their places.

    Raises:
      ValueError: a file is no tar, or is cut short.
    """
    found: list[Photo | Problem] = []
    for file in files:
        stamp = file_stamp(file)
        members, problems = tar_index(file)
        found += [Problem(f"{file.name}/{problem.photo}".rstrip("/"), problem.why) for problem in problems]
        for name, (offset, size), label in members:
            photo, read = f"{file.name}/{name}", slice_reader(file, offset, size)
            value = label if label is not None else _wnid_of(PurePosixPath(name).parent.name, PurePosixPath(name).name)
            if value is None:
                found.append(Problem(photo, "no .cls beside it, and no wnid such as n01440764 in its name"))
            else:
                found.append(_with_class(photo, value, ".cls ", stamp, read))
    return _listed(images, found)


def parquet(images: str, files: Sequence[Path]) -> PhotoSet:
    """Take Parquet files with a column of photos and one of classes; only the classes are read here."""
    import pyarrow.parquet as pq
    from datasets import Features

    found: list[Photo | Problem] = []
    row = 0
    for file in files:
        table = pq.ParquetFile(file)
        image, label = _columns(images, table.schema_arrow.names)
        values = pq.read_table(file, columns=[label])[label].to_pylist()
        values = _values(images, label, Features.from_arrow_schema(table.schema_arrow)[label], values)
        stamp = f"{file.name} {file_stamp(file)}"
        reader = _ParquetReader(file, image)
        for within, value in enumerate(values):
            found.append(_with_class(f"row {row}", value, f"{label} ", stamp, partial(reader, within)))
            row += 1
    return _listed(images, found)


def hugging_face(images: str) -> PhotoSet:
    """Take `hf:NAME:SPLIT`: a folder that `save_to_disk` wrote, mapped; any other dataset, as a stream."""
    name, _, split = images.removeprefix("hf:").rpartition(":")
    if not name or not split:
        raise ValueError(f"--images {images!r}: the form is hf:NAME:SPLIT, for instance hf:ORG/imagenet-1k:validation")
    dataset = saved_dataset(f"--images {images!r}", name, split)
    return _stream(images, name, split) if dataset is None else _mapped(images, dataset)


def saved_dataset(given: str, name: str, split: str) -> Any | None:
    """Give a dataset that `save_to_disk` wrote, mapped; None where the name is no folder with one.

    Raises:
      ValueError: it has splits, and not this one; the message begins with what was given.
    """
    from datasets import DatasetDict, load_from_disk

    if not any((Path(name) / file).exists() for file in ("dataset_info.json", "dataset_dict.json")):
        return None
    dataset = load_from_disk(name)
    if not isinstance(dataset, DatasetDict):
        return dataset
    if split not in dataset:
        raise ValueError(f"{given}: no split {split!r}; there is: {', '.join(dataset)}")
    return dataset[split]


def _mapped(images: str, dataset: Any) -> PhotoSet:
    from datasets import Image as ImageFeature

    image, label = _columns(images, dataset.column_names)
    dataset = dataset.cast_column(image, ImageFeature(decode=False))
    values = _values(images, label, dataset.features[label], dataset[label][:])
    stamp = str(dataset._fingerprint)

    def read(row: int) -> bytes:
        return bytes_of(dataset[row][image])

    found = [_with_class(f"row {i}", v, f"{label} ", stamp, partial(read, i)) for i, v in enumerate(values)]
    return _listed(images, found)


def _stream(images: str, name: str, split: str) -> PhotoSet:
    """Read a dataset row by row as it comes; nothing of it is written to disk."""
    from datasets import Image as ImageFeature
    from datasets import load_dataset, load_dataset_builder

    builder = load_dataset_builder(name)
    dataset = load_dataset(name, split=split, streaming=True)
    features = dataset.features or dataset._resolve_features().features
    image, label = _columns(images, list(features))
    dataset = dataset.cast_column(image, ImageFeature(decode=False))

    def items(start: int) -> Iterator[Photo | Problem]:
        for row, example in enumerate(dataset.skip(start), start):
            value = _values(images, label, features[label], [example[label]])[0]
            yield _with_class(f"row {row}", value, f"{label} ", "", partial(bytes_of, example[image]))

    return PhotoSet(images, (), stream=items, stamp=f"{builder.hash} {builder.config_id} {builder.info.version}")


def _listed(name: str, found: Sequence[Photo | Problem]) -> PhotoSet:
    photos = tuple(item for item in found if isinstance(item, Photo))
    return PhotoSet(name, photos, tuple(item for item in found if isinstance(item, Problem)))


def _with_class(name: str, value: Any, what: str, stamp: str, read: Callable[[], bytes]) -> Photo | Problem:
    """Give a photo its class; a value that is no class makes it a problem."""
    known = _classes()
    if isinstance(value, bool) or value not in known:
        if what:
            return Problem(name, f"{what}{value!r} is neither a wnid nor a class index in 0..999")
        return Problem(name, f"{value} is none of the 1000 ImageNet-1k classes")
    return Photo(name, known[value], stamp, read)


@cache
def _classes() -> Mapping[Any, int]:
    return {**class_index_of(), **{index: index for index in range(1000)}}


def _wnid_of(*names: str) -> str | None:
    return next((match.group() for name in names if (match := _WNID.match(name))), None)


def _columns(images: str, columns: Sequence[str]) -> tuple[str, str]:
    image = next((c for c in _IMAGE_COLUMNS if c in columns), None)
    label = next((c for c in _CLASS_COLUMNS if c in columns), None)
    if image is None or label is None:
        raise ValueError(
            f"--images {images!r}: needs a column of photos ({', '.join(_IMAGE_COLUMNS)}) and one of classes "
            f"({', '.join(_CLASS_COLUMNS)}); its columns are: {', '.join(columns)}"
        )
    return image, label


def _values(images: str, column: str, feature: Any, values: Sequence[Any]) -> list[Any]:
    """Turn a dataset's own label numbers into wnids or class indices; their order counts only if it is ImageNet's."""
    names = getattr(feature, "names", None)
    if names is None:
        return list(values)
    if all(_WNID.fullmatch(name) for name in names):
        return [None if v is None or v < 0 else names[v] for v in values]
    known = _agreeing(tuple(names))
    if len(names) != len(synsets()) or known < 0.9 * len(names):
        raise ValueError(
            f"--images {images!r}: its {len(names)} label names in column {column!r} are neither wnids nor "
            f"ImageNet-1k's 1000 names in order ({known} agree); give a column `wnid` or `class_index` (0..999)"
        )
    return list(values)


@lru_cache(maxsize=8)
def _agreeing(names: tuple[str, ...]) -> int:
    words = ({word.lower() for word in synset.lemmas} for synset in synsets())
    pairs = zip(words, names, strict=False)
    return sum(bool(known & set(re.split(r"\s*,\s*", name.lower()))) for known, name in pairs)


def bytes_of(cell: Mapping[str, Any] | None) -> bytes:
    """Give the bytes of a photo as `datasets` holds it undecoded.

    Raises:
      ValueError: the row has none.
    """
    if cell is None or (cell["bytes"] is None and not cell["path"]):
        raise ValueError("there is no photo in this row")
    return cell["bytes"] if cell["bytes"] is not None else Path(cell["path"]).read_bytes()


class _ParquetReader:
    """Reads single rows of a column; the row groups last read are kept, since neighbours are asked for next."""

    def __init__(self, file: Path, column: str) -> None:
        import pyarrow.parquet as pq

        metadata = pq.read_metadata(file)
        self._starts = [0]
        for group in range(metadata.num_row_groups):
            self._starts.append(self._starts[-1] + metadata.row_group(group).num_rows)
        self._group = lru_cache(maxsize=2)(lambda number: pq.ParquetFile(file).read_row_group(number, [column])[column])

    def __call__(self, row: int) -> bytes:
        from bisect import bisect_right

        group = bisect_right(self._starts, row) - 1
        cell = self._group(group)[row - self._starts[group]].as_py()
        return cell if isinstance(cell, bytes) else bytes_of(cell)
