"""Class texts in: labels put into templates, each distinct text encoded once, a mean over templates for each class.

A class feature is `unit(Σ weight · unit(text feature))` over the templates of its prompt set (Radford et al. 2021,
arXiv:2103.00020, section 3.1.4, for the ensemble; Geigle et al. 2023, arXiv:2306.08658, section 3, for its use here).
It is the same for the same label and templates whatever the language, unless the tower's tokenizer must know the
language; so it is computed once for all languages that share it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from babel_eval.encoders.stored import StoredFeatures
from babel_zsic.classification import unit_rows

if TYPE_CHECKING:
    from babel_eval.encoders.base import Encoder

TEXTS_AT_ONCE = 8192
T = TypeVar("T")


@dataclass(frozen=True)
class ClassTexts:
    """The labels of one language and the templates (each with its weight) they are put into.

    `prompt` names the prompt set and `class_index` the classes, for features that are looked up by them.
    """

    language: str
    labels: tuple[str, ...]
    templates: tuple[tuple[str, int], ...]
    prompt: str = "label"
    class_index: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        for template, weight in self.templates:
            if template.count("{}") != 1:
                raise ValueError(f"{self.language}: template {template!r} must hold exactly one {{}}")
            if weight < 1:
                raise ValueError(f"{self.language}: template {template!r} has weight {weight}, at least 1 is needed")
        if not self.templates or not self.labels:
            raise ValueError(f"{self.language}: there is no template or no label")


class ClassFeatures:
    """Class features of one encoder, each computed once and kept."""

    def __init__(self, encoder: Encoder) -> None:
        self.encoder = encoder
        self._known: dict[tuple[object, ...], np.ndarray] = {}
        self.n_texts = 0

    def of(self, texts: ClassTexts) -> np.ndarray:
        """Give float32 [n_classes, dim], rows of length 1, in the order of `texts.labels`.

        Features made elsewhere are looked up by prompt set, language and class index instead.
        """
        if isinstance(self.encoder, StoredFeatures):
            return unit_rows(self.encoder.class_features(texts.prompt, texts.language, texts.class_index))
        self.prepare([texts])
        return np.stack([self._known[self._key(texts, label)] for label in texts.labels])

    def prepare(self, requests: Sequence[ClassTexts]) -> None:
        """Encode what is not known yet of several languages together, so that texts of like length meet."""
        if isinstance(self.encoder, StoredFeatures):
            return
        for language, templates, labels in self._missing(requests):
            for start in range(0, len(labels), step := max(1, TEXTS_AT_ONCE // len(templates))):
                some = labels[start : start + step]
                means = self._means(some, templates, language)
                for label, mean in zip(some, means, strict=True):
                    self._known[(*self._scope(language, templates), label)] = mean

    def _missing(self, requests: Sequence[ClassTexts]) -> Iterator[tuple[str, tuple[tuple[str, int], ...], list[str]]]:
        """Give what must be encoded: for each language (where it matters) and template set its distinct labels."""
        scopes: dict[tuple[object, ...], tuple[ClassTexts, dict[str, None]]] = {}
        for texts in requests:
            scope = self._scope(texts.language, texts.templates)
            _, labels = scopes.setdefault(scope, (texts, {}))
            labels.update((label, None) for label in texts.labels if (*scope, label) not in self._known)
        for texts, labels in scopes.values():
            if labels:
                yield texts.language, texts.templates, list(labels)

    def _means(self, labels: Sequence[str], templates: Sequence[tuple[str, int]], language: str) -> np.ndarray:
        """Give float32 [n_labels, dim]: the weighted mean over templates of normalised features, normalised."""
        texts = [template.replace("{}", label) for label in labels for template, _ in templates]
        self.n_texts += len(texts)
        features = unit_rows(self.encoder.encode_texts(texts, language)).reshape(len(labels), len(templates), -1)
        weights = np.array([weight for _, weight in templates], dtype=np.float32)
        return unit_rows(np.einsum("ltd,t->ld", features, weights / weights.sum()))

    def _scope(self, language: str, templates: tuple[tuple[str, int], ...]) -> tuple[object, ...]:
        return (language if self.encoder.uses_language else None, templates)

    def _key(self, texts: ClassTexts, label: str) -> tuple[object, ...]:
        return (*self._scope(texts.language, texts.templates), label)


def grouped(items: Sequence[T], n_texts: Callable[[T], int], texts_at_once: int = TEXTS_AT_ONCE) -> Iterator[list[T]]:
    """Put neighbours together until they hold enough texts for full batches; order is kept, none is left out."""
    some: list[T] = []
    size = 0
    for item in items:
        some.append(item)
        size += n_texts(item)
        if size >= texts_at_once:
            yield some
            some, size = [], 0
    if some:
        yield some
