"""Cleaned labels: the column `label_clean` beside the released `label`, by rules that anyone can check and undo.

A rule acts where it is sure and leaves the rest alone; a label that no rule can mend with certainty becomes null, and
its class has no cleaned label in that language. Every step that changed something is named, with the text before and
after it, so that each can be undone or left out on its own. English, whose labels are the OpenAI names, is not touched.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from babel_imagenet_dataset.audit import LONGEST, has_dictionary_mark, has_stray_punctuation, is_off_script
from babel_imagenet_dataset.languages import language, letters_of
from babel_imagenet_dataset.release import LanguageLabels

STEPS = {
    "clean_nfc": "put into Unicode normal form C",
    "clean_invisible_mark": "controls and direction marks taken out; U+200C and U+200D are spelling and stay",
    "clean_diacritic_mark": "stress, tone, niqqud or tashkeel taken out, which the language's spelling leaves out",
    "clean_markup": "wiki brackets taken out; of a path with two slashes or more the last part kept",
    "clean_parenthesis": "a bracketed hint at the end or the beginning taken out",
    "clean_stray_punctuation": "punctuation at an end, which belongs to no word, taken out",
    "null_markup": "null: a template of a wiki",
    "null_off_script": "null: in another script than the language's labels",
    "null_long": "null: a sentence, of more than 45 characters and six words or more",
    "kept_apart": "the bracketed hint stays, as without it the label would equal another one of the language",
    "corrected": "replaced, or set to null, by a decision in `corrections/`",
    "clean_duplicate": "the cleaned label equals another one of the language, from which the released label differs",
}
"""Each step with what it does, in order."""

# Navajo names animals and things by describing them: its long labels are names.
_LONG_NAMES = frozenset({"NV"})
_SENTENCE_WORDS = 6
_JOINERS = frozenset("\u200c\u200d")
_VISIBLE_FORMAT = frozenset("\u0600\u0601\u0602\u0603\u0604\u0605\u06dd\u070f\u08e2")
_AT_END = re.compile(r"^(?P<rest>.*\S)(?:\s+\(.*\)|\s*（.*）|\s+\[.*\])$")
_AT_START = re.compile(r"^\([^()]*\)\s+(?P<rest>\S.*)$")
_LINK = re.compile(r"\[\[(?:[^\[\]|]*\|)?([^\[\]|]*)\]\]")
_TEMPLATE = re.compile(r"\{\{|\}\}|⦃⦃|⦄⦄|¦")
_EDGE_PUNCTUATION = "!?.,;:*·"


@dataclass(frozen=True)
class Change:
    """One step's change: its name out of `STEPS`, and the text before and after; `after` None says null."""

    step: str
    before: str
    after: str | None


@dataclass(frozen=True)
class CleanLabel:
    """A cleaned label.

    Attributes:
      label: the text; None where the class has no cleaned label.
      changes: what was done, in order; empty where the released label stays as it is.
    """

    label: str | None
    changes: tuple[Change, ...] = ()

    @property
    def steps(self) -> tuple[str, ...]:
        """Names of the steps, in order."""
        return tuple(change.step for change in self.changes)


def clean_labels(
    labels: LanguageLabels,
    corrections: Mapping[int, str | None] | None = None,
    steps: Collection[str] = frozenset(STEPS),
) -> list[CleanLabel]:
    """Clean the labels of one language.

    Args:
      labels: a language's released labels.
      corrections: per class index the decided label, or None for no label; whether a decision fits the released label
        is checked where it is read (`corrections.accepted`).
      steps: names out of `STEPS` that may act; all of them where it is not given.

    Returns:
      one for each row, in the same order. English comes back as it is.

    Raises:
      ValueError: a step is not known.
    """
    unknown = sorted(set(steps) - set(STEPS))
    if unknown:
        raise ValueError(f"steps {unknown} are not known; there is: {', '.join(STEPS)}")
    if labels.code == "EN":
        return [CleanLabel(label) for label in labels.labels]
    cleaned = [clean_label(label, labels.code, steps) for label in labels.labels]
    if "kept_apart" in steps:
        cleaned = _keep_apart(labels, cleaned, steps)
    decided = corrections if corrections and "corrected" in steps else {}
    cleaned = [_correct(one, index, decided) for index, one in zip(labels.class_index.tolist(), cleaned, strict=True)]
    return _note_duplicates(labels, cleaned) if "clean_duplicate" in steps else cleaned


