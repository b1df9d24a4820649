"""Texts in batches of like length, so that little is spent on padding; a batch too large for memory is halved."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence

import numpy as np

log = logging.getLogger(__name__)


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
    """Run `encode` on token batches and give its rows in the order of `lengths`, float32 [n_texts, dim].

    A batch that does not fit into memory is halved and tried again (see `encode_halving`).
    """
    features = np.empty((len(lengths), dim), dtype=np.float32)
    encode = encode_halving(encode)
    for positions in token_batches(lengths, budget):
        features[positions] = encode(positions)
    return features


def encode_halving(encode: Callable[[list[int]], np.ndarray]) -> Callable[[list[int]], np.ndarray]:
    """Wrap `encode` so that a batch that runs out of memory is halved until it fits; rows come in the same order.

    The first halving is said once, in the log; batches after it are no larger than the last that fitted.

    Raises:
      MemoryError: by the wrapped function, when one item alone does not fit.
    """
    limit: int | None = None

    def encode_part(items: list[int]) -> np.ndarray:
        nonlocal limit
        size = len(items) if limit is None else min(len(items), limit)
        parts: list[np.ndarray] = []
        while items:
            try:
                parts.append(encode(items[:size]))
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
                if size == 1:
                    raise MemoryError(
                        "one item alone does not fit into memory; try --dtype bf16 or --device cpu"
                    ) from error
            else:
                items = items[size:]
                continue
            if limit is None:
                log.warning("out of memory at a batch of %d; going on with batches half as large", size)
            limit = size = size // 2
            _free_cache()
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    return encode_part


def is_out_of_memory(error: BaseException) -> bool:
    """Say whether an error means that memory ran out, on a CUDA card, on MPS or on the CPU."""
    import torch

    if isinstance(error, (MemoryError, torch.cuda.OutOfMemoryError)):
        return True
    words = ("out of memory", "can't allocate memory", "not enough memory")
    return isinstance(error, RuntimeError) and any(word in str(error).lower() for word in words)


def _free_cache() -> None:
    import torch

    if torch.cuda.is_available():
        torch.cuda.empty_cache()
