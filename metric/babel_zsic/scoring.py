"""From what a user hands in to figures by language: decisions, features of photos and classes, texts and images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .checks import (
    N_CLASSES,
    as_matrix,
    check_codes,
    check_features,
    check_mapping,
    check_rows,
    check_sizes,
    look_up,
)
from .class_sets import ClassSets
from .classification import TIES, YARDSTICK, classify, macro, score_language
from .comparison import UNNAMED
from .nearest import NearestClass
from .retrieval import rank_pairs, score_retrieval

ON_MISSING = ("error", "drop")


@dataclass(frozen=True)
class Options:
    """What the caller may set; see the card."""

    confidence_level: float = 0.95
    n_resamples: int = 10_000
    seed: int = 0
    k_way: Sequence[int] = (10, 50, 100)
    ties: str = "first"
    on_missing_class: str = "error"

    def __post_init__(self) -> None:
        for name, allowed in (("ties", TIES), ("on_missing_class", ON_MISSING)):
            if getattr(self, name) not in allowed:
                raise ValueError(f"{name} is {getattr(self, name)!r}; allowed: {', '.join(allowed)}")
        check_sizes(self.k_way, "k_way", 2)

    @property
    def sampling(self) -> dict[str, Any]:
        """The options that every interval takes."""
        return {name: getattr(self, name) for name in ("confidence_level", "n_resamples", "seed")}


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
    codes, sets = _codes(languages, len(truth)), ClassSets(class_indices, class_labels, num_classes)
    if len(decided) != len(truth):
        raise ValueError(f"{len(decided)} predictions and {len(truth)} references; give both for every photo")
    per_language = {}
    for language in _sorted_codes(codes):
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
    options = options or Options()
    truth, images = check_rows(references, N_CLASSES, "references"), as_matrix(image_features, "image_features")
    if len(images) != len(truth):
        raise ValueError(f"{len(images)} rows of image_features and {len(truth)} references; give one row a reference")
    check_features(images, len(images), "image_features")
    check_mapping(class_features, "class_features")
    codes = None if languages is None else _codes(languages, len(truth))
    for language in [] if codes is None else _sorted_codes(codes):
        look_up(class_features, language, "class_features")
    sets, per_language = ClassSets(class_indices, class_labels, num_classes), {}
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
        if not len(photos):
            per_language[language] = {**counted, "n_images": 0, "n_classes": len(classes)}
            continue
        taken = images if len(photos) == len(images) else images[photos]
        figures = _score_photos(taken, truth[photos], language, class_features, sets, options)
        per_language[language] = {**figures, **counted}
    return {**macro(per_language), "per_language": per_language}


def score_texts(
    text_to_image: Any,
    languages: Any | None = None,
    *,
    text_features: Any | None = None,
    image_features: Any | None = None,
    similarity: Any | None = None,
    match: str = "any",
    k: Sequence[int] = (1, 5, 10),
    options: Options | None = None,
) -> dict[str, Any]:
    """Score retrieval, language by language; every language is measured against all images.

    Args:
      text_to_image: integer [n_texts], the row of each text's image.
      languages: language of each text [n_texts]; None puts all under `unnamed`.
      text_features: float [n_texts, dim].
      image_features: float [n_images, dim].
      similarity: float [n_texts, n_images] instead of the features.
      match: `any`, `first` or `fraction`.
      k: cut-offs of the recalls.
      options: see `Options`.

    Returns:
      Flat means over the languages of every figure of `score_retrieval`, `n_languages`, and `per_language`.

    Raises:
      ValueError: as `rank_pairs` and `score_retrieval`; the language is named.
    """
    options = options or Options()
    own, k = check_rows(text_to_image, None, "text_to_image"), check_sizes(k, "k", 1)
    codes = _codes(languages, len(own))
    texts = None if text_features is None else check_features(text_features, len(own), "text_features")
    matrix = None if similarity is None else check_features(similarity, len(own), "similarity", zeros=True)
    per_language = {}
    for language in _sorted_codes(codes):
        chosen = slice(None) if len(set(codes.tolist())) == 1 else np.flatnonzero(codes == language)
        per_language[language] = _score_texts_of(
            language,
            own[chosen],
            None if texts is None else texts[chosen],
            image_features,
            None if matrix is None else matrix[chosen],
            match,
            k,
            options,
        )
    names = [name for name, value in next(iter(per_language.values())).items() if isinstance(value, float)]
    means = {name: float(np.mean([figures[name] for figures in per_language.values()])) for name in names}
    return {**means, "n_languages": float(len(per_language)), "per_language": per_language}


def _score_texts_of(
    language: str,
    own: np.ndarray,
    texts: np.ndarray | None,
    images: Any,
    similarity: np.ndarray | None,
    match: str,
    k: Sequence[int],
    options: Options,
) -> dict[str, Any]:
    try:
        ranks = rank_pairs(own, text_features=texts, image_features=images, similarity=similarity, match=match)
        return score_retrieval(ranks, own, k=k, **options.sampling)
    except ValueError as error:
        raise ValueError(f"{language}: {error}") from error


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


def _codes(languages: Any | None, n: int) -> np.ndarray:
    if languages is None:
        return np.full(n, UNNAMED)
    codes = check_codes(languages, n, "languages")
    for code in _sorted_codes(codes):
        if code not in (UNNAMED, code.upper()):
            raise ValueError(f"languages holds {code!r}; codes stand in upper case: did you mean {code.upper()!r}?")
    return codes


def _sorted_codes(codes: np.ndarray) -> list[str]:
    return [str(code) for code in np.unique(codes)]
