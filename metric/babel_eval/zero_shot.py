"""The zero-shot run: features of photos and of class texts in, one result a language and prompt set out.

Every score comes from `babel_zsic`; this module picks, for each language, its classes and the photos of them.
Source: Geigle et al. 2023 (arXiv:2306.08658), section 3; the figures beside accuracy are ours.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from babel_eval.encoders.base import LanguageSkipped
from babel_eval.encoders.stored import StoredFeatures
from babel_eval.images import ImageFeatures
from babel_eval.results import Predictions
from babel_eval.texts import ClassFeatures, ClassTexts, keeps_lengths, with_length
from babel_imagenet_dataset.imagenet import N_CLASSES
from babel_imagenet_dataset.languages import group
from babel_imagenet_dataset.prompts import reported_name, templates
from babel_imagenet_dataset.release import LabelFile, PromptFile
from babel_zsic.classification import score_language
from babel_zsic.nearest import NearestClass, SubsetRanks, slices

ENGLISH = "EN"
PHOTOS_AT_ONCE = 4096


@dataclass(frozen=True)
class Scoring:
    """How scores and their intervals are made; it stands in every result file."""

    confidence_level: float = field(default=0.95, metadata={"help": "level of the intervals, a fraction"})
    n_resamples: int = field(default=10_000, metadata={"help": "resamples of an interval"})
    seed: int = field(default=0, metadata={"help": "seed of the resamples"})
    k_way: tuple[int, ...] = field(default=(10, 50, 100), metadata={"help": "numbers of classes for K-way accuracy"})

    def __post_init__(self) -> None:
        if not 0 < self.confidence_level < 1:
            raise ValueError(f"confidence_level must lie between 0 and 1, got {self.confidence_level}")
        if self.n_resamples < 100:
            raise ValueError(f"n_resamples must be at least 100, got {self.n_resamples}")
        if any(k < 2 for k in self.k_way):
            raise ValueError(f"k_way needs numbers of at least 2, got {self.k_way}")


@dataclass(frozen=True)
class LanguageResult:
    """One language under one prompt set: a row of the result file, or a failure, and the decision for each photo."""

    row: Mapping[str, Any]
    predictions: Predictions | None

    @property
    def is_ok(self) -> bool:
        """True where there is a number."""
        return self.predictions is not None


class ZeroShotRun:
    """One model on one set of photos: what every language of a run shares."""

    def __init__(
        self,
        features: ClassFeatures,
        images: ImageFeatures,
        labels: LabelFile,
        *,
        prompts: PromptFile | None = None,
        scoring: Scoring | None = None,
    ) -> None:
        """Bring a run's parts together.

        Args:
          features: class features of the model under test.
          images: its image features, once for all languages.
          labels: labels of every language asked for, and of `EN`.
          prompts: templates for the prompt set `nllb`.
          scoring: intervals and K-way; the defaults of `Scoring` where None.
        """
        self._features, self._images, self._labels, self._prompts = features, images, labels, prompts
        self._scoring = scoring or Scoring()
        self._yardsticks: dict[str, SubsetRanks] = {}

    def evaluate(self, plan: Sequence[tuple[str, str]]) -> Iterator[LanguageResult]:
        """Score languages one after the other; a failure of one is its result and stops no other.

        Args:
          plan: language and prompt set (`label`, `openai_en` or `nllb`) of each result.

        Yields:
          a `LanguageResult` for each entry of the plan, in its order.
        """
        for key, texts in zip(plan, self.plan(plan), strict=True):
            if isinstance(texts, LanguageResult):
                yield texts
            else:
                yield self._encoded(key, texts) or self._scored(key, texts)

    def plan(self, plan: Sequence[tuple[str, str]]) -> list[ClassTexts | LanguageResult]:
        """Give the texts of each entry, or its failure, and fix which texts are encoded together.

        The plan of a whole run, before an interruption and after it, is the same; so are the features then.
        """
        found = [self._texts_or_failure(key) for key in plan]
        english = [self._texts(ENGLISH, prompt) for prompt in self._prompt_sets(plan)]
        self._features.plan([*english, *(texts for texts in found if isinstance(texts, ClassTexts))])
        return found

    def _prompt_sets(self, plan: Sequence[tuple[str, str]]) -> list[str]:
        """Give the prompt sets that English has, too."""
        sets = dict.fromkeys(prompt for _, prompt in plan)
        return [prompt for prompt in sets if isinstance(self._texts_or_failure((ENGLISH, prompt)), ClassTexts)]

    def _texts_or_failure(self, key: tuple[str, str]) -> ClassTexts | LanguageResult:
        try:
            return self._texts(*key)
        except ValueError as error:
            return self._failed(key, error)

    def _encoded(self, key: tuple[str, str], texts: ClassTexts) -> LanguageResult | None:
        """Encode a language's texts; give its failure where the encoder refuses them, or the script of its labels."""
        try:
            self._token_use(key[0])
            self._features.ensure(texts)
        except ValueError as error:
            return self._failed(key, error)
        return None

    def _texts(self, language: str, prompt: str) -> ClassTexts:
        pairs = tuple(templates(prompt, language, self._prompts))
        entry = self._labels.languages[language]
        return ClassTexts(language, tuple(entry.labels), pairs, prompt, tuple(int(c) for c in entry.class_index))

    def _failed(self, key: tuple[str, str], error: ValueError) -> LanguageResult:
        what = "skipped" if isinstance(error, LanguageSkipped) else "failed"
        row = {**self._base(*key), "accuracy": None, "status": f"{what}: {error}"}
        return LanguageResult(row, None)

    def _base(self, language: str, prompt: str) -> dict[str, Any]:
        n_classes = len(self._labels.languages[language].labels)
        prompt_set = reported_name(prompt, self._prompts)
        row = {"lang": language, "prompt": prompt_set, "num_classes": n_classes, "group": group(n_classes)}
        try:
            use = self._token_use(language)
        except ValueError:  # refused or skipped by policy: the row's status says so
            use = None
        return row if use is None else {**row, "language_token": use}

    def _token_use(self, language: str) -> str | None:
        """Say how the tokenizer saw the language's labels, where it must know the language (NLLB)."""
        token_use = getattr(self._features.encoder, "token_use", lambda *_: None)
        use: str | None = token_use(self._labels.languages[language].labels, language)
        return use

    def _scored(self, key: tuple[str, str], texts: ClassTexts) -> LanguageResult:
        """Score a language; a language of which a folder of features has no file is a failure of its own."""
        if isinstance(self._features.encoder, StoredFeatures):
            try:
                self._features.of(texts)
            except ValueError as error:
                return self._failed(key, error)
        return self._score(key, texts)

    def _score(self, key: tuple[str, str], texts: ClassTexts) -> LanguageResult:
        language, prompt = key
        classes = np.asarray(self._labels.languages[language].class_index, dtype=np.int64)
        row_of = np.full(N_CLASSES, -1, dtype=np.int64)
        row_of[classes] = np.arange(len(classes))
        chosen = np.flatnonzero(row_of[self._images.class_index] >= 0)
        base = self._base(language, prompt)
        if not len(chosen):
            return LanguageResult({**base, "accuracy": None, "n_images": 0, "status": "no_photos"}, None)
        true_rows = row_of[self._images.class_index[chosen]]
        nearest = NearestClass(self._by_cosine(self._features.of(texts)))
        yardstick = None if language == ENGLISH else self._yardstick(prompt)
        predicted, ranks, english_ranks = self._placed(chosen, true_rows, classes, nearest, yardstick)
        scores = score_language(
            predicted,
            ranks,
            true_rows,
            len(classes),
            labels=texts.labels,
            english_ranks=english_ranks,
            **asdict(self._scoring),
        )
        ids = tuple(self._images.ids[i] for i in chosen)
        predictions = Predictions(ids, self._images.class_index[chosen], classes[predicted], ranks)
        return LanguageResult({**base, **scores, "status": "ok"}, predictions)

    def _placed(
        self,
        chosen: np.ndarray,
        true_rows: np.ndarray,
        classes: np.ndarray,
        nearest: NearestClass,
        yardstick: SubsetRanks | None,
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Give each chosen photo's nearest row, the rank of its true row, and that rank among the English names.

        Photos leave the store a stretch at a time, so that no copy of a language's photos is made.
        """
        predicted, ranks, english_ranks = np.empty((3, len(chosen)), dtype=np.int64)
        for part in slices(0, len(chosen), PHOTOS_AT_ONCE):
            photos = self._images.features[chosen[part]]
            photos = np.pad(photos, ((0, 0), (0, 1))) if keeps_lengths(self._features.encoder) else photos
            predicted[part], ranks[part] = nearest(photos, true_rows[part])
            if yardstick is not None:
                english_ranks[part] = yardstick(chosen[part], photos, classes[true_rows[part]], classes)
        return predicted, ranks, ranks if yardstick is None else english_ranks

    def _by_cosine(self, class_features: np.ndarray) -> np.ndarray:
        return with_length(class_features) if keeps_lengths(self._features.encoder) else class_features

    def _yardstick(self, prompt: str) -> SubsetRanks:
        """Give the ranks among the 1000 English names under a prompt set."""
        if prompt not in self._yardsticks:
            names = self._by_cosine(self._features.of(self._texts(ENGLISH, prompt)))
            self._yardsticks[prompt] = SubsetRanks(names, len(self._images.ids))
        return self._yardsticks[prompt]
