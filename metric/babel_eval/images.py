"""Photos: where they lie, which class each shows, and their way through an encoder, each exactly once.

A photo's class comes from its wnid or its class index, never from the order of folders or files. A photo that cannot
be used is kept as a `Problem` with its name and the reason; nothing is left out in silence.
"""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from babel_imagenet_dataset.files import sha256_of_text
from babel_imagenet_dataset.imagenet import class_index_of, synsets, wnids

if TYPE_CHECKING:
    from PIL import Image

    from babel_eval.encoders.base import Encoder

NAMES = "names"
FEATURES = "features"
SUFFIXES = frozenset({".jpeg", ".jpg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff"})
FORMS = (
    "sample (20 photos, extra [sample]), names (no photos: English names stand in for them), a folder with one "
    "sub-folder for each wnid, a folder of n01440764_*.JPEG files, a Parquet file or a folder of them, "
    "hf:NAME:SPLIT (a dataset on disk or on the Hub)"
)
_WNID = re.compile(r"n\d{8}")


@dataclass(frozen=True)
class Photo:
    """One photo: its name within the set, its class, what identifies its bytes, and how to read it."""

    id: str
    class_index: int
    stamp: str
    read: Callable[[], Any] = field(compare=False, repr=False)


@dataclass(frozen=True)
class Problem:
    """A photo that could not be used, and why."""

    photo: str
    why: str


@dataclass(frozen=True)
class PhotoSet:
    """The photos of a run in a fixed order, and the files that are none of them."""

    name: str
    photos: tuple[Photo, ...]
    problems: tuple[Problem, ...] = ()

    @property
    def fingerprint(self) -> str:
        """64 hex digits over every photo's id, class and stamp (size and time, or content), in order."""
        return sha256_of_text(*(f"{p.id}\0{p.class_index}\0{p.stamp}" for p in self.photos))


@dataclass(frozen=True)
class ImageFeatures:
    """Features of the photos that could be read.

    Attributes:
      ids: name of each photo, [n_images].
      class_index: int64 [n_images], ImageNet's class index of each photo.
      features: float32 [n_images, dim], rows of length 1.
      problems: the photos that are not among them.
      kind: `photos`, or `names` where English class names stand in for photos.
    """

    ids: tuple[str, ...]
    class_index: np.ndarray
    features: np.ndarray
    problems: tuple[Problem, ...]
    kind: str = "photos"


def find_photos(images: str) -> PhotoSet:
    """List the photos that `--images` names, sorted by id; no photo is opened.

    Raises:
      ValueError: the form is unknown, nothing is there, or no photo has a known class.
    """
    if images == "sample":
        photo_set = _sample()
    elif images.startswith("hf:"):
        photo_set = _hugging_face(images)
    elif (path := Path(images)).suffix == ".parquet" and path.is_file():
        photo_set = _parquet(images, [path])
    elif path.is_dir():
        parquet = sorted(path.glob("*.parquet"))
        photo_set = _parquet(images, parquet) if parquet else _folder(path)
    else:
        raise ValueError(f"--images {images!r}: no such file or folder; allowed: {FORMS}")
    if not photo_set.photos:
        listed = "; ".join(f"{p.photo}: {p.why}" for p in photo_set.problems[:3]) or "the place is empty"
        raise ValueError(f"--images {images!r}: no photo with a known class there ({listed}); allowed: {FORMS}")
    return photo_set


def _sample() -> PhotoSet:
    from babel_eval.sample import sample_photos

    photos = [Photo(Path(path).name, index, "foolbox", Path(path).read_bytes) for path, index in sample_photos()]
    return PhotoSet("sample", tuple(sorted(photos, key=lambda photo: photo.id)))


def _folder(folder: Path) -> PhotoSet:
    """Take every image file below `folder`; its wnid is its folder's name, else the beginning of its own."""
    class_of = class_index_of()
    photos, problems = [], []
    for path in sorted(p for p in folder.rglob("*") if p.is_file() and p.suffix.lower() in SUFFIXES):
        name = path.relative_to(folder).as_posix()
        wnid = _wnid_of(path)
        if wnid is None:
            problems.append(Problem(name, "neither its folder nor its name begins with a wnid such as n01440764"))
        elif wnid not in class_of:
            problems.append(Problem(name, f"{wnid} is none of the 1000 ImageNet-1k classes"))
        else:
            stat = path.stat()
            photos.append(Photo(name, class_of[wnid], f"{stat.st_size} {stat.st_mtime_ns}", path.read_bytes))
    return PhotoSet(str(folder), tuple(photos), tuple(problems))


