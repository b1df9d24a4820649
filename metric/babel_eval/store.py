"""Features on disk, keyed by everything that determines them, so that no model is asked twice for the same photo.

    STORE/KEY/manifest.json          what the key was made of, for people
    STORE/KEY/00000.safetensors      features float32 [n, dim], class_index int64 [n] of the photos 0 … 1023
    STORE/KEY/00000.json             written last: key, sha256 of the array file, names, and the photos left out

A shard counts once its record is there and agrees with its bytes; a kill, a full disk or a foreign file leaves shards
that are made again, never wrong ones. Several runs may write to one store at once: a shard's place is taken whole, and
all of them write the same.
"""

from __future__ import annotations

import errno
import json
import logging
import os
import time
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from babel_eval.images import ImageFeatures, PhotoSet, Problem
from babel_imagenet_dataset.files import (
    atomic_path,
    check_writable,
    read_json,
    sha256_of_file,
    sha256_of_text,
    write_json,
)

if TYPE_CHECKING:
    from babel_eval.encoders.base import Encoder

FORMAT = "2"
SHARD = 1024

log = logging.getLogger(__name__)


def default_store() -> Path:
    """Give the folder for features: `BABEL_IMAGENET_STORE`, else `babel-imagenet/features` in the user's cache."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return Path(os.environ.get("BABEL_IMAGENET_STORE") or cache / "babel-imagenet" / "features")


def image_key(encoder: Encoder, photo_set: PhotoSet) -> str:
    """Give the key of a photo set's features: image tower (weights, structure, dtype, preprocessing) and photos.

    An adapter on the text side leaves the image tower as it is, so its photos are not encoded again.
    """
    return sha256_of_text(FORMAT, getattr(encoder, "image_fingerprint", encoder.fingerprint), photo_set.fingerprint)


class Rows:
    """Rows of several arrays (memory-mapped shards) under one numbering; what is taken out is copied, nothing else.

    It is indexed by a slice or by integers and then gives float32 [n, dim]; `numpy.asarray` gives all of it.
    """

    ndim = 2

    def __init__(self, parts: Sequence[np.ndarray], dim: int) -> None:
        self._parts = [part for part in parts if len(part)]
        self._starts = [0]
        for part in self._parts:
            self._starts.append(self._starts[-1] + len(part))
        self.shape = (self._starts[-1], dim)
        self.dtype = np.dtype(np.float32)

    def __len__(self) -> int:
        return self.shape[0]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        whole = self[:]
        return whole if dtype is None else whole.astype(dtype)

    def __getitem__(self, index: Any) -> np.ndarray:
        if isinstance(index, slice):
            index = np.arange(*index.indices(len(self)))
        rows = np.asarray(index)
        if rows.dtype == bool:
            rows = np.flatnonzero(rows)
        rows = rows.reshape(-1).astype(np.int64)
        rows = np.where(rows < 0, rows + len(self), rows)
        if len(rows) and not (rows.min() >= 0 and rows.max() < len(self)):
            raise IndexError(f"row {int(rows.max())} of {len(self)}")
        order = None if bool(np.all(rows[1:] >= rows[:-1])) else np.argsort(rows, kind="stable")
        rows = rows if order is None else rows[order]
        taken = np.empty((len(rows), self.shape[1]), dtype=np.float32)
        ends = np.searchsorted(rows, self._starts)
        for part, first, start, stop in zip(self._parts, self._starts, ends, ends[1:], strict=False):
            if start < stop:  # into its place at once: `mode` other than raise, or numpy takes a detour
                np.take(part, rows[start:stop] - first, axis=0, out=taken[start:stop], mode="clip")
        if order is not None:
            taken[order] = taken.copy()
        return taken if np.ndim(index) else taken[0]

    def part_of(self, row: int) -> int:
        """Give the number of the array that holds a row."""
        return bisect_right(self._starts, row) - 1


@dataclass(frozen=True)
class Shard:
    """Features of one stretch of a photo set, and whether it is the set's last."""

    images: ImageFeatures
    is_last: bool


_ABANDONED = 3600.0
"""Seconds without a write after which nobody is taken to write a file any more; a shard takes less than one."""


