from __future__ import annotations

import csv
import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from babel_eval import encoders, label_effect, runner
from babel_eval.cli import app
from babel_eval.label_effect import LabelEffect
from babel_imagenet_dataset.audit import FLAGS
from babel_imagenet_dataset.audit_table import audit_language, review_order, totals
from babel_imagenet_dataset.cleaning import STEPS
from babel_imagenet_dataset.imagenet import english_class_names
from babel_imagenet_dataset.release import LanguageLabels, load_labels
from babel_imagenet_dataset.sheets import read_sheet


def run(*arguments: str) -> Any:
    result = CliRunner().invoke(app, ["audit", *arguments], env={"COLUMNS": "120"})
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result


def test_the_audit_counts_what_a_plain_loop_counts(tmp_path: Path) -> None:
    run("--languages", "de,it,ja", "--out", str(tmp_path / "a.json"))
    content = json.loads((tmp_path / "a.json").read_text())
    for row in content["languages"]:
        labels = load_labels().languages[row["language"]].labels
        assert row["n_classes"] == len(labels)
        assert row["n_cannot_win"] == sum(n - 1 for n in Counter(labels).values())
        assert row["flags"].get("parenthesis", 0) == sum("(" in label or "（" in label for label in labels)
        assert (row["human"] is not None) == (row["language"] in ("IT", "JA"))
    assert content["totals"]["n_labels"] == sum(row["n_classes"] for row in content["languages"])
    assert content["meaning"] is None


def test_a_label_that_is_another_class_s_english_name_is_found() -> None:
    names = english_class_names()
    labels = LanguageLabels("DE", np.array([0, 1, 2], dtype=np.int32), (names[1].upper(), names[1], "Hai"))
    found = audit_language(labels)
    assert found.of_other_english == ((0, 1),)
    assert totals([found])["n_of_other_english"] == 1
    with pytest.raises(ValueError, match="no language to sum over"):
        totals([])


def test_the_review_list_has_the_farthest_first() -> None:
    assert review_order({("DE", 5): 3, ("AR", 9): 900, ("AR", 2): 900}) == [("AR", 2), ("AR", 9), ("DE", 5)]


class ToyEncoder:
    """A label's feature is its class's, but for a few labels that are those of the class far off."""

    def __init__(self, swapped: set[str]) -> None:
        rng = np.random.default_rng(0)
        english = rng.normal(size=(1000, 64)).astype(np.float32)
        german = load_labels().languages["DE"]
        self.features = dict(zip(english_class_names(), english, strict=True))
        rows = dict(zip(german.labels, german.class_index.tolist(), strict=True))
        self.features |= {label: english[(index + 500 * (label in swapped)) % 1000] for label, index in rows.items()}

    def encode_texts(self, texts: Any, language: str) -> np.ndarray:
        return np.stack([self.features[text] for text in texts])


