"""Routes that change nothing: who am I, what is in a repository, and its content."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from aiohttp import web

from loopback_hub.access import STORE, check_signature, known_user, readable, sign, user_of, writable
from loopback_hub.cards import front_matter
from loopback_hub.faults import CUT_ANSWER_AFTER
from loopback_hub.store import Commit, Entry, Refused, Repo

PAGE = 1000
PIECE = 1 << 20


async def whoami(request: web.Request) -> web.Response:
    """`GET /api/whoami-v2`."""
    user = known_user(request)
    token = {"displayName": "loopback", "role": user.role}
    return web.json_response(
        {
            "type": "user",
            "id": user.name,
            "name": user.name,
            "fullname": user.name,
            "orgs": [{"type": "org", "name": org, "roleInOrg": "write"} for org in user.orgs],
            "auth": {"type": "access_token", "accessToken": token},
        }
    )


async def auth_check(request: web.Request) -> web.Response:
    """`GET …/auth-check` and `…/auth-check/write`."""
    if request.path.endswith("/write"):
        writable(request)
    else:
        readable(request)
    return web.json_response({})


async def info(request: web.Request) -> web.Response:
    """`GET /api/KIND/ID` and `…/revision/REV`."""
    repo = readable(request)
    commit = repo.resolve(request.match_info.get("revision", "main"))
    settings = repo.settings
    card: dict[str, Any] = {}
    if readme := commit.files.get("README.md"):
        card = front_matter(repo.object(readme.sha256).read_text(encoding="utf-8")) or {}
    with_blobs = request.query.get("blobs", "").lower() == "true"
    return web.json_response(
        {
            "_id": hashlib.sha1(repo.id.encode()).hexdigest()[:24],
            "id": repo.id,
            "author": repo.id.split("/")[0],
            "sha": commit.oid,
            "lastModified": commit.date,
            "createdAt": settings["createdAt"],
            "private": settings["private"],
            "gated": False,
            "disabled": False,
            "downloads": 0,
            "likes": 0,
            "tags": card.get("tags") or [],
            "cardData": card,
            **({"sdk": card.get("sdk", settings["sdk"])} if repo.kind == "spaces" else {}),
            "siblings": [_sibling(path, entry, with_blobs) for path, entry in commit.files.items()],
        }
    )


def _sibling(path: str, entry: Entry, with_blobs: bool) -> dict[str, Any]:
    if not with_blobs:
        return {"rfilename": path}
    lfs = {"lfs": {"size": entry.size, "sha256": entry.sha256, "pointerSize": 130}} if entry.lfs else {}
    return {"rfilename": path, "size": entry.size, "blobId": entry.oid, **lfs}


async def tree(request: web.Request) -> web.Response:
    """`GET …/tree/REV/PATH`, page by page."""
    repo = readable(request)
    commit = repo.resolve(request.match_info["revision"])
    folder = request.match_info.get("path", "").strip("/")
    recursive = request.query.get("recursive", "").lower() in ("true", "1")
    items = list(_items(commit, folder, recursive))
    if folder and not items:
        raise Refused(404, f"{folder} does not exist on {request.match_info['revision']!r}", "EntryNotFound")
    start, size = int(request.query.get("cursor", 0)), int(request.query.get("limit", PAGE))
    headers = {"X-Repo-Commit": commit.oid}
    if start + size < len(items):
        following = request.url.update_query(cursor=start + size)
        headers["Link"] = f'<{following}>; rel="next"'
    return web.json_response(items[start : start + size], headers=headers)


def _items(commit: Commit, folder: str, recursive: bool) -> Iterator[dict[str, Any]]:
    prefix = f"{folder}/" if folder else ""
    seen: set[str] = set()
    for path, entry in commit.files.items():
        if not path.startswith(prefix):
            continue
        *above, _ = path[len(prefix) :].split("/")
        for depth in range(1, len(above) + 1 if recursive else min(len(above), 1) + 1):
            directory = prefix + "/".join(above[:depth])
            if directory not in seen:
                seen.add(directory)
                yield _directory(directory)
        if recursive or not above:
            yield _file(path, entry)


def _directory(path: str) -> dict[str, Any]:
    return {"type": "directory", "oid": hashlib.sha1(path.encode()).hexdigest(), "size": 0, "path": path}


def _file(path: str, entry: Entry) -> dict[str, Any]:
    lfs = {"lfs": {"oid": entry.sha256, "size": entry.size, "pointerSize": 130}} if entry.lfs else {}
    return {"type": "file", "oid": entry.oid, "size": entry.size, "path": path, **lfs}


async def paths_info(request: web.Request) -> web.Response:
    """`POST …/paths-info/REV`: what is known of some paths; those that are not there are left out."""
    repo = readable(request)
    commit = repo.resolve(request.match_info["revision"])
    if request.content_type == "application/json":
        paths: list[str] = (await request.json())["paths"]
    else:
        paths = [str(path) for path in (await request.post()).getall("paths", [])]
    found = [path.strip("/") for path in paths]
    files = [_file(path, commit.files[path]) for path in found if path in commit.files]
    folders = [_directory(path) for path in found if any(p.startswith(f"{path}/") for p in commit.files)]
    return web.json_response(files + folders)


async def refs(request: web.Request) -> web.Response:
    """`GET …/refs`."""
    repo = readable(request)

    def listed(prefix: str, below: str) -> list[dict[str, str]]:
        found = repo.refs(below)
        return [{"name": name, "ref": f"refs/{prefix}/{name}", "targetCommit": oid} for name, oid in found]

    answer: dict[str, Any] = {"branches": listed("heads", "heads"), "tags": listed("tags", "tags"), "converts": []}
    if request.query.get("include_prs"):
        answer["pullRequests"] = [
            {"name": f"refs/pr/{n}", "ref": f"refs/pr/{n}", "targetCommit": oid} for n, oid in repo.refs("pr")
        ]
    return web.json_response(answer)


async def commits(request: web.Request) -> web.Response:
    """`GET …/commits/REV`, newest first."""
    repo = readable(request)
    found = [
        {
            "id": commit.oid,
            "title": commit.title,
            "message": commit.message,
            "date": commit.date,
            "authors": [{"user": commit.author}],
        }
        for commit in repo.log(request.match_info["revision"])
    ]
    return web.json_response(found)


async def resolve(request: web.Request) -> web.StreamResponse:
    """`GET` or `HEAD …/resolve/REV/PATH`: small files here, LFS by a redirect to a signed URL without a token."""
    repo = readable(request)
    commit = repo.resolve(request.match_info["revision"])
    headers = {"X-Repo-Commit": commit.oid, "Accept-Ranges": "bytes"}
    entry = commit.files.get(request.match_info["path"])
    if entry is None:
        raise MissingEntry(commit.oid, f"Entry not found: {request.match_info['path']}")
    if not entry.lfs:
        return await send_file(request, repo.object(entry.sha256), {**headers, "ETag": f'"{entry.oid}"'})
    place = f"/_cdn/{repo.kind}/{repo.id}/{entry.sha256}"
    headers |= {"X-Linked-Size": str(entry.size), "X-Linked-ETag": f'"{entry.sha256}"', "ETag": f'"{entry.oid}"'}
    signature = sign(request.app, "get", place)
    # As on the Hub the content is on another host, to which clients send no token: the same server by its other name.
    host = "localhost" if request.url.host == "127.0.0.1" else "127.0.0.1"
    url = request.url.origin().with_host(host).with_path(place).with_query(signature=signature)
    return web.Response(status=302, headers={**headers, "Location": str(url)})


class MissingEntry(Refused):
    """A 404 that says in which commit there is no such file; clients remember it."""

    def __init__(self, commit: str, message: str) -> None:
        super().__init__(404, message, "EntryNotFound")
        self.commit = commit


async def cdn(request: web.Request) -> web.StreamResponse:
    """`GET` or `HEAD` of a signed URL that `resolve` handed out."""
    check_signature(request, "get", request.path)
    found = request.match_info
    repo = request.app[STORE].repo(found["kind"], f"{found['namespace']}/{found['name']}")
    headers = {"ETag": f'"{found["sha256"]}"', "Accept-Ranges": "bytes"}
    return await send_file(request, repo.object(found["sha256"]), headers)


async def send_file(request: web.Request, path: Path, headers: Mapping[str, str]) -> web.StreamResponse:
    """Send a file or the range of it that was asked for."""
    size = path.stat().st_size
    if request.headers.get("If-None-Match") == headers["ETag"]:
        return web.Response(status=304, headers=headers)
    try:
        start, stop, _ = request.http_range.indices(size)
    except ValueError as error:
        raise Refused(416, f"bad range {request.headers.get('Range')}") from error
    is_part = "Range" in request.headers
    if is_part and (start >= size or stop <= start):
        return web.Response(status=416, headers={**headers, "Content-Range": f"bytes */{size}"})
    part = {"Content-Range": f"bytes {start}-{stop - 1}/{size}"} if is_part else {}
    answer = web.StreamResponse(status=206 if is_part else 200, headers={**headers, **part})
    answer.content_length = stop - start
    answer.content_type = "application/octet-stream"
    await answer.prepare(request)
    if request.method == "GET":
        await _stream(request, answer, path, start, stop)
    return answer


async def _stream(request: web.Request, answer: web.StreamResponse, path: Path, start: int, stop: int) -> None:
    budget = CUT_ANSWER_AFTER.get()
    with open(path, "rb") as file:
        file.seek(start)
        left = stop - start if budget is None else min(budget, stop - start)
        while left > 0 and (piece := file.read(min(PIECE, left))):
            await answer.write(piece)
            left -= len(piece)
    if budget is None:
        await answer.write_eof()
    elif request.transport is not None:
        request.transport.abort()


async def discussions(request: web.Request) -> web.Response:
    """`GET …/discussions`: the pull requests."""
    repo = readable(request)
    found = [pull_json(request, repo, pull) for pull in reversed(repo.pulls())]
    return web.json_response({"discussions": found, "count": len(found), "start": 0})


async def discussion(request: web.Request) -> web.Response:
    """`GET …/discussions/N`."""
    repo = readable(request)
    return web.json_response(pull_json(request, repo, find_pull(request, repo)))


def find_pull(request: web.Request, repo: Repo) -> dict[str, Any]:
    """Give the pull request that the path names."""
    for pull in repo.pulls():
        if str(pull["num"]) == request.match_info["number"]:
            return pull
    raise Refused(404, "Discussion not found")


def pull_json(request: web.Request, repo: Repo, pull: Mapping[str, Any]) -> dict[str, Any]:
    """Give a pull request as the Hub shows it."""
    user = user_of(request)
    return {
        **pull,
        "isPullRequest": True,
        "author": {"name": pull["author"]},
        "repo": {"name": repo.id, "type": repo.kind[:-1]},
        "events": [],
        "filesWithConflicts": [],
        "canEdit": bool(user and user.may_write(repo.id.split("/")[0])),
        "changes": {"base": f"refs/{pull['base']}", "mergeCommitId": pull.get("merge")},
    }
