"""Routes that change something: repositories, content by LFS, commits, refs, pull requests."""

from __future__ import annotations

import base64
import json
import shutil
from collections.abc import Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from aiohttp import web

from loopback_hub import cards
from loopback_hub.access import STORE, check_signature, check_write, known_user, proposable, sign, writable
from loopback_hub.reading import find_pull
from loopback_hub.store import Commit, Entry, Refused, Repo, User, lfs_entry, wants_lfs

PART_SIZE: web.AppKey[int] = web.AppKey("part_size", int)
PREFIX = {"models": "", "datasets": "datasets/", "spaces": "spaces/"}
LFS_TYPE = "application/vnd.git-lfs+json"


async def create(request: web.Request) -> web.Response:
    """`POST /api/repos/create`."""
    user, asked = known_user(request), await request.json()
    namespace = asked.get("organization") or user.name
    check_write(user, namespace)
    kind, repo_id = f"{asked.get('type') or 'model'}s", f"{namespace}/{asked['name']}"
    is_private = asked.get("visibility") == "private" or bool(asked.get("private"))
    try:
        request.app[STORE].create(kind, repo_id, author=user.name, private=is_private, sdk=asked.get("sdk"))
    except Refused as error:
        if error.status != 409:
            raise
        url = web_url(request, kind, repo_id)
        return web.json_response({"error": error.message, "url": url}, status=409)
    return web.json_response({"url": web_url(request, kind, repo_id), "name": repo_id, "id": repo_id})


async def delete(request: web.Request) -> web.Response:
    """`DELETE /api/repos/delete`."""
    user, asked = known_user(request), await request.json()
    namespace = asked.get("organization") or user.name
    request.app[STORE].repo(f"{asked.get('type') or 'model'}s", f"{namespace}/{asked['name']}")
    check_write(user, namespace)
    request.app[STORE].delete(f"{asked.get('type') or 'model'}s", f"{namespace}/{asked['name']}")
    return web.Response(text="OK")


async def settings(request: web.Request) -> web.Response:
    """`PUT …/settings`: visibility."""
    repo, _ = writable(request)
    asked = await request.json()
    is_private = asked.get("private", asked.get("visibility") == "private")
    repo.settings = {**repo.settings, "private": bool(is_private)}
    return web.json_response({"private": bool(is_private)})


async def validate_yaml(request: web.Request) -> web.Response:
    """`POST /api/validate-yaml`."""
    asked = await request.json()
    errors, warnings = cards.complaints(asked["content"], asked["repoType"])
    found = {"errors": [{"message": m} for m in errors], "warnings": [{"message": m} for m in warnings]}
    return web.json_response(found, status=400 if errors else 200)


async def preupload(request: web.Request) -> web.Response:
    """`POST …/preupload/REV`: which files go by LFS, and what is there under each name."""
    repo, _ = proposable(request) if request.query.get("create_pr") else writable(request)
    files = repo.resolve(request.match_info["revision"]).files
    answer = []
    for asked in (await request.json())["files"]:
        there = files.get(asked["path"])
        is_lfs = wants_lfs(asked["path"], asked["size"], base64.b64decode(asked["sample"]))
        oid = {"oid": there.sha256 if there.lfs else there.oid} if there else {}
        mode = "lfs" if is_lfs else "regular"
        answer.append({"path": asked["path"], "uploadMode": mode, "shouldIgnore": False, **oid})
    return web.json_response({"files": answer})


# Content by LFS


async def lfs_batch(request: web.Request) -> web.Response:
    """`POST /ID.git/info/lfs/objects/batch`: where to send each content that is not here yet."""
    asked = await request.json()
    repo, _ = writable(request) if asked.get("ref") else proposable(request)
    return web.json_response(
        {"transfer": "basic", "objects": [_lfs_object(request, repo, each) for each in asked["objects"]]},
        content_type=LFS_TYPE,
    )


