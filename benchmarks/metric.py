"""The measure beside the bare matrix products that it cannot do without, and its memory above its inputs.

    python benchmarks/metric.py

Each case runs in a process of its own; times are the best of three, ours and the bare product in turn.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

DIM = 512
CASES = ("classification", "compute", "retrieval", "intervals")


def best(*runs: Callable[[], object], n: int = 3) -> list[float]:
    """Give the shortest of n times of each function, taken in turn."""
    times = [[] for _ in runs]
    for _ in range(n):
        for run, taken in zip(runs, times, strict=True):
            start = time.perf_counter()
            run()
            taken.append(time.perf_counter() - start)
    return [min(taken) for taken in times]


def resident() -> int:
    """Give the memory in use now, in bytes."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def peak_above(run: Callable[[], object]) -> float:
    """Give the most memory in MB that a call held above what was there before it, looked at each 5 ms."""
    before, highest, done = resident(), 0, threading.Event()

    def watch() -> None:
        nonlocal highest
        while not done.wait(0.005):
            highest = max(highest, resident())

    watcher = threading.Thread(target=watch)
    watcher.start()
    run()
    done.set()
    watcher.join()
    return (highest - before) / 2**20


def features(n: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((n, DIM), dtype=np.float32)


def classification() -> dict[str, float]:
    from babel_zsic.classification import classify

    images, classes = features(50_000, 0), features(1_000, 1)
    truth = np.arange(len(images)) % len(classes)

    def ours() -> object:
        return classify(images, classes, truth)

    memory = peak_above(ours)
    taken, bare = best(ours, lambda: (images @ classes.T).argmax(axis=1))
    return {"seconds": taken, "bare": bare, "ratio": taken / bare, "MB above inputs": memory}


def compute() -> dict[str, float]:
    """Measure the same through `evaluate`'s door: checks, figures and the fewest resamples that it takes."""
    from babel_zsic.babel_zsic import BabelZSIC

    images, classes = features(50_000, 0), features(1_000, 1)
    inputs = {"image_features": images, "class_features": {"DE": classes}, "class_indices": {"DE": range(1_000)}}
    truth = np.arange(len(images)) % len(classes)
    with tempfile.TemporaryDirectory() as folder:
        metric = BabelZSIC(cache_dir=folder)

        def ours() -> object:
            return metric.compute(references=truth, n_resamples=100, **inputs)

        memory = peak_above(ours)
        taken, bare = best(ours, lambda: (images @ classes.T).argmax(axis=1))
    return {"seconds": taken, "bare": bare, "ratio": taken / bare, "MB above inputs": memory}


def retrieval() -> dict[str, float]:
    from babel_zsic.retrieval import rank_pairs

    texts, images = features(100_000, 0), features(20_000, 1)
    owner = np.arange(len(texts)) % len(images)

    def ours() -> object:
        return rank_pairs(owner, text_features=texts, image_features=images)

    def bare() -> None:
        for start in range(0, len(texts), 1024):
            texts[start : start + 1024] @ images.T

    memory = peak_above(ours)
    taken, product = best(ours, bare, n=2)
    return {"seconds": taken, "bare": product, "ratio": taken / product, "MB above inputs": memory}


def intervals() -> dict[str, float]:
    from babel_zsic.uncertainty import class_interval

    values = (np.random.default_rng(0).random(50_000) < 0.3).astype(float)
    (taken,) = best(lambda: class_interval(values, np.arange(50_000) % 1_000, n_resamples=10_000))
    return {"seconds for 10,000 resamples of 1,000 classes": taken}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("case", nargs="?", choices=CASES, help="one case, as JSON; without it, all")
    case = parser.parse_args().case
    if case:
        print(json.dumps(globals()[case]()))
        return
    for name in CASES:
        done = subprocess.run([sys.executable, __file__, name], check=True, capture_output=True, text=True)
        figures = json.loads(done.stdout)
        print(f"{name}: " + ", ".join(f"{what} {value:.2f}" for what, value in figures.items()), flush=True)


if __name__ == "__main__":
    main()
