"""What the runner asks of a model: one small Protocol, and the base class that most families share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import numpy as np

if TYPE_CHECKING:
    import torch
    from PIL import Image


@runtime_checkable
class Encoder(Protocol):
    """A dual encoder: photos and texts into one space, where cosine says what belongs together.

    Attributes:
      model: the model string that the user gave, e.g. `open_clip:ViT-B-32@laion2b_s34b_b79k`.
      source: the family's name in result files (`openclip`, `conse`, `transformers`, …).
      parameters: number of parameters of both towers.
      dim: width of the common space.
      device: where it runs, as torch names it (`cpu`, `cuda:0`, `mps`).
      fingerprint: 64 hex digits over everything that determines features: weights and their revision, dtype,
        preprocessing, tokenizer. Two encoders of equal fingerprint give equal features.
      uses_language: True when `encode_texts` gives another feature for the same text in another language.
    """

    model: str
    source: str
    parameters: int
    dim: int
    device: str
    fingerprint: str
    uses_language: bool

    def preprocess(self, image: Image.Image) -> torch.Tensor:
        """Turn one RGB photo into the tower's input, float32 [channels, height, width]; safe in worker threads."""
        ...

    def encode_pixels(self, pixels: torch.Tensor) -> np.ndarray:
        """Give raw (not normalised) features, float32 [n_images, dim], of a batch of `preprocess` outputs."""
        ...

    def encode_images(self, images: Sequence[Image.Image]) -> np.ndarray:
        """Give raw (not normalised) features, float32 [n_images, dim], of photos in the order given."""
        ...

    def encode_texts(self, texts: Sequence[str], language: str) -> np.ndarray:
        """Give raw (not normalised) features, float32 [n_texts, dim], of texts in the order given.

        Any number of texts: the encoder sorts and batches them itself. `language` is BabelNet's code (`DE`), used
        by towers whose tokenizer must know the language.
        """
        ...


class TorchEncoder:
    """What the torch families share: `encode_images` out of `preprocess` and `encode_pixels`."""

    uses_language = False
    dim: int

    def preprocess(self, image: Image.Image) -> torch.Tensor:
        """Turn one RGB photo into the tower's input, float32 [channels, height, width]."""
        raise TypeError(f"{type(self).__name__} must define preprocess")

    def encode_pixels(self, pixels: torch.Tensor) -> np.ndarray:
        """Give raw features, float32 [n_images, dim], of a batch of `preprocess` outputs."""
        raise TypeError(f"{type(self).__name__} must define encode_pixels")

    def encode_images(self, images: Sequence[Image.Image]) -> np.ndarray:
        """Give raw features, float32 [n_images, dim], of photos in the order given; no photo gives [0, dim]."""
        import torch

        if not images:
            return np.zeros((0, self.dim), dtype=np.float32)
        return self.encode_pixels(torch.stack([self.preprocess(image.convert("RGB")) for image in images]))


def choose_device(device: str | None) -> str:
    """Give the device to run on: the one asked for, else CUDA, else MPS, else the CPU.

    Raises:
      ValueError: torch does not know the device, or this machine does not have it.
    """
    import torch

    available = ["cpu"]
    if torch.backends.mps.is_available():
        available.insert(0, "mps")
    if torch.cuda.is_available():
        available.insert(0, "cuda")
    if device is None:
        return available[0]
    try:
        wanted = torch.device(device)
    except RuntimeError as error:
        raise ValueError(f"device {device!r} is unknown to torch; here there is: {', '.join(available)}") from error
    too_high = wanted.type == "cuda" and (wanted.index or 0) >= torch.cuda.device_count()
    if wanted.type not in available or too_high:
        raise ValueError(f"device {device!r} is not on this machine; here there is: {', '.join(available)}")
    return str(wanted)
