"""Pushes in processes of their own, by script and by command: killed, stopped, refused."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from loopback_hub import LoopbackHub
from push_helpers import BOB, ROOT, Pushed, content_of, titles

REPO = "org/results"
SCRIPT = ROOT / "push_scripts" / "push_results.py"


def is_whole(hub: LoopbackHub) -> bool:
    """Say whether the push is there; half of it fails the test."""
    mine = {path.split("/")[0] for path in content_of(hub, "datasets", REPO)} & {"data", "runs"}
    assert mine in (set(), {"data", "runs"})
    return bool(mine)


@pytest.mark.parametrize(
    "route",
    ["lfs-put", "commit", *(pytest.param(r, marks=pytest.mark.slow) for r in ("create", "lfs-batch", "resolve"))],
)
def test_a_kill_in_the_middle_leaves_the_old_state_or_the_new_one(
    hub: LoopbackHub,
    push: Callable[..., Pushed],
    start: Callable[..., subprocess.Popen[str]],
    results_file: Callable[..., Path],
    route: str,
) -> None:
    file = results_file("org/new")
    running: list[subprocess.Popen[str]] = []
    fault = hub.fail(route, before=lambda store: os.kill(running[0].pid, signal.SIGKILL))
    running.append(start(SCRIPT, "--repo-id", REPO, file))
    running[0].communicate(timeout=60)
    assert (running[0].returncode, fault.hits) == (-signal.SIGKILL, 1)
    is_whole(hub)
    assert push("results", "--repo-id", REPO, file).code == 0
    assert is_whole(hub)
    assert titles(hub, "datasets", REPO) == ["initial commit", "Add results of org/new"]


def test_ctrl_c_is_one_line_and_code_130(
    hub: LoopbackHub, start: Callable[..., subprocess.Popen[str]], results_file: Callable[..., Path]
) -> None:
    running: list[subprocess.Popen[str]] = []
    hub.fail("commit", before=lambda store: running[0].send_signal(signal.SIGINT), status=503)
    running.append(
        start("-m", "babel_eval", "push", "results", "--repo-id", REPO, results_file(), BABEL_PUSH_WAIT="30")
    )
    _, err = running[0].communicate(timeout=60)
    assert running[0].returncode == 130, err
    assert "Traceback" not in err
    assert "stopped; the repository holds its old state or the new one" in err
    assert not is_whole(hub)


@pytest.mark.parametrize("way", ["script", "command"])
def test_a_refusal_is_one_line_and_a_code(
    hub: LoopbackHub, spawn: Callable[..., Pushed], results_file: Callable[..., Path], way: str
) -> None:
    command: tuple[Any, ...] = (SCRIPT,) if way == "script" else ("-m", "babel_eval", "push", "results")
    pushed = spawn(*command, "--repo-id", REPO, results_file(), user=BOB)
    assert pushed.code == 3
    assert pushed.err.count("\n") == 1
    assert pushed.err.startswith("error: could not make org/results: ")


@pytest.mark.parametrize("name", ["push_dataset", "push_metric", "push_adapter", "push_results"])
def test_every_script_tells_how_it_is_used(spawn: Callable[..., Pushed], name: str) -> None:
    told = spawn(ROOT / "push_scripts" / f"{name}.py", "--help")
    assert told.code == 0, told.err
    for option in ("--repo-id", "--dry-run", "--private", "--revision", "--create-pr", "--overwrite"):
        assert option in told.out
    assert "--token" not in told.out
