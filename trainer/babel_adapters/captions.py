"""Training pairs: a caption in the target language, the English one it stands for, and an image where there is one.

They come from a file or dataset with named columns (`tables.py`) or from words that packages ship (`words.py`).
Nothing is left out in silence: what is not taken is counted by reason, and too many blank captions are an error.
"""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from hashlib import sha256
from itertools import islice
from pathlib import Path

from babel_adapters import tables, words
from babel_adapters.pairs import Columns, Pair, PairSet
from babel_imagenet_dataset.files import sha256_of_text

MAX_BLANK_SHARE = 0.01
FORMS = (
    "auto, emoji (13 languages, extra [sample]), cldr:FOLDER (the unpacked npm package cldr-annotations-full), "
    "a file .parquet, .jsonl, .json, .csv or .tsv, or hf:NAME:SPLIT"
)


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
      limit: most rows to read (of words: most pairs to take); None for all.
      streaming: read `hf:` datasets as a stream, without a copy on disk.
      keywords: take CLDR's keywords, or the words of names of emoji, beside the names.

    Returns:
      distinct pairs in the data's order; blank and repeated ones are counted in `left_out`.

    Raises:
      ValueError: the form is unknown, a column is missing (the message lists those there are), the language is not in
        the data, more than 1 % of the rows are blank, or nothing is left.
      FileNotFoundError: there is no such file or folder.
    """
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
    return clean(data, islice(rows, limit), licence=licence)


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
    """Hold out pairs for early stopping so that no English caption, and no image, stands on both sides.

    Args:
      pairs: pairs in any order; those with neither go by their target.
      share: share of the distinct English captions to hold out, 0..0.5; of groups, where images have several captions.
      seed: which ones; where no image has several captions the choice depends on each caption alone, so more data
        never moves a caption across. A group larger than the whole share is trained on.

    Returns:
      pairs to train on and pairs held out, in their order.
    """
    if not 0 <= share <= 0.5:
        raise ValueError(f"the held-out share must lie within 0..0.5, got {share}")
    limit = int(share * 2**32)
    groups = _groups(pairs)
    chosen = {name for name in groups if int(sha256_of_text(str(seed), name)[:8], 16) < limit}
    chosen -= {name for name, size in Counter(groups).items() if size > max(1.0, share * len(pairs))}
    sides: tuple[list[Pair], list[Pair]] = ([], [])
    for pair, name in zip(pairs, groups, strict=True):
        sides[name in chosen].append(pair)
    return sides


def _groups(pairs: Sequence[Pair]) -> list[str]:
    """Give each pair the name of its group: pairs that share an English caption or an image, or are joined by others.

    A group is named by the first, in alphabetical order, of its English captions and images.
    """
    above: dict[str, str] = {}

    def first(name: str) -> str:
        while above.setdefault(name, name) != name:
            above[name] = above[above[name]]
            name = above[name]
        return name

    names = [_meanings(pair) for pair in pairs]
    for one, *others in names:
        for other in others:
            low, high = sorted((first(one), first(other)))
            above[high] = low
    return [first(one) for one, *_ in names]


def _meanings(pair: Pair) -> list[str]:
    """Give what pairs of one meaning share: English caption and image, without both the target."""
    image = sha256(pair.image).hexdigest() if isinstance(pair.image, bytes) else pair.image
    return [name for name in (pair.english, image) if name] or [pair.target]


def _tidy(text: str) -> str:
    return unicodedata.normalize("NFC", " ".join(text.split()))
