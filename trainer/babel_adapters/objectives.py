"""What an adapter is trained for: three objectives behind one interface, summed with weights.

All of them take adapted features of target captions and frozen features of their counterparts (English captions or
images), rows of length 1. In symbols below, s_i is the adapted target caption, t_j the frozen counterpart, τ the
temperature. Source: Geigle et al. 2023 (arXiv:2306.08658), section 6.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn

NAMES = ("mse", "text-contrastive", "lit")


@dataclass(frozen=True)
class Batch:
    """What the objectives see of one global batch, gathered over processes.

    Attributes:
      target: adapted features of target captions, float [n, dim], rows of length 1; gradients flow through them.
      english: frozen features of their English captions, float [n, dim]; None where no objective needs them.
      english_id: int64 [n]; equal numbers are equal English captions.
      image: frozen features of their images, float [n, dim]; None where no objective needs them.
      image_id: int64 [n]; equal numbers are equal images.
      target_id: int64 [n]; equal numbers are equal target captions.
      bank: more frozen English features, float [m, dim], row k being the caption of number k; None without.
      bank_same: bool [n, m]: captions of the bank that the data pairs with a row's target caption, which therefore are
        no negatives of it; None where each target caption has one English caption.
    """

    target: torch.Tensor
    target_id: torch.Tensor
    english: torch.Tensor | None = None
    english_id: torch.Tensor | None = None
    image: torch.Tensor | None = None
    image_id: torch.Tensor | None = None
    bank: torch.Tensor | None = None
    bank_same: torch.Tensor | None = None


def mse(target: torch.Tensor, english: torch.Tensor) -> torch.Tensor:
    """Give the mean squared distance (1/n) Σ_i ‖s_i - t_i‖², a scalar in 0..4.

    Source: Reimers & Gurevych 2020 (arXiv:2004.09813), equation 1, second term, on features of length 1; the paper's
    distillation of English captions.
    """
    return (target - english).pow(2).sum(dim=1).mean()


def contrastive(
    target: torch.Tensor, frozen: torch.Tensor, same: torch.Tensor, temperature: torch.Tensor | float
) -> torch.Tensor:
    """Give symmetric InfoNCE between target captions and their frozen counterparts, a scalar of at least 0.

    L = ½ [ -(1/n) Σ_i log e^{s_i·t_i/τ} / Σ_j e^{s_i·t_j/τ}  -  (1/n) Σ_i log e^{t_i·s_i/τ} / Σ_j e^{t_i·s_j/τ} ]

    Args:
      target: float [n, dim], rows of length 1.
      frozen: float [n, dim], rows of length 1; row i belongs to row i of `target`.
      same: bool [n, n]: pairs (i, j) that mean the same (a repeated caption or image) and are no negatives. The
        diagonal is the positive whatever stands there.
      temperature: τ, above 0.

    Source: Radford et al. 2021 (arXiv:2103.00020), figure 3; Zhai et al. 2022 (arXiv:2111.07991) for a frozen side.
    """
    scores = masked_scores(target, frozen, same) / temperature
    positives = torch.arange(len(target), device=target.device)
    return (F.cross_entropy(scores, positives) + F.cross_entropy(scores.T, positives)) / 2


def contrastive_with_bank(batch: Batch, same: torch.Tensor, temperature: torch.Tensor | float) -> torch.Tensor:
    """Give `contrastive` whose first half has every caption of the bank as a negative, not those of the batch alone.

    Captions that the data pairs with the same target caption (`bank_same`) are none. The frozen side is computed once
    for all captions, so this costs one matrix product. The second half keeps the batch: adapted features of other
    captions would be stale.
    """
    if batch.bank is None or batch.english is None or batch.english_id is None:
        raise ValueError("negatives from the bank need English features, their numbers and the bank")
    positives = torch.arange(len(batch.target), device=batch.target.device)
    to_english = batch.target @ batch.bank.T / temperature
    if batch.bank_same is not None:
        repeated = batch.bank_same.clone()
        repeated[positives, batch.english_id] = False
        to_english = to_english.masked_fill(repeated, -torch.inf)
    to_target = masked_scores(batch.english, batch.target, same) / temperature
    return (F.cross_entropy(to_english, batch.english_id) + F.cross_entropy(to_target, positives)) / 2


def masked_scores(rows: torch.Tensor, columns: torch.Tensor, same: torch.Tensor) -> torch.Tensor:
    """Give cosines [n, n], minus infinity where two different entries mean the same."""
    repeated = same & ~torch.eye(len(same), dtype=torch.bool, device=same.device)
    return (rows @ columns.T).masked_fill(repeated, -torch.inf)


def same_meaning(*identities: torch.Tensor | None) -> torch.Tensor:
    """Give bool [n, n]: true where any of the identities (int64 [n] each) of two entries is equal."""
    known = [identity for identity in identities if identity is not None]
    if not known:
        raise ValueError("at least one identity is needed")
    return torch.stack([identity[:, None] == identity[None, :] for identity in known]).any(dim=0)


class Objectives(nn.Module):
    """A weighted sum of objectives, with the temperature they share as its only parameter.

    `forward` wants whole global batches: it is the same on every process, and so is the temperature's gradient.
    """

    def __init__(
        self, weights: Mapping[str, float], *, temperature: float = 0.07, learn_temperature: bool = False
    ) -> None:
        super().__init__()
        self.weights = dict(weights)
        self.log_temperature = nn.Parameter(torch.tensor(math.log(temperature)), requires_grad=learn_temperature)

    @property
    def temperature(self) -> torch.Tensor:
        """The temperature τ, kept within 0.01..1 (CLIP's own floor), so that learning it cannot blow up the loss."""
        return self.log_temperature.exp().clamp(0.01, 1.0)

    def forward(self, batch: Batch) -> dict[str, torch.Tensor]:
        """Give each objective's value by name, unweighted, and their weighted sum under `loss`."""
        values = {name: self._value(name, batch) for name in self.weights}
        return {**values, "loss": torch.stack([self.weights[name] * values[name] for name in values]).sum()}

    def _value(self, name: str, batch: Batch) -> torch.Tensor:
        if name == "lit":
            if batch.image is None:
                raise ValueError("the objective lit needs image features")
            same = same_meaning(batch.image_id, batch.target_id)
            return contrastive(batch.target, batch.image, same, self.temperature)
        if batch.english is None:
            raise ValueError(f"the objective {name} needs features of English captions")
        if name == "mse":
            return mse(batch.target, batch.english)
        same = same_meaning(batch.english_id, batch.target_id)
        if batch.bank is not None:
            return contrastive_with_bank(batch, same, self.temperature)
        return contrastive(batch.target, batch.english, same, self.temperature)


def parse_objective(text: str) -> dict[str, float]:
    """Read `mse`, or a weighted sum such as `mse=1,text-contrastive=0.5`.

    Returns:
      weight by name, in the order given; a name without a number weighs 1.

    Raises:
      ValueError: a name is unknown or stands there twice, or a weight is no finite number above 0.
    """
    weights: dict[str, float] = {}
    for part in text.split(","):
        name, _, number = part.strip().partition("=")
        if name not in NAMES:
            raise ValueError(f"objective {name!r} is unknown; allowed: {', '.join(NAMES)}, or a sum like mse=1,lit=0.5")
        if name in weights:
            raise ValueError(f"objective {name!r} stands twice in {text!r}")
        weights[name] = _weight(name, number) if number else 1.0
    return weights


def _weight(name: str, number: str) -> float:
    try:
        weight = float(number)
    except ValueError as error:
        raise ValueError(f"the weight of {name} must be a number, got {number!r}") from error
    if not (math.isfinite(weight) and weight > 0):
        raise ValueError(f"the weight of {name} must be finite and above 0, got {number!r}")
    return weight


class _Gather(torch.autograd.Function):
    """All processes' rows in order of rank; gradients of all processes come back to the rows' owner, summed."""

    @staticmethod
    def forward(ctx: torch.autograd.function.FunctionCtx, rows: torch.Tensor) -> torch.Tensor:
        distributed = torch.distributed
        parts = [torch.empty_like(rows) for _ in range(distributed.get_world_size())]
        distributed.all_gather(parts, rows.contiguous())
        return torch.cat(parts)

    @staticmethod
    def backward(ctx: torch.autograd.function.FunctionCtx, gradient: torch.Tensor) -> torch.Tensor:
        distributed = torch.distributed
        total = gradient.contiguous().clone()
        distributed.all_reduce(total)
        return total.chunk(distributed.get_world_size())[distributed.get_rank()]


def gather(rows: torch.Tensor) -> torch.Tensor:
    """Give every process the rows [n, dim] of all, in order of rank; gradients flow back (accelerate's own stop).

    Each process must hold equally many rows. Every process computes the whole loss of the gathered batch; the gradient
    that reaches its own rows is the sum over processes, which the mean over processes that DDP takes of parameter
    gradients turns into the gradient of that one loss.
    """
    distributed = torch.distributed
    if not (distributed.is_available() and distributed.is_initialized()) or distributed.get_world_size() == 1:
        return rows
    return _Gather.apply(rows)
