"""Result files as rows: nothing lost, one schema, and merges that lose and replace nothing in silence."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from babel_imagenet_dataset.release import PUBLISHED
from babel_push.results_table import COLUMNS, RETRIEVAL, ZERO_SHOT, merge, parquet, read_run, table

OURS = {
    "lang": "LO",
    "prompt": "label",
    "num_classes": 60,
    "n_classes": 60,
    "accuracy": 0.4,
    "accuracy_interval": [0.3, 0.5],
    "k_way": {"10": {"value": 0.7, "interval": [0.6, 0.8]}, "20": {"value": 0.65, "interval": [0.6, 0.7]}},
    "gap": -0.1,
    "gap_interval": [-0.2, 0.0],
    "n_images": 120,
    "status": "ok",
    "new_figure": {"nested": [1, 2]},
}


def write(path: Path, content: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


def test_nested_figures_become_columns_and_unknown_ones_stay_as_json(tmp_path: Path) -> None:
    failure = {"lang": "SI", "prompt": "label", "num_classes": 20, "accuracy": None, "status": "no_photos"}
    content = {"meta": {"model": "m", "images": {"name": "sample"}}, "results": [OURS], "failures": [failure]}
    found = table(read_run(write(tmp_path / "r.json", content)))
    assert found.column_names == list(COLUMNS[ZERO_SHOT])
    lao, sinhala = found.to_pylist()
    flat = {k: lao[k] for k in ("accuracy_low", "accuracy_high", "k_way_10", "k_way_10_high", "gap_low", "images")}
    assert flat == {
        "accuracy_low": 0.3,
        "accuracy_high": 0.5,
        "k_way_10": 0.7,
        "k_way_10_high": 0.8,
        "gap_low": -0.2,
        "images": "sample",
    }
    assert json.loads(lao["other"]) == {
        "new_figure": {"nested": [1, 2]},
        "k_way_20": 0.65,
        "k_way_20_low": 0.6,
        "k_way_20_high": 0.7,
    }
    assert (sinhala["lang"], sinhala["accuracy"], sinhala["status"]) == ("SI", None, "no_photos")


@pytest.mark.parametrize("kind", ["babel-imagenet", "retrieval/xtd"])
def test_published_files_of_the_reference_come_out_number_for_number(kind: str, reference_data: Path) -> None:
    for path in sorted((reference_data / "results" / kind).glob("*.json")):
        run = read_run(path)
        original = json.loads(path.read_text())["results"]
        rows = {(row["lang"], row.get("prompt")): row for row in table(run).to_pylist()}
        assert len(rows) == len(original)
        for row in original:
            found = rows[row["lang"], row.get("prompt")]
            assert {key: found[key] for key in row} == row
        assert run.config == (RETRIEVAL if "retrieval" in kind else ZERO_SHOT)


def test_every_table_has_one_schema_whatever_its_figures(tmp_path: Path) -> None:
    bare = {"lang": "DE", "prompt": "label", "num_classes": 2, "accuracy": 1}
    schemas = []
    for number, row in enumerate((bare, OURS)):
        run = read_run(write(tmp_path / f"{number}.json", {"meta": {"model": str(number)}, "results": [row]}))
        (tmp_path / "t.parquet").write_bytes(parquet(run))
        schemas.append(pq.read_schema(tmp_path / "t.parquet"))
    assert schemas[0].equals(schemas[1])


def test_paths_of_the_machine_do_not_go_out(tmp_path: Path) -> None:
    meta = {
        "model": "/home/me/models/mine",
        "images": {"name": "/data/secret/imagenet/val/", "n_missing": 1, "missing": [{"photo": "/data/x.jpg"}]},
        "labels": {"file": "C:\\Users\\me\\labels.json", "sha256": "0f"},
        "command": "babel-imagenet evaluate --images /data/secret",
        "model_string": "open_clip:hf-hub:org/name",
    }
    run = read_run(write(tmp_path / "r.json", {"meta": meta, "results": [OURS]}))
    text = run.json.decode() + json.dumps(table(run).to_pylist())
    for part in ("/home", "/data", "secret", "Users", "x.jpg"):
        assert part not in text
    assert run.meta["model"] == "mine"
    assert run.meta["images"] == {"name": "val", "n_missing": 1}
    assert run.meta["model_string"] == "open_clip:hf-hub:org/name"


def test_a_name_tells_models_and_settings_apart_and_nothing_else(results_file: Callable[..., Path]) -> None:
    base = read_run(results_file("org/m")).name
    assert base == read_run(results_file("org/m", LO=0.9)).name
    others = [
        results_file("org/M2"),
        results_file("org/m", meta={"images": {"name": "other"}}),
        results_file("org/m", meta={"labels": {"sha256": "ff"}}),
        results_file("org/m", meta={"fingerprint": "ff"}),
        results_file("org-m"),
    ]
    found = {base, *(read_run(path).name for path in others)}
    assert len(found) == 6
    assert all(name == name.lower() and "/" not in name for name in found)


RELEASED = {"file": "nllb.json", "sha256": PUBLISHED["prompts"].sha256, "mode": "released"}


@pytest.mark.parametrize(
    "meta",
    [
        {"images": {"name": "val", "fingerprint": "a tenth of the photos"}},
        {"dtype": "fp16"},
        {"mode": "reference"},
        {"language_token": "fallback"},
        {"templates": {**RELEASED, "mode": "clean"}},
        {"templates": {**RELEASED, "sha256": "of one's own"}},
    ],
)
def test_rows_measured_under_other_settings_do_not_join_a_run(results_file: Callable[..., Path], meta: Any) -> None:
    """Their tables would be one under one `meta`, with nothing to tell which rows are whose."""
    usual = {"images": {"name": "val", "fingerprint": "all photos"}, "dtype": "fp32", "mode": "default"}
    assert read_run(results_file("org/m", meta=usual)).name != read_run(results_file("org/m", meta=usual | meta)).name


@pytest.mark.parametrize("meta", [{"templates": RELEASED}, {"languages": "lo"}, {"prompts": "auto"}, {"device": "mps"}])
def test_other_languages_and_prompts_of_a_run_join_it(results_file: Callable[..., Path], meta: Any) -> None:
    usual = {"languages": "de", "prompts": "label", "device": "cpu", "templates": None}
    assert read_run(results_file("org/m", meta=usual)).name == read_run(results_file("org/m", meta=usual | meta)).name


def test_merging_adds_keeps_and_refuses(results_file: Callable[..., Path]) -> None:
    old, new = read_run(results_file(DE=0.5, LO=0.25)), read_run(results_file(LO=0.25, SW=0.75))
    merged = merge(old, new)
    assert {row["lang"]: row["accuracy"] for row in merged.rows} == {"DE": 0.5, "LO": 0.25, "SW": 0.75}
    changed = read_run(results_file(LO=0.5))
    with pytest.raises(ValueError, match="another number for LO label"):
        merge(old, changed)
    replaced = merge(old, changed, overwrite=True)
    assert {row["lang"]: row["accuracy"] for row in replaced.rows} == {"DE": 0.5, "LO": 0.5}


def test_merging_with_itself_changes_no_byte(results_file: Callable[..., Path]) -> None:
    run = read_run(results_file(meta={"started": "today"}))
    again = read_run(results_file(meta={"started": "tomorrow"}))
    assert merge(run, again).json == run.json
    assert parquet(merge(run, again)) == parquet(run)


def test_a_number_for_what_failed_before_takes_its_place(tmp_path: Path, results_file: Callable[..., Path]) -> None:
    failed = {"lang": "LO", "prompt": "label", "num_classes": 100, "status": "no_photos"}
    meta = {"model": "org/model", "source": "openclip", "parameters": 12}
    old = read_run(write(tmp_path / "old.json", {"meta": meta, "results": [], "failures": [failed]}))
    merged = merge(old, read_run(results_file(LO=0.5)))
    assert [len(merged.rows), len(merged.failures)] == [1, 0]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ([], "no result file"),
        ({"meta": {}, "results": []}, "no result file"),
        ({"meta": {"model": "m"}, "results": []}, "holds no result"),
        ({"meta": {"model": "m"}, "results": [{"lang": "DE", "accuracy": 0.1}]}, "row 0 lacks num_classes, prompt"),
        ({"meta": {"model": "m"}, "results": [OURS, OURS]}, "row 1 repeats LO label"),
        ({"meta": {"model": "m"}, "results": [{**OURS, "accuracy": 40.0}]}, "40.0 is no fraction"),
        ({"meta": {"model": "m"}, "results": [{"lang": "de", "t2i_r@1": 61.0}]}, "61.0 is no fraction"),
    ],
)
def test_what_is_no_result_file_is_refused(tmp_path: Path, content: Any, says: str) -> None:
    with pytest.raises(ValueError, match=says) as caught:
        read_run(write(tmp_path / "r.json", content))
    assert "r.json" in str(caught.value)
