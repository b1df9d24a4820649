"""`babel-imagenet correlate` as a user runs it: what it prints and what it saves."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest
from scipy import stats
from typer.testing import CliRunner

from babel_eval.cli import app

MODELS = ["M-CLIP/M-BERT-Base-ViT-B", "xlm-roberta-base-ViT-B-32@laion5b_s13b_b90k", "org/third", "org/fourth"]
LANGUAGES = {"EN": 1000, "DE": 850, "FR": 900, "SW": 90, "LO": 50, "JA": 700}


@pytest.fixture
def files(tmp_path, monkeypatch):
    """Four models in six languages: accuracies and recalls at random, of known parameters."""
    rng = np.random.default_rng(0)
    paths = []
    for number, model in enumerate(MODELS):
        skill = rng.uniform(0.1, 0.5)
        accuracy = {c: skill + rng.uniform(0, 0.4) for c in LANGUAGES}
        rows = [{"lang": c, "prompt": "label", "num_classes": n, "accuracy": accuracy[c]} for c, n in LANGUAGES.items()]
        recalls = [{"lang": c.lower().replace("ja", "jp"), "t2i_r@1": a / 2 + rng.uniform(0, 0.2),
                    "i2t_r@1": rng.random(), "t2i_r@5": rng.random()} for c, a in accuracy.items()]  # fmt: skip
        meta = {"model": model, "parameters": 10**8 * (number + 1)}
        for path, content in ((tmp_path / f"z{number}.json", rows), (tmp_path / "xtd" / f"r{number}.json", recalls)):
            path.parent.mkdir(exist_ok=True)
            path.write_text(json.dumps({"meta": meta, "results": content}), encoding="utf-8")
            paths.append(str(path))
    monkeypatch.chdir(tmp_path)
    return paths


def invoke(*arguments: str):
    return CliRunner().invoke(app, ["correlate", *arguments, "--resamples", "100"], env={"COLUMNS": "80"})


def test_what_is_printed_fits_80_columns_with_every_number_whole_and_equals_scipy(files):
    result = invoke(*files, "--subsample", "--draws", "5", "--json", "c.json", "--points", "p.csv")
    assert result.exit_code == 0, result.output
    assert max(map(len, result.output.splitlines())) <= 80
    with open("p.csv", encoding="utf-8") as file:
        rows = [r for r in csv.DictReader(file) if r["score"] == "t2i_r@1"]
    x, y = ([float(r[c]) for r in rows] for c in ("accuracy", "value"))
    assert len(x) == 24
    assert f"{stats.pearsonr(x, y).statistic:.3f}" in result.output
    assert f"{stats.spearmanr(x, y).statistic:.3f}" in result.output
    for words in ("n = 24: 4 models, 6 languages", "M-BERT-Base-ViT-B", "xlm-roberta-base-ViT-B-32", "mean of mBERT"):
        assert words in result.output
    with open("c.json", encoding="utf-8") as file:
        found = json.load(file)
    [figures] = [c["figures"] for c in found["correlations"] if c["score"] == "t2i_r@1"]
    assert figures["pearson"]["value"] == pytest.approx(stats.pearsonr(x, y).statistic, abs=1e-12)
    size = found["subsets"]["label"][0]
    shown = " ".join(result.output.split())
    assert f"{size['tau'][0]:.2f} {size['tau'][1]:.2f} … {size['tau'][2]:.2f}" in shown


def test_slopes_and_gaps_equal_those_by_hand(files):
    invoke(*files, "--json", "c.json")
    with open("c.json", encoding="utf-8") as file:
        [curse] = json.load(file)["curse_of_multilinguality"]
    gaps = []
    for number in range(4):
        with open(f"z{number}.json", encoding="utf-8") as file:
            of = {r["lang"]: r["accuracy"] for r in json.load(file)["results"]}
        gaps.append(of["EN"] - (of["SW"] + of["LO"]) / 2)
    assert [curse["gaps"][m]["vlow"] for m in MODELS] == pytest.approx(gaps, abs=1e-12)
    sizes = np.log10([1e8, 2e8, 3e8, 4e8])
    value, _ = np.polyfit(sizes, gaps, 1)
    error = stats.linregress(sizes, gaps).stderr * stats.t.ppf(0.975, 2)
    found = curse["slopes"]["vlow"]["parameters"]
    assert found["value"] == pytest.approx(value, abs=1e-9)
    assert found["interval"] == pytest.approx([value - error, value + error], abs=1e-9)
    assert curse["slopes"]["vlow"]["training_languages"] is None  # known of two models only


def test_models_can_be_chosen_and_english_left_out_and_it_is_said(files):
    result = invoke(*files, "--models", "org/*", "--models", "M-CLIP/*", "--exclude-english")
    assert "n = 15: 3 models, 5 languages" in result.output
    assert "left out on request: EN" in result.output


def test_a_score_that_is_not_there_is_refused_with_those_that_are(files):
    error = invoke(*files, "--score", "r@7").exception
    assert "no such score among i2t_r@1, t2i_r@1, t2i_r@5" in str(error)


def test_the_scatter_is_drawn_with_r_in_its_corner(files):
    result = invoke(*files, "--figure", "f.svg")
    assert result.exit_code == 0, result.output
    with open("f.svg", encoding="utf-8") as file:
        picture = file.read()
    assert picture.count(">r = ") == 2
    assert "var(--" not in picture
    assert isinstance(invoke(*files, "--figure", "f.pdf").exception, ValueError)
