"""Babel-ImageNet's measure for `evaluate`: zero-shot image classification and retrieval, language by language."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import datasets
import evaluate
import numpy as np

from .arguments import check_arguments
from .checks import N_CLASSES, check_codes, check_rows
from .class_sets import ClassSets
from .classification import macro, score_language
from .comparison import UNNAMED, compare
from .nearest import classify
from .options import Options
from .retrieval import rank_pairs
from .scoring import decide, score_decisions, score_features
from .texts import score_texts
from .uncertainty import class_interval, paired_interval

# `evaluate` copies the siblings that this file imports and no others, so each sibling stands above.
__all__ = [
    "BabelZSIC",
    "ClassSets",
    "class_interval",
    "classify",
    "compare",
    "decide",
    "macro",
    "paired_interval",
    "rank_pairs",
    "score_language",
]

_CITATION = """\
@article{geigle2023babelimagenet,
  title = {{Babel-ImageNet}: Massively Multilingual Evaluation of Vision-and-Language Representations},
  author = {Geigle, Gregor and Timofte, Radu and Glava\\v{s}, Goran},
  journal = {arXiv preprint arXiv:2306.08658},
  year = {2023},
}
"""

_DESCRIPTION = """\
Zero-shot image classification in many languages with Babel-ImageNet's labels: accuracy by language with an interval
whose independent draws are classes, against chance, against what duplicate labels leave possible, and against English
on the same classes and photos. A second configuration, `retrieval`, measures text-to-image and image-to-text retrieval.
"""

_INPUTS = """
Args (configuration `default`):
    references: class_index of each photo, 0 to 999 in ImageNet-1k order.
    predictions: class_index decided for each photo; or leave it out and give image_features, class_features and
        class_indices, and the photos are classified here.
    languages: BabelNet code of each row, such as "DE". Optional. With features and without languages, every photo is
        measured in every language.
    image_features: float [n_images, dim].
    class_features: {language: float [n_classes, dim]}.
    class_indices: {language: class_index of each row}.
    class_labels: {language: label of each row}; gives ceiling, n_duplicate_labels, accuracy_merged.
    num_classes: {language: number of classes}; gives chance and centred where class_indices are not given, and is
        checked against them where they are.
    confidence_level, n_resamples, seed: of the intervals.
    k_way: sizes K. ties: "first", "pessimistic", "optimistic". Both with features only.
    on_missing_class: "error", or "drop" to leave out and count photos whose class the language lacks.
Args (configuration `retrieval`):
    text_to_image: row of each text's image.
    languages: language of each text. Optional.
    text_features, image_features: float [n, dim]; or similarity: float [n_texts, n_images].
    match: "any", "first" or "fraction" of an image's captions. k: cut-offs.
    confidence_level, n_resamples, seed: of the intervals.
Returns:
    Flat floats (means over languages, each with its n), and per_language: {language: figures}.
    `metric.compare(a, b)` compares two models' decisions; `metric.decide(...)` makes decisions of features.
