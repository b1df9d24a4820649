"""The curse of multilinguality: does the gap to English grow with the languages a model shares its weights among?"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from babel_eval.results import Results
from babel_imagenet_dataset.languages import GROUPS, group

ENGLISH = "EN"
QUANTITIES = ("parameters", "training_languages")


@dataclass(frozen=True)
class Facts:
    """What a model is made of; None where it is not known.

    Attributes:
      text_encoder: kind of text tower (`XLM-R base`).
      training_languages: number of languages of the texts that the model was fitted to images, or to a teacher, with.
      parameters: number of parameters of both towers.
    """

    text_encoder: str | None = None
    training_languages: int | None = None
    parameters: int | None = None


# By the model's name in result files. Numbers of languages as the makers give them; OpenCLIP's XLM-R models saw
# captions in over 100 languages (LAION-5B), here stand the 100 of the text tower's pre-training (Conneau et al. 2020).
KNOWN = {
    "xlm-roberta-base-ViT-B-32@laion5b_s13b_b90k": Facts("XLM-R base", 100),
    "xlm-roberta-large-ViT-H-14@frozen_laion5b_s13b_b90k": Facts("XLM-R large", 100),
    "ViT-B-16-SigLIP-i18n-256@webli": Facts("SigLIP", 109),
    "M-CLIP/M-BERT-Base-ViT-B": Facts("mBERT", 69),
    "M-CLIP/XLM-Roberta-Large-Vit-B-32": Facts("XLM-R large", 48),
    "M-CLIP/XLM-Roberta-Large-Vit-B-16Plus": Facts("XLM-R large", 48),
    "M-CLIP/XLM-Roberta-Large-Vit-L-14": Facts("XLM-R large", 48),
    "clip-ViT-B-32-multilingual-v1": Facts("DistilmBERT", 50),
    "BAAI/AltCLIP-m9": Facts("XLM-R large", 9),
    "nllb-clip-base@v1": Facts("NLLB encoder", 201),
    "nllb-clip-large@v1": Facts("NLLB encoder", 201),
    "conse-e5": Facts("multilingual E5 small"),
}


@dataclass(frozen=True)
class Slope:
    """A least-squares slope over models.

    Attributes:
      value: change of the gap, as a fraction, a tenfold increase of the quantity.
      interval: 95 % by Student's t on n - 2 degrees of freedom; None below 4 models, where it would say nothing.
      n_models: number of models with the quantity known.
    """

    value: float
    interval: tuple[float, float] | None
    n_models: int


@dataclass(frozen=True)
class Curse:
    """Gaps to English by resource group, and what they go with.

    Attributes:
      prompt: prompt set.
      basis: `same classes` where every row carries its own gap, else `all classes`: English on all its classes less
        the language on its own, which mixes the language's skill with the size of its class set.
      gaps: model → group → mean gap over the group's languages, a fraction.
      facts: model → what is known of it.
      by_encoder: text encoder → group → mean gap over its models.
      slopes: group → quantity out of `QUANTITIES` → slope, None below 3 models or where the quantity
        is the same for all.
    """

    prompt: str
    basis: str
    gaps: Mapping[str, Mapping[str, float]]
    facts: Mapping[str, Facts]
    by_encoder: Mapping[str, Mapping[str, float]]
    slopes: Mapping[str, Mapping[str, Slope | None]]

    def as_dict(self) -> dict[str, Any]:
        """Give every figure in JSON's types."""
        return asdict(self)


