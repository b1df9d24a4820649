"""An adapter in closed form: the best linear map behind the last block, by ridge regression, in seconds.

Where a tower's features depend on the mean over a text's last states alone, a linear map of every state is one of the
mean. So the map that brings means of target captions to those of their English captions can be solved for, and put
behind the last block as a bottleneck without activation. With few pairs it does better than training by gradients.

Source: Hoerl & Kennard 1970 (Technometrics 12) for ridge regression; a linear map between embedding spaces of two
languages: Mikolov et al. 2013 (arXiv:1309.4168).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from babel_eval.images import ImageFeatures
from babel_imagenet_dataset.files import sha256_of_text

if TYPE_CHECKING:
    from peft import PeftModel

    from babel_adapters.adapter import AdapterConfig
    from babel_adapters.data import TrainingData
    from babel_eval.encoders.base import TorchEncoder
    from babel_eval.store import FeatureStore


def solve(
    config: AdapterConfig,
    model: PeftModel,
    encoder: TorchEncoder,
    data: TrainingData,
    language: str,
    store: FeatureStore,
) -> None:
    """Solve for the map of a training's pairs, and put it behind the last block of the wrapped tower.

    Args:
      config: `ridge` is the strength of the ridge, `balance` how much pairs of rare words weigh above others.
      model: the encoder's text tower, wrapped.
      encoder: the base.
      data: the pairs.
      language: BabelNet's code of the target language.
      store: where mean states are kept.

    Raises:
      ValueError: the tower does not take the mean over a text's tokens.
    """
    from babel_adapters.bottleneck import BottleneckLayer

    layer = next(part for part in model.modules() if isinstance(part, BottleneckLayer))
    pairs = data.pairs[: data.n_train]
    encoder.text_model = model
    with model.disable_adapter():
        if not averages(encoder, layer.base_layer, data.tokens[int(data.target_id[0])]):
            raise ValueError(
                "--method linear needs a tower that takes the mean over a text's tokens (conse-e5, M-CLIP); this one "
                "pools otherwise: use lora or bottleneck"
            )
        states = partial(kept_mean_states, encoder, layer.base_layer, store=store)
        target = states([pair.target for pair in pairs], language)
        english = states([pair.english or "" for pair in pairs], "EN")
    sure, rare = [pair.weight for pair in pairs], rarity([pair.english or "" for pair in pairs], config.balance)
    weights = torch.tensor(np.array(sure) * rare, device=target.device)
    mapping, shift = ridge_map(target, english, weights, config.ridge)
    install(layer.bottleneck_adapters["default"], mapping, shift)
    model.eval()


def rarity(texts: Sequence[str], exponent: float) -> np.ndarray:
    """Give each text the mean over its words of 1 / (number of texts with the word) ** exponent, scaled to mean 1.

    Names of symbols repeat their parts (`woman …`, `flag: …`) hundreds of times, and a fit would be one of these parts.
    A text without a word counts as a rare one.

    Args:
      texts: at least one, in any order.
      exponent: 0..1; 0 makes all weigh alike.

    Returns:
      float64 [n_texts], above 0.
    """
    words = [re.findall(r"\w+", text.lower()) for text in texts]
    count = Counter(word for text in words for word in set(text))
    weights = np.array([np.mean([count[word] ** -exponent for word in text]) if text else 1.0 for text in words])
    return weights / weights.mean()


def ridge_map(
    target: torch.Tensor, english: torch.Tensor, weights: torch.Tensor, strength: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """Give the map W and shift b for which target + target W + b comes nearest to english.

    Minimises Σ_i w_i ‖x_i W + b - (y_i - x_i)‖² + λ ‖W‖², with λ = strength times the mean eigenvalue of the weighted
    scatter of x around its mean; b is free.

    Args:
      target: x, float [n, width].
      english: y, float [n, width].
      weights: w, float [n], at least 0, not all 0.
      strength: above 0.

    Returns:
      W [width, width] and b [width], float64.
    """
    x, y, w = target.double(), english.double(), weights.double()[:, None]
    centre, shift = (w * x).sum(0) / w.sum(), (w * (y - x)).sum(0) / w.sum()
    centred, residual = x - centre, y - x - shift
    scatter = centred.T @ (w * centred)
    ridge = strength * scatter.diagonal().mean() * torch.eye(len(scatter), dtype=x.dtype, device=x.device)
    mapping = torch.linalg.solve(scatter + ridge, centred.T @ (w * residual))
    return mapping, shift - centre @ mapping


def install(adapter: Any, mapping: torch.Tensor, shift: torch.Tensor) -> None:
    """Put a map into a bottleneck without activation, of the map's rank or the bottleneck's size, the largest first."""
    left, values, right = torch.linalg.svd(mapping)
    size = adapter.down.out_features
    root = values[:size].sqrt()
    with torch.no_grad():
        adapter.down.bias.zero_()
        adapter.up.bias.copy_(shift)
        adapter.down.weight.zero_()
        adapter.up.weight.zero_()
        adapter.down.weight[: len(root)].copy_((left[:, : len(root)] * root).T)
        adapter.up.weight[:, : len(root)].copy_((root[:, None] * right[: len(root)]).T)


def kept_mean_states(
    encoder: TorchEncoder, block: nn.Module, texts: Sequence[str], language: str, *, store: FeatureStore
) -> torch.Tensor:
    """Give the mean states of texts, float32 [n_texts, width]; those that the store has are not computed again."""
    key = sha256_of_text("mean states", encoder.fingerprint, language)
    kept = store.load(key)
    row_of = {text: row for row, text in enumerate(kept.ids)} if kept else {}
    missing = [text for text in dict.fromkeys(texts) if text not in row_of]
    states = [np.asarray(kept.features)] if kept else []
    if missing:
        states.append(mean_states(encoder, block, encoder.tokenize(missing, language)).cpu().numpy())
        row_of |= {text: len(row_of) + n for n, text in enumerate(missing)}
        known = np.concatenate(states)
        store.save(key, ImageFeatures(tuple(row_of), np.zeros(len(known), np.int64), known, (), kind="mean states"))
        states = [known]
    return torch.tensor(states[0][[row_of[text] for text in texts]], device=encoder.device)


def mean_states(encoder: TorchEncoder, block: nn.Module, texts: Sequence[Sequence[int]]) -> torch.Tensor:
    """Give the mean over each text's tokens of the states that leave a block, float32 [n_texts, width]."""
    from babel_eval.encoders.batching import token_batches

    means: list[torch.Tensor] = [torch.empty(0)] * len(texts)
    seen: list[torch.Tensor] = []
    hook = block.register_forward_hook(
        lambda _, __, output: seen.append(output[0] if isinstance(output, tuple) else output)
    )
    try:
        for rows in token_batches([len(text) for text in texts], encoder.token_budget):
            ids, mask = encoder.collate([texts[row] for row in rows])
            with torch.no_grad():
                encoder.forward_texts(ids, mask)
            for row, mean in zip(rows, _masked_mean(seen.pop().float(), mask), strict=True):
                means[row] = mean
    finally:
        hook.remove()
    return torch.stack(means)


