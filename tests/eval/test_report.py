"""Reports: what is gathered from files, the means, the tables, and what the page holds."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from statistics import mean

import numpy as np
import pytest
from typer.testing import CliRunner

from babel_eval.cli import app
from babel_eval.correlation.joining import short_names
from babel_eval.reporting.data import best_models, gather, group_means
from babel_eval.reporting.report import csv_tables, make_report, write_page
from babel_eval.reporting.tables import render
from babel_eval.results import Predictions, ResultWriter


def reference_file(folder: Path, model: str, accuracy: dict[str, float], sizes: dict[str, int]) -> Path:
    rows = [{"lang": c, "prompt": "label", "num_classes": sizes[c], "accuracy": a} for c, a in accuracy.items()]
    path = folder / f"{model.replace('/', '-')}.json"
    path.write_text(json.dumps({"meta": {"model": model, "source": "s"}, "results": rows}), encoding="utf-8")
    return path


SIZES = {"EN": 1000, "DE": 800, "LO": 50, "SW": 90}


@pytest.fixture
def files(tmp_path):
    return [
        reference_file(tmp_path, "org/a", {"EN": 0.9, "DE": 0.5, "LO": 0.2, "SW": 0.4}, SIZES),
        reference_file(tmp_path, "org/b@tag", {"EN": 0.8, "DE": 0.6, "LO": 0.1}, SIZES),
    ]


def test_figures_that_a_reference_file_lacks_are_unknown_and_the_rest_computed(files):
    data = gather(files)
    row = next(r for r in data.rows if (r["run"], r["lang"]) == ("a", "LO"))
    assert (row["k10"], row["accuracy_low"], row["n_images"]) == (None, None, None)
    assert row["chance"] == 1 / 50
    assert row["centred"] == pytest.approx((0.2 - 0.02) / 0.98)
    assert row["gap"] == pytest.approx(0.7)
    assert [run.gap_basis for run in data.runs] == ["all classes", "all classes"]


def test_group_means_leave_english_out_and_count_their_languages(files):
    means = {(m["run"], m["group"]): m for m in group_means(gather(files))}
    assert (means["a", "vlow"]["accuracy"], means["a", "vlow"]["n"]) == (pytest.approx(0.3), 2)
    assert means["a", "all"]["accuracy"] == pytest.approx(mean([0.5, 0.2, 0.4]))
    assert (means["b", "vlow"]["accuracy"], means["b", "vlow"]["n"]) == (0.1, 1)
    assert ("a", "mid") not in means


def test_the_best_model_of_each_language_with_its_lead(files):
    best = {row["lang"]: row for row in best_models(gather(files))}
    assert (best["DE"]["best"], best["DE"]["second"], best["DE"]["lead"]) == ("b", "a", pytest.approx(0.1))
    assert (best["SW"]["best"], best["SW"]["second"], best["SW"]["lead"]) == ("a", None, None)


def test_equally_good_models_are_drawn_as_such_and_neither_as_the_best(tmp_path):
    same = [reference_file(tmp_path, name, {"EN": 0.9, "DE": 0.5, "LO": 0.25}, SIZES) for name in ("a", "b")]
    write_page(make_report(same), tmp_path / "out", title="t", pictures=["svg"])
    drawn = (tmp_path / "out" / "charts" / "best.svg").read_text(encoding="utf-8")
    bars = [part for part in drawn.split("<path")[1:] if "languages: 1" in part or "Languages: 1" in part]
    assert len(bars) == 2, "German and Lao"
    assert all("best: several, equally" in bar for bar in bars)


def test_a_run_on_names_is_no_rival_of_runs_on_photos(files, tmp_path):
    names = json.loads(reference_file(tmp_path, "c", {"EN": 0.99, "DE": 0.9}, SIZES).read_text(encoding="utf-8"))
    names["meta"]["images"] = {"name": "names", "kind": "names"}
    (tmp_path / "c.json").write_text(json.dumps(names), encoding="utf-8")
    data = gather([*files, tmp_path / "c.json"])
    assert {row["lang"]: row["best"] for row in best_models(data)} == {"EN": "a", "DE": "b", "LO": "a", "SW": "a"}
    assert data.rivals == ["a", "b"]
    alone = gather([tmp_path / "c.json"])
    assert ({row["best"] for row in best_models(alone)}, alone.rivals) == ({"c"}, ["c"])


def test_languages_stand_by_group_then_script_then_name(files):
    assert [x["code"] for x in gather(files).languages] == ["SW", "LO", "EN", "DE"]


def test_names_are_shortened_only_where_they_stay_apart():
    assert short_names(["org/a@x", "b"]) == ["a", "b"]
    assert short_names(["org/a@x", "org/a@y", "c"]) == ["org/a@x", "org/a@y", "c"]


@pytest.mark.parametrize(
    ("metas", "said"),
    [
        ([{}], "One model naming"),
        ([{}, {"model": "b"}], "2 models naming"),
        ([{"dtype": "fp32"}, {"dtype": "bf16"}], "One model in 2 runs naming"),
        ([{"dtype": "fp32"}, {"dtype": "bf16"}, {"model": "b"}], "2 models in 3 runs naming"),
    ],
)
def test_the_page_says_how_many_models_and_runs_it_shows(tmp_path, metas, said):
    files = [reference_file(tmp_path, str(n), {"EN": 0.9, "DE": 0.5}, SIZES) for n in range(len(metas))]
    for file, meta in zip(files, metas, strict=True):
        content = json.loads(file.read_text(encoding="utf-8"))
        content["meta"] |= {"model": "a", **meta}
        file.write_text(json.dumps(content), encoding="utf-8")
    page = write_page(make_report(files), tmp_path / "out", title="t")
    assert f">{said}" in page.read_text(encoding="utf-8")


def test_the_same_model_on_the_same_photos_twice_is_an_error(tmp_path, files):
    (tmp_path / "more").mkdir()
    again = reference_file(tmp_path / "more", "org/a", {"DE": 0.1}, SIZES)
    with pytest.raises(ValueError, match="both hold org/a on ImageNet"):
        gather([*files, again])
    with pytest.raises(ValueError, match="at least one zero-shot result file"):
        gather([])


def test_markdown_and_latex_say_percent_and_escape_names(tmp_path, files):
    data = gather(files)
    assert "| LO | Lao | 50 | 20.0 | 10.0 |" in render(data, "md")
    assert "| SW | Swahili | 90 | 40.0 | – |" in render(data, "md")
    odd = reference_file(tmp_path, "50%_off&more", {"EN": 0.5, "DE": 0.25}, SIZES)
    latex = render(gather([odd]), "latex")
    assert r"50\%\_off\&more" in latex
    assert r"\toprule" in latex
    assert r"DE & German & 800 & 25.0 \\" in latex
    with pytest.raises(ValueError, match="format 'docx' is unknown"):
        render(data, "docx")


def test_csv_holds_fractions_at_full_precision(tmp_path):
    third = reference_file(tmp_path, "m", {"EN": 0.5, "DE": 1 / 3}, SIZES)
    rows = list(csv.DictReader(render(gather([third]), "csv").splitlines()))
    assert [float(r["accuracy"]) for r in rows if r["lang"] == "DE"] == [1 / 3]


@pytest.fixture
def decided(tmp_path):
    """Two runs on ten photos of ten classes of German: the first is right on 8 of them, the second on 4."""
    paths = []
    for model, n_right in (("x", 8), ("y", 4)):
        writer = ResultWriter(tmp_path / f"{model}.json", {"model": model}, [("DE", "label")])
        ranks = np.array([0] * n_right + [1] * (10 - n_right))
        row = {"lang": "DE", "prompt": "label", "num_classes": 10, "accuracy": n_right / 10, "gap": 0.0}
        known = np.arange(10)
        writer.add(row, Predictions(tuple(f"p{i}" for i in range(10)), known, known, ranks))
        writer.finish()
        paths.append(tmp_path / f"{model}.json")
    return paths


def test_two_runs_on_the_same_photos_are_compared(decided):
    [row] = make_report(decided).comparisons
    assert (row["first"], row["second"], row["lang"], row["n_images"]) == ("x", "y", "DE", 10)
    assert row["diff"] == pytest.approx(0.4)
    assert row["p"] == pytest.approx(2 * 0.5**4)
    assert row["low"] < 0.4 < row["high"]


def test_every_table_lies_beside_the_page_as_csv_and_a_second_page_is_the_same(tmp_path, files):
    report = make_report(files)
    page = write_page(report, tmp_path / "out", title="<b>Title</b>")
    first = page.read_bytes()
    assert b"<h1>&lt;b&gt;Title&lt;/b&gt;</h1>" in first
    assert b"http://" not in first.split(b"<script")[0]
    assert {p.stem for p in (tmp_path / "out" / "data").glob("*.csv")} == set(csv_tables(report))
    assert write_page(make_report(files), tmp_path / "out", title="<b>Title</b>").read_bytes() == first


@pytest.mark.parametrize(
    "foreign", ["r.json", "index.html", "data/mine.json", "charts/plot.pdf", "data/mine/scores.csv", ".git/HEAD"]
)
@pytest.mark.parametrize("has_report", [True, False])
def test_a_folder_that_holds_anything_else_is_never_replaced_by_a_report(tmp_path, files, foreign, has_report):
    out, report = tmp_path / "out", make_report(files)
    if has_report:
        write_page(report, out, title="first")
        write_page(report, out, title="second", pictures=["svg"])
        write_page(report, out, title="third")  # what a report wrote is replaced
    (out / foreign).parent.mkdir(parents=True, exist_ok=True)
    (out / foreign).write_text("precious", encoding="utf-8")
    with pytest.raises(ValueError, match="holds what no report wrote"):
        write_page(report, out, title="fourth")
    assert (out / foreign).read_text(encoding="utf-8") == "precious"


def test_tables_without_a_page_and_the_current_folder_are_no_report_to_replace(tmp_path, files, monkeypatch):
    report = make_report(files)
    (tmp_path / "out" / "data").mkdir(parents=True)
    (tmp_path / "out" / "data" / "mine.csv").write_text("precious", encoding="utf-8")
    with pytest.raises(ValueError, match="holds what no report wrote"):
        write_page(report, tmp_path / "out", title="t")
    monkeypatch.chdir(tmp_path / "out")
    for folder in (".", "..", "data/mine.csv"):
        with pytest.raises(ValueError, match="cannot be replaced"):
            write_page(report, folder, title="t")


def test_a_note_is_printed_as_it_is_brackets_and_all(tmp_path, files):
    content = json.loads(files[0].read_text(encoding="utf-8"))
    status = "failed: cannot read [/data/x]"
    files[0].write_text(json.dumps({**content, "failures": [{"lang": "FR", "prompt": "label", "status": status}]}))
    made = CliRunner().invoke(app, ["report", str(files[0]), "--without-labels", "--out", str(tmp_path / "out")])
    assert made.exit_code == 0, made.output
    assert status in made.output.replace("\n", "")


def test_pictures_are_drawn_where_asked_for(tmp_path, files):
    write_page(make_report(files), tmp_path / "out", title="t", pictures=["svg"])
    drawn = {p.stem: p.read_text(encoding="utf-8") for p in (tmp_path / "out" / "charts").iterdir()}
    assert {"groups", "accuracy", "gap", "classes_raw", "classes_k_way", "best"} <= set(drawn)
    assert "var(--" not in "".join(drawn.values())
    assert "Mean accuracy by resource group" in drawn["groups"]
    assert "a, bare label" in drawn["accuracy"]  # the model that it shows
    assert "a, bare label" not in drawn["groups"]


def test_the_picture_of_two_models_names_them(tmp_path, decided):
    report = make_report(decided)
    write_page(report, tmp_path / "out", title="t", pictures=["svg"])
    drawn = (tmp_path / "out" / "charts" / "pairs.svg").read_text(encoding="utf-8")
    assert "x less y, bare label" in drawn
    assert "language: German" in drawn


def test_a_negative_number_in_a_picture_has_a_sign_that_its_fonts_have(tmp_path):
    better = reference_file(tmp_path, "m", {"EN": 0.3, "DE": 0.6, "LO": 0.9}, SIZES)
    write_page(make_report([better]), tmp_path / "out", title="t", pictures=["svg"])
    drawn = (tmp_path / "out" / "charts" / "gap.svg").read_text(encoding="utf-8")
    assert ">-60%<" in drawn
    assert "\N{MINUS SIGN}" not in drawn


def test_the_scripts_written_by_hand_stay_short():
    import babel_eval.reporting

    folder = Path(babel_eval.reporting.__file__).parent / "page"
    assert len((folder / "report.js").read_text(encoding="utf-8").splitlines()) < 200
