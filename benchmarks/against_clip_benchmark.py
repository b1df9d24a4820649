"""`babel-imagenet evaluate` beside clip-benchmark: same model, photos, labels and machine, each in a fresh process.

    python benchmarks/against_clip_benchmark.py --codes am,lo --photos 20        # small: a few minutes on two cores
    python benchmarks/against_clip_benchmark.py --languages 1 10 30 --out bench.json

clip-benchmark goes through its own dataset, classifier and evaluation functions, with the bare label as its only
template. The model is ViT-B-32 with random weights of seed 0; the photos are 200 made-up JPEGs of 500 x 375 pixels, of
the 200 classes that most of the 92 languages have; a language is measured on those of its own classes. Languages are
the first N, in alphabetical order, of the 90 that clip-benchmark has templates for (it fails on BR, FY and LA). Imports
and loading count on both sides. Ours also encodes the 1000 English names, computes intervals and writes every decision;
that is counted.

clip-benchmark measures one language after the other and shares nothing between them, so it runs once, over the most
languages asked for, and its time for N is loading and the first N languages. Ours runs once for each N, with an empty
store. With `--out` what is known is written after every language and every run; the same command goes on from there.
"""

from __future__ import annotations

import argparse
import json
import platform
import resource
import subprocess
import sys
import tempfile
import time
from collections import Counter
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from babel_imagenet_dataset.files import write_json

MODEL = "ViT-B-32"


def make_photos(root: Path, n_photos: int) -> None:
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
    for index in common_classes(n_photos):
        source = root / "val" / wnids()[index] / f"{wnids()[index]}_0.JPEG"
        target = root / "chosen" / wnids()[index] / source.name
        target.parent.mkdir(parents=True)
        target.write_bytes(source.read_bytes())


def common_classes(n: int) -> list[int]:
    """Give the n classes that most of the 92 languages have; equal ones by index."""
    from babel_imagenet_dataset.languages import codes
    from babel_imagenet_dataset.release import load_labels

    labels = load_labels(None).languages
    counts = Counter(int(index) for code in codes("92") for index in labels[code].class_index)
    return sorted(sorted(counts, key=lambda index: (-counts[index], index))[:n])


def measurable() -> list[str]:
    """Give the languages that have translated templates, English among them: clip-benchmark raises for the others."""
    from babel_imagenet_dataset.languages import codes
    from babel_imagenet_dataset.release import load_prompts

    return sorted({*codes("92"), "EN"} & load_prompts().templates.keys())


def theirs(root: Path, languages: list[str], n_photos: int, out: Path) -> None:
    """Measure language after language, and write down time, memory and accuracy after each."""
    start = time.perf_counter()
    import open_clip
    import torch
    from clip_benchmark.datasets.builder import build_dataset
    from clip_benchmark.metrics.zeroshot_classification import run_classification, zero_shot_classifier
    from torch.utils.data import DataLoader, Subset

    torch.manual_seed(0)
    model, _, transform = open_clip.create_model_and_transforms(MODEL, pretrained=None)
    model.eval()
    tokenizer = open_clip.get_tokenizer(MODEL)
    chosen = set(common_classes(n_photos))
    known = json.loads(out.read_text()) if out.exists() else {"languages": {}}
    known["load"] = time.perf_counter() - start
    for code in languages:
        if code in known["languages"]:
            continue
        start = time.perf_counter()
        dataset = build_dataset("babel_imagenet", root=str(root), transform=transform, language=code)
        rows = [i for i, (_, index) in enumerate(dataset.samples) if index in chosen]
        loader = DataLoader(Subset(dataset, rows), batch_size=32, num_workers=2)
        classifier = zero_shot_classifier(model, tokenizer, dataset.classes, ["{c}"], "cpu", amp=False)
        logits, target = run_classification(model, classifier, loader, "cpu", amp=False)
        known["languages"][code] = {
            # Their `accuracy` turns an array of one number into a float, which numpy refuses since 2.4.
            "accuracy": int((logits.argmax(dim=1) == target).sum()) / len(target),
            "n_photos": len(rows),
            "n_texts": len(dataset.classes),
            "wall": time.perf_counter() - start,
            "peak_mib": peak_mib(),
        }
        write_json(out, known)


