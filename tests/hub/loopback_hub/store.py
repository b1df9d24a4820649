"""Repositories on disk: content by sha256, commits as JSON, refs as one-line files.

    ROOT/datasets/ORG/NAME/repo.json                what the repository is
                          /objects/ab/abcd…         content, files of every size alike
                          /commits/OID.json         a commit: its parent, its title and every file of its tree
                          /refs/heads/main          the OID of a commit; refs/tags/…, refs/pr/1
                          /pulls/1.json             a pull request

A commit takes effect by one atomic replacement of a ref, so a stop at any moment leaves the old tree or the new one.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import shutil
import tempfile
import uuid
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

KINDS = ("models", "datasets", "spaces")
_NAME = re.compile(r"[A-Za-z0-9_](?:[\w.-]{0,94}[A-Za-z0-9_])?")


class Refused(Exception):
    """A request that the Hub answers with an error: HTTP status, the code that clients look at, and a sentence."""

    def __init__(self, status: int, message: str, code: str | None = None) -> None:
        super().__init__(message)
        self.status, self.message, self.code = status, message, code


@dataclass(frozen=True)
class User:
    """Someone with a token; `role` of the token is `read` or `write`, `orgs` are those the user may write to."""

    name: str
    token: str
    role: str = "write"
    orgs: tuple[str, ...] = ()

    def may_write(self, namespace: str) -> bool:
        """Say whether the token may change repositories of a namespace."""
        return self.role == "write" and self.belongs_to(namespace)

    def belongs_to(self, namespace: str) -> bool:
        """Say whether the user may see private repositories of a namespace."""
        return namespace == self.name or namespace in self.orgs


@dataclass(frozen=True)
class Entry:
    """A file of a commit's tree; `oid` is git's id of the blob (of the pointer, where `lfs`)."""

    sha256: str
    size: int
    oid: str
    lfs: bool


@dataclass(frozen=True)
class Commit:
    """A commit and its whole tree, path → file."""

    oid: str
    parent: str | None
    title: str
    message: str
    author: str
    date: str
    files: Mapping[str, Entry]


@dataclass
class Repo:
    """One repository; `capacity` in bytes bounds its objects, as a full disk does."""

    folder: Path
    kind: str
    id: str
    capacity: int | None = None
    _commits: dict[str, Commit] = field(default_factory=dict)

    @property
    def settings(self) -> dict[str, Any]:
        """What `repo.json` holds: private, author, sdk, createdAt."""
        return json.loads((self.folder / "repo.json").read_text(encoding="utf-8"))

    @settings.setter
    def settings(self, value: Mapping[str, Any]) -> None:
        _replace(self.folder / "repo.json", json.dumps(value).encode())

    # Content

    def object(self, sha256: str) -> Path:
        """Give the place of a content, present or not."""
        return self.folder / "objects" / sha256[:2] / sha256

    def put(self, data: bytes) -> str:
        """Keep a content and give its sha256."""
        sha256 = hashlib.sha256(data).hexdigest()
        with self.receive() as incoming:
            incoming.write(data)
            incoming.keep(sha256, len(data))
        return sha256

    def keep(self, data: bytes) -> Entry:
        """Keep a file outside LFS, and give its entry for a tree."""
        return Entry(self.put(data), len(data), git_oid(data), lfs=False)

    def receive(self) -> Incoming:
        """Begin to take in a content piece by piece."""
        if self.capacity is None:
            return Incoming(self, None)
        used = sum(p.stat().st_size for p in (self.folder / "objects").rglob("*") if p.is_file())
        return Incoming(self, self.capacity - used)

    # Refs and commits

    def refs(self, prefix: str) -> Iterator[tuple[str, str]]:
        """Give name and commit of every ref below `heads`, `tags` or `pr`."""
        base = self.folder / "refs" / prefix
        for path in sorted(p for p in base.rglob("*") if p.is_file() and not p.name.startswith(".")):
            yield path.relative_to(base).as_posix(), path.read_text().strip()

    def ref(self, name: str) -> Path:
        """Give the file of a ref such as `heads/main`."""
        path = (self.folder / "refs" / name).resolve()
        if not path.is_relative_to((self.folder / "refs").resolve()):
            raise Refused(400, f"bad ref name {name!r}")
        return path

    def branch_of(self, revision: str) -> str:
        """Give the ref that a commit to `revision` moves."""
        if revision.startswith("refs/pr/") and self.ref(revision[5:]).is_file():
            return revision[5:]
        if self.ref(f"heads/{revision}").is_file():
            return f"heads/{revision}"
        raise Refused(404, f"Invalid rev id: {revision}", "RevisionNotFound")

    def resolve(self, revision: str) -> Commit:
        """Find a commit by branch, tag, `refs/pr/N`, or (part of) its id."""
        if revision.startswith("refs/"):
            names = [revision[5:].replace("convert/", "heads/convert/")]
        else:
            names = [f"heads/{revision}", f"tags/{revision}"]
        for name in names:
            if self.ref(name).is_file():
                return self.commit(self.ref(name).read_text().strip())
        if re.fullmatch(r"[0-9a-f]{7,40}", revision):
            found = sorted((self.folder / "commits").glob(f"{revision}*.json"))
            if len(found) == 1:
                return self.commit(found[0].stem)
        raise Refused(404, f"Invalid rev id: {revision}", "RevisionNotFound")

    def commit(self, oid: str) -> Commit:
        """Read a commit by its full id."""
        if oid not in self._commits:
            content = json.loads((self.folder / "commits" / f"{oid}.json").read_text(encoding="utf-8"))
            content["files"] = {path: Entry(**entry) for path, entry in content["files"].items()}
            self._commits[oid] = Commit(**content)
        return self._commits[oid]

    def log(self, revision: str) -> Iterator[Commit]:
        """Give a commit and those before it, newest first."""
        oid: str | None = self.resolve(revision).oid
        while oid is not None:
            commit = self.commit(oid)
            yield commit
            oid = commit.parent

    def add_commit(
        self, parent: Commit | None, files: Mapping[str, Entry], title: str, message: str, author: str
    ) -> Commit:
        """Write a commit; no ref points to it yet."""
        date = datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        content = {
            "parent": parent.oid if parent else None,
            "title": title,
            "message": message,
            "author": author,
            "date": date,
            "files": {path: asdict(files[path]) for path in sorted(files)},
        }
        # Two commits of the same content in the same microsecond are two commits.
        oid = hashlib.sha1(json.dumps([content, uuid.uuid4().hex]).encode()).hexdigest()
        _replace(self.folder / "commits" / f"{oid}.json", json.dumps({"oid": oid, **content}).encode())
        return self.commit(oid)

    def point(self, ref: str, commit: Commit) -> None:
        """Let a ref point to a commit, atomically."""
        _replace(self.ref(ref), commit.oid.encode())

    # Pull requests

    def pulls(self) -> list[dict[str, Any]]:
        """Give all pull requests by number."""
        found = (self.folder / "pulls").glob("*.json")
        return sorted((json.loads(p.read_text(encoding="utf-8")) for p in found), key=lambda p: p["num"])

    def save_pull(self, pull: Mapping[str, Any]) -> None:
        """Write a pull request."""
        _replace(self.folder / "pulls" / f"{pull['num']}.json", json.dumps(pull).encode())


class Incoming:
    """A content that is being received; what is not kept by the end of the `with` block is gone."""

    def __init__(self, repo: Repo, room: int | None) -> None:
        self._repo, self._room, self._size = repo, room, 0
        self._digest = hashlib.sha256()
        objects = repo.folder / "objects"
        objects.mkdir(exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=".incoming.", dir=objects)
        self._file, self._path = os.fdopen(handle, "wb"), Path(name)

    def __enter__(self) -> Incoming:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
        self._path.unlink(missing_ok=True)

    def write(self, piece: bytes) -> None:
        """Take a piece.

        Raises:
          OSError: ENOSPC, the disk is full.
        """
        self._size += len(piece)
        if self._room is not None and self._size > self._room:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self._path))
        self._digest.update(piece)
        self._file.write(piece)

    def keep(self, sha256: str, size: int) -> None:
        """Put the content where it belongs, if it is what was announced."""
        if (self._digest.hexdigest(), self._size) != (sha256, size):
            raise Refused(400, f"content is {self._size} bytes of sha256 {self._digest.hexdigest()}, not as announced")
        target = self._repo.object(sha256)
        target.parent.mkdir(exist_ok=True)
        self.keep_as(target)

    def keep_as(self, path: Path) -> None:
        """Put the content at a place of one's own, unchecked: a part of something."""
        self._file.close()
        os.replace(self._path, path)


