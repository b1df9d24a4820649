"""The Space's page: what it reads, and the page itself in a real browser."""

from __future__ import annotations

import importlib.util
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from babel_zsic.babel_zsic import BabelZSIC

CSV = """language,prediction,reference,n_classes
DE,1,1,738
DE,2,2,738
DE,7,3,738
DE,9,9,738
LO,1,1,31
LO,3,2,31
"""


@pytest.fixture(scope="module")
def app(metric_folder: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("babel_zsic_app", metric_folder / "app.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def address(metric_folder: Path, tmp_path_factory: pytest.TempPathFactory, browser: object) -> Iterator[str]:
    """Start the page as a Space does, from its own folder."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    folder = tmp_path_factory.mktemp("app")
    settings = {
        "GRADIO_SERVER_NAME": "127.0.0.1",
        "GRADIO_SERVER_PORT": str(port),
        "GRADIO_ANALYTICS_ENABLED": "False",
        "GRADIO_TEMP_DIR": str(folder / "uploads"),
        "HF_HOME": str(folder / "hf"),
        "HF_EVALUATE_OFFLINE": "1",
        "HF_HUB_OFFLINE": "1",
    }
    with open(folder / "log", "w") as log:
        process = subprocess.Popen(
            [sys.executable, "app.py"], cwd=metric_folder, env={**os.environ, **settings}, stdout=log, stderr=log
        )
        url = f"http://127.0.0.1:{port}/"
        try:
            _wait_for(url, process, folder / "log")
            yield url
        finally:
            process.terminate()
            process.wait(timeout=20)


def _wait_for(url: str, process: subprocess.Popen, log: Path) -> None:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        assert process.poll() is None, log.read_text()
        try:
            urllib.request.urlopen(url, timeout=5).close()
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            time.sleep(0.2)
        else:
            return
    raise AssertionError(f"the page did not start: {log.read_text()}")


def test_pasted_rows_become_the_arguments_of_compute(app):
    inputs = app.parse(CSV)
    assert inputs["languages"] == ["DE"] * 4 + ["LO"] * 2
    assert inputs["predictions"] == [1, 2, 7, 9, 1, 3]
    assert inputs["num_classes"] == {"DE": 738, "LO": 31}
    assert "num_classes" not in app.parse("language, prediction, reference\nDE,1,1")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "header lacks language, prediction, reference"),
        ("language,prediction,reference", "no rows"),
        ("language,prediction,reference\nDE,cat,1", "Line 2: prediction is 'cat'"),
        ("language,prediction,reference\nDE,1", "Line 2: reference is ''"),
        ("language,prediction,reference,n_classes\nDE,1,1,5\nDE,1,1,6", "6 classes here and 5 further up"),
        ("language,prediction,reference\nDE,1,1\n\n\nDE,x,1", "Line 5: prediction is 'x'"),
        ("language,prediction,reference\nDE,1,1,738", "Line 2 has more cells than the header"),
        ("language,prediction,reference,n_class\nDE,1,1,738", "names 'n_class'"),
        ("language,prediction,reference,prediction\nDE,1,1,2", "names prediction twice"),
        ("language;prediction;reference\nDE;1;1", "between commas"),
        ('language,prediction,reference\n"DE,1,1\n' + "LO,1,1\n" * 20_000, "a quotation mark is left open"),
    ],
)
def test_rows_that_cannot_be_read_are_refused_with_their_line(app, text, message):
    with pytest.raises(ValueError, match=message):
        app.parse(text)


def test_the_bounds_stand_beside_the_accuracy_and_english_is_said_to_be_in_no_mean(app, monkeypatch, tmp_path):
    monkeypatch.setattr(app.evaluate, "load", lambda path: BabelZSIC(cache_dir=str(tmp_path)))
    summary, table, bars = app.score(CSV + "EN,1,2,1000\n", None)
    assert list(table) == ["language", "photos", "accuracy", "low", "high", "chance", "centred"]
    assert summary == "Mean accuracy: **0.6250** over 2 languages. English, the yardstick, is in no mean."
    assert bars["language"].tolist() == ["DE", "LO", "EN"]
    assert app.score(CSV[: CSV.index("LO")], None)[0] == "Mean accuracy: **0.7500** over 1 language."


def test_a_byte_order_mark_is_no_part_of_the_first_column(app):
    assert app.parse("\ufeff" + CSV) == app.parse(CSV)


def test_a_file_that_is_not_utf_8_is_refused_with_what_to_do(app, tmp_path):
    (tmp_path / "old.csv").write_bytes(CSV.encode() + "Größe".encode("latin-1"))
    with pytest.raises(app.gr.Error, match=r"old\.csv is not UTF-8"):
        app.score("", str(tmp_path / "old.csv"))


@pytest.mark.browser
def test_an_uploaded_file_gives_its_accuracy_on_the_page(address, browser, tmp_path):
    browser.view(width=1280, height=1400)
    browser.open(address)
    browser.wait_until(lambda: browser.find_all("#compute"), seconds=60, what="the page to be drawn")
    (tmp_path / "predictions.csv").write_text(CSV, encoding="utf-8")
    browser.find("#upload input[type=file]").send_keys(str(tmp_path / "predictions.csv"))
    browser.wait_until(lambda: "predictions" in browser.find("#upload").text, seconds=30, what="the upload")
    browser.find("#compute").click()
    browser.wait_until(lambda: "Mean accuracy" in browser.find("#summary").text, seconds=60, what="the result")
    assert "0.6250 over 2 languages" in browser.find("#summary").text
    cells = browser.find("#table").text.split()
    assert {"DE", "LO", "0.75", "0.5"} <= set(cells)
    browser.wait_until(lambda: browser.find_all("#chart canvas, #chart svg"), seconds=30, what="the chart")
    picture = browser.screenshot(tmp_path / "page.png")
    assert picture.stat().st_size > 20_000


@pytest.mark.browser
def test_a_mistake_in_the_pasted_rows_is_said_on_the_page(address, browser):
    browser.open(address)
    browser.wait_until(lambda: browser.find_all("#predictions textarea"), seconds=60, what="the page to be drawn")
    box = browser.find("#predictions textarea")
    box.clear()
    box.send_keys("language,prediction,reference\nDE,1,x")
    browser.find("#compute").click()
    assert "reference is 'x'" not in browser.find("body").text
    browser.wait_until(lambda: "reference is 'x'" in browser.find("body").text, seconds=30, what="the message")
