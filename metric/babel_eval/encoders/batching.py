"""Texts in batches of like length, so that little is spent on padding; a batch too large for memory is halved."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence

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
    batches: Iterable[list[int]],
    lengths: Sequence[int],
    dim: int,
    encode: Callable[[list[int]], np.ndarray],
    halving: Halving | None = None,
) -> np.ndarray:
    """Run `encode` on batches of positions and give its rows in the order of `lengths`, float32 [n_texts, dim].

    A batch that does not fit into memory is halved and tried again; `halving` remembers over calls what fits.

    Args:
      batches: every position in `lengths` exactly once.
      lengths: number of tokens of each text.
      dim: width of a row.
      encode: gives one row for each position.
      halving: what earlier calls have found to fit.
    """
    features = np.empty((len(lengths), dim), dtype=np.float32)
    halving = halving or Halving()
    for positions in batches:
        features[positions] = halving.run(positions, encode, cost=max(1, *(lengths[i] for i in positions)))
    return features


class Halving:
    """Runs batches; one that runs out of memory is halved until it fits, and later ones are no dearer than that.

    The first halving is said in the log, the others are not.
    """

    def __init__(self) -> None:
        self.budget: int | None = None

    def run(self, items: list[int], encode: Callable[[list[int]], np.ndarray], cost: int = 1) -> np.ndarray:
        """Give `encode`'s rows for items, in their order, in as many pieces as memory asks for.

        Args:
          items: at least one position.
          encode: gives one row for each position.
          cost: what one item takes, in any unit that is the same for all calls (tokens, photos).

        Raises:
          MemoryError: one item alone does not fit.
        """
        size = len(items) if self.budget is None else max(1, min(len(items), self.budget // cost))
        parts: list[np.ndarray] = []
        while items:
            try:
                parts.append(encode(items[:size]))
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
                if size == 1:
                    raise MemoryError(
                        "one item alone does not fit into memory; try --dtype bf16, --device cpu"
                    ) from error
            else:
                items = items[size:]
                continue
            # Outside of the handler, where the error no longer holds the failed batch.
            if self.budget is None:
                log.warning("out of memory at a batch of %d; going on with batches half as large", size)
            size //= 2
            self.budget = size * cost
            _free_cache()
        return parts[0] if len(parts) == 1 else np.concatenate(parts)


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
