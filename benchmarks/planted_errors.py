"""How well the share of wrong labels is estimated: errors planted at known rates into names that people gave.

    python benchmarks/planted_errors.py [--model conse-e5] [--draws 20] [--k 100]

In each draw half of the 1000 classes, at random, have their human name (AR, IT, JA, ZH), of which a share is exchanged
for another class's: any other, or the nearest one. What the encoder misplaces of right names is taken from the other
half. Printed: the mean estimate, and in how many of the draws the 95 % interval holds the planted share.
"""

from __future__ import annotations

import argparse

import numpy as np

from babel_eval.encoders import load_encoder
from babel_imagenet_dataset.human_names import HUMAN_LANGUAGES, human_names
from babel_imagenet_dataset.imagenet import N_CLASSES, english_class_names
from babel_imagenet_dataset.semantic import WrongShare, null_ranks, own_ranks, plant_errors, wrong_share

SHARES = (0.0, 0.01, 0.02, 0.05, 0.1, 0.2, 0.4)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="conse-e5")
    parser.add_argument("--draws", type=int, default=20)
    parser.add_argument("--k", type=int, default=100)
    parser.add_argument("--languages", default=",".join(HUMAN_LANGUAGES))
    parser.add_argument("--kinds", default="random,nearest")
    arguments = parser.parse_args()
    encoder = load_encoder(arguments.model)
    english = encoder.encode_texts(english_class_names(), "EN")
    names = {code: encoder.encode_texts(human_names(code), code) for code in arguments.languages.split(",")}
    for kind in arguments.kinds.split(","):
        print(f"| planted, {kind} | {' | '.join(f'{share:g}' for share in SHARES)} |")
        print(f"|---|{'---|' * len(SHARES)}")
        for code, features in names.items():
            cells = [cell(features, english, share, kind, arguments.draws, arguments.k) for share in SHARES]
            print(f"| {code} | {' | '.join(cells)} |", flush=True)
        print()


def cell(features: np.ndarray, english: np.ndarray, share: float, kind: str, n_draws: int, k: int) -> str:
    """Give mean estimate and coverage over the draws as text, and how many draws gave no estimate."""
    found = [estimate(features, english, share, kind, seed, k) for seed in range(n_draws)]
    told = [(one.share, one.interval) for one in found if one.share is not None and one.interval is not None]
    if not told:
        return "not estimable"
    mean = np.mean([value for value, _ in told])
    holds = np.mean([low - 1e-12 <= share <= high + 1e-12 for _, (low, high) in told])
    missing = f", {len(found) - len(told)} not estimable" if len(told) < len(found) else ""
    return f"{mean:.3f} ({holds:.2f}{missing})"


def estimate(features: np.ndarray, english: np.ndarray, share: float, kind: str, seed: int, k: int) -> WrongShare:
    """Plant errors into one half of the classes, and estimate their share with the other half as reference."""
    order = np.random.default_rng(seed).permutation(N_CLASSES)
    half, other = np.sort(order[: N_CLASSES // 2]), np.sort(order[N_CLASSES // 2 :])
    planted = features[half][plant_errors(half, english, share, kind, seed)]
    reference = own_ranks(features[other], english, other)
    return wrong_share(own_ranks(planted, english, half), null_ranks(planted, english, half), reference, k)


if __name__ == "__main__":
    main()
