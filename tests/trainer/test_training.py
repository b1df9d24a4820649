"""Training on tiny bases of every family: the loss falls, photos are untouched, what is saved is what was trained."""

from __future__ import annotations

import json
import resource
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from families import FAMILIES
from peft import PeftModel
from tiny_models import photos

import train_adapter
from babel_adapters.captions import split_by_english
from babel_adapters.config import TrainConfig
from babel_adapters.data import training_data
from babel_adapters.pairs import Pair
from babel_adapters.team import Team
from babel_eval.encoders import load_encoder

TEXTS = ["hcnet 1", "a longer text, hsifdlog", "ປາ"]


def config(pairs: Path, tmp_path: Path, **settings: Any) -> TrainConfig:
    known = {
        "train_data": str(pairs), "languages": "lo", "store": str(tmp_path / "store"), "rank": 4, "batch_size": 16,
        "output_dir": str(tmp_path / "out"), "max_unknown": 1.0, "learning_rate": 0.02, "steps": 12, "hold_out": 0.1,
        "check_every": 4, "temperature": 0.2, "method": "lora",
    }  # fmt: skip
    return TrainConfig(**(known | settings))


def started(base: str, settings: TrainConfig) -> tuple[Any, Any]:
    encoder: Any = load_encoder(base, device="cpu")
    data = training_data(settings, encoder, "LO", ["hcnet"])
    folder = Path(settings.output_dir) / "lo"
    run = train_adapter.Run(settings, Team(Accelerator(cpu=True)), encoder, data, folder, "LO")
    return encoder, run


def features(encoder: Any, run: Any) -> np.ndarray:
    encoder.text_model = run.model
    return encoder.encode_texts(TEXTS, "LO")


def losses(folder: Path) -> list[float]:
    return [json.loads(line)["loss"] for line in (folder / "steps.jsonl").read_text().splitlines()]


def loss_of_all(run: Any) -> float:
    """The loss of all pairs that are trained on, at once: batches differ, and so do their losses."""
    rows = np.arange(run.data.n_train)
    run.model.eval()
    with torch.no_grad():
        return float(run.objectives(run.data.batch(rows, run.adapted(rows, shared=False)))["loss"])


@pytest.mark.parametrize("objective", ["mse", "text-contrastive", "lit"])
@pytest.mark.parametrize("family", FAMILIES)
def test_the_loss_falls_and_photos_stay_as_they_are(
    family: str, objective: str, base: Callable[[str], str], pairs_file: Path, tmp_path: Path
) -> None:
    settings = config(pairs_file, tmp_path, objective=objective, steps=24, hold_out=0.0)
    encoder, run = started(base(family), settings)
    images, texts = encoder.encode_images(photos()), encoder.encode_texts(TEXTS, "LO")
    before = loss_of_all(run)
    run.train()
    assert all(
        "visual" not in name and "vision" not in name for name, p in run.model.named_parameters() if p.requires_grad
    )
    assert np.array_equal(encoder.encode_images(photos()), images)
    assert not np.allclose(features(encoder, run), texts, atol=1e-3)
    assert loss_of_all(run) < before
    run.close()
    assert np.array_equal(encoder.encode_texts(TEXTS, "LO"), texts)


@pytest.mark.parametrize("method", ["lora", "dora", "ia3", "adalora", "vera", "bottleneck"])
@pytest.mark.parametrize("family", FAMILIES)
def test_a_saved_adapter_gives_bit_equal_texts(
    family: str, method: str, base: Callable[[str], str], pairs_file: Path, tmp_path: Path
) -> None:
    model = base(family)
    settings = config(pairs_file, tmp_path, model=model, method=method, steps=4, hold_out=0.0)
    encoder, run = started(model, settings)
    plain = encoder.encode_texts(TEXTS, "LO")
    run.train()
    trained = features(encoder, run)
    run.save([])
    assert not np.array_equal(trained, plain)
    loaded: Any = load_encoder(f"{model}+peft:{run.folder}", device="cpu")
    # peft keeps those ranks of AdaLoRA alone that were not cut, so its sums have fewer terms
    tolerance = 1e-5 if method == "adalora" else 0
    assert np.allclose(loaded.encode_texts(TEXTS, "LO"), trained, atol=tolerance, rtol=0)
    with loaded.without_adapter():
        # peft's LoRA on `nn.MultiheadAttention` puts weights back by subtraction, so the last bit may differ
        is_exact = not (family == "open_clip" and method == "lora")
        assert np.allclose(loaded.encode_texts(TEXTS, "LO"), plain, atol=0 if is_exact else 1e-5, rtol=0)
    assert isinstance(loaded.text_model, PeftModel)
    if method == "bottleneck":
        return
    loaded.text_model = loaded.text_model.merge_and_unload()
    assert np.allclose(loaded.encode_texts(TEXTS, "LO"), trained, atol=1e-5, rtol=0)


