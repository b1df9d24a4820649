"""The audit on the report's page: every figure of its file stands there and in the CSV beside it."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from babel_eval.cli import app
from babel_eval.reporting.audits import share_text, take_audit
from babel_imagenet_dataset.audit import flag_labels
from babel_imagenet_dataset.release import load_labels


@pytest.fixture
def result(tmp_path: Path) -> Path:
    rows = [
        {"lang": code, "prompt": "label", "num_classes": 10, "accuracy": 0.5, "n_images": 20}
        for code in ("EN", "IT", "SW")
    ]
    path = tmp_path / "r.json"
    path.write_text(json.dumps({"meta": {"model": "org/a", "source": "s"}, "results": rows}), encoding="utf-8")
    return path


@pytest.fixture
def audit(tmp_path: Path) -> Path:
    """An audit as the command writes it, with figures put in that need a model, photos or people."""
    path = tmp_path / "audit.json"
    made = CliRunner().invoke(app, ["audit", "--languages", "it,sw", "--out", str(path)])
    assert made.exit_code == 0, made.output
    content = json.loads(path.read_text(encoding="utf-8"))
    share = {"n_labels": 773, "beyond": 0.3, "beyond_null": 0.9, "beyond_reference": 0.2}
    content["meaning"] = {
        "model": "toy",
        "k": 100,
        "languages": {
            "IT": {"status": "estimate", "share": 0.133, "interval": [0.088, 0.175], **share},
            "SW": {"status": "not estimable", "share": None, "interval": None, **share},
        },
    }
    counts = {"n_judged": 50, "n_wrong": 2, "n_unsure": 1, "n_open": 0, "rate": 0.04, "interval": [0.011, 0.135]}
    content["judged"] = [{"language": "IT", **counts}, {"language": "all", **counts}]
    effect = {"n_classes": 773, "n_differing": 9, "n_images": 500, "released": 0.3, "changed": 0.31}
    content["effect"] = {
        "model": "toy",
        "images": "x",
        "rows": [{"language": "IT", "other": "human", "difference": 0.01, "interval": [-0.002, 0.022], **effect}],
    }
    path.write_text(json.dumps(content, indent=1), encoding="utf-8")
    return path


def test_the_page_shows_the_estimate_beside_what_people_judged(tmp_path: Path, result: Path, audit: Path) -> None:
    made = CliRunner().invoke(
        app, ["report", str(audit), str(result), "--without-labels", "--out", str(tmp_path / "out")]
    )
    assert made.exit_code == 0, made.output
    page = (tmp_path / "out" / "index.html").read_text(encoding="utf-8")
    table = page.split('<table id="audit">')[1].split("</table>")[0]
    headers = re.findall("<th[^>]*>([^<]*)</th>", table.split("</thead>")[0])
    italian, swahili = (re.findall("<td>([^<]*)</td>", row) for row in table.split("<tbody>")[1].split("</tr>")[:2])
    shown = dict(zip(headers[1:], italian, strict=True))
    assert shown["wrong, by meaning, %"] == "13.3 [8.8, 17.5]"
    assert shown["wrong, judged, %"] == "4.0 [1.1, 13.5]"
    assert shown["human, points"] == "+1.0 [-0.2, +2.2]"
    assert "cleaned, points" not in headers
    assert dict(zip(headers[1:], swahili, strict=True))["wrong, by meaning, %"] == "not estimable"
    assert "Judged by people: 50 labels, 4.0 [1.1, 13.5] % wrong." in page
    assert '<a href="#labels">Label quality</a>' in page


def test_a_label_with_several_flags_counts_as_one_flagged_label_all_over_the_page(tmp_path: Path) -> None:
    hebrew = load_labels().languages["HE"]
    counted = [[flag for flag in flags if flag != "equals_english"] for flags in flag_labels(hebrew)]
    assert sum(map(len, counted)) > sum(map(bool, counted))
    rows = [{"lang": "HE", "prompt": "label", "num_classes": len(hebrew), "accuracy": 0.5}]
    result, audit = tmp_path / "r.json", tmp_path / "audit.json"
    result.write_text(json.dumps({"meta": {"model": "org/a"}, "results": rows}), encoding="utf-8")
    CliRunner().invoke(app, ["audit", "--languages", "he", "--out", str(audit)])
    made = CliRunner().invoke(app, ["report", str(audit), str(result), "--out", str(tmp_path / "out")])
    assert made.exit_code == 0, made.output
    page = (tmp_path / "out" / "index.html").read_text(encoding="utf-8")
    table = page.split('<table id="audit">')[1].split("</table>")[0]
    headers = re.findall("<th[^>]*>([^<]*)</th>", table.split("</thead>")[0])
    shown = dict(zip(headers[1:], re.findall("<td>([^<]*)</td>", table), strict=True))
    assert shown["flagged"] == str(sum(map(bool, counted)))
    with open(tmp_path / "out" / "data" / "flags.csv", encoding="utf-8", newline="") as file:
        assert [row["flagged"] for row in csv.DictReader(file)] == [shown["flagged"]]
    assert json.loads(audit.read_text(encoding="utf-8"))["totals"]["n_flagged"] == sum(map(bool, counted))


def test_the_table_beside_the_page_holds_every_figure(tmp_path: Path, result: Path, audit: Path) -> None:
    CliRunner().invoke(app, ["report", str(result), str(audit), "--without-labels", "--out", str(tmp_path / "out")])
    with open(tmp_path / "out" / "data" / "audit.csv", encoding="utf-8", newline="") as file:
        rows = {row["lang"]: row for row in csv.DictReader(file)}
    for one in json.loads(audit.read_text(encoding="utf-8"))["languages"]:
        row = rows[one["language"]]
        assert {name: int(row[name]) for name in one["flags"]} == one["flags"]
        assert float(row["ceiling"]) == one["ceiling"]
    assert (rows["IT"]["wrong_share_low"], rows["SW"]["wrong_share_low"]) == ("0.088", "")


def test_two_audits_or_one_of_another_format_are_refused(tmp_path: Path, audit: Path) -> None:
    with pytest.raises(ValueError, match="a report shows one audit, got 2"):
        take_audit([audit, audit])
    (tmp_path / "new.json").write_text('{"audit": 2}')
    with pytest.raises(ValueError, match="an audit of format 2, this version reads 1"):
        take_audit([tmp_path / "new.json"])
    assert take_audit([tmp_path / "x.csv"]) == ([tmp_path / "x.csv"], None)


def test_a_share_is_told_with_its_interval_or_as_a_bound() -> None:
    assert share_text("estimate", 0.05, (0.01, 0.09)) == "0.05 [0.01, 0.09]"
    assert share_text("upper bound", 0.2, (0.0, 0.25), 100) == "at most 25.0"
    assert share_text("not estimable", None, None) == "not estimable"
