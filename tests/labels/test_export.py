import json
import os
import re
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pandas
import pytest
import yaml
from small_labels import hashes, write_own

from babel_imagenet_dataset import release
from babel_imagenet_dataset.export import PARQUET, build
from babel_imagenet_dataset.imagenet import english_class_names, openai_templates, wnids
from babel_imagenet_dataset.sheets import sheet_row

LOAD = """
import json, socket, sys
def refuse(*arguments):
    raise AssertionError("a network connection was tried")
socket.socket.connect = refuse
from datasets import load_dataset
answers = {}
for name in sys.argv[1:]:
    data = load_dataset(*name.split(":"))
    answers[name] = {split: rows.to_dict() for split, rows in data.items()}
json.dump(answers, sys.stdout)
"""


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """Build the default dataset once."""
    folder = tmp_path_factory.mktemp("built")
    return build(release.load_labels(), release.load_prompts(), folder / "babel-imagenet")


@pytest.fixture
def own(tmp_path):
    return write_own(tmp_path)


@pytest.fixture(scope="module")
def loaded(built, tmp_path_factory):
    """Load some configurations of the default build, and all of a build of one's own labels, in one process."""
    folder = built.path.parent
    build(release.load_labels(write_own(folder)), release.load_prompts(), folder / "own")
    names = ["babel-imagenet:" + name for name in ("no", "zh", "ar", "en", "om", "prompts")]
    cache = tmp_path_factory.mktemp("cache")
    return load_in_a_process_of_its_own(folder, cache, [*names, "own:no", "own:zh_yue"])