def test_labels_of_other_meaning_come_first_on_the_list_to_review(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = {"Goldfisch", "Tigerhai", "Hahn"}
    monkeypatch.setattr(encoders, "load_encoder", lambda model, *, device: ToyEncoder(wrong))
    arguments = ["--languages", "de,en", "--meaning", "--k", "1"]
    run(*arguments, "--review", str(tmp_path / "r.tsv"), "--n-review", "8", "--out", str(tmp_path / "a.json"))
    rows = read_sheet(tmp_path / "r.tsv")
    assert wrong < {row.old for row in rows}  # the others are names that two classes share
    assert rows[0].hint.startswith("own class at rank ")
    found = json.loads((tmp_path / "a.json").read_text())["meaning"]["languages"]["DE"]
    assert found["status"] == "upper bound"
    assert found["share"] == pytest.approx(3 / 738, abs=0.03)


def test_a_sample_is_drawn_filled_and_counted(tmp_path: Path) -> None:
    run("--languages", "de,lo", "--sample", "20", "--sheets", str(tmp_path / "s"))
    path = tmp_path / "s" / "de.tsv"
    with pytest.raises(ValueError, match="is there already, and may be filled"):
        run("--languages", "de", "--sample", "20", "--sheets", str(tmp_path / "s"))
    lines = path.read_text(encoding="utf-8").splitlines()
    header = lines[0].split("\t")
    for number in range(1, len(lines)):
        cells = lines[number].split("\t")
        cells[header.index("verdict")] = "wrong" if number <= 2 else "right"
        lines[number] = "\t".join(cells)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    result = run("--languages", "de,lo", "--filled", str(path), "--filled", str(tmp_path / "s" / "lo.tsv"))
    assert "0.10 [0.03, 0.30]" in result.output
    assert "judged, all: 20 labels, 2 wrong 0.10 [0.03, 0.30]; 0 unsure, 20 open" in result.output
    assert "judged, LO: 0 labels, 0 wrong; 0 unsure, 20 open" in result.output
    other = run("--languages", "lo", "--filled", str(path))
    assert "left out of the count: DE" in other.output
    assert "the language is not among --languages" in other.output


def test_the_table_of_a_file_holds_every_flag_of_every_language(tmp_path: Path) -> None:
    run("--languages", "it,sw", "--out", str(tmp_path / "a.csv"))
    with open(tmp_path / "a.csv", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["language"] for row in rows] == ["IT", "SW"]
    for row in rows:
        audited = audit_language(load_labels().languages[row["language"]])
        assert {flag: int(row[flag]) for flag in (*FLAGS, *STEPS)} == {
            flag: audited.flags.get(flag, 0) for flag in (*FLAGS, *STEPS)
        }
    with pytest.raises(ValueError, match=r"written as \.json, \.csv or \.tsv"):
        run("--languages", "sw", "--out", str(tmp_path / "a.txt"))


def test_the_terminal_shows_every_figure_whole_however_narrow_it_is() -> None:
    shown = CliRunner().invoke(app, ["audit", "--languages", "it,ja"], env={"COLUMNS": "40"}).output
    total = sum(len(load_labels().languages[code]) for code in ("IT", "JA"))
    rows = {line.split()[0]: line.split() for line in shown.splitlines() if line.strip()}
    assert rows["all"][1] == str(total)
    assert rows["IT"][-1].endswith("/773")


def test_decisions_of_the_user_s_own_are_applied_and_those_that_do_not_fit_are_listed(tmp_path: Path) -> None:
    lines = ["language\tclass_index\told\tverdict\tnew\treason\tsource\treviewer"]
    lines += ["DE\t1\tGoldfisch\twrong\tKoi\tr\ts\tp", "DE\t2\t[[Hai]]\twrong\tWeißer\tr\ts\tp"]
    (tmp_path / "own.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    result = run("--languages", "de", "--corrections", str(tmp_path / "own.tsv"), "--out", str(tmp_path / "a.json"))
    assert "decision refused: DE, class 2: its label is not '[[Hai]]'" in result.output
    row = json.loads((tmp_path / "a.json").read_text())["languages"][0]
    assert row["flags"]["corrected"] == 4
    assert [one["class_index"] for one in row["refused"]] == [2]


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["--sample", "5", "--out", "a.json"], "--sample draws sheets and stops: give --out to another call"),
        (
            ["--sample", "5", "--effect", "--filled", "f.tsv"],
            "--sample draws sheets and stops: give --effect, --filled to another call",
        ),
        (["--sample", "5", "--corrections", "c.tsv", "--meaning"], "give --corrections, --meaning to another call"),
        (["--review", "r.tsv"], "--review is read with --meaning only"),
        (["--model", "conse-e5"], "--model is read with --meaning or --effect only"),
        (["--images", "photos"], "--images is read with --effect only"),
        (["--per-group", "2"], "--per-group is read with --sample only"),
        (["--sheets", "s"], "--sheets is read with --sample only"),
        (["--sample", "-1"], "--sample must be 0 or a number of labels, got -1"),
    ],
)
def test_a_setting_that_nothing_would_read_is_refused(
    arguments: list[str], why: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=re.escape(why)):
        run("--languages", "lo", *arguments)


def test_a_terminal_of_80_columns_shows_every_table_unbroken(monkeypatch: pytest.MonkeyPatch) -> None:
    effect = LabelEffect("BAT_SMG", "clean", 1000, 999, 50000, 0.5, 0.25, -0.25, (-0.251, -0.249))
    monkeypatch.setattr(label_effect, "label_effects", lambda *_: [effect])
    monkeypatch.setattr(encoders, "load_encoder", lambda *_, **__: None)
    monkeypatch.setattr(runner, "image_features", lambda *_, **__: None)
    arguments = ["audit", "--languages", "de", "--effect", "--images", "names"]
    shown = CliRunner().invoke(app, arguments, env={"COLUMNS": "80"}).output
    assert max(map(len, shown.splitlines())) <= 80
    cells = next(line.split() for line in shown.splitlines() if "BAT_SMG" in line)
    assert cells[2:7] == ["1000", "999", "50000", "0.500", "0.250"]
    assert cells[7:] == ["-0.250", "[-0.251,", "-0.249]"]
