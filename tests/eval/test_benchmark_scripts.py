"""The scripts that time models still run, on a tiny one: what they watch and call is there."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
import tiny_models as tiny

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


def output(script: str, folder: Path, *arguments: str) -> str:
    model = tiny.open_clip_folder(folder / "model", {})
    command = [sys.executable, str(BENCHMARKS / script), "--model", f"open_clip:{model}", "--device", "cpu", *arguments]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


@pytest.mark.slow
def test_the_floor_tells_where_all_of_the_time_went(tmp_path: Path) -> None:
    said = output("floor.py", tmp_path, "--photos", "8", "--languages", "1")
    parts = said.partition("encoders busy")[0]
    assert sum(map(float, re.findall(r"\| ([\d.]+) % \|$", parts, re.M))) == pytest.approx(100, abs=1)
    for part in ("image tower", "text tower", "tokenizer", "decisions and ranks", "figures and intervals", "store"):
        assert f"| {part} |" in said


@pytest.mark.slow
def test_fewer_bits_are_compared_with_fp32(tmp_path: Path) -> None:
    said = output("precision.py", tmp_path, "--photos", "4", "--texts", "10", "--rounds", "1", "--variants", "bf16")
    (line,) = [line for line in said.splitlines() if line.startswith("| bf16")]
    cosines = [float(number) for number in re.findall(r"0\.9\d{5}|1\.000000", line)]
    assert len(cosines) == 2
    assert 0.99 < min(cosines) < 1
