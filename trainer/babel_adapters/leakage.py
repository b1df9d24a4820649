"""Which training pairs would give the answer away, and are left out: a gain must not be leakage.

`labels` leaves out pairs whose target caption is a label of the evaluated language. `strict`, the default, also
leaves out pairs whose English caption is an ImageNet class name or one of the words that WordNet has for a class.
Where retrieval is measured too, `labels` also leaves out captions of the retrieval set in the target language, and
`strict` those whose English caption stands in it. Texts are compared as they are and as the labels' own cleaning
leaves them, without stress marks, bracketed hints and stray punctuation; what `comparable` names makes no difference.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Collection, Mapping, Set
from functools import cache

from babel_adapters.pairs import Pair, PairSet
from babel_imagenet_dataset.cleaning import STEPS, clean_label
from babel_imagenet_dataset.imagenet import english_class_names, synsets

RULES = ("strict", "labels", "none")
LABEL = "target is a label of the language"
TEST_CAPTION = "target is a caption of the retrieval set"
TEST_ENGLISH = "English is a caption of the retrieval set"
CLASS_NAME = "English is a class name or a word of its synset"
# Steps that spell a text otherwise; those that decide whether a label is fit to be one do not matter here.
_SPELLING = frozenset(step for step in STEPS if step.startswith("clean_")) - {"clean_duplicate"}
# Hyphens are spaces, apostrophes of any form nothing; ё is written е, and a Turkish ı may stand for the I of a capital.
_SAME = str.maketrans({**dict.fromkeys("-_‐‑", " "), **dict.fromkeys("'’‘ʼʻ`׳", ""), "ё": "е", "Ё": "е", "ı": "i"})


def without_leaks(
    pairs: PairSet,
    labels: Collection[str],
    rule: str,
    *,
    language: str,
    captions: Collection[str] = (),
    english_captions: Collection[str] = (),
) -> PairSet:
    """Leave out the pairs that a rule forbids, and count them by reason.

    Args:
      pairs: training pairs of one language.
      labels: all labels of the evaluated language.
      rule: `strict`, `labels`, or `none` (which forbids nothing, and is no measure of a gain).
      language: BabelNet's code of the language, by whose spelling labels and targets are compared.
      captions: captions in the language of the retrieval set that is evaluated.
      english_captions: that set's English captions.

    Raises:
      ValueError: the rule is unknown, or leaves no pair.
    """
    if rule not in RULES:
        raise ValueError(f"leakage rule {rule!r} is unknown; allowed: {', '.join(RULES)}")
    if rule == "none":
        return pairs
    target_answers = {LABEL: {form for label in labels for form in spellings(label, language)}}
    english: dict[str, Set[str]] = {}
    if captions:
        target_answers[TEST_CAPTION] = {comparable(caption) for caption in captions}
    if rule == "strict":
        english[CLASS_NAME] = english_answers()
        if english_captions:
            english[TEST_ENGLISH] = {comparable(caption) for caption in english_captions}
    counts = dict.fromkeys([*target_answers, *english], 0)
    kept: list[Pair] = []
    for pair in pairs.pairs:
        reason = _found(spellings(pair.target, language), target_answers)
        if not reason and pair.english:
            reason = _found(spellings(pair.english, "EN"), english)
        if reason:
            counts[reason] += 1
        else:
            kept.append(pair)
    if not kept:
        raise ValueError(f"{pairs.name}: the leakage rule {rule} leaves none of {len(pairs.pairs)} pairs")
    for reason, n in counts.items():
        pairs = pairs.without(reason, kept, n)
    return pairs


def _found(forms: Set[str], answers: Mapping[str, Set[str]]) -> str | None:
    """Give the first reason whose texts hold one of a text's forms, or None."""
    return next((reason for reason, texts in answers.items() if not forms.isdisjoint(texts)), None)


def spellings(text: str, language: str) -> set[str]:
    """Give a text as it is and as the labels' own cleaning leaves it, both as `comparable` makes them."""
    return {comparable(text), comparable(clean_label(text, language, _SPELLING).label or text)}


@cache
def english_answers() -> frozenset[str]:
    """Give the 1000 English class names and all words of their synsets, as `spellings` makes them."""
    words = (lemma for synset in synsets() for lemma in synset.lemmas)
    return frozenset(form for text in (*english_class_names(), *words) for form in spellings(text, "EN"))


def comparable(text: str) -> str:
    """Give a text as it is compared.

    NFKC and case folded, without format marks and apostrophes; hyphens and underscores are spaces, of which one stays
    between words; ё is е, and dotted and dotless i are one letter, as upper case in Turkish tells them apart and case
    folding does not.
    """
    folded = unicodedata.normalize("NFKC", text).translate(_SAME).casefold().replace("i\u0307", "i")
    kept = "".join(c for c in folded if unicodedata.category(c) != "Cf")
    return " ".join(kept.split())
