"""All settings of a training, checked when built; the help texts are the command line's."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, fields
from typing import Any

from babel_adapters.adapter import AUTO, AdapterConfig
from babel_adapters.objectives import parse_objective
from babel_adapters.options import option
from babel_adapters.presets import LEARNING_RATES

# Settings that a method never reads. Solved in closed form, `linear` takes no steps.
_STEPS = {"steps", "epochs", "learning_rate", "batch_size", "accumulate", "weight_decay", "warmup", "clip"}
_STEPS |= {"temperature", "learn_temperature", "bank", "check_every", "patience", "mixed_precision"}
_UNUSED = {
    "linear": {*_STEPS, "alpha", "dropout", "last_layers"},
    "ia3": {"rank", "alpha", "dropout"},
    "vera": {"alpha"},
    "bottleneck": {"alpha"},
}


@dataclass(frozen=True)
class TrainConfig(AdapterConfig):
    """All settings of a run; the help texts are the command line's."""

    model: str = option("conse-e5", "base, as `babel-imagenet evaluate --model` takes it", "model")
    base_id: str | None = option(None, "what the card calls the base; default: its id on the Hub", "model")
    languages: str = option("tr", "codes and groups, comma separated; one adapter each", "data")
    train_data: str = option(
        "auto",
        "auto (emoji, else cldr), emoji, cldr:FOLDER, a file .parquet .jsonl .json .csv .tsv, or hf:NAME:SPLIT; "
        "{language} in it is the language's code in lower case",
        "data",
    )
    target_column: str = option("target", "column of captions in the target language", "data")
    english_column: str = option("english", "column of English captions", "data")
    image_column: str = option("image", "column of images: paths, or embedded (lit)", "data")
    limit: int | None = option(None, "most rows to read", "data")
    streaming: bool = option(False, "read hf: datasets as a stream", "data")
    keywords: bool = option(True, "pair CLDR's keywords, or the words of emoji's names, beside the names", "data")
    leakage: str = option("strict", "pairs that are left out: strict, labels or none", "data")
    hold_out: float = option(0.05, "share of English captions held out for early stopping, 0..0.5", "data")
    max_unknown: float = option(0.2, "largest share of tokens that the tokenizer may not know", "data")
    force: bool = option(False, "train although the tokenizer does not know the language", "data")
    objective: str | None = option(
        None, "mse, text-contrastive, lit, or a sum like mse=1,lit=0.5; default: text-contrastive", "objective"
    )
    temperature: float = option(0.05, "temperature of the contrastive objectives, 0.01..1", "objective")
    learn_temperature: bool = option(False, "learn the temperature from there", "objective")
    bank: int = option(8192, "contrast with all English captions where there are at most N; 0: never", "objective")
    batch_size: int = option(128, "pairs a batch, over all processes", "training")
    accumulate: int = option(1, "batches an optimiser step", "training")
    steps: int = option(300, "optimiser steps", "training")
    epochs: float | None = option(None, "passes over the pairs, instead of --steps", "training")
    learning_rate: float | None = option(None, "highest rate; default: by method", "training")
    weight_decay: float = option(0.01, "AdamW's weight decay", "training")
    warmup: float = option(0.1, "share of the steps over which the rate rises", "training")
    clip: float = option(1.0, "longest gradient", "training")
    seed: int = option(0, "seed of weights and order", "training")
    check_every: int = option(50, "steps between checks on held-out pairs", "training")
    patience: int | None = option(None, "checks without a lower loss before stopping; default: never", "training")
    prefix_gb: float = option(
        2.0, "most memory for kept states of frozen lower blocks, in GB; 0: keep none", "training"
    )
    mixed_precision: str | None = option(
        None, "no, bf16 or fp16; default: as `accelerate launch` says, else no", "training"
    )
    eval_images: str = option(
        "names", "names, sample, or photos as `evaluate --images` takes them; a list", "evaluation"
    )
    eval_labels: str | None = option(None, "label file; default: the installed one", "evaluation")
    eval_prompts: str = option("label", "prompt sets, as `evaluate --prompts` takes them", "evaluation")
    eval_retrieval: str | None = option(None, "retrieval set, as `retrieve --dataset` takes it", "evaluation")
    eval_image_root: str | None = option(
        None, "folder of the retrieval set's photos, where they are files", "evaluation"
    )
    output_dir: str = option("adapters", "folder; each language gets one in it", "output")
    resume: bool = option(False, "go on from the last checkpoint; finished languages are left as they are", "output")
    overwrite: bool = option(False, "replace finished adapters", "output")
    save_every: int = option(200, "steps between checkpoints", "output")
    store: str | None = option(None, "folder of kept features; default: the user's cache", "output")
    log_with: str | None = option(None, "tracker: tensorboard, trackio, wandb, …", "output")
    spread_languages: bool = option(False, "give each process languages of its own", "output")

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least_one = ("batch_size", "accumulate", "steps", "check_every", "save_every")
        for name in at_least_one:
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        for name in ("learning_rate", "epochs", "clip", "patience", "limit"):
            if getattr(self, name) is not None and not 0 < getattr(self, name) < math.inf:
                raise ValueError(f"{name} must be above 0 and finite, got {getattr(self, name)}")
        if self.seed < 0:
            raise ValueError(f"seed must be at least 0, got {self.seed}")
        for name, (low, high) in {"temperature": (0.01, 1), "warmup": (0, 1), "hold_out": (0, 0.5)}.items():
            if not low <= getattr(self, name) <= high:
                raise ValueError(f"{name} must lie within {low}..{high}, got {getattr(self, name)}")
        if self.mixed_precision not in (None, "no", "bf16", "fp16"):
            raise ValueError(f"mixed_precision must be no, bf16 or fp16, got {self.mixed_precision!r}")
        if self.resume and self.overwrite:
            raise ValueError("--resume keeps what is there and --overwrite replaces it: choose one")
        if self.spread_languages and self.log_with:
            raise ValueError("--log-with hears the first process alone: drop it, or --spread-languages")
        weights = self.weights
        if self.method == "linear" and weights != {"mse": 1.0}:
            raise ValueError(f"--method linear minimises mse, got --objective {self.objective}; drop one of the two")

    @property
    def weights(self) -> dict[str, float]:
        """Weight of each objective."""
        return parse_objective(self.objective or ("mse" if self.method == "linear" else "text-contrastive"))

    @property
    def rate(self) -> float:
        """The highest learning rate: the one asked for, else the method's."""
        return self.learning_rate or LEARNING_RATES[self.method]

    @property
    def unused(self) -> set[str]:
        """The settings that the method never reads."""
        return _UNUSED.get(self.method, set()) | (set() if self.method in ("linear", AUTO) else {"ridge", "balance"})

    def unheeded(self) -> list[str]:
        """Name the flags that were given a value of their own although the method never reads them."""
        given = [f.name for f in fields(self) if f.name in self.unused and getattr(self, f.name) != f.default]
        return [f"--{name.replace('_', '-')}" for name in given]

    def settings(self) -> dict[str, Any]:
        """Give all that determines the trained weights."""
        passing = {"resume", "overwrite", "output_dir", "store", "log_with", "save_every", "languages", "base_id"}
        evaluation = {"eval_images", "eval_prompts", "spread_languages", "prefix_gb"}
        evaluation |= {"eval_image_root"}  # labels and captions of the retrieval set are left out of training
        known = {f.name for f in fields(self)} - passing - evaluation - self.unused
        rate = self.learning_rate if self.method == AUTO else self.rate  # a rate by method needs a method
        return {k: v for k, v in {**asdict(self), "learning_rate": rate}.items() if k in known}