Examples:

    >>> metric = evaluate.load("babel_zsic")
    >>> out = metric.compute(predictions=[0, 1, 1], references=[0, 1, 0], languages=["LO"] * 3, num_classes={"LO": 10})
    >>> round(out["accuracy_macro"], 3), out["per_language"]["LO"]["n_images"]
    (0.667, 3)

    Two classes with equal features tie, and the lower class index wins:

    >>> out = metric.compute(references=[7, 3], image_features=[[1.0, 0.0], [1.0, 0.0]],
    ...                      class_features={"LO": [[2.0, 0.0], [2.0, 0.0], [0.0, 1.0]]},
    ...                      class_indices={"LO": [7, 3, 999]})
    >>> figures = out["per_language"]["LO"]
    >>> figures["accuracy"], round(figures["ceiling"], 3), figures["n_duplicate_labels"], figures["accuracy_merged"]
    (0.5, 0.667, 1, 1.0)

    English on the same classes and photos gives the gap:

    >>> out = metric.compute(references=[0, 1], image_features=[[1.0, 0.0], [0.0, 1.0]], class_features={
    ...     "EN": [[1.0, 0.0], [0.0, 1.0]], "LO": [[1.0, 0.0], [1.0, 0.1]]}, class_indices={"EN": [0, 1], "LO": [0, 1]})
    >>> out["per_language"]["LO"]["english_same_classes"], out["gap_macro"], out["gap_macro_n"]
    (1.0, 0.0, 1.0)

    One class: chance is 1, so there is no `centred`; one photo: the interval says how little that is:

    >>> figures = metric.compute(predictions=[5], references=[5], num_classes={"unnamed": 1})["per_language"]["unnamed"]
    >>> figures["chance"], "centred" in figures, [round(x, 2) for x in figures["accuracy_interval"]]
    (1.0, False, [0.21, 1.0])

    A photo of a class that the language lacks is an error, unless it is to be counted:

    >>> out = metric.compute(predictions=[0, 0], references=[0, 2], languages=["LO", "LO"],
    ...                      class_indices={"LO": [0, 1]}, on_missing_class="drop")
    >>> out["per_language"]["LO"]["n_images"], out["per_language"]["LO"]["n_dropped"]
    (1, 1)

    >>> metric = evaluate.load("babel_zsic", "retrieval")
    >>> out = metric.compute(text_to_image=[0, 0, 1], text_features=[[1.0, 0.0], [0.6, 0.8], [0.0, 1.0]],
    ...                      image_features=[[1.0, 0.0], [0.0, 1.0]], k=(1, 2))
    >>> round(out["text_to_image_r@1"], 3), out["image_to_text_r@1"], out["text_to_image_r@2"]
    (0.667, 1.0, 1.0)
