"""The leaderboard's tables, computed from result files without a page."""

from __future__ import annotations

import importlib.util
import json
from importlib.metadata import metadata
from pathlib import Path

import pytest

from babel_push.cards import read_front_matter

SPACE = Path(__file__).resolve().parents[2] / "push_scripts" / "leaderboard"


@pytest.fixture(scope="module")
def app():
    pytest.importorskip("gradio", reason='gradio is not installed (pip install "babel-imagenet[space]")')
    spec = importlib.util.spec_from_file_location("leaderboard_tables_app", SPACE / "app.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def write(path: Path, model: str, images: str | None, accuracy: dict[str, float], **more) -> None:
    rows = [{"lang": c, "prompt": "label", "num_classes": 500, "accuracy": a, **more} for c, a in accuracy.items()]
    meta = {"model": model, "images": images and {"name": images}}
    path.write_text(json.dumps({"meta": meta, "results": rows}), encoding="utf-8")


def table_of(app, folder: Path):
    return app.chosen(app.read(str(folder))[0], "label", list(app.GROUPS), "any size")


def test_two_runs_of_one_model_on_the_same_photos_are_never_averaged(app, tmp_path):
    write(tmp_path / "labels-93.json", "org/a", "val", {"EN": 0.6, "DE": 0.5})
    write(tmp_path / "labels-298.json", "org/a", "val", {"EN": 0.6, "DE": 0.3})
    means, _ = app.board(table_of(app, tmp_path))
    shown = means[["model", "mean %"]].to_numpy().tolist()
    assert shown == [["a: labels-93.json", 50.0], ["a: labels-298.json", 30.0]]


def test_files_of_one_model_in_other_languages_are_one_run(app, tmp_path):
    write(tmp_path / "one.json", "org/a", "val", {"EN": 0.6, "DE": 0.5})
    write(tmp_path / "two.json", "org/a", "val", {"LO": 0.3})
    means, _ = app.board(table_of(app, tmp_path))
    assert means[["model", "mean %", "languages"]].to_numpy().tolist() == [["a", 40.0, 2]]


def test_photos_that_a_file_does_not_name_are_those_of_imagenet(app, tmp_path):
    write(tmp_path / "one.json", "org/a", None, {"DE": 0.5})
    write(tmp_path / "two.json", "org/a", "/data/val", {"DE": 0.3})
    assert list(app.board(table_of(app, tmp_path))[0]["model"]) == ["a (ImageNet)", "a (val)"]


def test_a_run_without_a_figure_stands_in_the_heat_map_without_numbers(app, tmp_path):
    write(tmp_path / "ours.json", "org/ours", "val", {"DE": 0.5}, gap=0.1, k_way={"10": {"value": 0.8}})
    write(tmp_path / "reference.json", "org/reference", None, {"DE": 0.4})
    table = table_of(app, tmp_path)
    for measure, value in (("gap to English", 10.0), ("10-way accuracy", 80.0)):
        heat = app.heat(table, measure)
        assert heat.data["ours"].tolist() == [value]
        assert heat.data["reference"].isna().all()
        assert "–" in heat.to_html()


def test_the_space_runs_a_python_that_its_pinned_packages_take():
    from packaging.specifiers import SpecifierSet

    version = read_front_matter(SPACE / "README.md").get("python_version")
    assert isinstance(version, str), 'a Space\'s own Python is 3.10; say `python_version: "3.11"`, in quotes'
    for line in (SPACE / "requirements.txt").read_text(encoding="utf-8").splitlines():
        name, _, pinned = line.partition("==")
        about = metadata(name)
        if about["Version"] == pinned:
            assert SpecifierSet(about["Requires-Python"]).contains(version), f"{line} needs {about['Requires-Python']}"
