"""Faults on demand: what the server does instead of, before or after answering a request."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

# For the task that handles a request: after how many bytes its answer is to be cut.
CUT_ANSWER_AFTER: ContextVar[int | None] = ContextVar("CUT_ANSWER_AFTER", default=None)


@dataclass
class Fault:
    """One fault for requests of a route; at most one of the first five is meant at a time.

    Attributes:
      route: name of a route (see `server.py`), or several joined by `|`.
      method: only requests of this method; all where None.
      path: only requests whose path a regular expression finds.
      status: answer with this status and do nothing. `code` is X-Error-Code, `body` the text.
      cut_after: cut the connection once so many bytes of the request's body came in; nothing is done.
      cut_answer_after: answer, but cut the connection once so many bytes of the answer's body went out.
      lose_answer: do what was asked, and cut the connection instead of answering.
      before: called with the store before the request is handled: someone else was quicker.
      delay: wait so many seconds before the request is handled.
      times: for so many requests, then never again; None for ever.
      skip: let so many requests pass first.
    """

    route: str
    method: str | None = None
    path: str = ""
    status: int | None = None
    code: str | None = None
    body: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    cut_after: int | None = None
    cut_answer_after: int | None = None
    lose_answer: bool = False
    before: Callable[[Any], None] | None = None
    delay: float = 0.0
    times: int | None = 1
    skip: int = 0
    hits: int = 0

    def takes(self, request: web.Request, name: str) -> bool:
        """Say whether this request is to be met, and count it."""
        if name not in self.route.split("|") or (self.method and request.method != self.method):
            return False
        if not re.search(self.path, request.path):
            return False
        if self.skip > 0:
            self.skip -= 1
            return False
        if self.times is not None and self.hits >= self.times:
            return False
        self.hits += 1
        return True


async def suffer(
    fault: Fault,
    request: web.Request,
    handler: Callable[[web.Request], Any],
    store: Any,
) -> web.StreamResponse:
    """Handle a request under a fault."""
    if fault.delay:
        await asyncio.sleep(fault.delay)
    if fault.before is not None:
        fault.before(store)
    if fault.status is not None:
        await request.read()
        headers = {**fault.headers, **({"X-Error-Code": fault.code} if fault.code else {})}
        return web.Response(status=fault.status, text=fault.body, headers=headers)
    if fault.cut_after is not None:
        left = fault.cut_after
        while left > 0 and (piece := await request.content.read(min(left, 65536))):
            left -= len(piece)
        return cut(request)
    CUT_ANSWER_AFTER.set(fault.cut_answer_after)
    answer = await handler(request)
    return cut(request) if fault.lose_answer else answer


def cut(request: web.Request) -> web.Response:
    """Reset the connection; the response that is given back goes nowhere."""
    if request.transport is not None:
        request.transport.abort()
    return web.Response(status=500)
