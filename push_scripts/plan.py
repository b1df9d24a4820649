"""What a push would change: files here, files there, and the difference. Pure; no network, no clock."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path, PurePosixPath

from babel_imagenet_dataset.files import sha256_of_file

# What Python, editors and tests leave in a folder; never published, and named when it is left out.
DEBRIS_FOLDERS = frozenset({"__pycache__", "tests", "node_modules"})
DEBRIS_ENDINGS = (".pyc", ".pyo", ".part", ".tmp", ".swp", ".orig", ".rej", "~")


@dataclass(frozen=True)
class LocalFile:
    """A file to publish: a path on disk or bytes at hand."""

    source: Path | bytes

    @property
    def content(self) -> bytes:
        """The bytes, read anew from disk each time."""
        return self.source if isinstance(self.source, bytes) else self.source.read_bytes()

    @cached_property
    def size(self) -> int:
        """Size in bytes."""
        return len(self.source) if isinstance(self.source, bytes) else self.source.stat().st_size

    @cached_property
    def sha256(self) -> str:
        """Sha256 of the content; LFS knows a file by it."""
        if isinstance(self.source, bytes):
            return hashlib.sha256(self.source).hexdigest()
        return sha256_of_file(self.source)

    @cached_property
    def git_oid(self) -> str:
        """Git's id of the content; the Hub knows a file outside LFS by it."""
        data = self.content
        return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


@dataclass(frozen=True)
class RemoteFile:
    """A file in the repository; `sha256` is None outside LFS."""

    size: int
    git_oid: str
    sha256: str | None = None

    def holds(self, local: LocalFile) -> bool:
        """Say whether the content is the same; by size first, so that a file is hashed only where it may be."""
        if self.size != local.size:
            return False
        return self.sha256 == local.sha256 if self.sha256 else self.git_oid == local.git_oid


@dataclass(frozen=True)
class Snapshot:
    """A repository at one commit.

    Attributes:
      commit: None where there is no such repository, or no such branch yet.
      files: what it holds, by path.
      exists: whether there is such a repository.
      is_private: None where that is not known.
    """

    commit: str | None
    files: Mapping[str, RemoteFile] = field(default_factory=dict)
    exists: bool = True
    is_private: bool | None = None


@dataclass(frozen=True)
class Change:
    """What happens to one path: `add`, `change`, `delete` or `same`; sizes in bytes, None where there is no file."""

    path: str
    what: str
    size: int | None
    old_size: int | None


@dataclass(frozen=True)
class Plan:
    """All paths of a push, in order; `files` are those that go up."""

    changes: tuple[Change, ...]
    files: Mapping[str, LocalFile]

    @property
    def is_empty(self) -> bool:
        """Say whether the repository holds already what is to be published."""
        return all(change.what == "same" for change in self.changes)

    def of(self, what: str) -> list[Change]:
        """Give the changes of one kind."""
        return [change for change in self.changes if change.what == what]


def make_plan(
    files: Mapping[str, Path | bytes],
    there: Snapshot,
    *,
    owns: Callable[[str], bool] = lambda path: True,
) -> Plan:
    """Compare what is to be published with what is there.

    Args:
      files: path in the repository → path on disk, or bytes.
      there: the repository as it is.
      owns: says of a path that is there, and not in `files`, whether it is to be deleted. `.gitattributes` is the
        Hub's and stays in any case.
    Returns:
      The plan; its changes are sorted by path.
    Raises:
      ValueError: a path is no clean relative path (`..`, a leading or a doubled slash, a backslash).
    """
    local = {path: LocalFile(source) for path, source in files.items()}
    for path in local:
        if "\\" in path or str(PurePosixPath(path)) != path or path.startswith("/") or ".." in path.split("/"):
            raise ValueError(f"{path!r} is no path in a repository; use a relative path with single slashes")
    changes = [_change(path, local.get(path), there.files.get(path)) for path in sorted({*local, *there.files})]
    kept = [c for c in changes if c.what != "delete" or (owns(c.path) and c.path != ".gitattributes")]
    return Plan(tuple(kept), {c.path: local[c.path] for c in kept if c.what in ("add", "change")})


def _change(path: str, here: LocalFile | None, there: RemoteFile | None) -> Change:
    size, old_size = here.size if here else None, there.size if there else None
    if here is None:
        return Change(path, "delete", size, old_size)
    if there is None:
        return Change(path, "add", size, old_size)
    return Change(path, "same" if there.holds(here) else "change", size, old_size)


def folder_files(folder: Path | str) -> tuple[dict[str, Path], list[str]]:
    """Give the files of a folder by their path in it, and those left out as debris, both sorted.

    Hidden files and folders, byte code, caches, tests and editors' copies are debris. A link counts as what it
    points to.

    Raises:
      FileNotFoundError: there is no such folder.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder} is no folder")
    found = sorted((p.relative_to(folder).as_posix(), p) for p in folder.rglob("*") if p.is_file())
    return {name: path for name, path in found if not is_debris(name)}, [n for n, _ in found if is_debris(n)]


def is_debris(path: str) -> bool:
    """Say whether a path inside a folder is something that is never published."""
    *folders, name = path.split("/")
    if any(part.startswith(".") or part in DEBRIS_FOLDERS or part.endswith(".egg-info") for part in folders):
        return True
    is_test = name.startswith("test_") and name.endswith(".py")
    return name.startswith(".") or name.endswith(DEBRIS_ENDINGS) or is_test or name == "conftest.py"


def total_size(files: Iterable[LocalFile]) -> int:
    """Give the bytes of files together."""
    return sum(file.size for file in files)
