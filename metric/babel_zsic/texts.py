"""Texts and images in, retrieval figures by language out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .checks import check_features, check_rows, check_sizes
from .options import Options, row_codes, sorted_codes
from .retrieval import rank_pairs, score_retrieval


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
    codes = row_codes(languages, len(own))
    texts = None if text_features is None else check_features(text_features, len(own), "text_features")
    matrix = None if similarity is None else check_features(similarity, len(own), "similarity", zeros=True)
    per_language = {}
    for language in sorted_codes(codes):
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
