"""The figures of one language, and their means."""

from __future__ import annotations

import json

import numpy as np
import pytest
from zsic_oracles import k_way_by_enumeration

from babel_zsic.classification import classify, k_way_table, macro, score_language


def test_figures_are_those_of_a_count_by_hand():
    labels = ["a", "b", "a", "c", "d"]
    predicted, ranks, truth = [0, 0, 1, 4, 0], [0, 1, 0, 4, 1], [0, 2, 1, 3, 2]
    figures = score_language(predicted, ranks, truth, 5, labels=labels, english_ranks=[0, 0, 0, 0, 1])
    assert figures["accuracy"] == 2 / 5
    assert figures["accuracy_merged"] == 4 / 5
    assert figures["chance"] == 1 / 5
    assert figures["centred"] == pytest.approx((2 / 5 - 1 / 5) / (4 / 5))
    assert (figures["n_duplicate_labels"], figures["ceiling"]) == (1, 4 / 5)
    assert figures["top5"] == 1.0
    assert figures["english_same_classes"] == 4 / 5
    assert figures["gap"] == pytest.approx(2 / 5)
    assert (figures["n_images"], figures["n_classes"]) == (5, 5)
    assert "k_way" not in figures


def test_every_figure_that_is_measured_carries_an_interval_around_it():
    rng = np.random.default_rng(0)
    truth, ranks = rng.integers(0, 120, 400), rng.integers(0, 120, 400)
    figures = score_language(
        np.where(ranks == 0, truth, 0), ranks, truth, 120, labels=[str(i) for i in range(120)], english_ranks=ranks // 2
    )
    for name in ("accuracy", "centred", "top5", "accuracy_merged", "english_same_classes", "gap"):
        low, high = figures[f"{name}_interval"]
        assert low <= figures[name] <= high
        assert low < high
    assert list(figures["k_way"]) == ["10", "50", "100"]
    for cell in figures["k_way"].values():
        assert cell["interval"][0] < cell["value"] < cell["interval"][1]


def test_figures_are_built_in_numbers():
    figures = score_language(np.array([0, 1]), np.array([0, 1]), np.array([0, 0]), np.int64(12), k_way=np.array([10]))
    assert json.loads(json.dumps(figures)) == figures


@pytest.mark.parametrize(("n_classes", "k"), [(2, 2), (5, 2), (6, 3), (8, 8), (9, 5)])
def test_k_way_is_what_enumeration_gives(n_classes, k):
    expected = [k_way_by_enumeration(rank, n_classes, k) for rank in range(n_classes)]
    np.testing.assert_allclose(k_way_table(n_classes, k), expected, atol=1e-12)


def test_k_way_is_within_monte_carlo_error_of_drawn_classes():
    rng = np.random.default_rng(1)
    n_classes, k, draws = 400, 50, 4000
    for rank in (0, 1, 5, 40, 399):
        others = np.argsort(rng.random((draws, n_classes - 1)), axis=1)[:, : k - 1]
        drawn = float((others >= rank).all(axis=1).mean())
        exact = k_way_table(n_classes, k)[rank]
        assert abs(drawn - exact) <= 4 * np.sqrt(max(exact * (1 - exact), 1e-9) / draws) + 1e-12


def test_k_way_over_all_classes_is_accuracy_and_a_guess_is_one_in_k():
    ranks = np.arange(30)
    figures = score_language(np.where(ranks == 0, 0, 1), ranks, np.zeros(30, int), 30, k_way=(2, 30))
    assert figures["k_way"]["30"]["value"] == pytest.approx(1 / 30)
    assert figures["k_way"]["2"]["value"] == pytest.approx(0.5)


def test_what_cannot_be_computed_is_absent():
    assert set(score_language([0], None, [0], None)) == {"n_images", "accuracy", "accuracy_interval"}
    one = score_language([0], [0], [0], 1)
    assert one["chance"] == 1.0
    assert {"centred", "top5", "k_way", "gap", "ceiling"}.isdisjoint(one)


