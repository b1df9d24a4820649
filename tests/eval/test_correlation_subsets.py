"""Smaller benchmarks, on decisions small enough to draw by hand."""

from __future__ import annotations

from itertools import combinations
from statistics import mean

import numpy as np
import pytest
from scipy.stats import kendalltau

from babel_eval.correlation.analysis import analyse
from babel_eval.correlation.subsets import Decisions, Photos, read_decisions, subsample
from babel_eval.results import Predictions, ResultWriter


def cells(n_photos_a_class: int = 4, n_classes: int = 6, seed: int = 0):
    """Two models that decided at random about the photos of two languages, one of which has half the classes."""
    rng = np.random.default_rng(seed)
    class_of = np.repeat(np.arange(n_classes), n_photos_a_class)
    found = {}
    for model in ("a", "b"):
        for code, size in (("DE", n_classes), ("LO", n_classes // 2)):
            photo = np.flatnonzero(class_of < size).astype(np.int32)
            found[model, code] = Decisions(photo, rng.integers(0, size, len(photo)), size)
    return Photos(class_of), found


def accuracy(found) -> dict:
    return {cell: float((d.rank == 0).mean()) for cell, d in found.items()}


def test_a_size_that_is_the_whole_is_no_part():
    photos, found = cells(n_photos_a_class=4, n_classes=6)
    subsets = subsample(accuracy(found), {}, photos, found, sizes={"photos": (2, 4), "classes": (5, 6)}, n_draws=5)
    assert [(s.kind, s.size, s.n_draws) for s in subsets] == [("photos", 2, 5), ("classes", 5, 5)]


def test_one_photo_a_class_is_drawn_from_each_class():
    """The k-th photo of every class is right, in each language: any draw of k of 3 has a known range of accuracies."""
    class_of = np.repeat(np.arange(5), 3)
    rank = np.tile([0, 1, 1], 5)
    found = {("a", "DE"): Decisions(np.arange(15, dtype=np.int32), rank, 5)}
    [one, two] = subsample(accuracy(found), {}, Photos(class_of), found, sizes={"photos": (1, 2)}, n_draws=500)
    one_third = [abs(k / 5 - 1 / 3) for k in range(6)]
    share = [sum(1 for c in np.ndindex(3, 3, 3, 3, 3) if c.count(0) == k) / 3**5 for k in range(6)]
    assert one.cell_error[0] == pytest.approx(sum(e * p for e, p in zip(one_third, share, strict=True)), abs=0.012)
    assert two.cell_error[0] < one.cell_error[0]


def test_fewer_classes_equal_the_mean_over_all_choices_of_classes_and_rivals():
    """Every set of 3 of 5 classes written out: the photo's class is right if no class before it is in the set."""
    rng = np.random.default_rng(1)
    order = [rng.permutation(5) for _ in range(5)]  # for the photo of class c, the classes from best to worst
    ranks = np.array([list(order[c]).index(c) for c in range(5)])
    values = [
        mean(float(not set(order[c][: ranks[c]]) & set(chosen)) for c in chosen) for chosen in combinations(range(5), 3)
    ]
    found = {("a", "DE"): Decisions(np.arange(5, dtype=np.int32), ranks, 5)}
    whole = {("a", "DE"): 0.0}  # so that the error is the accuracy itself
    [subset] = subsample(whole, {}, Photos(np.arange(5)), found, sizes={"classes": (3,)}, n_draws=3000)
    assert subset.cell_error[0] == pytest.approx(mean(values), abs=0.01)


def test_a_language_with_fewer_classes_than_asked_for_keeps_all():
    photos, found = cells(n_classes=6)
    small = {cell: d for cell, d in found.items() if cell[1] == "LO"}
    whole = accuracy(small)
    assert subsample(whole, {}, photos, small, sizes={"classes": (3, 5)}, n_draws=5) == []
    both = subsample(accuracy(found), {"t": whole}, photos, found, sizes={"classes": (5,)}, n_draws=5)
    assert len(both) == 1


def test_rankings_and_correlations_of_drawn_languages_equal_those_of_every_choice():
    rng = np.random.default_rng(2)
    models, codes = "abc", "VWXYZ"
    whole = {(m, c): float(rng.random()) for m in models for c in codes}
    task = {(m, c): float(rng.random()) for m in models for c in codes[:4]}
    full = [mean(whole[m, c] for c in codes) for m in models]
    taus = [
        kendalltau([mean(whole[m, c] for c in chosen) for m in models], full).statistic
        for chosen in combinations(codes, 3)
    ]
    rs = [
        np.corrcoef(*np.array([(whole[m, c], task[m, c]) for m in models for c in chosen]).T)[0, 1]
        for chosen in combinations(codes[:4], 3)
    ]
    [subset] = subsample(whole, {"t": task}, sizes={"languages": (3, 5)}, n_draws=600)
    assert subset.tau[0] == pytest.approx(mean(taus), abs=0.06)
    assert subset.r["t"][0] == pytest.approx(mean(rs), abs=0.04)
    assert subset.cell_error == (0, 0, 0)


def test_decisions_beside_result_files_are_read_with_photos_shared_between_models(tmp_path):
    photos = ("p2", "p0", "p1")
    for model, ranks in (("a", [0, 1, 2]), ("b", [0, 0, 1])):
        writer = ResultWriter(tmp_path / f"{model}.json", {"model": model}, [("DE", "label"), ("LO", "label")])
        for code, size in (("DE", 3), ("LO", 5)):
            row = {"lang": code, "prompt": "label", "num_classes": size, "accuracy": ranks.count(0) / 3}
            known = np.array([7, 5, 7])
            writer.add(row, Predictions(photos, known, known, np.array(ranks)))
        writer.finish()
    paths = [tmp_path / "a.json", tmp_path / "b.json"]
    found_photos, found = read_decisions(paths, "label")
    assert found_photos.class_of.tolist() == [7, 5, 7]
    assert set(found) == {(m, c) for m in "ab" for c in ("DE", "LO")}
    assert found["b", "LO"].rank.tolist() == [0, 0, 1]
    assert found["b", "LO"].n_classes == 5
    task = tmp_path / "t.csv"
    task.write_text(
        "model,language,s\n" + "".join(f"{m},{c},{i}\n" for i, (m, c) in enumerate(found)), encoding="utf-8"
    )
    analysis = analyse([*paths, task], n_resamples=0, n_draws=3)
    assert {(s.kind, s.size) for s in analysis.subsets["label"]} == {("photos", 1)}
    assert analysis.notes == []


def test_a_photo_with_two_classes_is_an_error(tmp_path):
    for model, index in (("a", 7), ("b", 8)):
        writer = ResultWriter(tmp_path / f"{model}.json", {"model": model}, [("DE", "label")])
        decisions = Predictions(("p",), np.array([index]), np.array([index]), np.array([0]))
        writer.add({"lang": "DE", "prompt": "label", "num_classes": 3, "accuracy": 1.0}, decisions)
        writer.finish()
    with pytest.raises(ValueError, match=r"b.json: photo p has one class here, and another"):
        read_decisions([tmp_path / "a.json", tmp_path / "b.json"], "label")


def test_without_decisions_only_languages_are_left_out_and_it_is_said(tmp_path, reference_data):
    files = sorted(reference_data.glob("results/**/*.json"))
    analysis = analyse(files, n_resamples=0, n_draws=3)
    assert {s.kind for s in analysis.subsets["label"]} == {"languages"}
    assert "no decisions beside" in analysis.notes[0]


def test_a_language_that_is_left_out_is_left_out_of_smaller_benchmarks_too(tmp_path):
    """Six languages with scores of the task: of five without English no part of five is smaller than the whole."""
    codes = ("EN", "DE", "FR", "IT", "ES", "RU")
    for model in "ab":
        writer = ResultWriter(tmp_path / f"{model}.json", {"model": model}, [(c, "label") for c in codes])
        for i, code in enumerate(codes):
            decisions = Predictions(("p", "q"), np.array([1, 1]), np.array([1, 2]), np.array([0, i % 2]))
            accuracy = float((decisions.rank == 0).mean())
            writer.add({"lang": code, "prompt": "label", "num_classes": 3, "accuracy": accuracy}, decisions)
        writer.finish()
    rows = [f"{m},{c},{i + (m == 'a')}\n" for i, c in enumerate(codes) for m in "ab"]
    (tmp_path / "t.csv").write_text("model,language,s\n" + "".join(rows), encoding="utf-8")
    files = [tmp_path / "a.json", tmp_path / "b.json", tmp_path / "t.csv"]
    found = {gone: analyse(files, exclude=gone, n_resamples=0, n_draws=4).subsets["label"] for gone in ((), ("EN",))}
    assert [(s.kind, s.size) for s in found[()]] == [("photos", 1), ("languages", 5)]
    assert [(s.kind, s.size) for s in found["EN",]] == [("photos", 1)]