def _wnid_of(path: Path) -> str | None:
    for name in (path.parent.name, path.name):
        if match := _WNID.match(name):
            return match.group()
    return None


def _parquet(images: str, files: Sequence[Path]) -> PhotoSet:
    from datasets import load_dataset

    stamps = "; ".join(f"{f.name} {f.stat().st_size} {f.stat().st_mtime_ns}" for f in files)
    dataset = load_dataset("parquet", data_files=[str(f) for f in files], split="train")
    return _dataset_photos(images, dataset, stamps)


def _hugging_face(images: str) -> PhotoSet:
    """`hf:NAME:SPLIT`, where NAME is a dataset on the Hub or a folder that `save_to_disk` or `load_dataset` reads."""
    from datasets import DatasetDict, load_dataset, load_from_disk

    name, _, split = images.removeprefix("hf:").rpartition(":")
    if not name or not split:
        raise ValueError(f"--images {images!r}: the form is hf:NAME:SPLIT, for instance hf:ORG/imagenet-1k:validation")
    folder = Path(name)
    if (folder / "dataset_info.json").exists() or (folder / "dataset_dict.json").exists():
        dataset = load_from_disk(name)
        if isinstance(dataset, DatasetDict):
            if split not in dataset:
                raise ValueError(f"--images {images!r}: no split {split!r}; there is: {', '.join(dataset)}")
            dataset = dataset[split]
    else:
        dataset = load_dataset(name, split=split)
    return _dataset_photos(images, dataset, str(getattr(dataset, "_fingerprint", name)))


def _dataset_photos(name: str, dataset: Any, stamp: str) -> PhotoSet:
    """Take a dataset with an image column and a column of wnids or of class indices."""
    from datasets import ClassLabel
    from datasets import Image as ImageFeature

    columns = dataset.column_names
    image = next((c for c in ("image", "jpg", "jpeg", "png", "img") if c in columns), None)
    label = next((c for c in ("wnid", "class_index", "label", "cls", "labels") if c in columns), None)
    if image is None or label is None:
        raise ValueError(
            f"--images {name!r}: needs a column of photos (image, jpg, jpeg, png or img) and one of classes (wnid, "
            f"class_index, label, labels or cls); its columns are: {', '.join(columns)}"
        )
    dataset = dataset.cast_column(image, ImageFeature(decode=False))
    feature = dataset.features[label]
    values = dataset[label][:]
    if isinstance(feature, ClassLabel):
        values = _named_classes(name, label, feature.names, values)
    class_of: dict[Any, int] = {**class_index_of(), **{index: index for index in range(1000)}}
    photos, problems = [], []
    for row, value in enumerate(values):
        if value in class_of and not isinstance(value, bool):
            photos.append(Photo(f"row {row}", class_of[value], stamp, _reader(dataset, row, image)))
        else:
            problems.append(Problem(f"row {row}", f"{label} {value!r} is neither a wnid nor a class index in 0..999"))
    return PhotoSet(name, tuple(photos), tuple(problems))


def _named_classes(name: str, column: str, names: Sequence[str], values: Sequence[int | None]) -> list[Any]:
    """Turn a dataset's own label numbers into wnids or class indices; their order counts only if it is ImageNet's."""
    if all(_WNID.fullmatch(n) for n in names):
        return [None if v is None or v < 0 else names[v] for v in values]
    words = [{w.lower() for w in synset.lemmas} for synset in synsets()]
    known = sum(bool(w & set(re.split(r"\s*,\s*", n.lower()))) for w, n in zip(words, names, strict=False))
    if len(names) != len(words) or known < 0.9 * len(words):
        raise ValueError(
            f"--images {name!r}: its {len(names)} label names in column {column!r} are neither wnids nor ImageNet-1k's "
            f"1000 names in order ({known} agree); give a column `wnid` or `class_index` (0..999)"
        )
    return list(values)


