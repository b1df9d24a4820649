"""Processes that train together, or each alone on a language of its own."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import torch
from accelerate.utils import gather_object

from babel_adapters.objectives import gather

if TYPE_CHECKING:
    from accelerate import Accelerator
    from torch import nn

T = TypeVar("T")

LANGUAGE_ERRORS = (ValueError, FileNotFoundError, FloatingPointError)
"""What ends one language and not the whole run."""


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
    def is_main_process(self) -> bool:
        """Whether this process writes and says what the team has made."""
        return self.rank == 0

    def wait(self) -> None:
        """Wait for the whole team."""
        if not self.alone:
            self.accelerator.wait_for_everyone()

    @contextmanager
    def together(self) -> Iterator[None]:
        """Make an error of one process everyone's: nobody goes on alone, or waits for one that has gone on.

        A process that failed raises its own error; the others raise one of the same kind that names it.
        """
        own: Exception | None = None
        try:
            yield
        except Exception as error:  # noqa: BLE001  raised again below, when all know
            own = error
        errors = gather_object([_told(own)]) if self.size > 1 else []
        if own is not None:
            raise own
        for kind, text in filter(None, errors):
            raise next((known for known in LANGUAGE_ERRORS if known.__name__ == kind), RuntimeError)(text)

    def first(self, action: Callable[[], T]) -> T | None:
        """Let the main process act while the others wait; they get None, or fail as it does."""
        result = None
        with self.together():
            result = action() if self.is_main_process else None
        return result

    def tell(self, action: Callable[[], T]) -> T | None:
        """Let the main process act, and tell the others what it found (all of it picklable)."""
        result = self.first(action)
        return result if self.size == 1 else gather_object([result])[0]

    def in_turn(self, action: Callable[[], T]) -> T:
        """Let the main process of each machine act first, so that the others find in the store what it computed."""
        leads = self.alone or self.accelerator.is_local_main_process
        results: list[T] = []
        for is_turn in (leads, not leads):
            with self.together():
                results += [action()] if is_turn else []
        return results[0]

    def pool(self, found: dict[str, T]) -> dict[str, T]:
        """Give what all processes found, each on languages of its own, in alphabetical order; a team has it already."""
        if not self.alone:
            return found
        parts = gather_object([found])
        return dict(sorted(item for part in parts for item in part.items()))

    def gather(self, rows: torch.Tensor) -> torch.Tensor:
        """Give the rows of all processes of the team, gradients flowing back."""
        return rows if self.size == 1 else gather(rows)

    def prepare(self, model: nn.Module, optimizer: torch.optim.Optimizer) -> tuple[nn.Module, torch.optim.Optimizer]:
        """Make model and optimiser ready for the team: gradients are averaged, precision is mixed."""
        self.release()
        if not self.alone:
            return self.accelerator.prepare(model, optimizer)
        model = self.accelerator.prepare_model(model, evaluation_mode=True)
        return model, self.accelerator.prepare_optimizer(optimizer)

    def release(self) -> None:
        """Let go of the last training, whose optimiser accelerate would write into every later checkpoint, and read."""
        self.accelerator._custom_objects.clear()
        self.accelerator.free_memory()

    def full_precision(self, model: nn.Module) -> None:
        """Take mixed precision off a model, which is measured as it will be loaded."""
        self.accelerator.unwrap_model(model, keep_fp32_wrapper=False)


def _told(error: Exception | None) -> tuple[str, str] | None:
    """Give an error as the other processes hear of it: the kind that it counts as, and what it says."""
    if error is None:
        return None
    kind = next((known for known in LANGUAGE_ERRORS if isinstance(error, known)), type(error))
    return kind.__name__, str(error)


def share_cores(n_processes: int) -> str:
    """Let this process use its share of the machine's cores, whatever the launcher set, and say how many they are."""
    # `accelerate launch` sets one thread a process; a process that is alone on its machine takes all cores.
    local = int(os.environ.get("LOCAL_WORLD_SIZE", n_processes))
    torch.set_num_threads(max(1, n_cores() // local))
    return f"{n_processes} process(es) on CPU, {torch.get_num_threads()} thread(s) each"


def n_cores() -> int:
    """Give the number of CPU cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
