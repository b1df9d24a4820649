"""Texts in batches of like length, so that little is spent on padding."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np


def token_batches(lengths: Sequence[int], budget: int) -> Iterator[list[int]]:
    """Give positions in batches whose padded size stays within a budget of tokens.

    Args:
      lengths: number of tokens of each text.
      budget: most tokens a batch may hold, padding counted; a longer text stands alone.

    Yields:
      positions in `lengths`, longest texts first (so that a batch too large for memory fails at once); texts of
      equal length keep their order. Every position comes exactly once; no text gives no batch.
    """
    order = sorted(range(len(lengths)), key=lambda i: -lengths[i])
    batch: list[int] = []
    for position in order:
        longest = lengths[batch[0]] if batch else lengths[position]
        if batch and longest * (len(batch) + 1) > budget:
            yield batch
            batch = []
        batch.append(position)
    if batch:
        yield batch


def encode_in_batches(
    lengths: Sequence[int], dim: int, encode: Callable[[list[int]], np.ndarray], budget: int
) -> np.ndarray:
    """Run `encode` on token batches and give its rows in the order of `lengths`, float32 [n_texts, dim]."""
    features = np.empty((len(lengths), dim), dtype=np.float32)
    for positions in token_batches(lengths, budget):
        features[positions] = encode(positions)
    return features
