"""Where the wall time of `evaluate` goes, and what the device could do at best.

    python benchmarks/floor.py --photos 64 --languages 2       # about a minute on two cores
    python benchmarks/floor.py                                 # 1,000 photos, 10 languages

Any model that `evaluate` takes, by default ViT-B-32 with random weights; photos: made-up JPEGs of 500 x 375; languages:
the first of the 92. Imports and loading are not counted. Printed are the device's own product rate (a large square
product in the same dtype), the towers' bare forward time on the same inputs after the run, with nothing else running,
and the share of the run's wall time that each part of it takes: the towers should be busy at least 90 % of it.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch.utils.flop_counter import FlopCounterMode

from babel_eval import encoding, runner, zero_shot
from babel_eval.config import EvaluateConfig
from babel_eval.encoders import load_encoder
from babel_eval.results import ResultWriter
from babel_eval.store import FeatureStore
from babel_imagenet_dataset.imagenet import wnids
from babel_imagenet_dataset.languages import codes


def make_photos(folder: Path, n: int) -> None:
    """Write n JPEGs of 500 x 375 pixels, one class after the other."""
    rng = np.random.default_rng(0)
    for index in range(n):
        place = folder / wnids()[index % 1000]
        place.mkdir(parents=True, exist_ok=True)
        small = Image.fromarray(rng.integers(0, 255, (12, 16, 3), dtype=np.uint8))
        small.resize((500, 375), Image.Resampling.BICUBIC).save(place / f"{index}.JPEG", quality=90)


def product_rate(device: str, dtype: torch.dtype, seconds: float = 2.0) -> float:
    """Give the device's rate of a large square product, in 1e9 operations a second: the best of many."""
    n = 2048 if device == "cpu" else 8192
    a, b = (torch.randn(n, n, device=device).to(dtype) for _ in range(2))
    best, start = float("inf"), time.perf_counter()
    while time.perf_counter() - start < seconds:
        best = min(best, timed(device, lambda: a @ b))
    return 2 * n**3 / best / 1e9


def timed(device: str, work: Callable[[], Any]) -> float:
    """Give the seconds that some work takes on a device."""
    wait = torch.cuda.synchronize if device.startswith("cuda") else (lambda: None)
    wait()
    start = time.perf_counter()
    work()
    wait()
    return time.perf_counter() - start


class Parts:
    """Seconds by part of a run; a part within another is taken off the outer one."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self.calls: dict[str, list[Any]] = {}
        self._inner = [0.0]

    def watch(self, owner: Any, method: str, part: str, keep: Callable[[Any], Any] | None = None) -> None:
        """Add up the time in a function or method of `owner`; `keep` says what to remember of its first argument."""
        function = getattr(owner, method)

        def watched(*arguments: Any, **more: Any) -> Any:
            if keep:
                self.calls.setdefault(part, []).append(keep(arguments[0]))
            self._inner.append(0.0)
            start = time.perf_counter()
            try:
                return function(*arguments, **more)
            finally:
                taken = time.perf_counter() - start
                self.seconds[part] = self.seconds.get(part, 0.0) + taken - self._inner.pop()
                self._inner[-1] += taken

        setattr(owner, method, watched)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="open_clip:ViT-B-32@random")
    parser.add_argument("--photos", type=int, default=1000)
    parser.add_argument("--languages", type=int, default=10)
    parser.add_argument("--device", default=None)
    parser.add_argument("--dtype", default="fp32")
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    encoder: Any = load_encoder(options.model, device=options.device, dtype=options.dtype)
    rate = product_rate(encoder.device, encoder._dtype)
    parts = Parts()
    parts.watch(encoder, "_encode_pixels", "image tower", lambda pixels: tuple(pixels.shape))
    parts.watch(encoder, "_encode_tokens", "text tower", lambda tokens: tokens)
    parts.watch(encoder, "tokenize", "tokenizer")
    parts.watch(zero_shot.ZeroShotRun, "_placed", "decisions and ranks")
    parts.watch(zero_shot, "score_language", "figures and intervals")
    parts.watch(FeatureStore, "save_shard", "store")
    parts.watch(FeatureStore, "shard", "store")
    parts.watch(ResultWriter, "add", "result file")
    parts.watch(ResultWriter, "finish", "result file")
    parts.watch(runner, "find_photos", "listing photos")
    parts.watch(encoding.PhotoRun, "features", "waiting for decoded photos, and what lies between")
    with tempfile.TemporaryDirectory() as folder:
        make_photos(Path(folder) / "photos", options.photos)
        config = EvaluateConfig(
            model=options.model, images=f"{folder}/photos", languages=",".join(codes("92")[: options.languages]),
            out=f"{folder}/r.json", store=f"{folder}/store", batch_size=options.batch_size, workers=options.workers,
            dtype=options.dtype,
        )  # fmt: skip
        wall = timed(encoder.device, lambda: runner.run(config, encoder=encoder))
    report(encoder, parts, wall, rate, options)


def report(encoder: Any, parts: Parts, wall: float, rate: float, options: argparse.Namespace) -> None:
    """Print the table: parts of the wall time, and the bare towers on the same inputs."""
    busy = {part: parts.seconds.get(part, 0.0) for part in ("image tower", "text tower")}
    bare, operations = {}, {}
    pixels = {shape: torch.rand(shape) for shape in parts.calls.get("image tower", [])}
    inputs: dict[str, list[Callable[[], Any]]] = {
        "image tower": [lambda s=s: encoder._encode_pixels(pixels[s]) for s in parts.calls.get("image tower", [])],
        "text tower": [lambda t=t: encoder._encode_tokens(t) for t in parts.calls.get("text tower", [])],
    }
    unwatch(encoder)
    for part, calls in inputs.items():
        bare[part] = sum(timed(encoder.device, call) for call in calls)
        some = calls[:: max(1, len(calls) // 20)]
        with FlopCounterMode(display=False) as counter:
            for call in some:
                call()
        operations[part] = counter.get_total_flops() * len(calls) / max(1, len(some))
    print(
        f"{options.model}, {options.dtype} on {encoder.device}: {options.photos} photos, {options.languages} languages"
    )
    print(f"wall {wall:.1f} s; product rate {rate:.0f} GFLOP/s\n")
    print("| part | seconds | share of wall |\n|---|---:|---:|")
    for part, seconds in sorted(parts.seconds.items(), key=lambda item: -item[1]):
        print(f"| {part} | {seconds:.2f} | {100 * seconds / wall:.1f} % |")
    rest = wall - sum(parts.seconds.values())
    print(f"| everything else | {rest:.2f} | {100 * rest / wall:.1f} % |")
    print(f"\nencoders busy: {100 * sum(busy.values()) / wall:.1f} % of the wall time (wanted: 90 %)\n")
    print("| tower | in the run | bare, same inputs | share of the product rate, bare |\n|---|---:|---:|---:|")
    for part in busy:
        share = operations[part] / bare[part] / 1e9 / rate if bare[part] else 0.0
        print(f"| {part} | {busy[part]:.2f} s | {bare[part]:.2f} s | {100 * share:.0f} % |")
    print(f"\npeak memory of the process {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MiB")


def unwatch(encoder: Any) -> None:
    """Take the stopwatches off an encoder."""
    for method in ("_encode_pixels", "_encode_tokens", "tokenize"):
        del encoder.__dict__[method]


if __name__ == "__main__":
    main()
