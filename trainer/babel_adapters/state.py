"""Where a run stands, and its checkpoints: whole or not there, whenever a run is killed."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from babel_adapters.adapter import trainable
from babel_eval.results import differences, plain
from babel_imagenet_dataset.files import read_json, write_json

if TYPE_CHECKING:
    from torch import nn

    from babel_adapters.team import Team

CHECKPOINT = "checkpoint"
_WEIGHTS = "trainable.safetensors"


@dataclass
class LoopState:
    """All of a loop's state but weights, optimiser and random numbers.

    Attributes:
      step: optimiser steps made.
      batch: batches passed, counted over all epochs.
      pairs: pairs seen.
      best: lowest held-out loss so far; infinite before the first check.
      best_step: step of that check.
      bad_checks: checks since then.
      checked: step of the last check; a checkpoint is written before it, so a resumed run may have to make it again.
      stopped: why the run ended early; empty while it goes on.
    """

    step: int = 0
    batch: int = 0
    pairs: int = 0
    best: float = float("inf")
    best_step: int = 0
    bad_checks: int = 0
    checked: int = 0
    stopped: str = ""

    def state_dict(self) -> dict[str, Any]:
        """Give all fields."""
        return asdict(self)

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take all fields."""
        for name in asdict(self):
            setattr(self, name, state[name])


