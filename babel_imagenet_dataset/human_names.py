"""Class names that people translated, for four languages; and how the labels agree with them.

`clip-benchmark` ships names of all 1000 classes in Arabic, Japanese, Chinese and Italian, made by people for CLIP
models of these languages. They are another person's choice among synonyms: a label that differs is not wrong for
that, but a label that is the human name of another class deserves a look.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

from babel_imagenet_dataset.cleaning import strip_dictionary_marks
from babel_imagenet_dataset.files import read_json
from babel_imagenet_dataset.imagenet import N_CLASSES
from babel_imagenet_dataset.packaged import packaged_file
from babel_imagenet_dataset.release import LanguageLabels

_FILES = {
    "AR": ("ar", "0fbd47c3112d8f049f4084e7ed4227a104db4c5df24ef675ba6eb7794cf96ade"),
    "IT": ("it", "c68e61e8614c00a92419ff7676bbd9dadb0487851c5eaaa2056c4d0d137ca9b7"),
    "JA": ("jp", "a08fbd6414c43298a3349cf0b5210eb29e3a39e3fee09d8b56d03c5ff4448013"),
    "ZH": ("cn", "f0e04ba5319b12c197f3c622f2fe2b1407bf333ced8fd0f61225e68d933ac6e6"),
}
HUMAN_LANGUAGES = tuple(_FILES)
_ITALIAN_ARTICLE = re.compile(r"^(?:un['’]|un[oa]?\s)")


@dataclass(frozen=True)
class HumanAgreement:
    """How the labels of a language agree with the names that people gave.

    Attributes:
      language: BabelNet's code.
      n_classes: classes with a label.
      n_equal: labels equal to the human name of their class, case, spaces, marks and articles aside.
      n_of_other_class: labels that are the human name of another class, and not of their own.
      of_other_class: those, as (class index, the other's class index).
    """

    language: str
    n_classes: int
    n_equal: int
    n_of_other_class: int
    of_other_class: tuple[tuple[int, int], ...]


@cache
def human_names(code: str) -> tuple[str, ...]:
    """Give the 1000 human names of a language by class index, without spaces at their ends.

    Args:
      code: one of `HUMAN_LANGUAGES`.

    Raises:
      ValueError: there are none for the language, or the file's sha256 is another.
      ImportError: clip-benchmark is not installed.
    """
    if code not in _FILES:
        raise ValueError(f"there are no human names for {code!r}; there are for {', '.join(HUMAN_LANGUAGES)}")
    stem, sha256 = _FILES[code]
    path = packaged_file("clip-benchmark", f"clip_benchmark/datasets/{stem}_classnames.json", sha256, "sample")
    names = tuple(name.strip() for name in read_json(path)["imagenet1k"])
    if len(names) != N_CLASSES:
        raise ValueError(f"{path}: {len(names)} names, expected {N_CLASSES}")
    return names


def agreement(labels: LanguageLabels) -> HumanAgreement:
    """Compare the labels of a language with its human names.

    Raises: as `human_names`.
    """
    return compare_names(labels, dict(enumerate(human_names(labels.code))))


def compare_names(labels: LanguageLabels, names: Mapping[int, str]) -> HumanAgreement:
    """Compare labels with names of the same language.

    Args:
      labels: a language's labels.
      names: name by class index; classes without one are not compared.
    """
    plain = {index: plain_name(name, labels.code) for index, name in names.items()}
    owners: dict[str, list[int]] = {}
    for index, name in plain.items():
        owners.setdefault(name, []).append(index)
    n_equal = 0
    of_other: list[tuple[int, int]] = []
    compared = [(i, label) for i, label in zip(labels.class_index.tolist(), labels.labels, strict=True) if i in plain]
    for index, label in compared:
        found = owners.get(plain_name(label, labels.code), [])
        if index in found:
            n_equal += 1
        elif found:
            of_other.append((index, found[0]))
    return HumanAgreement(labels.code, len(compared), n_equal, len(of_other), tuple(of_other))


def plain_name(name: str, code: str) -> str:
    """Give a name without what sets two spellings of it apart: case, dictionary marks, spaces, Italian articles."""
    text = unicodedata.normalize("NFC", strip_dictionary_marks(name, code)).casefold().strip()
    if code == "IT":
        text = _ITALIAN_ARTICLE.sub("", text)
    return "".join(char for char in text if char.isalnum() or unicodedata.category(char) == "Mc")
