"""Batches by tokens, and what happens when memory runs out."""

from __future__ import annotations

import logging

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from babel_eval.encoders.batching import Halving, encode_in_batches, is_out_of_memory, token_batches


@given(lengths=st.lists(st.integers(1, 77), max_size=200), budget=st.integers(1, 2000))
@settings(max_examples=60, deadline=None)
def test_every_text_comes_once_and_no_batch_is_over_budget(lengths: list[int], budget: int) -> None:
    batches = list(token_batches(lengths, budget))
    assert sorted(place for batch in batches for place in batch) == list(range(len(lengths)))
    for batch in batches:
        assert len(batch) == 1 or max(lengths[i] for i in batch) * len(batch) <= budget


def test_the_longest_texts_come_first() -> None:
    assert next(token_batches([3, 9, 5, 9], 18)) == [1, 3]


class Memory:
    """An encoder that gives row i the value i, and runs out of memory above a number of rows."""

    def __init__(self, room: int, error: Exception) -> None:
        self.room, self.error = room, error
        self.sizes: list[int] = []

    def __call__(self, items: list[int]) -> np.ndarray:
        self.sizes.append(len(items))
        if len(items) > self.room:
            raise self.error
        return np.array(items, dtype=np.float32)[:, None]


OUT_OF_MEMORY = [
    torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"),
    RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory: you tried to allocate"),
    RuntimeError("MPS backend out of memory"),
    MemoryError(),
]


@pytest.mark.parametrize("error", OUT_OF_MEMORY, ids=lambda e: type(e).__name__ + str(e)[:12])
def test_a_batch_out_of_memory_is_halved_and_nothing_lost(error: Exception, caplog: pytest.LogCaptureFixture) -> None:
    encode, halving = Memory(7, error), Halving()
    with caplog.at_level(logging.WARNING):
        got = halving.run(list(range(50)), encode)
        again = halving.run(list(range(50, 90)), encode)
    np.testing.assert_array_equal(got[:, 0], np.arange(50))
    np.testing.assert_array_equal(again[:, 0], np.arange(50, 90))
    assert [record.message for record in caplog.records] == [
        "out of memory at a batch of 50; going on with batches half as large"
    ]
    assert sum(size > 7 for size in encode.sizes) == 3, "50, 25, 12, and then it is known"


def test_the_cost_of_an_item_is_counted() -> None:
    encode, halving = Memory(10, MemoryError()), Halving()
    halving.run(list(range(20)), encode, cost=8)  # 20 x 8 tokens fail, 10 x 8 fit
    encode.room = 1000
    encode.sizes.clear()
    halving.run(list(range(100)), encode, cost=2)
    assert encode.sizes == [40, 40, 20]


def test_one_item_that_does_not_fit_is_an_error() -> None:
    with pytest.raises(MemoryError, match="--dtype bf16"):
        Halving().run([1, 2, 3], Memory(0, MemoryError()))


def test_other_errors_are_not_swallowed() -> None:
    with pytest.raises(RuntimeError, match="shapes"):
        Halving().run([1, 2], Memory(0, RuntimeError("shapes do not match")))
    assert not is_out_of_memory(RuntimeError("shapes do not match"))
    assert not is_out_of_memory(ValueError("out of memory"))


def test_encoding_in_batches_keeps_the_order() -> None:
    lengths = [5, 1, 9, 3, 9, 2]
    got = encode_in_batches(token_batches(lengths, 27), lengths, 1, Memory(2, MemoryError()))
    np.testing.assert_array_equal(got[:, 0], np.arange(6))
