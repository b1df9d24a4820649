"""Whether fewer bits, or compiled towers, give what fp32 gives: features and accuracies on a sample of the run."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from babel_eval.config import EvaluateConfig, RetrieveConfig
from babel_eval.encoding import kept_features
from babel_eval.images import FEATURES, Photo, PhotoSet, name_features
from babel_eval.texts import ClassFeatures, ClassTexts
from babel_imagenet_dataset.imagenet import N_CLASSES
from babel_imagenet_dataset.release import LabelFile
from babel_zsic.classification import classify, unit_rows

if TYPE_CHECKING:
    from babel_eval.encoders.base import Encoder

LEAST_COSINE = 0.999
MOST_CHANGE = 0.003
N_LANGUAGES = 3
ENGLISH = "EN"

M = TypeVar("M")


@dataclass(frozen=True)
class Sample:
    """Photos (None: English names stand in for them) and languages on which an encoder is compared with itself."""

    photos: PhotoSet | None
    texts: tuple[ClassTexts, ...]


@dataclass(frozen=True)
class Measured:
    """What an encoder makes of a sample; rows have length 1.

    Attributes:
      images: float32 [n_images, dim].
      class_index: int64 [n_images].
      classes: by language, float32 [n_classes, dim] and the class index of each row.
    """

    images: np.ndarray
    class_index: np.ndarray
    classes: Mapping[str, tuple[np.ndarray, np.ndarray]]


def load_checked(
    config: EvaluateConfig,
    device: str | None,
    photos: PhotoSet | None,
    labels: LabelFile,
    languages: Sequence[str],
    say: Callable[[str], None] | None = None,
) -> tuple[Encoder, dict[str, Any]]:
    """Load the encoder that the settings ask for; where it is not plain fp32, compare it with that first.

    Args:
      config: `model`, `dtype`, `compile`, `precision_sample` and what else a model is loaded by.
      device: as torch names it.
      photos: of the run; None where English names stand in for them.
      labels: of all languages, and of English.
      languages: of the run.
      say: called with what the comparison found.

    Returns:
      the encoder, and what the result file says of its precision.

    Raises:
      ValueError: a feature's cosine with its fp32 self is below 0.999, or an accuracy on the sample changes by more
        than 0.3 points; or the machine cannot compile.
    """

    def prepare() -> Callable[[Encoder], Measured]:
        sample = sample_of(photos, labels, languages, config.precision_sample)
        return lambda encoder: _measured(encoder, sample, config)

    return checked(config, device, None if config.images == FEATURES else prepare, compared, say)


def checked(
    config: EvaluateConfig | RetrieveConfig,
    device: str | None,
    prepare: Callable[[], Callable[[Encoder], M]] | None,
    compare: Callable[[M, M], dict[str, Any]],
    say: Callable[[str], None] | None = None,
) -> tuple[Encoder, dict[str, Any]]:
    """Load an encoder; where it is not plain fp32, measure it and its fp32 self on a sample and compare what comes out.

    Args:
      config: `model`, `dtype`, `compile`, `precision_sample` and what else a model is loaded by.
      device: as torch names it.
      prepare: gives the function that measures an encoder; None where nothing is computed here.
      compare: what the report says of both measurements: `lowest_cosine`, `largest_change`, ….
      say: called with what the comparison found.

    Raises:
      ValueError: as `load_checked`.
    """
    wanted = {"dtype": config.dtype, "compile": config.compile}
    if prepare is None or (config.dtype == "fp32" and not config.compile):
        return _load(config, device), wanted
    if config.precision_sample == 0:
        return _load(config, device), {**wanted, "checked": False}
    measure = prepare()
    exact = measure(_load(replace(config, dtype="fp32", compile=False), device))
    encoder = _load(config, device)
    report = {**wanted, "checked": True, **compare(exact, _measured_or_refused(measure, encoder, config))}
    if say:
        say(sentence(report))
    _check(report)
    return encoder, report


def _load(config: EvaluateConfig | RetrieveConfig, device: str | None) -> Encoder:
    from babel_eval.encoders import load_encoder

    return load_encoder(
        config.model,
        device=device,
        dtype=config.dtype,
        language_token=config.language_token,
        reference_mode=isinstance(config, EvaluateConfig) and config.reference_mode,
        compile_towers=config.compile,
    )


def sample_of(photos: PhotoSet | None, labels: LabelFile, languages: Sequence[str], n_photos: int) -> Sample:
    """Choose photos spread evenly over a set (of a stream its first ones), English, and the languages of most classes.

    Large languages tell small changes apart; the bare label is their only template.
    """
    photos = None if photos is None else some_photos(photos, n_photos)
    others = sorted({*languages} - {ENGLISH}, key=lambda code: (-len(labels.languages[code].labels), code))
    texts = []
    for code in (ENGLISH, *others[: N_LANGUAGES - 1]):
        entry = labels.languages[code]
        texts.append(ClassTexts(code, tuple(entry.labels), (("{}", 1),), "label", tuple(map(int, entry.class_index))))
    return Sample(photos, tuple(texts))


def some_photos(photos: PhotoSet, n_photos: int) -> PhotoSet:
    """Give photos spread evenly over a set, of a stream its first ones."""
    n_all = photos.n_photos
    step = 1 if n_all is None else max(1, n_all // n_photos)
    chosen = [item for item in islice(photos.items(), 0, step * n_photos, step) if isinstance(item, Photo)]
    return replace(photos, photos=tuple(chosen), problems=(), stream=None)


def _measured(encoder: Encoder, sample: Sample, config: EvaluateConfig) -> Measured:
    if sample.photos is None:
        images = name_features(encoder)
    else:
        images = kept_features(encoder, sample.photos, None, batch_size=config.batch_size, workers=config.workers)
    features, classes = ClassFeatures(encoder), {}
    for texts in sample.texts:
        with suppress(ValueError):  # a language that the model refuses: the run says so at its row
            classes[texts.language] = unit_rows(features.of(texts)), np.array(texts.class_index, dtype=np.int64)
    return Measured(np.asarray(images.features), images.class_index, classes)


def _measured_or_refused(measure: Callable[[Encoder], M], encoder: Encoder, config: Any) -> M:
    """Measure; what only a compiler can fail at becomes a sentence."""
    try:
        return measure(encoder)
    except RuntimeError as error:
        if not config.compile:
            raise
        why = str(error).strip().partition("\n")[0]
        raise ValueError(f"--compile: the towers cannot be compiled here ({why}); leave it out") from error


def compared(exact: Measured, other: Measured) -> dict[str, Any]:
    """Give how far features and accuracies are from those of fp32.

    Returns:
      numbers of photos, texts and languages; `lowest_cosine` of photos and of texts with their fp32 selves (1.0 where
      there are none); `largest_change` of an accuracy, a fraction, and the language it belongs to.
    """
    pairs = text_pairs(exact.classes, other.classes)
    changes = {}
    for code in exact.classes:
        accuracies = [_accuracy(one, code) for one in (exact, other)]
        if accuracies[0] is not None and accuracies[1] is not None:
            changes[code] = abs(accuracies[1] - accuracies[0])
    return report_of((exact.images, other.images), pairs, list(exact.classes), changes)


def text_pairs(
    exact: Mapping[str, tuple[np.ndarray, Any]], other: Mapping[str, tuple[np.ndarray, Any]]
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Give the text features of each language side by side.

    Raises:
      ValueError: there are none of a language in the other measurement.
    """
    if lost := [name for name in exact if name not in other]:
        raise ValueError(
            f"fewer bits give no features of {', '.join(lost)}, which fp32 does: values are not "
            "finite. Use --dtype fp32, or bf16 in place of fp16"
        )
    return [(exact[name][0], other[name][0]) for name in exact]


