"""How often intervals of an accuracy hold the truth when photos of one class stand or fall together.

    python benchmarks/intervals.py

Classes are drawn anew in each repeat: a class's own accuracy from a beta distribution around the truth, with the
correlation given between its photos, and 50 photos of each class from that.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

import numpy as np
from scipy import stats

from babel_zsic.uncertainty import Prior, Resampling, class_interval, quantile_interval, resample_means, wilson_interval

N_IMAGES = 50
N_RESAMPLES = 2000
CASES = [(n, accuracy) for accuracy in (0.05, 0.3) for n in (10, 30, 63, 400)]

Method = Callable[[np.ndarray, int], list[float]]


def percentile(right: np.ndarray, seed: int) -> list[float]:
    """Classes drawn with replacement (Efron 1979), the middle 95 % of the means."""
    drawn = np.random.default_rng(seed).integers(len(right), size=(N_RESAMPLES, len(right)))
    return quantile_interval((right / N_IMAGES)[drawn].mean(axis=1), right.mean() / N_IMAGES, 0.95)


def bca(right: np.ndarray, seed: int) -> list[float]:
    """The same, corrected for bias and acceleration (Efron 1987), by scipy."""
    if not right.any():
        return [0.0, 0.0]
    found = stats.bootstrap((right / N_IMAGES,), np.mean, n_resamples=N_RESAMPLES, method="BCa", rng=seed, batch=500)
    return list(found.confidence_interval)


def student(right: np.ndarray, seed: int) -> list[float]:
    """Student's t over the classes' own accuracies."""
    means = right / N_IMAGES
    half = stats.t.ppf(0.975, len(means) - 1) * means.std(ddof=1) / np.sqrt(len(means))
    return [means.mean() - half, means.mean() + half]


def wilson(right: np.ndarray, seed: int) -> list[float]:
    """Wilson's score interval with all photos taken for independent."""
    return wilson_interval(right.mean() / N_IMAGES, len(right) * N_IMAGES)


def wilson_effective(right: np.ndarray, seed: int) -> list[float]:
    """Wilson's with the number of photos divided by the design effect that the classes' spread shows."""
    mean = right.mean() / N_IMAGES
    plain = mean * (1 - mean) / N_IMAGES
    effect = max(1.0, (right / N_IMAGES).var(ddof=1) / plain) if plain else 1.0
    return wilson_interval(mean, len(right) * N_IMAGES / effect)


def bayesian(right: np.ndarray, seed: int) -> list[float]:
    """The Bayesian bootstrap (Rubin 1981) without a prior."""
    counts = np.full((len(right), 1), float(N_IMAGES))
    plain = Prior(0.0, 0.0, 1e-9)
    drawn = resample_means(right[:, None].astype(float), counts, [plain], Resampling(0.95, N_RESAMPLES, seed))
    return quantile_interval(drawn[:, 0], right.mean() / N_IMAGES, 0.95)


def ours(right: np.ndarray, seed: int) -> list[float]:
    """The Bayesian bootstrap with half a class at 0 and half a class at 1: `class_interval`."""
    classes = np.repeat(np.arange(len(right)), N_IMAGES)
    values = np.arange(N_IMAGES)[None, :] < right[:, None]
    return class_interval(values.ravel().astype(float), classes, n_resamples=N_RESAMPLES, seed=seed)


METHODS: dict[str, Method] = {
    "photos as independent, Wilson": wilson,
    "Wilson, design effect": wilson_effective,
    "classes, Student's t": student,
    "classes, percentile": percentile,
    "classes, BCa": bca,
    "Bayesian, no prior": bayesian,
    "Bayesian, weak prior (used)": ours,
}


def coverage(n_classes: int, accuracy: float, correlation: float, repeats: int) -> dict[str, float]:
    """Give the share of repeats in which each method's interval held the truth."""
    rng = np.random.default_rng([n_classes, round(accuracy * 100)])
    concentration = 1 / correlation - 1
    held = dict.fromkeys(METHODS, 0)
    for repeat in range(repeats):
        rates = rng.beta(accuracy * concentration, (1 - accuracy) * concentration, n_classes)
        right = rng.binomial(N_IMAGES, rates)
        for name, method in METHODS.items():
            low, high = method(right, repeat)
            held[name] += low <= accuracy <= high
    return {name: count / repeats for name, count in held.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=1000)
    parser.add_argument("--correlation", type=float, default=0.3, help="between photos of one class")
    options = parser.parse_args()
    found = {case: coverage(*case, options.correlation, options.repeats) for case in CASES}
    print("| method | " + " | ".join(f"{n} at {accuracy:g}" for n, accuracy in CASES) + " |")
    print("|---|" + "---:|" * len(CASES))
    for name in METHODS:
        print(f"| {name} | " + " | ".join(f"{100 * found[case][name]:.1f}" for case in CASES) + " |")


if __name__ == "__main__":
    main()
