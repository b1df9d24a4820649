"""From what a user hands in to figures by language: decisions, or features of photos and classes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from .checks import N_CLASSES, as_matrix, check_case, check_features, check_mapping, check_rows, look_up
from .class_sets import ClassSets
from .classification import YARDSTICK, classify, macro, score_language
from .comparison import UNNAMED
from .nearest import NearestClass
from .options import Options, row_codes, sorted_codes


def score_decisions(
    predictions: Any,
    references: Any,
    languages: Any | None = None,
    *,
    num_classes: Mapping[str, int] | None = None,
    class_indices: Mapping[str, Sequence[int]] | None = None,
    class_labels: Mapping[str, Sequence[str]] | None = None,
    options: Options | None = None,
) -> dict[str, Any]:
    """Score decisions, language by language.

    Args:
      predictions: class_index [n], 0–999 in ImageNet-1k order.
      references: class_index [n].
      languages: BabelNet code of each row [n]; None puts all rows under `unnamed`.
      num_classes: language → number of its classes: gives `chance` and `centred`.
      class_indices: language → class_index of each of its classes: gives the same, and checks every row.
      class_labels: language → label of each class, in the order of `class_indices`: gives duplicates.
      options: see `Options`.

    Returns:
      The flat means of `macro`, and `per_language`: language → figures of `score_language`, alphabetical.

    Raises:
      ValueError: lengths differ, a class outside the language's set, an unknown language, labels without indices.
    """
    options = options or Options()
    truth, decided = check_rows(references, N_CLASSES, "references"), check_rows(predictions, N_CLASSES, "predictions")
    codes, sets = row_codes(languages, len(truth)), ClassSets(class_indices, class_labels, num_classes)
    if len(decided) != len(truth):
        raise ValueError(f"{len(decided)} predictions and {len(truth)} references; give both for every photo")
    per_language = {}
    for language in sorted_codes(codes):
        chosen = codes == language
        classes = None if sets.indices is None else sets.classes(language)
        kept, counted = _keep_known(truth[chosen], classes, language, options)
        rows, n_classes = _decision_rows(
            decided[chosen][kept], truth[chosen][kept], classes, sets.size(language), language
        )
        if not len(rows):
            per_language[language] = {**counted, "n_images": 0}
            continue
        labels = sets.sorted_labels(language)
        figures = score_language(
            rows[:, 0], None, rows[:, 1], n_classes, labels=labels, k_way=options.k_way, **options.sampling
        )
        per_language[language] = {**figures, **counted}
    return {**macro(per_language), "per_language": per_language}


def score_features(
    references: Any,
    languages: Any | None = None,
    *,
    image_features: Any,
    class_features: Mapping[str, Any],
    class_indices: Mapping[str, Sequence[int]],
    class_labels: Mapping[str, Sequence[str]] | None = None,
    num_classes: Mapping[str, int] | None = None,
    options: Options | None = None,
) -> dict[str, Any]:
    """Classify photos in every language and score the decisions.

    Args:
      references: class_index [n_images].
      languages: None measures every photo in every language of `class_features`; else the language of each photo.
      image_features: float [n_images, dim], of any length.
      class_features: language → float [n_classes, dim], one row a class (the mean over prompts), of any length.
      class_indices: language → class_index of each row, in any order: ties go to the lowest class index.
      class_labels: language → label of each row.
      num_classes: language → number of its classes, to be checked against `class_indices`.
      options: see `Options`.

    Returns:
      As `score_decisions`, and `top5`, `k_way`; with `EN` among the languages `english_same_classes` and `gap` for each
      other language whose classes English has.

    Raises:
      ValueError: shapes that disagree, NaN or infinity, a reference that the language lacks, an unknown language.
    """
    options, sets, per_language = options or Options(), ClassSets(class_indices, class_labels, num_classes), {}
    for part in _parts(references, languages, image_features, class_features, sets, options):
        if not len(part.photos):
            n_classes = len(sets.classes(part.language))
            per_language[part.language] = {**part.counted, "n_images": 0, "n_classes": n_classes}
            continue
        figures = _score_photos(part.features, part.truth, part.language, class_features, sets, options)
        per_language[part.language] = {**figures, **part.counted}
    return {**macro(per_language), "per_language": per_language}


def decide(
    *,
    references: Any,
    image_features: Any,
    class_features: Mapping[str, Any],
    class_indices: Mapping[str, Sequence[int]],
    languages: Any | None = None,
    ties: str = "first",
    on_missing_class: str = "error",
) -> dict[str, list[Any]]:
    """Classify photos in every language and give the decisions, as `compare` takes them.

    Args:
      references: class_index [n_images].
      image_features: float [n_images, dim], of any length.
      class_features: language → float [n_classes, dim], one row a class, of any length.
      class_indices: language → class_index of each row.
      languages: None measures every photo in every language; else the language of each photo.
      ties: `first`, `pessimistic` or `optimistic`.
      on_missing_class: `error`, or `drop` to leave out photos whose class the language lacks.

    Returns:
      Columns of one length, one row a photo and language: `predictions`, `references` (class_index), `languages`,
      `photos` (row of `image_features`).

    Raises:
      ValueError: as `score_features`.
    """
    options, sets = Options(ties=ties, on_missing_class=on_missing_class), ClassSets(class_indices)
    columns: dict[str, list[Any]] = {name: [] for name in ("predictions", "references", "languages", "photos")}
    for part in _parts(references, languages, image_features, class_features, sets, options):
        if not len(part.photos):
            continue
        classes, features = _sorted_features(class_features, sets, part.language)
        predicted, _ = classify(part.features, features, np.searchsorted(classes, part.truth), ties=ties)
        columns["predictions"] += classes[predicted].tolist()
        columns["references"] += part.truth.tolist()
        columns["languages"] += [part.language] * len(predicted)
        columns["photos"] += part.photos.tolist()
    return columns


class _Part(NamedTuple):
    """One language's photos: their rows, features and class_index, and how many were left out where that was asked."""

    language: str
    photos: np.ndarray
    features: np.ndarray
    truth: np.ndarray
    counted: dict[str, int]


