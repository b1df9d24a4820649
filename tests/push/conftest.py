"""A Hub on this machine, people with and without rights, and pushes to it in this process or in one of their own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from loopback_hub import LoopbackHub, User
from push_helpers import ANN, BOB, EVE, LABELS, Pushed, check_no_token


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


def hear_ctrl_c() -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@pytest.fixture
def start(environment: dict[str, str], tmp_path: Path) -> Callable[..., subprocess.Popen[str]]:
    """Start Python in a process of its own, in an empty folder."""

    def run(*arguments: Any, user: User | None = ANN, **further: str) -> subprocess.Popen[str]:
        settings = {**os.environ, **environment, **further, "HF_TOKEN": user.token if user else ""}
        empty = tmp_path / "empty"
        empty.mkdir(exist_ok=True)
        command = [sys.executable, *map(str, arguments)]
        pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        # A shell that runs the suite in the background has its children ignore Ctrl-C.
        return subprocess.Popen(command, env=settings, cwd=empty, text=True, preexec_fn=hear_ctrl_c, **pipes)

    return run


@pytest.fixture
def spawn(start: Callable[..., subprocess.Popen[str]]) -> Callable[..., Pushed]:
    """Run Python in a process of its own, in an empty folder, to its end."""

    def run(*arguments: Any, user: User | None = ANN, **further: str) -> Pushed:
        process = start(*arguments, user=user, **further)
        out, err = process.communicate(timeout=120)
        check_no_token(out + err)
        return Pushed(process.returncode, out, err)

    return run


@pytest.fixture(scope="session")
def built_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from babel_imagenet_dataset.export import build
    from babel_imagenet_dataset.release import PromptFile, load_labels

    folder = tmp_path_factory.mktemp("dataset")
    (folder / "own.json").write_text(json.dumps(LABELS), encoding="utf-8")
    prompts = PromptFile(folder / "own-prompts.json", "0" * 64, {"DE": ("ein Foto von {}.", "{} im Bild")})
    build(load_labels(folder / "own.json"), prompts, folder / "babel-imagenet")
    return folder / "babel-imagenet"


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
