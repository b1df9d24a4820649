"""What the default adapter gains on Babel-ImageNet, by language and leakage rule, with intervals.

    make cldr
    python benchmarks/adapters.py --cldr cldr --out adapter-gains              # thirteen languages, both rules
    python benchmarks/adapters.py --cldr cldr --out adapter-gains --eval-images names,val      # photos beside names
    python benchmarks/adapters.py --cldr cldr --out adapter-gains --only cldr --rules strict --method lora

Every flag that is not this script's own goes to the trainer. A second run goes on where the first one stopped: finished
languages are read from their folders. In the interval of a mean a class is drawn once for all languages that have it:
on names the image of "dog" is the same for all of them.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from babel_zsic.uncertainty import DIFFERENCE, cluster_sums

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "trainer"))

LANGUAGES = {"cldr": ("LO", "AM", "MY", "SI", "KM", "SW", "SO", "AS"), "emoji": ("TR", "FA", "KO", "ID", "RU")}
RESAMPLES = 10_000
Row = tuple[str, int, float, float, float, tuple[float, float], float]


def main(arguments: Sequence[str] | None = None) -> None:
    """Train, measure, and print a table for each kind of words and rule."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n\n")[0], allow_abbrev=False)
    parser.add_argument("--cldr", default="cldr", help="folder that `make cldr` fills")
    parser.add_argument("--out", required=True, help="folder for adapters and results")
    parser.add_argument("--only", default=",".join(LANGUAGES), help="kinds of words: cldr, emoji")
    parser.add_argument("--rules", default="labels,strict", help="leakage rules")
    parser.add_argument("--languages", help="codes, in place of the thirteen")
    own, more = parser.parse_known_args(arguments)
    for words in own.only.split(","):
        languages = own.languages.upper().split(",") if own.languages else LANGUAGES[words]
        for rule in own.rules.split(","):
            data = f"cldr:{own.cldr}" if words == "cldr" else words
            flags = ["--train-data", data, "--leakage", rule, "--output-dir", f"{own.out}/{words}-{rule}"]
            tables = train([*flags, "--languages", ",".join(languages).lower(), "--resume", *more])
            for images, rows in tables.items():
                sys.stdout.write(table(f"{words}, `--leakage {rule}`, {images}", rows) + "\n\n")
            sys.stdout.flush()


def train(flags: Sequence[str]) -> dict[str, list[Row]]:
    """Train an adapter for each language, and give its figures by images."""
    import train_adapter
    from babel_adapters.config import TrainConfig
    from babel_adapters.options import parse
    from babel_adapters.presets import PRESETS

    config = parse(TrainConfig, flags, presets=PRESETS)
    accelerator = train_adapter.start(config)
    encoder, labels, languages = train_adapter.load(config, accelerator)
    tables: dict[str, list[Row]] = {}
    for language in languages:
        start = time.perf_counter()
        gains = train_adapter.one_language(config, accelerator, encoder, language, labels)
        seconds = time.perf_counter() - start
        for gain in gains:
            n = len(changes(Path(config.output_dir) / language.lower(), gain.images).classes)
            figures = gain.before["accuracy"], gain.after["accuracy"], gain.gain, gain.interval
            tables.setdefault(gain.images, []).append((language, n, *figures, seconds))
    return {images: [*rows, mean_of(rows, Path(config.output_dir), images)] for images, rows in tables.items()}


def mean_of(rows: Sequence[Row], folder: Path, images: str) -> Row:
    """Give the means over languages as a row of their own; classes and seconds are added up."""
    interval = mean_interval([changes(folder / row[0].lower(), images) for row in rows])
    before, after, gained = (float(np.mean(figures)) for figures in zip(*(row[2:5] for row in rows), strict=True))
    return "mean", sum(row[1] for row in rows), before, after, gained, interval, sum(row[6] for row in rows)


class Changes(NamedTuple):
    """What changed in a language, by class, in ascending order.

    Attributes:
      classes: int64 [n_classes], class indices.
      sums: float64 [n_classes], photos that are right after less those that were right before.
      counts: float64 [n_classes], photos.
    """

    classes: np.ndarray
    sums: np.ndarray
    counts: np.ndarray


def changes(folder: Path, images: str) -> Changes:
    """Read what changed from the two files of predictions.

    Raises:
      ValueError: they are not of the same photos in the same order.
    """
    import pyarrow.parquet as pq

    from babel_adapters.measure import result_file

    files = [folder / result_file(when, images) for when in ("before", "after")]
    before, after = (pq.read_table(file.with_suffix(".predictions.parquet")).to_pydict() for file in files)
    if before["photo"] != after["photo"]:
        raise ValueError(f"{folder}: {files[0].name} and {files[1].name} are not of the same photos")
    right = [np.array(t["predicted"]) == np.array(t["class_index"]) for t in (before, after)]
    sums, counts = cluster_sums((right[1].astype(float) - right[0])[:, None], before["class_index"])
    return Changes(np.unique(before["class_index"]), sums[:, 0], counts)


def mean_interval(languages: Sequence[Changes], seed: int = 0) -> tuple[float, float]:
    """Give the 95 % interval of the mean over languages of the change of accuracy.

    A class weighs the same in all languages of a draw; each language has pseudo-classes of its own. The languages are
    those measured, not draws from all there are.

    Source: Bayesian bootstrap with the prior of paired differences, see `babel_zsic.uncertainty`.
    """
    rng = np.random.default_rng(seed)
    weights = rng.standard_exponential((RESAMPLES, 1000), dtype=np.float32)
    drawn = np.zeros(RESAMPLES)
    for classes, sums, counts in languages:
        low, high = rng.standard_gamma(DIFFERENCE.weight, (2, RESAMPLES)) * counts.mean()
        drawn += (weights[:, classes] @ sums + high - low) / (weights[:, classes] @ counts + low + high)
    bounds = np.quantile(drawn / len(languages), (0.025, 0.975))
    return float(bounds[0]), float(bounds[1])


def table(title: str, rows: Sequence[Row]) -> str:
    """Give a table in Markdown."""
    lines = [title, "", "| language | n | before | after | gain | 95 % interval | seconds |"]
    lines.append("|---|---:|---:|---:|---:|---:|---:|")
    for language, n, before, after, gain, (low, high), seconds in rows:
        figures = f"{before:.3f} | {after:.3f} | {gain:+.3f} | {low:+.3f} to {high:+.3f} | {seconds:.0f}"
        lines.append(f"| {language} | {n} | {figures} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
