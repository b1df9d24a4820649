"""Text towers of open_clip, computed at the length the texts have where that gives the same features.

open_clip pads every text to the context length (77 mostly), and its own text modules refuse shorter input, because
positions and the causal mask are not cut. Under a causal mask nothing after the pooled token reaches it, so a batch
may end at its longest text. Towers without such a mask, and without a mask over padding (SigLIP, CLIPA, some
MobileCLIPs), were trained on padding and are exact at full length only.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from babel_eval.encoders.prefixes import PrefixTree, prefix_tree


class NativeText(nn.Module):
    """A text tower of open_clip's own blocks, holding its parts (shared, not copied) and nothing of the image tower."""

    attn_mask: torch.Tensor | None

    def __init__(self, tower: Any, *, pool: str, eos_id: int) -> None:
        super().__init__()
        self.transformer = tower.transformer
        self.token_embedding = tower.token_embedding
        self.positional_embedding = tower.positional_embedding
        self.ln_final = tower.ln_final
        self.text_projection = tower.text_projection
        self.register_buffer("attn_mask", tower.attn_mask, persistent=False)
        self.pool, self.eos_id = pool, eos_id
        self.context_length = int(tower.context_length)

    @property
    def exact_at_any_length(self) -> bool:
        """True where the mask is causal and the pooled token is found by its id: padding cannot reach it."""
        return self.attn_mask is not None and self.pool in ("argmax", "eos")

    def forward(
        self, input_ids: torch.Tensor, attention_mask: torch.Tensor | None = None, tree: PrefixTree | None = None
    ) -> torch.Tensor:
        """Give raw features [n_texts, dim] of ids [n_texts, length]; length is at most the context length.

        `attention_mask` is accepted and not needed: the tower was trained with the causal mask or with none at all.
        With a `tree`, `input_ids` are its nodes, [1, n_nodes], and the features are those of its texts.
        """
        length = input_ids.shape[1] if tree is None else int(tree.positions.max()) + 1
        if length > self.context_length:
            raise ValueError(f"texts of {length} tokens; this tower takes at most {self.context_length}")
        dtype = self.transformer.get_cast_dtype()
        embedded = self.token_embedding(input_ids).to(dtype)
        if tree is not None:
            hidden = self.transformer(embedded + self.positional_embedding[tree.positions].to(dtype), tree.mask)
            return self._projected(hidden[0, tree.ends])
        mask = None if self.attn_mask is None else self.attn_mask[:length, :length]
        hidden = self.transformer(embedded + self.positional_embedding[:length].to(dtype), mask)
        return self._projected(hidden[torch.arange(len(hidden), device=hidden.device), self._pooled_at(input_ids)])

    def tree_of(self, texts: Sequence[Sequence[int]]) -> PrefixTree:
        """Lay texts out as a tree, each up to the pooled token; right where the tower is `exact_at_any_length`."""
        ends = [int(self._pooled_at(torch.tensor([text]))) for text in texts]
        return prefix_tree([text[: end + 1] for text, end in zip(texts, ends, strict=True)])

    def _projected(self, pooled: torch.Tensor) -> torch.Tensor:
        pooled = self.ln_final(pooled)
        if self.text_projection is None:
            return pooled
        linear = isinstance(self.text_projection, nn.Module)
        return self.text_projection(pooled) if linear else pooled @ self.text_projection

    def _pooled_at(self, input_ids: torch.Tensor) -> torch.Tensor | int:
        if self.pool == "argmax":
            return input_ids.argmax(dim=-1)
        if self.pool == "eos":
            return (input_ids == self.eos_id).int().argmax(dim=-1)
        return {"first": 0, "last": -1}[self.pool]


class MaskedText(nn.Module):
    """A text tower out of transformers (XLM-R, mT5, NLLB) as open_clip wraps it: padding is masked at any length."""

    exact_at_any_length = True

    def __init__(self, tower: Any) -> None:
        super().__init__()
        self.tower = tower
        self.pad_id = int(tower.config.pad_token_id)

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor | None = None) -> torch.Tensor:
        """Give raw features [n_texts, dim]; what `attention_mask` leaves out counts as padding."""
        if attention_mask is not None:
            input_ids = input_ids.masked_fill(attention_mask == 0, self.pad_id)
        return _first(self.tower(input_ids))


class WholeText(nn.Module):
    """Any other text tower (CoCa appends a class token): called as open_clip calls it, at full length."""

    exact_at_any_length = False

    def __init__(self, tower: Any) -> None:
        super().__init__()
        self.tower = tower

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor | None = None) -> torch.Tensor:
        """Give raw features [n_texts, dim] of ids padded to the context length."""
        return _first(self.tower(input_ids))


def text_tower(model: Any) -> NativeText | MaskedText | WholeText:
    """Give the text side of an open_clip model, with weights shared, whatever its kind."""
    from open_clip.hf_model import HFTextEncoder
    from open_clip.transformer import TextTransformer

    tower = getattr(model, "text", None)
    if tower is None:
        return NativeText(model, pool=model.text_pool_type, eos_id=model.text_eos_id)
    if isinstance(tower, HFTextEncoder):
        return MaskedText(tower)
    if isinstance(tower, TextTransformer) and tower.cls_emb is None and not tower.use_pad_mask:
        return NativeText(tower, pool=tower.pool_type, eos_id=tower.eos_id)
    return WholeText(tower)


def _first(output: Any) -> torch.Tensor:
    return output[0] if isinstance(output, tuple) else output
