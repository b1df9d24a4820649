"""What can go wrong with a push, each kind with an exit code, and how long to keep trying."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TypeVar

T = TypeVar("T")


class PushError(Exception):
    """A push that did not happen; `exit_code` is that of the command."""

    exit_code = 1


class DeniedError(PushError):
    """The token is missing, unknown, or has not the right."""

    exit_code = 3


class RefusedError(PushError):
    """The repository holds something else, or does not take this; nothing was changed."""

    exit_code = 4


class ConflictError(PushError):
    """Someone else committed in between."""

    exit_code = 4


class UnreachableError(PushError):
    """The Hub did not answer, or answered that it cannot now; a later run may do."""

    exit_code = 5

    def __init__(self, message: str, wait: float | None = None) -> None:
        super().__init__(message)
        self.wait = wait


class CorruptError(PushError):
    """What came back from the Hub is not what was sent."""

    exit_code = 6


@dataclass(frozen=True)
class Patience:
    """How often and how long to try again.

    Attributes:
      attempts: tries in all, at least 1.
      first_wait: seconds before the second try; doubled for each further one, up to `longest_wait`.
      longest_wait: seconds; a `Retry-After` of the Hub goes before, up to `obeyed_wait`.
      timeout: seconds without a single byte from the Hub after which a connection counts as dead.
    """

    attempts: int = 5
    first_wait: float = field(default_factory=lambda: float(os.environ.get("BABEL_PUSH_WAIT", "1")))
    longest_wait: float = 30.0
    obeyed_wait: float = 600.0
    timeout: float = field(default_factory=lambda: float(os.environ.get("BABEL_PUSH_TIMEOUT", "300")))
    say: Callable[[str], None] = lambda line: None

    def waits(self) -> Iterator[float]:
        """Give the waits between tries, in seconds."""
        for number in range(self.attempts - 1):
            yield min(self.first_wait * 2**number, self.longest_wait)

    def keep_trying(self, call: Callable[[], T], *also: type[PushError]) -> T:
        """Call until it answers; pass on what no waiting heals, and the last error.

        Args:
          call: what to do; it raises `UnreachableError` where another try may do.
          *also: further kinds of error that another try may heal.
        """
        healed: tuple[type[PushError], ...] = (UnreachableError, *also)
        for number, wait in enumerate(self.waits(), start=2):
            try:
                return call()
            except healed as error:
                asked = getattr(error, "wait", None)
                seconds = wait if asked is None else min(asked, self.obeyed_wait)
                self.say(f"{error}; try {number} of {self.attempts} in {seconds:g} s")
                time.sleep(seconds)
        return call()
