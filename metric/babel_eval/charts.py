"""Charts of result files as PNG."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from babel_eval.results import Results
from babel_eval.vega import GROUP_NAMES, LIGHT
from babel_imagenet_dataset.files import atomic_path
from babel_imagenet_dataset.languages import language

if TYPE_CHECKING:
    from matplotlib.axes import Axes

GROUPS = {group: LIGHT[group] for group in GROUP_NAMES}
COLUMNS = 3


def draw_accuracy(results: Results, path: Path | str, title: str) -> None:
    """Draw a bar of accuracy with its interval for each language, best first, in columns; colour is the group.

    Args:
      results: rows of one prompt set, at least one.
      path: the PNG to write.
      title: what was measured, in one line.
    """
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    rows = sorted(results.rows, key=lambda row: -row["accuracy"])
    per_column = -(-len(rows) // COLUMNS)
    figure, axes = plt.subplots(1, COLUMNS, figsize=(4.2 * COLUMNS, 1.4 + 0.21 * per_column), layout="constrained")
    for number, axis in enumerate(np.atleast_1d(axes)):
        _draw_column(axis, rows[number * per_column : (number + 1) * per_column], per_column)
    handles = [plt.Rectangle((0, 0), 1, 1, color=colour) for colour in GROUPS.values()]
    figure.legend(handles, [GROUP_NAMES[g] for g in GROUPS], loc="outside lower center", ncol=4, frameon=False)
    figure.suptitle(title, x=0.01, ha="left", fontsize=12, fontweight="bold")
    with atomic_path(path) as part:
        figure.savefig(part, format="png", dpi=110)
    plt.close(figure)


def _draw_column(axis: Axes, rows: list[dict], height: int) -> None:
    places = np.arange(len(rows))
    values = np.array([row["accuracy"] for row in rows])
    bounds = np.array([row["accuracy_interval"] for row in rows]).reshape(-1, 2)
    axis.barh(places, 100 * values, color=[GROUPS[row["group"]] for row in rows], height=0.72)
    axis.hlines(places, 100 * bounds[:, 0], 100 * bounds[:, 1], color="#222222", linewidth=1)
    axis.set_yticks(places, [f"{language(row['lang']).name} ({row['num_classes']})" for row in rows], fontsize=8)
    axis.set_xlim(0, 100)
    axis.set_ylim(height - 0.4, -0.6)
    axis.set_xlabel("accuracy in %, with 95 % interval", fontsize=8)
    axis.grid(axis="x", color="#dddddd", linewidth=0.6)
    axis.set_axisbelow(True)
    axis.tick_params(axis="y", length=0)
    axis.spines[["top", "right", "left"]].set_visible(False)
