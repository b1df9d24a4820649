"""Data files that other packages ship: located without importing those packages, checked by sha256 before use."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from importlib import metadata, util
from pathlib import Path

from babel_imagenet_dataset.files import sha256_of_file


def packaged_file(distribution: str, relative_path: str, sha256: str | None, extra: str | None) -> Path:
    """Locate a file of an installed package and check its bytes; the package's code is not run.

    Args:
      distribution: name of the distribution on the package index, e.g. `clip-benchmark`.
      relative_path: path below site-packages with forward slashes, e.g. `clip_benchmark/datasets/babel_imagenet.json`.
      sha256: 64 lower-case hex digits that the file must have; None leaves the check to the caller. A file is read
        for this once a process, and again only when its size or time of change differs.
      extra: the extra of babel-imagenet that brings the distribution (`sample`); None for what the library itself
        depends on.

    Returns:
      the path of the file.

    Raises:
      ImportError: the distribution is not installed; the message holds the pip line.
      FileNotFoundError: the installed version of the distribution has no such file.
      ValueError: the file's sha256 is another.
    """
    path = _locate(distribution, relative_path, extra)
    if sha256 is not None:
        status = path.stat()
        got = _sha256(path, status.st_size, status.st_mtime_ns)
        if got != sha256:
            raise ValueError(
                f"{path}: sha256 is {got}, expected {sha256}; the file is damaged or comes from another version of "
                f"{distribution} ({metadata.version(distribution)} is installed). {_reinstall(distribution, extra)}"
            )
    return path


def pip_line(extra: str | None) -> str:
    """Give the pip command that installs this project with an extra (None: without)."""
    return f'pip install "babel-imagenet[{extra}]"' if extra else "pip install babel-imagenet"


def _locate(distribution: str, relative_path: str, extra: str | None) -> Path:
    try:
        version = metadata.version(distribution)
    except metadata.PackageNotFoundError as error:
        needed_for = f"; it is part of the extra [{extra}]" if extra else ""
        raise ImportError(f"the package {distribution} is not installed{needed_for}. Run: {pip_line(extra)}") from error
    for path in _candidates(distribution, relative_path):
        if path.is_file():
            return path
    raise FileNotFoundError(
        f"{distribution} {version} is installed but holds no file {relative_path}. {_reinstall(distribution, extra)}"
    )


def _candidates(distribution: str, relative_path: str) -> Iterator[Path]:
    """Give where the file may lie: beside the distribution's metadata, else (editable install) in the package."""
    yield Path(str(metadata.distribution(distribution).locate_file(relative_path)))
    package, _, rest = relative_path.partition("/")
    found = util.find_spec(package)
    for folder in (found.submodule_search_locations or ()) if found else ():
        yield Path(folder) / rest


def _reinstall(distribution: str, extra: str | None) -> str:
    return f"Run: pip uninstall -y {distribution} && {pip_line(extra)}"


@lru_cache(maxsize=64)
def _sha256(path: Path, size: int, modified_ns: int) -> str:
    return sha256_of_file(path)
