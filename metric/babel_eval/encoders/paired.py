"""A text tower of one family with the image tower of another: `…+images:MODEL`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from babel_eval.encoders.base import TorchEncoder

if TYPE_CHECKING:
    import torch
    from PIL import Image

SUFFIX = "+images:"


class PairedEncoder(TorchEncoder):
    """A text tower trained into the space of an existing image tower; photos go to that tower as they are."""

    def __init__(self, images: TorchEncoder, *, device: str) -> None:
        self.images, self.device = images, device
        self.image_fingerprint = images.image_fingerprint
        self._dtype = images._dtype

    def preprocess(self, image: Image.Image) -> torch.Tensor:
        """Prepare a photo as the image model does."""
        return self.images.preprocess(image)

    def forward_pixels(self, pixels: torch.Tensor) -> torch.Tensor:
        """Give the image model's raw features [n_images, dim]."""
        return self.images.forward_pixels(pixels)


def split_images(name: str, known: dict[str, str], family: str) -> tuple[str, str]:
    """Split `TEXT+images:MODEL` into the text model's name and the model string of the image tower.

    Without the suffix the image tower is the one of `known` whose key ends the name, in any case of letters.

    Raises:
      ValueError: there is no suffix, and the name is none that is known.
    """
    text, suffix, images = name.partition(SUFFIX)
    if suffix and images:
        return text, images
    for ending, model in known.items():
        if text.lower().endswith(ending.lower()):
            return text, model
    raise ValueError(
        f"{family}:{name}: which image tower it belongs to is unknown; name it, for instance "
        f"{family}:{text}{SUFFIX}open_clip:ViT-B-32-quickgelu@openai. Known: {', '.join(known)}"
    )
