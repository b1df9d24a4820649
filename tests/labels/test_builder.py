"""The builder in memory under any `datasets`, and as a loading script under those that still know them."""

import json
import os
import subprocess
import sys
from pathlib import Path

import datasets
import pytest

import babel_imagenet_dataset
from babel_imagenet_dataset import release
from babel_imagenet_dataset.babel_imagenet import BabelImageNet
from babel_imagenet_dataset.imagenet import english_class_names
from babel_imagenet_dataset.languages import codes

SCRIPT = Path(babel_imagenet_dataset.__file__).with_name("babel_imagenet.py")
KNOWS_SCRIPTS = int(datasets.__version__.split(".")[0]) < 4
COLUMNS = ["class_index", "wnid", "label", "label_clean", "english", "flags"]


def prepared(name, cache, **keywords):
    builder = BabelImageNet(config_name=name, cache_dir=str(cache), **keywords)
    builder.download_and_prepare()
    return builder.as_dataset(split="test")


def test_there_is_a_configuration_for_every_published_language_and_one_of_prompts():
    assert set(BabelImageNet.builder_configs) == {*(code.lower() for code in codes()), "prompts"}


@pytest.mark.parametrize("name", ["de", "no"])
def test_a_configuration_holds_what_the_label_file_holds(tmp_path, name):
    raw = json.loads(release.load_labels().path.read_text(encoding="utf-8"))[name.upper()]
    data = prepared(name, tmp_path)
    assert data.column_names == COLUMNS
    assert [data["class_index"][:], data["label"][:]] == raw
    assert data.features["class_index"].dtype == "int32"
    assert data.info.citation.startswith("@article{geigle2023babelimagenet")
    assert "BabelNet" in data.info.license


def test_english_is_the_names_by_openai(tmp_path):
    assert tuple(prepared("en", tmp_path)["label"][:]) == english_class_names()


def test_prompts_are_a_configuration_too(tmp_path):
    data = prepared("prompts", tmp_path)
    assert sum(data["weight"]) == 7280
    assert data[80]["prompt_set"] == "nllb"


def test_a_label_file_of_ones_own_is_read_and_read_anew_when_it_changes(tmp_path):
    path = tmp_path / "own.json"
    for label in ("papa", "nyoka"):
        path.write_text(json.dumps({"SW": [[3], [label]]}))
        assert prepared("sw", tmp_path / "cache", labels=str(path))["label"][:] == [label]


def test_a_language_that_the_file_lacks_is_an_error_that_names_the_file_that_has_it(tmp_path):
    with pytest.raises(ValueError, match=r"lacks: WUU.*babel_imagenet-298\.json"):
        prepared("wuu", tmp_path)


def load_script(tmp_path, *names):
    code = (
        "import json, sys; from datasets import load_dataset\n"
        "found = {}\n"
        "for name in sys.argv[2:]:\n"
        "    found[name] = load_dataset(sys.argv[1], name, split='test', trust_remote_code=True).to_dict()\n"
        "json.dump(found, sys.stdout)"
    )
    environment = {**os.environ, "HF_HOME": str(tmp_path), "HF_HUB_OFFLINE": "1"}
    return subprocess.run(
        [sys.executable, "-c", code, str(SCRIPT), *names], env=environment, cwd=tmp_path, capture_output=True, text=True
    )


@pytest.mark.skipif(not KNOWS_SCRIPTS, reason="datasets 4 dropped loading scripts; make test-compat runs this")
def test_the_file_is_a_loading_script_for_every_kind_of_configuration(tmp_path):
    run = load_script(tmp_path, "de", "no", "en", "prompts")
    assert run.returncode == 0, run.stderr[-3000:]
    found = json.loads(run.stdout)
    raw = json.loads(release.load_labels().path.read_text(encoding="utf-8"))
    for name in ("de", "no"):
        assert [found[name]["class_index"], found[name]["label"]] == raw[name.upper()]
        assert list(found[name]) == COLUMNS
    assert tuple(found["en"]["label"]) == english_class_names()
    assert sum(found["prompts"]["weight"]) == 7280


@pytest.mark.skipif(KNOWS_SCRIPTS, reason="this datasets still knows loading scripts")
def test_todays_datasets_refuses_scripts_by_name(tmp_path):
    run = load_script(tmp_path, "de")
    assert run.returncode != 0
    assert "scripts are no longer supported" in run.stderr