def takes_mean(encoder: TorchEncoder, language: str) -> bool:
    """Tell whether a base's features depend on the mean over a text's last states alone; towers not known do not."""
    from babel_adapters.adapter import find_tower

    try:
        _, blocks = find_tower(encoder.text_model)
    except ValueError:
        return False
    block = encoder.text_model.get_submodule(list(blocks.values())[-1])
    (tokens,) = encoder.tokenize(["a longer text, of several tokens"], language)
    return averages(encoder, block, tokens)


def averages(encoder: TorchEncoder, block: nn.Module, tokens: Sequence[int]) -> bool:
    """Tell whether a text's features stay the same when each state that leaves a block is replaced by their mean."""
    ids, mask = encoder.collate([tokens])
    with torch.no_grad():
        plain = encoder.forward_texts(ids, mask)
        with _states_replaced(block, mask):
            averaged = encoder.forward_texts(ids, mask)
    return bool(torch.nn.functional.cosine_similarity(plain, averaged).min() >= 0.999)


@contextmanager
def _states_replaced(block: nn.Module, mask: torch.Tensor) -> Iterator[None]:
    def replace(_: nn.Module, __: Any, output: Any) -> Any:
        states = output[0] if isinstance(output, tuple) else output
        mean = _masked_mean(states, mask)[:, None].expand_as(states)
        return (mean, *output[1:]) if isinstance(output, tuple) else mean

    hook = block.register_forward_hook(replace)
    try:
        yield
    finally:
        hook.remove()


def _masked_mean(states: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    weights = mask.to(states.dtype)[..., None]
    return (states * weights).sum(1) / weights.sum(1)