def test_an_adapter_of_another_base_is_refused(base: Callable[[str], str], pairs_file: Path, tmp_path: Path) -> None:
    model, other = base("transformers CLIP"), base("open_clip XLM-R")
    settings = config(pairs_file, tmp_path, model=model, steps=1)
    _, run = started(model, settings)
    run.train()
    run.save([])
    with pytest.raises(ValueError, match="was trained on"):
        load_encoder(f"{other}+peft:{run.folder}", device="cpu")


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("method", ["lora", "bottleneck"])
def test_kept_states_of_frozen_blocks_change_no_feature(
    family: str, method: str, base: Callable[[str], str], pairs_file: Path, tmp_path: Path
) -> None:
    settings = config(pairs_file, tmp_path, method=method, last_layers=1, steps=3)
    _, run = started(base(family), settings)
    assert run.prefix is not None
    run.train()
    rows = run.data.held_out
    with torch.no_grad():
        kept = run.adapted(rows, shared=False)
        run.prefix = None
        computed = run.adapted(rows, shared=False)
    assert torch.allclose(kept, computed, atol=1e-5)


def test_a_linear_adapter_brings_the_language_to_english(
    base: Callable[[str], str], pairs_file: Path, tmp_path: Path
) -> None:
    settings = config(pairs_file, tmp_path, model=base("m-clip"), method="linear", rank=None, ridge=1e-6, hold_out=0.0)
    encoder, run = started(settings.model, settings)
    pairs = run.data.pairs[: run.data.n_train]
    english = encoder.encode_texts([p.english for p in pairs], "EN")
    before = np.abs(encoder.encode_texts([p.target for p in pairs], "LO") - english).mean()
    run.train()
    encoder.text_model = run.model
    after = np.abs(encoder.encode_texts([p.target for p in pairs], "LO") - english).mean()
    assert after < 0.3 * before
    trained = encoder.encode_texts(TEXTS, "LO")
    run.save([])
    card = (run.folder / "README.md").read_text()
    assert "import babel_adapters" in card
    assert "cannot be merged" in card
    loaded: Any = load_encoder(f"{settings.model}+peft:{run.folder}", device="cpu")
    assert np.array_equal(loaded.encode_texts(TEXTS, "LO"), trained)


def test_a_linear_adapter_is_refused_where_the_tower_does_not_average(
    base: Callable[[str], str], pairs_file: Path, tmp_path: Path
) -> None:
    _, run = started(base("transformers CLIP"), config(pairs_file, tmp_path, method="linear", rank=None))
    with pytest.raises(ValueError, match="takes the mean over a text's tokens"):
        run.train()


