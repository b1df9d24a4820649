"""What a training looks after beside its loss: the rate, dropout, losses that are no numbers, AdaLoRA's ranks."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch
    from peft import PeftModel

_IMPORTANCE = ("ipt", "exp_avg_ipt", "exp_avg_unc")


def rate_at(step: int, n_steps: int, warmup: float) -> float:
    """Give the share of the highest rate at a step: a linear rise over a share of the steps, then half a cosine."""
    rise = warmup * n_steps
    if step < rise:
        return (step + 1) / math.ceil(rise)
    return 0.5 * (1 + math.cos(math.pi * (step - rise) / max(1.0, n_steps - rise)))


def train_mode(model: torch.nn.Module) -> None:
    """Let the adapter drop units out as it is told to; the frozen tower stays as it is when it is used."""
    model.eval()
    for name, part in model.named_modules():
        if "lora_dropout" in name or "bottleneck_adapters" in name or "vera_dropout" in name:
            part.train()


def check_finite(values: Mapping[str, torch.Tensor], step: int, captions: Sequence[str]) -> None:
    """Stop where a loss is no number, naming step, objective and captions."""
    bad = [name for name, value in values.items() if not math.isfinite(float(value.detach()))]
    if bad:
        raise FloatingPointError(
            f"step {step}: {', '.join(bad)} is not finite; the batch begins with {list(captions)}. "
            "Lower --learning-rate, raise --temperature, or use --mixed-precision no"
        )


class Ranks:
    """What AdaLoRA remembers between steps beside its weights, as a part of a checkpoint."""

    def __init__(self, model: PeftModel) -> None:
        self._model: Any = model

    def state_dict(self) -> dict[str, Any]:
        """Give the running means of importance by parameter, and the ranks that are left by layer."""
        allocator = self._model.base_model.rankallocator
        means = {name: getattr(allocator, name) for name in _IMPORTANCE}
        return {**means, "rank_pattern": self._model.peft_config["default"].rank_pattern}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take them."""
        device = next(self._model.parameters()).device
        for name in _IMPORTANCE:
            means = {parameter: value.to(device) for parameter, value in state[name].items()}
            setattr(self._model.base_model.rankallocator, name, means)
        self._model.peft_config["default"].rank_pattern = state["rank_pattern"]


def parts_of(model: PeftModel, method: str) -> list[Any]:
    """Give what a checkpoint holds of a method beside the trained weights."""
    return [Ranks(model)] if method == "adalora" else []


def final_from(model: PeftModel, method: str) -> int:
    """Give the step of the last cut; what is measured before it is not what would be saved. 0 for other methods."""
    if method != "adalora":
        return 0
    settings: Any = model.peft_config["default"]
    return int(settings.total_step - settings.tfinal)
