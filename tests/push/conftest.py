"""A Hub on this machine, people with and without rights, and pushes to it in this process or in one of their own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from loopback_hub import LoopbackHub, User
from push_helpers import ANN, BOB, EVE, Pushed, check_no_token


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[LoopbackHub]:
    with LoopbackHub(tmp_path / "hub", [ANN, BOB, EVE]) as running:
        yield running


@pytest.fixture
def environment(hub: LoopbackHub, tmp_path: Path) -> dict[str, str]:
    """What a process needs to take the loopback Hub for the real one, with nothing cached."""
    return {
        "HF_ENDPOINT": hub.url,
        "HF_HOME": str(tmp_path / "home"),
        "HF_HUB_DISABLE_XET": "1",
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        "HF_UPDATE_DOWNLOAD_COUNTS": "FALSE",
        "HF_TOKEN": ANN.token,
        "XDG_CONFIG_HOME": str(tmp_path / "config"),
        "BABEL_PUSH_WAIT": "0",
    }


@pytest.fixture(scope="session")
def commands() -> Any:
    import typer

    from babel_eval.commands.push import register

    app = typer.Typer()
    app.callback()(lambda: None)
    register(app)
    return app


@pytest.fixture
def push(
    commands: Any, environment: dict[str, str], monkeypatch: pytest.MonkeyPatch, capfd: Any
) -> Callable[..., Pushed]:
    """Run `babel-imagenet push …` in this process, as ann or another user; no token may be seen in what it prints."""
    from huggingface_hub import constants
    from huggingface_hub.utils import _http, disable_progress_bars
    from typer.testing import CliRunner

    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("BABEL_TRACEBACK", raising=False)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.setattr(_http.time, "sleep", lambda seconds: None)
    disable_progress_bars()

    def run(*arguments: Any, user: User | None = ANN) -> Pushed:
        if user is None:
            monkeypatch.delenv("HF_TOKEN", raising=False)
        else:
            monkeypatch.setenv("HF_TOKEN", user.token)
        result = CliRunner().invoke(commands, ["push", *map(str, arguments)], catch_exceptions=False)
        beside = capfd.readouterr()
        pushed = Pushed(result.exit_code, result.stdout + beside.out, result.stderr + beside.err)
        check_no_token(pushed.out + pushed.err)
        return pushed

    return run


@pytest.fixture
def spawn(environment: dict[str, str], tmp_path: Path) -> Callable[..., Pushed]:
    """Run Python in a process of its own, from an empty folder."""

    def run(*arguments: Any, user: User | None = ANN, **further: str) -> Pushed:
        result = start(arguments, environment, tmp_path, user, further).communicate(timeout=120)
        return Pushed(run.process.returncode, *result)  # type: ignore[attr-defined]

    def start(
        arguments: Sequence[Any], base: dict[str, str], folder: Path, user: User | None, further: dict[str, str]
    ) -> subprocess.Popen[str]:
        settings = {**os.environ, **base, **further, "HF_TOKEN": user.token if user else ""}
        empty = folder / "empty"
        empty.mkdir(exist_ok=True)
        run.process = subprocess.Popen(  # type: ignore[attr-defined]
            [sys.executable, *map(str, arguments)],
            env=settings,
            cwd=empty,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        return run.process  # type: ignore[attr-defined]

    return run


@pytest.fixture
def results_file(tmp_path: Path) -> Callable[..., Path]:
    """Write a result file of a model: language → accuracy."""

    def write(model: str = "org/model", *, prompt: str = "label", meta: Any = None, **accuracies: float) -> Path:
        rows = [
            {"lang": lang, "prompt": prompt, "num_classes": 100, "accuracy": value}
            for lang, value in (accuracies or {"DE": 0.5, "LO": 0.25}).items()
        ]
        path = tmp_path / f"{model.replace('/', '-')}-{len(list(tmp_path.glob('*.json')))}.json"
        known = {"model": model, "source": "openclip", "parameters": 12, **(meta or {})}
        path.write_text(json.dumps({"meta": known, "results": rows}), encoding="utf-8")
        return path

    return write
