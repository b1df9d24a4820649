"""The server: routes, faults, a log of what was asked; run in a thread of its own."""

from __future__ import annotations

import asyncio
import errno
import secrets
import threading
import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiohttp import web

from loopback_hub import reading, writing
from loopback_hub.access import SECRET, STORE, refusal
from loopback_hub.faults import CUT_ANSWER_AFTER, Fault, suffer
from loopback_hub.store import Refused, Store, User

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
_API = "/api/{kind:models|datasets|spaces}/{namespace}/{name}"
_FILES = ("/{namespace}/{name}", "/{kind:datasets|spaces}/{namespace}/{name}")
# name → method, path, handler; the names are those that `Fault.route` takes.
ROUTES: list[tuple[str, str, str, Handler]] = [
    ("whoami", "GET", "/api/whoami-v2", reading.whoami),
    ("create", "POST", "/api/repos/create", writing.create),
    ("delete", "DELETE", "/api/repos/delete", writing.delete),
    ("validate-yaml", "POST", "/api/validate-yaml", writing.validate_yaml),
    ("info", "GET", _API, reading.info),
    ("info", "GET", _API + "/revision/{revision}", reading.info),
    ("auth-check", "GET", _API + "/auth-check", reading.auth_check),
    ("auth-check", "GET", _API + "/auth-check/write", reading.auth_check),
    ("settings", "PUT", _API + "/settings", writing.settings),
    ("tree", "GET", _API + "/tree/{revision}", reading.tree),
    ("tree", "GET", _API + "/tree/{revision}/{path:.*}", reading.tree),
    ("paths-info", "POST", _API + "/paths-info/{revision}", reading.paths_info),
    ("refs", "GET", _API + "/refs", reading.refs),
    ("commits", "GET", _API + "/commits/{revision}", reading.commits),
    ("branch", "POST", _API + "/branch/{ref}", writing.branch),
    ("branch", "DELETE", _API + "/branch/{ref}", writing.branch),
    ("tag", "POST", _API + "/tag/{ref}", writing.tag),
    ("tag", "DELETE", _API + "/tag/{ref}", writing.tag),
    ("preupload", "POST", _API + "/preupload/{revision}", writing.preupload),
    ("commit", "POST", _API + "/commit/{revision}", writing.commit),
    ("discussions", "GET", _API + "/discussions", reading.discussions),
    ("discussions", "GET", _API + "/discussions/{number}", reading.discussion),
    ("merge", "POST", _API + "/discussions/{number}/merge", writing.merge),
    ("lfs-put", "PUT", "/_lfs/{kind}/{namespace}/{name}/{oid}/{size}", writing.lfs_put),
    ("lfs-put", "PUT", "/_lfs/{kind}/{namespace}/{name}/{oid}/{size}/part/{number}", writing.lfs_put),
    ("lfs-complete", "POST", "/_lfs/{kind}/{namespace}/{name}/{oid}/{size}", writing.lfs_complete),
    ("cdn", "GET", "/_cdn/{kind}/{namespace}/{name}/{sha256}", reading.cdn),
    *[("lfs-batch", "POST", p + ".git/info/lfs/objects/batch", writing.lfs_batch) for p in _FILES],
    *[("lfs-verify", "POST", p + ".git/info/lfs/verify", writing.lfs_verify) for p in _FILES],
    *[("resolve", "GET", p + "/resolve/{revision}/{path:.*}", reading.resolve) for p in _FILES],
]
_NAMES: dict[Any, str] = {handler: name for name, _, _, handler in ROUTES}


@dataclass(frozen=True)
class Asked:
    """A request as it is kept in the log."""

    route: str
    method: str
    url: str
    status: int
    user: str | None
    seconds: float


@dataclass
class LoopbackHub:
    """A Hub on 127.0.0.1 in a thread; a context manager.

    Attributes:
      root: folder of the repositories; what is there is served.
      users: who may do what; anonymous reading of public repositories needs none.
      port: 0 for any free one.
      latency: seconds that every request waits, as on a long way.
      part_size: contents above so many bytes are uploaded in parts.
      on_request: called with each `Asked`.
      faults: what goes wrong, first match first; may be changed at any time.
    """

    root: Path
    users: Iterable[User] = ()
    port: int = 0
    latency: float = 0.0
    part_size: int = 64 << 20
    on_request: Callable[[Asked], None] | None = None
    faults: list[Fault] = field(default_factory=list)
    asked: list[Asked] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.store = Store(self.root, self.users)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="loopback-hub", daemon=True)

    @property
    def url(self) -> str:
        """The value for HF_ENDPOINT; no slash at its end."""
        return f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> LoopbackHub:
        self._thread.start()
        self._call(self._start())
        return self

    def __exit__(self, *_: object) -> None:
        self._call(self._runner.cleanup())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def fail(self, route: str, **how: Any) -> Fault:
        """Add a fault and give it, so that a test can see whether it was met (`hits`)."""
        fault = Fault(route, **how)
        self.faults.append(fault)
        return fault

    def count(self, route: str, *, method: str | None = None) -> int:
        """Give the number of requests of a route so far."""
        return sum(a.route == route and method in (None, a.method) for a in self.asked)

    def _call(self, coroutine: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(timeout=30)

    async def _start(self) -> None:
        app = web.Application(middlewares=[self._middleware], client_max_size=1 << 30)
        app[STORE], app[SECRET], app[writing.PART_SIZE] = self.store, secrets.token_bytes(32), self.part_size
        for _, method, path, handler in ROUTES:
            app.router.add_route(method, path, handler)
            if method == "GET":
                app.router.add_route("HEAD", path, handler)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self.port).start()
        self.port = self._runner.addresses[0][1]

    async def _handle(self, request: web.Request, handler: Handler, name: str) -> web.StreamResponse:
        if self.latency:
            await asyncio.sleep(self.latency)
        for fault in self.faults:
            if fault.takes(request, name):
                return await suffer(fault, request, lambda r: self._answer(r, handler), self.store)
        return await self._answer(request, handler)

    async def _answer(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            return await handler(request)
        except reading.MissingEntry as error:
            answer = refusal(error)
            answer.headers["X-Repo-Commit"] = error.commit
            return answer
        except Refused as error:
            return refusal(error)
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise
            return refusal(Refused(507, "No space left on the server"))

    @web.middleware
    async def _middleware(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        started = time.perf_counter()
        CUT_ANSWER_AFTER.set(None)  # one task serves all requests of a connection
        name = _NAMES.get(request.match_info.handler, "unknown")
        answer = await self._handle(request, handler, name)
        user = self.store.users.get(request.headers.get("Authorization", "").removeprefix("Bearer "))
        seconds, who = time.perf_counter() - started, user.name if user else None
        self.asked.append(Asked(name, request.method, str(request.rel_url), answer.status, who, seconds))
        if self.on_request is not None:
            self.on_request(self.asked[-1])
        return answer
