"""Which training pairs would give the answer away, and are left out: a gain must not be leakage.

`labels` leaves out pairs whose target caption is a label of the evaluated language. `strict`, the default, also
leaves out pairs whose English caption is an ImageNet class name or one of the words that WordNet has for a class.
Where retrieval is measured too, `labels` also leaves out captions of the retrieval set in the target language, and
`strict` those whose English caption stands in it. Texts are compared without case, accents of width, control marks
and doubled spaces; hyphens and underscores count as spaces.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Collection, Mapping
from functools import cache

from babel_adapters.captions import Pair, PairSet
from babel_imagenet_dataset.imagenet import english_class_names, synsets

RULES = ("strict", "labels", "none")
LABEL = "target is a label of the language"
TEST_CAPTION = "target is a caption of the retrieval set"
TEST_ENGLISH = "English is a caption of the retrieval set"
CLASS_NAME = "English is a class name or a word of its synset"


def without_leaks(
    pairs: PairSet,
    labels: Collection[str],
    rule: str,
    *,
    captions: Collection[str] = (),
    english_captions: Collection[str] = (),
) -> PairSet:
    """Leave out the pairs that a rule forbids, and count them by reason.

    Args:
      pairs: training pairs of one language.
      labels: all labels of the evaluated language.
      rule: `strict`, `labels`, or `none` (which forbids nothing, and is no measure of a gain).
      captions: captions in the language of the retrieval set that is evaluated.
      english_captions: that set's English captions.

    Raises:
      ValueError: the rule is unknown, or leaves no pair.
    """
    if rule not in RULES:
        raise ValueError(f"leakage rule {rule!r} is unknown; allowed: {', '.join(RULES)}")
    if rule == "none":
        return pairs
    target_answers = {LABEL: {comparable(label) for label in labels}}
    english: dict[str, Collection[str]] = {}
    if captions:
        target_answers[TEST_CAPTION] = {comparable(caption) for caption in captions}
    if rule == "strict":
        english[CLASS_NAME] = english_answers()
        if english_captions:
            english[TEST_ENGLISH] = {comparable(caption) for caption in english_captions}
    counts = dict.fromkeys([*target_answers, *english], 0)
    kept: list[Pair] = []
    for pair in pairs.pairs:
        reason = _found(pair.target, target_answers) or (pair.english and _found(pair.english, english))
        if reason:
            counts[reason] += 1
        else:
            kept.append(pair)
    if not kept:
        raise ValueError(f"{pairs.name}: the leakage rule {rule} leaves none of {len(pairs.pairs)} pairs")
    for reason, n in counts.items():
        pairs = pairs.without(reason, kept, n)
    return pairs


def _found(text: str, answers: Mapping[str, Collection[str]]) -> str | None:
    """Give the first reason whose texts hold a text, or None."""
    known = comparable(text)
    return next((reason for reason, texts in answers.items() if known in texts), None)


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
