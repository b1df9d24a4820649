from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from babel_eval.images import ImageFeatures
from babel_eval.label_effect import label_effects
from babel_eval.texts import ClassFeatures
from babel_imagenet_dataset.human_names import human_names
from babel_imagenet_dataset.release import LanguageLabels


class Dictionary:
    """Knows the vector of each text by heart; an unknown text raises."""

    uses_language = False
    dim = 8

    def __init__(self, known: dict[str, int]) -> None:
        self.known = known

    def encode_texts(self, texts: Any, language: str) -> np.ndarray:
        return np.eye(8, dtype=np.float32)[[self.known[text] for text in texts]]


def photos(*classes: int) -> ImageFeatures:
    """Photos that lie exactly on the vector of their class index."""
    rows = np.eye(8, dtype=np.float32)[list(classes)]
    return ImageFeatures(tuple(map(str, range(len(classes)))), np.array(classes, dtype=np.int64), rows, ())


def labels_of(code: str, *labels: str) -> LanguageLabels:
    return LanguageLabels(code, np.arange(len(labels), dtype=np.int32), labels)


def test_cleaning_that_mends_a_label_shows_on_its_photos_alone() -> None:
    labels = labels_of("RU", "кот", "соба\u0301ка", "рыба", "fish off script")
    known = {"кот": 0, "соба\u0301ка": 0, "собака": 1, "рыба": 2}
    (effect,) = label_effects(ClassFeatures(Dictionary(known)), photos(0, 1, 1, 2, 3), {"RU": labels})  # type: ignore[arg-type]
    # Class 3 has no cleaned label and is in neither; its photo and its released label are not asked for.
    assert (effect.n_classes, effect.n_differing, effect.n_images) == (3, 1, 4)
    assert (effect.released, effect.changed, effect.difference) == (0.5, 1.0, 0.5)
    assert effect.interval is not None
    assert effect.interval[0] < 0.5 < effect.interval[1]


def test_human_names_are_measured_beside_on_the_same_classes() -> None:
    labels = labels_of("ZH", "丁鲷", "错")
    known = {"丁鲷": 0, "错": 0, human_names("ZH")[0]: 0, human_names("ZH")[1]: 1}
    clean, human = label_effects(ClassFeatures(Dictionary(known)), photos(0, 1), {"ZH": labels})  # type: ignore[arg-type]
    assert (clean.other, clean.difference) == ("clean", 0.0)
    assert (human.other, human.released, human.changed) == ("human", 0.5, 1.0)


def test_without_photos_there_is_no_number_and_english_is_passed_over() -> None:
    labels = labels_of("DE", "a")
    features = ClassFeatures(Dictionary({"a": 0}))  # type: ignore[arg-type]
    (effect,) = label_effects(features, photos(5), {"EN": labels_of("EN", "x"), "DE": labels})
    assert (effect.language, effect.n_images, effect.released, effect.interval) == ("DE", 0, None, None)


def test_an_unknown_text_is_not_swallowed() -> None:
    with pytest.raises(KeyError):
        list(label_effects(ClassFeatures(Dictionary({})), photos(0), {"DE": labels_of("DE", "a")}))  # type: ignore[arg-type]