def report_of(
    images: tuple[np.ndarray, np.ndarray],
    texts: Sequence[tuple[np.ndarray, np.ndarray]],
    languages: Sequence[str],
    changes: Mapping[str, float],
) -> dict[str, Any]:
    """Give what `compared` says of features that lie side by side and of each language's change of a score."""
    most = max(changes, key=lambda name: changes[name], default=None)
    return {
        "n_photos": len(images[0]),
        "n_texts": sum(len(one) for one, _ in texts),
        "languages": list(languages),
        "lowest_cosine": {
            "photos": lowest_cosine(*images),
            "texts": min((lowest_cosine(one, two) for one, two in texts), default=1.0),
        },
        "largest_change": 0.0 if most is None else changes[most],
        "largest_change_in": most,
    }


def lowest_cosine(one: np.ndarray, other: np.ndarray) -> float:
    """Give the lowest cosine of a row of one matrix with the same row of the other; 1.0 where there is none."""
    a, b = one.astype(np.float64), other.astype(np.float64)
    cosines = np.einsum("nd,nd->n", a, b) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)
    return float(min(cosines.min(initial=1.0), 1.0))


def _accuracy(measured: Measured, code: str) -> float | None:
    """Give the accuracy on the photos of a language's classes; None where there is no such photo."""
    features, class_index = measured.classes[code]
    row_of = np.full(N_CLASSES, -1, dtype=np.int64)
    row_of[class_index] = np.arange(len(class_index))
    truth = row_of[measured.class_index]
    chosen = truth >= 0
    if not chosen.any():
        return None
    _, ranks = classify(measured.images[chosen], features, truth[chosen])
    return float((ranks == 0).mean())


def sentence(report: Mapping[str, Any]) -> str:
    """Say what a comparison found."""
    what = report["dtype"] + (", compiled" if report["compile"] else "")
    cosine, where = report["lowest_cosine"], report["largest_change_in"]
    change = f"{100 * report['largest_change']:.2f} points" + (
        f" ({where})" if where and report["largest_change"] else ""
    )
    return (
        f"{what} against fp32 on {report['n_photos']} photos and {report['n_texts']} texts: lowest cosine "
        f"{cosine['photos']:.6f} (photos) and {cosine['texts']:.6f} (texts), largest change of "
        f"{report.get('figure', 'an accuracy')} {change}"
    )


def _check(report: Mapping[str, Any]) -> None:
    lowest = min(report["lowest_cosine"].values())
    if lowest >= LEAST_COSINE and report["largest_change"] <= MOST_CHANGE:
        return
    raise ValueError(
        f"{sentence(report)}; allowed: a cosine of at least {LEAST_COSINE} and a change of at most "
        f"{100 * MOST_CHANGE} points. Use --dtype fp32 without --compile, a larger --precision-sample where the sample "
        "is small, or --precision-sample 0 to go without this check (the result says so)"
    )
