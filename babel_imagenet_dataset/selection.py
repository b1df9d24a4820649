"""Senses to labels: the paper's rule as pure functions, and the provenance that every label keeps.

The rule, for each class and language (Geigle et al. 2024, arXiv:2306.08658, section 3, "Class Label Cleaning and
Filtering"; the order of its steps is that of the script which made the released files):

1. Senses whose lemma, lower-cased and with its underscores, equals the lemma of any English sense of any of the 1000
   synsets are dropped: English words that stand in other languages' entries. Automatic translations count among the
   English senses. `tricerátops`, `planetárium` and `sombréro` are dropped with them.
2. Automatic translations are dropped.
3. Of the rest, the first that is neither a Wikipedia redirection nor a Wikidata alias is the label; if there are only
   such, the first of them.
4. Underscores become spaces (at the ends they go: the label file allows no space there).

English itself skips step 1. A class of which no sense is left has no label in that language.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from babel_imagenet_dataset.files import write_json
from babel_imagenet_dataset.imagenet import N_CLASSES

NOT_PREFERRED_SOURCES = frozenset({"WIKIRED", "WIKIDATA_ALIAS"})
ENGLISH_LOOK_ALIKES = frozenset({"tricerátops", "planetárium", "sombréro"})
MIN_CLASSES = 10

ENGLISH = "english"
AUTOMATIC = "automatic"
LATER = "later"


@dataclass(frozen=True)
class Sense:
    """One word for one class in one language, as its source lists it.

    Attributes:
      lemma: the word, with underscores for spaces, in the source's own case.
      language: BabelNet's code, upper case.
      source: where the source has it from, e.g. `WN`, `WIKI`, `WIKIRED`, or the name of a wordnet.
      synset: the source's id of the synset, e.g. `bn:00005054n`.
      is_automatic: True for a machine's translation.
    """

    lemma: str
    language: str
    source: str
    synset: str
    is_automatic: bool = False


@dataclass(frozen=True)
class OtherSense:
    """A sense that did not become the label: `english` and `automatic` were dropped, `later` came after it."""

    lemma: str
    source: str
    why_not: str


@dataclass(frozen=True)
class ChosenLabel:
    """A label and where it comes from.

    Attributes:
      class_index: 0..999 in ImageNet-1k order.
      label: the lemma with spaces for underscores, none at its ends; not changed in any other way.
      synset: the source's id of the synset.
      source: where the source has the word from.
      rank: place of the sense among the senses of its class and language as the source lists them, from 0.
      others: every other sense of the class in the language, in the source's order.
    """

    class_index: int
    label: str
    synset: str
    source: str
    rank: int
    others: tuple[OtherSense, ...] = ()


@dataclass(frozen=True)
class Selection:
    """Labels of several languages, what was left without one, and from what.

    Attributes:
      labels: per language, in class order.
      without_label: per language, the classes that have senses but no label, with those senses.
      meta: where the senses come from, as JSON values.
      glosses: per language and class index, a definition where the source has one.
    """

    labels: dict[str, list[ChosenLabel]]
    without_label: dict[str, dict[int, tuple[OtherSense, ...]]]
    meta: dict[str, Any] = field(default_factory=dict)
    glosses: dict[str, dict[int, str]] = field(default_factory=dict)


def english_lemmas(senses: Iterable[Sense]) -> frozenset[str]:
    """Give what step 1 drops: the lower-cased lemmas of all English senses, and the three look-alikes.

    Args:
      senses: senses of all 1000 synsets, in any languages; those that are not English are passed over.

    Returns:
      the lemmas, with underscores.
    """
    return frozenset(sense.lemma.lower() for sense in senses if sense.language == "EN") | ENGLISH_LOOK_ALIKES


def choose(
    class_index: int, senses: Sequence[Sense], english: Collection[str]
) -> tuple[ChosenLabel | None, tuple[OtherSense, ...]]:
    """Choose the label of one class in one language.

    Args:
      class_index: 0..999.
      senses: all senses of the class in one language, in the source's order.
      english: what `english_lemmas` gave; for English itself it is not used.

    Returns:
      the label, or None if no sense is left; and the senses that are not the label, in the source's order.

    Raises:
      ValueError: the senses are of several languages.
    """
    languages = {sense.language for sense in senses}
    if len(languages) > 1:
        raise ValueError(f"class {class_index}: senses of one language are wanted, got {sorted(languages)}")
    fates = [_fate(sense, english) for sense in senses]
    kept = [rank for rank, fate in enumerate(fates) if fate == LATER]
    preferred = [rank for rank in kept if senses[rank].source not in NOT_PREFERRED_SOURCES]
    chosen = next(iter(preferred or kept), None)
    others = tuple(
        OtherSense(sense.lemma, sense.source, fate)
        for rank, (sense, fate) in enumerate(zip(senses, fates, strict=True))
        if rank != chosen
    )
    if chosen is None:
        return None, others
    sense = senses[chosen]
    label = sense.lemma.replace("_", " ").strip()
    return ChosenLabel(class_index, label, sense.synset, sense.source, chosen, others), others


def select(
    senses: Mapping[int, Sequence[Sense]],
    english: Collection[str],
    languages: Collection[str] | None = None,
    min_classes: int = 0,
) -> Selection:
    """Choose the labels of all classes in all languages.

    Args:
      senses: per class index 0..999 its senses in all languages, in the source's order.
      english: what `english_lemmas` gave of the senses of all 1000 synsets.
      languages: BabelNet's codes to keep; None keeps every language that has senses.
      min_classes: languages with fewer labels are left out; the release of 298 languages took 10 (`MIN_CLASSES`).

    Returns:
      the labels, languages in order of their code. Languages without any label are in no list of labels.

    Raises:
      ValueError: a class index is outside 0..999.
    """
    _check_indices(senses)
    labels: dict[str, list[ChosenLabel]] = {}
    without: dict[str, dict[int, tuple[OtherSense, ...]]] = {}
    for class_index in sorted(senses):
        for language, of_language in _by_language(senses[class_index], languages).items():
            label, others = choose(class_index, of_language, english)
            if label is None:
                without.setdefault(language, {})[class_index] = others
            else:
                labels.setdefault(language, []).append(label)
    kept = {code: labels[code] for code in sorted(labels) if len(labels[code]) >= min_classes}
    return Selection(kept, {code: without[code] for code in sorted(without)})


def release_form(selection: Selection) -> dict[str, list[list[Any]]]:
    """Give the labels in the release's own form: `{CODE: [[class indices], [labels]]}`."""
    return {
        language: [[chosen.class_index for chosen in labels], [chosen.label for chosen in labels]]
        for language, labels in selection.labels.items()
    }


