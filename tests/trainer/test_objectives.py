"""The three objectives against plain loops over their equations."""

from __future__ import annotations

import math

import pytest
import torch

from babel_adapters.objectives import Batch, Objectives, contrastive, mse, parse_objective, same_meaning


def unit(n: int, dim: int, seed: int) -> torch.Tensor:
    rows = torch.randn(n, dim, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return rows / rows.norm(dim=1, keepdim=True)


def naive_contrastive(s: torch.Tensor, t: torch.Tensor, same: list[list[bool]], tau: float) -> float:
    n, total = len(s), 0.0
    for i in range(n):
        for rows, columns in ((s, t), (t, s)):
            terms = [math.exp(float(rows[i] @ columns[j]) / tau) for j in range(n) if j == i or not same[i][j]]
            total -= math.log(math.exp(float(rows[i] @ columns[i]) / tau) / sum(terms))
    return total / (2 * n)


def test_mse_is_the_mean_squared_distance() -> None:
    s, t = unit(5, 3, 0), unit(5, 3, 1)
    by_hand = sum(float((s[i, k] - t[i, k]) ** 2) for i in range(5) for k in range(3)) / 5
    assert float(mse(s, t)) == pytest.approx(by_hand)


@pytest.mark.parametrize("ids", [[0, 1, 2, 3], [0, 1, 0, 2], [0, 0, 0, 0]])
def test_contrastive_equals_its_equation_and_repeats_are_no_negatives(ids: list[int]) -> None:
    s, t, tau = unit(4, 6, 2), unit(4, 6, 3), 0.2
    same = [[a == b for b in ids] for a in ids]
    assert float(contrastive(s, t, torch.tensor(same), tau)) == pytest.approx(naive_contrastive(s, t, same, tau))


def test_a_batch_of_one_meaning_has_no_loss() -> None:
    s, t = unit(3, 4, 0), unit(3, 4, 1)
    assert float(contrastive(s, t, torch.ones(3, 3, dtype=torch.bool), 0.1)) == pytest.approx(0)


def test_meanings_are_equal_where_any_identity_is() -> None:
    same = same_meaning(torch.tensor([0, 1, 2]), torch.tensor([5, 5, 6]), None)
    assert same.tolist() == [[True, True, False], [True, True, False], [False, False, True]]


def test_a_bank_that_is_the_batch_changes_nothing() -> None:
    s, t = unit(4, 6, 4), unit(4, 6, 5)
    numbers = torch.arange(4)
    batch = {"target": s, "target_id": numbers, "english": t, "english_id": numbers}
    objective = Objectives({"text-contrastive": 1.0}, temperature=0.1)
    without, with_bank = objective(Batch(**batch)), objective(Batch(**batch, bank=t))
    assert float(without["loss"].detach()) == pytest.approx(float(with_bank["loss"].detach()))


def test_captions_of_one_target_are_no_negatives_of_each_other_in_the_bank() -> None:
    s, bank, tau = unit(4, 6, 4), unit(4, 6, 5), 0.1
    target_id, english_id = torch.tensor([0, 0, 1, 2]), torch.arange(4)
    same = target_id[:, None] == target_id[None, :]  # the bank is the batch: caption k belongs to row k's target
    batch = {"target": s, "target_id": target_id, "english": bank, "english_id": english_id}
    objective = Objectives({"text-contrastive": 1.0}, temperature=tau)
    expected = naive_contrastive(s, bank, same_but_itself(same), tau)
    assert float(objective(Batch(**batch))["loss"].detach()) == pytest.approx(expected, rel=1e-6)
    with_bank = objective(Batch(**batch, bank=bank, bank_same=same))
    assert float(with_bank["loss"].detach()) == pytest.approx(expected, rel=1e-6)
    assert float(objective(Batch(**batch, bank=bank))["loss"].detach()) > expected + 0.01


def same_but_itself(same: torch.Tensor) -> list[list[bool]]:
    return (same & ~torch.eye(len(same), dtype=torch.bool)).tolist()


def test_a_larger_bank_adds_negatives_to_one_half() -> None:
    s, bank, tau = unit(3, 6, 6), unit(7, 6, 7), 0.2
    numbers = torch.tensor([4, 0, 6])
    loss = Objectives({"text-contrastive": 1.0}, temperature=tau)(
        Batch(target=s, target_id=torch.arange(3), english=bank[numbers], english_id=numbers, bank=bank)
    )["loss"]
    to_english = -sum(
        math.log(math.exp(float(s[i] @ bank[numbers[i]]) / tau) / sum(math.exp(float(s[i] @ b) / tau) for b in bank))
        for i in range(3)
    )
    to_target = -sum(
        math.log(
            math.exp(float(s[i] @ bank[numbers[i]]) / tau) / sum(math.exp(float(x @ bank[numbers[i]]) / tau) for x in s)
        )
        for i in range(3)
    )
    assert float(loss.detach()) == pytest.approx((to_english + to_target) / 6, rel=1e-6)


def test_a_sum_is_weighted() -> None:
    s, t, image = unit(4, 6, 8), unit(4, 6, 9), unit(4, 6, 10)
    batch = Batch(s, torch.arange(4), t, torch.arange(4), image, torch.arange(4))
    values = Objectives({"mse": 2.0, "lit": 0.5}, temperature=0.1)(batch)
    no = torch.zeros(4, 4, dtype=torch.bool)
    by_hand = 2 * float(mse(s, t)) + 0.5 * naive_contrastive(s, image, no.tolist(), 0.1)
    assert float(values["loss"].detach()) == pytest.approx(by_hand, rel=1e-6)


def test_the_temperature_learns_only_where_it_is_told_to() -> None:
    s, t = unit(4, 6, 8).float(), unit(4, 6, 9).float()
    batch = Batch(s.requires_grad_(), torch.arange(4), t, torch.arange(4))
    for learn in (True, False):
        objective = Objectives({"text-contrastive": 1.0}, temperature=0.1, learn_temperature=learn)
        objective(batch)["loss"].backward()
        assert (objective.log_temperature.grad is not None) is learn


@pytest.mark.parametrize(
    ("text", "weights"),
    [("mse", {"mse": 1.0}), ("mse=1,text-contrastive=0.5", {"mse": 1.0, "text-contrastive": 0.5})],
)
def test_objectives_are_read_with_their_weights(text: str, weights: dict[str, float]) -> None:
    assert parse_objective(text) == weights


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("clip", "allowed: mse, text-contrastive, lit"),
        ("mse,mse", "twice"),
        ("mse=0", "above 0"),
        ("mse=nan", "finite"),
        ("mse=x", "must be a number"),
    ],
)
def test_what_cannot_be_read_says_why(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        parse_objective(text)
