"""`conse-e5`: the embedded default, a dual encoder whose every part comes from a package index.

Texts go through multilingual-E5-small. A photo goes through EfficientNet-Lite0, and its feature is the convex
combination of the text features of the English names of its likeliest classes, weighted by their probabilities. The
mean feature of the 1000 English names is subtracted on both sides. The image tower was trained on ImageNet's own
labels, so this is a baseline and a test bed, not a model to compare others with in English.

Sources: ConSE, Norouzi et al. 2014 (arXiv:1312.5650), section 3; E5's prefix and mean pooling, Wang et al. 2024
(arXiv:2402.05672), section 3; how T, temperature, prefix and centring were chosen: `docs/conse-e5.md`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import nn

from babel_eval import sample
from babel_eval.encoders import lite0
from babel_eval.encoders.base import TorchEncoder, torch_dtype
from babel_eval.encoders.e5_file import E5Tokenizer, load_bert, read_e5_file
from babel_eval.encoders.fingerprints import fingerprint_of
from babel_imagenet_dataset.imagenet import english_class_names

if TYPE_CHECKING:
    from PIL import Image

PREFIX = "query: "
TOP_CLASSES = 10


class E5Tower(nn.Module):
    """E5's text tower: token ids in, centred sentence features out."""

    centre: torch.Tensor

    def __init__(self, bert: nn.Module, dim: int) -> None:
        """Take a `transformers.BertModel` without pooler, of width `dim`."""
        super().__init__()
        self.bert = bert
        self.config = bert.config
        self.register_buffer("centre", torch.zeros(dim))

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        """Give float32 [n_texts, dim]: the mean over a text's tokens, scaled to length 1, less the centre."""
        hidden = self.bert(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state.float()
        mask = attention_mask.unsqueeze(-1).to(hidden.dtype)
        pooled = (hidden * mask).sum(dim=1) / mask.sum(dim=1)
        return nn.functional.normalize(pooled, dim=-1) - self.centre.float()


class ConseEncoder(TorchEncoder):
    """EfficientNet-Lite0 and multilingual-E5-small in one space (see the module's docstring)."""

    model = "conse-e5"
    source = "conse"
    dim = 384
    token_budget = 4096

    def __init__(self, *, device: str, dtype: str) -> None:
        """Read both towers from the installed packages onto a device."""
        self.device, self._dtype = device, torch_dtype(dtype)
        file = read_e5_file(sample.e5_weights())
        self._tokenizer = E5Tokenizer(file)
        self.pad_id, self.unknown_id = self._tokenizer.pad, self._tokenizer.unk
        tower = E5Tower(load_bert(file), self.dim).to(device, self._dtype).eval()
        self.text_model = tower
        image_model = lite0.load_lite0(sample.lite0_weights()).to(device, self._dtype)
        self._image_model = image_model.to(memory_format=torch.channels_last)
        self.parameters = sum(p.numel() for m in (self.text_model, self._image_model) for p in m.parameters())
        names = torch.from_numpy(self.encode_texts(english_class_names(), "EN"))
        tower.centre.copy_(names.mean(dim=0))
        self._class_features = (names - names.mean(dim=0)).to(device)
        self.text_fingerprint = fingerprint_of(sample.E5_SHA256, PREFIX, "mean pooled, centred")
        self.image_fingerprint = fingerprint_of(self.text_fingerprint, sample.LITE0_SHA256, TOP_CLASSES, dtype)
        self.fingerprint = fingerprint_of(self.text_fingerprint, self.image_fingerprint, dtype)

    def preprocess(self, image: Image.Image) -> torch.Tensor:
        """Bring the short side to 256, take the middle 224 x 224, normalise: float32 [3, 224, 224]."""
        return lite0.preprocess(image)

    def forward_pixels(self, pixels: torch.Tensor) -> torch.Tensor:
        """Give float32 [n_images, dim]: the mean of the likeliest classes' names, weighted by their probabilities."""
        logits, classes = (
            self._image_model(pixels.contiguous(memory_format=torch.channels_last)).float().topk(TOP_CLASSES, dim=-1)
        )
        return torch.einsum("nt,ntd->nd", logits.softmax(dim=-1), self._class_features[classes])

    def tokenize(self, texts: Sequence[str], language: str) -> list[list[int]]:
        """Give XLM-R's ids of each text behind E5's prefix; the language makes no difference."""
        return self._tokenizer.encode([PREFIX + text for text in texts])


def load(name: str, *, device: str, dtype: str) -> ConseEncoder:
    """Load the embedded default.

    Args:
      name: must be empty: there is one such model.
      device: as torch names it.
      dtype: `fp32`, `bf16` or `fp16`: of the weights and of the products; pooling is in float32.

    Raises:
      ValueError: a name, a dtype that is unknown, or a file whose bytes are not those known here.
      ImportError: the extra `[sample]` is not installed.
    """
    if name:
        raise ValueError(f"conse-e5 takes no name, got {name!r}; write --model conse-e5")
    return ConseEncoder(device=device, dtype=dtype)
