"""The leaderboard Space, started as it is on the Hub and driven in a real Chromium, from results that were pushed."""

from __future__ import annotations

import importlib.util
import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path
from urllib.request import urlopen

import pytest
from loopback_hub import LoopbackHub, User

pytestmark = pytest.mark.browser
gradio = pytest.importorskip("gradio", reason='gradio is not installed (pip install "babel-imagenet[space]")')
SCRIPTS = Path(__file__).resolve().parents[2] / "push_scripts"
APP = SCRIPTS / "leaderboard" / "app.py"
ANN = User("ann", "hf_annsTokenThatNobodyMaySee0123456789", orgs=("org",))
ACCURACY = {"org/small": {"EN": 0.6, "DE": 0.4, "LO": 0.1}, "org/large": {"EN": 0.8, "DE": 0.7, "LO": 0.3, "SW": 0.01}}
SIZES = {"EN": 1000, "DE": 800, "LO": 50, "SW": 90}


def write(folder: Path) -> list[Path]:
    """Write results of two models: zero-shot and of a retrieval set, whose recalls are half the accuracies."""
    paths = []
    for (model, accuracy), parameters in zip(ACCURACY.items(), (10**8, 2 * 10**9), strict=True):
        meta = {"model": model, "parameters": parameters, "images": {"name": "val"}}
        rows = [{"lang": c, "prompt": "label", "num_classes": SIZES[c], "accuracy": a} for c, a in accuracy.items()]
        recalls = [{"lang": c.lower(), "t2i_r@1": a / 2, "i2t_r@1": 1 - a} for c, a in accuracy.items()]
        sets = {"zero": (meta, rows), "xtd": ({**meta, "images": None, "dataset": {"name": "xtd"}}, recalls)}
        for name, (about, content) in sets.items():
            path = folder / name / f"{parameters}.json"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps({"meta": about, "results": content}), encoding="utf-8")
            paths.append(path)
    return paths


@pytest.fixture(scope="module")
def hub(tmp_path_factory):
    """Give the environment of a process that takes a Hub on this machine for the real one; results lie on it."""
    folder = tmp_path_factory.mktemp("leaderboard")
    with LoopbackHub(folder / "hub", [ANN]) as running:
        settings = {"HF_ENDPOINT": running.url, "HF_HOME": str(folder / "home"), "HF_HUB_DISABLE_XET": "1",
                    "HF_UPDATE_DOWNLOAD_COUNTS": "FALSE", "HF_TOKEN": ANN.token}  # fmt: skip
        environment = {**os.environ, **settings}
        push = [sys.executable, str(SCRIPTS / "push_results.py"), "--repo-id", "org/results"]
        subprocess.run([*push, *map(str, write(folder))], env=environment, check=True, capture_output=True)
        yield environment


@pytest.fixture(scope="module")
def address(hub):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    settings = {"RESULTS": "org/results", "GRADIO_SERVER_PORT": str(port), "GRADIO_SERVER_NAME": "127.0.0.1",
                "GRADIO_ANALYTICS_ENABLED": "False"}  # fmt: skip
    process = subprocess.Popen(
        [sys.executable, str(APP)], env={**hub, **settings}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
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
    browser.wait_until(lambda: "small" in text(browser), seconds=40, what="the table of models")
    shown = text(browser)
    assert shown.index("large") < shown.index("small")
    assert "Means over the 2 languages that every model below has" in shown  # SW is of one model alone
    assert "50" in shown  # mean of 70 and 30: English is in no mean, nor is SW
    assert browser.screenshot(tmp_path / "board.png").stat().st_size > 8000
    tab = "[...document.querySelectorAll('[role=tab]')].find(t => t.innerText.trim() === arguments[0]).click()"
    browser.run(tab, "Heat map")
    browser.wait_until(lambda: "LO" in browser.find("#heat").text)
    colours = "const of = d => d.id === 'heat' ? [] : [getComputedStyle(d).background, ...of(d.parentNode)];" \
              "return [...document.querySelectorAll('#heat span')].filter(d => d.innerText === '–')" \
              ".flatMap(of)"  # fmt: skip
    found = browser.wait_until(lambda: browser.run(colours))
    assert not any("rgb(0, 0, 0)" in colour for colour in found)  # no value, no colour
    browser.run(tab, "Retrieval")
    browser.wait_until(lambda: "r = 1.00, 7 points" in text(browser))
    browser.wait_until(lambda: browser.run("return document.querySelector('#scatter canvas, #scatter svg.marks')"))
    browser.run(tab, "Add your model")
    browser.wait_until(lambda: "push results my-model.json --repo-id org/results --create-pr" in text(browser))
    browser.run("[...document.querySelectorAll('input[type=checkbox]')].at(-1).click()")  # without the group `high`
    browser.run(tab, "Models")
    browser.wait_until(lambda: "30" in browser.find("#board").text and "50" not in browser.find("#board").text)
    outside = [e for e in browser.errors() if "127.0.0.1" in e and "favicon" not in e]
    assert outside == []


def test_a_folder_of_results_is_read_as_well_and_a_size_leaves_the_others_out(tmp_path):
    spec = importlib.util.spec_from_file_location("leaderboard_app", APP)
    app = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(app)
    write(tmp_path)
    zero_shot, retrieval = app.read(str(tmp_path))
    assert (len(zero_shot), len(retrieval), set(retrieval["images"])) == (7, 7, {"xtd"})
    table = app.chosen(zero_shot, "label", list(app.GROUPS), "above 1 B")
    means, note = app.board(table)
    assert means[["model", "mean %", "English %", "languages"]].to_numpy().tolist() == [["large", 33.7, 80.0, 3]]
    assert "3 languages" in note
    points, words = app.scatter(table, retrieval, "xtd", "image-to-text")
    assert len(points) == 4
    assert words.startswith("**r = -1.00")
    (tmp_path / "none").mkdir()
    with pytest.raises(ValueError, match="no zero-shot result file"):
        app.read(str(tmp_path / "none"))
