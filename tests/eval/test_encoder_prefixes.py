"""Beginnings that texts share: laid out once, in batches of bounded size, with the features of texts taken alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tiny_models as tiny
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from babel_eval.encoders import load_encoder
from babel_eval.encoders.prefixes import MOST_NODES, prefix_batches, prefix_tree

# Few tokens, so that texts often begin alike, and one may be the beginning of another.
TEXTS = st.lists(st.lists(st.integers(0, 3), min_size=1, max_size=9), max_size=60)


def beginnings(texts: list[list[int]]) -> set[tuple[int, ...]]:
    return {tuple(text[:n]) for text in texts for n in range(1, len(text) + 1)}


@given(texts=TEXTS.filter(bool))
@settings(max_examples=100, deadline=None)
def test_a_tree_has_one_node_for_each_beginning_and_each_sees_its_own(texts: list[list[int]]) -> None:
    tree = prefix_tree(texts)
    ids, positions = tree.ids[0].tolist(), tree.positions.tolist()
    assert set(tree.mask.unique().tolist()) <= {0.0, float("-inf")}
    seen = [torch.nonzero(row == 0).flatten().tolist() for row in tree.mask]
    spelled = [tuple(ids[node] for node in nodes) for nodes in seen]
    assert set(spelled) == beginnings(texts)
    assert len(spelled) == len(set(spelled))
    assert positions == [len(one) - 1 for one in spelled]
    assert [list(spelled[end]) for end in tree.ends.tolist()] == texts


@given(texts=TEXTS, budget=st.integers(1, 30))
@settings(max_examples=100, deadline=None)
def test_every_text_comes_once_and_no_tree_is_over_budget(texts: list[list[int]], budget: int) -> None:
    batches = list(prefix_batches(texts, budget))
    assert sorted(place for batch in batches for place in batch) == list(range(len(texts)))
    sizes = [len(beginnings([texts[i] for i in batch])) for batch in batches]
    assert all(size <= budget or len(batch) == 1 for size, batch in zip(sizes, batches, strict=True))
    first = [sorted(texts)[n] for n in np.cumsum([0, *map(len, batches)])[1:-1]]
    for before, size, text in zip(batches, sizes, first, strict=False):
        more = beginnings([*(texts[i] for i in before), text])
        assert len(more) > budget, f"a batch of {size} nodes ended where the next text would have fitted"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tiny.open_clip_folder(tmp_path, {"context_length": 24, "vocab_size": 49408})


def plain(folder: Path, texts: list[str]) -> torch.Tensor:
    """Give open_clip's own features of texts, each alone and padded."""
    import open_clip

    model = open_clip.create_model(f"local-dir:{folder}").eval()
    tokens = open_clip.get_tokenizer(f"local-dir:{folder}")(texts)
    with torch.inference_mode():
        return torch.cat([model.encode_text(one[None]) for one in tokens])


def test_features_of_texts_that_begin_alike_are_those_of_each_alone(folder: Path) -> None:
    names = ["tench", "great white shark", "great grey owl", "ກົບ", "ກົບຕົ້ນໄມ້", "", "a " * 40, "cut<|endoftext|>here"]
    templates = ["{}", "a photo of a {}.", "a photo of the {}.", "a photo of a large {}."]
    texts = [template.format(name) for template in templates for name in names]
    encoder = load_encoder(f"open_clip:{folder}", device="cpu")
    assert encoder.shares_prefixes
    got = encoder.encode_texts(texts, "EN")
    expected = plain(folder, texts)
    assert tiny.cosines(got, expected).min() > 0.99999
    np.testing.assert_allclose(got, expected.numpy(), rtol=1e-3, atol=1e-4)


def test_a_beginning_is_computed_once(folder: Path) -> None:
    encoder = load_encoder(f"open_clip:{folder}", device="cpu")
    texts = [f"a photo of a {name}" for name in ("tench", "shark", "owl", "frog", "tench")]
    sizes: list[int] = []
    encoder.text_model.token_embedding.register_forward_hook(lambda _, ids, __: sizes.append(ids[0].numel()))
    encoder.encode_texts(texts, "EN")
    tokens = encoder.tokenize(texts, "EN")
    assert sizes == [len(beginnings(tokens))]
    assert sizes[0] < sum(map(len, tokens)) / 2


def test_a_tree_too_large_for_memory_is_halved(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    encoder = load_encoder(f"open_clip:{folder}", device="cpu")
    texts = [f"{adjective} {name}" for adjective in ("red", "blue", "old") for name in ("tench", "owl", "frog", "bee")]
    expected = encoder.encode_texts(texts, "EN")
    compute = type(encoder)._encode_tokens

    def small(self: object, tokens: list[list[int]]) -> np.ndarray:
        if len(tokens) > 3:
            raise MemoryError
        return compute(self, tokens)  # type: ignore[arg-type]

    monkeypatch.setattr(type(encoder), "_encode_tokens", small)
    np.testing.assert_allclose(encoder.encode_texts(texts, "EN"), expected, rtol=1e-4, atol=1e-5)


def test_many_texts_go_through_the_tower_in_trees_of_bounded_size(folder: Path) -> None:
    encoder = load_encoder(f"open_clip:{folder}", device="cpu")
    texts = [f"{n} fish of {n * 7} rivers" for n in range(300)]
    sizes: list[int] = []
    encoder.text_model.token_embedding.register_forward_hook(lambda _, ids, __: sizes.append(ids[0].numel()))
    encoder.encode_texts(texts, "EN")
    assert len(sizes) > 2
    assert max(sizes) <= MOST_NODES


def test_towers_that_see_what_follows_share_nothing(tmp_path: Path) -> None:
    both = {"context_length": 24, "vocab_size": 49408, "no_causal_mask": True}
    encoder = load_encoder(f"open_clip:{tiny.open_clip_folder(tmp_path, both, custom_text=True)}", device="cpu")
    assert not encoder.shares_prefixes
