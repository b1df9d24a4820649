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
import torch

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


def run(*command: str, ends_with: int = 0) -> str:
    done = subprocess.run([sys.executable, *command], env=environment(), capture_output=True, text=True, timeout=400)
    assert done.returncode == ends_with, done.stderr
    return done.stderr


def lines(out: Path) -> list[str]:
    return [line for line in (out / "lo" / "steps.jsonl").read_text().splitlines(keepends=True) if line.endswith("}\n")]


def steps(out: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in lines(out)]


def weights(out: Path) -> bytes:
    return (out / "lo" / "adapter_model.safetensors").read_bytes()


def last_checkpoint(out: Path) -> Path:
    """Give the folder of the last checkpoint; a kill may have come while the next one took its place."""
    folders = [out / "lo" / name for name in ("checkpoint", "checkpoint.old")]
    return next(folder for folder in folders if folder.is_dir())


Command = Callable[[Path], list[str]]


@pytest.fixture
def command(base: Callable[[str], str], pairs_file: Path, labels_file: Path) -> Command:
    """Give the arguments of a training that writes to a folder."""
    model = base("transformers CLIP")  # once for all runs
    return lambda out: flags(model, pairs_file, labels_file, out)


def test_two_processes_give_the_loss_curve_of_one(command: Command, tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    run(*command(one))
    said = run(*TORCHRUN, *command(two))
    assert "2 process(es) on CPU" in said  # accelerate's own num_processes
    curves = [[step["loss"] for step in steps(out)] for out in (one, two)]
    assert len(curves[0]) == len(curves[1]) == N_STEPS
    assert max(abs(a - b) for a, b in zip(*curves, strict=True)) < 1e-4
    assert sum(curves[0][-N_BATCHES:]) < sum(curves[0][:N_BATCHES])  # the last epoch's pairs are the first one's


def test_a_run_killed_in_the_middle_of_an_epoch_goes_on_to_the_same_weights(command: Command, tmp_path: Path) -> None:
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    run(*command(whole))
    process = subprocess.Popen([sys.executable, *command(killed)], env=environment(), stderr=subprocess.PIPE)
    log = killed / "lo" / "steps.jsonl"
    deadline = time.monotonic() + 300
    while process.poll() is None and time.monotonic() < deadline:
        if log.is_file() and len(steps(killed)) > N_BATCHES + SAVE_EVERY:
            break
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    _, said = process.communicate()
    assert process.returncode == -signal.SIGKILL, f"the run ended before it could be killed: {said.decode()}"
    last = int(steps(killed)[-1]["step"])
    state = torch.load(last_checkpoint(killed) / "custom_checkpoint_0.pkl")
    assert last - SAVE_EVERY <= state["step"] == state["batch"] <= last < N_STEPS
    assert state["step"] % N_BATCHES, "the kill landed beside an epoch's end"
    before = lines(killed)[: state["step"]]  # with pairs a second by the clock, which no second training would repeat
    run(*command(killed), "--resume")
    assert lines(killed)[: state["step"]] == before
    assert weights(killed) == weights(whole)
    assert [step["loss"] for step in steps(killed)] == [step["loss"] for step in steps(whole)]


LABELS = [[0, 1, 2, 7, 8, 9], ["hcnet", "dlog", "krahs", "koc", "neh", "hcirtso"]]


@pytest.fixture
def several(command: Command, pairs_file: Path, labels_file: Path) -> Command:
    """Give the arguments of a short training of four languages, of which Burmese has no captions."""
    labels_file.write_text(json.dumps(dict.fromkeys(("LO", "SI", "MY", "KM"), LABELS)))
    for language in ("lo", "si", "km"):
        (pairs_file.parent / f"{language}.jsonl").write_bytes(pairs_file.read_bytes())
    data = str(pairs_file.parent / "{language}.jsonl")
    more = ["--languages", "lo,my,si,km", "--train-data", data, "--steps", "4"]
    return lambda out: [*command(out), *more]


def test_a_language_that_fails_on_the_first_process_fails_on_all(several: Command, tmp_path: Path) -> None:
    said = run(*TORCHRUN, *several(tmp_path / "out"), ends_with=1)
    assert "2 process(es) on CPU" in said
    assert "mean gain on names (label) over 3 language(s)" in said
    assert said.count("MY: failed: ") == 1
    assert (tmp_path / "out" / "km" / "README.md").is_file()


def test_languages_spread_over_processes_share_a_table(several: Command, tmp_path: Path) -> None:
    said = run(*TORCHRUN, *several(tmp_path / "out"), "--spread-languages", ends_with=1)
    assert "2 process(es) on CPU" in said
    assert "mean gain on names (label) over 3 language(s)" in said
    assert [said.count(f"{language}: 40 pairs of ") for language in ("LO", "SI", "KM")] == [1, 1, 1]
    assert said.count("MY: failed: ") == 1
    alone = tmp_path / "alone"
    run(*several(alone), ends_with=1)
    for language in ("lo", "si", "km"):
        one, other = (out / language / "adapter_model.safetensors" for out in (tmp_path / "out", alone))
        assert one.read_bytes() == other.read_bytes()


def test_accumulated_batches_epochs_and_a_learned_temperature_are_the_same_on_two_processes(
    command: Command, tmp_path: Path
) -> None:
    more = ["--accumulate", "2", "--epochs", "2", "--learn-temperature"]
    one, two = tmp_path / "one", tmp_path / "two"
    run(*command(one), *more)
    run(*TORCHRUN, *command(two), *more)
    curves = [[step["loss"] for step in steps(out)] for out in (one, two)]
    assert len(curves[0]) == len(curves[1]) == 2 * N_BATCHES // 2
    assert max(abs(a - b) for a, b in zip(*curves, strict=True)) < 1e-4
