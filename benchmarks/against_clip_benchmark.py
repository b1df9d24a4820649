"""`babel-imagenet evaluate` beside clip-benchmark: same model, photos, labels and machine, each in a fresh process.

    python benchmarks/against_clip_benchmark.py --languages 10

clip-benchmark goes through its own dataset, classifier and evaluation functions, with the bare label as its only
template. The model is ViT-B-32 with random weights of seed 0; the photos are 200 made-up JPEGs of 500 x 375 pixels, of
the 200 classes that most of the languages have. Languages are the first N of the 92 in alphabetical order. Ours also
encodes the 1000 English names, computes intervals and writes every decision; that is counted.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import numpy as np

MODEL = "ViT-B-32"
N_PHOTOS = 200


def languages_of(n: int) -> list[str]:
    from babel_imagenet_dataset.languages import codes

    return list(codes("92"))[:n]


def make_photos(root: Path, languages: list[str]) -> None:
    """Write ImageNet's layout: an archive's `meta.bin`, and one photo for each of 1000 classes (as they demand)."""
    import torch
    from PIL import Image

    from babel_imagenet_dataset.imagenet import wnids

    rng = np.random.default_rng(0)
    torch.save(({wnid: (wnid,) for wnid in wnids()}, list(wnids())), root / "meta.bin")
    for wnid in wnids():
        folder = root / "val" / wnid
        folder.mkdir(parents=True)
        small = rng.integers(0, 255, (12, 16, 3), dtype=np.uint8)
        Image.fromarray(small).resize((500, 375), Image.Resampling.BICUBIC).save(folder / f"{wnid}_0.JPEG", quality=90)
    chosen = root / "chosen"
    for index in common_classes(languages):
        source = root / "val" / wnids()[index]
        (chosen / source.name).mkdir(parents=True)
        (chosen / source.name / f"{source.name}_0.JPEG").write_bytes((source / f"{source.name}_0.JPEG").read_bytes())


def common_classes(languages: list[str]) -> list[int]:
    """Give the 200 classes that most of the languages have; equal ones by index."""
    from babel_imagenet_dataset.release import load_labels

    labels = load_labels(None).languages
    counts = Counter(int(index) for code in languages for index in labels[code].class_index)
    return sorted(sorted(counts, key=lambda index: (-counts[index], index))[:N_PHOTOS])


def theirs(root: Path, languages: list[str]) -> dict[str, float]:
    import open_clip
    import torch
    from clip_benchmark.datasets.builder import build_dataset
    from clip_benchmark.metrics.zeroshot_classification import accuracy, run_classification, zero_shot_classifier
    from torch.utils.data import DataLoader, Subset

    torch.manual_seed(0)
    model, _, transform = open_clip.create_model_and_transforms(MODEL, pretrained=None)
    model.eval()
    tokenizer = open_clip.get_tokenizer(MODEL)
    chosen = set(common_classes(languages))
    found = {}
    for code in languages:
        dataset = build_dataset("babel_imagenet", root=str(root), transform=transform, language=code)
        rows = [i for i, (_, index) in enumerate(dataset.samples) if index in chosen]
        loader = DataLoader(Subset(dataset, rows), batch_size=32, num_workers=2)
        classifier = zero_shot_classifier(model, tokenizer, dataset.classes, ["{c}"], "cpu", amp=False)
        logits, target = run_classification(model, classifier, loader, "cpu", amp=False)
        found[code] = accuracy(logits, target, topk=(1,))[0]
    return found


def ours(root: Path, languages: list[str]) -> dict[str, float]:
    from babel_eval.config import EvaluateConfig
    from babel_eval.runner import run

    config = EvaluateConfig(
        model=f"open_clip:{MODEL}@random",
        images=str(root / "chosen"),
        languages=",".join(languages),
        out=str(root / "r.json"),
        store=str(root / "store"),
        device="cpu",
        overwrite=True,
    )
    return {row["lang"]: row["accuracy"] for row in run(config).rows}


def child(side: str, root: Path, n: int) -> None:
    languages = languages_of(n)
    start = time.perf_counter()
    found = (ours if side == "ours" else theirs)(root, languages)
    wall = time.perf_counter() - start
    peak = max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)) / 1024
    print("RESULT " + json.dumps({"wall": wall, "peak_mib": peak, "accuracy": found}))


def run_side(side: str, root: Path, n: int) -> dict:
    command = [sys.executable, __file__, "--side", side, "--root", str(root), "--languages", str(n)]
    done = subprocess.run(command, capture_output=True, text=True)
    line = next((x for x in done.stdout.splitlines() if x.startswith("RESULT ")), None)
    if line is None:
        sys.exit(f"{side} failed:\n{done.stderr[-3000:]}")
    return json.loads(line.removeprefix("RESULT "))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--languages", type=int, default=10, help="how many of the 92")
    parser.add_argument("--side", choices=["ours", "theirs"], help="(used by the script itself)")
    parser.add_argument("--root", type=Path)
    options = parser.parse_args()
    if options.side:
        return child(options.side, options.root, options.languages)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        make_photos(root, languages_of(options.languages))
        results = {side: run_side(side, root, options.languages) for side in ("ours", "theirs")}
    one, other = results["ours"], results["theirs"]
    same = sum(one["accuracy"].get(code) == value for code, value in other["accuracy"].items())
    print("| languages | ours | clip-benchmark | ratio | peak memory, ours | theirs | equal accuracies |")
    print("|---|---|---|---|---|---|---|")
    print(
        f"| {options.languages} | {one['wall']:.0f} s | {other['wall']:.0f} s | {other['wall'] / one['wall']:.1f} | "
        f"{one['peak_mib']:.0f} MiB | {other['peak_mib']:.0f} MiB | {same} of {len(other['accuracy'])} |"
    )


if __name__ == "__main__":
    main()
