"""Settings: flag > YAML > preset > default; unknown keys are errors; every field is read somewhere."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

import pytest

from babel_adapters.config import TrainConfig
from babel_adapters.options import parse
from babel_adapters.presets import LEARNING_RATES, PRESETS

TRAINER = Path(__file__).resolve().parents[2] / "trainer"


def test_a_flag_goes_before_yaml_and_yaml_before_a_preset(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text("rank: 8\nlearning-rate: 1e-2\nsteps: 7\nlanguages: 'no'\n")
    flags = ["--config", str(file), "--preset", "paper", "--steps", "3", "--language", "lo"]
    config = parse(TrainConfig, flags, presets=PRESETS, aliases={"languages": ["--language"]})
    assert (config.steps, config.rank, config.learning_rate, config.method) == (3, 8, 0.01, "bottleneck")
    assert (config.batch_size, config.languages) == (512, "lo")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("ranks: 8", "unknown key 'ranks'; did you mean 'rank'"),
        ("rank: eight", "rank must be int"),
        ("keywords: 1", "keywords must be bool"),
        ("languages: no", "languages must be str, got False; YAML reads `no`.* quotes around it"),
        ("- 1", "lines of `key: value`"),
        ("a: [", "no valid YAML"),
    ],
)
def test_bad_yaml_is_refused(text: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(text)
    with pytest.raises(ValueError, match=said):
        parse(TrainConfig, ["--config", str(tmp_path / "a.yaml")])


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"method": "lorra"}, "allowed: auto, lora"),
        ({"rank": 0}, "rank must be at least 1"),
        ({"balance": 1.5}, "balance must lie within 0..1"),
        ({"method": "lora", "objective": "clip"}, "allowed: mse"),
        ({"method": "linear", "objective": "lit"}, "--method linear minimises mse"),
        ({"temperature": 0.0}, "within 0.01..1"),
        ({"hold_out": 0.9}, "within 0..0.5"),
        ({"steps": 0}, "steps must be at least 1"),
        ({"clip": 0.0}, "clip must be above 0"),
        ({"epochs": float("inf")}, "epochs must be above 0 and finite"),
        ({"learning_rate": float("nan")}, "learning_rate must be above 0 and finite"),
        ({"ridge": float("nan")}, "ridge must be above 0 and finite"),
        ({"seed": -1}, "seed must be at least 0"),
        ({"mixed_precision": "fp8"}, "must be no, bf16 or fp16"),
        ({"resume": True, "overwrite": True}, "choose one"),
        ({"target_modules": "("}, "no regular expression"),
    ],
)
def test_bad_settings_are_refused(settings: dict[str, object], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        TrainConfig(**settings)


def test_an_unknown_flag_ends_the_program(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse(TrainConfig, ["--lerning-rate", "1"])
    assert "--lerning-rate" in capsys.readouterr().err


def test_help_shows_every_setting_under_a_heading(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse(TrainConfig, ["--help"], presets=PRESETS)
    text = capsys.readouterr().out
    for field in fields(TrainConfig):
        assert f"--{field.name.replace('_', '-')}" in text
    assert all(f"\n{title}:" in text for title in ("adapter", "data", "objective", "training", "evaluation", "output"))


def test_every_setting_is_read_somewhere() -> None:
    code = "".join(path.read_text() for path in TRAINER.rglob("*.py"))
    unread = [f.name for f in fields(TrainConfig) if not re.search(rf"config\.{f.name}\b|self\.{f.name}\b", code)]
    assert unread == []


def test_settings_are_known_before_auto_is_decided() -> None:
    assert TrainConfig().settings()["learning_rate"] is None
    assert TrainConfig(method="lora").settings()["learning_rate"] == LEARNING_RATES["lora"]
    assert TrainConfig(learning_rate=0.1).settings()["learning_rate"] == 0.1
