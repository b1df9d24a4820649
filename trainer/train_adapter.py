"""Specialise the text tower of a dual encoder to a language, and measure on Babel-ImageNet what that gained.

    accelerate launch train_adapter.py                       # laptop: conse-e5, Turkish, emoji names, minutes on a CPU
    accelerate launch train_adapter.py --model m-clip:M-CLIP/XLM-Roberta-Large-Vit-B-32 --languages lo,si,sw \\
        --train-data captions/{language}.parquet --eval-images /data/imagenet/val --mixed-precision bf16    # one GPU
    torchrun --nproc_per_node 8 train_adapter.py --config recipe.yaml                                    # many GPUs

Reads from top to bottom: config, data, model, optimiser, loop, evaluation, save. Source: Geigle et al. 2023
(arXiv:2306.08658), section 6; recipes and what did not work: RECIPES.md.
"""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from babel_adapters.config import TrainConfig
from babel_adapters.options import parse
from babel_adapters.presets import PRESETS
from babel_adapters.reporting import describe, say, table
from babel_eval.shell import guard

if TYPE_CHECKING:
    import numpy as np
    import torch
    from accelerate import Accelerator

    from babel_adapters.data import TrainingData
    from babel_adapters.measure import Gain
    from babel_adapters.progress import Progress
    from babel_adapters.team import Team
    from babel_eval.encoders.base import TorchEncoder
    from babel_imagenet_dataset.release import LabelFile


def main(arguments: Sequence[str] | None = None) -> int:
    """Train and measure an adapter for each language; 0 if all went well, 1 if a language failed."""
    config = parse(
        TrainConfig,
        arguments,
        description=(__doc__ or "").partition("\n\n")[0],
        presets=PRESETS,
        aliases={"languages": ["--language"]},
    )
    accelerator = start(config)
    encoder, labels, languages = load(config, accelerator)
    gains: dict[str, list[Gain]] = {}
    failures: dict[str, str] = {}
    for language in languages:
        try:
            gains[language] = one_language(config, accelerator, encoder, language, labels)
            if config.log_with:
                accelerator.log({f"{language.lower()}/gain on {one.images}": one.gain for one in gains[language]})
        except (ValueError, FileNotFoundError, FloatingPointError) as error:
            if len(languages) == 1:
                raise
            failures[language] = str(error)
            say(accelerator, f"{language} failed: {error}")
    say(accelerator, table(gains, failures))
    accelerator.end_training()
    return 1 if failures else 0