def read_facts(path: Path | str) -> dict[str, Facts]:
    """Read a CSV with the columns model, text_encoder, training_languages, parameters; a cell may be empty.

    Raises:
      ValueError: a column is missing, or a number is none; the message names the line.
    """
    with open(path, encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(file)
        needed = ["model", "text_encoder", "training_languages", "parameters"]
        if missing := [c for c in needed if c not in (reader.fieldnames or ())]:
            raise ValueError(f"{path}: lacks the columns {', '.join(missing)}; needed are {', '.join(needed)}")
        try:
            return {
                row["model"]: Facts(row["text_encoder"] or None, *(int(row[c]) if row[c] else None for c in needed[2:]))
                for row in reader
            }
        except ValueError as error:
            raise ValueError(f"{path}: line {reader.line_num}: {error}; a whole number is needed") from error


def curse_of_multilinguality(
    runs: Sequence[Results], prompt: str, facts: Mapping[str, Facts] | None = None
) -> Curse | None:
    """Set each model's gap to English, by resource group, against its text encoder, its size and its languages.

    Args:
      runs: zero-shot results; one a model.
      prompt: prompt set as in result files (`label`).
      facts: what is known of models, over what `meta` and this module's table know.

    Returns:
      the gaps and slopes; None where no model has both English and another language under this prompt set.
    """
    tables = {str(run.meta["model"]): [r for r in run.rows if r["prompt"] == prompt] for run in runs}
    tables = {m: rows for m, rows in tables.items() if len(rows) > 1 and any(r["lang"] == ENGLISH for r in rows)}
    if not tables:
        return None
    own = all("gap" in r for rows in tables.values() for r in rows if r["lang"] != ENGLISH)
    gaps = {model: _gaps(rows, own) for model, rows in tables.items()}
    metas = {str(run.meta["model"]): run.meta for run in runs}
    known = {model: _facts(model, metas[model], facts or {}) for model in gaps}
    groups = [g for g in (*GROUPS, "all") if any(g in by_group for by_group in gaps.values())]
    return Curse(
        prompt,
        "same classes" if own else "all classes",
        gaps,
        known,
        _by_encoder(gaps, known),
        {g: {q: _slope_of(g, q, gaps, known) for q in QUANTITIES} for g in groups},
    )


def slope(x: Iterable[float], y: Iterable[float]) -> Slope | None:
    """Fit y on log10(x) by least squares; None below 3 points or where x is constant.

    Source: the interval is Student's, as for any simple linear regression.
    """
    from scipy.stats import linregress, t

    a, b = np.log10(np.array(list(x), dtype=float)), np.array(list(y), dtype=float)
    if len(a) < 3 or np.ptp(a) == 0:
        return None
    fit = linregress(a, b)
    half = float(t.ppf(0.975, len(a) - 2) * fit.stderr)
    value = float(fit.slope)
    return Slope(value, (value - half, value + half) if len(a) > 3 else None, len(a))


def _gaps(rows: Sequence[Mapping[str, Any]], own: bool) -> dict[str, float]:
    """Give the mean gap of each resource group, and of all languages but English."""
    english = next(r["accuracy"] for r in rows if r["lang"] == ENGLISH)
    found: dict[str, list[float]] = {}
    for row in rows:
        if row["lang"] != ENGLISH:
            gap = row["gap"] if own else english - row["accuracy"]
            for name in (group(row["num_classes"]), "all"):
                found.setdefault(name, []).append(gap)
    return {name: float(np.mean(found[name])) for name in (*GROUPS, "all") if name in found}


def _facts(model: str, meta: Mapping[str, Any], given: Mapping[str, Facts]) -> Facts:
    """Bring together what is known: the user's table, then the result file, then this module's table."""
    base = KNOWN.get(model, KNOWN.get(model.partition("+")[0], Facts()))  # an adapter has its base model's tower
    names = ("text_encoder", "training_languages", "parameters")
    for source in ({n: meta[n] for n in names if meta.get(n)}, asdict(given[model]) if model in given else {}):
        base = replace(base, **{name: value for name, value in source.items() if value is not None})
    return base


def _by_encoder(gaps: Mapping[str, Mapping[str, float]], facts: Mapping[str, Facts]) -> dict[str, dict[str, float]]:
    kinds: dict[str, list[str]] = {}
    for model in gaps:
        kinds.setdefault(facts[model].text_encoder or "unknown", []).append(model)
    return {
        kind: {g: float(np.mean([gaps[m][g] for m in models if g in gaps[m]])) for g in gaps[models[0]]}
        for kind, models in sorted(kinds.items())
    }


def _slope_of(
    name: str, quantity: str, gaps: Mapping[str, Mapping[str, float]], facts: Mapping[str, Facts]
) -> Slope | None:
    pairs = [(getattr(facts[m], quantity), by_group.get(name)) for m, by_group in gaps.items()]
    known = [(float(x), y) for x, y in pairs if x is not None and y is not None]
    return slope([x for x, _ in known], [y for _, y in known])
