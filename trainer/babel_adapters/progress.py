"""How a run goes: a bar with loss, pairs a second and time left, a line of JSON for each step, and trackers."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from babel_adapters.state import LoopState
    from babel_adapters.team import Team

STEPS = "steps.jsonl"


class Progress:
    """Shows and writes down the steps of a run; only the team's main process does either."""

    def __init__(self, team: Team, folder: Path, n_steps: int, state: LoopState, *, resumed: bool) -> None:
        self._team, self._path, self._n_steps, self._state = team, folder / STEPS, n_steps, state
        self._resumed = resumed
        self._file: Any = None
        self._bar: Any = None
        self._start, self._pairs = time.perf_counter(), state.pairs
        self._notes: dict[str, float] = {}

    def __enter__(self) -> Progress:
        from tqdm import tqdm

        if self._team.is_main_process:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            kept = [line for line in self._lines() if json.loads(line)["step"] <= self._state.step]
            self._file = open(self._path, "w", encoding="utf-8")
            self._file.writelines(kept)
            self._bar = tqdm(total=self._n_steps, initial=self._state.step, unit="step", desc=self._path.parent.name)
        return self

    def __exit__(self, *_: Any) -> None:
        if self._file is not None:
            self._file.close()
            self._bar.close()

    def _lines(self) -> list[str]:
        if not self._resumed or not self._path.is_file():
            return []
        lines = self._path.read_text(encoding="utf-8").splitlines(keepends=True)
        return [line for line in lines if line.endswith("}\n")]  # a kill may have cut the last one

    def log(self, values: Mapping[str, float]) -> None:
        """Write down a step that was made."""
        state = self._state
        per_second = (state.pairs - self._pairs) / max(time.perf_counter() - self._start, 1e-9)
        line = {"step": state.step, **values, "pairs": state.pairs, "pairs_per_second": per_second}
        self._track(line)
        if self._file is not None:
            self._file.write(json.dumps(line) + "\n")
            self._file.flush()
            self._bar.set_postfix({"loss": values["loss"], "pairs/s": per_second, **self._notes})
            self._bar.update()

    def note(self, values: Mapping[str, float]) -> None:
        """Show and track figures that are not of every step, such as the held-out loss."""
        self._notes |= values
        self._track(values)

    def _track(self, values: Mapping[str, float]) -> None:
        """Hand values to the tracker under the language's name, as languages share a tracker and count steps alike."""
        if self._team.accelerator.log_with:
            named = {f"{self._path.parent.name}/{name}": value for name, value in values.items()}
            self._team.accelerator.log(named, step=self._state.step)
