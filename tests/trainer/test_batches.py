"""Batches: every pair once an epoch, of like length, the same from any step on, split evenly over processes."""

from __future__ import annotations

from itertools import islice

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from babel_adapters.batches import Plan, share_of


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(1, 50), min_size=1, max_size=300), st.integers(2, 40), st.integers(0, 5))
def test_every_pair_stands_in_an_epoch_and_batches_are_full(lengths: list[int], size: int, epoch: int) -> None:
    batches = Plan(lengths, size, seed=1).epoch(epoch)
    rows = np.concatenate(batches)
    assert set(rows.tolist()) == set(range(len(lengths)))
    assert {len(batch) for batch in batches} == {min(size, len(lengths))}
    assert len(rows) - len(lengths) < size


def test_a_run_goes_on_in_its_middle_with_the_same_batches() -> None:
    plan = Plan([3] * 50, 8, seed=2)
    whole = list(islice(plan.from_step(0), 20))
    rest = list(islice(plan.from_step(9), 11))
    assert [(e, b.tolist()) for e, b in whole[9:]] == [(e, b.tolist()) for e, b in rest]


def test_epochs_and_seeds_differ() -> None:
    plan = Plan(list(range(1, 65)), 8, seed=0)
    orders = [np.concatenate(p.epoch(e)).tolist() for p, e in ((plan, 0), (plan, 1), (Plan(plan.lengths, 8, 1), 0))]
    assert orders[0] != orders[1] != orders[2] != orders[0]


def test_little_is_spent_on_padding() -> None:
    lengths = np.random.default_rng(0).integers(4, 40, 4000).tolist()
    batches = Plan(lengths, 32, seed=0).epoch(0)
    padded = sum(max(lengths[i] for i in batch) * len(batch) for batch in batches)
    assert padded < 1.1 * sum(lengths)


def test_shares_joined_in_order_of_rank_are_the_batch() -> None:
    rows = np.arange(12)
    assert np.concatenate([share_of(rows, rank, 3) for rank in range(3)]).tolist() == rows.tolist()
    with pytest.raises(ValueError, match="does not divide"):
        share_of(rows, 0, 5)


def test_a_batch_of_one_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 2"):
        Plan([3], 1, seed=0)
