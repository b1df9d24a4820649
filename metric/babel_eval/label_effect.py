"""What other labels do to accuracy: released against cleaned, and against names by people, same classes and photos."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from babel_eval.texts import ClassFeatures, ClassTexts
from babel_imagenet_dataset import corrections
from babel_imagenet_dataset.cleaning import clean_labels
from babel_imagenet_dataset.human_names import HUMAN_LANGUAGES, human_names
from babel_imagenet_dataset.imagenet import N_CLASSES
from babel_imagenet_dataset.release import LanguageLabels
from babel_imagenet_dataset.sheets import SheetRow
from babel_zsic.nearest import classify
from babel_zsic.uncertainty import paired_interval

if TYPE_CHECKING:
    from babel_eval.images import ImageFeatures

CLEAN, HUMAN = "clean", "human"


@dataclass(frozen=True)
class LabelEffect:
    """Accuracy under two sets of labels of a language.

    Attributes:
      language: BabelNet's code.
      other: `clean` or `human`, what the released labels are compared with.
      n_classes: classes that have a label in both.
      n_differing: of these, how many have another one.
      n_images: photos of these classes.
      released: accuracy under the released labels, a fraction 0-1; None without photos.
      changed: accuracy under the other labels.
      difference: changed - released.
      interval: 95 % interval of the difference, paired by photo, with classes as the independent draws.
    """

    language: str
    other: str
    n_classes: int
    n_differing: int
    n_images: int
    released: float | None = None
    changed: float | None = None
    difference: float | None = None
    interval: tuple[float, float] | None = None


def label_effects(
    features: ClassFeatures,
    images: ImageFeatures,
    languages: Mapping[str, LanguageLabels],
    decided: Sequence[SheetRow] | None = None,
) -> Iterator[LabelEffect]:
    """Measure each language under its released labels and under others; bare labels, no templates.

    Classes without a label in the other set are left out on both sides, so that chance is the same.

    Args:
      features: class features of the model.
      images: its image features.
      languages: labels by code; English is passed over.
      decided: people's decisions for the cleaned labels; those that ship with the package where none are given.

    Yields:
      for each language the effect of cleaning; for AR, IT, JA and ZH also that of human names.
    """
    decisions = corrections.packaged() if decided is None else decided
    for code, labels in languages.items():
        if code == "EN":
            continue
        fitted = corrections.fit(decisions, labels)
        cleaned = [one.label for one in clean_labels(labels, fitted.accepted)]
        yield _effect(features, images, labels, cleaned, CLEAN)
        if code in HUMAN_LANGUAGES:
            names = [human_names(code)[index] for index in labels.class_index.tolist()]
            yield _effect(features, images, labels, names, HUMAN)


def _effect(
    features: ClassFeatures, images: ImageFeatures, labels: LanguageLabels, others: Sequence[str | None], kind: str
) -> LabelEffect:
    kept = [row for row, other in enumerate(others) if other is not None]
    classes = labels.class_index[kept].astype(np.int64)
    released = tuple(labels.labels[row] for row in kept)
    changed = tuple(other for other in others if other is not None)
    n_differing = sum(a != b for a, b in zip(released, changed, strict=True))
    row_of = np.full(N_CLASSES, -1, dtype=np.int64)
    row_of[classes] = np.arange(len(classes))
    chosen = np.flatnonzero(row_of[images.class_index] >= 0)
    if not len(chosen):
        return LabelEffect(labels.code, kind, len(kept), n_differing, 0)
    true_rows = row_of[images.class_index[chosen]]
    right = []
    for names in (changed, released):
        texts = ClassTexts(labels.code, names, (("{}", 1),), class_index=tuple(classes.tolist()))
        right.append(classify(images.features[chosen], features.of(texts), true_rows)[1] == 0)
    low, high = paired_interval(right[0], right[1], images.class_index[chosen])
    accuracies = [float(one.mean()) for one in right]
    return LabelEffect(
        labels.code,
        kind,
        len(kept),
        n_differing,
        len(chosen),
        released=accuracies[1],
        changed=accuracies[0],
        difference=(int(right[0].sum()) - int(right[1].sum())) / len(chosen),
        interval=(low, high),
    )
