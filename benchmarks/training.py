"""Pairs a second of adapter training, ours beside sentence-transformers' own, and peak memory of both.

    python benchmarks/training.py                            # conse-e5's text tower, emoji names, LoRA, mse, CPU
    python benchmarks/training.py --steps 40 --rounds 5 --train-data cldr:cldr --language lo

Both train the same LoRA on the same tower towards the same precomputed English features, on the same pairs, batch
size and threads; sentence-transformers by its trainer with MSELoss, the target column and the features as labels.
`floor` is our tower with the adapter, forward and backward alone, on the batches of our own run. Each side runs in a
process of its own, in turns; medians over rounds are printed. Peak memory is that of the training, loading left out
(Linux).
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "trainer"))
SIDES = ("ours", "sentence-transformers", "floor")
RATE = 5e-4
WARM_UP = 2


def main() -> None:
    """Measure the sides in turns, or (with --side) one of them."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("--train-data", default="emoji")
    parser.add_argument("--language", default="tr")
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--steps", type=int, default=30, help="optimiser steps that are timed")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rank", type=int, default=16)
    parser.add_argument("--side", choices=SIDES, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.side:
        sys.stdout.write(json.dumps(measure(options)) + "\n")
        return
    found: dict[str, list[dict[str, float]]] = {side: [] for side in SIDES}
    for _ in range(options.rounds):
        for side in SIDES:
            found[side].append(in_a_process(side))
    for side, runs in found.items():
        rate, memory = (statistics.median(run[key] for run in runs) for key in ("pairs_per_second", "peak_mb"))
        sys.stdout.write(f"{side:24} {rate:8.1f} pairs/s  {memory:7.0f} MB  loss {runs[0]['loss']:.4f}\n")
    ours, theirs, floor = (statistics.median(r["pairs_per_second"] for r in found[side]) for side in SIDES)
    sys.stdout.write(f"ours / sentence-transformers {ours / theirs:.2f}, ours / floor {ours / floor:.2f}\n")


def in_a_process(side: str) -> dict[str, float]:
    """Run this script for one side and read what it found."""
    done = subprocess.run([sys.executable, *sys.argv, "--side", side], capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{side} failed:\n{done.stderr[-3000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def measure(options: argparse.Namespace) -> dict[str, float]:
    """Give pairs a second, peak memory in MB and the last loss of one side."""
    import torch

    torch.set_num_threads(options.threads)
    with tempfile.TemporaryDirectory() as folder:
        run = our_run(options, Path(folder))
        train = {"ours": ours, "floor": floor, "sentence-transformers": sentence_transformers}[options.side]
        timed = train(run, options, Path(folder))
        forget_peak()
        seconds, loss = timed()
        peak = peak_mb()
    return {"pairs_per_second": options.steps * options.batch_size / seconds, "peak_mb": peak, "loss": loss}


def our_run(options: argparse.Namespace, folder: Path) -> Any:
    """Give our training, ready to start; the other sides take pairs, features and tower from it."""
    from accelerate import Accelerator

    import train_adapter
    from babel_adapters.config import TrainConfig
    from babel_adapters.data import training_data
    from babel_adapters.team import Team
    from babel_eval.encoders import load_encoder

    config = TrainConfig(
        method="lora", objective="mse", rank=options.rank, learning_rate=RATE, train_data=options.train_data,
        languages=options.language, batch_size=options.batch_size, steps=WARM_UP + options.steps, hold_out=0.0,
        leakage="none", output_dir=str(folder), check_every=10**6, save_every=10**6,
    )  # fmt: skip
    encoder: Any = load_encoder(config.model, device="cpu")
    language = options.language.upper()
    data = training_data(config, encoder, language, [])
    return train_adapter.Run(config, Team(Accelerator(cpu=True)), encoder, data, folder / "run", language)


def ours(run: Any, options: argparse.Namespace, folder: Path) -> Callable[[], tuple[float, float]]:
    """Time our loop; its warm-up steps are made here."""
    batches = run.plan.from_step(0)
    for _ in range(WARM_UP):
        run.step([next(batches)[1]])

    def timed() -> tuple[float, float]:
        start, loss = time.perf_counter(), 0.0
        for _ in range(options.steps):
            loss = run.step([next(batches)[1]])["loss"]
        return time.perf_counter() - start, loss

    return timed


def floor(run: Any, options: argparse.Namespace, folder: Path) -> Callable[[], tuple[float, float]]:
    """Time forward and backward of our tower alone, on the same batches."""
    batches = run.plan.from_step(0)

    def pass_over() -> None:
        run.adapted(next(batches)[1]).sum().backward()

    for _ in range(WARM_UP):
        pass_over()

    def timed() -> tuple[float, float]:
        start = time.perf_counter()
        for _ in range(options.steps):
            pass_over()
        return time.perf_counter() - start, float("nan")

    return timed


def sentence_transformers(run: Any, options: argparse.Namespace, folder: Path) -> Callable[[], tuple[float, float]]:
    """Time the trainer of sentence-transformers; its warm-up is a training of its own."""
    from datasets import Dataset
    from peft import inject_adapter_in_model
    from sentence_transformers import SentenceTransformer, SentenceTransformerTrainer
    from sentence_transformers import SentenceTransformerTrainingArguments as Arguments
    from sentence_transformers.losses import MSELoss
    from sentence_transformers.sentence_transformer.modules import Pooling, Transformer

    targets = [pair.target for pair in run.data.pairs]
    labels = run.data.english[run.data.english_id].tolist()
    settings = run.model.peft_config["default"]
    settings.target_modules = settings.target_modules.replace("bert\\.", "")
    save_base(run.encoder, run.model.unload().bert, folder / "base")
    parts = [Transformer(str(folder / "base")), Pooling(run.encoder.dim)]
    model = SentenceTransformer(modules=parts, device="cpu")
    # Into the tower itself: transformers' own `add_adapter` asks for a peft that may not be out yet.
    inject_adapter_in_model(settings, parts[0].auto_model)
    rows = Dataset.from_dict({"text": [f"query: {target}" for target in targets], "label": labels})

    def train(steps: int) -> tuple[float, float]:
        arguments = Arguments(
            output_dir=str(folder / "st"), max_steps=steps, per_device_train_batch_size=options.batch_size,
            learning_rate=RATE, use_cpu=True, save_strategy="no", report_to=[], disable_tqdm=True, logging_steps=10**6,
        )  # fmt: skip
        trainer = SentenceTransformerTrainer(model=model, args=arguments, train_dataset=rows, loss=MSELoss(model))
        metrics = trainer.train().metrics
        return float(metrics["train_runtime"]), float(metrics["train_loss"])

    train(WARM_UP)
    return lambda: train(options.steps)


def save_base(encoder: Any, bert: Any, folder: Path) -> None:
    """Write the tower and its tokenizer as sentence-transformers reads them."""
    from tokenizers.processors import TemplateProcessing
    from transformers import PreTrainedTokenizerFast

    bert.save_pretrained(folder)
    own = encoder._tokenizer
    fast = own._unigram
    fast.post_processor = TemplateProcessing(single="<s> $A </s>", special_tokens=[("<s>", own.bos), ("</s>", own.eos)])
    names = {"bos_token": "<s>", "eos_token": "</s>", "pad_token": "<pad>", "unk_token": "<unk>"}
    PreTrainedTokenizerFast(tokenizer_object=fast, model_max_length=own.max_tokens, **names).save_pretrained(folder)


def forget_peak() -> None:
    """Let the kernel count the peak from here (Linux; elsewhere the peak is the process's)."""
    if os.path.exists("/proc/self/clear_refs"):
        Path("/proc/self/clear_refs").write_text("5")


def peak_mb() -> float:
    """Give the most memory that this process has held since `forget_peak`, in MB."""
    status = Path("/proc/self/status")
    if status.is_file():
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main()