class Store:
    """All repositories below a folder, and the users."""

    def __init__(self, root: Path | str, users: Iterable[User] = ()) -> None:
        self.root = Path(root)
        self.users = {user.token: user for user in users}
        self.capacity: int | None = None
        self._repos: dict[tuple[str, str], Repo] = {}

    def create(self, kind: str, repo_id: str, *, author: str, private: bool = False, sdk: str | None = None) -> Repo:
        """Make a repository with one commit that holds `.gitattributes`, and in a Space a README, as the Hub does."""
        namespace, _, name = repo_id.partition("/")
        if not (_NAME.fullmatch(namespace) and _NAME.fullmatch(name)) or "--" in name or ".." in name:
            raise Refused(400, f"Invalid repo name: {repo_id}")
        folder = self.root / kind / repo_id
        if folder.exists():
            raise Refused(409, "You already created this repo")
        part = folder.with_name(f".{folder.name}.{uuid.uuid4().hex}")
        for below in ("objects", "commits", "refs/heads", "refs/tags", "refs/pr", "pulls"):
            (part / below).mkdir(parents=True)
        repo = Repo(part, kind, repo_id)
        repo.settings = {"private": private, "author": author, "sdk": sdk, "createdAt": _now()}
        first = {".gitattributes": "".join(f"*.{end} filter=lfs diff=lfs merge=lfs -text\n" for end in LFS_ENDINGS)}
        if kind == "spaces":
            first["README.md"] = f"---\ntitle: {name}\nsdk: {sdk}\n---\n"
        files = {path: repo.keep(text.encode()) for path, text in first.items()}
        repo.point("heads/main", repo.add_commit(None, files, "initial commit", "", author))
        os.replace(part, folder)
        return self.repo(kind, repo_id)

    def repo(self, kind: str, repo_id: str) -> Repo:
        """Find a repository, whatever rights are asked for."""
        folder = self.root / kind / repo_id
        if kind not in KINDS or not (folder / "repo.json").is_file():
            self._repos.pop((kind, repo_id), None)
            raise Refused(404, "Repository not found", "RepoNotFound")
        repo = self._repos.setdefault((kind, repo_id), Repo(folder, kind, repo_id))
        repo.capacity = self.capacity
        return repo

    def delete(self, kind: str, repo_id: str) -> None:
        """Remove a repository."""
        repo = self.repo(kind, repo_id)
        del self._repos[kind, repo_id]
        shutil.rmtree(repo.folder)


LFS_ENDINGS = ("parquet", "safetensors", "bin", "arrow", "npy", "npz", "pt", "gz", "zip", "png", "jpg", "model")
LFS_SIZE = 10 * 1024 * 1024


def wants_lfs(path: str, size: int, sample: bytes) -> bool:
    """Say whether the Hub keeps a file as LFS: by its ending, its size, or because it is binary."""
    if size == 0:
        return False
    return path.rpartition(".")[2].lower() in LFS_ENDINGS or size > LFS_SIZE or b"\0" in sample


def git_oid(data: bytes) -> str:
    """Give git's id of a blob."""
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


def lfs_entry(sha256: str, size: int) -> Entry:
    """Give the tree entry of a file kept as LFS; its id is that of the pointer."""
    pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{sha256}\nsize {size}\n".encode()
    return Entry(sha256, size, git_oid(pointer), lfs=True)


def _replace(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=".new.", dir=path.parent)
    with os.fdopen(handle, "wb") as file:
        file.write(data)
    os.replace(name, path)


def _now() -> str:
    return datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
