"""Files of open wordnets: WN-LMF, OMW's tables and a user's own, read as the words of ImageNet's classes.

A synset of ImageNet is found by its WordNet 3.0 offset. Ids of the Open Multilingual Wordnet's own lexicons end in that
offset; any other LMF lexicon is aligned through the interlingual index of an OMW lexicon that is read with it, for
other wordnets number their synsets in other ways and would give wrong words without a sound.
"""

from __future__ import annotations

import csv
import gzip
import lzma
import re
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from babel_imagenet_dataset.imagenet import class_index_of
from babel_imagenet_dataset.languages import language as known_language
from babel_imagenet_dataset.packaged import pip_line
from babel_imagenet_dataset.selection import Sense

_OFFSET = re.compile(r"(?:^|[-:])(\d{8})-?n$")
_ALIGNED = re.compile(r"(omw-|pwn-?30|wn30)", re.IGNORECASE)
_NO_WORD = frozenset({"GAP!", "PSEUDOGAP!"})
_KEYS = ("wnid", "offset")


@dataclass(frozen=True)
class Wordnet:
    """What one lexicon says of ImageNet's classes.

    Attributes:
      name: the lexicon's id and version, or the file's name.
      language: BabelNet's code.
      license: as the lexicon states it; empty if it does not.
      senses: per class index, its words in the lexicon's order; classes without a word are absent.
      glosses: per class index, the first definition.
      n_synsets: noun synsets read, in and out of ImageNet.
    """

    name: str
    language: str
    license: str
    senses: dict[int, tuple[Sense, ...]]
    glosses: dict[int, str]
    n_synsets: int


def read_wordnet(path: Path | str, language: str | None = None, through: Iterable[Path | str] = ()) -> list[Wordnet]:
    """Read a file of wordnets.

    Args:
      path: WN-LMF (`.xml`, also `.xml.gz`, `.xml.xz`), OMW's `.tab`, or a table `.tsv` with a header: `wnid` or
        `offset`, `lemma`, and if wanted `language` and `gloss`; both also as `.gz`.
      language: a code for what the file holds; needed where it does not say.
      through: WN-LMF files of OMW lexicons, whose interlingual index aligns a lexicon that is not OMW's own.

    Returns:
      one wordnet for each lexicon, or each language of a table.

    Raises:
      FileNotFoundError: there is no such file.
      ValueError: the form is not known, a row cannot be read (its line is named), the language is not stated, or
        nothing in the lexicon could be aligned.
      ImportError: the file is WN-LMF and the `wn` library is not installed.
    """
    found = Path(path)
    if not found.is_file():
        raise FileNotFoundError(f"there is no wordnet {found}")
    suffix = next((suffix for suffix in reversed(found.suffixes) if suffix not in (".gz", ".xz")), "")
    if suffix == ".xml":
        return _read_lmf(found, language, [Path(other) for other in through])
    if suffix in (".tab", ".tsv"):
        return _read_table(found, language)
    raise ValueError(f"{found}: a wordnet is a WN-LMF file (.xml) or a table (.tab, .tsv), also packed (.gz, .xz)")


def _read_table(path: Path, language: str | None) -> list[Wordnet]:
    with _unpacked(path) as plain, open(plain, encoding="utf-8-sig", newline="") as file:
        lines = [line.rstrip("\r\n") for line in file]
    header = lines[0] if lines else ""
    rows = _tab_rows(lines, path) if header.startswith("#") else _own_rows(lines, path)
    license_ = header.split("\t")[3] if header.startswith("#") and header.count("\t") >= 3 else ""
    stated = header.split("\t")[1] if header.startswith("#") and header.count("\t") >= 1 else None
    collected: dict[str, _Collected] = {}
    for line, offset, lemma, gloss, of_row in rows:
        code = language or of_row or stated
        if not code:
            raise ValueError(f"{path}, line {line}: no language is stated; give it as CODE={path}")
        collected.setdefault(known_language(code).code, _Collected()).add(offset, lemma, gloss)
    return [part.wordnet(path.name, code, license_) for code, part in collected.items()]


def _tab_rows(lines: list[str], path: Path) -> Iterator[tuple[int, str, str, str, str | None]]:
    """Give the rows of OMW's tab form: `02119789-n`, `lemma` or `ita:lemma`, word; `ita:def`, number, text."""
    for number, line in enumerate(lines, start=1):
        fields = line.split("\t")
        if line.startswith("#") or not line.strip():
            continue
        if len(fields) < 3 or not re.fullmatch(r"\d{8}-[nvasr]", fields[0]):
            raise ValueError(f"{path}, line {number}: expected `02119789-n`, `lemma` and a word, got {line[:100]!r}")
        what = fields[1].rpartition(":")[2]
        if fields[0].endswith("n") and what in ("lemma", "def"):
            yield number, fields[0][:8], fields[2] if what == "lemma" else "", fields[-1] if what == "def" else "", None


def _own_rows(lines: list[str], path: Path) -> Iterator[tuple[int, str, str, str, str | None]]:
    """Give the rows of a user's own table."""
    table = csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE)
    columns = table.fieldnames or []
    key = next((name for name in _KEYS if name in columns), None)
    if key is None or "lemma" not in columns:
        raise ValueError(f"{path}: a table has a header with `wnid` or `offset`, and `lemma`; got {list(columns)}")
    for number, row in enumerate(table, start=2):
        offset = re.fullmatch(r"n?(\d{8})(-n)?", (row[key] or "").strip())
        lemma = (row["lemma"] or "").strip()
        if offset is None or not lemma:
            raise ValueError(
                f"{path}, line {number}: {key} {row[key]!r} and lemma {row['lemma']!r} are no synset, word"
            )
        yield number, offset[1], lemma, (row.get("gloss") or "").strip(), (row.get("language") or "").strip() or None


