"""Does the benchmark foretell other tasks? Correlations of two scores over models and languages, with their doubt.

A point is one model in one language. Points of one model, and points of one language, hang together, so every figure
comes with two intervals (resampling models, resampling languages) and with what is left of it inside one model or
inside one language.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

Interval = tuple[float, float]
_CHUNK = 500  # resamples at a time: memory stays at _CHUNK x n_points


@dataclass(frozen=True)
class Points:
    """Two scores of the same models in the same languages.

    Attributes:
      models: the model of each point.
      languages: BabelNet's code of each point.
      x: the benchmark's score of each point, float64 [n_points], any unit.
      y: the other task's score of each point, float64 [n_points], any unit.
    """

    models: Sequence[str]
    languages: Sequence[str]
    x: np.ndarray
    y: np.ndarray

    def __post_init__(self) -> None:
        sizes = {len(self.models), len(self.languages), len(self.x), len(self.y)}
        if len(sizes) != 1:
            raise ValueError(f"models, languages, x and y must be of one length, got {sorted(sizes)}")
        pairs = list(zip(self.models, self.languages, strict=True))
        if len(set(pairs)) != len(pairs):
            twice = next(pair for pair in pairs if pairs.count(pair) > 1)
            raise ValueError(f"model and language must name a point, but {twice} comes twice")
        for name, values in (("x", self.x), ("y", self.y)):
            if not np.isfinite(values).all():
                place = int(np.flatnonzero(~np.isfinite(values))[0])
                raise ValueError(f"{name} of {pairs[place]} is {values[place]}; scores must be finite")

    def where(self, keep: np.ndarray) -> Points:
        """Give the points that a mask, bool [n_points], keeps."""
        at = np.flatnonzero(keep).tolist()
        return Points([self.models[i] for i in at], [self.languages[i] for i in at], self.x[at], self.y[at])


@dataclass(frozen=True)
class Estimate:
    """A figure and its two intervals; each is None where it is not defined (a constant score, a single model)."""

    value: float | None
    over_models: Interval | None = None
    over_languages: Interval | None = None


@dataclass(frozen=True)
class Correlation:
    """What two scores have to do with one another.

    Attributes:
      n: number of points, with `n_models` and `n_languages`.
      pearson, spearman: over all points.
      within_model: partial Pearson correlation given the model: both scores less their model's mean.
      within_language: the same given the language.
      per_model: Pearson over the languages of each model, None below 3 points.
      leave_one_out: lowest and highest Pearson when one model is left out, each with that model; None below 3 models.
      slope, intercept: least-squares line of y on x.
    """

    n: int
    n_models: int
    n_languages: int
    pearson: Estimate
    spearman: Estimate
    within_model: Estimate
    within_language: Estimate
    per_model: dict[str, float | None] = field(default_factory=dict)
    leave_one_out: tuple[tuple[str, float], tuple[str, float]] | None = None
    slope: float | None = None
    intercept: float | None = None

    def as_dict(self) -> dict[str, Any]:
        """Give every figure at full precision, in JSON's types."""
        return asdict(self)


def correlate(
    points: Points, *, n_resamples: int = 10_000, confidence_level: float = 0.95, seed: int = 0
) -> Correlation:
    """Correlate two scores over models and languages.

    Args:
      points: at least 3 of them.
      n_resamples: bootstrap resamples for each kind of interval; 0 leaves the intervals out.
      confidence_level: share between 0 and 1, both exclusive.
      seed: of the resampling; the same seed gives the same intervals.

    Returns:
      Pearson, Spearman and the two partial correlations in [-1, 1] with percentile intervals, and the fitted line.
      Ties get their mean rank. A constant score gives None, not 0. Resamples in which a score is constant are left
      out of an interval; where fewer than half remain the interval is None.

    Raises:
      ValueError: fewer than 3 points, or an option out of its range.

    Source: Geigle et al. 2023, arXiv:2306.08658, Figure 3 (Pearson); cluster bootstrap: Davison and Hinkley 1997, 3.8.
    """
    if len(points.x) < 3:
        raise ValueError(f"a correlation needs at least 3 points (model x language), got {len(points.x)}")
    if not 0 < confidence_level < 1 or n_resamples < 0:
        raise ValueError(
            f"confidence_level must lie between 0 and 1 and n_resamples be at least 0, "
            f"got {confidence_level} and {n_resamples}"
        )
    models, model_of = np.unique(np.array(points.models), return_inverse=True)
    languages, language_of = np.unique(np.array(points.languages), return_inverse=True)
    table = _Table(points.x.astype(float), points.y.astype(float), model_of, language_of)
    once = table.figures(np.ones((1, len(points.x))))
    draws = [
        _resample(table, groups, n_resamples, np.random.default_rng([seed, i]))
        for i, groups in enumerate((model_of, language_of))
    ]
    estimates = {
        name: Estimate(_or_none(once[name][0]), *(_percentiles(d.get(name), confidence_level) for d in draws))
        for name in FIGURES
    }
    slope, intercept = _line(table.x, table.y)
    return Correlation(
        n=len(points.x),
        n_models=len(models),
        n_languages=len(languages),
        **estimates,
        per_model={str(m): _pearson_of(table, model_of == i) for i, m in enumerate(models)},
        leave_one_out=_leave_one_out(table, [str(m) for m in models], model_of),
        slope=slope,
        intercept=intercept,
    )


FIGURES = ("pearson", "spearman", "within_model", "within_language")