@pytest.mark.parametrize(
    ("family", "objective", "method"),
    [("m-clip", None, "linear"), ("m-clip", "mse", "lora"), ("transformers CLIP", None, "lora")],
)
def test_the_method_is_linear_where_it_can_be_and_no_objective_is_named_and_else_lora(
    family: str,
    objective: str | None,
    method: str,
    base: Callable[[str], str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    encoder: Any = load_encoder(base(family), device="cpu")
    asked = TrainConfig(languages="lo", objective=objective)
    assert train_adapter.settled(asked, Team(Accelerator(cpu=True)), encoder, "LO").method == method
    assert f"LO: --method {method}" in capsys.readouterr().err


def test_the_whole_program_writes_results_record_and_card(
    base: Callable[[str], str], pairs_file: Path, labels_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model, out = base("transformers CLIP"), tmp_path / "out"
    flags = [
        "--model", model, "--languages", "lo", "--train-data", str(pairs_file), "--eval-labels", str(labels_file),
        "--method", "lora", "--steps", "3", "--batch-size", "16", "--output-dir", str(out), "--force",
        "--store", str(tmp_path / "store"),
    ]  # fmt: skip
    assert train_adapter.main(flags) == 0
    written = {path.name for path in (out / "lo").iterdir()}
    assert written >= {"adapter_config.json", "adapter_model.safetensors", "babel_adapter.json", "README.md"}
    assert written >= {"before-names.json", "after-names.json"}
    record = json.loads((out / "lo" / "babel_adapter.json").read_text())
    row = json.loads((out / "lo" / "after-names.json").read_text())["results"][0]
    assert record["results"][0]["after"]["value"] == row["accuracy"]
    metas = [json.loads((out / "lo" / f"{when}-names.json").read_text())["meta"] for when in ("before", "after")]
    for meta, one in zip(metas, (model, f"{model}+peft:{out / 'lo'}"), strict=True):
        encoder = load_encoder(one, device="cpu")
        assert meta["model_string"] == one
        assert meta["fingerprint"] == encoder.fingerprint
        assert meta["parameters"] == encoder.parameters
    assert metas[1]["adapter"]["languages"] == ["LO"]
    assert "LO" in capsys.readouterr().err
    with pytest.raises(ValueError, match="finished adapter"):
        train_adapter.main(flags)
    assert train_adapter.main([*flags, "--resume"]) == 0


def test_a_tracker_that_is_not_installed_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("accelerate.tracking.get_available_trackers", list)
    asked = TrainConfig(log_with="tensorboard", output_dir=str(tmp_path))
    with pytest.raises(ImportError, match="pip install tensorboard"):
        train_adapter.start(asked)


def test_fsdp_that_accelerate_does_not_run_on_a_cpu_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ACCELERATE_USE_FSDP", "true")
    monkeypatch.setattr(
        "accelerate.Accelerator",
        lambda **_: SimpleNamespace(
            distributed_type="MULTI_CPU", device=torch.device("meta"), is_main_process=True, log_with=[]
        ),
    )
    train_adapter.start(TrainConfig(output_dir=str(tmp_path)))
    assert "FSDP was asked for, but accelerate runs MULTI_CPU" in capsys.readouterr().err


def test_a_tracker_gets_each_step_under_the_name_of_the_language(
    base: Callable[[str], str], pairs_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[int, dict[str, float]]] = []
    _, run = started(base("transformers CLIP"), config(pairs_file, tmp_path, steps=3, check_every=3))
    run.team.accelerator.log_with = ["a tracker"]
    monkeypatch.setattr(run.team.accelerator, "log", lambda values, step: seen.append((step, values)))
    run.train()
    assert [values["lo/loss"] for _, values in seen if "lo/loss" in values] == losses(run.folder)
    assert [step for step, values in seen if "lo/held_out_loss" in values] == [3]


def test_a_checkpoint_that_finds_no_room_leaves_the_last_one_intact(
    base: Callable[[str], str], pairs_file: Path, tmp_path: Path
) -> None:
    settings = config(pairs_file, tmp_path, steps=3, resume=True)
    _, run = started(base("transformers CLIP"), settings)
    run.checkpoints.save()
    kept = {path.name: path.read_bytes() for path in (run.folder / "checkpoint").iterdir()}
    run.state.step = 2
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1024, limits[1]))  # as a full disk does, it stops a file in its middle
    try:
        with pytest.raises(OSError, match=r"could not be written .*is intact"):
            run.checkpoints.save()
        with pytest.raises(OSError, match="File too large"):
            run.save([])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert {path.name: path.read_bytes() for path in (run.folder / "checkpoint").iterdir()} == kept
    assert not (run.folder / "checkpoint.part").exists()
    assert run.checkpoints.load()
    assert run.state.step == 0


def test_a_loss_that_is_no_number_stops_the_run(base: Callable[[str], str], pairs_file: Path, tmp_path: Path) -> None:
    _, run = started(base("transformers CLIP"), config(pairs_file, tmp_path))
    with torch.no_grad():
        next(p for n, p in run.model.named_parameters() if "lora_B" in n).fill_(float("inf"))
    with pytest.raises(FloatingPointError, match=r"step 1: .*not finite; the batch begins with"):
        run.train()


def test_training_stops_where_the_held_out_loss_no_longer_falls(
    base: Callable[[str], str], pairs_file: Path, tmp_path: Path
) -> None:
    settings = config(pairs_file, tmp_path, learning_rate=1.0, steps=60, check_every=1, patience=2, hold_out=0.3)
    _, run = started(base("transformers CLIP"), settings)
    run.train()
    assert run.state.step < 60
    assert run.state.stopped == f"held-out loss lowest at step {run.state.best_step}"


def test_one_held_out_pair_which_has_no_negative_does_not_choose_the_weights(
    base: Callable[[str], str], pairs_file: Path, tmp_path: Path
) -> None:
    rows = [json.loads(line) for line in pairs_file.read_text().splitlines()]
    pairs = [Pair(row["target"], row["english"], str(tmp_path / row["image"])) for row in rows]
    seed = next(seed for seed in range(99) if len(split_by_english(pairs, 0.03, seed)[1]) == 1)
    settings = config(pairs_file, tmp_path, objective="lit", hold_out=0.03, seed=seed, patience=1)
    _, run = started(base("transformers CLIP"), settings)
    run.train()
    assert (len(run.data.held_out), run.held_out_loss()) == (1, 0)
    assert (run.state.step, run.state.best_step, run.state.stopped) == (12, 12, "")


def test_a_tokenizer_that_does_not_know_the_language_is_refused_unless_forced(
    base: Callable[[str], str], tmp_path: Path
) -> None:
    path = tmp_path / "pairs.jsonl"
    path.write_text(
        "\n".join(json.dumps({"target": f"ᠮᠣᠩᠭᠣᠯ{chr(0x1820 + n)}", "english": f"e {n}"}) for n in range(20))
    )
    model = base("open_clip XLM-R")
    with pytest.raises(ValueError, match="does not know"):
        started(model, config(path, tmp_path, max_unknown=0.05))
    _, run = started(model, config(path, tmp_path, max_unknown=0.05, force=True))
    assert run.data.unknown_share > 0.05


def test_images_that_do_not_open_are_an_error_above_one_in_a_hundred(
    base: Callable[[str], str], pairs_file: Path, tmp_path: Path
) -> None:
    (pairs_file.parent / "3.png").write_bytes(b"no image")
    with pytest.raises(ValueError, match="1 of 40 images do not open"):
        started(base("transformers CLIP"), config(pairs_file, tmp_path, objective="lit"))


def test_more_blocks_than_there_are_is_refused(base: Callable[[str], str], pairs_file: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="2 blocks"):
        started(base("transformers CLIP"), config(pairs_file, tmp_path, last_layers=3, prefix_gb=0.0))
