"""`babel-imagenet retrieve` as a user runs it, on a toy set."""

from __future__ import annotations

import json

import pytest
from toy import ToyEncoder, write_photo
from typer.testing import CliRunner

from babel_eval.cli import app
from babel_eval.encoders.base import LanguageSkipped

IMAGES = ["a.png", "b.png", "c.png"]
CAPTIONS = {"de": [["null"], ["eins"], ["zwei"]], "en": [["zero"], ["one"], ["zwei"]], "xh": [["null"]] * 3}
VOCABULARY = {"null": 0, "eins": 1, "zwei": 2, "zero": 0}


class Refusing(ToyEncoder):
    """Knows German and English; leaves out Xhosa, as a model with language tokens may be asked to."""

    def encode_texts(self, texts, language):
        if language == "XH":
            raise LanguageSkipped("there is no token for XH")
        return super().encode_texts(texts, language)

    def token_use(self, texts, language):
        return f"native: {language}"


@pytest.fixture
def toy(tmp_path, monkeypatch):
    for index, name in enumerate(IMAGES):
        write_photo(tmp_path / "photos" / name, index)
    (tmp_path / "toyset.json").write_text(json.dumps({"images": IMAGES, "captions": CAPTIONS}), encoding="utf-8")
    monkeypatch.setattr("babel_eval.encoders.load_encoder", lambda *_, **__: Refusing(VOCABULARY))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def invoke(*more: str, columns: int = 80):
    given = ["--model", "toy", "--dataset", "toyset.json", "--image-root", "photos", "--store", "store"]
    return CliRunner().invoke(app, ["retrieve", *given, *more], env={"COLUMNS": str(columns)})


def test_every_number_is_whole_at_80_columns_and_english_is_in_no_mean(toy):
    result = invoke("--out", "r.json", "--k", "1,2,3", "--resamples", "100")
    assert result.exit_code == 0, result.output
    assert max(map(len, result.output.splitlines())) <= 80
    assert "…" not in result.output
    found = json.loads((toy / "r.json").read_text(encoding="utf-8"))
    de, en = found["results"]
    assert (de["t2i_r@1"], en["t2i_r@1"]) == (1.0, pytest.approx(2 / 3))
    assert "66.7" in result.output
    assert (found["macro"]["t2i_r@1"], found["macro"]["n_languages"]) == (1.0, 1)
    assert de["language_token"] == "native: DE"


def test_a_language_that_the_model_leaves_out_is_listed_and_no_number(toy):
    result = invoke("--out", "r.json", "--k", "1", "--resamples", "100")
    found = json.loads((toy / "r.json").read_text(encoding="utf-8"))
    assert [row["lang"] for row in found["results"]] == ["de", "en"]
    assert found["failures"] == [{"lang": "xh", "code": "XH", "status": "skipped: there is no token for XH"}]
    assert "xh: skipped: there is no token for XH" in result.output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--k", "one"], "--k 'one': a comma list of whole numbers"),
        (["--k", "1,4"], "--k 4 is more than toyset's 3 photos"),
        (["--resamples", "5"], "resamples at least 100, got 32 and 5"),
        (["--language-token", "guess"], "--language-token 'guess' is unknown; allowed: strict, skip, fallback"),
    ],
)
def test_bad_settings_are_refused_before_anything_is_loaded(toy, arguments, message):
    error = invoke("--out", "r.json", *arguments).exception
    assert isinstance(error, ValueError)
    assert message in str(error)
    assert not (toy / "store").exists()
