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
from functools import partial
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
    from babel_adapters.team import LANGUAGE_ERRORS, Team

    accelerator = start(config)
    encoder, labels, languages = load(config, accelerator)
    team = Team(accelerator, alone=config.spread_languages)
    gains: dict[str, list[Gain]] = {}
    failures: dict[str, str] = {}
    for language in languages:
        try:
            gains[language] = one_language(config, accelerator, encoder, language, labels)
            if config.log_with:
                accelerator.log({f"{language.lower()}/gain on {one.images}": one.gain for one in gains[language]})
        except LANGUAGE_ERRORS as error:
            if len(languages) == 1 and not config.spread_languages:  # else one process would end all others
                raise
            failures[language] = str(error)
            say(team, f"{language} failed: {error}")
    gains, failures = team.pool(gains), team.pool(failures)
    say(accelerator, table(gains, failures))
    accelerator.end_training()
    return 1 if failures else 0


def start(config: TrainConfig) -> Accelerator:
    """Set up processes, threads, precision, seed and trackers."""
    from accelerate import Accelerator
    from accelerate.utils import InitProcessGroupKwargs, set_seed

    from babel_adapters.team import share_cores
    from babel_eval.team import PATIENCE

    # Processes wait while the first one measures, or until the last one's languages are done: for hours, not minutes.
    accelerator = Accelerator(
        mixed_precision=config.mixed_precision,
        log_with=config.log_with,
        project_dir=config.output_dir if config.log_with else None,
        kwargs_handlers=[InitProcessGroupKwargs(timeout=PATIENCE)],
    )
    if config.log_with and not accelerator.log_with:  # accelerate drops a tracker without a word
        raise ImportError(f"--log-with {config.log_with}: its package is not installed: pip install {config.log_with}")
    kind = accelerator.distributed_type
    if os.environ.get("ACCELERATE_USE_FSDP", "").lower() == "true" and kind != "FSDP":
        say(accelerator, f"FSDP was asked for, but accelerate runs {kind}: it is for GPUs alone")
    if accelerator.device.type == "cpu":
        say(accelerator, share_cores(accelerator.num_processes))
    set_seed(config.seed)
    if config.log_with:
        accelerator.init_trackers("babel-adapters", {k: str(v) for k, v in config.settings().items()})
    return accelerator


def load(config: TrainConfig, accelerator: Accelerator) -> tuple[TorchEncoder, LabelFile, list[str]]:
    """Load the base and the labels, and list this process's languages."""
    from babel_adapters.data import resolve_data
    from babel_adapters.measure import image_sets
    from babel_eval.encoders import load_encoder
    from babel_imagenet_dataset.languages import resolve
    from babel_imagenet_dataset.release import load_labels

    image_sets(config)  # refuses those whose results would stand in one file
    labels = load_labels(config.eval_labels)
    languages = list(resolve(config.languages, labels.n_classes))
    if config.spread_languages:
        languages = languages[accelerator.process_index :: accelerator.num_processes]
    if len(languages) == 1 and not config.spread_languages:  # of several, those with captions are trained all the same
        resolve_data(config.train_data, languages[0])
    encoder: Any = load_encoder(config.model, device=str(accelerator.device))
    if not hasattr(encoder, "text_model"):
        raise ValueError(f"{config.model} has no text tower that an adapter could be put on")
    return encoder, labels, languages


def one_language(
    config: TrainConfig, accelerator: Accelerator, encoder: TorchEncoder, language: str, labels: LabelFile
) -> list[Gain]:
    """Train and measure the adapter of one language, and leave the encoder as it was."""
    from babel_adapters.data import allowed_pairs, training_data
    from babel_adapters.measure import compare, measure
    from babel_adapters.recalls import compare_recalls, measure_recalls
    from babel_adapters.saving import finished
    from babel_adapters.team import Team

    team = Team(accelerator, alone=config.spread_languages)
    config = settled(config, team, encoder, language)
    folder = Path(config.output_dir) / language.lower()
    own = labels.languages[language].labels
    pairs_now = partial(allowed_pairs, config, language, own)
    if (done := team.tell(lambda: finished(folder, config, encoder, pairs_now))) is not None:
        say(team, f"{language}: finished before, in {folder}")
        return done
    data = team.in_turn(lambda: training_data(config, encoder, language, own))
    say(team, describe(data, language))
    before = team.first(lambda: measure(config, encoder, language, folder, "before"))
    found = team.first(lambda: measure_recalls(config, encoder, language, folder, "before"))
    if config.eval_retrieval and team.is_main_process and not found:
        say(team, f"{language}: {config.eval_retrieval} has no captions in it, so retrieval is not measured")
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


def settled(config: TrainConfig, team: Team, encoder: TorchEncoder, language: str) -> TrainConfig:
    """Decide what `--method auto` is for a base, and say so, and which flags the method makes no use of.

    Where no `--mixed-precision` was given it is what `accelerate launch`, or accelerate's own configuration, says.
    """
    from babel_adapters.adapter import AUTO
    from babel_adapters.linear import takes_mean

    if config.method == AUTO:
        method = "linear" if config.objective is None and takes_mean(encoder, language) else "lora"
        say(team, f"{language}: --method {method}")
        config = replace(config, method=method)
    if unheeded := config.unheeded():
        say(team, f"{language}: --method {config.method} makes no use of {', '.join(unheeded)}")
    if config.mixed_precision is None:
        config = replace(config, mixed_precision=team.accelerator.mixed_precision)
    return config