class Best:
    """The trained weights of the best check, kept in memory and in checkpoints."""

    def __init__(self) -> None:
        self.weights: dict[str, torch.Tensor] = {}

    def keep(self, model: nn.Module) -> None:
        """Copy the trained weights as they are now."""
        self.weights = {name: p.detach().cpu().clone() for name, p in trainable(model).items()}

    def restore(self, model: nn.Module) -> None:
        """Put the kept weights back; without any, nothing changes."""
        load_trainable(model, self.weights)

    def state_dict(self) -> dict[str, Any]:
        """Give the kept weights."""
        return dict(self.weights)

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take kept weights."""
        self.weights = dict(state)


def load_trainable(model: nn.Module, weights: dict[str, torch.Tensor]) -> None:
    """Copy weights into the parameters of those names."""
    parameters = dict(model.named_parameters())
    with torch.no_grad():
        for name, value in weights.items():
            parameters[name].copy_(value)


def has_checkpoint(folder: Path) -> bool:
    """Tell whether a run in a folder was broken off after it had written a checkpoint."""
    return any((folder / name).is_dir() for name in (CHECKPOINT, f"{CHECKPOINT}.old"))


class Checkpoints:
    """The last checkpoint of a run, in `FOLDER/checkpoint`, with the settings it was made under."""

    def __init__(self, team: Team, folder: Path, settings: Mapping[str, Any], parts: Sequence[Any]) -> None:
        """Say what a checkpoint holds.

        Args:
          team: with the model and the optimiser prepared.
          folder: of the run.
          settings: all that determines the run; another run's checkpoint is refused.
          parts: what else is saved (each with `state_dict` and `load_state_dict`).
        """
        self._team, self._path, self._settings = team, folder / CHECKPOINT, plain(settings)
        self._accelerator = accelerator = team.accelerator
        self._parts = parts
        accelerator.register_for_checkpointing(*parts)
        self._hooks = [
            accelerator.register_save_state_pre_hook(self._save_weights),
            accelerator.register_load_state_pre_hook(self._load_weights),
        ]

    def close(self) -> None:
        """Take all that is this run's off the accelerator."""
        for hook in self._hooks:
            hook.remove()
        self._team.release()

    def save(self) -> None:
        """Write a checkpoint beside the last one, then put it in its place.

        Raises:
          OSError: it could not be written (no room); the last one is intact and the message names it.
        """
        from safetensors import SafetensorError  # what safetensors makes of an OSError

        part = self._path.with_suffix(".part")
        if self._team.is_main_process:
            shutil.rmtree(part, ignore_errors=True)
            part.mkdir(parents=True)
        self._team.wait()
        try:
            self._accelerator.save_state(str(part), safe_serialization=True)
            if self._team.is_main_process:
                write_json(part / "settings.json", self._settings)
        except (OSError, RuntimeError, SafetensorError) as error:
            shutil.rmtree(part, ignore_errors=True)
            raise OSError(f"the checkpoint {part} could not be written ({error}); {self._last()}") from error
        self._team.wait()
        if self._team.is_main_process:
            _replace_folder(part, self._path)
        self._team.wait()

    def _last(self) -> str:
        return f"the last one, {self._path}, is intact" if self._path.is_dir() else "there is none before it"

    def load(self) -> bool:
        """Go back to the last checkpoint; false where there is none.

        Raises:
          ValueError: it was made under other settings (they are named).
        """
        path = self._team.tell(self._to_resume)
        if path is None:
            return False
        if self._team.alone:
            _take_random_numbers(path, self._accelerator.process_index)
        self._accelerator.load_state(str(path))
        return True

    def _to_resume(self) -> Path | None:
        """Give the last checkpoint after a look at its settings; None where there is none."""
        path = self._path if self._path.is_dir() else self._path.with_suffix(".old")
        if not path.is_dir():
            return None
        if other := differences(read_json(path / "settings.json"), self._settings, self._settings):
            raise ValueError(f"{path} cannot be resumed, it was made with other settings ({other})")
        return path

    def remove(self) -> None:
        """Remove all checkpoints: the run is done."""
        if self._team.is_main_process:
            for path in (self._path, self._path.with_suffix(".old"), self._path.with_suffix(".part")):
                shutil.rmtree(path, ignore_errors=True)

    def _save_weights(self, models: list[nn.Module], weights: list[dict[str, torch.Tensor]], folder: str) -> None:
        """Write the trained weights alone; the base is not copied into every checkpoint."""
        from accelerate.utils import DistributedType
        from safetensors.torch import save_file

        if self._accelerator.distributed_type == DistributedType.FSDP:
            return  # its shards are accelerate's to write

        for model in models:
            bare = self._accelerator.unwrap_model(model)
            if self._team.is_main_process:
                kept = {name: p.detach().cpu().contiguous() for name, p in trainable(bare).items()}
                save_file(kept, Path(folder) / _WEIGHTS)
        weights.clear()
        if self._team.alone and not self._accelerator.is_main_process:
            self._save_what_only_the_first_writes(Path(folder))

    def _save_what_only_the_first_writes(self, folder: Path) -> None:
        """Write, under accelerate's names, what it writes on the first process alone: here each has its own run."""
        for number, part in enumerate(self._parts):
            torch.save(part.state_dict(), folder / f"custom_checkpoint_{number}.pkl")
        (optimizer,) = self._accelerator._optimizers
        torch.save(optimizer.state_dict(), folder / "optimizer.bin")

    def _load_weights(self, models: list[nn.Module], folder: str) -> None:
        from accelerate.utils import DistributedType
        from safetensors.torch import load_file

        if self._accelerator.distributed_type == DistributedType.FSDP:
            return
        while models:
            load_trainable(self._accelerator.unwrap_model(models.pop()), load_file(Path(folder) / _WEIGHTS))


def _take_random_numbers(checkpoint: Path, process: int) -> None:
    """Call a checkpoint's random numbers after the process that resumes it; a language may have moved to another."""
    (kept,) = checkpoint.glob("random_states_*.pkl")
    os.replace(kept, checkpoint / f"random_states_{process}.pkl")


def _replace_folder(part: Path, target: Path) -> None:
    """Put a folder in another's place; at no moment is neither the old nor the new one there."""
    old = target.with_suffix(".old")
    if target.is_dir():
        shutil.rmtree(old, ignore_errors=True)
        os.replace(target, old)
    os.replace(part, target)
    shutil.rmtree(old, ignore_errors=True)
