"""What texts have in common at their start is computed once, in towers with a causal mask.

Under such a mask a token's states depend on the tokens before it alone, so texts that begin alike share the states of
their common beginning. Of ten languages' class names 27 % of the tokens need not be computed (every text shares the
start token, scripts outside CLIP's vocabulary share bytes); of prompts, which share the words before the name, more.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch


# Most nodes of a tree. Every node attends over the whole tree (8 % of the work at 256), and small ones leave products
# small: on ViT-B-32 and two cores 256 was faster than 128, 192, 384 and 512 (`benchmarks/README.md`).
MOST_NODES = 256


@dataclass(frozen=True)
class PrefixTree:
    """The distinct beginnings of some texts, one node each, a node's parent always before it.

    Attributes:
      ids: int64 [1, n_nodes], the last token of each beginning.
      positions: int64 [n_nodes], how many tokens stand before it.
      mask: float32 [n_nodes, n_nodes], added to attention: 0 where a node (row) sees a node (column), which are those
        on its own way from the start and itself; minus infinity elsewhere.
      ends: int64 [n_texts], the node at which each text ends.
    """

    ids: torch.Tensor
    positions: torch.Tensor
    mask: torch.Tensor
    ends: torch.Tensor


def prefix_tree(texts: Sequence[Sequence[int]]) -> PrefixTree:
    """Lay texts out as a tree of their beginnings.

    Args:
      texts: token ids of each text, in any order; none of them empty.
    """
    import torch

    nodes: dict[tuple[int, int], int] = {}  # (parent, token) to node
    ids: list[int] = []
    positions: list[int] = []
    parents: list[int] = []
    ends: list[int] = []
    for text in texts:
        node = -1
        for position, token in enumerate(text):
            parent, node = node, nodes.setdefault((node, token), len(ids))
            if node == len(ids):
                ids.append(token)
                positions.append(position)
                parents.append(parent)
        ends.append(node)
    sees = np.eye(len(ids), dtype=bool)
    for node, parent in enumerate(parents):
        if parent >= 0:
            sees[node] |= sees[parent]
    mask = torch.zeros(sees.shape).masked_fill_(torch.from_numpy(~sees), float("-inf"))
    return PrefixTree(torch.tensor([ids]), torch.tensor(positions), mask, torch.tensor(ends))


def prefix_batches(texts: Sequence[Sequence[int]], budget: int = MOST_NODES) -> Iterator[list[int]]:
    """Give positions of texts in batches whose trees stay within a budget of nodes, texts that begin alike together.

    Args:
      texts: token ids of each text.
      budget: most nodes a batch may have; a longer text stands alone.

    Yields:
      positions in `texts`, in the order of their tokens; every position exactly once; no text gives no batch.
    """
    batch: list[int] = []
    n_nodes = 0
    for position in sorted(range(len(texts)), key=lambda i: tuple(texts[i])):
        text = texts[position]
        # In this order a text shares with all before it what it shares with the last.
        new = len(text) - (_n_shared(texts[batch[-1]], text) if batch else 0)
        if batch and n_nodes + new > budget:
            yield batch
            batch, n_nodes, new = [], 0, len(text)
        batch.append(position)
        n_nodes += new
    if batch:
        yield batch


def _n_shared(one: Sequence[int], other: Sequence[int]) -> int:
    """Give how many tokens two texts have in common at their start."""
    differing = (n for n, (a, b) in enumerate(zip(one, other, strict=False)) if a != b)
    return next(differing, min(len(one), len(other)))