def _reader(dataset: Any, row: int, column: str) -> Callable[[], bytes]:
    def read() -> bytes:
        cell = dataset[row][column]
        return cell["bytes"] if cell["bytes"] is not None else Path(cell["path"]).read_bytes()

    return read


def decode(photo: Photo) -> Image.Image:
    """Read and decode one photo as RGB.

    Raises:
      ValueError: the file is gone, is no image, is cut short, or is large enough to be a decompression bomb; the
        message says which.
    """
    from PIL import Image

    try:
        data = photo.read()
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(data)) as image:
                return image.convert("RGB")
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise ValueError(f"too large to be decoded safely: {error}") from error
    except (OSError, SyntaxError, ValueError, EOFError) as error:
        raise ValueError(f"cannot be read: {str(error) or type(error).__name__}") from error


def encode_photos(
    encoder: Encoder, photo_set: PhotoSet, *, batch_size: int = 32, workers: int = 2, progress: bool = False
) -> ImageFeatures:
    """Decode photos in worker threads ahead of the tower and encode them in batches, in the set's order.

    Returns:
      features of the photos that could be read, rows of length 1; the others are among its problems.
    """
    from tqdm import tqdm

    from babel_zsic.classification import unit_rows

    kept: list[Photo] = []
    problems = list(photo_set.problems)
    blocks = [np.zeros((0, encoder.dim), dtype=np.float32)]
    with tqdm(total=len(photo_set.photos), unit="photo", desc="photos", disable=not progress) as bar:
        for batch in _batches(_prepared(encoder, photo_set.photos, workers, 4 * batch_size), batch_size):
            good = [(photo, pixels) for photo, pixels in batch if not isinstance(pixels, ValueError)]
            problems += [Problem(photo.id, str(why)) for photo, why in batch if isinstance(why, ValueError)]
            if good:
                blocks.append(unit_rows(_encode(encoder, [pixels for _, pixels in good])))
                kept += [photo for photo, _ in good]
            bar.update(len(batch))
    ids, class_index = tuple(p.id for p in kept), np.array([p.class_index for p in kept], dtype=np.int64)
    return ImageFeatures(ids, class_index, np.concatenate(blocks), tuple(problems))


def _encode(encoder: Encoder, pixels: list[Any]) -> np.ndarray:
    import torch

    return encoder.encode_pixels(torch.stack(pixels))


def _prepared(encoder: Encoder, photos: Sequence[Photo], workers: int, ahead: int) -> Iterator[tuple[Photo, Any]]:
    """Give each photo with its pixels, or with the ValueError that says why there are none, in order."""

    def prepare(photo: Photo) -> Any:
        try:
            return encoder.preprocess(decode(photo))
        except ValueError as error:
            return error

    with ThreadPoolExecutor(max(1, workers)) as pool:
        waiting: list[tuple[Photo, Future[Any]]] = []
        for photo in photos:
            waiting.append((photo, pool.submit(prepare, photo)))
            if len(waiting) >= ahead:
                first, future = waiting.pop(0)
                yield first, future.result()
        for first, future in waiting:
            yield first, future.result()


def _batches(items: Iterable[Any], size: int) -> Iterator[list[Any]]:
    batch: list[Any] = []
    for item in items:
        batch.append(item)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch


def name_features(encoder: Encoder) -> ImageFeatures:
    """Let the text feature of each class's English name stand in for a photo of it: one row for each of 1000 classes.

    That is a perfect image tower, so only the text side is measured; results made with it say `names`. An adapter on
    the text tower is off meanwhile: images never see it.
    """
    from contextlib import nullcontext

    from babel_imagenet_dataset.imagenet import english_class_names
    from babel_zsic.classification import unit_rows

    with getattr(encoder, "without_adapter", nullcontext)():
        features = unit_rows(encoder.encode_texts(list(english_class_names()), "EN"))
    return ImageFeatures(tuple(wnids()), np.arange(1000, dtype=np.int64), features, (), kind=NAMES)
