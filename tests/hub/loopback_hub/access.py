"""Who asks, what they may do, and how a refusal looks on the wire."""

from __future__ import annotations

import hashlib
import hmac
from typing import Any

from aiohttp import web

from loopback_hub.store import Refused, Repo, Store, User

STORE: web.AppKey[Store] = web.AppKey("store", Store)
SECRET: web.AppKey[bytes] = web.AppKey("secret", bytes)


def user_of(request: web.Request) -> User | None:
    """Give the user whose token came with a request, or None without a token."""
    kind, _, token = request.headers.get("Authorization", "").partition(" ")
    if not token:
        return None
    user = request.app[STORE].users.get(token) if kind == "Bearer" else None
    if user is None:
        raise Refused(401, "Invalid credentials in Authorization header")
    return user


def known_user(request: web.Request) -> User:
    """Give the user, or refuse a request without a token."""
    user = user_of(request)
    if user is None:
        raise Refused(401, "Invalid username or password.")
    return user


def readable(request: web.Request) -> Repo:
    """Give the repository that the path names, if the user may see it; a hidden one looks as if it were not there."""
    user = user_of(request)
    kind = request.match_info.get("kind", "models")
    try:
        repo = request.app[STORE].repo(kind, f"{request.match_info['namespace']}/{request.match_info['name']}")
        if not repo.settings["private"] or (user and user.belongs_to(request.match_info["namespace"])):
            return repo
    except Refused:
        pass
    if user is None:
        raise Refused(401, "Invalid username or password.", "RepoNotFound")
    raise Refused(404, "Repository not found", "RepoNotFound")


def writable(request: web.Request) -> tuple[Repo, User]:
    """Give the repository that the path names and the user, who may change it."""
    repo, user = readable(request), known_user(request)
    check_write(user, repo.id.split("/")[0])
    return repo, user


def proposable(request: web.Request) -> tuple[Repo, User]:
    """Give the repository and the user, who may at least open a pull request."""
    repo, user = readable(request), known_user(request)
    if user.role != "write":
        raise Refused(403, "Forbidden: you must use a write token to upload to a repository.")
    return repo, user


def check_write(user: User, namespace: str) -> None:
    """Refuse who may not change repositories of a namespace."""
    if user.role != "write":
        raise Refused(403, "Forbidden: you must use a write token to upload to a repository.")
    if not user.may_write(namespace):
        raise Refused(
            403, f"You don't have the rights to create or change a repository under the namespace {namespace}"
        )


def sign(app: web.Application, *parts: Any) -> str:
    """Sign what a URL without a token allows to do."""
    return hmac.new(app[SECRET], "\0".join(map(str, parts)).encode(), hashlib.sha256).hexdigest()


def check_signature(request: web.Request, *parts: Any) -> None:
    """Refuse a URL that was not handed out here."""
    if not hmac.compare_digest(request.query.get("signature", ""), sign(request.app, *parts)):
        raise Refused(403, "signature does not match")


def refusal(error: Refused) -> web.Response:
    """Give the answer of the Hub to a refused request."""
    headers = {"X-Error-Message": error.message.splitlines()[0]}
    if error.code:
        headers["X-Error-Code"] = error.code
    return web.json_response({"error": error.message}, status=error.status, headers=headers)
