from __future__ import annotations

import json

import numpy as np
import pyarrow.parquet as pq
import pytest

from babel_eval.results import (
    Predictions,
    ResultWriter,
    check_target,
    parts_path,
    plain,
    predictions_path,
    read_results,
)

PLAN = [("DE", "label"), ("SW", "label"), ("LO", "label")]


def row(language, accuracy=0.5):
    return {"lang": language, "prompt": "label", "num_classes": 2, "accuracy": accuracy}


def predictions(n=2):
    return Predictions(tuple(f"p{i}" for i in range(n)), np.arange(n), np.zeros(n, int), np.arange(n))


def test_a_row_is_on_disk_as_soon_as_it_is_added(tmp_path):
    writer = ResultWriter(tmp_path / "r.json", {"model": "m"}, PLAN)
    writer.add(row("DE", np.float64(0.25)), predictions())
    on_disk = json.loads((tmp_path / "r.json").read_text())
    assert on_disk == {"meta": {"model": "m"}, "results": [row("DE", 0.25)], "failures": []}


def test_rows_stand_in_the_order_of_the_plan_and_predictions_with_them(tmp_path):
    writer = ResultWriter(tmp_path / "r.json", {}, PLAN)
    writer.add(row("LO"), predictions(1))
    writer.add(row("DE"), predictions(2))
    writer.fail({"lang": "SW", "prompt": "label", "status": "no_photos", "accuracy": None})
    writer.finish(finished="now")
    results = read_results(tmp_path / "r.json")
    assert [r["lang"] for r in results.rows] == ["DE", "LO"]
    assert results.failures[0]["status"] == "no_photos"
    table = pq.read_table(predictions_path(tmp_path / "r.json")).to_pydict()
    assert table["lang"] == ["DE", "DE", "LO"]
    assert table["rank"] == [0, 1, 0]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["r.json", "r.predictions.parquet"]


def test_an_existing_file_is_never_replaced_unasked(tmp_path):
    ResultWriter(tmp_path / "r.json", {}, PLAN).finish()
    before = (tmp_path / "r.json").read_bytes()
    with pytest.raises(FileExistsError, match=r"--resume.*--overwrite"):
        ResultWriter(tmp_path / "r.json", {}, PLAN)
    assert (tmp_path / "r.json").read_bytes() == before


@pytest.mark.parametrize("name", ["run-v1.5", "r", "r.txt", ".json"])
def test_a_name_whose_decisions_could_be_anothers_is_refused(name, tmp_path):
    with pytest.raises(ValueError, match=r"must end in \.json"):
        check_target(tmp_path / name, resume=True, overwrite=True)


def test_a_place_where_nothing_can_be_written_is_refused_before_any_work(tmp_path):
    with pytest.raises(OSError, match="/proc/no/") as caught:
        check_target("/proc/no/r.json", resume=False, overwrite=False)
    assert caught.value.strerror
    (tmp_path / "r.json").mkdir()
    with pytest.raises(ValueError, match=r"r\.json is a folder"):
        check_target(tmp_path / "r.json", resume=False, overwrite=True)


def test_resuming_keeps_what_is_done_and_ends_with_the_same_file(tmp_path):
    whole = ResultWriter(tmp_path / "whole.json", {"model": "m"}, PLAN)
    for code, *_ in PLAN:
        whole.add(row(code), predictions())
    whole.finish(finished="now")
    first = ResultWriter(tmp_path / "r.json", {"model": "m"}, PLAN)
    first.add(row("DE"), predictions())
    second = ResultWriter(tmp_path / "r.json", {"model": "m"}, PLAN, resume=True)
    assert second.done("DE", "label") == row("DE")
    assert second.done("SW", "label") is None
    second.add(row("SW"), predictions())
    second.add(row("LO"), predictions())
    second.finish(finished="now")
    assert (tmp_path / "r.json").read_bytes() == (tmp_path / "whole.json").read_bytes()
    one, other = (pq.read_table(predictions_path(tmp_path / name)) for name in ("r.json", "whole.json"))
    assert one.equals(other)


def test_a_row_whose_predictions_were_lost_is_done_again(tmp_path):
    first = ResultWriter(tmp_path / "r.json", {}, PLAN)
    first.add(row("DE"), predictions())
    (tmp_path / "r.parts" / "label.DE.parquet").unlink()
    assert ResultWriter(tmp_path / "r.json", {}, PLAN, resume=True).done("DE", "label") is None


def test_a_failure_is_tried_again_on_resume(tmp_path):
    first = ResultWriter(tmp_path / "r.json", {}, PLAN)
    first.fail({"lang": "DE", "prompt": "label", "status": "failed: x"})
    again = ResultWriter(tmp_path / "r.json", {}, PLAN, resume=True)
    assert again.results.failures == []


