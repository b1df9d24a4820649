"""Class texts in: labels put into templates, each distinct text encoded once, a mean over templates for each class.

A class feature is `unit(Σ weight · unit(text feature))` over the templates of its prompt set (Radford et al. 2021,
arXiv:2103.00020, section 3.1.4, for the ensemble; Geigle et al. 2023, arXiv:2306.08658, section 3, for its use here).
It is the same for the same label and templates whatever the language, unless the tower's tokenizer must know the
language; so it is computed once for all languages that share it.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from babel_eval.encoders.stored import StoredFeatures
from babel_eval.images import ImageFeatures
from babel_eval.store import FeatureStore, is_no_room
from babel_eval.team import Team
from babel_imagenet_dataset.files import sha256_of_text
from babel_zsic.classification import unit_rows

if TYPE_CHECKING:
    from babel_eval.encoders.base import Encoder

TEXTS_AT_ONCE = 4096
HELD_BYTES = 32 << 20

log = logging.getLogger(__name__)


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


@dataclass(frozen=True)
class _Chunk:
    """Labels that are encoded together: always the same ones, so that they always get the same bits."""

    language: str
    scope: tuple[object, ...]
    templates: tuple[tuple[str, int], ...]
    labels: tuple[str, ...]


class ClassFeatures:
    """Class features of one encoder, each computed once and kept, over languages, runs and processes.

    Labels are put into chunks by `plan`, in the order of the plan; a chunk is encoded as a whole, so what a label's
    feature is, bit for bit, depends on the plan and not on what was done before an interruption or by which process.
    """

    def __init__(self, encoder: Encoder, store: FeatureStore | None = None) -> None:
        """Take an encoder, and where chunks are kept for other processes and after an interruption (None: nowhere)."""
        self.encoder = encoder
        self.store = store
        self._chunks: list[_Chunk] = []
        self._place: dict[tuple[object, ...], tuple[int, int]] = {}
        self._arrays: dict[int, np.ndarray] = {}
        self._known: set[int] = set()
        self.n_texts = 0

    def plan(self, requests: Sequence[ClassTexts]) -> None:
        """Fix which labels are encoded together: those of all requests that are in no chunk yet, in order."""
        if isinstance(self.encoder, StoredFeatures):
            return
        scopes: dict[tuple[object, ...], tuple[ClassTexts, dict[str, None]]] = {}
        for texts in requests:
            scope = self._scope(texts)
            _, labels = scopes.setdefault(scope, (texts, {}))
            labels.update((label, None) for label in texts.labels if (*scope, label) not in self._place)
        for scope, (texts, new) in scopes.items():
            some, step = list(new), max(1, TEXTS_AT_ONCE // len(texts.templates))
            for start in range(0, len(some), step):
                self._add(_Chunk(texts.language, scope, texts.templates, tuple(some[start : start + step])))

    def _add(self, chunk: _Chunk) -> None:
        number = len(self._chunks)
        self._chunks.append(chunk)
        self._place.update(((*chunk.scope, label), (number, row)) for row, label in enumerate(chunk.labels))

    def prepare(self, requests: Sequence[ClassTexts]) -> None:
        """Encode the chunks that hold what is asked for, and plan what is in none.

        Raises:
          ValueError: the encoder refuses a text.
        """
        if isinstance(self.encoder, StoredFeatures):
            return
        self.plan(requests)
        for number in sorted({self._place[self._key(t, label)][0] for t in requests for label in t.labels}):
            if number not in self._known:
                self._hold(number, self._chunk_features(self._chunks[number]))

    def ensure(self, texts: ClassTexts) -> None:
        """Encode what one language needs; where a chunk that it shares is refused, its own labels alone.

        Raises:
          ValueError: the encoder refuses a text of this language.
        """
        try:
            self.prepare([texts])
        except ValueError:
            scope = self._scope(texts)
            left = [x for x in dict.fromkeys(texts.labels) if self._place[(*scope, x)][0] not in self._known]
            chunk = _Chunk(texts.language, scope, texts.templates, tuple(left))
            features = self._chunk_features(chunk)
            self._add(chunk)
            self._hold(len(self._chunks) - 1, features)

    def share(self, team: Team) -> None:
        """Encode this process's share of the planned chunks, for all to read from the store; then wait for the others.

        A chunk that the encoder refuses is left to the process that needs it, where the error belongs to a language.
        """
        for number in team.share(range(len(self._chunks))):
            try:
                self._hold(number, self._chunk_features(self._chunks[number]))
            except ValueError:
                continue
        team.wait()

    def of(self, texts: ClassTexts) -> np.ndarray:
        """Give float32 [n_classes, dim] in the order of `texts.labels`; rows of length 1, but see `keeps_lengths`.

        Features made elsewhere are looked up by prompt set, language and class index instead.
        """
        if isinstance(self.encoder, StoredFeatures):
            return unit_rows(self.encoder.class_features(texts.prompt, texts.language, texts.class_index))
        if any(self._place.get(self._key(texts, x), (-1, 0))[0] not in self._known for x in texts.labels):
            self.ensure(texts)
        places = np.array([self._place[self._key(texts, label)] for label in texts.labels])
        features = np.empty((len(places), self.encoder.dim), dtype=np.float32)
        for number in np.unique(places[:, 0]):
            here = places[:, 0] == number
            features[here] = self._array(int(number))[places[here, 1]]
        return features

    def _array(self, number: int) -> np.ndarray:
        """Give the features of a chunk that was encoded: those at hand, else those in the store."""
        if number not in self._arrays:
            self._hold(number, self._chunk_features(self._chunks[number]))
        return self._arrays[number]

    def _hold(self, number: int, features: np.ndarray) -> None:
        """Hold a chunk's features; where a store has them all, only the latest `HELD_BYTES` of them."""
        self._arrays[number] = features
        self._known.add(number)
        while self.store is not None and len(self._arrays) > 1 and self._held_bytes() > HELD_BYTES:
            del self._arrays[next(iter(self._arrays))]

    def _held_bytes(self) -> int:
        return sum(array.nbytes for array in self._arrays.values())

    def _chunk_features(self, chunk: _Chunk) -> np.ndarray:
        """Give float32 [n_labels, dim] of a chunk, from the store where it has them."""
        if self.store is None:
            return self._means(chunk)
        names = (chunk.language if self.encoder.uses_language else "", repr(chunk.templates), *chunk.labels)
        key = sha256_of_text("texts", self.encoder.fingerprint, *names)
        if (known := self.store.load(key)) is not None:
            return np.asarray(known.features)
        means = self._means(chunk)
        classes = np.zeros(len(means), dtype=np.int64)
        try:
            self.store.save(key, ImageFeatures(chunk.labels, classes, means, (), kind="texts"))
        except OSError as error:
            if not is_no_room(error):
                raise
            log.warning("no room in %s: features of texts are no longer kept, the run goes on", self.store.folder)
            self.store = None
        return means

    def _means(self, chunk: _Chunk) -> np.ndarray:
        """Give float32 [n_labels, dim]: the weighted mean over templates of normalised features, normalised.

        Where the encoder keeps lengths (see `keeps_lengths`), features are not normalised before the mean, and after it
        only where there is more than one template.
        """
        texts = [template.replace("{}", label) for label in chunk.labels for template, _ in chunk.templates]
        self.n_texts += len(texts)
        raw, names = keeps_lengths(self.encoder), [label for label in chunk.labels for _ in chunk.templates]
        marked = {"names": names} if self.encoder.uses_language else {}
        rows = self.encoder.encode_texts(texts, chunk.language, **marked)
        weights = np.array([weight for _, weight in chunk.templates], dtype=np.float32)
        features = (rows if raw else unit_rows(rows)).reshape(len(chunk.labels), len(weights), -1)
        means = np.einsum("ltd,t->ld", features, weights / weights.sum())
        return means if raw and weights.sum() == 1 else unit_rows(means)

    def _scope(self, texts: ClassTexts) -> tuple[object, ...]:
        return (texts.language if self.encoder.uses_language else None, texts.templates)

    def _key(self, texts: ClassTexts, label: str) -> tuple[object, ...]:
        return (*self._scope(texts), label)


def keeps_lengths(encoder: Encoder) -> bool:
    """Say whether class features keep the lengths that the text tower gives them: the reference runner's way.

    It compares photos with the texts of M-CLIP and sentence-transformers by product, not by cosine
    (`TorchEncoder.imitate_reference`).
    """
    return bool(getattr(encoder, "keeps_text_lengths", False))


def with_length(class_features: np.ndarray) -> np.ndarray:
    """Give class features whose order by cosine, to photos with a zero at their end, is that of the given by product.

    Args:
      class_features: float32 [n_classes, dim], rows of any length but 0.

    Returns:
      float32 [n_classes, dim + 1], rows of length 1: the given over one power of two, with what is missing to length 1
      in the last column. Equal rows stay equal.

    Source: the reduction of Bachrach et al. 2014 (RecSys), section 3.1.
    """
    lengths = np.linalg.norm(class_features.astype(np.float64), axis=1)
    scaled = class_features / np.float32(2.0 ** np.ceil(np.log2(lengths.max())))
    missing = np.sqrt(np.maximum(0.0, 1.0 - np.square(scaled.astype(np.float64)).sum(axis=1)))
    return np.concatenate([scaled, missing[:, None].astype(np.float32)], axis=1)
