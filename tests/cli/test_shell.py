"""The edge of a program: warnings and errors are lines of one kind, and the exit code says what happened."""

from __future__ import annotations

import subprocess
import sys

import pytest

PROGRAM = """
import logging, sys
from babel_eval.shell import guard
def run():
    logging.getLogger("babel_eval.encoding").warning("no room in %s", "store")
    {body}
sys.exit(guard(run, "stopped; go on with --resume"))
"""


def test_a_library_that_prints_its_own_warnings_is_not_repeated() -> None:
    body = "own = logging.getLogger('own'); own.addHandler(logging.StreamHandler()); own.getChild('x').warning('once')"
    done = subprocess.run([sys.executable, "-c", PROGRAM.format(body=body)], capture_output=True, text=True)
    assert done.stderr.splitlines() == ["warning: no room in store", "once"]


@pytest.mark.parametrize(
    ("body", "code", "last"),
    [
        ("pass", 0, None),
        ("return 3", 3, None),
        ("raise ValueError('bad flag')", 2, "error: bad flag"),
        ("raise KeyError('no such language')", 2, "error: no such language"),
        ("open('no/such.json')", 2, "error: no/such.json: No such file or directory"),
        ("raise OSError('model.bin is no model')", 2, "error: model.bin is no model"),
        ("raise OSError(28, 'No space left on device')", 2, "error: No space left on device"),
        ("raise KeyboardInterrupt", 130, "stopped; go on with --resume"),
    ],
)
def test_what_a_user_sees_and_the_exit_code(body: str, code: int, last: str | None) -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM.format(body=body)], capture_output=True, text=True)
    assert done.stderr.splitlines() == ["warning: no room in store", *([last] if last else [])]
    assert done.returncode == code