class Run:
    """One training: model, optimiser, loop, save."""

    def __init__(
        self, config: TrainConfig, team: Team, encoder: TorchEncoder, data: TrainingData, folder: Path, language: str
    ) -> None:
        import torch

        from babel_adapters.adapter import ExactAttention, attach, trainable
        from babel_adapters.batches import Plan
        from babel_adapters.frozen import prefix_of
        from babel_adapters.measure import hub_id
        from babel_adapters.objectives import Objectives
        from babel_adapters.state import Best, Checkpoints, LoopState
        from babel_adapters.upkeep import final_from, parts_of, rate_at
        from babel_eval.encoders.peft_adapters import base_fingerprint

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
        self.weights = [*trainable(self.model).values(), *trainable(self.objectives).values()]
        optimizer = torch.optim.AdamW(self.weights, lr=config.rate, weight_decay=config.weight_decay, betas=(0.9, 0.98))
        self.schedule = torch.optim.lr_scheduler.LambdaLR(
            optimizer, lambda step: rate_at(step, self.n_steps, config.warmup)
        )
        self.forward, self.optimizer = team.prepare(self.model, optimizer)
        self.state, self.best = LoopState(), Best()
        self.final_from = min(final_from(self.model, config.method), self.n_steps)
        parts = (self.state, self.best, self.objectives, self.schedule, *parts_of(self.model, config.method))
        settings = config.settings() | {"data": data.source.fingerprint, "base": base_fingerprint(encoder)}
        self.checkpoints = Checkpoints(team, folder, settings, parts)

    def train(self) -> None:
        """Pass over the pairs until the steps are made or the held-out loss no longer falls; keep the best weights."""
        from babel_adapters.data import store_of
        from babel_adapters.linear import solve
        from babel_adapters.progress import Progress

        if self.config.method == "linear":
            self.team.full_precision(self.model)
            return solve(self.config, self.model, self.encoder, self.data, self.language, store_of(self.config))

        resumed = self.config.resume and self.checkpoints.load()
        batches = self.plan.from_step(self.state.batch)
        with Progress(self.team, self.folder, self.n_steps, self.state, resumed=resumed) as progress:
            if self.check_is_due():  # the run ended between a checkpoint and the check after it
                self.check(progress)
            while self.state.step < self.n_steps and not self.state.stopped:
                values = self.step([next(batches)[1] for _ in range(self.config.accumulate)])
                progress.log(values | {"rate": self.schedule.get_last_lr()[0]})
                if self.check_is_due() or self.state.step % self.config.save_every == 0:
                    self.checkpoints.save()
                if self.check_is_due():
                    self.check(progress)
        self.team.full_precision(self.model)
        self.encoder.text_model = self.model  # the bare one: DDP's would wait for the other processes in each pass
        self.best.restore(self.model)
        self.attention.restore()
        self.model.eval()
        return None

    def step(self, batches: list[np.ndarray]) -> dict[str, float]:
        """Make one optimiser step over a few batches, and give the means of what was minimised."""
        import torch

        from babel_adapters.upkeep import check_finite, train_mode

        train_mode(self.model)
        self.optimizer.zero_grad()
        sums: dict[str, float] = {}
        for rows in batches:
            values = self.objectives(self.data.batch(rows, self.team.gather(self.adapted(rows))))
            check_finite(values, self.state.step + 1, [self.data.pairs[row].target for row in rows[:5]])
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

    def check_is_due(self) -> bool:
        """Tell whether the step just made is one after which held-out pairs are looked at; the last one is."""
        step = self.state.step
        return step > self.state.checked and (step % self.config.check_every == 0 or step == self.n_steps)

    def check(self, progress: Progress) -> None:
        """Measure the held-out loss; keep the weights where it is the lowest so far, stop where it no longer falls."""
        self.state.checked = self.state.step
        if not len(self.data.held_out):
            return self.best.keep(self.model)
        loss = self.held_out_loss()
        progress.note({"held_out_loss": loss})
        if self.state.step < self.final_from:
            return None
        # Where no held-out pair is another's negative the loss is 0 whatever the weights: the last ones are kept.
        if loss < self.state.best or loss == 0:
            self.state.best, self.state.best_step, self.state.bad_checks = loss, self.state.step, 0
            self.best.keep(self.model)
        else:
            self.state.bad_checks += 1
        if self.config.patience is not None and self.state.bad_checks >= self.config.patience:
            self.state.stopped = f"held-out loss lowest at step {self.state.best_step}"
        return None

    def held_out_loss(self) -> float:
        """Give the loss of the pairs held out: the mean over batches as large as those of training."""
        import torch

        from babel_adapters.batches import Plan

        self.model.eval()
        lengths = [len(self.data.tokens[text]) for text in self.data.target_id[self.data.held_out]]
        plan = Plan(lengths, self.config.batch_size, self.config.seed)
        losses = []
        with torch.no_grad():
            for rows in plan.epoch(0):
                rows = self.data.held_out[rows]
                losses.append(float(self.objectives(self.data.batch(rows, self.adapted(rows, shared=False)))["loss"]))
        return sum(losses) / len(losses)

    def save(self, gains: list[Gain]) -> None:
        """Write the adapter with its record and card, and remove the checkpoints."""
        from babel_adapters.saving import save_adapter

        sharded = self.team.accelerator.distributed_type == "FSDP"
        state = self.team.accelerator.get_state_dict(self.forward) if sharded else None
        known = self.config, self.encoder, self.data, self.language, gains, self.state
        self.team.first(lambda: save_adapter(self.folder, self.model, state, *known))
        self.checkpoints.remove()
        self.team.wait()

    def close(self) -> None:
        """Take the adapter off again."""
        self.encoder.text_model = self.model.unload().eval()
        self.attention.restore()
        self.encoder.text_model.requires_grad_(False)
        self.checkpoints.close()


if __name__ == "__main__":
    sys.exit(guard(main, "stopped; the same command with --resume goes on from the last checkpoint"))
