"""Intervals: known special cases, sanity with few photos, and how often they cover."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from zsic_oracles import simulated_classes

from babel_zsic.uncertainty import class_interval, paired_interval, wilson_interval


@pytest.mark.parametrize(("right", "n"), [(0, 1), (1, 1), (0, 10), (3, 10), (10, 10), (499, 1000)])
@pytest.mark.parametrize("level", [0.8, 0.95, 0.99])
def test_one_photo_a_class_gives_wilsons_interval(right, n, level):
    expected = stats.binomtest(right, n).proportion_ci(level, method="wilson")
    values = np.arange(n) < right
    np.testing.assert_allclose(class_interval(values, np.arange(n), confidence_level=level), expected, atol=1e-12)
    np.testing.assert_allclose(wilson_interval(right / n, n, level), expected, atol=1e-12)


@pytest.mark.parametrize(("right", "n"), [(0, 10), (3, 10), (10, 10), (20, 63)])
def test_classes_that_are_all_right_or_all_wrong_give_jeffreys_interval(right, n):
    values, classes = np.repeat(np.arange(n) < right, 4), np.repeat(np.arange(n), 4)
    low, high = class_interval(values, classes, n_resamples=200_000)
    tails = stats.beta(right + 0.5, n - right + 0.5).ppf([0.025, 0.975])
    assert low == pytest.approx(tails[0] if right else 0.0, abs=3e-3)
    assert high == pytest.approx(tails[1] if right < n else 1.0, abs=3e-3)


def test_the_interval_of_a_mean_over_many_classes_is_that_of_cluster_robust_theory():
    rng = np.random.default_rng(0)
    values, classes = simulated_classes(rng, 1000, 10, 0.4, 0.3)
    rates = values.reshape(1000, 10).mean(axis=1)
    half = 1.96 * rates.std(ddof=1) / np.sqrt(1000)
    low, high = class_interval(values, classes)
    assert (low, high) == pytest.approx((rates.mean() - half, rates.mean() + half), abs=3e-3)


@pytest.mark.parametrize("values", [[1], [0], [1, 1], [0, 0], [1, 0], [0.3, 0.3], [1, 1, 1, 1]])
@pytest.mark.parametrize("spread", [True, False])
def test_few_photos_never_give_a_point(values, spread):
    classes = np.arange(len(values)) if spread else np.zeros(len(values), int)
    low, high = class_interval(values, classes)
    assert 0 <= low <= np.mean(values) <= high <= 1
    assert high - low > 0.3


@pytest.mark.parametrize(("a", "b"), [(1, 1), (0, 0), (1, 0), (0, 1)])
@pytest.mark.parametrize("n_classes", [1, 2, 10, 100])
def test_a_gap_is_never_a_point_even_where_two_models_agree_on_every_photo(a, b, n_classes):
    classes = np.repeat(np.arange(n_classes), 3)
    low, high = paired_interval(np.full(len(classes), a), np.full(len(classes), b), classes)
    assert -1 <= low <= a - b <= high <= 1
    assert high - low > 1.5 / (n_classes + 2)


def test_a_paired_interval_turns_round_with_its_models():
    rng = np.random.default_rng(1)
    a, b, classes = rng.integers(0, 2, 200), rng.integers(0, 2, 200), rng.integers(0, 40, 200)
    low, high = paired_interval(a, b, classes, n_resamples=50_000)
    np.testing.assert_allclose(paired_interval(b, a, classes, n_resamples=50_000), [-high, -low], atol=5e-3)


def test_pairing_narrows_the_interval_where_models_fail_on_the_same_classes():
    rng = np.random.default_rng(2)
    a, classes = simulated_classes(rng, 60, 20, 0.5, 0.8)
    b = np.where(rng.random(len(a)) < 0.05, 0.0, a)
    width = np.ptp(paired_interval(a, b, classes))
    assert width < 0.5 * np.ptp(class_interval(a, classes))


def test_the_seed_alone_decides_and_the_names_of_classes_do_not():
    rng = np.random.default_rng(3)
    values, classes = simulated_classes(rng, 12, 5, 0.3, 0.3)
    base = class_interval(values, classes)
    assert base == class_interval(values, classes * 7 + 100)
    assert base != class_interval(values, classes, seed=1)
    np.testing.assert_allclose(base, class_interval(values, classes, seed=1), atol=0.03)


def test_a_higher_level_is_wider():
    values, classes = simulated_classes(np.random.default_rng(4), 30, 5, 0.3, 0.3)
    widths = [np.ptp(class_interval(values, classes, confidence_level=level)) for level in (0.5, 0.8, 0.95, 0.99)]
    assert widths == sorted(widths)
    assert len(set(widths)) == 4


@pytest.mark.parametrize(
    ("values", "classes", "message"),
    [
        ([], [], "at least one"),
        ([1, 0], [1], "2 values"),
        ([1.5], [0], "outside 0 to 1"),
        ([np.nan], [0], "NaN"),
    ],
)
def test_bad_input_is_refused(values, classes, message):
    with pytest.raises(ValueError, match=message):
        class_interval(values, classes)


def test_a_pair_of_different_lengths_is_refused():
    with pytest.raises(ValueError, match="same photos"):
        paired_interval([1, 0], [1], [0, 0])


def coverage(
    n_classes: int, accuracy: float, correlation: float, *, n_images: int, repeats: int, n_resamples: int, seed: int = 0
) -> float:
    rng = np.random.default_rng([seed, n_classes])
    covered = 0
    for repeat in range(repeats):
        values, classes = simulated_classes(rng, n_classes, n_images, accuracy, correlation)
        low, high = class_interval(values, classes, n_resamples=n_resamples, seed=repeat)
        covered += low <= accuracy <= high
    return covered / repeats


def gap_coverage(n_classes: int, high: float, low: float, *, n_images: int, repeats: int, n_resamples: int) -> float:
    rng = np.random.default_rng([7, n_classes])
    classes = np.repeat(np.arange(n_classes), n_images)
    covered = 0
    for repeat in range(repeats):
        ease = rng.random(n_classes)[:, None]
        rates = [2 * p * ease if p < 0.5 else 1 - 2 * (1 - p) * (1 - ease) for p in (high, low)]
        a, b = ((rng.random((n_classes, n_images)) < rate).ravel() for rate in rates)
        interval = paired_interval(a, b, classes, n_resamples=n_resamples, seed=repeat)
        covered += interval[0] <= high - low <= interval[1]
    return covered / repeats


@pytest.mark.parametrize("accuracy", [0.05, 0.3])
def test_intervals_cover_at_ten_classes(accuracy):
    # 500 repeats: a coverage of .95 falls below .92 once in a thousand.
    assert coverage(10, accuracy, 0.3, n_images=50, repeats=500, n_resamples=1000) >= 0.92


@pytest.mark.slow
@pytest.mark.parametrize("n_classes", [10, 30, 63, 400])
@pytest.mark.parametrize("accuracy", [0.05, 0.3])
@pytest.mark.parametrize("correlation", [0.1, 0.3, 0.5])
def test_intervals_cover_at_least_93_percent_with_correlated_photos(n_classes, accuracy, correlation):
    assert coverage(n_classes, accuracy, correlation, n_images=50, repeats=2000, n_resamples=2000) >= 0.93


@pytest.mark.slow
@pytest.mark.parametrize("n_classes", [10, 30, 63, 400])
@pytest.mark.parametrize(("high", "low"), [(0.6, 0.3), (0.6, 0.05), (0.7, 0.68), (0.1, 0.1), (0.95, 0.95)])
@pytest.mark.parametrize("n_images", [1, 20])
def test_gaps_cover_at_least_93_percent(n_classes, high, low, n_images):
    assert gap_coverage(n_classes, high, low, n_images=n_images, repeats=2000, n_resamples=1000) >= 0.93
