"""What a run says: what was read, how it goes, what was gained."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from accelerate import Accelerator

    from babel_adapters.data import TrainingData
    from babel_adapters.measure import Gain
    from babel_adapters.team import Team


def say(speaker: Accelerator | Team, text: str) -> None:
    """Write a line to the standard error, once for all processes or once for each team."""
    if speaker.is_main_process:
        sys.stderr.write(f"{text}\n")
        sys.stderr.flush()


def describe(data: TrainingData, language: str) -> str:
    """Say in one line what is trained on, and what was left out and why."""
    left_out = ", ".join(f"{n} {reason}" for reason, n in data.source.left_out.items() if n) or "nothing"
    unknown = f", {data.unknown_share:.1%} of the tokens unknown to the tokenizer" if data.unknown_share else ""
    unseen = f"; {n} have no English caption to compare" if (n := data.source.n_without_english) else ""
    return (
        f"{language}: {data.n_train} pairs of {data.source.name} to train on, {len(data.held_out)} held out{unknown}; "
        f"left out: {left_out}{unseen}"
    )


def table(gains: Mapping[str, Sequence[Gain]], failures: Mapping[str, str]) -> str:
    """Give the summary: a line for each language and set of images, the mean gain, and what failed."""
    rows = [("language", "images", "prompts", "n", "before", "after", "gain", "95 % interval")]
    for language, measured in gains.items():
        for one in measured:
            n = str(one.after.get("n_images", ""))
            figures = f"{one.before['accuracy']:.3f}", f"{one.after['accuracy']:.3f}", f"{one.gain:+.3f}"
            rows.append((language, one.images, one.prompt, n, *figures, "{:+.3f} to {:+.3f}".format(*one.interval)))
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    lines += [f"mean gain on {name} over {n} language(s): {mean:+.3f}" for name, n, mean in mean_gains(gains)]
    lines += [f"{language}: failed: {why}" for language, why in failures.items()]
    return "\n".join(lines)


def mean_gains(gains: Mapping[str, Sequence[Gain]]) -> list[tuple[str, int, float]]:
    """Give the mean gain over languages: name of the images and prompts, number of languages, mean."""
    by_name: dict[str, list[float]] = {}
    for measured in gains.values():
        for one in measured:
            by_name.setdefault(f"{one.images} ({one.prompt})", []).append(one.gain)
    return [(name, len(values), sum(values) / len(values)) for name, values in by_name.items()]
