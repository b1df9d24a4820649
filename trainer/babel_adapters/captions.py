"""Training pairs: a caption in the target language, the English one it stands for, and an image where there is one.

They come from a file or dataset with named columns (`tables.py`) or from words that packages ship (`words.py`).
Nothing is left out in silence: what is not taken is counted by reason, and too many blank captions are an error.
"""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from babel_imagenet_dataset.files import sha256_of_text

MAX_BLANK_SHARE = 0.01
FORMS = (
    "auto, emoji (13 languages, extra [sample]), cldr:FOLDER (the unpacked npm package cldr-annotations-full), "
    "a file .parquet, .jsonl, .json, .csv or .tsv, or hf:NAME:SPLIT"
)


@dataclass(frozen=True)
class Pair:
    """A caption in the target language and what it stands for.

    Attributes:
      target: caption in the target language, NFC, trimmed.
      english: the English caption of the same meaning; None where the data has none (`lit` needs none).
      image: path of an image or its bytes; None without.
      weight: how sure the pair is, 0..1; what is solved in closed form heeds it.
    """

    target: str
    english: str | None = None
    image: str | bytes | None = None
    weight: float = 1.0


@dataclass(frozen=True)
class PairSet:
    """Training pairs of one language, and how many were left out, by reason.

    Attributes:
      name: what the user asked for.
      pairs: distinct pairs in the data's order.
      left_out: number of pairs that were not taken, by reason.
      licence: the data's licence, where it is known.
    """

    name: str
    pairs: tuple[Pair, ...]
    left_out: Mapping[str, int] = field(default_factory=dict)
    licence: str | None = None

    @property
    def fingerprint(self) -> str:
        """64 hex digits over all pairs in order; images count by path or by content."""
        images = (p.image if isinstance(p.image, str) else (p.image or b"").hex() for p in self.pairs)
        return sha256_of_text(*(f"{p.target}\0{p.english or ''}\0{i}" for p, i in zip(self.pairs, images, strict=True)))

    def without(self, reason: str, pairs: Sequence[Pair], n: int) -> PairSet:
        """Give the set with other pairs and `n` more left out for a reason (a reason with 0 is written down too)."""
        return replace(self, pairs=tuple(pairs), left_out={**self.left_out, reason: self.left_out.get(reason, 0) + n})


@dataclass(frozen=True)
class Columns:
    """Names of a dataset's columns."""

    target: str = "target"
    english: str | None = "english"
    image: str | None = None


def read_pairs(
    data: str,
    language: str,
    *,
    columns: Columns | None = None,
    limit: int | None = None,
    streaming: bool = False,
    keywords: bool = True,
) -> PairSet:
    """Read training pairs.

    Args:
      data: one of the forms in `FORMS`.
      language: BabelNet's code of the target language, for data that holds several.
      columns: names of the columns of a file or dataset.
      limit: most rows to read; None for all.
      streaming: read `hf:` datasets as a stream, without a copy on disk.
      keywords: take CLDR's keywords, or the words of names of emoji, beside the names.

    Returns:
      distinct pairs in the data's order; blank and repeated ones are counted in `left_out`.

    Raises:
      ValueError: the form is unknown, a column is missing (the message lists those there are), the language is not in
        the data, more than 1 % of the rows are blank, or nothing is left.
      FileNotFoundError: there is no such file or folder.
    """
    from babel_adapters import tables, words

    kind, _, rest = data.partition(":")
    licence = None
    if data == "emoji":
        rows, licence = words.emoji_pairs(language, keywords=keywords), words.EMOJI_LICENCE
    elif kind == "cldr":
        rows, licence = words.cldr_pairs(Path(rest), language, keywords=keywords), words.CLDR_LICENCE
    elif kind == "hf":
        rows = tables.dataset_pairs(data, columns or Columns(), limit=limit, streaming=streaming)
    elif Path(data).suffix.lower() in tables.SUFFIXES:
        rows = tables.file_pairs(Path(data), columns or Columns(), limit=limit)
    else:
        raise ValueError(f"--train-data {data!r} is of no known form; allowed: {FORMS}")
    return clean(data, rows, licence=licence)


def clean(name: str, rows: Iterable[Pair], *, licence: str | None = None) -> PairSet:
    """Trim, normalise (NFC) and deduplicate pairs, the first of equal ones staying, and count what falls away.

    Raises:
      ValueError: more than 1 % of the rows have a blank caption, or no pair is left.
    """
    counts: Counter[str] = Counter(blank=0, repeated=0)
    kept: dict[tuple[str, str | None, str | bytes | None], Pair] = {}
    n_rows = 0
    for row in rows:
        n_rows += 1
        english = None if row.english is None else _tidy(row.english)
        pair = replace(row, target=_tidy(row.target), english=english)
        if not pair.target or pair.english == "":
            counts["blank"] += 1
        elif (key := (pair.target, pair.english, pair.image)) in kept:
            counts["repeated"] += 1
        else:
            kept[key] = pair
    if counts["blank"] > MAX_BLANK_SHARE * n_rows:
        raise ValueError(
            f"{name}: {counts['blank']} of {n_rows} captions are empty or blank, more than {MAX_BLANK_SHARE:.0%}; "
            "take them out, or check that the columns are the right ones"
        )
    if not kept:
        raise ValueError(f"{name}: no pair of captions in {n_rows} rows")
    return PairSet(name, tuple(kept.values()), dict(counts), licence)


def split_by_english(pairs: Sequence[Pair], share: float, seed: int) -> tuple[list[Pair], list[Pair]]:
    """Hold out pairs for early stopping, by English caption, so that no synonym of a held-out one is trained on.

    Args:
      pairs: pairs in any order; those without an English caption are told apart by their target.
      share: share of the distinct English captions to hold out, 0..0.5.
      seed: which ones; the choice depends on each caption alone, so more data never moves a caption across.

    Returns:
      pairs to train on and pairs held out, in their order.
    """
    if not 0 <= share <= 0.5:
        raise ValueError(f"the held-out share must lie within 0..0.5, got {share}")
    limit = int(share * 2**32)
    held_out = [int(sha256_of_text(str(seed), p.english or p.target)[:8], 16) < limit for p in pairs]
    chosen = [p for p, out in zip(pairs, held_out, strict=True) if out]
    return [p for p, out in zip(pairs, held_out, strict=True) if not out], chosen


def _tidy(text: str) -> str:
    return unicodedata.normalize("NFC", " ".join(text.split()))
