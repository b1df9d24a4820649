"""Words in many languages that packages ship: names of emoji, and Unicode CLDR's annotations of symbols.

Both name the same ~1,900 symbols in every language, so names of one symbol are pairs. CLDR also has keywords, several a
symbol and in no order; `keyword_pairs` finds which belong together from how they occur over all symbols. The words of
emoji's names are paired in the same way.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from babel_adapters.pairs import Pair
from babel_imagenet_dataset.languages import language as language_of
from babel_imagenet_dataset.packaged import packaged_file

EMOJI_LANGUAGES = ("AR", "DE", "ES", "FA", "FR", "ID", "IT", "JA", "KO", "PT", "RU", "TR", "ZH")
UNSPACED_LANGUAGES = frozenset({"JA", "ZH"})
EMOJI_LICENCE = "BSD-3-Clause (package emoji); names from Unicode CLDR, Unicode-3.0"
CLDR_LICENCE = "Unicode-3.0"
MAKE_CLDR = "`make cldr` fetches it with npm"
# CLDR's folder names that are not the language's tag.
_CLDR_NAMES = {"nb": "no", "cmn": "zh", "zh-Hans": "zh", "fil": "fil", "tl": "fil", "sh": "sr-Latn"}
KEYWORD_WEIGHT = 0.5
_PUNCTUATION = ".,:;!?()[]&#*-–'\"“”‘’«»„،؛؟"
_SKIN_TONES = frozenset("\U0001f3fb\U0001f3fc\U0001f3fd\U0001f3fe\U0001f3ff")


def emoji_pairs(language: str, *, keywords: bool = True) -> Iterator[Pair]:
    """Give the names of emoji in a language and in English, skin-tone variants of the same emoji left out.

    Args:
      language: BabelNet's code.
      keywords: also pair the words of names, by how they occur over emoji, where the language puts spaces between them.

    Raises:
      ValueError: the package has no names in that language.
      ImportError: the package is not installed.
    """
    if language not in EMOJI_LANGUAGES:
        raise ValueError(
            f"the package emoji has no names in {language}; it has {', '.join(EMOJI_LANGUAGES)}. CLDR has more: "
            f"--train-data cldr:FOLDER ({MAKE_CLDR})"
        )
    english = _emoji_names("emoji.json", "en")
    names = [
        Pair(name, english[symbol])
        for symbol, name in _emoji_names(f"emoji_{language.lower()}.json", None).items()
        if symbol in english and not _is_variant(symbol)
    ]
    yield from names
    if keywords and language not in UNSPACED_LANGUAGES:
        yield from keyword_pairs([words_of(p.target) for p in names], [words_of(p.english or "") for p in names])


def words_of(text: str) -> list[str]:
    """Give the words of a spaced text, without the punctuation around them; apostrophes and joiners in them stay."""
    return [word for part in text.split() if (word := part.strip(_PUNCTUATION))]


def _emoji_names(file: str, key: str | None) -> dict[str, str]:
    path = packaged_file("emoji", f"emoji/unicode_codes/{file}", None, "sample")
    entries = json.loads(path.read_text(encoding="utf-8"))
    names = {symbol: entry[key] if key else entry for symbol, entry in entries.items()}
    return {symbol: name.strip(":").replace("_", " ") for symbol, name in names.items()}


def _is_variant(symbol: str) -> bool:
    return len(symbol) > 1 and not _SKIN_TONES.isdisjoint(symbol)


def cldr_pairs(folder: Path, language: str, *, keywords: bool = True) -> Iterator[Pair]:
    """Give names, and keyword pairs, of CLDR's symbols in a language and in English.

    Args:
      folder: the unpacked npm package `cldr-annotations-full`, or its folder `annotations`.
      language: BabelNet's code.
      keywords: also pair keywords, by how they occur over symbols.

    Raises:
      FileNotFoundError: the folder is not there or holds no annotations.
      ValueError: CLDR has no annotations of that language; the message lists those it has.
    """
    root = folder / "annotations" if (folder / "annotations").is_dir() else folder
    if not (root / "en" / "annotations.json").is_file():
        raise FileNotFoundError(f"--train-data cldr:{folder}: no CLDR annotations there; {MAKE_CLDR} into ./cldr")
    known = sorted(path.parent.name for path in root.glob("*/annotations.json"))
    name = cldr_name(language, known)
    target = _annotations(root / name) if name else {}
    if not target:
        those = " ".join(one for one in known if one != name)
        raise ValueError(f"CLDR has no annotations in {language} ({language_of(language).tag}); it has {those}")
    english = _annotations(root / "en")
    shared = [symbol for symbol in target if symbol in english]
    for symbol in shared:
        if target[symbol].get("tts") and english[symbol].get("tts"):
            yield Pair(target[symbol]["tts"][0], english[symbol]["tts"][0])
    if keywords:
        yield from keyword_pairs(
            [target[symbol].get("default", []) for symbol in shared],
            [english[symbol].get("default", []) for symbol in shared],
        )


def cldr_name(language: str, known: Sequence[str]) -> str | None:
    """Give the folder that holds a language, or None: its tag, the tag's language, or CLDR's own name for it."""
    tag = language_of(language).tag
    candidates = (tag, _CLDR_NAMES.get(tag, tag), tag.split("-")[0], _CLDR_NAMES.get(tag.split("-")[0], tag))
    return next((name for name in candidates if name in known), None)


def _annotations(folder: Path) -> Mapping[str, Mapping[str, Sequence[str]]]:
    """Give a folder's annotations by symbol; some of CLDR's say what language they are and nothing else."""
    data = json.loads((folder / "annotations.json").read_text(encoding="utf-8"))
    return data["annotations"].get("annotations", {})


def keyword_pairs(
    target: Sequence[Sequence[str]], english: Sequence[Sequence[str]], *, rounds: int = 5, least: float = 0.4
) -> list[Pair]:
    """Pair keywords of two languages that describe the same symbols, in no order, by how often they occur together.

    Word alignment with one probability table in each direction, each symbol's keywords being a sentence; a target
    keyword takes the English one with the highest product of both tables.

    Args:
      target: keywords of each symbol in the target language.
      english: keywords of the same symbols in English, in the same order.
      rounds: rounds of expectation and maximisation.
      least: smallest share, 0..1, of a target keyword's products that its best English keyword must hold.

    Returns:
      pairs, surest first; ties by target.

    Source: Brown et al. 1993 (Computational Linguistics 19), model 1; the product of both directions as in
      Liang et al. 2006 (NAACL).
    """
    forward = translation_table(target, english, rounds)
    backward = translation_table(english, target, rounds)
    products: dict[str, dict[str, float]] = defaultdict(dict)
    for (word, other), probability in forward.items():
        products[word][other] = probability * backward.get((other, word), 0.0)
    found = []
    for word, scores in products.items():
        best = max(scores, key=lambda other: (scores[other], other))
        if (total := sum(scores.values())) > 0 and scores[best] / total >= least:
            found.append((-scores[best] / total, word, best))
    return [Pair(word, other, weight=KEYWORD_WEIGHT) for _, word, other in sorted(found)]


def translation_table(
    source: Sequence[Sequence[str]], target: Sequence[Sequence[str]], rounds: int
) -> dict[tuple[str, str], float]:
    """Give P(target word | source word), by expectation and maximisation from a uniform start."""
    table: dict[tuple[str, str], float] = defaultdict(lambda: 1.0)
    sentences = [(sorted(set(a)), sorted(set(b))) for a, b in zip(source, target, strict=True)]
    for _ in range(rounds):
        counts: dict[tuple[str, str], float] = defaultdict(float)
        totals: dict[str, float] = defaultdict(float)
        for words, others in sentences:
            for other in others:
                whole = sum(table[word, other] for word in words)
                for word in words:
                    share = table[word, other] / whole
                    counts[word, other] += share
                    totals[word] += share
        table = defaultdict(float, {pair: count / totals[pair[0]] for pair, count in counts.items()})
    return dict(table)