def _parts(
    references: Any, languages: Any | None, image_features: Any, class_features: Any, sets: ClassSets, options: Options
) -> Iterator[_Part]:
    truth, images = check_rows(references, N_CLASSES, "references"), as_matrix(image_features, "image_features")
    if len(images) != len(truth):
        raise ValueError(f"{len(images)} rows of image_features and {len(truth)} references; give one row a reference")
    check_features(images, len(images), "image_features")
    check_case(check_mapping(class_features, "class_features"), "class_features", UNNAMED)
    codes = None if languages is None else row_codes(languages, len(truth))
    for language in [] if codes is None else sorted_codes(codes):
        look_up(class_features, language, "class_features")
    for language in sorted(class_features):
        chosen = np.full(len(truth), True) if codes is None else codes == language
        if not chosen.any():
            continue
        classes = sets.classes(language)
        n_rows = len(as_matrix(class_features[language], f"class_features of {language}"))
        if n_rows != len(classes):
            raise ValueError(f"{language} has {len(classes)} class_indices, but {n_rows} by class_features")
        kept, counted = _keep_known(truth[chosen], classes, language, options)
        photos = np.flatnonzero(chosen)[kept]
        yield _Part(language, photos, images if len(photos) == len(images) else images[photos], truth[photos], counted)


def _score_photos(
    photos: np.ndarray,
    truth: np.ndarray,
    language: str,
    class_features: Mapping[str, Any],
    sets: ClassSets,
    options: Options,
) -> dict[str, Any]:
    classes, features = _sorted_features(class_features, sets, language)
    rows = np.searchsorted(classes, truth)
    predicted, ranks = classify(photos, features, rows, ties=options.ties)
    english_ranks = None
    if language != YARDSTICK and YARDSTICK in class_features:
        english_classes, english = _sorted_features(class_features, sets, YARDSTICK)
        if np.isin(classes, english_classes).all():
            same = english[np.searchsorted(english_classes, classes)]
            english_ranks = NearestClass(same, ties=options.ties).ranks(photos, rows)
    labels = sets.sorted_labels(language)
    return score_language(
        predicted,
        ranks,
        rows,
        len(classes),
        labels=labels,
        class_features=None if labels is not None else features,
        english_ranks=english_ranks,
        k_way=options.k_way,
        **options.sampling,
    )


def _sorted_features(
    class_features: Mapping[str, Any], sets: ClassSets, language: str
) -> tuple[np.ndarray, np.ndarray]:
    features = look_up(class_features, language, "class_features")
    classes = sets.classes(language)
    return classes, sets.sorted_rows(features, language, "class_features")


def _keep_known(
    truth: np.ndarray, classes: np.ndarray | None, language: str, options: Options
) -> tuple[np.ndarray, dict[str, int]]:
    """Give which photos have a class of the language; `n_dropped` where leaving them out was asked for."""
    if classes is None and options.on_missing_class == "drop":
        raise ValueError('on_missing_class="drop" needs class_indices: without them nobody knows what a language lacks')
    kept = np.full(len(truth), True) if classes is None else np.isin(truth, classes)
    if options.on_missing_class == "drop":
        return kept, {"n_dropped": int((~kept).sum())}
    if not kept.all():
        raise ValueError(
            f"{int((~kept).sum())} of {len(kept)} references are of classes that {language} lacks, such as "
            f'{int(truth[~kept][0])}; leave those photos out, or pass on_missing_class="drop" to have them counted'
        )
    return kept, {}


def _decision_rows(
    decided: np.ndarray, truth: np.ndarray, classes: np.ndarray | None, n_classes: int | None, language: str
) -> tuple[np.ndarray, int | None]:
    """Give rows [n, (predicted, true)] within the language, and its number of classes where that is known."""
    both = np.stack([decided, truth], axis=1)
    if classes is not None:
        unknown = ~np.isin(decided, classes)
        if unknown.any():
            bad = int(decided[unknown][0])
            raise ValueError(
                f"{language}: class {bad} is predicted, but it is none of the language's {len(classes)} classes"
            )
        return np.searchsorted(classes, both), len(classes)
    found, rows = np.unique(both, return_inverse=True)
    if n_classes is not None and len(found) > n_classes:
        raise ValueError(f"{language}: {len(found)} classes occur, but num_classes says {n_classes}")
    return rows.reshape(both.shape), n_classes
