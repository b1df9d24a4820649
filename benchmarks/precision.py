"""What fewer bits bring: photos and texts a second in fp32, in bf16 or fp16, under autocast and compiled, side by side.

    python benchmarks/precision.py                                   # two minutes on two cores
    python benchmarks/precision.py --device cuda --photos 4096 --texts 20000 --batch 512 --variants bf16,fp16,compiled

Any model of open_clip, by default ViT-B-32 with random weights of seed 0. All variants take turns, `--rounds` times;
printed are the medians, each as a multiple of fp32, the lowest cosine of a feature with its fp32 self, and the device's
rate of a large square product in the same dtype, which says whether it computes in that dtype at all.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import numpy as np
import torch

from babel_eval.encoders import load_encoder
from babel_eval.precision import lowest_cosine
from babel_imagenet_dataset.release import load_labels

VARIANTS = ("fp32", "bf16", "fp16", "autocast", "compiled")
LANGUAGES = ("DE", "FR", "RU", "ZH", "SW")


class Variant:
    """One way to compute a model, and what it took."""

    def __init__(self, name: str, model: str, device: str | None) -> None:
        dtype = name if name in ("bf16", "fp16") else "fp32"
        self.name = name
        self.encoder: Any = load_encoder(model, device=device, dtype=dtype, compile_towers=name == "compiled")
        self.seconds: dict[str, list[float]] = {"photos": [], "texts": []}
        self.features: dict[str, np.ndarray] = {}

    @property
    def dtype(self) -> torch.dtype:
        """What products are computed in."""
        return torch.bfloat16 if self.name == "autocast" else self.encoder._dtype

    def run(self, side: str, work: Callable[[Any], np.ndarray], *, counts: bool) -> None:
        """Do some work once; the first time, which compiles and warms caches, counts for nothing."""
        kind = self.encoder.device.partition(":")[0]
        with torch.autocast(kind, torch.bfloat16) if self.name == "autocast" else nullcontext():
            start = time.perf_counter()
            self.features[side] = work(self.encoder)
        if counts:
            self.seconds[side].append(time.perf_counter() - start)


def product_rate(device: str, dtype: torch.dtype, seconds: float = 2.0) -> float:
    """Give the rate of a large square product, in 1e9 operations a second: the best of those that fit the time."""
    n = 1024 if device == "cpu" else 8192
    a, b = (torch.randn(n, n, device=device).to(dtype) for _ in range(2))
    best, start = float("inf"), time.perf_counter()
    while time.perf_counter() - start < seconds:
        one = time.perf_counter()
        float((a @ b)[0, 0])
        best = min(best, time.perf_counter() - one)
    return 2 * n**3 / best / 1e9


def some_labels(n: int) -> list[str]:
    """Give labels of five languages in turn."""
    languages = load_labels().languages
    rows = zip(*(languages[code].labels for code in LANGUAGES), strict=False)
    return [label for row in rows for label in row][:n]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="open_clip:ViT-B-32@random")
    parser.add_argument("--photos", type=int, default=32)
    parser.add_argument("--texts", type=int, default=300)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--variants", default="bf16,autocast", help=f"of {', '.join(VARIANTS[1:])}; fp32 is always there"
    )
    parser.add_argument("--device", default=None)
    options = parser.parse_args()
    names = ["fp32", *(name for name in options.variants.split(",") if name != "fp32")]
    if unknown := set(names) - set(VARIANTS):
        parser.error(f"--variants: {', '.join(sorted(unknown))} is none of {', '.join(VARIANTS)}")
    variants = [Variant(name, options.model, options.device) for name in names]
    size = variants[0].encoder._clip.visual.image_size
    height, width = size if isinstance(size, tuple) else (size, size)
    pixels = torch.rand(options.photos, 3, height, width, generator=torch.Generator().manual_seed(0)).split(
        options.batch
    )
    texts = some_labels(options.texts)
    work: dict[str, Callable[[Any], np.ndarray]] = {
        "photos": lambda encoder: np.concatenate([encoder.encode_pixels(batch) for batch in pixels]),
        "texts": lambda encoder: encoder.encode_texts(texts, "EN"),
    }
    for number in range(options.rounds + 1):
        for variant in variants:
            for side, do in work.items():
                variant.run(side, do, counts=number > 0)
    report(variants, {"photos": options.photos, "texts": len(texts)}, options.model)


def report(variants: list[Variant], n: dict[str, int], model: str) -> None:
    """Print the table."""
    plain, device = variants[0], variants[0].encoder.device
    print(f"{model} on {device}, {n['photos']} photos, {n['texts']} labels\n")
    print("| computed in | photos/s | × fp32 | texts/s | × fp32 | lowest cosine: photos, texts | product, GFLOP/s |")
    print("|---|---:|---:|---:|---:|---:|---:|")
    for variant in variants:
        cells = []
        for side, count in n.items():
            ratio = np.median(np.array(plain.seconds[side]) / np.array(variant.seconds[side]))
            cells += [f"{count / np.median(variant.seconds[side]):.1f}", f"{ratio:.2f}"]
        cosines = ", ".join(f"{lowest_cosine(plain.features[side], variant.features[side]):.6f}" for side in n)
        rate = product_rate(device, variant.dtype)
        print(f"| {variant.name} | {' | '.join(cells)} | {cosines} | {rate:.3g} |")


if __name__ == "__main__":
    main()
