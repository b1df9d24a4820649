"""What training data is made of: pairs of captions, sets of them, and the names of columns that hold them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from babel_imagenet_dataset.files import sha256_of_text


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

    @property
    def n_without_english(self) -> int:
        """How many pairs have no English caption, so that no rule about English captions can leave them out."""
        return sum(pair.english is None for pair in self.pairs)

    def without(self, reason: str, pairs: Sequence[Pair], n: int) -> PairSet:
        """Give the set with other pairs and `n` more left out for a reason (a reason with 0 is written down too)."""
        return replace(self, pairs=tuple(pairs), left_out={**self.left_out, reason: self.left_out.get(reason, 0) + n})


@dataclass(frozen=True)
class Columns:
    """Names of a dataset's columns.

    Attributes:
      target: captions in the target language.
      english: English captions; None reads none.
      image: images, as paths or embedded; None reads none.
      needs_english: whether data without English captions is an error; else they are read where they are there.
    """

    target: str = "target"
    english: str | None = "english"
    image: str | None = None
    needs_english: bool = True
