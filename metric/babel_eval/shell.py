"""The edge of every program: what a user did wrong is one line, not a traceback, and so is a warning."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable

USER_ERRORS = (ValueError, KeyError, ImportError, OSError, FloatingPointError)


def guard(run: Callable[[], int | None], stopped: str = "stopped") -> int:
    """Run a program and give its exit code.

    Args:
      run: the program; None counts as 0.
      stopped: what is said after Ctrl-C.

    Returns:
      the program's own code; 2 after bad input or an operating system's refusal, with one line on stderr; 130 after
      Ctrl-C. With BABEL_TRACEBACK set, bad input raises instead.
    """
    logging.addLevelName(logging.WARNING, "warning")
    handler = logging.StreamHandler()
    handler.addFilter(lambda record: not _speaks_for_itself(record.name))
    logging.basicConfig(format="%(levelname)s: %(message)s", handlers=[handler])
    try:
        return run() or 0
    except USER_ERRORS as error:
        if os.environ.get("BABEL_TRACEBACK"):
            raise
        sys.stderr.write(f"error: {said(error)}\n")
        return 2
    except KeyboardInterrupt:
        sys.stderr.write(f"{stopped}\n")
        return 130


def _speaks_for_itself(logger: str) -> bool:
    """Tell whether a library prints what this logger says by a handler of its own, as huggingface_hub does."""
    return any(handler.level <= logging.WARNING for handler in logging.getLogger(logger.partition(".")[0]).handlers)


def said(error: BaseException) -> str:
    """Give what an error says: a key without its quotes, what an operating system refused with the file first."""
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename is not None else error.strerror
    return str(error.args[0] if isinstance(error, KeyError) and error.args else error)