"""

_CONFIGS = {
    "default": {"predictions": "int64", "references": "int64", "languages": "string"},
    "retrieval": {"text_to_image": "int64", "languages": "string"},
}
_ABSENT = -1


@evaluate.utils.file_utils.add_start_docstrings(_DESCRIPTION, _INPUTS)
class BabelZSIC(evaluate.Metric):
    """Zero-shot classification (`default`) and retrieval (`retrieval`) by language."""

    compare = staticmethod(compare)
    decide = staticmethod(decide)

    def _info(self) -> evaluate.MetricInfo:
        if self.config_name not in _CONFIGS:
            raise ValueError(f"configuration {self.config_name!r} is unknown; allowed: {', '.join(_CONFIGS)}")
        columns = _CONFIGS[self.config_name]
        return evaluate.MetricInfo(
            description=_DESCRIPTION,
            citation=_CITATION,
            inputs_description=_INPUTS,
            features=datasets.Features({name: datasets.Value(kind) for name, kind in columns.items()}),
            reference_urls=["https://arxiv.org/abs/2306.08658", "https://github.com/gregor-ge/Babel-ImageNet"],
        )

    def add_batch(self, *, predictions: Any = None, references: Any = None, **columns: Any) -> None:
        """Add a batch; `languages` may be left out, and so may `predictions` where features are given later."""
        filled = self._filled(predictions, references, columns)
        super().add_batch(**{name: values.tolist() for name, values in filled.items()})

    def add(self, *, prediction: Any = None, reference: Any = None, **columns: Any) -> None:
        """Add one row; `languages` may be left out, and so may the prediction where features are given later."""
        one = {name: None if value is None else [value] for name, value in columns.items()}
        decided, true = ([None, [x]][x is not None] for x in (prediction, reference))
        filled = self._filled(decided, true, one)
        row = {name: values.tolist()[0] for name, values in filled.items()}
        if self.config_name == "default":
            row = {"prediction": row.pop("predictions"), "reference": row.pop("references"), **row}
        super().add(**row)

    def compute(self, *, predictions: Any = None, references: Any = None, **inputs: Any) -> dict[str, Any] | None:
        """Compute the figures; see `inputs_description`."""
        given = {"predictions": predictions, "references": references, **inputs}
        given = {name: value for name, value in given.items() if value is not None}
        way = "retrieval" if self.config_name == "retrieval" else _way(given)
        check_arguments([name for name in given if (way, name) != ("features", "predictions")], way)
        columns = {name: given[name] for name in _CONFIGS[self.config_name] if name in given}
        rest = {name: value for name, value in inputs.items() if name not in columns}
        if columns and self.writer is None and self.num_process == 1:
            # All rows are here: `datasets` would write and read them one by one, which takes a third of the time.
            decided, true = columns.pop("predictions", None), columns.pop("references", None)
            return self._compute(**self._filled(decided, true, columns), **rest)
        if columns:
            self.add_batch(**columns)
        return super().compute(**rest)

    def _filled(self, predictions: Any, references: Any, columns: dict[str, Any]) -> dict[str, Any]:
        """Give every declared column, checked here: `datasets` would cut 1.9 to 1 and split a text into letters."""
        given = {"predictions": predictions, "references": references, **columns}
        foreign = [name for name in given if given[name] is not None and name not in _CONFIGS[self.config_name]]
        if foreign:
            allowed = ", ".join(_CONFIGS[self.config_name])
            raise ValueError(f"{self.config_name} has no column {', '.join(foreign)}; allowed: {allowed}")
        name, top = ("references", N_CLASSES) if self.config_name == "default" else ("text_to_image", None)
        main = references if self.config_name == "default" else columns.get(name)
        if main is None:
            raise ValueError(f"{name} are missing; every row needs one")
        filled = {name: check_rows(main, top, name)}
        n = len(filled[name])
        languages = columns.get("languages")
        filled["languages"] = np.full(n, UNNAMED) if languages is None else check_codes(languages, n, "languages")
        if self.config_name == "default":
            absent = np.full(n, _ABSENT)
            filled["predictions"] = absent if predictions is None else check_rows(predictions, N_CLASSES, "predictions")
            if len(filled["predictions"]) != n:
                raise ValueError(
                    f"{len(filled['predictions'])} predictions and {n} references; give both for every row"
                )
        return filled

    def _compute(
        self,
        *,
        predictions: Any = None,
        references: Any = None,
        languages: Any = None,
        text_to_image: Any = None,
        image_features: Any = None,
        text_features: Any = None,
        similarity: Any = None,
        class_features: Mapping[str, Any] | None = None,
        class_indices: Mapping[str, Sequence[int]] | None = None,
        class_labels: Mapping[str, Sequence[str]] | None = None,
        num_classes: Mapping[str, int] | None = None,
        confidence_level: float = 0.95,
        n_resamples: int = 10_000,
        seed: int = 0,
        k_way: Sequence[int] = (10, 50, 100),
        k: Sequence[int] = (1, 5, 10),
        ties: str = "first",
        match: str = "any",
        on_missing_class: str = "error",
    ) -> dict[str, Any]:
        options = Options(confidence_level, n_resamples, seed, k_way, ties, on_missing_class)
        languages = None if np.all(np.asarray(languages) == UNNAMED) else languages
        if self.config_name == "retrieval":
            matrices = {"text_features": text_features, "image_features": image_features, "similarity": similarity}
            return score_texts(text_to_image, languages, match=match, k=k, options=options, **matrices)
        sets: dict[str, Any] = {"class_indices": class_indices, "class_labels": class_labels, "options": options}
        _check_way(predictions, image_features, class_features, class_indices)
        sets["num_classes"] = num_classes
        if image_features is None:
            return score_decisions(predictions, references, languages, **sets)
        matrices = {"image_features": image_features, "class_features": class_features}
        return score_features(references, languages, **matrices, **sets)


def _way(given: Mapping[str, Any]) -> str:
    return "features" if {"image_features", "class_features"} & set(given) else "decisions"


def _check_way(predictions: Sequence[int], *features: Any) -> None:
    names = ("image_features", "class_features", "class_indices")
    decided = int(np.count_nonzero(np.asarray(predictions) != _ABSENT))
    given = [name for name, value in zip(names, features, strict=True) if value is not None]
    by_features = _way(dict.fromkeys(given)) == "features"
    if not by_features and decided < len(predictions):
        missing = len(predictions) - decided
        raise ValueError(
            f"{missing} of {len(predictions)} rows have no prediction; give predictions, or {', '.join(names)}"
        )
    if by_features and (decided or len(given) < len(names)):
        also = f"predictions ({decided} rows) and " if decided else ""
        raise ValueError(f"got {also}{', '.join(given)}; to classify here give {', '.join(names)} and no predictions")
