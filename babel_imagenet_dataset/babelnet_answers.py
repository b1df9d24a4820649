"""BabelNet's JSON into senses: which words a synset's answer holds, and which of them a machine translated."""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from babel_imagenet_dataset.selection import Sense

# Sources made by people. BabelNet calls every source outside this list an automatic translation (its Java and Python
# clients compute that from the source's name; the released labels were made with the rule as of version 5.1 and later,
# in which French wordnets count as human). Some of those outside are human-made wordnets: the rule is kept as it is.
HUMAN_SOURCES = frozenset(
    """
    FRAMENET BABELNET WORD_ATLAS OMWIKI WN WN2020 OEWN IWN WONEF SALDO ICEWN MSTERM GEONM VERBNET WIKI WIKIRED WIKIDIS
    WIKICAT WIKIQU WIKIQUREDI WIKT WIKTLB WIKIDATA WIKIDATA_ALIAS MCR_CA MCR_ES MCR_EU MCR_GL MCR_PT OMWN_AR OMWN_DA
    OMWN_EL OMWN_FA OMWN_FI OMWN_FR OMWN_HE OMWN_IT OMWN_LT OMWN_NL OMWN_NO OMWN_PL OMWN_RO OMWN_SK OMWN_SQ OMWN_TH
    OMWN_ZH
    """.split()  # noqa: SIM905 -- fifty quoted names are harder to read
)
# The source OMWN stands for many wordnets; which of them people made depends on the language.
HUMAN_OMWN_LANGUAGES = frozenset(
    "AR CA DA EL ES EU FA FI GL HE IS IT LT NL NO PL RO SK SQ SV TH ZH".split()  # noqa: SIM905
)
AUTOMATIC_TYPE = "AUTOMATIC_TRANSLATION"


@dataclass(frozen=True)
class Malformed:
    """A sense that could not be read.

    Attributes:
      place: its number in the answer's list of senses, from 0.
      reason: what was wrong and what stood there.
    """

    place: int
    reason: str


@dataclass(frozen=True)
class Answer:
    """What one answer of `getSynset` holds, in its own order.

    Attributes:
      senses: the senses in the languages asked for.
      glosses: the first definition in each language that has one.
      malformed: senses that could not be read.
      other_languages: languages of senses that were not asked for.
    """

    senses: tuple[Sense, ...]
    glosses: dict[str, str]
    malformed: tuple[Malformed, ...]
    other_languages: frozenset[str]


def is_automatic(source: str, language: str, lemma_type: str | None = None) -> bool:
    """Tell whether BabelNet counts a sense as a machine's translation.

    Args:
      source: name of the sense's source, e.g. `WNTR`.
      language: BabelNet's code.
      lemma_type: the lemma's type where the answer states one: `HIGH_QUALITY`, `POTENTIAL_NEAR_SYNONYM_OR_WORSE` or
        `AUTOMATIC_TRANSLATION`.
    """
    if lemma_type == AUTOMATIC_TYPE:
        return True
    if source == "OMWN":
        return language not in HUMAN_OMWN_LANGUAGES
    return source not in HUMAN_SOURCES


def parse_answer(text: str, languages: Collection[str] | None = None) -> Answer:
    """Read an answer of `getSynset`.

    Args:
      text: the raw answer, JSON.
      languages: BabelNet's codes that were asked for; None keeps all.

    Returns:
      what it holds. A synset that BabelNet does not have is an answer without senses.

    Raises:
      ValueError: the answer is no JSON object, or its `senses` is no list.
    """
    answer = json.loads(text)
    if not isinstance(answer, dict) or not isinstance(answer.get("senses", []), list):
        raise ValueError(f"an answer of BabelNet is a JSON object with a list `senses`, got {text[:200]!r}")
    senses: list[Sense] = []
    malformed: list[Malformed] = []
    others: set[str] = set()
    for place, raw in enumerate(answer.get("senses", [])):
        try:
            sense = _parse_sense(raw)
        except ValueError as error:
            malformed.append(Malformed(place, str(error)))
            continue
        if languages is None or sense.language in languages:
            senses.append(sense)
        else:
            others.add(sense.language)
    glosses = _parse_glosses(answer.get("glosses"), languages)
    return Answer(tuple(senses), glosses, tuple(malformed), frozenset(others))


def error_message(text: str) -> str | None:
    """Give BabelNet's own message where an answer is an error: errors, too, come with the HTTP status 200.

    Raises:
      ValueError: the answer is no JSON.
    """
    answer = json.loads(text)
    message = answer.get("message") if isinstance(answer, dict) else None
    return str(message) if message else None


def _parse_sense(raw: Any) -> Sense:
    properties = raw.get("properties") if isinstance(raw, dict) else None
    if not isinstance(properties, dict):
        raise ValueError(f"no `properties` in {_short(raw)}")
    lemma, language, source = (_text(properties, name) for name in ("fullLemma", "language", "source"))
    synset = properties.get("synsetID")
    synset_id = synset.get("id") if isinstance(synset, dict) else synset
    if not isinstance(synset_id, str) or not synset_id:
        raise ValueError(f"`synsetID` names no synset in {_short(properties)}")
    detail = properties.get("lemma")
    lemma_type = detail.get("type") if isinstance(detail, dict) else None
    return Sense(lemma, language, source, synset_id, is_automatic(source, language, lemma_type))


def _text(properties: dict[str, Any], name: str) -> str:
    value = properties.get(name)
    if not isinstance(value, str) or not value.replace("_", " ").strip():
        raise ValueError(f"`{name}` is {value!r}, not a word, in {_short(properties)}")
    return value


def _parse_glosses(raw: Any, languages: Collection[str] | None) -> dict[str, str]:
    found: dict[str, str] = {}
    for gloss in raw if isinstance(raw, list) else []:
        language, text = (gloss.get("language"), gloss.get("gloss")) if isinstance(gloss, dict) else (None, None)
        if not isinstance(language, str) or not isinstance(text, str) or not text.strip():
            continue
        if languages is None or language in languages:
            found.setdefault(language, text)
    return found


def _short(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)[:160]