def test_resuming_a_finished_file_changes_nothing(tmp_path):
    writer = ResultWriter(tmp_path / "r.json", {}, PLAN)
    writer.add(row("DE"), predictions())
    writer.finish(finished="then")
    before = {p.name: p.read_bytes() for p in tmp_path.iterdir()}
    again = ResultWriter(tmp_path / "r.json", {}, PLAN[:1], resume=True)
    assert again.done("DE", "label")
    again.finish(finished="then")
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == before


def test_a_finished_run_with_a_failure_stays_finished_however_often_it_is_resumed(tmp_path):
    writer = ResultWriter(tmp_path / "r.json", {}, PLAN)
    writer.add(row("DE"), predictions())
    writer.fail({"lang": "SW", "prompt": "label", "status": "no_photos"})
    writer.finish(finished="then")
    before = {p.name: p.read_bytes() for p in tmp_path.iterdir()}
    for _ in range(2):
        again = ResultWriter(tmp_path / "r.json", {}, PLAN[:2], resume=True)
        assert again.done("DE", "label")
        (parts_path(again.path) / "texts").mkdir(parents=True)  # texts of the language that is tried again
        again.fail({"lang": "SW", "prompt": "label", "status": "no_photos"})
        again.finish(finished="then")
        assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == before


def test_a_kill_while_a_finished_run_is_tried_again_loses_no_row(tmp_path):
    writer = ResultWriter(tmp_path / "r.json", {}, PLAN)
    writer.add(row("DE"), predictions(3))
    writer.fail({"lang": "SW", "prompt": "label", "status": "failed: x"})
    writer.add(row("LO"), predictions(1))
    writer.finish()
    killed = ResultWriter(tmp_path / "r.json", {}, PLAN, resume=True)
    (parts_path(killed.path) / "texts").mkdir(parents=True)
    killed = ResultWriter(tmp_path / "r.json", {}, PLAN, resume=True)
    killed.add(row("SW"), predictions(2))
    last = ResultWriter(tmp_path / "r.json", {}, PLAN, resume=True)
    assert [last.done(code, "label") is not None for code, _ in PLAN] == [True, True, True]
    last.finish()
    assert [r["lang"] for r in read_results(tmp_path / "r.json").rows] == ["DE", "SW", "LO"]
    table = pq.read_table(predictions_path(tmp_path / "r.json")).to_pydict()
    assert table["lang"] == ["DE"] * 3 + ["SW"] * 2 + ["LO"]
    assert table["rank"] == [0, 1, 2, 0, 1, 0]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["r.json", "r.predictions.parquet"]


def test_what_a_killed_run_had_begun_to_write_is_removed(tmp_path):
    ResultWriter(tmp_path / "r.json", {}, PLAN)
    others = [tmp_path / ".other.json.x1.part", tmp_path / ".r.json.txt"]
    for path in (tmp_path / ".r.json.x1.part", tmp_path / ".r.predictions.parquet.x2.part", *others):
        path.write_text("half")
    (tmp_path / "r.gone" / "texts").mkdir(parents=True)
    ResultWriter(tmp_path / "r.json", {}, PLAN, resume=True).finish()
    assert not (tmp_path / "r.gone").exists()
    assert sorted(p.name for p in tmp_path.glob(".*")) == sorted(p.name for p in others)


def test_resuming_with_other_settings_is_refused_and_names_them(tmp_path):
    ResultWriter(tmp_path / "r.json", {"dtype": "fp32", "started": 1}, PLAN)
    ResultWriter(tmp_path / "r.json", {"dtype": "fp32", "started": 2}, PLAN, resume=True)
    with pytest.raises(ValueError, match="dtype: 'fp32' there, 'bf16' now"):
        ResultWriter(tmp_path / "r.json", {"dtype": "bf16"}, PLAN, resume=True)


def test_settings_that_json_writes_otherwise_are_still_the_same_settings(tmp_path):
    meta = {"scoring": {"k_way": (10, 50), "level": np.float64(0.95)}}
    ResultWriter(tmp_path / "r.json", meta, PLAN)
    assert ResultWriter(tmp_path / "r.json", meta, PLAN, resume=True).results.rows == []


def test_what_is_not_finite_is_refused():
    with pytest.raises(ValueError, match="finite"):
        plain({"accuracy": np.float32("nan")})


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ("[]", "no result file"),
        ('{"meta": {}}', "no result file"),
        ('{"meta": {}, "results": [{"lang": "DE"}]}', "lacks accuracy"),
        ('{"meta": {}, "results": [{"lang":"DE","prompt":"label","num_classes":2,"accuracy":57.0}]}', "fraction"),
        ('{"meta": {}, "results": [', "no valid JSON"),
    ],
)
def test_a_bad_file_is_named_with_its_row(tmp_path, content, why):
    (tmp_path / "r.json").write_text(content)
    with pytest.raises(ValueError, match=why) as error:
        read_results(tmp_path / "r.json")
    assert "r.json" in str(error.value)
