"""The leaderboard Space, started as it is on the Hub and driven in a real Chromium, from a folder of result files."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path
from urllib.request import urlopen

import pytest

pytestmark = pytest.mark.browser
gradio = pytest.importorskip("gradio", reason='gradio is not installed (pip install "babel-imagenet[space]")')
APP = Path(__file__).resolve().parents[2] / "push_scripts" / "leaderboard" / "app.py"
ACCURACY = {"org/small": {"EN": 0.6, "DE": 0.4, "LO": 0.1}, "org/large": {"EN": 0.8, "DE": 0.7, "LO": 0.3}}
SIZES = {"EN": 1000, "DE": 800, "LO": 50}


def write(path: Path, content: dict) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content), encoding="utf-8")


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    folder = tmp_path_factory.mktemp("results")
    for (model, accuracy), parameters in zip(ACCURACY.items(), (10**8, 2 * 10**9), strict=True):
        meta = {"model": model, "parameters": parameters}
        rows = [{"lang": c, "prompt": "label", "num_classes": SIZES[c], "accuracy": a} for c, a in accuracy.items()]
        write(folder / f"{meta['parameters']}.json", {"meta": meta, "results": rows})
        recalls = [{"lang": c.lower(), "t2i_r@1": a / 2} for c, a in accuracy.items()]
        write(folder / "xtd" / f"{meta['parameters']}.json", {"meta": meta, "results": recalls})
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    settings = {"RESULTS": str(folder), "GRADIO_SERVER_PORT": str(port), "GRADIO_SERVER_NAME": "127.0.0.1",
                "GRADIO_ANALYTICS_ENABLED": "False", "HF_HUB_OFFLINE": "1"}  # fmt: skip
    process = subprocess.Popen(
        [sys.executable, str(APP)], env={**os.environ, **settings}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    url = f"http://127.0.0.1:{port}/"
    try:
        for _ in range(300):
            if process.poll() is not None:
                pytest.fail(process.stdout.read().decode())
            try:
                urlopen(url, timeout=2).close()
                break
            except OSError:
                time.sleep(0.2)
        yield url
    finally:
        process.terminate()
        process.wait(20)


def text(browser) -> str:
    return browser.run("return document.body.innerText")


def test_models_stand_best_first_and_filters_and_tabs_work(browser, address, tmp_path):
    browser.view()
    browser.open(address)
    browser.wait_until(lambda: "org/small" in text(browser), seconds=40, what="the table of models")
    shown = text(browser)
    assert shown.index("org/large") < shown.index("org/small")
    assert "50" in shown  # mean of 70 and 30: English is in no mean
    assert browser.screenshot(tmp_path / "board.png").stat().st_size > 8000
    tab = "[...document.querySelectorAll('[role=tab]')].find(t => t.innerText.trim() === arguments[0]).click()"
    browser.run(tab, "Heat map")
    browser.wait_until(lambda: "LO" in browser.find("#heat").text)
    browser.run(tab, "Add your model")
    browser.wait_until(lambda: "babel-imagenet push results my-model.json" in text(browser))
    browser.run("[...document.querySelectorAll('input[type=checkbox]')].at(-1).click()")  # without the group `high`
    browser.run(tab, "Models")
    browser.wait_until(lambda: "30" in browser.find("#board").text and "50" not in browser.find("#board").text)
    outside = [e for e in browser.errors() if "127.0.0.1" in e and "favicon" not in e]
    assert outside == []
