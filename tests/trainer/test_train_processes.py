"""Training in processes of its own: two give the loss curve of one, and a killed one goes on to the same weights."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

import train_adapter

SCRIPT = Path(train_adapter.__file__)
TORCHRUN = ("-m", "torch.distributed.run", "--nproc_per_node", "2")
N_STEPS, SAVE_EVERY, N_BATCHES = 80, 4, 10
pytestmark = pytest.mark.slow


def flags(model: str, pairs: Path, labels: Path, out: Path) -> list[str]:
    return [
        str(SCRIPT), "--model", model, "--languages", "lo", "--train-data", str(pairs), "--eval-labels", str(labels),
        "--method", "lora", "--rank", "4", "--batch-size", "4", "--bank", "0", "--steps", str(N_STEPS), "--force",
        "--save-every", str(SAVE_EVERY), "--hold-out", "0", "--output-dir", str(out), "--temperature", "0.2",
        "--store", str(out.parent / "store"), "--leakage", "none",
    ]  # fmt: skip


def environment() -> dict[str, str]:
    return {**os.environ, "ACCELERATE_USE_CPU": "true", "OMP_NUM_THREADS": "1", "BABEL_TRACEBACK": "1"}


def run(*command: str) -> str:
    done = subprocess.run([sys.executable, *command], env=environment(), capture_output=True, text=True, timeout=400)
    assert done.returncode == 0, done.stderr
    return done.stderr


def steps(out: Path) -> list[dict[str, float]]:
    lines = (out / "lo" / "steps.jsonl").read_text().splitlines(keepends=True)
    return [json.loads(line) for line in lines if line.endswith("}\n")]


def weights(out: Path) -> bytes:
    return (out / "lo" / "adapter_model.safetensors").read_bytes()


Command = Callable[[Path], list[str]]


@pytest.fixture
def command(base: Callable[[str], str], pairs_file: Path, labels_file: Path) -> Command:
    """Give the arguments of a training that writes to a folder."""
    model = base("transformers CLIP")  # once: its weights are drawn anew each time
    return lambda out: flags(model, pairs_file, labels_file, out)


def test_two_processes_give_the_loss_curve_of_one(command: Command, tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    run(*command(one))
    said = run(*TORCHRUN, *command(two))
    assert "2 process(es) on CPU" in said  # accelerate's own num_processes
    curves = [[step["loss"] for step in steps(out)] for out in (one, two)]
    assert len(curves[0]) == len(curves[1]) == N_STEPS
    assert max(abs(a - b) for a, b in zip(*curves, strict=True)) < 1e-4
    assert curves[0][-1] < curves[0][0]


def test_a_run_killed_in_the_middle_of_an_epoch_goes_on_to_the_same_weights(command: Command, tmp_path: Path) -> None:
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    run(*command(whole))
    process = subprocess.Popen([sys.executable, *command(killed)], env=environment(), stderr=subprocess.PIPE)
    log = killed / "lo" / "steps.jsonl"
    deadline = time.monotonic() + 300
    while not (log.is_file() and len(steps(killed)) > N_BATCHES + SAVE_EVERY) and time.monotonic() < deadline:
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert process.returncode == -signal.SIGKILL, "the run ended before it could be killed"
    last = int(steps(killed)[-1]["step"])
    checkpoint = last // SAVE_EVERY * SAVE_EVERY
    assert checkpoint % N_BATCHES, "the kill landed beside an epoch's end"
    assert last < N_STEPS
    assert (killed / "lo" / "checkpoint").is_dir()
    run(*command(killed), "--resume")
    assert weights(killed) == weights(whole)
    assert [step["loss"] for step in steps(killed)] == [step["loss"] for step in steps(whole)]
