"""Scoring all languages of a run beside the bare matrix products and argmax that it cannot do without.

    python benchmarks/scoring.py --photos-per-class 5          # a tenth of the size, under a minute
    python benchmarks/scoring.py                               # 298 languages x 50,000 photos x 512

Features are random and lie in a store of shards, memory-mapped as in a run; every language has as many classes as in
the release of 298, drawn at random. Ours goes through `ZeroShotRun`: photos are selected, decisions and ranks are found
for the language and for English on the same classes. Texts are encoded before, and the time in `score_language`
(figures and intervals) is measured apart and taken off. Bare: the same two products a language, in blocks of 1,024
photos that lie ready, and their argmax. Ours and bare take turns, language by language. Ours compares a photo with the
English names once, in the first language that has it, and counts in later ones those of their classes.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from babel_eval import zero_shot
from babel_eval.images import ImageFeatures
from babel_eval.store import SHARD, FeatureStore
from babel_eval.texts import ClassFeatures
from babel_imagenet_dataset.languages import codes, language
from babel_imagenet_dataset.release import LabelFile, LanguageLabels

DIM = 512
KEY = "0" * 64


class RandomTexts:
    """An encoder whose texts are random vectors, the same each time."""

    model, source, parameters, dim, device = "random", "random", 0, DIM, "cpu"
    fingerprint, uses_language = KEY, False

    def encode_texts(self, texts: list[str], language: str) -> np.ndarray:
        return np.random.default_rng(len(texts)).standard_normal((len(texts), DIM), dtype=np.float32)


def stored_photos(folder: Path, per_class: int) -> ImageFeatures:
    """Keep random features of shuffled photos shard by shard, and give them as a run has them: memory-mapped."""
    rng, store = np.random.default_rng(0), FeatureStore(folder)
    classes = rng.permutation(np.repeat(np.arange(1000), per_class))
    for start in range(0, len(classes), SHARD):
        some = classes[start : start + SHARD]
        rows = rng.standard_normal((len(some), DIM), dtype=np.float32)
        rows /= np.linalg.norm(rows, axis=1)[:, None]
        ids = tuple(f"photo {start + i}" for i in range(len(some)))
        store.save_shard(KEY, start // SHARD, ImageFeatures(ids, some, rows, ()), is_last=start + SHARD >= len(classes))
    if (images := store.load(KEY)) is None:
        raise RuntimeError("the store did not keep what was put into it")
    return images


def random_labels() -> LabelFile:
    """Give labels for as many classes as each of the 298 languages has; the classes are drawn, the labels made up."""
    rng = np.random.default_rng(1)
    found = {}
    for code in codes("298"):
        n = 1000 if code == "EN" else int(language(code).n_classes or 10)
        classes = np.sort(rng.choice(1000, n, replace=False))
        found[code] = LanguageLabels(code, classes, tuple(f"{code} {index}" for index in classes))
    return LabelFile(Path("random"), KEY, None, found, None)


class Stopwatch:
    """Wraps a function and adds up the time spent in it."""

    def __init__(self, function: Callable) -> None:
        self.function, self.seconds = function, 0.0

    def __call__(self, *arguments: Any, **more: Any) -> Any:
        start = time.perf_counter()
        try:
            return self.function(*arguments, **more)
        finally:
            self.seconds += time.perf_counter() - start


def bare(photos: np.ndarray, *classes: np.ndarray) -> None:
    """Do what cannot be avoided: a product and its argmax for each set of classes."""
    for rows in classes:
        for start in range(0, len(photos), 1024):
            (photos[start : start + 1024] @ rows.T).argmax(axis=1)


def measured(images: ImageFeatures, labels: LabelFile, plan: list[str]) -> Iterator[tuple[float, float, float]]:
    """Yield for each language the seconds of ours (figures included), of figures alone, and of the bare products."""
    features = ClassFeatures(RandomTexts())  # type: ignore[arg-type]
    run = zero_shot.ZeroShotRun(features, images, labels, scoring=zero_shot.Scoring(n_resamples=100, k_way=()))
    pairs = [(code, "label") for code in plan]
    features.prepare([run._texts("EN", "label"), *(texts for texts in run.plan(pairs))])  # type: ignore[misc]
    english = features.of(run._texts("EN", "label"))
    figures = Stopwatch(zero_shot.score_language)
    zero_shot.score_language = figures  # type: ignore[assignment]
    for code in plan:
        entry = labels.languages[code]
        before, start = figures.seconds, time.perf_counter()
        list(run.evaluate([(code, "label")]))
        ours = time.perf_counter() - start
        photos = images.features[np.isin(images.class_index, entry.class_index)]
        sets = [features.of(run._texts(code, "label"))]
        sets += [] if code == "EN" else [english[entry.class_index]]
        start = time.perf_counter()
        bare(photos, *sets)
        yield ours, figures.seconds - before, time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos-per-class", type=int, default=50)
    parser.add_argument("--every", type=int, default=1, help="take every n-th language by number of classes")
    options = parser.parse_args()
    labels = random_labels()
    plan = sorted(labels.languages, key=lambda code: (len(labels.languages[code].labels), code))[:: options.every]
    with tempfile.TemporaryDirectory() as folder:
        images = stored_photos(Path(folder), options.photos_per_class)
        list(measured(images, labels, plan[:3]))  # warm up
        times = np.array(list(measured(images, labels, plan)))
    sizes = np.array([len(labels.languages[code].labels) for code in plan])
    print(f"{len(plan)} languages, {len(images.ids)} photos, {DIM} wide")
    print("| classes | languages | ours | bare | ratio | figures and intervals apart |\n|---|---:|---:|---:|---:|---:|")
    for low, high in ((0, 100), (100, 333), (333, 666), (666, 1001), (0, 1001)):
        some = (sizes >= low) & (sizes < high)
        ours, figures, products = times[some].sum(axis=0)
        name = "all" if high - low > 1000 else f"{low} to {high - 1}"
        ratio = (ours - figures) / products
        print(f"| {name} | {some.sum()} | {ours - figures:.2f} s | {products:.2f} s | {ratio:.2f} | {figures:.2f} s |")
    print(f"peak memory of the process {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MiB")


if __name__ == "__main__":
    main()
