"""The processes of one run: one by itself, or those that `accelerate launch` or `torchrun` started together."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

T = TypeVar("T")
# How long one process waits for the slowest, whose last shard may take an hour on a CPU; torch gives up after half.
PATIENCE = timedelta(days=7)


@dataclass(frozen=True)
class Team:
    """This process's place among the processes of a run.

    Attributes:
      rank: 0 … size − 1; 0 writes the results.
      size: number of processes.
      device: the device of this process, where the launcher gives each its own; else None.
      barrier: returns once every process has come to it; None where there is only one.
    """

    rank: int = 0
    size: int = 1
    device: str | None = None
    barrier: Callable[[], None] | None = None

    @property
    def leads(self) -> bool:
        """True for the process that writes results and speaks."""
        return self.rank == 0

    def wait(self) -> None:
        """Return once every process has come here."""
        if self.barrier is not None:
            self.barrier()

    def share(self, items: Sequence[T]) -> list[T]:
        """Give this process's part of the work: every `size`-th item."""
        return list(items[self.rank :: self.size])


def find_team() -> Team:
    """Join the processes that a launcher started; alone where there is none.

    `accelerate launch --cpu --num_processes 2` starts one process; on CPUs `ACCELERATE_USE_CPU=true torchrun
    --nproc_per_node 2 -m babel_eval …` starts two.

    Raises:
      RuntimeError: accelerate counts other processes than the launcher; all of them would then write the same file.
    """
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size < 2:
        return Team()
    import torch
    from accelerate import PartialState
    from accelerate.utils import parse_flag_from_env

    # `PartialState` does not read the variable itself, and without it takes every process for the only one.
    on_cpu = parse_flag_from_env("ACCELERATE_USE_CPU") or not torch.accelerator.is_available()
    state = PartialState(cpu=on_cpu, timeout=PATIENCE)
    if state.num_processes != size:
        raise RuntimeError(
            f"the launcher started {size} processes and accelerate found {state.num_processes}; on CPUs set "
            "ACCELERATE_USE_CPU=true and start them by torchrun"
        )
    device = None if state.device.type == "cpu" else str(state.device)
    return Team(state.process_index, state.num_processes, device, state.wait_for_everyone)
