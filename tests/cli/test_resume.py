"""A run that is killed while it writes rows goes on where it was, and ends with the same file."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from babel_eval.results import PASSING

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


def test_resuming_with_another_prompt_set_is_refused_and_loses_nothing(tmp_path, whole):
    out = tmp_path / "r.json"
    out.write_bytes(whole.read_bytes())
    done = subprocess.run(command(out, "--resume", "--prompts", "openai_en"), capture_output=True, text=True)
    assert done.returncode == 2
    assert "prompts: 'label' there, 'openai_en' now" in done.stderr
    assert out.read_bytes() == whole.read_bytes()
