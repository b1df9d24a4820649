"""Means over languages of a retrieval run, with intervals in which a photo is drawn once for all languages."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from babel_zsic.retrieval import Ranks
    from babel_zsic.uncertainty import Resampling

_ENGLISH = "EN"


@dataclass(frozen=True)
class LanguageDraws:
    """One language's figures under weightings of all photos of the run.

    Attributes:
      names: figures under the reference's names (`t2i_r@1`), `mean_recall` last.
      drawn: float64 [n_resamples, n_names].
      confidence_level: of the intervals, 0–1.
    """

    names: tuple[str, ...]
    drawn: np.ndarray
    confidence_level: float

    @classmethod
    def of(
        cls, ranks: Ranks, own: Sequence[int], rows: Sequence[int], n_photos: int, k: Sequence[int], how: Resampling
    ) -> LanguageDraws:
        """Draw a language's figures.

        Args:
          ranks: of the language, by any-match, as `babel_zsic.retrieval.rank_pairs` gives them.
          own: integer [n_texts], the place of each text's photo among the language's photos.
          rows: integer [n_own_photos], the place of each of the language's photos among those of the run.
          n_photos: of the run. Languages of one run and one `how` get the same weight for the same photo.
          k: the cut-offs of recall.
          how: level, number of resamples and seed.

        Source: Bayesian bootstrap (Rubin 1981), see `babel_zsic.uncertainty`.
        """
        from babel_zsic.uncertainty import PROPORTION, Prior, resample_means

        names, sums, counts, priors = [], [], [], []
        places = np.asarray(rows)
        captioned = {"t2i": (np.asarray(ranks.text), places[np.asarray(own)]), "i2t": (ranks.caption[:, 0], places)}
        for side, (rank, photos) in captioned.items():
            for figure, values in _figures(rank, k):
                names.append(f"{side}_{figure}")
                sums.append(np.bincount(photos, weights=values, minlength=n_photos))
                counts.append(np.bincount(photos, minlength=n_photos).astype(np.float64))
                priors.append(Prior(0.0, 0.0, 0.0) if figure == "mean_rank" else PROPORTION)
        drawn = resample_means(np.stack(sums, axis=1), np.stack(counts, axis=1), priors, how)
        recalls = [place for place, name in enumerate(names) if "_r@" in name]
        drawn = np.concatenate([drawn, drawn[:, recalls].mean(axis=1, keepdims=True)], axis=1)
        return cls((*names, "mean_recall"), drawn, how.confidence_level)


@dataclass
class Macro:
    """Means over languages, kept up as languages come; English is the yardstick and enters none, unless it is alone.

    The languages are those measured, not draws from all languages: an interval says what other photos would have
    given. A photo carries the same weight in every language that has captions of it, so languages measured on the same
    photos do not lend each other certainty, and languages on other photos do.
    """

    rows: list[Mapping[str, Any]] = field(default_factory=list)
    _total: np.ndarray | None = None
    _english: LanguageDraws | None = None
    _draws: LanguageDraws | None = None

    def add(self, row: Mapping[str, Any], draws: LanguageDraws) -> None:
        """Take a language in: its row (`code`, and figures under the reference's names), and its draws."""
        self.rows.append(row)
        if row["code"] == _ENGLISH:
            self._english = draws
            return
        self._draws = draws
        self._total = draws.drawn if self._total is None else self._total + draws.drawn

    def means(self) -> dict[str, Any]:
        """Give `n_languages`, the mean of each figure, and `NAME_interval` [low, high] beside it.

        The mean of median ranks has none.
        """
        rows = self._counted()
        names = [name for name, value in rows[0].items() if isinstance(value, float)] if rows else []
        found: dict[str, Any] = {"n_languages": len(rows)}
        intervals = self.intervals()
        for name in names:
            found[name] = float(np.mean([row[name] for row in rows]))
            if name in intervals:
                low, high = intervals[name]
                found[f"{name}_interval"] = [min(low, found[name]), max(high, found[name])]
        return found

    def intervals(self) -> dict[str, list[float]]:
        """Give the interval of the mean of each figure; empty without a language."""
        draws = self._draws or self._english
        if draws is None:
            return {}
        total = draws.drawn if self._total is None else self._total
        drawn = total / len(self._counted())
        tail = (1 - draws.confidence_level) / 2
        bounds = np.quantile(drawn, [tail, 1 - tail], axis=0).T.tolist()
        return dict(zip(draws.names, bounds, strict=True))

    def _counted(self) -> list[Mapping[str, Any]]:
        return [row for row in self.rows if row["code"] != _ENGLISH] or self.rows


def _figures(rank: np.ndarray, k: Sequence[int]) -> Iterator[tuple[str, np.ndarray]]:
    for cutoff in k:
        yield f"r@{cutoff}", rank < cutoff
    yield "mrr", 1.0 / (rank + 1)
    yield "mean_rank", rank + 1.0
