"""Correlations against scipy and plain numpy, on tables where every resample can be written out."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from babel_eval.correlation.figures import (
    Points,
    correlate,
    weighted_pearson,
    weighted_ranks,
    within_groups,
)


def table(n_models: int, n_languages: int, seed: int = 0, share: float = 1.0) -> Points:
    """Scores with an effect of the model and of the language; some pairs are missing where `share` is below 1."""
    rng = np.random.default_rng(seed)
    pairs = [(f"m{i}", f"L{j}") for i in range(n_models) for j in range(n_languages) if rng.random() <= share]
    skill, ease = rng.normal(size=n_models), rng.normal(size=n_languages)
    base = np.array([skill[int(m[1:])] + ease[int(code[1:])] for m, code in pairs])
    x, y = (base + rng.normal(scale=0.7, size=len(base)) for _ in range(2))
    return Points([m for m, _ in pairs], [code for _, code in pairs], x, y)


def naive_partial(points: Points, groups: list[str]) -> float:
    """Pearson of the residuals of a regression on one indicator a group."""
    design = np.array([[float(g == name) for name in sorted(set(groups))] for g in groups])
    residuals = [v - design @ np.linalg.lstsq(design, v, rcond=None)[0] for v in (points.x, points.y)]
    return float(stats.pearsonr(*residuals).statistic)


@pytest.mark.parametrize("share", [1.0, 0.7])
def test_every_figure_equals_scipy(share):
    points = table(7, 9, seed=3, share=share)
    found = correlate(points, n_resamples=0)
    assert found.pearson.value == pytest.approx(stats.pearsonr(points.x, points.y).statistic, abs=1e-12)
    assert found.spearman.value == pytest.approx(stats.spearmanr(points.x, points.y).statistic, abs=1e-12)
    assert found.within_model.value == pytest.approx(naive_partial(points, list(points.models)), abs=1e-12)
    assert found.within_language.value == pytest.approx(naive_partial(points, list(points.languages)), abs=1e-12)
    line = stats.linregress(points.x, points.y)
    assert (found.slope, found.intercept) == pytest.approx((line.slope, line.intercept), abs=1e-12)
    assert (found.n, found.n_models, found.n_languages) == (len(points.x), 7, 9)


def test_leave_one_out_names_the_models_whose_absence_moves_r_most():
    points = table(5, 8, seed=1)
    left = {
        m: stats.pearsonr(points.x[keep], points.y[keep]).statistic
        for m in sorted(set(points.models))
        if len(keep := np.flatnonzero(np.array(points.models) != m))
    }
    (low_model, low), (high_model, high) = correlate(points, n_resamples=0).leave_one_out
    assert (low_model, high_model) == (min(left, key=left.get), max(left, key=left.get))
    assert (low, high) == pytest.approx((min(left.values()), max(left.values())), abs=1e-12)


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.tuples(st.integers(-3, 3), st.integers(-3, 3), st.integers(0, 3)), min_size=4, max_size=12),
)
def test_weighted_figures_equal_those_of_the_resample_written_out(rows):
    x, y, w = np.array(rows, dtype=float).T
    group = np.arange(len(x)) % 2
    written = np.repeat(np.arange(len(x)), w.astype(int))
    if len(set(x[written])) < 2 or len(set(y[written])) < 2:
        assert w.sum() == 0 or np.isnan(weighted_pearson(x, y, w[None]))
        return
    assert weighted_pearson(x, y, w[None])[0] == pytest.approx(stats.pearsonr(x[written], y[written]).statistic)
    expected = stats.rankdata(x[written])
    assert weighted_ranks(x, w[None])[0][written] == pytest.approx(expected)
    residuals = [
        v[written] - np.array([v[written][group[written] == g].mean() for g in group[written]]) for v in (x, y)
    ]
    if min(np.abs(r).max() for r in residuals) > 1e-9:
        found = within_groups(x, y, group, w[None])[0]
        assert found == pytest.approx(stats.pearsonr(*residuals).statistic, abs=1e-9)


def test_intervals_equal_a_bootstrap_written_as_a_loop():
    points = table(6, 10, seed=5)
    found = correlate(points, n_resamples=4000, seed=1).pearson
    rng = np.random.default_rng(99)
    for groups, bounds in ((points.models, found.over_models), (points.languages, found.over_languages)):
        names = sorted(set(groups))
        members = {name: np.flatnonzero(np.array(groups) == name) for name in names}
        draws = [np.concatenate([members[n] for n in rng.choice(names, len(names))]) for _ in range(4000)]
        values = [np.corrcoef(points.x[d], points.y[d])[0, 1] for d in draws]
        assert bounds == pytest.approx(np.quantile(values, [0.025, 0.975]), abs=0.02)


def test_equal_seeds_give_equal_intervals_and_other_seeds_do_not():
    points = table(6, 10)
    assert correlate(points, n_resamples=300, seed=1) == correlate(points, n_resamples=300, seed=1)
    assert correlate(points, n_resamples=300, seed=1).pearson != correlate(points, n_resamples=300, seed=2).pearson


def test_order_of_the_points_changes_nothing_but_rounding():
    points = table(6, 10)
    order = np.random.default_rng(0).permutation(60)
    shuffled = Points(
        [points.models[i] for i in order], [points.languages[i] for i in order], points.x[order], points.y[order]
    )
    one, other = (correlate(p, n_resamples=200).pearson for p in (points, shuffled))
    assert one.over_models == pytest.approx(other.over_models, abs=1e-12)
    assert one.value == pytest.approx(other.value, abs=1e-12)


def test_a_constant_score_has_no_correlation_rather_than_zero():
    points = table(3, 4)
    flat = Points(points.models, points.languages, np.full(12, 0.1 + 0.2), points.y)
    found = correlate(flat, n_resamples=50)
    assert found.pearson.value is None
    assert found.within_model.value is None
    assert found.pearson.over_models is None
    assert found.slope is None


def test_scores_that_only_differ_between_models_have_nothing_left_within_a_model():
    points = table(3, 4)
    by_model = np.array([{"m0": 0.1, "m1": 0.7, "m2": 1 / 3}[m] for m in points.models])
    found = correlate(Points(points.models, points.languages, by_model, points.y), n_resamples=0)
    assert found.within_model.value is None
    assert found.pearson.value is not None


def test_a_single_model_has_no_interval_over_models():
    points = table(1, 8)
    found = correlate(points, n_resamples=200)
    assert found.pearson.over_models is None
    assert found.leave_one_out is None
    assert found.pearson.over_languages is not None


def test_points_that_are_not_a_table_are_refused():
    with pytest.raises(ValueError, match=r"\('a', 'DE'\) comes twice"):
        Points(["a", "a"], ["DE", "DE"], np.zeros(2), np.zeros(2))
    with pytest.raises(ValueError, match=r"y of \('a', 'FR'\) is nan"):
        Points(["a", "a"], ["DE", "FR"], np.zeros(2), np.array([0, np.nan]))
    with pytest.raises(ValueError, match="at least 3 points"):
        correlate(Points(["a", "a"], ["DE", "FR"], np.zeros(2), np.zeros(2)))
    with pytest.raises(ValueError, match="confidence_level"):
        correlate(table(2, 2), confidence_level=95)
