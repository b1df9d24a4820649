"""WebDataset tars by their headers: where each image lies, and what its sample says of its class."""

from __future__ import annotations

import tarfile
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Any

from babel_eval.images import Problem

SUFFIXES = frozenset({".jpeg", ".jpg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff"})


def tar_index(file: Path) -> tuple[list[tuple[str, tuple[int, int], Any]], list[Problem]]:
    """Give each image's name, place and class mark, and the images that are no sample's photo.

    A sample is what shares a name up to its first dot.

    Raises:
      ValueError: the file is no tar, or is cut short.
    """
    images: dict[str, tuple[str, tuple[int, int]]] = {}
    labels: dict[str, Any] = {}
    problems: list[Problem] = []
    try:
        with tarfile.open(file, "r:") as tar:
            for member in tar:
                path = PurePosixPath(member.name)
                stem, dot, extension = path.name.partition(".")
                key = f"{path.parent}/{stem}"
                if not member.isfile() or not dot:
                    continue
                if f".{extension.lower()}" in SUFFIXES and key in images:
                    problems.append(Problem(member.name, f"its sample has a photo already, {images[key][0]}"))
                elif f".{extension.lower()}" in SUFFIXES:
                    images[key] = member.name, (member.offset_data, member.size)
                elif path.suffix.lower() in SUFFIXES:
                    problems.append(
                        Problem(member.name, "no photo of a sample: those are named KEY.jpg, one dot alone")
                    )
                elif extension == "cls" and (content := tar.extractfile(member)) is not None:
                    text = content.read(64).decode("ascii", "replace").strip()
                    labels[key] = int(text) if text.isdecimal() else text
    except (tarfile.TarError, EOFError, OSError) as error:
        raise ValueError(f"{file}: cannot be read as a tar ({error})") from error
    if not _ends_as_a_tar(file):
        problems.append(Problem("", "ends without a tar's end mark: it may be cut short, and photos be missing"))
    return [(name, place, labels.get(key)) for key, (name, place) in images.items()], problems


def _ends_as_a_tar(file: Path) -> bool:
    """Say whether a file ends with the two empty blocks that end a tar."""
    with open(file, "rb") as tar:
        tar.seek(max(0, file.stat().st_size - 1024))
        return tar.read() == bytes(1024)


def slice_reader(file: Path, offset: int, size: int) -> Callable[[], bytes]:
    """Give what reads a stretch of a file, and raises EOFError where the file ends before it."""

    def read() -> bytes:
        with open(file, "rb") as tar:
            tar.seek(offset)
            data = tar.read(size)
        if len(data) < size:
            raise EOFError(f"{file} is cut short")
        return data

    return read
