"""`evaluate --templates FILE`: translated templates of the user's own, as they are and cleaned, to the result file."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

sys.path.insert(0, str(Path(__file__).parents[1] / "eval"))
from toy import ToyEncoder

from babel_eval.cli import app
from babel_imagenet_dataset.files import sha256_of_file
from babel_imagenet_dataset.imagenet import english_class_names, openai_templates
from babel_imagenet_dataset.release import load_labels

GOOD, SPOILED = "hier {} da", "falsch {}"  # the latter ends as one does whose slot was lost and put back


@pytest.fixture
def toy(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> ToyEncoder:
    """A model that reads Lao labels in the good template rightly, and in the spoiled one as the class after."""
    vocabulary = {name: index for index, name in reversed(list(enumerate(english_class_names())))}
    lao = load_labels().languages["LO"]
    classes = lao.class_index.tolist()
    for label, own, other in zip(lao.labels, classes, classes[1:] + classes[:1], strict=True):
        vocabulary[GOOD.replace("{}", label)] = own
        vocabulary[SPOILED.replace("{}", label)] = other
    encoder = ToyEncoder(vocabulary)
    monkeypatch.setattr("babel_eval.encoders.load_encoder", lambda *a, **k: encoder)
    monkeypatch.chdir(tmp_path)
    # The spoiled one stands there twice: without cleaning it outweighs the other.
    templates = {"EN": [GOOD], "LO": [GOOD, SPOILED, SPOILED]}
    (tmp_path / "mine.json").write_text(json.dumps(templates), encoding="utf-8")
    return encoder


def evaluate(*more: str, out: str = "r.json"):
    given = ["evaluate", "--model", "toy", "--images", "names", "--languages", "lo", "--out", out]
    return CliRunner().invoke(app, [*given, *more], env={"COLUMNS": "200"})


@pytest.mark.parametrize(("mode", "low", "high"), [("released", 0, 0.03), ("clean", 0.97, 1)])
def test_own_templates_are_measured_as_they_are_or_cleaned(mode: str, low: float, high: float, toy: ToyEncoder) -> None:
    result = evaluate("--prompts", "nllb", "--templates", "mine.json", "--prompt-mode", mode)
    assert result.exit_code == 0, result.output
    content = json.loads(Path("r.json").read_text(encoding="utf-8"))
    (row,) = content["results"]
    assert low <= row["accuracy"] <= high, "but for names that two classes share"
    assert row["prompt"] == "mine", "the published templates' name would be untrue"
    described = content["meta"]["templates"]
    assert (described["file"], described["mode"]) == ("mine.json", mode)
    assert described["sha256"] == sha256_of_file(Path("mine.json"))
    assert described.get("left_out") == (2 if mode == "clean" else None)
    assert content["meta"]["prompts"] == "mine"
    if mode == "clean":
        assert "2 of 4 templates of mine.json are left out as spoiled" in result.output


def test_english_without_templates_of_its_own_is_measured_with_openais(toy: ToyEncoder) -> None:
    Path("lao.json").write_text(json.dumps({"LO": [GOOD]}), encoding="utf-8")
    result = evaluate("--prompts", "nllb", "--templates", "lao.json")
    assert openai_templates()[0].replace("{}", "tench") in toy.texts_seen
    assert "lao.json has no templates for EN: its yardstick is measured with those by OpenAI" in result.output
    assert json.loads(Path("r.json").read_text())["meta"]["templates"]["english"] == "openai_en"


def test_languages_that_the_file_lacks_take_bare_labels_where_asked_for(toy: ToyEncoder) -> None:
    result = evaluate("--prompts", "auto", "--templates", "mine.json", "--languages", "lo,om")
    assert result.exit_code == 0, result.output
    rows = {row["lang"]: row["prompt"] for row in json.loads(Path("r.json").read_text())["results"]}
    assert rows == {"LO": "mine", "OM": "label"}


def test_a_run_with_other_templates_is_not_gone_on_with(toy: ToyEncoder) -> None:
    evaluate("--prompts", "nllb", "--templates", "mine.json")
    Path("mine.json").write_text(json.dumps({"EN": [GOOD], "LO": [GOOD]}), encoding="utf-8")
    error = evaluate("--prompts", "nllb", "--templates", "mine.json", "--resume").exception
    assert isinstance(error, ValueError)
    assert "templates" in str(error)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--prompts", "nllb", "--templates", "nowhere.json"], "there is no file nowhere.json"),
        (["--prompts", "label", "--templates", "mine.json"], "--templates is read for --prompts nllb or auto"),
        (["--prompts", "nllb", "--templates", "two.json"], "two.json"),
        (["--prompts", "nllb", "--templates", "label.json"], "give the file another name"),
    ],
)
def test_templates_that_cannot_be_used_are_refused(arguments: list[str], said: str, toy: ToyEncoder) -> None:
    Path("two.json").write_text(json.dumps({"LO": ["{} und {}"]}), encoding="utf-8")
    Path("label.json").write_text(json.dumps({"LO": [GOOD]}), encoding="utf-8")
    error = evaluate(*arguments).exception
    assert isinstance(error, (ValueError, FileNotFoundError))
    assert said in str(error)
    assert not Path("r.json").exists()
