"""A run that is killed while it writes rows goes on where it was, and ends with the same file."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pyarrow.parquet as pq
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "eval"))
from toy import write_photo

from babel_eval.results import PASSING
from babel_imagenet_dataset.imagenet import wnids

LANGUAGES = "de,sw,lo,fr,am,si,so,ru,xh,om"
# A stranger's script: the toy model behind the real command line, a tenth of a second for each language's texts.
SCRIPT = f"""
import sys, time
sys.path.insert(0, {str(Path(__file__).parents[1] / "eval")!r})
from toy import ToyEncoder
import babel_eval.encoders, babel_eval.texts
from babel_eval import cli
from babel_imagenet_dataset.imagenet import english_class_names

class Slow(ToyEncoder):
    def encode_texts(self, texts, language):
        time.sleep(0.1)
        return super().encode_texts(texts, language)

babel_eval.texts.TEXTS_AT_ONCE = 250
encoder = Slow({{name: i for i, name in enumerate(english_class_names())}})
babel_eval.encoders.load_encoder = lambda *a, **k: encoder
sys.argv = ["babel-imagenet", *sys.argv[1:]]
cli.main()
"""


def command(out, *more):
    arguments = ["evaluate", "--model", "toy", "--images", "names", "--languages", LANGUAGES, "--out", str(out), *more]
    return [sys.executable, "-c", SCRIPT, *arguments]


def content(path):
    whole = json.loads(path.read_text())
    whole["meta"] = {k: v for k, v in whole["meta"].items() if k not in PASSING}
    return whole


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    out = tmp_path_factory.mktemp("whole") / "r.json"
    subprocess.run(command(out), check=True, capture_output=True)
    return out


def kill_after_rows(out, n_rows):
    """Start a run, kill it hard once it has written some rows, and give the number that were there."""
    process = subprocess.Popen(command(out), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and process.poll() is None:
        if out.exists() and len(json.loads(out.read_text())["results"]) >= n_rows:
            os.kill(process.pid, signal.SIGKILL)
            break
        time.sleep(0.005)
    assert process.wait() == -signal.SIGKILL, "the run ended before it could be killed"
    return len(json.loads(out.read_text())["results"])


def test_a_killed_run_resumes_to_the_same_file(tmp_path, whole):
    out = tmp_path / "r.json"
    n_rows = kill_after_rows(out, 3)
    assert 3 <= n_rows < len(LANGUAGES.split(",")), "the kill must land while rows are being written"
    kept = json.loads(out.read_text())["results"]
    done = subprocess.run(command(out, "--resume"), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert content(out)["results"][:n_rows] == kept
    assert content(out) == content(whole)
    one, other = (pq.read_table(path.with_suffix(".predictions.parquet")) for path in (out, whole))
    assert one.equals(other)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["r.json", "r.predictions.parquet"]


def photos_and_rows_run(folder, *more):
    """A run that goes through photos, texts and rows, with its own store."""
    arguments = ["evaluate", "--model", "toy", "--images", str(folder.parent / "photos"), "--languages", LANGUAGES]
    places = ["--out", str(folder / "r.json"), "--store", str(folder / "store"), "--allow-missing-images"]
    return [sys.executable, "-c", SCRIPT, *arguments, *places, *more]


def rows_in(out):
    return len(json.loads(out.read_text())["results"]) if out.exists() else 0


def kill_at(folder, n_rows, seconds):
    """Start a run, kill it some seconds after some rows are written, and give what was written; None: too late."""
    process = subprocess.Popen(photos_and_rows_run(folder), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while rows_in(folder / "r.json") < n_rows and process.poll() is None:
        time.sleep(0.005)
    time.sleep(seconds)
    process.kill()
    return rows_in(folder / "r.json") if process.wait() == -signal.SIGKILL else None


@pytest.mark.slow
def test_ten_kills_at_random_moments_each_resume_to_the_same_file(tmp_path):
    """Two while photos and texts are made, eight while rows are written; each run is whole after `--resume`."""
    rng = random.Random(0)
    for index in range(0, 1000, 3):
        write_photo(tmp_path / "photos" / wnids()[index] / "x.png", index)
    (tmp_path / "photos" / wnids()[0] / "bad.png").write_text("no photo")
    whole = tmp_path / "whole"
    whole.mkdir()
    start = time.monotonic()
    subprocess.run(photos_and_rows_run(whole), check=True, capture_output=True)
    length = time.monotonic() - start
    early = while_rows_were_written = 0
    for number in range(40):
        folder = tmp_path / f"run {number}"
        folder.mkdir()
        is_early = early < 2
        moment = (0, rng.uniform(0, 0.7 * length)) if is_early else (rng.randint(1, 8), rng.uniform(0, 0.1))
        n_rows = kill_at(folder, *moment)
        if n_rows is None:
            continue
        early += is_early
        while_rows_were_written += not is_early and 0 < n_rows < len(LANGUAGES.split(","))
        done = subprocess.run(photos_and_rows_run(folder, "--resume"), capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        assert content(folder / "r.json") == content(whole / "r.json")
        tables = [pq.read_table(f / "r.predictions.parquet") for f in (folder, whole)]
        assert tables[0].equals(tables[1])
        assert sorted(p.name for p in folder.iterdir()) == ["r.json", "r.predictions.parquet", "store"]
        assert not [p for p in folder.rglob("*") if p.suffix in (".part", ".tmp")]
        if while_rows_were_written == 8:
            break
    assert (early, while_rows_were_written) == (2, 8)


def test_resuming_with_another_prompt_set_is_refused_and_loses_nothing(tmp_path, whole):
    out = tmp_path / "r.json"
    out.write_bytes(whole.read_bytes())
    done = subprocess.run(command(out, "--resume", "--prompts", "openai_en"), capture_output=True, text=True)
    assert done.returncode == 2
    assert "prompts: 'label' there, 'openai_en' now" in done.stderr
    assert out.read_bytes() == whole.read_bytes()
