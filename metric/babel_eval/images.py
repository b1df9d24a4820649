"""Photos: where they lie, which class each shows, and their way through an encoder, each exactly once.

A photo's class comes from its wnid or its class index, never from the order of folders or files. A photo that cannot
be used is kept as a `Problem` with its name and the reason; nothing is left out in silence.
"""

from __future__ import annotations

import io
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from babel_imagenet_dataset.files import sha256_of_text
from babel_imagenet_dataset.imagenet import wnids

if TYPE_CHECKING:
    from PIL import Image

    from babel_eval.encoders.base import Encoder

NAMES = "names"
FEATURES = "features"


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
    """The photos of a run in a fixed order, and the files that are none of them.

    A stream (`photos` is empty then) gives its photos from a place on, and what identifies it is its `stamp`.
    """

    name: str
    photos: tuple[Photo, ...]
    problems: tuple[Problem, ...] = ()
    stream: Callable[[int], Iterator[Photo | Problem]] | None = None
    stamp: str = ""

    def items(self, start: int = 0) -> Iterator[Photo | Problem]:
        """Give the photos from a place on, in order; of a stream also those that have no known class."""
        return iter(self.photos[start:]) if self.stream is None else self.stream(start)

    @property
    def n_photos(self) -> int | None:
        """Number of photos; None for a stream, which is not known before its end."""
        return len(self.photos) if self.stream is None else None

    @property
    def fingerprint(self) -> str:
        """64 hex digits over every photo's id, class and stamp (size and time, or content), in order.

        A stream is known by its name and what its source says of its version.
        """
        if self.stream is not None:
            return sha256_of_text("stream", self.name, self.stamp)
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


def file_stamp(path: Path) -> str:
    """Give a file's size and time of change, by which it is known to be the same."""
    stat = path.stat()
    return f"{stat.st_size} {stat.st_mtime_ns}"


def decode(photo: Photo) -> Image.Image:
    """Read and decode one photo as RGB.

    Raises:
      ValueError: the file is gone, is no image, is cut short, or is large enough to be a decompression bomb; the
        message says which.
    """
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(io.BytesIO(photo.read())) as image:
            if Image.MAX_IMAGE_PIXELS and image.width * image.height > Image.MAX_IMAGE_PIXELS:
                raise Image.DecompressionBombError(f"{image.width} x {image.height} pixels")
            return image.convert("RGB")
    except Image.DecompressionBombError as error:
        raise ValueError(f"too large to be decoded safely: {error}") from error
    except UnidentifiedImageError as error:
        raise ValueError("cannot be read: it is no image of a known format") from error
    except (OSError, SyntaxError, ValueError, EOFError) as error:
        raise ValueError(f"cannot be read: {str(error) or type(error).__name__}") from error


def photo_features(photos: Sequence[Photo], features: np.ndarray, problems: Iterable[Problem]) -> ImageFeatures:
    """Put photos and their features together."""
    class_index = np.array([p.class_index for p in photos], dtype=np.int64)
    return ImageFeatures(tuple(p.id for p in photos), class_index, features, tuple(problems))


def encoded(
    encoder: Encoder, items: Iterable[Photo | Problem], batch_size: int, workers: int, cut: int = 0
) -> Iterator[tuple[list[Photo], np.ndarray, list[Problem]]]:
    """Encode photos batch by batch, each batch holding at most `batch_size` consecutive items.

    No batch holds items of two stretches of `cut` items, while decoding runs ahead over their border.

    Yields:
      the photos that could be read, their features float32 [n, dim] with rows of length 1, and the items that gave
      none, each with the reason.
    """
    from babel_zsic.classification import unit_rows

    for batch in _batches(_prepared(encoder, items, workers, 4 * batch_size), batch_size, cut):
        good = [
            (item, pixels) for item, pixels in batch if isinstance(item, Photo) and not isinstance(pixels, ValueError)
        ]
        bad = [item if isinstance(item, Problem) else Problem(item.id, str(why)) for item, why in batch
               if isinstance(item, Problem) or isinstance(why, ValueError)]  # fmt: skip
        features = np.zeros((0, encoder.dim), dtype=np.float32)
        if good:
            features = unit_rows(_encode(encoder, [pixels for _, pixels in good]))
        yield [photo for photo, _ in good], features, bad


def _encode(encoder: Encoder, pixels: list[Any]) -> np.ndarray:
    import torch

    return encoder.encode_pixels(torch.stack(pixels))


def _prepared(
    encoder: Encoder, items: Iterable[Photo | Problem], workers: int, ahead: int
) -> Iterator[tuple[Photo | Problem, Any]]:
    """Give each photo with its pixels, or with the ValueError that says why there are none, in order."""

    def prepare(item: Photo | Problem) -> Any:
        if isinstance(item, Problem):
            return None
        try:
            return encoder.preprocess(decode(item))
        except ValueError as error:
            return error

    pool = ThreadPoolExecutor(max(1, workers))
    try:
        waiting: deque[tuple[Photo | Problem, Future[Any]]] = deque()
        for item in items:
            waiting.append((item, pool.submit(prepare, item)))
            if len(waiting) >= ahead:
                first, future = waiting.popleft()
                yield first, future.result()
        while waiting:
            first, future = waiting.popleft()
            yield first, future.result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _batches(items: Iterable[Any], size: int, cut: int) -> Iterator[list[Any]]:
    batch: list[Any] = []
    for number, item in enumerate(items, 1):
        batch.append(item)
        if len(batch) == size or (cut and number % cut == 0):
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
