"""What the default adapter gains on Babel-ImageNet, by language and leakage rule, with intervals.

    make cldr
    python benchmarks/adapters.py --cldr cldr --out adapter-gains              # thirteen languages, both rules
    python benchmarks/adapters.py --cldr cldr --out adapter-gains --eval-images names,val      # photos beside names
    python benchmarks/adapters.py --cldr cldr --out adapter-gains --only cldr --rules strict --method lora

Every flag that is not this script's own goes to the trainer. A second run goes on where the first one stopped: finished
languages are read from their folders. The interval of a mean is a bootstrap over classes within each language.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

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
            n = len(changes(Path(config.output_dir) / language.lower(), gain.images))
            figures = gain.before["accuracy"], gain.after["accuracy"], gain.gain, gain.interval
            tables.setdefault(gain.images, []).append((language, n, *figures, seconds))
    return {images: [*rows, mean_of(rows, Path(config.output_dir), images)] for images, rows in tables.items()}


def mean_of(rows: Sequence[Row], folder: Path, images: str) -> Row:
    """Give the means over languages as a row of their own; classes and seconds are added up."""
    interval = mean_interval([changes(folder / row[0].lower(), images) for row in rows])
    before, after, gained = (float(np.mean(figures)) for figures in zip(*(row[2:5] for row in rows), strict=True))
    return "mean", sum(row[1] for row in rows), before, after, gained, interval, sum(row[6] for row in rows)


def changes(folder: Path, images: str) -> np.ndarray:
    """Give the change of accuracy of each class, float [n_classes], from the two files of predictions."""
    import pyarrow.parquet as pq

    from babel_adapters.measure import result_file

    files = [folder / result_file(when, images) for when in ("before", "after")]
    before, after = (pq.read_table(file.with_suffix(".predictions.parquet")).to_pydict() for file in files)
    classes = np.array(before["class_index"])
    right = [np.array(t["predicted"]) == np.array(t["class_index"]) for t in (before, after)]
    difference = right[1].astype(float) - right[0]
    return np.array([difference[classes == c].mean() for c in np.unique(classes)])


def mean_interval(differences: Sequence[np.ndarray], seed: int = 0) -> tuple[float, float]:
    """Give the 95 % bootstrap interval of the mean over languages of the mean over classes."""
    rng = np.random.default_rng(seed)
    draws = [rng.choice(d, (RESAMPLES, len(d))).mean(axis=1) for d in differences]
    low, high = np.quantile(np.mean(draws, axis=0), (0.025, 0.975))
    return float(low), float(high)


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