class _Collected:
    """Words and glosses by offset, in the order in which they come."""

    def __init__(self) -> None:
        self._words: dict[str, dict[str, None]] = {}
        self._glosses: dict[str, str] = {}

    def add(self, offset: str, lemma: str, gloss: str = "") -> None:
        words = self._words.setdefault(offset, {})
        if lemma.strip() and lemma not in _NO_WORD:
            words[lemma.strip().replace(" ", "_")] = None
        if gloss:
            self._glosses.setdefault(offset, gloss)

    def wordnet(self, name: str, language: str, license_: str) -> Wordnet:
        index = {wnid[1:]: class_index for wnid, class_index in class_index_of().items()}
        senses = {
            index[offset]: tuple(Sense(word, language, name, f"wn:{offset}n") for word in words)
            for offset, words in self._words.items()
            if offset in index and words
        }
        glosses = {index[offset]: gloss for offset, gloss in self._glosses.items() if offset in index}
        return Wordnet(name, language, license_, dict(sorted(senses.items())), glosses, len(self._words))


def _read_lmf(path: Path, language: str | None, through: Sequence[Path]) -> list[Wordnet]:
    lexicons = _load_lmf(path)
    offset_of_ili = {
        ili: offset
        for lexicon in [*lexicons, *(other for file in through for other in _load_lmf(file))]
        if _ALIGNED.match(lexicon["id"])
        for ili, offset in _offsets_by_ili(lexicon)
    }
    return [_from_lexicon(lexicon, path, language, offset_of_ili) for lexicon in lexicons]


def _from_lexicon(lexicon: Any, path: Path, language: str | None, offset_of_ili: dict[str, str]) -> Wordnet:
    is_aligned = _ALIGNED.match(lexicon["id"]) is not None
    offsets: dict[str, str] = {}
    collected = _Collected()
    words = _members(lexicon)
    for synset in lexicon.get("synsets", []):
        offset = _offset_in(synset["id"]) if is_aligned else offset_of_ili.get(synset.get("ili") or "")
        if offset is None or synset.get("partOfSpeech", "n") != "n":
            continue
        offsets[synset["id"]] = offset
        definitions = synset.get("definitions") or [{}]
        collected.add(offset, "", definitions[0].get("text") or "")
        for word in words.get(synset["id"], ()):
            collected.add(offset, word)
    if not offsets:
        raise ValueError(
            f"{path}: no synset of the lexicon {lexicon['id']!r} could be aligned to WordNet 3.0; its ids are not "
            "OMW's, so read it together with an OMW lexicon that has the interlingual index, such as omw-en"
        )
    code = known_language(language or lexicon["language"]).code
    return collected.wordnet(f"{lexicon['id']}:{lexicon['version']}", code, lexicon.get("license") or "")


def _members(lexicon: Any) -> dict[str, list[str]]:
    """Give each synset's words: in the order that the synset states, else in the file's."""
    word_of: dict[str, str] = {}
    found: dict[str, list[tuple[str, str]]] = {}
    for entry in lexicon.get("entries", []):
        for sense in entry.get("senses", []):
            if sense.get("lexicalized", True):
                word_of[sense["id"]] = entry["lemma"]["writtenForm"]
                found.setdefault(sense["synset"], []).append((sense["id"], entry["id"]))
    stated = {synset["id"]: synset.get("members") or [] for synset in lexicon.get("synsets", [])}
    return {
        synset: [word_of[sense] for sense, _ in sorted(pairs, key=lambda pair: _place(pair, stated.get(synset, [])))]
        for synset, pairs in found.items()
    }


def _place(pair: tuple[str, str], stated: Sequence[str]) -> int:
    """Give the place among the members, which name senses or entries; unnamed ones stand behind."""
    return next((stated.index(name) for name in pair if name in stated), len(stated))


def _offsets_by_ili(lexicon: Any) -> Iterator[tuple[str, str]]:
    for synset in lexicon.get("synsets", []):
        offset = _offset_in(synset["id"])
        if synset.get("ili") and offset is not None:
            yield synset["ili"], offset


def _offset_in(synset_id: str) -> str | None:
    found = _OFFSET.search(synset_id)
    return found[1] if found else None


def _load_lmf(path: Path) -> list[Any]:
    from xml.parsers.expat import ExpatError

    try:
        from wn import lmf
    except ImportError as error:
        raise ImportError(f"{path} is WN-LMF, read through the library wn. Run: {pip_line('wordnets')}") from error
    with _unpacked(path) as plain:
        try:
            return list(lmf.load(plain, progress_handler=None)["lexicons"])
        except (lmf.LMFError, SyntaxError, ExpatError, KeyError, ValueError, AttributeError) as error:
            raise ValueError(f"{path}: not a WN-LMF file that the library wn can read: {error}") from error


@contextmanager
def _unpacked(path: Path) -> Iterator[Path]:
    """Hand out the file itself, or an unpacked copy of it for as long as it is needed."""
    if path.suffix not in (".gz", ".xz"):
        yield path
        return
    unpack = gzip.decompress if path.suffix == ".gz" else lzma.decompress
    with tempfile.TemporaryDirectory() as folder:
        plain = Path(folder) / path.stem
        try:
            plain.write_bytes(unpack(path.read_bytes()))
        except (OSError, EOFError, lzma.LZMAError) as error:
            raise ValueError(f"{path} is damaged or not packed: {error}") from error
        yield plain
