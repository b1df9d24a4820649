"""Which training pairs would give the answer away, and are left out: a gain must not be leakage.

`labels` leaves out pairs whose target caption is a label of the evaluated language. `strict`, the default, also leaves
out pairs whose English caption is an ImageNet class name or one of the words that WordNet has for a class. Texts are
compared without case, accents of width, control marks and doubled spaces; hyphens and underscores count as spaces.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Collection
from functools import cache

from babel_adapters.captions import Pair, PairSet
from babel_imagenet_dataset.imagenet import english_class_names, synsets

RULES = ("strict", "labels", "none")
LABEL = "target is a label of the language"
CLASS_NAME = "English is a class name or a word of its synset"


def without_leaks(pairs: PairSet, labels: Collection[str], rule: str) -> PairSet:
    """Leave out the pairs that a rule forbids, and count them by reason.

    Args:
      pairs: training pairs of one language.
      labels: all labels of the evaluated language.
      rule: `strict`, `labels`, or `none` (which forbids nothing, and is no measure of a gain).

    Raises:
      ValueError: the rule is unknown, or leaves no pair.
    """
    if rule not in RULES:
        raise ValueError(f"leakage rule {rule!r} is unknown; allowed: {', '.join(RULES)}")
    if rule == "none":
        return pairs
    known_labels = {comparable(label) for label in labels}
    known_names = english_answers() if rule == "strict" else frozenset[str]()
    kept: list[Pair] = []
    n_labels = n_names = 0
    for pair in pairs.pairs:
        if comparable(pair.target) in known_labels:
            n_labels += 1
        elif pair.english is not None and comparable(pair.english) in known_names:
            n_names += 1
        else:
            kept.append(pair)
    if not kept:
        raise ValueError(f"{pairs.name}: the leakage rule {rule} leaves none of {len(pairs.pairs)} pairs")
    left = pairs.without(LABEL, kept, n_labels)
    return left.without(CLASS_NAME, kept, n_names) if rule == "strict" else left


@cache
def english_answers() -> frozenset[str]:
    """Give the 1000 English class names and all words of their synsets, as `comparable` makes them."""
    words = (lemma for synset in synsets() for lemma in synset.lemmas)
    return frozenset(comparable(text) for text in (*english_class_names(), *words))


def comparable(text: str) -> str:
    """Give a text as it is compared: NFKC, case folded, no format marks, words separated by one space."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    kept = "".join(" " if c in "-_‐‑" else c for c in folded if unicodedata.category(c) != "Cf")
    return " ".join(kept.split())
