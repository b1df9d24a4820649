"""Files: written whole or not at all, and known by their sha256."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

_CHUNK = 1 << 20


def sha256_of_file(path: Path | str) -> str:
    """Give the sha256 of a file's bytes as 64 lower-case hex digits."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def sha256_of_text(*parts: str) -> str:
    """Give the sha256 of strings, each closed by its length, so that no two lists collide by joining."""
    digest = hashlib.sha256()
    for part in parts:
        data = part.encode("utf-8")
        digest.update(len(data).to_bytes(8, "little") + data)
    return digest.hexdigest()


@contextmanager
def atomic_path(path: Path | str) -> Iterator[Path]:
    """Hand out a path beside `path`; on a clean exit it takes `path`'s place, else it is removed.

    A kill at any moment leaves the old file or the new one. The folder is created if it is missing.
    """
    target = Path(path)
    with _refused_for(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{target.name}.", suffix=".part", dir=target.parent)
    os.close(handle)
    part = Path(name)
    try:
        yield part
        with _refused_for(target):
            with open(part, "rb") as file:
                os.fsync(file.fileno())
            os.chmod(part, 0o666 & ~_umask())
            os.replace(part, target)
    finally:
        part.unlink(missing_ok=True)


def check_replaceable(folder: Path, is_ours: Callable[[Path], bool], writer: str) -> None:
    """Make sure that nothing but what `writer` wrote is lost when a folder is replaced.

    Args:
      folder: an absolute path; there need not be anything.
      is_ours: tells of a file or folder inside whether the writer writes it.
      writer: what the error calls the writer: `build`.

    Raises:
      ValueError: the folder is a file, holds the current folder, or holds anything else; that is named.
    """
    if not folder.exists():
        return
    if not folder.is_dir() or folder == Path.cwd() or folder in Path.cwd().parents:
        raise ValueError(f"{folder} cannot be replaced: it is a file or the current folder; give another --out")
    foreign = next((str(path) for path in sorted(folder.rglob("*")) if not is_ours(path)), None)
    if foreign is not None:
        raise ValueError(
            f"{folder} holds what no {writer} wrote ({foreign}); give another --out, or remove it yourself"
        )


@contextmanager
def atomic_folder(path: Path | str) -> Iterator[Path]:
    """Hand out an empty folder beside `path`; on a clean exit it takes `path`'s place, else it is removed.

    What stood at `path` is moved aside before and removed after, so that a kill leaves no half-written folder there.
    """
    target = Path(path)
    with _refused_for(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        part = Path(tempfile.mkdtemp(prefix=f".{target.name}.", suffix=".part", dir=target.parent))
    try:
        yield part
        os.chmod(part, 0o777 & ~_umask())
        old = part.with_suffix(".old")
        if target.exists():
            os.replace(target, old)
        os.replace(part, target)
        shutil.rmtree(old, ignore_errors=True)
    finally:
        shutil.rmtree(part, ignore_errors=True)


@contextmanager
def _refused_for(target: Path) -> Iterator[None]:
    """Let what the system refuses name the path that was asked for, and not the one beside it."""
    try:
        yield
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(target)) from error


def check_writable(folder: Path) -> None:
    """Make sure, before any work, that files can be written into a folder, which is created if it is missing.

    Raises:
      OSError: they cannot, as the system says.
    """
    probe = folder / ".writable"
    with atomic_path(probe) as part:
        part.write_bytes(b"x")
    probe.unlink(missing_ok=True)  # other processes check at the same moment


def write_text(path: Path | str, text: str) -> None:
    """Write UTF-8 text with `\\n` line ends, whole or not at all."""
    with atomic_path(path) as part:
        part.write_bytes(text.encode("utf-8"))


def write_json(path: Path | str, value: Any) -> None:
    """Write JSON in UTF-8 (no NaN, no infinity), whole or not at all; the same value gives the same bytes."""
    write_text(path, json.dumps(value, ensure_ascii=False, indent=1, allow_nan=False) + "\n")


def read_json(path: Path | str) -> Any:
    """Read JSON in UTF-8.

    Raises:
      FileNotFoundError: there is no such file.
      ValueError: the file is cut short or is no JSON; the message names file, line and column. Or an object holds a
        key twice, of which the standard library would keep the last one in silence.
    """
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"), object_pairs_hook=_object)
    except RepeatedKeyError as error:
        raise ValueError(f"{path}: {error}") from error
    except json.JSONDecodeError as error:
        raise ValueError(f"{path}: no valid JSON at line {error.lineno}, column {error.colno} ({error.msg})") from error
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: not UTF-8 at byte {error.start}") from error


class RepeatedKeyError(ValueError):
    """A JSON object holds the same key twice."""


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        raise RepeatedKeyError(f"the key {next(key for key in found if keys.count(key) > 1)!r} stands twice")
    return found


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
