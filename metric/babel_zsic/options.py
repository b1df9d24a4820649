"""What the caller may set, and the language of each row: shared by all ways of using the metric."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .checks import check_case, check_codes, check_sizes
from .comparison import UNNAMED
from .nearest import TIES

ON_MISSING = ("error", "drop")


@dataclass(frozen=True)
class Options:
    """What the caller may set; see the card."""

    confidence_level: float = 0.95
    n_resamples: int = 10_000
    seed: int = 0
    k_way: Sequence[int] = (10, 50, 100)
    ties: str = "first"
    on_missing_class: str = "error"

    def __post_init__(self) -> None:
        for name, allowed in (("ties", TIES), ("on_missing_class", ON_MISSING)):
            if getattr(self, name) not in allowed:
                raise ValueError(f"{name} is {getattr(self, name)!r}; allowed: {', '.join(allowed)}")
        check_sizes(self.k_way, "k_way", 2)

    @property
    def sampling(self) -> dict[str, Any]:
        """The options that every interval takes."""
        return {name: getattr(self, name) for name in ("confidence_level", "n_resamples", "seed")}


def row_codes(languages: Any | None, n: int) -> np.ndarray:
    """Give the language of each of n rows, string [n]; `unnamed` where none are given. Codes stand in upper case."""
    if languages is None:
        return np.full(n, UNNAMED)
    codes = check_codes(languages, n, "languages")
    check_case(sorted_codes(codes), "languages", UNNAMED)
    return codes


def sorted_codes(codes: np.ndarray) -> list[str]:
    """Give the languages that occur, in alphabetical order."""
    return [str(code) for code in np.unique(codes)]
