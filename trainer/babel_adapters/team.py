"""Processes that train together, or each alone on a language of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import torch

from babel_adapters.objectives import gather

if TYPE_CHECKING:
    from accelerate import Accelerator
    from torch import nn

T = TypeVar("T")


@dataclass(frozen=True)
class Team:
    """The processes of one training.

    Attributes:
      accelerator: of all processes.
      alone: each process is a team of its own, so nothing is gathered, averaged or waited for.
    """

    accelerator: Accelerator
    alone: bool = False

    @property
    def size(self) -> int:
        """Number of processes in the team."""
        return 1 if self.alone else self.accelerator.num_processes

    @property
    def rank(self) -> int:
        """This process's place in the team."""
        return 0 if self.alone else self.accelerator.process_index

    @property
    def is_main(self) -> bool:
        """Whether this process writes what the team has made."""
        return self.rank == 0

    def wait(self) -> None:
        """Wait for the whole team."""
        if not self.alone:
            self.accelerator.wait_for_everyone()

    def first(self, action: Callable[[], T]) -> T | None:
        """Let the main process act while the others wait; they get None."""
        result = action() if self.is_main else None
        self.wait()
        return result

    @contextmanager
    def main_goes_first(self) -> Iterator[None]:
        """Let the main process of each machine pass first, so that the others find in the store what it computed."""
        if self.alone:
            yield
        else:
            with self.accelerator.local_main_process_first():
                yield

    def gather(self, rows: torch.Tensor) -> torch.Tensor:
        """Give the rows of all processes of the team, gradients flowing back."""
        return rows if self.size == 1 else gather(rows)

    def prepare(self, model: nn.Module, optimizer: torch.optim.Optimizer) -> tuple[nn.Module, torch.optim.Optimizer]:
        """Make model and optimiser ready for the team: gradients are averaged, precision is mixed."""
        if not self.alone:
            return self.accelerator.prepare(model, optimizer)
        model = self.accelerator.prepare_model(model, evaluation_mode=True)
        return model, self.accelerator.prepare_optimizer(optimizer)
