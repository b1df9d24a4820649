"""What never changes in training is computed once: features of English captions and images, and the lower blocks.

Features of the frozen encoder are kept in the store of `babel_eval`, so that a second run, another objective or another
language reads them. Where only the last blocks are adapted, the states that enter them are the same in every epoch too:
`FrozenPrefix` keeps them in memory and training passes through the last blocks alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from babel_eval.encoding import kept_features
from babel_eval.images import ImageFeatures, Photo, PhotoSet
from babel_eval.store import FeatureStore
from babel_imagenet_dataset.files import sha256_of_text
from babel_zsic.classification import unit_rows

if TYPE_CHECKING:
    from babel_eval.encoders.base import TorchEncoder

MAX_UNREADABLE_SHARE = 0.01


def english_features(encoder: Any, captions: Sequence[str], store: FeatureStore | None) -> np.ndarray:
    """Give the frozen features of English captions, from the store where it has them.

    Args:
      encoder: the base, without an adapter.
      captions: distinct captions.
      store: where they are kept; None keeps nothing.

    Returns:
      float32 [n_captions, dim], rows of length 1.
    """
    key = sha256_of_text("english captions", encoder.fingerprint, *captions)
    if store is not None and (known := store.load(key)) is not None:
        return np.asarray(known.features)
    features = unit_rows(encoder.encode_texts(list(captions), "EN"))
    if store is not None:
        names = tuple(map(str, range(len(captions))))
        store.save(key, ImageFeatures(names, np.zeros(len(captions), dtype=np.int64), features, (), kind="captions"))
    return features


def photo_features(
    encoder: Any, images: Sequence[str | bytes], store: FeatureStore | None, *, workers: int = 2
) -> tuple[np.ndarray, dict[int, str]]:
    """Give the frozen features of distinct images, from the store where it has them.

    Returns:
      float32 [n_images, dim], rows of length 1 (zeros where there is no image), and why, by number, an image could
      not be read.

    Raises:
      ValueError: more than 1 % of the images do not open; the first ones are named.
    """
    photos = PhotoSet("captions", tuple(_photo(number, image) for number, image in enumerate(images)))
    found = kept_features(encoder, photos, store, workers=workers)
    problems = {int(p.photo.partition(" ")[0]): p.why for p in found.problems}
    if len(problems) > MAX_UNREADABLE_SHARE * len(images):
        some = "; ".join(f"{_shown(images[n])}: {why}" for n, why in list(problems.items())[:3])
        raise ValueError(
            f"{len(problems)} of {len(images)} images do not open, more than {MAX_UNREADABLE_SHARE:.0%} ({some}); "
            "check --image-column, and that relative paths start at the data's own folder; addresses are not fetched"
        )
    features = np.zeros((len(images), encoder.dim), dtype=np.float32)
    features[[int(name.partition(" ")[0]) for name in found.ids]] = found.features
    return features, problems


def _photo(number: int, image: str | bytes) -> Photo:
    if isinstance(image, bytes):
        return Photo(str(number), 0, sha256_of_text(image.hex()), lambda: image)
    path = Path(image)
    stamp = f"{path.stat().st_size} {path.stat().st_mtime_ns}" if path.is_file() else "missing"
    return Photo(f"{number} {image}", 0, stamp, path.read_bytes)


def _shown(image: str | bytes) -> str:
    return image if isinstance(image, str) else f"{len(image)} bytes"


def prefix_of(config: Any, encoder: TorchEncoder, texts: Sequence[Sequence[int]]) -> FrozenPrefix | None:
    """Keep the states that enter the first adapted block, where blocks lie before it and memory allows.

    Args:
      config: a `TrainConfig`; `last_layers` says which blocks are adapted, `prefix_gb` how much memory there is.
      encoder: the base, without an adapter.
      texts: token ids of each distinct target caption.
    """
    from babel_adapters.adapter import find_tower

    if config.last_layers is None or config.target_modules is not None:
        return None
    _, blocks = find_tower(encoder.text_model)
    paths = list(blocks.values())
    # A bottleneck stands behind its block, so the block itself is frozen too.
    frozen = paths[: len(paths) - config.last_layers + (config.method == "bottleneck")]
    width = int(next(p for n, p in encoder.text_model.named_parameters() if n.startswith(paths[0])).shape[-1])
    if not frozen or FrozenPrefix.n_bytes(encoder, width, texts) > config.prefix_gb * 1e9:
        return None
    return FrozenPrefix(encoder, frozen, texts)


class FrozenPrefix:
    """The states that enter the first adapted block, computed once for every text.

    While `use`d, blocks before that one are passed over: the last of them answers with the kept states of the batch.
    Embeddings are still looked up, so that masks are made as ever.
    """

    def __init__(self, encoder: TorchEncoder, blocks: Sequence[str], texts: Sequence[Sequence[int]]) -> None:
        """Compute the states.

        Args:
          encoder: the base; what is kept is what its blocks say now.
          blocks: paths in `text_model` of the blocks before the first adapted one, lowest first; at least one.
          texts: token ids of each text.
        """
        self._blocks = [encoder.text_model.get_submodule(path) for path in blocks]
        self._lengths = [max(len(text), encoder.full_length or 0) for text in texts]
        self._starts = np.concatenate([[0], np.cumsum(self._lengths)])
        self._is_tuple = False
        self._states: torch.Tensor | None = None
        self._fill(encoder, texts)

    @staticmethod
    def n_bytes(encoder: TorchEncoder, width: int, texts: Sequence[Sequence[int]]) -> int:
        """Give the memory that the states of texts take, in bytes."""
        element = next(encoder.text_model.parameters()).element_size()
        return sum(max(len(text), encoder.full_length or 0) for text in texts) * width * element

    def _fill(self, encoder: TorchEncoder, texts: Sequence[Sequence[int]]) -> None:
        from babel_eval.encoders.batching import token_batches

        seen: list[torch.Tensor] = []

        def keep(_: nn.Module, __: Any, output: Any) -> None:
            self._is_tuple = isinstance(output, tuple)
            seen.append(output[0] if isinstance(output, tuple) else output)

        hook = self._blocks[-1].register_forward_hook(keep)
        try:
            for rows in token_batches(self._lengths, encoder.token_budget):
                with torch.no_grad():
                    encoder.forward_texts(*encoder.collate([texts[row] for row in rows]))
                self._take(rows, seen.pop())
        finally:
            hook.remove()

    def _take(self, rows: Sequence[int], states: torch.Tensor) -> None:
        if self._states is None:
            self._states = torch.empty(
                (int(self._starts[-1]), states.shape[-1]), dtype=states.dtype, device=states.device
            )
        for place, row in enumerate(rows):
            self._states[self._starts[row] : self._starts[row + 1]] = states[place, : self._lengths[row]]

    def states(self, rows: Sequence[int], length: int) -> torch.Tensor:
        """Give the kept states of texts, [n_texts, length, width], zeros behind a text's end."""
        if self._states is None:
            raise ValueError("there is no text whose states were kept")
        batch = self._states.new_zeros((len(rows), length, self._states.shape[-1]))
        for place, row in enumerate(rows):
            batch[place, : self._lengths[row]] = self._states[self._starts[row] : self._starts[row + 1]]
        return batch

    @contextmanager
    def use(self, rows: Sequence[int]) -> Iterator[None]:
        """Pass over the blocks while the texts `rows` go through the tower, in that order, padded as `collate` does."""

        def skip(hidden: Any, *_: Any, **__: Any) -> Any:
            return (hidden,) if self._is_tuple else hidden

        def answer(hidden: Any, *_: Any, **__: Any) -> Any:
            states = self.states(rows, hidden.shape[1])
            return (states,) if self._is_tuple else states

        for block in self._blocks:
            block.forward = answer if block is self._blocks[-1] else skip
        try:
            yield
        finally:
            for block in self._blocks:
                del block.forward
