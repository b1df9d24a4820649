"""The closed form: the ridge's own equations, weights of pairs, and what a bottleneck makes of a map."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from babel_adapters.bottleneck import Bottleneck, BottleneckConfig
from babel_adapters.linear import install, rarity, ridge_map


def random_pairs(n: int = 40, width: int = 6) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(n, width, generator=generator, dtype=torch.float64) + 3
    y = x @ torch.randn(width, width, generator=generator, dtype=torch.float64)
    return x, y, torch.rand(n, generator=generator, dtype=torch.float64) + 0.1


def test_the_map_is_least_squares_with_rows_for_the_ridge_and_a_free_shift() -> None:
    (x, y, w), strength = random_pairs(), 0.3
    mapping, shift = ridge_map(x, y, w, strength)
    width = x.shape[1]
    centred = x - np.average(x, axis=0, weights=w)
    penalty = strength * (w[:, None] * centred**2).sum() / width
    root = w.sqrt()[:, None]
    rows = torch.cat(
        [torch.cat([root * x, root], 1), torch.cat([penalty.sqrt() * torch.eye(width), torch.zeros(width, 1)], 1)]
    )
    wanted = torch.linalg.lstsq(rows, torch.cat([root * (y - x), torch.zeros(width, width)])).solution
    assert torch.allclose(mapping, wanted[:-1], atol=1e-8)
    assert torch.allclose(shift, wanted[-1], atol=1e-8)


def test_a_pair_of_weight_two_counts_like_the_pair_twice() -> None:
    x, y, _ = random_pairs()
    weights = torch.ones(len(x), dtype=torch.float64)
    weights[3] = 2
    twice = [*range(len(x)), 3]
    for a, b in zip(ridge_map(x, y, weights, 0.1), ridge_map(x[twice], y[twice], torch.ones(41), 0.1), strict=True):
        assert torch.allclose(a, b, atol=1e-9)


def test_a_strong_ridge_leaves_nothing_but_the_shift_of_means() -> None:
    x, y, w = random_pairs()
    mapping, shift = ridge_map(x, y, w, 1e12)
    assert mapping.abs().max() < 1e-9
    assert np.allclose(shift, np.average(y - x, axis=0, weights=w), atol=1e-8)


def test_texts_of_frequent_words_weigh_less() -> None:
    texts = ["woman running", "woman", "Woman's flag", "...", "anchor"]
    counts = {"woman": 3, "running": 1, "s": 1, "flag": 1, "anchor": 1}
    parts = [["woman", "running"], ["woman"], ["woman", "s", "flag"], [], ["anchor"]]
    by_hand = np.array([np.mean([counts[p] ** -0.5 for p in part]) if part else 1.0 for part in parts])
    assert rarity(texts, 0.5) == pytest.approx(by_hand / by_hand.mean())
    assert rarity(texts, 0.0).tolist() == [1.0] * 5


@pytest.mark.parametrize("size", [6, 9])
def test_a_bottleneck_as_wide_as_the_map_holds_it_whole(size: int) -> None:
    x, y, w = random_pairs()
    mapping, shift = ridge_map(x, y, w, 0.1)
    adapter = Bottleneck(6, BottleneckConfig(bottleneck_size=size, activation="identity"))
    install(adapter, mapping, shift)
    assert torch.allclose(adapter(x.float()).double(), x @ mapping + shift, atol=1e-4)


def test_a_narrower_bottleneck_holds_the_nearest_map_of_its_rank() -> None:
    x, y, w = random_pairs()
    mapping, shift = ridge_map(x, y, w, 0.1)
    adapter = Bottleneck(6, BottleneckConfig(bottleneck_size=2, activation="identity"))
    install(adapter, mapping, shift)
    held = (adapter.up.weight @ adapter.down.weight).T.double()
    assert torch.linalg.matrix_rank(held, atol=1e-4) == 2
    left_out = torch.linalg.svdvals(mapping)[2:].pow(2).sum().sqrt()  # Eckart & Young 1936
    assert float((mapping - held).norm()) == pytest.approx(float(left_out), rel=1e-4)
