"""Processes of a training: an error of one is known to all, and each alone keeps all that it needs to go on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState, PartialState
from test_training import config, started

import train_adapter
from babel_adapters import team
from babel_adapters.config import TrainConfig
from babel_adapters.team import Team


def of_two(rank: int, told: list[Any], monkeypatch: pytest.MonkeyPatch) -> Team:
    """Give one of two processes, whose other one says at each gathering what is next in `told`."""
    others = iter(told)
    monkeypatch.setattr(team, "gather_object", lambda own: [*own, next(others)][:: -1 if rank else 1])
    accelerator: Any = SimpleNamespace(num_processes=2, process_index=rank, is_local_main_process=rank == 0)
    return Team(accelerator)


def fail() -> None:
    raise FileNotFoundError("no captions")


def test_an_error_of_the_first_process_is_raised_on_the_other(monkeypatch: pytest.MonkeyPatch) -> None:
    other = of_two(1, [("FileNotFoundError", "no captions")], monkeypatch)
    with pytest.raises(FileNotFoundError, match="no captions"):
        other.first(lambda: pytest.fail("the first process alone acts"))


@pytest.mark.parametrize(("rank", "n_turns"), [(0, 1), (1, 2)])
def test_a_failing_process_tells_the_other_before_it_goes_on(
    rank: int, n_turns: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[Any] = []
    failing = of_two(rank, [None, None], monkeypatch)
    gathered = team.gather_object
    monkeypatch.setattr(team, "gather_object", lambda own: told.extend(own) or gathered(own))
    with pytest.raises(FileNotFoundError, match="no captions"):
        failing.in_turn(fail)
    assert told == [None] * (n_turns - 1) + [("FileNotFoundError", "no captions")]


def test_an_error_that_ends_the_run_ends_it_on_all(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(RuntimeError, match="no room"):
        of_two(1, [("OSError", "no room")], monkeypatch).first(lambda: None)


def test_what_the_first_process_found_is_told_to_the_other(monkeypatch: pytest.MonkeyPatch) -> None:
    assert of_two(1, [None, "found"], monkeypatch).tell(lambda: "of the other") == "found"


def test_a_process_alone_waits_for_nobody_and_pools_at_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    alone = Team(of_two(1, [{"LO": 1}], monkeypatch).accelerator, alone=True)
    with pytest.raises(FileNotFoundError):
        alone.first(fail)
    assert list(alone.pool({"MY": 2}).items()) == [("LO", 1), ("MY", 2)]


def test_a_checkpoint_of_any_process_alone_is_whole_and_any_other_goes_on_from_it(
    base: Callable[[str], str], pairs_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = config(pairs_file, tmp_path, resume=True, dropout=0.5, save_every=2, steps=4)
    encoder, first = started(base("transformers CLIP"), settings)
    data, folder = first.data, first.folder
    first.close()

    def alone(process: int) -> Any:
        monkeypatch.setattr("accelerate.state.PartialState.is_main_process", process == 0)
        accelerator = Accelerator(cpu=True)
        monkeypatch.setitem(PartialState._shared_state, "process_index", process)
        monkeypatch.setitem(AcceleratorState._shared_state, "process_index", process)
        return train_adapter.Run(settings, Team(accelerator, alone=True), encoder, data, folder, "LO")

    batches = first.plan.from_step(0)
    rows = [next(batches)[1] for _ in range(3)]
    run = alone(1)
    for one in rows[:2]:
        run.step([one])
    run.checkpoints.save()
    assert (folder / "checkpoint" / "random_states_1.pkl").is_file()
    run.step([rows[2]])
    expected = [p.detach().clone() for p in run.weights]
    run.close()
    run = alone(2)
    assert run.checkpoints.load()
    assert run.state.step == 2
    run.step([rows[2]])
    assert all(torch.equal(a, b) for a, b in zip(run.weights, expected, strict=True))
    run.close()


def test_a_tracker_that_would_miss_languages_is_refused() -> None:
    with pytest.raises(ValueError, match="hears the first process alone"):
        TrainConfig(spread_languages=True, log_with="tensorboard")


def test_settings_that_a_method_never_reads_are_named_and_not_recorded() -> None:
    solved = TrainConfig(method="linear", steps=7, learning_rate=0.1, last_layers=2, ridge=0.3)
    assert solved.unheeded() == ["--last-layers", "--steps", "--learning-rate"]
    assert not {"steps", "learning_rate", "batch_size", "temperature", "mixed_precision"} & set(solved.settings())
    assert solved.settings()["ridge"] == 0.3
    stepped = TrainConfig(method="lora", steps=7, ridge=0.3)
    assert stepped.unheeded() == ["--ridge"]
    assert stepped.settings()["steps"] == 7


def test_auto_says_which_flags_it_makes_no_use_of(
    base: Callable[[str], str], capsys: pytest.CaptureFixture[str]
) -> None:
    from babel_eval.encoders import load_encoder

    encoder: Any = load_encoder(base("m-clip"), device="cpu")
    train_adapter.settled(TrainConfig(steps=7), Team(Accelerator(cpu=True)), encoder, "LO")
    assert "LO: --method linear makes no use of --steps" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("given", "launcher", "expected"), [(None, "bf16", "bf16"), ("no", "bf16", "no"), (None, "", "no")]
)
def test_the_launchers_precision_is_taken_and_recorded_where_no_flag_names_one(
    given: str | None, launcher: str, expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if launcher:
        monkeypatch.setenv("ACCELERATE_MIXED_PRECISION", launcher)
    AcceleratorState._reset_state()
    try:
        asked = TrainConfig(method="lora", mixed_precision=given, output_dir=str(tmp_path))
        accelerator = train_adapter.start(asked)
        settled = train_adapter.settled(asked, Team(accelerator), None, "LO")  # type: ignore[arg-type]
        used = accelerator.mixed_precision
    finally:
        AcceleratorState._reset_state()
    assert (used, settled.settings()["mixed_precision"]) == (expected, expected)
    assert settled.unheeded() == []
