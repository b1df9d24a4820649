"""A validation by people: a random sample of labels to judge, and the error rate that filled sheets give."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from babel_imagenet_dataset.languages import GROUPS, group
from babel_imagenet_dataset.release import LanguageLabels
from babel_imagenet_dataset.sheets import RIGHT, UNSURE, WRONG, KnownWords, SheetRow, sheet_row

_Z95 = 1.959963984540054


@dataclass(frozen=True)
class ErrorRate:
    """What the filled sheets say of a language.

    Attributes:
      language: BabelNet's code; `all` for all judged labels together.
      n_judged: labels judged right or wrong.
      n_wrong: labels judged wrong.
      n_unsure: labels of which no judge was sure, or of which two are sure and disagree; they count neither way.
      n_open: labels without a verdict.
      rate: n_wrong / n_judged, a fraction 0-1; None where nothing was judged.
      interval: 95 % Wilson interval; None where nothing was judged.
    """

    language: str
    n_judged: int
    n_wrong: int
    n_unsure: int
    n_open: int
    rate: float | None
    interval: tuple[float, float] | None


def draw_sample(
    languages: Mapping[str, LanguageLabels],
    n_labels: int,
    seed: int,
    per_group: int | None = None,
    known: KnownWords | None = None,
) -> dict[str, list[SheetRow]]:
    """Draw labels at random for people to judge.

    Args:
      languages: labels by code; English is passed over.
      n_labels: labels of each language; one with fewer classes gives all it has.
      seed: the same seed draws the same labels, whichever other languages are drawn.
      per_group: draw so many languages of each resource group, at random; None takes every language given.
      known: the source's other words and definitions, where there are some.

    Returns:
      by language the rows to judge, in random order.

    Raises:
      ValueError: a number is below 1, or there is no language.
    """
    if n_labels < 1 or (per_group is not None and per_group < 1):
        raise ValueError(f"a sample needs at least 1 label and 1 language a group, got {n_labels} and {per_group}")
    chosen = [code for code in sorted(languages) if code != "EN"]
    if per_group is not None:
        chosen = _draw_languages({code: len(languages[code]) for code in chosen}, per_group, seed)
    if not chosen:
        raise ValueError("there is no language to draw from; English is not judged")
    return {code: _draw(languages[code], n_labels, seed, known) for code in chosen}


def error_rates(rows: Sequence[SheetRow]) -> list[ErrorRate]:
    """Give the error rate of each language in filled sheets, by code, and at the end of all together.

    The last is over all judged labels alike: it speaks of the languages that were judged, in their proportions. A label
    that stands in several sheets is one label, of which holds what those who are sure agree on.
    """
    given: dict[tuple[str, int], set[str]] = {}
    for row in rows:
        given.setdefault((row.language, row.class_index), set()).add(row.verdict)
    verdicts: dict[str, list[str]] = {code: [] for code in sorted({row.language for row in rows})}
    for (code, _), of_label in given.items():
        verdicts[code].append(_agreed(of_label))
    together = [verdict for of_language in verdicts.values() for verdict in of_language]
    return [_rate(code, of_language) for code, of_language in verdicts.items()] + [_rate("all", together)]


def still_there(
    rows: Sequence[SheetRow], languages: Mapping[str, LanguageLabels]
) -> tuple[list[SheetRow], list[SheetRow]]:
    """Part judged rows into those whose label is still the label of its class, and those that judge another one.

    Args:
      rows: of filled sheets.
      languages: labels by code; a row of a language that is not here is of the second kind.
    """
    label_of = {
        (code, index): label
        for code, labels in languages.items()
        for index, label in zip(labels.class_index.tolist(), labels.labels, strict=True)
    }
    kept = [row for row in rows if label_of.get((row.language, row.class_index)) == row.old]
    return kept, [row for row in rows if label_of.get((row.language, row.class_index)) != row.old]


def wilson(n_wrong: int, n: int, z: float = _Z95) -> tuple[float, float]:
    """Give Wilson's interval of a share.

    Args:
      n_wrong: counted, 0..n.
      n: out of so many, at least 1.
      z: standard deviations; 1.96 gives 95 %.

    Returns:
      lower and upper end, fractions 0-1.

    Raises:
      ValueError: n is below 1, or n_wrong outside 0..n.

    Source: Wilson 1927, J. Am. Stat. Assoc. 22, 209-212.
    """
    if n < 1 or not 0 <= n_wrong <= n:
        raise ValueError(f"a share is k of n with 0 <= k <= n and n >= 1, got {n_wrong} of {n}")
    share = n_wrong / n
    centre = share + z * z / (2 * n)
    half = z * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    scale = 1 + z * z / n
    low = 0.0 if n_wrong == 0 else (centre - half) / scale
    high = 1.0 if n_wrong == n else (centre + half) / scale
    return low, high


def _agreed(verdicts: set[str]) -> str:
    sure = verdicts & {RIGHT, WRONG}
    if len(sure) == 1:
        return sure.pop()
    return UNSURE if sure or UNSURE in verdicts else ""


def _rate(language: str, verdicts: Sequence[str]) -> ErrorRate:
    counts = Counter(verdicts)
    n_wrong, n_judged = counts[WRONG], counts[WRONG] + counts[RIGHT]
    interval = wilson(n_wrong, n_judged) if n_judged else None
    rate = n_wrong / n_judged if n_judged else None
    return ErrorRate(language, n_judged, n_wrong, counts[UNSURE], counts[""], rate, interval)


def _draw_languages(n_classes: Mapping[str, int], per_group: int, seed: int) -> list[str]:
    drawn: list[str] = []
    for name in GROUPS:
        members = [code for code, n in n_classes.items() if group(n) == name]
        rng = np.random.default_rng([seed, *name.encode()])
        drawn += sorted(rng.permutation(members)[:per_group].tolist())
    return drawn


def _draw(labels: LanguageLabels, n_labels: int, seed: int, known: KnownWords | None) -> list[SheetRow]:
    rng = np.random.default_rng([seed, *labels.code.encode()])
    rows = rng.permutation(len(labels))[:n_labels].tolist()
    indices = labels.class_index.tolist()
    return [sheet_row(labels.code, indices[r], labels.labels[r], known) for r in rows]
