"""Labels from open wordnets that share Princeton WordNet 3.0's synsets: languages without BabelNet's licence."""

from __future__ import annotations

import unicodedata
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from babel_imagenet_dataset.imagenet import synsets
from babel_imagenet_dataset.release import LanguageLabels
from babel_imagenet_dataset.selection import ChosenLabel, Selection, Sense, english_lemmas, select
from babel_imagenet_dataset.wordnet_files import Wordnet


@dataclass(frozen=True)
class Agreement:
    """How the labels of a language compare with released ones, on the classes that both have.

    Attributes:
      language: BabelNet's code.
      n_both: classes that both have.
      n_equal: classes with the same label, regardless of case.
      n_listed: classes whose released label is any of the source's words for the class, regardless of case.
      n_same_letters: the same, comparing letters alone: without spaces, hyphens and marks, regardless of case.
      n_only_source: classes that the release lacks.
      n_only_release: classes that the source lacks.
      differing: (class index, released label, the source's label) where the release's is, case aside, none of the
        source's words.
    """

    language: str
    n_both: int
    n_equal: int
    n_listed: int
    n_same_letters: int
    n_only_source: int
    n_only_release: int
    differing: tuple[tuple[int, str, str], ...]


def from_wordnets(
    wordnets: Sequence[Wordnet], languages: Collection[str] | None = None, min_classes: int = 0
) -> Selection:
    """Apply the paper's rule to wordnets.

    Args:
      wordnets: in order of preference; several of one language are read as one, one after the other.
      languages: BabelNet's codes to keep; None keeps all.
      min_classes: languages with fewer labels are left out.

    Returns:
      the labels. English words, which other languages' labels may not equal, are those of WordNet 3.0 and of any
      English wordnet among those given.
    """
    senses: dict[int, list[Sense]] = {}
    glosses: dict[str, dict[int, str]] = {}
    for wordnet in wordnets:
        for class_index, words in wordnet.senses.items():
            senses.setdefault(class_index, []).extend(words)
        glosses[wordnet.language] = wordnet.glosses | glosses.get(wordnet.language, {})
    english = english_lemmas([*princeton_senses(), *(sense for words in senses.values() for sense in words)])
    chosen = select(senses, english, languages, min_classes)
    meta = {
        "source": "wordnets",
        "wordnets": [{"name": w.name, "language": w.language, "license": w.license} for w in wordnets],
        "languages_without_labels": sorted(set(languages or ()) - set(chosen.labels)),
    }
    return Selection(chosen.labels, chosen.without_label, meta, glosses)


def princeton_senses() -> list[Sense]:
    """Give the English words of the 1000 classes in Princeton WordNet 3.0."""
    return [
        Sense(lemma.replace(" ", "_"), "EN", "WN", f"wn:{synset.wnid[1:]}n")
        for synset in synsets()
        for lemma in synset.lemmas
    ]


def compare(selection: Selection, released: Mapping[str, LanguageLabels]) -> list[Agreement]:
    """Compare labels with released ones, language by language.

    Args:
      selection: labels with their other senses.
      released: labels of the released file by code; languages that it lacks are passed over.

    Returns:
      one comparison for each language that both have, by code.
    """
    return [
        _compare(language, {chosen.class_index: chosen for chosen in labels}, released[language])
        for language, labels in sorted(selection.labels.items())
        if language in released
    ]


def _compare(language: str, chosen: dict[int, ChosenLabel], released: LanguageLabels) -> Agreement:
    theirs = dict(zip(map(int, released.class_index), released.labels, strict=True))
    both = sorted(set(chosen) & set(theirs))
    words = {i: [chosen[i].label, *(other.lemma.replace("_", " ") for other in chosen[i].others)] for i in both}
    listed = {i for i in both if theirs[i].casefold() in map(str.casefold, words[i])}
    return Agreement(
        language=language,
        n_both=len(both),
        n_equal=sum(theirs[i].casefold() == chosen[i].label.casefold() for i in both),
        n_listed=len(listed),
        n_same_letters=sum(_letters(theirs[i]) in map(_letters, words[i]) for i in both),
        n_only_source=len(set(chosen) - set(theirs)),
        n_only_release=len(set(theirs) - set(chosen)),
        differing=tuple((i, theirs[i], chosen[i].label) for i in both if i not in listed),
    )


def _letters(text: str) -> str:
    return "".join(char for char in unicodedata.normalize("NFD", text.casefold()) if char.isalnum())