def test_duplicates_are_rows_of_features_that_are_equal_but_for_a_power_of_two():
    features = np.array([[1.0, 0.5], [0.0, 1.0], [4.0, 2.0], [-0.0, 3.0]])
    predicted, ranks = classify([[1.0, 0.5], [0.0, 1.0]], features, [2, 1])
    figures = score_language(predicted, ranks, [2, 1], 4, class_features=features)
    assert figures["n_duplicate_labels"] == 2
    assert figures["accuracy"] == 0.5
    assert figures["accuracy_merged"] == 1.0


@pytest.mark.parametrize("seed", range(5))
def test_the_order_of_photos_changes_no_bit_of_a_figure_or_an_interval(seed):
    rng = np.random.default_rng(seed)
    truth, ranks, english = rng.integers(0, 20, (3, 300))
    predicted, order = np.where(ranks == 0, truth, 3), rng.permutation(300)
    options = {"labels": [str(row // 2) for row in range(20)], "k_way": (2, 7, 10), "n_resamples": 200}
    before = score_language(predicted, ranks, truth, 20, english_ranks=english, **options)
    after = score_language(predicted[order], ranks[order], truth[order], 20, english_ranks=english[order], **options)
    assert before == after


def test_accuracy_is_over_photos_and_not_over_classes():
    assert score_language([0, 0, 0, 0], None, [0, 0, 0, 1], 2)["accuracy"] == 3 / 4


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"predicted_rows": [0]}, "1 predicted_rows and 2 true_rows"),
        ({"predicted_rows": [0, 9]}, "predicted_rows holds 9; allowed: 0 to 4"),
        ({"ranks": [0, 5]}, "ranks holds 5"),
        ({"true_rows": [0, 7]}, "true_rows holds 7"),
        ({"labels": ["a"]}, "1 labels for 5 classes"),
        ({"english_ranks": [0]}, "1 english_ranks and 2"),
        ({"k_way": (1,)}, "k_way is 1; allowed: whole numbers, 2 and up"),
        ({"confidence_level": 1.0}, "confidence_level"),
        ({"n_resamples": 5}, "n_resamples"),
        ({"seed": -1}, "seed"),
        ({"true_rows": []}, "at least one"),
    ],
)
def test_bad_input_is_refused(change, message):
    good = {"predicted_rows": [0, 1], "ranks": [0, 1], "true_rows": [0, 0], "n_classes": 5}
    with pytest.raises(ValueError, match=message):
        score_language(**{**good, **change})


def test_means_state_how_many_languages_they_hold_and_english_enters_none():
    figures = {
        "EN": {"n_classes": 1000, "accuracy": 0.9},
        "DE": {"n_classes": 738, "accuracy": 0.5, "gap": 0.3, "k_way": {"10": {"value": 0.8}}},
        "SW": {"n_classes": 333, "accuracy": 0.2, "gap": 0.5},
        "LO": {"n_classes": 100, "accuracy": 0.1},
        "KM": {"n_images": 0},
    }
    means = macro(figures)
    assert means["accuracy_macro"] == pytest.approx(0.8 / 3)
    assert means["accuracy_macro_n"] == 3.0
    assert (means["gap_macro"], means["gap_macro_n"]) == (0.4, 2.0)
    assert (means["accuracy_vlow"], means["accuracy_low"], means["accuracy_high"]) == (0.1, 0.2, 0.5)
    assert "accuracy_mid" not in means
    assert means["k_way_10_macro"] == 0.8
    assert all(type(value) is float for value in means.values())
    assert macro({"EN": figures["EN"]}) == {
        "accuracy_macro": 0.9, "accuracy_macro_n": 1.0, "accuracy_high": 0.9, "accuracy_high_n": 1.0,
    }  # fmt: skip


def test_the_order_of_languages_changes_no_mean():
    rng = np.random.default_rng(3)
    figures = {f"L{i}": {"n_classes": 50, "accuracy": float(rng.random())} for i in range(9)}
    assert macro(figures) == macro(dict(reversed(figures.items())))
