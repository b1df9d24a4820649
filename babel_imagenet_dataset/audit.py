"""What is wrong with the labels: rules that look at the text alone. No label is changed; each rule gives a flag.

The counts that the rules give on the published files stand in the tests.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache

from babel_imagenet_dataset.imagenet import english_class_names
from babel_imagenet_dataset.languages import language, letters_of
from babel_imagenet_dataset.release import LanguageLabels

FLAGS = {
    "duplicate": "another class of the language has exactly this label; of equal labels only the first can win",
    "parenthesis": "holds a bracket, mostly the hint by which a Wikipedia title is told apart: `boxer (chien)`",
    "invisible_mark": "holds an invisible control character, mostly U+200E; not U+200C and U+200D, which are spelling",
    "diacritic_mark": "holds a mark that dictionaries add and spelling leaves out: stress, tone, niqqud, tashkeel",
    "off_script": "most of its letters (a tie: the first) are in another script than the language's labels",
    "mixed_script": "one word mixes letters of Latin, Cyrillic or Greek, which look alike and are tokenised apart",
    "markup": "holds wiki markup, a slash or a path: `[[wandelende]] [[tak]]`",
    "stray_punctuation": "begins or ends with punctuation that is no part of a word, or holds `;`, `*` or `¦`",
    "long": "has more than 45 characters: a description rather than a name",
    "not_nfc": "is not in Unicode normal form C: equal to the eye, another text to a tokenizer",
    "equals_english": "equals the English class name but for case: a loan, a name, or never translated",
}
"""Each flag with its rule, in the order in which a row lists them."""

TEMPLATE_FLAGS = {
    "duplicate": "another template of the language is exactly the same; the mean over all gives it more weight",
    "lost_slot": "the translation lost its slot, so that it was put at the end: ends with one space and `{}`",
    "bare": "holds no word beside the slot",
    "degenerate": "holds a piece of up to 12 characters, blanks included, five times in a row or more",
    "double_space": "holds two spaces in a row",
    "script_mismatch": "most of its letters are in another script than the language's labels",
}
"""Each flag of a template with its rule."""

LONGEST = 45

_BRACKETS = re.compile(r"[()\[\]（）]")
_MARKUP = re.compile(r"\[\[|\]\]|\{\{|\}\}|[/<>&|]")
# Controls, soft hyphen, zero-width space, direction marks and embeddings, byte order mark; the joiners are not here.
_INVISIBLE = re.compile(
    "[\x00-\x1f\x7f-\x9f\u00ad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]"
)
_LOOK_ALIKE = frozenset({"Latn", "Cyrl", "Grek"})
# What may open or close a word: quotes and apostrophes, brackets, the stops of Tibetan, Ethiopic and Devanagari.
_EDGES = frozenset("'‘’`\"“”«»׳״()[]（）་།።")
_REPEATED = re.compile(r"(.{1,12}?)\1{4,}")
_NEVER = re.compile("[;*¦]")
_ABBREVIATED = re.compile(r"\b\w{1,3}\.$")

# Niqqud, then tashkeel.
_POINTS = re.compile("[\u05b0-\u05bd\u05bf\u05c1\u05c2\u05c7\u064b-\u0652\u0670]")
# A character before a combining accent; in form C those of the letters ѓ, ќ, ѐ, ѝ, ӯ are part of them.
_STRESSED = re.compile("(.)[\u0300\u0301\u0304\u030f\u0311]")
# Yiddish and Kashmiri cannot be spelled without points, so theirs are no dictionary marks.
_POINTS_ARE_SPELLING = frozenset({"YI", "KS"})
# Latin alphabets of which no vowel (nor r) bears these marks outside dictionaries; ć and ś are consonants and stay.
_TONED_LATIN = {
    **dict.fromkeys(("BS", "HR", "SH", "SL", "SR"), frozenset("\u0300\u0301\u0302\u0304\u030f\u0311\u0323")),
    "LT": frozenset("\u0300\u0301\u0303"),
    "LA": frozenset("\u0304\u0306"),
    "ANG": frozenset("\u0304"),
}
_TONE_BEARERS = frozenset("aeiouyæœrlmnɐə")


def flag_labels(labels: LanguageLabels) -> list[tuple[str, ...]]:
    """Give the flags of each row of a language.

    Args:
      labels: a language's labels.

    Returns:
      for each row, names out of `FLAGS`, in the order of `FLAGS`; () where nothing is wrong.
    """
    times = Counter(labels.labels)
    english = english_class_names()
    allowed = letters_of(language(labels.code).script)
    flagged = []
    for index, label in zip(labels.class_index.tolist(), labels.labels, strict=True):
        found = {
            "duplicate": times[label] > 1,
            "off_script": is_off_script(label, allowed),
            "diacritic_mark": has_dictionary_mark(label, labels.code),
            "equals_english": labels.code != "EN" and label.casefold() == english[index].casefold(),
            **{flag: rule(label) for flag, rule in _PLAIN_RULES.items()},
        }
        flagged.append(tuple(flag for flag in FLAGS if found[flag]))
    return flagged


def is_flagged(flags: Iterable[str]) -> bool:
    """Tell whether a label with these flags counts as flagged: `equals_english` by itself is no defect.

    Args:
      flags: names out of `FLAGS`; other names, such as those of the steps of cleaning, play no part.
    """
    return any(flag in FLAGS and flag != "equals_english" for flag in flags)


def flag_templates(templates: Sequence[str], code: str | None = None) -> list[tuple[str, ...]]:
    """Give the flags of each template of a language.

    Args:
      templates: all templates of the language.
      code: BabelNet's code; without it no script is compared.

    Returns:
      for each template, names out of `TEMPLATE_FLAGS`, in its order.
    """
    times = Counter(templates)
    allowed = letters_of(language(code).script) if code else frozenset()
    flagged = []
    for template in templates:
        found = {
            "duplicate": times[template] > 1,
            "lost_slot": template.endswith(" {}") and not template.endswith("  {}"),
            "bare": not re.search(r"\w", template.replace("{}", "")),
            "degenerate": _REPEATED.search(template) is not None,
            "double_space": "  " in template,
            "script_mismatch": bool(allowed) and is_off_script(template, allowed),
        }
        flagged.append(tuple(flag for flag in TEMPLATE_FLAGS if found[flag]))
    return flagged


def count_flags(languages: Mapping[str, LanguageLabels]) -> dict[str, int]:
    """Count, for each flag, the labels of all the languages that have it."""
    counts = Counter(flag for labels in languages.values() for flags in flag_labels(labels) for flag in flags)
    return {flag: counts[flag] for flag in FLAGS}


def ceiling(labels: Iterable[str]) -> float:
    """Give the highest accuracy, a fraction 0-1, that a classifier over these labels can reach with one photo a class.

    Of equal labels only the first row can be predicted, so it is the number of distinct labels over that of all.
    """
    rows = list(labels)
    if not rows:
        raise ValueError("there is no label")
    return len(set(rows)) / len(rows)


def is_off_script(label: str, allowed: frozenset[str]) -> bool:
    """Tell whether the most frequent script among the label's letters is not in `allowed`.

    Args:
      label: any text; without letters of a definite script it is not off script.
      allowed: ISO 15924 codes as Unicode gives them to letters (`languages.letters_of`).
    """
    counts = Counter(None if script in allowed else script for script in _scripts(label))
    return bool(counts) and counts.most_common(1)[0][0] is not None


def has_dictionary_mark(label: str, code: str) -> bool:
    """Tell whether a label bears stress, tone, niqqud or tashkeel that the language's ordinary spelling leaves out."""
    if label.isascii():
        return False
    composed = unicodedata.normalize("NFC", label)
    if code not in _POINTS_ARE_SPELLING and _POINTS.search(composed):
        return True
    if any(_script(before) in ("Cyrl", "Zinh") for before in _STRESSED.findall(composed)):
        return "Cyrl" in map(_script, composed)
    toned = _TONED_LATIN.get(code)
    return toned is not None and not toned.isdisjoint(_marks_on_tone_bearers(composed))


