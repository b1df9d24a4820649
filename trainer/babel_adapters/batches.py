"""Which pairs stand in which batch: a function of seed and epoch alone, so that a run can go on in its middle."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

# So many batches are drawn at random before they are sorted by length: batches stay mixed, padding stays small.
_BATCHES_A_BUCKET = 32


@dataclass(frozen=True)
class Plan:
    """How pairs are put into batches.

    Attributes:
      lengths: number of tokens of each pair's target caption.
      batch_size: pairs a batch, over all processes.
      seed: seed of the order.
    """

    lengths: Sequence[int]
    batch_size: int
    seed: int

    def __post_init__(self) -> None:
        if not self.lengths:
            raise ValueError("there is no pair to train on")
        if self.batch_size < 2:
            raise ValueError(
                f"batch size must be at least 2 (a pair's negatives are the others), got {self.batch_size}"
            )

    @property
    def n_batches(self) -> int:
        """Batches an epoch: every pair once, a last batch filled up with pairs of the same epoch's beginning."""
        return -(-len(self.lengths) // self.batch_size)

    def epoch(self, epoch: int) -> list[np.ndarray]:
        """Give the batches of an epoch, each int64 [batch_size], its pairs of like length, the batches in random order.

        Where there are fewer pairs than a batch holds, the one batch holds each pair once.
        """
        rng = np.random.default_rng([self.seed, epoch])
        order = rng.permutation(len(self.lengths))
        size = min(self.batch_size, len(order))
        missing = -len(order) % size
        order = np.concatenate([order, order[:missing]])
        lengths = np.asarray(self.lengths)
        span = size * _BATCHES_A_BUCKET
        batches: list[np.ndarray] = []
        for start in range(0, len(order), span):
            bucket = order[start : start + span]
            bucket = bucket[np.argsort(lengths[bucket], kind="stable")]
            batches += [bucket[i : i + size] for i in range(0, len(bucket), size)]
        return [batches[i] for i in rng.permutation(len(batches))]

    def from_step(self, batch: int) -> Iterator[tuple[int, np.ndarray]]:
        """Give epoch and batch for ever, beginning with the batch of that number counted over all epochs."""
        epoch, within = divmod(batch, self.n_batches)
        while True:
            for rows in self.epoch(epoch)[within:]:
                yield epoch, rows
            epoch, within = epoch + 1, 0


def share_of(rows: np.ndarray, rank: int, n_processes: int) -> np.ndarray:
    """Give a process's part of a batch; parts are equally long and, joined in order of rank, are the batch.

    Raises:
      ValueError: the batch does not divide among the processes.
    """
    if len(rows) % n_processes:
        raise ValueError(f"a batch of {len(rows)} pairs does not divide among {n_processes} processes")
    each = len(rows) // n_processes
    return rows[rank * each : (rank + 1) * each]
