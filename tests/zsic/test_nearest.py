"""The nearest class: decisions, ranks, ties, and what must change nothing."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from zsic_oracles import cosines, sorted_places

from babel_zsic.classification import TIES, classify, unit_rows
from babel_zsic.nearest import NearestClass, SubsetRanks

SEEDS = st.integers(0, 2**32 - 1)


def with_ties(rng: np.random.Generator, n_images: int = 40, n_classes: int = 9) -> tuple[np.ndarray, ...]:
    """Features of ±1 in four dimensions: their lengths are exact, so equal cosines are equal to the bit."""
    images = np.sign(rng.normal(size=(n_images, 4)))
    return images, np.sign(rng.normal(size=(n_classes, 4))), rng.integers(0, n_classes, n_images)


def without_ties(rng: np.random.Generator, n_images: int = 50, n_classes: int = 30) -> tuple[np.ndarray, ...]:
    images, classes = (rng.normal(size=(n, 16)).astype(np.float32) for n in (n_images, n_classes))
    return images, classes, rng.integers(0, n_classes, n_images)


@pytest.mark.parametrize("ties", TIES)
@pytest.mark.parametrize("block", [None, 1, 16, 17])
def test_decisions_and_ranks_are_those_of_a_plain_sort(ties, block):
    rng = np.random.default_rng(0)
    for _ in range(20):
        images, classes, truth = with_ties(rng)
        predicted, ranks = classify(images, classes, truth, ties=ties, block=block)
        expected = sorted_places(images @ classes.T, truth, ties)
        np.testing.assert_array_equal(predicted, expected[0])
        np.testing.assert_array_equal(ranks, expected[1])


def with_many_ties(rng: np.random.Generator, dim: int, n_images: int, n_classes: int = 50) -> tuple[np.ndarray, ...]:
    """Photos of zeros and ones, classes of seven ones each: cosines of a photo are in the order of whole numbers."""
    classes = np.stack([np.isin(np.arange(dim), rng.choice(dim, 7, replace=False)) for _ in range(n_classes)])
    images = rng.integers(0, 2, (n_images, dim))
    images[:, 0] = 1
    return images.astype(np.float32), classes.astype(np.float32), rng.integers(0, n_classes, n_images)


@pytest.mark.parametrize("ties", TIES)
@pytest.mark.parametrize("dim", [16, 64, 257])
def test_equal_cosines_tie_whatever_the_matrix_product_rounds(dim, ties):
    rng = np.random.default_rng(dim)
    images, classes, truth = with_many_ties(rng, dim, 1100)
    images *= rng.uniform(0.1, 10)
    predicted, ranks = classify(images, classes * 3, truth, ties=ties)
    expected = sorted_places((images > 0).astype(int) @ classes.astype(int).T, truth, ties)
    np.testing.assert_array_equal(predicted, expected[0])
    np.testing.assert_array_equal(ranks, expected[1])


@pytest.mark.parametrize("ties", TIES)
def test_classes_made_ready_once_take_photos_in_parts_and_ranks_alone(ties):
    images, classes, truth = with_many_ties(np.random.default_rng(3), 64, 300)
    expected = sorted_places(images.astype(int) @ classes.astype(int).T, truth, ties)
    ready = NearestClass(classes, ties=ties)
    for part in (slice(0, 120), slice(120, 121), slice(121, 300)):
        np.testing.assert_array_equal(ready(images[part], truth[part]), [places[part] for places in expected])
        np.testing.assert_array_equal(ready.ranks(images[part], truth[part]), expected[1][part])


@pytest.mark.parametrize("n_classes", [50, 8, 3])
def test_ranks_within_a_subset_are_those_of_its_classes_alone(n_classes):
    rng = np.random.default_rng(n_classes)
    images, classes, truth = with_many_ties(rng, 64, 300, n_classes)
    ranks = SubsetRanks(classes, len(images))
    for _ in range(6):
        subset = np.sort(rng.choice(n_classes, rng.integers(1, n_classes + 1), replace=False))
        some = rng.permutation(np.flatnonzero(np.isin(truth, subset)))
        some = some[rng.random(len(some)) < 0.7]
        if len(some):
            scores = images[some].astype(int) @ classes[subset].astype(int).T
            expected = sorted_places(scores, np.searchsorted(subset, truth[some]), "first")[1]
            np.testing.assert_array_equal(ranks(some, images[some], truth[some], subset), expected)


@pytest.mark.parametrize("block", [1, 16, 100, 5000])
def test_blocks_and_the_order_of_photos_change_nothing_where_much_ties(block):
    rng = np.random.default_rng(5)
    images, classes, truth = with_many_ties(rng, 64, 2000)
    base = classify(images, classes, truth)
    order = rng.permutation(len(images))
    moved = classify(images[order], classes, truth[order], block=block)
    np.testing.assert_array_equal(moved[0], base[0][order])
    np.testing.assert_array_equal(moved[1], base[1][order])


def test_decisions_agree_with_float64_on_more_classes_than_a_word_can_count():
    images, classes, truth = without_ties(np.random.default_rng(1), 300, 2500)
    predicted, ranks = classify(images, classes, truth)
    expected = sorted_places(cosines(images, classes), truth)
    np.testing.assert_array_equal(predicted, expected[0])
    np.testing.assert_array_equal(ranks, expected[1])


def test_all_equal_scores_give_the_lowest_row():
    predicted, ranks = classify(np.ones((5, 3)), np.ones((5, 3)), np.arange(5))
    assert predicted.tolist() == [0] * 5
    assert ranks.tolist() == [0, 1, 2, 3, 4]


def test_the_second_of_two_equal_classes_never_wins_however_many_columns_lie_between():
    rng = np.random.default_rng(2)
    classes = rng.normal(size=(131, 48)).astype(np.float32)
    classes[130] = classes[3] * 4
    images = np.repeat(classes[[130]], 200, axis=0) + 0.3 * rng.normal(size=(200, 48)).astype(np.float32)
    predicted, ranks = classify(images, classes, np.full(200, 130))
    assert (predicted == 3).any()
    assert not (predicted == 130).any()
    assert ranks.min() >= 1


def test_one_class_and_one_photo_are_enough():
    predicted, ranks = classify([[2.0, 0.0]], [[0.0, 3.0]], [0])
    assert (predicted.tolist(), ranks.tolist()) == ([0], [0])


@settings(max_examples=40, deadline=None)
@given(SEEDS)
def test_the_order_of_photos_and_classes_changes_nothing(seed):
    rng = np.random.default_rng(seed)
    images, classes, truth = without_ties(rng)
    predicted, ranks = classify(images, classes, truth)
    photos, columns = rng.permutation(len(images)), rng.permutation(len(classes))
    place = np.argsort(columns)
    moved = classify(images[photos], classes[columns], place[truth[photos]])
    np.testing.assert_array_equal(columns[moved[0]], predicted[photos])
    np.testing.assert_array_equal(moved[1], ranks[photos])


@settings(max_examples=40, deadline=None)
@given(SEEDS, st.integers(1, 49))
def test_splitting_the_photos_changes_nothing_even_with_ties(seed, cut):
    for images, classes, truth in (
        with_ties(np.random.default_rng(seed), 50),
        without_ties(np.random.default_rng(seed)),
    ):
        whole = classify(images, classes, truth)
        parts = [classify(images[part], classes, truth[part], block=16) for part in (slice(0, cut), slice(cut, None))]
        for one, first, second in zip(whole, *parts, strict=True):
            np.testing.assert_array_equal(one, np.concatenate([first, second]))


@settings(max_examples=40, deadline=None)
@given(SEEDS, st.integers(-100, 100))
def test_powers_of_two_change_nothing_even_with_ties_and_at_any_size(seed, exponent):
    rng = np.random.default_rng(seed)
    for images, classes, truth in (with_ties(rng), without_ties(rng)):
        images, classes = images.astype(np.float32), classes.astype(np.float32)
        base = classify(images, classes, truth)
        factors = [
            np.ldexp(np.float32(1), rng.integers(min(0, exponent), max(1, exponent), n))
            for n in (len(images), len(classes))
        ]
        scaled = classify(images * factors[0][:, None], classes * factors[1][:, None], truth)
        np.testing.assert_array_equal(base, scaled)


@settings(max_examples=40, deadline=None)
@given(SEEDS)
def test_any_factor_changes_nothing_where_nothing_ties(seed):
    rng = np.random.default_rng(seed)
    images, classes, truth = without_ties(rng)
    factors = [rng.uniform(0.01, 100, size=(n, 1)) for n in (len(images), len(classes))]
    np.testing.assert_array_equal(
        classify(images, classes, truth), classify(images * factors[0], classes * factors[1], truth)
    )


@pytest.mark.parametrize("kind", [np.float16, np.float32, np.int8])
def test_other_number_types_are_taken(kind):
    images, classes, truth = with_ties(np.random.default_rng(3))
    np.testing.assert_array_equal(
        classify(images.astype(kind), classes.astype(kind), truth.astype(np.uint8)), classify(images, classes, truth)
    )


def test_unit_rows_have_length_one_and_keep_bits_under_powers_of_two():
    rows = np.random.default_rng(4).normal(size=(7, 5)).astype(np.float32)
    unit = unit_rows(rows)
    np.testing.assert_allclose(np.linalg.norm(unit, axis=1), 1, atol=1e-6)
    np.testing.assert_array_equal(unit, unit_rows(rows * 1024))
    assert not np.signbit(unit_rows([[-0.0, 1.0]])).any()


@pytest.mark.parametrize(
    ("images", "classes", "truth", "message"),
    [
        ([[1.0, 0.0]], [[1.0]], [0], "2 wide and class_features 1"),
        (np.zeros((0, 2)), [[1.0, 0.0]], [], "at least one row"),
        ([[1.0, np.nan]], [[1.0, 0.0]], [0], "row 0 of image_features holds NaN or infinity"),
        ([[1.0, 0.0]], [[np.inf, 0.0]], [0], "row 0 of class_features holds NaN or infinity"),
        ([[1.0, 0.0], [0.0, 0.0]], [[1.0, 0.0]], [0, 0], "row 1 of image_features is all zeros"),
        ([[1.0, 0.0]], [[1.0, 0.0]], [1], "true_rows holds 1; allowed: 0 to 0"),
        ([[1.0, 0.0]], [[1.0, 0.0]], [-1], "holds -1"),
        ([[1.0, 0.0]], [[1.0, 0.0]], [0, 0], "1 rows of image_features and 2 true_rows"),
        ([[1.0, 0.0]], [[1.0, 0.0]], [0.0], "whole numbers"),
        ([1.0, 0.0], [[1.0, 0.0]], [0], "must be a matrix"),
        ([["a"]], [[1.0]], [0], "real numbers"),
    ],
)
def test_bad_input_is_refused_with_what_is_wrong(images, classes, truth, message):
    with pytest.raises(ValueError, match=message):
        classify(images, classes, truth)


def test_an_unknown_rule_for_ties_is_refused():
    with pytest.raises(ValueError, match="first, pessimistic, optimistic"):
        classify([[1.0]], [[1.0]], [0], ties="random")