class FeatureStore:
    """A folder of features, one sub-folder a key."""

    def __init__(self, folder: Path | str) -> None:
        self.folder = Path(folder)

    def check(self) -> None:
        """Make sure, before any work, that features can be kept here; remove what killed runs had begun to write.

        Raises:
          OSError: they cannot; the message says where and what to do.
        """
        try:
            check_writable(self.folder)
        except OSError as error:
            why = error.strerror or str(error)
            raise OSError(
                f"features cannot be kept in {self.folder} ({why}); name another folder by --store"
            ) from error
        for begun in self.folder.glob("*/.*.part"):
            with suppress(FileNotFoundError):  # another process has finished it, or removes it, too
                if time.time() - begun.stat().st_mtime > _ABANDONED:
                    begun.unlink()

    def load(self, key: str) -> ImageFeatures | None:
        """Give the features kept under a key, memory-mapped; None where any shard is missing or damaged."""
        shards: list[Shard] = []
        while not shards or not shards[-1].is_last:
            shard = self.shard(key, len(shards))
            if shard is None:
                return None
            shards.append(shard)
        return joined([shard.images for shard in shards])

    def save(self, key: str, images: ImageFeatures) -> None:
        """Keep features that are there as a whole, in one shard."""
        self.save_shard(key, 0, images, is_last=True)

    def describe(self, key: str, content: Mapping[str, Any]) -> None:
        """Write down, for people, what a key stands for."""
        if not (self.folder / key / "manifest.json").is_file():
            write_json(self.folder / key / "manifest.json", {"format": FORMAT, **content})

    def shard(self, key: str, number: int) -> Shard | None:
        """Give one shard, memory-mapped; None where it is missing, damaged, or of another key."""
        array, record_path = self._paths(key, number)
        try:
            record = read_json(record_path)
            if record["key"] != key or record["sha256"] != sha256_of_file(array):
                log.warning("%s is damaged or foreign; it is made again", array)
                return None
            tensors = mapped(array)
            features, class_index = tensors["features"], np.array(tensors["class_index"])
            problems = tuple(Problem(p["photo"], p["why"]) for p in record["problems"])
            images = ImageFeatures(tuple(record["ids"]), class_index, features, problems, record["kind"])
            return Shard(images, bool(record["is_last"]))
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError) as error:
            log.warning("%s is damaged (%s); it is made again", array, error)
            return None

    def save_shard(self, key: str, number: int, images: ImageFeatures, *, is_last: bool) -> None:
        """Keep one shard; its record comes last, so that a kill leaves nothing that `shard` would take."""
        from safetensors.numpy import save

        array, record_path = self._paths(key, number)
        data = {"features": np.ascontiguousarray(images.features, dtype=np.float32), "class_index": images.class_index}
        with atomic_path(array) as part:
            part.write_bytes(save(data))
            sha256 = sha256_of_file(part)
        problems = [{"photo": p.photo, "why": p.why} for p in images.problems]
        record = {"key": key, "sha256": sha256, "is_last": is_last, "kind": images.kind}
        write_json(record_path, {**record, "ids": list(images.ids), "problems": problems})

    def _paths(self, key: str, number: int) -> tuple[Path, Path]:
        return self.folder / key / f"{number:05}.safetensors", self.folder / key / f"{number:05}.json"


def is_no_room(error: OSError) -> bool:
    """Say whether an error means that the disk, or the user's share of it, is full."""
    return error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def joined(parts: Sequence[ImageFeatures]) -> ImageFeatures:
    """Put the features of consecutive stretches together without copying them."""
    if len(parts) == 1:
        return parts[0]
    ids = tuple(name for part in parts for name in part.ids)
    problems = tuple(problem for part in parts for problem in part.problems)
    class_index = np.concatenate([part.class_index for part in parts])
    dim = parts[0].features.shape[1]
    features: Any = Rows([np.asarray(part.features) for part in parts], dim)
    return ImageFeatures(ids, class_index, features, problems, parts[0].kind)


def mapped(path: Path) -> dict[str, np.ndarray]:
    """Map the arrays of a safetensors file into memory, without reading them.

    Raises:
      ValueError: the file is cut short or is no safetensors.
    """
    kinds = {"F32": np.float32, "I64": np.int64}
    size = path.stat().st_size
    with open(path, "rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if not 2 <= length <= size - 8:
            raise ValueError(f"{path} is no safetensors file")
        header = json.loads(file.read(length))
    arrays: dict[str, np.ndarray] = {}
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        (start, end), shape = entry["data_offsets"], tuple(entry["shape"])
        if 8 + length + end > size:
            raise ValueError(f"{path} is cut short")
        if start == end:
            arrays[name] = np.empty(shape, dtype=kinds[entry["dtype"]])
        else:
            arrays[name] = np.memmap(path, kinds[entry["dtype"]], "r", 8 + length + start, shape)
    return arrays