def provenance_form(selection: Selection) -> dict[str, Any]:
    """Give what stands beside the labels as JSON values: `meta`, and by language `labels` and `without_label`."""
    glosses = selection.glosses
    return {
        "meta": selection.meta,
        "labels": {
            language: {
                str(chosen.class_index): _record(chosen, glosses.get(language, {}).get(chosen.class_index))
                for chosen in labels
            }
            for language, labels in selection.labels.items()
        },
        "without_label": {
            language: {str(class_index): [asdict(other) for other in others] for class_index, others in classes.items()}
            for language, classes in selection.without_label.items()
        },
    }


def write_selection(selection: Selection, path: Path | str) -> Path:
    """Write the labels in the release's form to `path`, and their provenance beside it.

    Returns:
      the path of the provenance: `labels.json` has `labels.provenance.json`.

    Raises:
      ValueError: there is no label at all.
    """
    if not selection.labels:
        raise ValueError("no language has a label: nothing to write; see what the source holds for these languages")
    beside = provenance_path(path)
    write_json(beside, provenance_form(selection))
    write_json(path, release_form(selection))
    return beside


def provenance_path(path: Path | str) -> Path:
    """Give where the provenance of a label file lies: `labels.provenance.json` beside `labels.json`."""
    return Path(path).with_suffix(".provenance.json")


def _record(chosen: ChosenLabel, gloss: str | None) -> dict[str, Any]:
    record = asdict(chosen)
    del record["class_index"]
    return record if gloss is None else record | {"gloss": gloss}


def _fate(sense: Sense, english: Collection[str]) -> str:
    if sense.language != "EN" and sense.lemma.lower() in english:
        return ENGLISH
    return AUTOMATIC if sense.is_automatic else LATER


def _by_language(senses: Sequence[Sense], wanted: Collection[str] | None) -> dict[str, list[Sense]]:
    found: dict[str, list[Sense]] = {}
    for sense in senses:
        if wanted is None or sense.language in wanted:
            found.setdefault(sense.language, []).append(sense)
    return found


def _check_indices(senses: Mapping[int, Sequence[Sense]]) -> None:
    wrong = sorted(index for index in senses if not 0 <= index < N_CLASSES)
    if wrong:
        raise ValueError(f"class indices must be in 0..{N_CLASSES - 1}, got {wrong[:5]}")