def mixes_scripts(label: str) -> bool:
    """Tell whether one word of the label holds letters of two of Latin, Cyrillic and Greek."""
    if label.isascii() or len(_LOOK_ALIKE.intersection(_scripts(label))) < 2:
        return False
    return any(len(_LOOK_ALIKE.intersection(_scripts(word))) > 1 for word in re.split(r"[\W\d_]+", label))


def has_stray_punctuation(label: str) -> bool:
    """Tell whether a label begins or ends with punctuation that belongs to no word, or holds `;`, `*` or `¦`."""
    seen = _INVISIBLE.sub("", label)
    if _NEVER.search(seen):
        return True
    edges = [char for char in (seen[:1], "" if _ABBREVIATED.search(seen) else seen[-1:]) if char and char not in _EDGES]
    return any(unicodedata.category(char)[0] in "PS" for char in edges)


_PLAIN_RULES: dict[str, Callable[[str], bool]] = {
    "parenthesis": lambda label: _BRACKETS.search(label) is not None,
    "invisible_mark": lambda label: _INVISIBLE.search(label) is not None,
    "mixed_script": mixes_scripts,
    "markup": lambda label: _MARKUP.search(label) is not None,
    "stray_punctuation": has_stray_punctuation,
    "long": lambda label: len(label) > LONGEST,
    "not_nfc": lambda label: not unicodedata.is_normalized("NFC", label),
}


def _scripts(text: str) -> list[str]:
    """Give the script of each letter that has one of its own."""
    return [script for char in text if (script := _letter_script(char)) is not None]


@cache
def _letter_script(char: str) -> str | None:
    return None if not char.isalpha() or _script(char) in ("Zyyy", "Zinh", "Zzzz") else _script(char)


@cache
def _script(char: str) -> str:
    from fontTools.unicodedata import script

    return str(script(char))


def _marks_on_tone_bearers(label: str) -> Iterable[str]:
    """Give the marks that stand on vowels, or on consonants that can bear a tone, of Latin letters."""
    bearer = False
    for char in unicodedata.normalize("NFD", label):
        if unicodedata.combining(char):
            if bearer:
                yield char
        else:
            bearer = char.casefold() in _TONE_BEARERS