def clean_label(label: str, code: str, steps: Collection[str] = frozenset(STEPS)) -> CleanLabel:
    """Clean one label by itself, without regard to the others of its language.

    Args:
      label: the released label.
      code: BabelNet's code.
      steps: names out of `STEPS` that may act.
    """
    allowed = letters_of(language(code).script)
    changes: list[Change] = []
    text = label
    for step, act in _TEXT_STEPS.items():
        after = act(text, code).strip() if step in steps else text
        if after not in (text, ""):
            changes.append(Change(step, text, after))
            text = after
    reasons = {
        "null_markup": _TEMPLATE.search(text) is not None,
        "null_off_script": is_off_script(text, allowed),
        "null_long": _is_sentence(text, code),
    }
    reason = next((step for step, holds in reasons.items() if holds and step in steps), None)
    if reason is None:
        return CleanLabel(text, tuple(changes))
    return CleanLabel(None, (*changes, Change(reason, text, None)))


def strip_dictionary_marks(text: str, code: str) -> str:
    """Take out the marks by which `audit.has_dictionary_mark` knows dictionary spelling, and no other mark."""
    kept: list[str] = []
    bearer = ""
    for char in unicodedata.normalize("NFD", text):
        if not unicodedata.combining(char):
            bearer = char
        elif has_dictionary_mark(bearer + char, code):
            continue
        kept.append(char)
    return unicodedata.normalize("NFC", "".join(kept))


def _keep_apart(labels: LanguageLabels, cleaned: list[CleanLabel], steps: Collection[str]) -> list[CleanLabel]:
    """Put the bracketed hint back where its loss made two labels equal."""
    times = Counter(one.label for one in cleaned if one.label is not None)
    others = frozenset(steps) - {"clean_parenthesis"}
    kept = []
    for label, one in zip(labels.labels, cleaned, strict=True):
        if one.label is not None and times[one.label] > 1 and "clean_parenthesis" in one.steps:
            without = clean_label(label, labels.code, others)
            one = CleanLabel(without.label, (*without.changes, Change("kept_apart", label, without.label)))
        kept.append(one)
    return kept


def _note_duplicates(labels: LanguageLabels, cleaned: list[CleanLabel]) -> list[CleanLabel]:
    """Note where a cleaned label equals another one though the released labels differ."""
    released: dict[str, set[str]] = {}
    for label, one in zip(labels.labels, cleaned, strict=True):
        if one.label is not None:
            released.setdefault(one.label, set()).add(label)
    return [
        CleanLabel(one.label, (*one.changes, Change("clean_duplicate", label, one.label)))
        if one.label is not None and len(released[one.label]) > 1
        else one
        for label, one in zip(labels.labels, cleaned, strict=True)
    ]


def _correct(one: CleanLabel, class_index: int, decided: Mapping[int, str | None]) -> CleanLabel:
    if class_index not in decided:
        return one
    return CleanLabel(decided[class_index], (*one.changes, Change("corrected", one.label or "", decided[class_index])))


def _compose(text: str, code: str) -> str:
    return unicodedata.normalize("NFC", text)


def _drop_invisible(text: str, code: str) -> str:
    return "".join(char for char in text if not _is_invisible(char)).strip()


def _is_invisible(char: str) -> bool:
    if char in _JOINERS or char in _VISIBLE_FORMAT:
        return False
    return unicodedata.category(char) in ("Cc", "Cf", "Zl", "Zp")


def _drop_dictionary_marks(text: str, code: str) -> str:
    return strip_dictionary_marks(text, code) if has_dictionary_mark(text, code) else text


def _drop_markup(text: str, code: str) -> str:
    plain = _LINK.sub(r"\1", text)
    return plain.rpartition("/")[2].strip() if plain.count("/") > 1 else plain


def _drop_hint(text: str, code: str) -> str:
    found = _AT_END.match(text) or _AT_START.match(text)
    rest = found["rest"].strip() if found else ""
    return rest if re.search(r"\w", rest) and rest.count("(") == rest.count(")") else text


def _drop_stray_punctuation(text: str, code: str) -> str:
    return text.strip(_EDGE_PUNCTUATION + " ") if has_stray_punctuation(text) else text


_TEXT_STEPS = {
    "clean_nfc": _compose,
    "clean_invisible_mark": _drop_invisible,
    "clean_diacritic_mark": _drop_dictionary_marks,
    "clean_markup": _drop_markup,
    "clean_parenthesis": _drop_hint,
    "clean_stray_punctuation": _drop_stray_punctuation,
}


def _is_sentence(text: str, code: str) -> bool:
    return len(text) > LONGEST and len(text.split()) >= _SENTENCE_WORDS and code not in _LONG_NAMES