def start(config: TrainConfig) -> Accelerator:
    """Set up processes, threads, precision, seed and trackers."""
    import torch
    from accelerate import Accelerator
    from accelerate.utils import set_seed

    project = config.output_dir if config.log_with else None
    accelerator = Accelerator(mixed_precision=config.mixed_precision, log_with=config.log_with, project_dir=project)
    if config.log_with and not accelerator.log_with:  # accelerate drops a tracker without a word
        raise ImportError(f"--log-with {config.log_with}: its package is not installed: pip install {config.log_with}")
    if os.environ.get("ACCELERATE_USE_FSDP", "").lower() == "true" and accelerator.distributed_type != "FSDP":
        say(
            accelerator, f"FSDP was asked for, but accelerate runs {accelerator.distributed_type}: it is for GPUs alone"
        )
    if accelerator.device.type == "cpu":
        # `accelerate launch` sets one thread a process; a process that is alone on its machine takes all cores.
        local = int(os.environ.get("LOCAL_WORLD_SIZE", accelerator.num_processes))
        torch.set_num_threads(max(1, n_cores() // local))
        say(accelerator, f"{accelerator.num_processes} process(es) on CPU, {torch.get_num_threads()} thread(s) each")
    set_seed(config.seed)
    if config.log_with:
        accelerator.init_trackers("babel-adapters", {k: str(v) for k, v in config.settings().items()})
    return accelerator


def load(config: TrainConfig, accelerator: Accelerator) -> tuple[TorchEncoder, LabelFile, list[str]]:
    """Load the base and the labels, and list this process's languages."""
    from babel_adapters.data import resolve_data
    from babel_eval.encoders import load_encoder
    from babel_imagenet_dataset.languages import resolve
    from babel_imagenet_dataset.release import load_labels

    labels = load_labels(config.eval_labels)
    languages = list(resolve(config.languages, labels.n_classes))
    if config.spread_languages:
        languages = languages[accelerator.process_index :: accelerator.num_processes]
    if len(languages) == 1:  # of several, those with captions are trained all the same
        resolve_data(config.train_data, languages[0])
    encoder: Any = load_encoder(config.model, device=str(accelerator.device))
    if not hasattr(encoder, "text_model"):
        raise ValueError(f"{config.model} has no text tower that an adapter could be put on")
    return encoder, labels, languages


def one_language(
    config: TrainConfig, accelerator: Accelerator, encoder: TorchEncoder, language: str, labels: LabelFile
) -> list[Gain]:
    """Train and measure the adapter of one language, and leave the encoder as it was."""
    from babel_adapters.data import training_data
    from babel_adapters.measure import compare, measure, read_gains
    from babel_adapters.recalls import compare_recalls, measure_recalls
    from babel_adapters.team import Team

    config = settled(config, accelerator, encoder, language)
    folder = Path(config.output_dir) / language.lower()
    if (done := read_gains(folder)) is not None and not config.overwrite:
        if not config.resume:
            raise ValueError(
                f"{folder} holds a finished adapter; --overwrite replaces it, --resume goes on to the next"
            )
        say(accelerator, f"{language}: finished before, in {folder}")
        return done
    team = Team(accelerator, alone=config.spread_languages)
    with team.main_goes_first():
        data = training_data(config, encoder, language, labels.languages[language].labels)
    say(accelerator, describe(data, language))
    before = team.first(lambda: measure(config, encoder, language, folder, "before"))
    found = team.first(lambda: measure_recalls(config, encoder, language, folder, "before"))
    if config.eval_retrieval and team.is_main and not found:
        say(accelerator, f"{language}: {config.eval_retrieval} has no captions in it, so retrieval is not measured")
    run = Run(config, team, encoder, data, folder, language)
    try:
        run.train()
        after = team.first(lambda: measure(config, encoder, language, folder, "after"))
        gains = compare(before, after) if before and after else []
        if later := team.first(lambda: measure_recalls(config, encoder, language, folder, "after")):
            gains += compare_recalls(found, later)
        run.save(gains)
    finally:
        run.close()
    return gains


def settled(config: TrainConfig, accelerator: Accelerator, encoder: TorchEncoder, language: str) -> TrainConfig:
    """Decide what `--method auto` is for a base, and say so."""
    from babel_adapters.adapter import AUTO
    from babel_adapters.linear import takes_mean

    if config.method != AUTO:
        return config
    method = "linear" if config.objective is None and takes_mean(encoder, language) else "lora"
    say(accelerator, f"{language}: --method {method}")
    return replace(config, method=method)


class Run:
    """One training: model, optimiser, loop, save."""

    def __init__(
        self,
        config: TrainConfig,
        team: Team,
        encoder: TorchEncoder,
        data: TrainingData,
        folder: Path,
        language: str,
    ) -> None:
        import torch

        from babel_adapters.adapter import ExactAttention, attach, trainable
        from babel_adapters.batches import Plan
        from babel_adapters.frozen import prefix_of
        from babel_adapters.measure import hub_id
        from babel_adapters.objectives import Objectives
        from babel_adapters.state import Best, Checkpoints, LoopState

        self.config, self.team, self.encoder, self.data, self.folder = config, team, encoder, data, folder
        self.language = language
        self.plan = Plan(data.lengths(), config.batch_size, config.seed)
        batches = config.steps * config.accumulate if config.epochs is None else config.epochs * self.plan.n_batches
        self.n_steps = max(1, math.ceil(batches / config.accumulate))
        self.prefix = prefix_of(config, encoder, data.tokens)
        torch.manual_seed(config.seed)
        base = encoder.text_model
        self.attention = ExactAttention(base)
        self.model = attach(base, config, n_steps=self.n_steps, base_model=hub_id(config.model, config.base_id))
        self.objectives = Objectives(
            config.weights, temperature=config.temperature, learn_temperature=config.learn_temperature
        ).to(encoder.device)
        weights = [*trainable(self.model).values(), *trainable(self.objectives).values()]
        optimizer = torch.optim.AdamW(weights, lr=config.rate, weight_decay=config.weight_decay, betas=(0.9, 0.98))
        self.schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, self.rate_at)
        self.forward, self.optimizer = team.prepare(self.model, optimizer)
        self.weights = weights
        self.state, self.best = LoopState(), Best()
        parts = (self.state, self.best, self.objectives, self.schedule)
        self.checkpoints = Checkpoints(team, folder, config.settings(), parts)

    def rate_at(self, step: int) -> float:
        """Give the share of the highest rate: a linear rise, then half a cosine down."""
        rise = self.config.warmup * self.n_steps
        if step < rise:
            return (step + 1) / math.ceil(rise)
        return 0.5 * (1 + math.cos(math.pi * (step - rise) / max(1.0, self.n_steps - rise)))

    def train(self) -> None:
        """Pass over the pairs until the steps are made or the held-out loss no longer falls; keep the best weights."""
        from babel_adapters.data import store_of
        from babel_adapters.linear import solve
        from babel_adapters.progress import Progress

        if self.config.method == "linear":
            return solve(self.config, self.model, self.encoder, self.data, self.language, store_of(self.config))

        resumed = self.config.resume and self.checkpoints.load()
        batches = self.plan.from_step(self.state.batch)
        with Progress(self.team, self.folder, self.n_steps, self.state, resumed=resumed) as progress:
            while self.state.step < self.n_steps and not self.state.stopped:
                values = self.step([next(batches)[1] for _ in range(self.config.accumulate)])
                progress.log(values | {"rate": self.schedule.get_last_lr()[0]})
                if self.state.step % self.config.check_every == 0 or self.state.step == self.n_steps:
                    self.check(progress)
                if self.state.step % self.config.save_every == 0 and self.state.step < self.n_steps:
                    self.checkpoints.save()
        self.encoder.text_model = self.model  # the bare one: DDP's would wait for the other processes in each pass
        self.best.restore(self.model)
        self.attention.restore()
        self.model.eval()
        return None

    def step(self, batches: list[np.ndarray]) -> dict[str, float]:
        """Make one optimiser step over a few batches, and give the means of what was minimised."""
        import torch

        train_mode(self.model)
        self.optimizer.zero_grad()
        sums: dict[str, float] = {}
        for rows in batches:
            values = self.objectives(self.data.batch(rows, self.team.gather(self.adapted(rows))))
            self.check_finite(values, rows)
            self.team.accelerator.backward(values["loss"] / len(batches))
            for name, value in values.items():
                sums[name] = sums.get(name, 0.0) + float(value.detach()) / len(batches)
            self.state.batch += 1
            self.state.pairs += len(rows)
        self.team.accelerator.unscale_gradients(self.optimizer)
        torch.nn.utils.clip_grad_norm_(self.weights, self.config.clip)
        self.optimizer.step()
        self.schedule.step()
        self.state.step += 1
        if self.config.method == "adalora":
            self.model.base_model.update_and_allocate(self.state.step)
        return sums

    def adapted(self, rows: np.ndarray, *, shared: bool = True) -> torch.Tensor:
        """Give the adapted features of this process's share of pairs (or of all), rows of length 1."""
        import torch

        from babel_adapters.batches import share_of

        own = self.data.target_id[share_of(rows, self.team.rank, self.team.size) if shared else rows].tolist()
        ids, mask = self.encoder.collate([self.data.tokens[row] for row in own])
        self.encoder.text_model = self.forward if shared else self.model
        with self.prefix.use(own) if self.prefix else nullcontext():
            return torch.nn.functional.normalize(self.encoder.forward_texts(ids, mask).float(), dim=-1)

    def check(self, progress: Progress) -> None:
        """Measure the held-out loss; keep the weights where it is the lowest so far, stop where it no longer falls."""
        import torch

        rows = self.data.held_out
        if not len(rows):
            return self.best.keep(self.model)
        self.model.eval()
        with torch.no_grad():
            loss = float(self.objectives(self.data.batch(rows, self.adapted(rows, shared=False)))["loss"])
        progress.note({"held_out_loss": loss})
        if loss < self.state.best:
            self.state.best, self.state.best_step, self.state.bad_checks = loss, self.state.step, 0
            self.best.keep(self.model)
            return None
        self.state.bad_checks += 1
        if self.config.patience is not None and self.state.bad_checks >= self.config.patience:
            self.state.stopped = f"held-out loss lowest at step {self.state.best_step}"
        return None

    def check_finite(self, values: dict[str, torch.Tensor], rows: np.ndarray) -> None:
        """Stop where a loss is no number, naming step, objective and captions."""
        bad = [name for name, value in values.items() if not math.isfinite(float(value.detach()))]
        if bad:
            captions = [self.data.pairs[row].target for row in rows[:5]]
            raise FloatingPointError(
                f"step {self.state.step + 1}: {', '.join(bad)} is not finite; the batch begins with {captions}. "
                "Lower --learning-rate, raise --temperature, or use --mixed-precision no"
            )

    def save(self, gains: list[Gain]) -> None:
        """Write the adapter with its record and card, and remove the checkpoints."""
        from babel_adapters.saving import save_adapter

        sharded = self.team.accelerator.distributed_type == "FSDP"
        state = self.team.accelerator.get_state_dict(self.forward) if sharded else None
        if self.team.is_main:
            save_adapter(
                self.folder, self.model, state, self.config, self.encoder, self.data, self.language, gains, self.state
            )
            self.checkpoints.remove()
        self.team.wait()

    def close(self) -> None:
        """Take the adapter off again."""
        self.encoder.text_model = self.model.unload().eval()
        self.attention.restore()
        self.encoder.text_model.requires_grad_(False)
        self.checkpoints.close()


def train_mode(model: torch.nn.Module) -> None:
    """Let the adapter drop units out as it is told to; the frozen tower stays as it is when it is used."""
    model.eval()
    for name, part in model.named_modules():
        if "lora_dropout" in name or "bottleneck_adapters" in name or "vera_dropout" in name:
            part.train()


def n_cores() -> int:
    """Give the number of CPU cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


if __name__ == "__main__":
    sys.exit(guard(main, "stopped; the same command with --resume goes on from the last checkpoint"))
