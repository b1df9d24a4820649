"""Runs that are broken off: what follows is as if they had not been, whatever came before them in the process."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from safetensors.torch import load_file, save_file
from test_training import TEXTS, config, features, started

import train_adapter
from babel_adapters import frozen, saving
from babel_adapters.data import training_data
from babel_adapters.measure import read_gains
from babel_adapters.progress import Progress
from babel_adapters.team import Team
from babel_eval.encoders import load_encoder

LABELS = [[0, 1, 2, 7, 8, 9], ["hcnet", "dlog", "krahs", "koc", "neh", "hcirtso"]]


@pytest.fixture
def flags(base: Callable[[str], str], pairs_file: Path, tmp_path: Path) -> Callable[..., list[str]]:
    """Give a function that gives the arguments of a short training of two languages into a folder."""
    model, labels = base("transformers CLIP"), tmp_path / "labels.json"
    labels.write_text(json.dumps({"LO": LABELS, "SI": LABELS}))
    known = {
        "model": model, "languages": "lo,si", "train-data": pairs_file, "eval-labels": labels, "method": "lora",
        "rank": 4, "batch-size": 8, "steps": 8, "save-every": 3, "check-every": 4, "store": tmp_path / "store",
    }  # fmt: skip

    def give(out: str, *more: str, **settings: Any) -> list[str]:
        settings = known | {name.replace("_", "-"): value for name, value in settings.items()}
        named = [text for name, value in settings.items() for text in (f"--{name}", str(value))]
        return [*named, "--output-dir", str(tmp_path / out), "--force", *more]

    return give


def break_off(monkeypatch: pytest.MonkeyPatch, language: str, step: int) -> None:
    """Let the run of a language be broken off after a step, as by Ctrl-C."""
    log = Progress.log

    def broken(self: Progress, values: dict[str, float]) -> None:
        log(self, values)
        if self._path.parent.name == language and self._state.step == step:
            raise KeyboardInterrupt

    monkeypatch.setattr(Progress, "log", broken)


@pytest.mark.slow
def test_the_second_language_goes_on_with_its_own_optimiser(
    flags: Callable[..., list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert train_adapter.main(flags("whole")) == 0
    with monkeypatch.context() as patch:
        break_off(patch, "si", 5)
        with pytest.raises(KeyboardInterrupt):
            train_adapter.main(flags("broken"))
    held = {path.name for path in (tmp_path / "broken" / "si" / "checkpoint").iterdir()}
    assert "optimizer.bin" in held
    assert "optimizer_1.bin" not in held  # that of the first language
    assert train_adapter.main(flags("broken", "--resume")) == 0
    whole, broken = (tmp_path / out / "si" / "adapter_model.safetensors" for out in ("whole", "broken"))
    assert broken.read_bytes() == whole.read_bytes()


@pytest.mark.slow
def test_languages_that_failed_go_on_one_after_another(
    flags: Callable[..., list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    log = Progress.log

    def broken(self: Progress, values: dict[str, float]) -> None:
        log(self, values)
        if self._state.step == 5:
            raise FloatingPointError("no number")

    with monkeypatch.context() as patch:
        patch.setattr(Progress, "log", broken)
        assert train_adapter.main(flags("out")) == 1
    assert "LO: failed: no number\nSI: failed: no number" in capsys.readouterr().err
    assert (tmp_path / "out" / "si" / "checkpoint").is_dir()
    assert train_adapter.main(flags("out", "--resume")) == 0


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"leakage": "labels"}, "leakage: 'strict' there, 'labels' now"),
        ({"method": "dora"}, "method: 'lora' there, 'dora' now"),
        ({"eval_images": "names,sample"}, "not measured for --eval-images sample"),
        ({"eval_prompts": "label,openai_en"}, "not measured for --eval-prompts openai_en"),
    ],
)
def test_a_finished_adapter_of_other_settings_is_not_handed_out(
    change: dict[str, str], said: str, flags: Callable[..., list[str]]
) -> None:
    asked = {"steps": 1, "languages": "lo"}
    assert train_adapter.main(flags("out", **asked)) == 0
    assert train_adapter.main(flags("out", "--resume", **asked)) == 0
    with pytest.raises(ValueError, match=said):
        train_adapter.main(flags("out", "--resume", **asked, **change))


@pytest.mark.parametrize("objective", ["text-contrastive", "lit"])
def test_a_finished_adapter_of_other_pairs_is_not_handed_out(
    objective: str, flags: Callable[..., list[str]], pairs_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(frozen, "MAX_UNREADABLE_SHARE", 0.1)
    (pairs_file.parent / "39.png").write_bytes(b"no image")
    asked = {"steps": 1, "languages": "lo", "objective": objective}
    assert train_adapter.main(flags("out", **asked)) == 0
    assert train_adapter.main(flags("out", "--resume", **asked)) == 0
    pairs_file.write_text(pairs_file.read_text().replace("robin", "raven"))
    with pytest.raises(ValueError, match=r"other pairs than .* holds now: --overwrite"):
        train_adapter.main(flags("out", "--resume", **asked))


def test_a_checkpoint_of_other_pairs_is_refused(base: Callable[[str], str], pairs_file: Path, tmp_path: Path) -> None:
    settings = config(pairs_file, tmp_path, model=base("transformers CLIP"), resume=True)
    _, run = started(settings.model, settings)
    run.checkpoints.save()
    run.close()
    pairs_file.write_text(pairs_file.read_text().replace("tench", "trout"))
    _, run = started(settings.model, settings)
    with pytest.raises(ValueError, match="data: '"):
        run.checkpoints.load()


def change_weights(base_folder: Path) -> None:
    """Give the base other weights at the same place, as a folder that is trained on has."""
    path = base_folder / "model.safetensors"
    save_file({name: value * 1.01 for name, value in load_file(path).items()}, path, metadata={"format": "pt"})


def test_a_finished_adapter_of_another_base_is_not_handed_out(flags: Callable[..., list[str]]) -> None:
    asked = flags("out", "--resume", steps=1, languages="lo")
    assert train_adapter.main(asked) == 0
    change_weights(Path(asked[asked.index("--model") + 1].removeprefix("transformers:")))
    with pytest.raises(ValueError, match=r"other weights than .* has now: --overwrite"):
        train_adapter.main(asked)


def test_a_checkpoint_of_another_base_is_refused(base: Callable[[str], str], pairs_file: Path, tmp_path: Path) -> None:
    settings = config(pairs_file, tmp_path, model=base("transformers CLIP"), resume=True)
    _, run = started(settings.model, settings)
    run.checkpoints.save()
    run.close()
    change_weights(Path(settings.model.removeprefix("transformers:")))
    _, run = started(settings.model, settings)
    with pytest.raises(ValueError, match="base: '"):
        run.checkpoints.load()


@pytest.mark.parametrize("rate", [pytest.param(0.01, marks=pytest.mark.slow), 5e-4])
def test_a_replacement_that_was_broken_off_goes_on(
    rate: float, flags: Callable[..., list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = {"languages": "lo", "learning_rate": rate}
    assert train_adapter.main(flags("whole", **asked)) == 0
    assert train_adapter.main(flags("out", languages="lo")) == 0
    with monkeypatch.context() as patch:
        break_off(patch, "lo", 5)
        with pytest.raises(KeyboardInterrupt):
            train_adapter.main(flags("out", "--overwrite", **asked))
    assert (tmp_path / "out" / "lo" / "checkpoint").is_dir()
    assert train_adapter.main(flags("out", "--resume", **asked)) == 0
    assert not (tmp_path / "out" / "lo" / "checkpoint").exists()
    whole, out = (tmp_path / name / "lo" / "adapter_model.safetensors" for name in ("whole", "out"))
    assert out.read_bytes() == whole.read_bytes()


def test_a_replacement_that_could_not_be_written_does_not_pass_for_the_old_adapter(
    flags: Callable[..., list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert train_adapter.main(flags("out", steps=1, languages="lo")) == 0

    def torn(model: Any, folder: Path, state: Any) -> None:
        (folder / "adapter_model.safetensors").write_bytes(b"half")
        raise OSError("no room")

    with monkeypatch.context() as patch:
        patch.setattr(saving, "save", torn)
        with pytest.raises(OSError, match="no room"):
            train_adapter.main(flags("out", "--overwrite", steps=1, languages="lo"))
    assert read_gains(tmp_path / "out" / "lo") is None


@pytest.mark.parametrize("step", [3, 11])
def test_adalora_goes_on_with_the_ranks_it_had(
    step: int, base: Callable[[str], str], pairs_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = base("transformers CLIP")
    settings = {"model": model, "method": "adalora", "save_every": 2, "check_every": 3, "hold_out": 0.3}
    _, whole = started(model, config(pairs_file, tmp_path, output_dir=str(tmp_path / "whole"), **settings))
    whole.train()
    resumed = config(pairs_file, tmp_path, **settings, resume=True)
    _, broken = started(model, resumed)
    with monkeypatch.context() as patch:
        break_off(patch, "lo", step)
        with pytest.raises(KeyboardInterrupt):
            broken.train()
    broken.close()
    _, broken = started(model, resumed)
    broken.train()
    assert broken.state.step == whole.state.step
    assert broken.model.peft_config["default"].rank_pattern == whole.model.peft_config["default"].rank_pattern
    pairs = zip(trained(broken), trained(whole), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)


def trained(run: Any) -> list[torch.Tensor]:
    return [p for p in run.model.parameters() if p.requires_grad]


def test_adalora_is_measured_with_the_ranks_that_are_saved(
    base: Callable[[str], str], pairs_file: Path, tmp_path: Path
) -> None:
    model = base("transformers CLIP")
    settings = config(
        pairs_file, tmp_path, model=model, method="adalora", learning_rate=1.0, check_every=1, hold_out=0.3
    )
    encoder, run = started(model, settings)
    run.train()
    measured = features(encoder, run)
    run.save([])
    loaded: Any = load_encoder(f"{model}+peft:{run.folder}", device="cpu")
    assert np.allclose(loaded.encode_texts(TEXTS, "LO"), measured, atol=1e-5)
    assert run.state.best_step >= run.final_from > 1


def test_held_out_pairs_are_looked_at_in_batches_after_a_checkpoint(
    base: Callable[[str], str], pairs_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = config(pairs_file, tmp_path, hold_out=0.5, batch_size=4, steps=5, check_every=3, save_every=100)
    _, run = started(base("transformers CLIP"), settings)
    events: list[Any] = []
    adapted, save = run.adapted, run.checkpoints.save

    def seen(rows: np.ndarray, *, shared: bool = True) -> torch.Tensor:
        if not shared:
            events.append(sorted(rows.tolist()))
        return adapted(rows, shared=shared)

    monkeypatch.setattr(run, "adapted", seen)
    monkeypatch.setattr(run.checkpoints, "save", lambda: (save(), events.append(f"saved {run.state.step}")))
    run.train()
    firsts = [n for n, event in enumerate(events) if isinstance(event, str)]
    assert [events[n] for n in firsts] == ["saved 3", "saved 5"]
    assert firsts[0] == 0
    check = events[1 : firsts[1]]
    assert {row for rows in check for row in rows} == set(run.data.held_out.tolist())
    assert all(len(rows) <= settings.batch_size for rows in check)


@pytest.mark.parametrize("method", ["lora", "linear"])
def test_with_mixed_precision_texts_are_measured_as_they_will_be_loaded(
    method: str, base: Callable[[str], str], pairs_file: Path, tmp_path: Path, fresh_state: None
) -> None:
    model = base("m-clip")
    settings = config(pairs_file, tmp_path, model=model, method=method, objective="mse", mixed_precision="bf16")
    encoder: Any = load_encoder(model, device="cpu")
    data = training_data(settings, encoder, "LO", ["hcnet"])
    accelerator = Accelerator(cpu=True, mixed_precision="bf16")
    run = train_adapter.Run(settings, Team(accelerator), encoder, data, Path(settings.output_dir) / "lo", "LO")
    assert hasattr(run.model, "_original_forward")  # mixed while it trains
    run.train()
    measured = features(encoder, run)
    run.save([])
    loaded: Any = load_encoder(f"{model}+peft:{run.folder}", device="cpu")
    assert np.array_equal(loaded.encode_texts(TEXTS, "LO"), measured)


@pytest.fixture
def fresh_state() -> Iterator[None]:
    """Let accelerate, which remembers the precision of a process, forget it before and after."""
    AcceleratorState._reset_state(reset_partial_state=True)
    yield
    AcceleratorState._reset_state(reset_partial_state=True)