def load_in_a_process_of_its_own(folder, cache, names):
    """Load configurations by bare name in `folder`, offline, with an empty cache."""
    environment = {**os.environ, "HF_HOME": str(cache), "HF_HUB_OFFLINE": "1", "HF_DATASETS_DISABLE_PROGRESS_BARS": "1"}
    for name in ("HF_DATASETS_CACHE", "HF_HUB_CACHE", "HF_ENDPOINT"):
        environment.pop(name, None)
    run = subprocess.run(
        [sys.executable, "-W", "error::DeprecationWarning:datasets", "-c", LOAD, *names],
        cwd=folder, env=environment, capture_output=True, text=True,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr[-3000:]
    return json.loads(run.stdout)


def check_loaded(answers):
    """Compare what `load_dataset` gave with the label file itself."""
    raw = json.loads(release.load_labels().path.read_text(encoding="utf-8"))
    raw["EN"] = [list(range(1000)), list(english_class_names())]
    for key, splits in answers.items():
        folder, name = key.split(":")
        if folder == "own":
            continue
        assert list(splits) == ["test"]
        rows = splits["test"]
        if name == "prompts":
            continue
        indices, labels = raw[name.upper()]
        assert list(rows) == ["class_index", "wnid", "label", "label_clean", "english", "flags"]
        assert rows["class_index"] == indices
        assert rows["label"] == labels
        assert rows["wnid"] == [wnids()[index] for index in indices]
        assert rows["english"] == [english_class_names()[index] for index in indices]
        assert all(isinstance(flags, list) for flags in rows["flags"])


def test_configurations_load_by_bare_name_offline_and_hold_what_the_label_file_holds(loaded):
    check_loaded(loaded)
    prompts = loaded["babel-imagenet:prompts"]["test"]
    raw = json.loads(release.load_prompts().path.read_text(encoding="utf-8"))
    expected = [("EN", t) for t in openai_templates()] + [(code, t) for code in sorted(raw) for t in raw[code]]
    merged = dict(Counter(expected))
    assert list(zip(prompts["language"], prompts["template"], strict=True)) == list(merged)
    assert prompts["weight"] == list(merged.values())
    assert sum(prompts["weight"]) == 7280
    assert prompts["prompt_set"] == ["openai_en"] * 80 + ["nllb"] * (len(merged) - 80)
    for row in range(0, len(merged), 97):
        code, position = prompts["language"][row], prompts["position"][row]
        of_language = raw[code] if prompts["prompt_set"][row] == "nllb" else list(openai_templates())
        assert of_language.index(prompts["template"][row]) == position
        assert prompts["english"][row] == openai_templates()[position]


def test_templates_in_another_script_than_the_labels_are_flagged(loaded):
    """Kurdish: Sorani templates in Arabic script beside Kurmanji labels in Latin."""
    prompts = loaded["babel-imagenet:prompts"]["test"]
    kurdish = [flags for code, flags in zip(prompts["language"], prompts["flags"], strict=True) if code == "KU"]
    assert sum("script_mismatch" in flags for flags in kurdish) > 0.9 * len(kurdish)
    german = [flags for code, flags in zip(prompts["language"], prompts["flags"], strict=True) if code == "DE"]
    assert not any("script_mismatch" in flags for flags in german)


def test_cleaned_labels_stand_beside_the_released_ones_with_their_steps(loaded, built):
    frame = pandas.read_parquet(built.path / "de" / PARQUET).set_index("class_index")
    assert (frame.label[292], frame.label_clean[292]) == ("Tigerin", "Tiger")
    assert list(frame["flags"][292]) == ["corrected"]
    chihuahua = frame.loc[151]
    assert (chihuahua.label, chihuahua.label_clean) == ("Chihuahua (Hunderasse)", "Chihuahua")
    assert list(chihuahua["flags"]) == ["parenthesis", "clean_parenthesis"]
    nulls = [label for label in loaded["babel-imagenet:en"]["test"]["label_clean"] if label is None]
    assert nulls == []


def test_decisions_that_do_not_fit_are_named_and_change_nothing(own, tmp_path):
    decided = [
        replace(sheet_row("NO", 2, "nul"), verdict="wrong", new="x"),
        replace(sheet_row("NO", 3, "None"), verdict="wrong"),
    ]
    out = build(release.load_labels(own), release.load_prompts(), tmp_path / "d", decided=decided)
    assert [row.class_index for row in out.refused] == [2]
    frame = pandas.read_parquet(out.path / "no" / PARQUET)
    assert frame.label_clean[2] == "null"
    assert frame.label_clean[3] is None or pandas.isna(frame.label_clean[3])


@pytest.mark.slow
def test_every_configuration_loads_by_bare_name_offline(built, tmp_path):
    names = sorted(path.name for path in built.path.iterdir() if path.is_dir())
    assert len(names) == 94
    names = [f"babel-imagenet:{name}" for name in names]
    check_loaded(load_in_a_process_of_its_own(built.path.parent, tmp_path, names))


def test_awkward_labels_come_back_to_the_letter(loaded, own):
    rows = loaded["own:no"]["test"]
    assert rows["label"] == json.loads(own.read_text(encoding="utf-8"))["NO"][1]
    assert rows["flags"][0] == rows["flags"][-1] == ["duplicate"]
    assert loaded["own:zh_yue"]["test"]["class_index"] == [999, 3]  # in the file's order, not sorted


def test_parquet_has_the_documented_types_and_no_metadata_that_old_clients_cannot_read(built):
    import pyarrow.parquet as pq

    file = pq.ParquetFile(built.path / "de" / PARQUET)
    assert {field.name: str(field.type) for field in file.schema_arrow} == {
        "class_index": "int32",
        "wnid": "string",
        "label": "string",
        "label_clean": "string",
        "english": "string",
        "flags": "list<element: string>",
    }
    assert b"huggingface" not in (file.schema_arrow.metadata or {})
    frame = pandas.read_parquet(built.path / "de" / PARQUET)
    assert frame.loc[frame.class_index == 985, "english"].tolist() == ["daisy"]
    assert frame.drop(columns="label_clean").isna().sum().sum() == 0


def test_the_same_input_gives_the_same_bytes_in_another_process_place_and_time_zone(built, tmp_path):
    script = (
        "from babel_imagenet_dataset import export, release\n"
        "export.build(release.load_labels(), release.load_prompts(), 'elsewhere')"
    )
    environment = {**os.environ, "PYTHONHASHSEED": "7", "TZ": "Asia/Tokyo", "LC_ALL": "C", "HOME": str(tmp_path)}
    subprocess.run([sys.executable, "-c", script], cwd=tmp_path, env=environment, check=True)
    assert hashes(tmp_path / "elsewhere") == hashes(built.path)
    assert len(hashes(built.path)) == 95


def card_parts(folder):
    text = (folder / "README.md").read_text(encoding="utf-8")
    header, body = re.fullmatch(r"---\n(.*?)\n---\n(.*)", text, re.DOTALL).groups()
    return yaml.safe_load(header), body


def test_the_card_names_every_configuration_by_text_and_every_file(built):
    header, _ = card_parts(built.path)
    names = [config["config_name"] for config in header["configs"]]
    assert all(isinstance(name, str) for name in names)
    assert "no" in names
    assert sorted(names) == sorted(path.name for path in built.path.iterdir() if path.is_dir())
    for config in header["configs"]:
        (file,) = config["data_files"]
        assert file["split"] == "test"
        assert (built.path / file["path"]).is_file()


def test_the_card_has_what_the_hub_checks(built):
    """The Hub takes ISO 639 codes of two or three letters as languages; other tags stand in a field of their own."""
    header, _ = card_parts(built.path)
    assert header["license"] == "other"
    assert header["license_name"] == "babelnet-non-commercial"
    assert header["license_link"].startswith("https://babelnet.org/")
    assert all(re.fullmatch(r"[a-z]{2,3}", language) for language in header["language"])
    assert len(set(header["language"])) == len(header["language"]) == 93
    assert "no" in header["language"]
    assert header["size_categories"] == ["10K<n<100K"]


def test_the_card_of_the_298_keeps_tags_with_subtags_apart(reference_data, tmp_path):
    labels = release.load_labels(reference_data / "babel_imagenet-298.json")
    out = build(labels, release.load_prompts(), tmp_path / "d", selectors="be_x_old,simple,nds_nl,zh_yue,gmq_bot")
    header, body = card_parts(out.path)
    assert header["language_bcp47"] == ["be-tarask", "en-simple", "gmq-x-bot", "nds-NL"]
    assert header["language"] == ["be", "en", "gmq", "nds", "yue"]
    assert "babel_imagenet-298.json" in body


def test_the_card_states_licence_problems_and_statistics(built):
    _, body = card_parts(built.path)
    for part in ("BabelNet Non-Commercial License", "Not covered", "arxiv.org/abs/2306.08658", "{B}abel-{I}mage{N}et",
                 'load_dataset("babel-imagenet", "de"',
                 "1699e9984d5d02f34640b06230f2d5ebacab2ff1554ddf55883858b5862afc5a",
                 "6973d7d915868b4fd3d0a354acab15a058d6f98628f83ab7d741d45887aa8985"):  # fmt: skip
        assert part in body
    assert "| `es` | Spanish | español | es | Latn | ltr | high | 845 | 832 |" in body
    assert "| `ar` | Arabic | العربية | ar | Arab | rtl | mid | 636 | 636 |" in body
    assert "| `duplicate` | 373 |" in body
    assert not re.search(r"\{\{(?!B\})|\{%", body)  # nothing of the template is left
    assert "\n\n\n" not in body
    assert str(Path.home()) not in body


def test_the_tables_of_the_card_have_equal_columns_in_every_row(built):
    _, body = card_parts(built.path)
    tables = re.findall(r"(?:^\|.*\n)+", body, re.MULTILINE)
    assert len(tables) == 7
    for table in tables:
        assert len({line.count("|") for line in table.splitlines()}) == 1, table


def test_the_card_of_ones_own_labels_claims_nothing_about_them(own, tmp_path):
    out = build(release.load_labels(own), release.load_prompts(), tmp_path / "d")
    header, body = card_parts(out.path)
    assert header["license_name"] != "babelnet-non-commercial"
    assert "own.json (a file of the user's own)" in body
    assert "under the terms of whoever made it" in body
    assert "taken from BabelNet" not in body
    assert str(tmp_path) not in body


def test_statistics_are_those_of_the_labels(built):
    raw = json.loads(release.load_labels().path.read_text(encoding="utf-8"))
    assert len(built.statistics) == 93
    for row in built.statistics:
        if row.language.code != "EN":
            labels = raw[row.language.code][1]
            assert (row.n_classes, row.n_distinct) == (len(labels), len(set(labels)))
    assert built.n_prompts < 7280
    assert built.n_bytes == sum(path.stat().st_size for path in built.path.rglob("*") if path.is_file())
