"""Which arguments belong to which way of using the metric; what belongs to another is refused, not passed over."""

from __future__ import annotations

from collections.abc import Collection
from difflib import get_close_matches

_INTERVALS = ("confidence_level", "n_resamples", "seed")
_CLASSES = ("references", "languages", "class_indices", "class_labels", "num_classes", "on_missing_class")

WAYS: dict[str, tuple[str, ...]] = {
    "decisions": ("predictions", *_CLASSES, *_INTERVALS),
    "features": ("image_features", "class_features", *_CLASSES, "k_way", "ties", *_INTERVALS),
    "retrieval": (
        *("text_to_image", "languages", "text_features", "image_features", "similarity", "k", "match"),
        *_INTERVALS,
    ),
}
_VERBS = {"decisions": "take", "features": "take", "retrieval": "takes"}


def check_arguments(given: Collection[str], way: str) -> None:
    """Check the names of the arguments that were given.

    Raises:
      ValueError: a name that this way does not take; says which way does, or which name is near.
    """
    foreign = [name for name in given if name not in WAYS[way]]
    if not foreign:
        return
    others = [other for other, names in WAYS.items() if foreign[0] in names]
    near = get_close_matches(foreign[0], WAYS[way], n=1, cutoff=0.75)
    hint = f" ({'that is' if len(foreign) == 1 else foreign[0] + ' is'} for {', '.join(others)})" if others else ""
    if near and not others:
        hint = f" (did you mean {near[0]}?)"
    raise ValueError(f"{way} {_VERBS[way]} no {', '.join(foreign)}{hint}; allowed: {', '.join(WAYS[way])}")