@dataclass(frozen=True)
class _Table:
    """Scores with their groups as numbers; figures are computed for many weightings of the points at once."""

    x: np.ndarray
    y: np.ndarray
    model_of: np.ndarray
    language_of: np.ndarray

    def figures(self, weights: np.ndarray) -> dict[str, np.ndarray]:
        """Give each figure, float64 [n_weightings], for integer weights [n_weightings, n_points]."""
        ranks = weighted_ranks(self.x, weights), weighted_ranks(self.y, weights)
        return {
            "pearson": weighted_pearson(self.x, self.y, weights),
            "spearman": weighted_pearson(*ranks, weights),
            "within_model": within_groups(self.x, self.y, self.model_of, weights),
            "within_language": within_groups(self.x, self.y, self.language_of, weights),
        }


def weighted_pearson(x: np.ndarray, y: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Give Pearson's correlation for many weightings of the points at once.

    Args:
      x: float64 [n_points] or [n_weightings, n_points].
      y: the same.
      weights: [n_weightings, n_points], at least 0; an integer weight counts a point that many times.

    Returns:
      float64 [n_weightings] in [-1, 1]; NaN where a score is constant over the points of positive weight.
    """
    total = weights.sum(axis=1, keepdims=True)
    left, right = (values - (weights * values).sum(axis=1, keepdims=True) / total for values in (x, y))
    return _cosine(left, right, weights, _noise(x), _noise(y))


def within_groups(x: np.ndarray, y: np.ndarray, group_of: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Give the partial correlation given the group: Pearson of what is left when each group's mean is taken off.

    Args:
      x: float64 [n_points].
      y: float64 [n_points].
      group_of: int64 [n_points], group of each point, 0..n_groups-1.
      weights: [n_weightings, n_points], at least 0.

    Returns:
      float64 [n_weightings] in [-1, 1]; NaN where nothing is left (each group holds a single point).
    """
    member = np.eye(int(group_of.max()) + 1)[group_of]
    total = np.maximum(weights @ member, 1e-300)
    left, right = (values - ((weights * values) @ member / total)[:, group_of] for values in (x, y))
    return _cosine(left, right, weights, _noise(x), _noise(y))


def weighted_ranks(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Give each point's rank among the weighted points, ties at their mean: the ranks of the resample written out.

    Args:
      values: float64 [n_points].
      weights: integers [n_weightings, n_points].

    Returns:
      float64 [n_weightings, n_points], from 1; of points of weight 0, what they would get.
    """
    distinct, level = np.unique(values, return_inverse=True)
    at_level = np.zeros((len(weights), len(distinct)))
    order = np.argsort(level, kind="stable")
    starts = np.searchsorted(level[order], np.arange(len(distinct)))
    at_level[:] = np.add.reduceat(weights[:, order], starts, axis=1)
    below = np.cumsum(at_level, axis=1) - at_level
    return (below + (at_level + 1) / 2)[:, level]


def _cosine(x: np.ndarray, y: np.ndarray, weights: np.ndarray, noise_x: float, noise_y: float) -> np.ndarray:
    xx, yy, xy = ((weights * a * b).sum(axis=1) for a, b in ((x, x), (y, y), (x, y)))
    total = weights.sum(axis=1)
    flat = (xx <= total * noise_x) | (yy <= total * noise_y)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(flat, np.nan, np.clip(xy / np.sqrt(xx * yy), -1, 1))


def _noise(values: np.ndarray) -> float:
    """Give the variance that rounding alone leaves in a constant score of this size."""
    return float(np.square(np.abs(values).max() * np.finfo(float).eps * 8))


def _resample(table: _Table, groups: np.ndarray, n: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Give every figure for resamples of whole groups; nothing where a single group leaves nothing to resample."""
    n_groups = int(groups.max()) + 1
    if n_groups < 2 or n == 0:
        return {}
    found: dict[str, list[np.ndarray]] = {name: [] for name in FIGURES}
    for size in _chunks(n):
        counts = rng.multinomial(n_groups, np.full(n_groups, 1 / n_groups), size=size)
        for name, values in table.figures(counts[:, groups].astype(float)).items():
            found[name].append(values)
    return {name: np.concatenate(values) for name, values in found.items()}


def _chunks(n: int) -> Iterator[int]:
    for start in range(0, n, _CHUNK):
        yield min(_CHUNK, n - start)


def _percentiles(values: np.ndarray | None, level: float) -> Interval | None:
    if values is None:
        return None
    defined = values[np.isfinite(values)]
    if len(defined) * 2 < len(values):
        return None
    low, high = np.quantile(defined, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def _pearson_of(table: _Table, keep: np.ndarray) -> float | None:
    if keep.sum() < 3:
        return None
    return _or_none(weighted_pearson(table.x[keep], table.y[keep], np.ones((1, int(keep.sum()))))[0])


def _leave_one_out(
    table: _Table, models: Sequence[str], model_of: np.ndarray
) -> tuple[tuple[str, float], tuple[str, float]] | None:
    if len(models) < 3:
        return None
    left = [(name, _pearson_of(table, model_of != i)) for i, name in enumerate(models)]
    known = [(name, r) for name, r in left if r is not None]
    if not known:
        return None
    return min(known, key=lambda pair: pair[1]), max(known, key=lambda pair: pair[1])


def _line(x: np.ndarray, y: np.ndarray) -> tuple[float | None, float | None]:
    centred = x - x.mean()
    spread = float(centred @ centred)
    if spread <= len(x) * _noise(x):
        return None, None
    slope = float(centred @ (y - y.mean())) / spread
    return slope, float(y.mean() - slope * x.mean())


def _or_none(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