def _lfs_object(request: web.Request, repo: Repo, asked: Mapping[str, Any]) -> dict[str, Any]:
    oid, size = asked["oid"], asked["size"]
    if repo.object(oid).is_file():
        return {"oid": oid, "size": size}
    place, part_size = f"/_lfs/{repo.kind}/{repo.id}/{oid}/{size}", request.app[PART_SIZE]
    header: dict[str, str] = {}
    if size > part_size:
        n_parts = -(-size // part_size)
        header = {str(n): signed_url(request, f"{place}/part/{n}") for n in range(1, n_parts + 1)}
        header["chunk_size"] = str(part_size)
    verify = {"href": str(request.url.origin().with_path(f"/{PREFIX[repo.kind]}{repo.id}.git/info/lfs/verify"))}
    upload = {"href": signed_url(request, place), "header": header}
    return {"oid": oid, "size": size, "actions": {"upload": upload, "verify": verify}}


def signed_url(request: web.Request, place: str) -> str:
    """Give a URL of this server that allows one thing without a token."""
    signature = sign(request.app, "put", place)
    return str(request.url.origin().with_path(place).with_query(signature=signature))


async def lfs_put(request: web.Request) -> web.Response:
    """`PUT` of a whole content, or of a part, to a signed URL."""
    check_signature(request, "put", request.path)
    repo, asked = _repo(request), request.match_info
    with repo.receive() as incoming:
        async for piece in request.content.iter_chunked(1 << 20):
            incoming.write(piece)
        if "number" in asked:
            parts = _parts(repo, asked["oid"])
            parts.mkdir(parents=True, exist_ok=True)
            incoming.keep_as(parts / asked["number"])
        else:
            incoming.keep(asked["oid"], int(asked["size"]))
    return web.Response(headers={"ETag": f'"{asked.get("number", asked["oid"])}"'})


async def lfs_complete(request: web.Request) -> web.Response:
    """`POST` that puts the parts of a content together."""
    check_signature(request, "put", request.path)
    repo, asked = _repo(request), request.match_info
    parts = _parts(repo, asked["oid"])
    with repo.receive() as incoming:
        for part in sorted((await request.json())["parts"], key=lambda part: part["partNumber"]):
            incoming.write((parts / str(part["partNumber"])).read_bytes())
        incoming.keep(asked["oid"], int(asked["size"]))
    shutil.rmtree(parts)
    return web.json_response({})


async def lfs_verify(request: web.Request) -> web.Response:
    """`POST …/lfs/verify`."""
    repo, _ = proposable(request)
    asked = await request.json()
    content = repo.object(asked["oid"])
    if not content.is_file() or content.stat().st_size != asked["size"]:
        raise Refused(404, "object not found")
    return web.json_response({})


def _repo(request: web.Request) -> Repo:
    asked = request.match_info
    return request.app[STORE].repo(asked["kind"], f"{asked['namespace']}/{asked['name']}")


def _parts(repo: Repo, oid: str) -> Path:
    return repo.folder / "objects" / f".parts.{oid}"


# Commits


async def commit(request: web.Request) -> web.Response:
    """`POST …/commit/REV`, to a branch or as a pull request; takes effect whole or not at all."""
    as_pull = bool(request.query.get("create_pr"))
    lines = [json.loads(line) for line in (await request.read()).splitlines() if line.strip()]
    revision = request.match_info["revision"]
    repo, user = proposable(request) if as_pull or revision.startswith("refs/pr/") else writable(request)
    header = next(line["value"] for line in lines if line["key"] == "header")
    branch = repo.branch_of(revision)
    head = repo.resolve(revision)
    parent = header.get("parentCommit")
    if parent and not head.oid.startswith(parent):
        if not as_pull:
            raise Refused(412, "A commit has happened since. Please refresh and try again.")
        head = repo.resolve(parent)
    files = _apply(repo, head.files, lines)
    made = repo.add_commit(head, files, header["summary"], header.get("description", ""), user.name)
    if as_pull:
        pull = _open_pull(repo, branch, head, made, header, user)
        repo.point(f"pr/{pull['num']}", made)
        link = {"pullRequestUrl": f"{web_url(request, repo.kind, repo.id)}/discussions/{pull['num']}"}
    else:
        repo.point(branch, made)
        link = {}
    url = f"{web_url(request, repo.kind, repo.id)}/commit/{made.oid}"
    return web.json_response({"success": True, "commitOid": made.oid, "commitUrl": url, "hookOutput": "", **link})


def _apply(repo: Repo, old: Mapping[str, Entry], lines: list[dict[str, Any]]) -> dict[str, Entry]:
    files = dict(old)
    for line in lines:
        key, value = line["key"], line["value"]
        if key == "file":
            data = base64.b64decode(value["content"])
            _check_readme(repo, value["path"], data)
            files[value["path"]] = repo.keep(data)
        elif key == "lfsFile":
            content = repo.object(value["oid"])
            if not content.is_file():
                raise Refused(400, f"An LFS pointer pointed to a file that does not exist: {value['path']}")
            files[value["path"]] = lfs_entry(value["oid"], content.stat().st_size)
        elif key == "deletedFile":
            if value["path"] not in files:
                raise Refused(404, f"A file with this name doesn't exist: {value['path']}", "EntryNotFound")
            del files[value["path"]]
        elif key == "deletedFolder":
            prefix = value["path"].rstrip("/") + "/"
            gone = [path for path in files if path.startswith(prefix)]
            if not gone:
                raise Refused(404, f"A file with this name doesn't exist: {value['path']}", "EntryNotFound")
            for path in gone:
                del files[path]
        elif key != "header":
            raise Refused(400, f"unknown operation {key!r}")
    return files


def _check_readme(repo: Repo, path: str, data: bytes) -> None:
    if path == "README.md":
        errors, _ = cards.complaints(data.decode("utf-8"), repo.kind[:-1])
        if errors:
            raise Refused(400, f"Invalid metadata in README.md: {'; '.join(errors)}")


# Refs


async def branch(request: web.Request) -> web.Response:
    """`POST` or `DELETE …/branch/NAME`."""
    repo, _ = writable(request)
    return await _change_ref(request, repo, f"heads/{request.match_info['ref']}", "startingPoint")


async def tag(request: web.Request) -> web.Response:
    """`POST …/tag/REV` with the tag's name in the body, or `DELETE …/tag/NAME`."""
    repo, _ = writable(request)
    if request.method == "DELETE":
        return await _change_ref(request, repo, f"tags/{request.match_info['ref']}", "")
    asked = await request.json()
    target = repo.resolve(request.match_info["ref"])
    _check_free(repo, f"tags/{asked['tag']}")
    repo.point(f"tags/{asked['tag']}", target)
    return web.json_response({})


async def _change_ref(request: web.Request, repo: Repo, ref: str, start: str) -> web.Response:
    if request.method == "DELETE":
        if not repo.ref(ref).is_file() or ref == "heads/main":
            raise Refused(404, f"Reference does not exist: {ref}", "RevisionNotFound")
        repo.ref(ref).unlink()
        return web.json_response({})
    asked = await request.json() if request.can_read_body else {}
    _check_free(repo, ref)
    repo.point(ref, repo.resolve(asked.get(start) or "main"))
    return web.json_response({})


def _check_free(repo: Repo, ref: str) -> None:
    if repo.ref(ref).is_file():
        raise Refused(409, f"Reference already exists: refs/{ref}")


# Pull requests


def _open_pull(
    repo: Repo, base: str, start: Commit, made: Commit, header: Mapping[str, Any], user: User
) -> dict[str, Any]:
    created = datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    known = {"title": header["summary"], "author": user.name, "createdAt": created, "status": "open"}
    pull = {"num": len(repo.pulls()) + 1, **known, "base": base, "start": start.oid, "head": made.oid}
    repo.save_pull(pull)
    return pull


async def merge(request: web.Request) -> web.Response:
    """`POST …/discussions/N/merge`: what the pull request changed, onto the branch as it is now."""
    repo, user = writable(request)
    pull = find_pull(request, repo)
    if pull["status"] != "open":
        raise Refused(409, f"pull request {pull['num']} is {pull['status']}")
    start, head = repo.commit(pull["start"]), repo.resolve(f"refs/pr/{pull['num']}")
    now = repo.resolve(f"refs/{pull['base']}")
    changed = {p for p in {*start.files, *head.files} if start.files.get(p) != head.files.get(p)}
    clashes = [p for p in sorted(changed) if now.files.get(p) not in (start.files.get(p), head.files.get(p))]
    if clashes:
        raise Refused(409, f"conflict in {', '.join(clashes)}")
    files = {path: entry for path, entry in now.files.items() if path not in changed}
    files.update({path: entry for path, entry in head.files.items() if path in changed})
    made = repo.add_commit(now, files, f"{pull['title']} (#{pull['num']})", "", user.name)
    repo.point(pull["base"], made)
    repo.save_pull({**pull, "status": "merged", "merge": made.oid})
    return web.json_response({"newStatus": "merged", "commitOid": made.oid})


def web_url(request: web.Request, kind: str, repo_id: str) -> str:
    """Give the address of a repository for a browser."""
    return str(request.url.origin().with_path(f"/{PREFIX[kind]}{repo_id}"))
