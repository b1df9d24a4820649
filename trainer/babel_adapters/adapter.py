"""Adapter methods by name, on the right modules of each kind of text tower, with defaults that were tried.

What is wrapped is an encoder's `text_model`: the image tower is not in it, so no name pattern can reach it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from babel_adapters.options import option

if TYPE_CHECKING:
    from peft import PeftConfig, PeftModel
    from torch import nn

METHODS = ("lora", "dora", "ia3", "adalora", "vera", "bottleneck", "linear")
AUTO = "auto"
DEFAULT_RANK = 16


@dataclass(frozen=True)
class Tower:
    """A kind of text tower, by the names of its modules.

    Attributes:
      name: how messages call it.
      block: regular expression over the path of a transformer block, with one group for its number.
      attention: modules of a block that attend; all are `nn.Linear` unless `is_native`.
      feed_forward: modules of a block's feed-forward part, the widening one first.
      values: attention modules that IA3 scales (keys and values).
      is_native: the attention is `nn.MultiheadAttention`, which of all methods LoRA alone takes.
    """

    name: str
    block: str
    attention: tuple[str, ...]
    feed_forward: tuple[str, ...]
    values: tuple[str, ...]
    is_native: bool = False


TOWERS = (
    Tower(
        "open_clip",
        r"(?:.*\.)?transformer\.resblocks\.(\d+)",
        ("attn",),
        ("mlp.c_fc", "mlp.c_proj"),
        (),
        is_native=True,
    ),
    Tower(
        "BERT or XLM-R",
        r"(?:.*\.)?encoder\.layer\.(\d+)",
        ("attention.self.query", "attention.self.key", "attention.self.value", "attention.output.dense"),
        ("intermediate.dense", "output.dense"),
        ("attention.self.key", "attention.self.value"),
    ),
    Tower(
        "CLIP or SigLIP of transformers",
        r"(?:.*\.)?(?:text_model|tower)\.(?:.*\.)?encoder\.layers\.(\d+)",
        ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.out_proj"),
        ("mlp.fc1", "mlp.fc2"),
        ("self_attn.k_proj", "self_attn.v_proj"),
    ),
    Tower(
        "NLLB",
        r"(?:.*\.)?layers\.(\d+)",
        ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.out_proj"),
        ("fc1", "fc2"),
        ("self_attn.k_proj", "self_attn.v_proj"),
    ),
    Tower(
        "T5",
        r"(?:.*\.)?encoder\.block\.(\d+)",
        (
            "layer.0.SelfAttention.q",
            "layer.0.SelfAttention.k",
            "layer.0.SelfAttention.v",
            "layer.0.SelfAttention.o",
        ),
        ("layer.1.DenseReluDense.wi_0", "layer.1.DenseReluDense.wi_1", "layer.1.DenseReluDense.wo"),
        ("layer.0.SelfAttention.k", "layer.0.SelfAttention.v"),
    ),
)


@dataclass(frozen=True)
class AdapterConfig:
    """Which adapter, and on which blocks."""

    method: str = option(
        AUTO,
        f"one of {', '.join(METHODS)}, or {AUTO}: linear where no objective is named and the tower takes the mean over "
        "tokens, else lora",
        "adapter",
    )
    rank: int | None = option(None, "width of the adapter in hidden units; default: 16, linear: the tower's", "adapter")
    alpha: int | None = option(None, "scale of LoRA; default: twice the rank", "adapter")
    dropout: float = option(0.0, "share of the adapter's inputs dropped in training", "adapter")
    ridge: float = option(0.15, "linear: strength of the ridge, in mean eigenvalues", "adapter")
    balance: float = option(
        0.5, "linear: pairs weigh by the mean over their English words of 1 / count ** N, 0..1; 0: alike", "adapter"
    )
    last_layers: int | None = option(None, "adapt the last N blocks alone; default: all", "adapter")
    target_modules: str | None = option(None, "regular expression over module names, for other towers", "adapter")

    def __post_init__(self) -> None:
        if self.method not in (AUTO, *METHODS):
            raise ValueError(f"method {self.method!r} is unknown; allowed: {', '.join((AUTO, *METHODS))}")
        if self.rank is not None and self.rank < 1:
            raise ValueError(f"rank must be at least 1, got {self.rank}")
        if self.alpha is not None and self.alpha <= 0:
            raise ValueError(f"alpha must be above 0, got {self.alpha}")
        if not 0 < self.ridge < math.inf:
            raise ValueError(f"ridge must be above 0 and finite, got {self.ridge}")
        if not 0 <= self.balance <= 1:
            raise ValueError(f"balance must lie within 0..1, got {self.balance}")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout must be at least 0 and below 1, got {self.dropout}")
        if self.last_layers is not None and self.last_layers < 1:
            raise ValueError(f"last-layers must be at least 1, got {self.last_layers}")
        if self.target_modules is not None:
            try:
                re.compile(self.target_modules)
            except re.error as error:
                raise ValueError(f"target-modules {self.target_modules!r} is no regular expression: {error}") from error


def find_tower(text_model: nn.Module) -> tuple[Tower, dict[int, str]]:
    """Tell the kind of a text tower by the names of its modules.

    Returns:
      the kind, and the path of each block by its number.

    Raises:
      ValueError: it is of no known kind; what its modules are called is in the message.
    """
    names = [name for name, _ in text_model.named_modules()]
    for tower in TOWERS:
        blocks = {int(found[1]): name for name in names if (found := re.fullmatch(tower.block, name))}
        known = set(names)
        if blocks and all(f"{path}.{part}" in known for path in blocks.values() for part in tower.attention):
            return tower, dict(sorted(blocks.items()))
    raise ValueError(
        f"{type(text_model).__name__} is no text tower of a known kind ({', '.join(t.name for t in TOWERS)}); its "
        f"modules: {', '.join(names[1:12])}, …. Name the modules to adapt with --target-modules"
    )


def peft_config(text_model: nn.Module, config: AdapterConfig, *, n_steps: int) -> PeftConfig:
    """Give peft's configuration of an adapter for a text tower.

    Args:
      text_model: the tower, not yet wrapped.
      config: method, size, blocks.
      n_steps: optimiser steps of the training; AdaLoRA spreads its cuts over them.

    Raises:
      ValueError: the tower is of no known kind, has fewer blocks than asked for, or the method refuses its attention.
    """
    targets, feed_forward = _targets(text_model, config)
    if config.rank is None:
        config = replace(config, rank=_tower_width(text_model) if config.method == "linear" else DEFAULT_RANK)
    return _BUILDERS[config.method](config, targets, feed_forward, n_steps)


def attach(text_model: nn.Module, config: AdapterConfig, *, n_steps: int, base_model: str | None = None) -> PeftModel:
    """Wrap a text tower with a fresh adapter, the only part of it that trains.

    Args:
      text_model: the tower; its own parameters are frozen.
      config: method, size, blocks.
      n_steps: optimiser steps of the training.
      base_model: what the saved adapter calls its base (an id of the Hub).

    Raises:
      ValueError: as `peft_config`, and where a pattern matches no module.
    """
    from peft import get_peft_model

    settings = peft_config(text_model, config, n_steps=n_steps)
    text_model.requires_grad_(False)
    try:
        model = get_peft_model(text_model, settings, autocast_adapter_dtype=False)
    except ValueError as error:
        raise ValueError(f"the adapter {config.method} does not fit this tower: {error}") from error
    model.peft_config["default"].base_model_name_or_path = base_model
    return model


def trainable(model: nn.Module) -> dict[str, nn.Parameter]:
    """Give the parameters that train, by name."""
    return {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}


class ExactAttention:
    """Keeps the frozen weights of `nn.MultiheadAttention` as they were.

    peft's LoRA adds its change to these weights for each pass and subtracts it after, which moves their last bits;
    after thousands of passes the base would no longer be the base. `restore` puts the kept weights back.
    """

    def __init__(self, text_model: nn.Module) -> None:
        from torch import nn

        layers = [part for part in text_model.modules() if isinstance(part, nn.MultiheadAttention)]
        self._layers = [(part, part.out_proj) for part in layers]
        self._kept = [(p.in_proj_weight.detach().clone(), out.weight.detach().clone()) for p, out in self._layers]

    def restore(self) -> None:
        """Put the weights back."""
        for (layer, out), (inner, outer) in zip(self._layers, self._kept, strict=True):
            layer.in_proj_weight.data.copy_(inner)
            out.weight.data.copy_(outer)


def save(model: PeftModel, folder: Path, state: Mapping[str, Any] | None = None) -> None:
    """Write an adapter in peft's own format: `adapter_config.json` and `adapter_model.safetensors`, no card.

    Raises:
      OSError: it could not be written (no room).
    """
    from safetensors import SafetensorError

    try:
        model.save_pretrained(str(folder), state_dict=dict(state) if state else None, save_embedding_layers=False)
    except SafetensorError as error:
        raise OSError(
            f"the adapter {folder} could not be written ({error}); checkpoints are left as they are"
        ) from error
    (folder / "README.md").unlink(missing_ok=True)


def _targets(text_model: nn.Module, config: AdapterConfig) -> tuple[str, str]:
    """Give regular expressions over module names: all that the method adapts, and the feed-forward ones among them."""
    if config.target_modules is not None:
        names = [name for name, _ in text_model.named_modules() if re.fullmatch(config.target_modules, name)]
        if not names:
            raise ValueError(f"target-modules {config.target_modules!r} matches no module of the text tower")
        return config.target_modules, _any_of([n for n in names if re.search(r"(fc2|c_proj|output\.dense|wo)$", n)])
    tower, blocks = find_tower(text_model)
    n = 1 if config.method == "linear" else config.last_layers or len(blocks)
    if n > len(blocks):
        raise ValueError(f"last-layers is {n}, but the text tower has {len(blocks)} blocks")
    paths = list(blocks.values())[-n:]
    if config.method in ("bottleneck", "linear"):
        return _any_of(paths), ""
    wide = _any_of([f"{path}.{tower.feed_forward[-1]}" for path in paths])
    return _any_of([f"{path}.{part}" for path in paths for part in _parts(tower, config.method)]), wide


def _tower_width(text_model: nn.Module) -> int:
    from babel_adapters.bottleneck import block_width

    _, blocks = find_tower(text_model)
    path = list(blocks.values())[-1]
    return block_width(text_model.get_submodule(path), path)


def _parts(tower: Tower, method: str) -> tuple[str, ...]:
    if tower.is_native:
        return tower.attention if method == "lora" else tower.feed_forward
    if method == "ia3":
        return (*tower.values, tower.feed_forward[-1])
    return (*tower.attention, *tower.feed_forward)


def _any_of(names: list[str]) -> str:
    """Give a regular expression for whole names; it matches nothing where there is none."""
    return "|".join(map(re.escape, names)) if names else r"(?!)"


def _rank(config: AdapterConfig) -> int:
    return config.rank or DEFAULT_RANK


def _lora(config: AdapterConfig, targets: str, _: str, n_steps: int, *, use_dora: bool = False) -> PeftConfig:
    from peft import LoraConfig

    return LoraConfig(
        r=_rank(config),
        lora_alpha=config.alpha or 2 * _rank(config),
        lora_dropout=config.dropout,
        target_modules=targets,
        use_dora=use_dora,
    )


def _dora(config: AdapterConfig, targets: str, feed_forward: str, n_steps: int) -> PeftConfig:
    return _lora(config, targets, feed_forward, n_steps, use_dora=True)


def _ia3(config: AdapterConfig, targets: str, feed_forward: str, n_steps: int) -> PeftConfig:
    from peft import IA3Config

    return IA3Config(target_modules=targets, feedforward_modules=feed_forward)


def _adalora(config: AdapterConfig, targets: str, _: str, n_steps: int) -> PeftConfig:
    """AdaLoRA starts half as wide again and is cut to the rank between a tenth and seven tenths of the steps."""
    from peft import AdaLoraConfig

    return AdaLoraConfig(
        target_r=_rank(config),
        init_r=_rank(config) + max(1, _rank(config) // 2),
        lora_alpha=config.alpha or 2 * _rank(config),
        lora_dropout=config.dropout,
        target_modules=targets,
        tinit=n_steps // 10,
        tfinal=max(1, 3 * n_steps // 10),
        deltaT=max(1, n_steps // 50),
        total_step=max(4, n_steps),
    )


def _vera(config: AdapterConfig, targets: str, _: str, n_steps: int) -> PeftConfig:
    from peft import VeraConfig

    return VeraConfig(r=_rank(config), target_modules=targets, vera_dropout=config.dropout, save_projection=True)


def _bottleneck(config: AdapterConfig, targets: str, _: str, n_steps: int) -> PeftConfig:
    from babel_adapters.bottleneck import BottleneckConfig

    return BottleneckConfig(bottleneck_size=_rank(config), dropout=config.dropout, target_modules=targets)


def _linear(config: AdapterConfig, targets: str, _: str, n_steps: int) -> PeftConfig:
    """Behind the last block, without activation; as wide as the rank, which `attach` bounds by the tower's width."""
    from babel_adapters.bottleneck import BottleneckConfig

    return BottleneckConfig(bottleneck_size=_rank(config), activation="identity", target_modules=targets)


_BUILDERS: dict[str, Callable[[AdapterConfig, str, str, int], PeftConfig]] = {
    "lora": _lora,
    "dora": _dora,
    "ia3": _ia3,
    "adalora": _adalora,
    "vera": _vera,
    "bottleneck": _bottleneck,
    "linear": _linear,
}