def ours(root: Path, languages: list[str], n_photos: int, out: Path) -> None:
    """Measure all languages in one run with an empty store."""
    start = time.perf_counter()
    from babel_eval.config import EvaluateConfig
    from babel_eval.runner import run

    with tempfile.TemporaryDirectory() as folder:
        config = EvaluateConfig(
            model=f"open_clip:{MODEL}@random",
            images=str(root / "chosen"),
            languages=",".join(languages),
            out=f"{folder}/r.json",
            store=f"{folder}/store",
            device="cpu",
        )
        rows = run(config).rows
    found = {row["lang"]: row["accuracy"] for row in rows}
    write_json(out, {"accuracy": found, "wall": time.perf_counter() - start, "peak_mib": peak_mib()})


def peak_mib() -> float:
    """Give the most memory that this process, or one of its workers, has held."""
    return max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)) / 1024


def run_side(side: str, root: Path, languages: list[str], n_photos: int, out: Path) -> Any:
    """Run one side in a process of its own and give what it wrote."""
    command = [sys.executable, __file__, "--side", side, "--root", str(root), "--codes", ",".join(languages)]
    done = subprocess.run([*command, "--photos", str(n_photos), "--out", str(out)], capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{side} failed:\n{done.stderr[-3000:]}")
    return json.loads(out.read_text())


def line(languages: list[str], one: dict[str, Any], other: dict[str, Any]) -> str:
    """Give a row of the table."""
    some = [other["languages"][code] for code in languages]
    wall, peak = other["load"] + sum(entry["wall"] for entry in some), max(entry["peak_mib"] for entry in some)
    same = sum(one["accuracy"].get(code) == other["languages"][code]["accuracy"] for code in languages)
    return (
        f"| {len(languages)} | {one['wall']:.0f} s | {wall:.0f} s | {wall / one['wall']:.1f} | "
        f"{one['peak_mib']:.0f} MiB | {peak:.0f} MiB | {same} of {len(languages)} |"
    )


def compare(options: argparse.Namespace, codes_of: list[list[str]], folder: Path) -> None:
    """Measure both sides and print the table row by row."""
    settings = {
        "photos": options.photos, "machine": platform.processor() or platform.machine(),
        "versions": {name: version(name) for name in ("torch", "open_clip_torch", "clip-benchmark", "babel-imagenet")},
    }  # fmt: skip
    out = options.out or folder / "r.json"
    known = json.loads(out.read_text()) if out.exists() else {"settings": settings}
    if known["settings"] != settings:
        sys.exit(f"{out} was made with other settings: {known['settings']}; name another file")
    make_photos(folder, options.photos)
    print("| languages | ours | clip-benchmark | ratio | peak memory, ours | theirs | equal accuracies |")
    print("|---|---|---|---|---|---|---|", flush=True)
    for languages in sorted(codes_of, key=len):
        name = ",".join(languages)
        if name not in known.setdefault("ours", {}):
            known["ours"][name] = run_side("ours", folder, languages, options.photos, folder / "ours.json")
            write_json(out, known)
        other = run_side("theirs", folder, languages, options.photos, out.with_suffix(".theirs.json"))
        print(line(languages, known["ours"][name], other), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--languages", type=int, nargs="+", default=[10], help="how many of the 90; several numbers")
    parser.add_argument("--codes", help="these languages instead, a comma list")
    parser.add_argument("--photos", type=int, default=200)
    parser.add_argument("--out", type=Path, help="keep what is known here, and go on from it")
    parser.add_argument("--side", choices=["ours", "theirs"], help="(used by the script itself)")
    parser.add_argument("--root", type=Path)
    options = parser.parse_args()
    given = options.codes.upper().split(",") if options.codes else None
    if options.side:
        side = ours if options.side == "ours" else theirs
        return side(options.root, given, options.photos, options.out)
    with tempfile.TemporaryDirectory() as folder:
        compare(options, [given] if given else [measurable()[:n] for n in options.languages], Path(folder))


if __name__ == "__main__":
    main()
