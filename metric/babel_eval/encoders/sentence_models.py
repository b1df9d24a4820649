"""Models of sentence-transformers: `sentence-transformers:clip-ViT-B-32-multilingual-v1` with its image model."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from babel_eval.encoders.base import TorchEncoder, torch_dtype, unknown_token
from babel_eval.encoders.fingerprints import describe_tokenizer, fingerprint_of, structure_of
from babel_eval.encoders.paired import SUFFIX
from babel_eval.encoders.transformers_models import only_tower, processor_settings, split_revision

if TYPE_CHECKING:
    from PIL import Image

# Text models distilled into the space of an image model (their model cards); others hold both towers themselves.
IMAGE_MODELS = {"clip-ViT-B-32-multilingual-v1": "clip-ViT-B-32"}


class SentenceText(nn.Module):
    """A SentenceTransformer called on ids and mask; its pooling and projection are its own."""

    def __init__(self, model: Any, prompt_length: int | None = None) -> None:
        """Take a model, and how many tokens of its prompt stand before every text (None: it has no prompt)."""
        super().__init__()
        self.model, self.prompt_length = model, prompt_length

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        """Give features [n_texts, dim] as the model's last module leaves them."""
        inputs: dict[str, Any] = {"input_ids": input_ids, "attention_mask": attention_mask}
        if self.prompt_length is not None:
            inputs["prompt_length"] = self.prompt_length
        return self.model(inputs)["sentence_embedding"]


class SentenceEncoder(TorchEncoder):
    """A SentenceTransformer for texts and one for photos (the same one where it has both towers)."""

    source = "sentence-transformers"
    reference_normalises_texts = False

    def __init__(self, name: str, text: Any, images: Any, *, device: str, dtype: str) -> None:
        self.model, self.device, self._dtype = f"sentence-transformers:{name}", device, torch_dtype(dtype)
        self._images, self._texts = images, text
        parts = [text] if text is images else [text, images]
        self.parameters = sum(p.numel() for part in parts for p in part.parameters())
        settings = (structure_of(images), dtype, processor_settings(_image_processor(images, name)))
        self.image_fingerprint = fingerprint_of("sentence image", images, *settings)
        tokenizer = describe_tokenizer(text.tokenizer)
        self.text_fingerprint = fingerprint_of("sentence text", text, repr(text), tokenizer, text.max_seq_length)
        self._prompt = text.prompts.get(text.default_prompt_name)
        self.fingerprint = fingerprint_of(
            self.image_fingerprint, self.text_fingerprint, structure_of(text), self._prompt
        )
        for part in parts:
            part.eval().requires_grad_(False).to(device=device, dtype=self._dtype)
        prompt_length = text.preprocess(["a"], prompt=self._prompt).get("prompt_length")
        self.text_model = SentenceText(_text_side(text) if text is images else text, prompt_length)
        self.pad_id = int(text.tokenizer.pad_token_id or 0)
        self.unknown_id = unknown_token(text.tokenizer)
        with torch.inference_mode():
            self.dim = self.forward_texts(*self.collate(self.tokenize(["a"], "EN"))).shape[1]

    def preprocess(self, image: Image.Image) -> torch.Tensor:
        """Prepare a photo as the image model does."""
        return self._images.preprocess([image])["pixel_values"][0]

    def forward_pixels(self, pixels: torch.Tensor) -> torch.Tensor:
        """Give the image model's features [n_images, dim]."""
        return self._images({"modality": "image", "pixel_values": pixels})["sentence_embedding"]

    def tokenize(self, texts: Sequence[str], language: str) -> list[list[int]]:
        """Give the ids that the model's own preprocessing makes, behind its own prompt, without its padding."""
        if not texts:
            return []
        made = self._texts.preprocess(list(texts), prompt=self._prompt)
        pairs = zip(made["input_ids"], made["attention_mask"].bool(), strict=True)
        return [ids[mask].tolist() for ids, mask in pairs]


def load(name: str, *, device: str, dtype: str) -> SentenceEncoder:
    """Load a model of sentence-transformers that gives features for texts and, with its image model, for photos.

    Args:
      name: a name on the Hub (`clip-ViT-B-32`) or a folder; `TEXT+images:IMAGES` where the text model has no image
        tower and its partner is not known.
      device: as torch names it.
      dtype: `fp32`, `bf16` or `fp16`.

    Raises:
      ImportError: sentence-transformers is not installed.
      ValueError: a model is not found, or needs code from its repository.
    """
    text_name, suffix, image_name = name.partition(SUFFIX)
    if not suffix:
        image_name = image_model_of(text_name)
    images = _read(image_name.removeprefix("sentence-transformers:"), device)
    text = images if image_name == text_name else _read(text_name, device)
    return SentenceEncoder(name, text, images, device=device, dtype=dtype)


def image_model_of(text_name: str) -> str:
    """Give the image model that a text model was distilled from, else the model itself."""
    return IMAGE_MODELS.get(Path(text_name).name, text_name)


def _read(name: str, device: str) -> Any:
    try:
        from sentence_transformers import SentenceTransformer
    except ImportError as error:
        raise ImportError(
            "models of sentence-transformers need it: pip install 'babel-imagenet[sentence-transformers]'"
        ) from error
    source, revision = split_revision(name)
    try:
        return SentenceTransformer(source, revision=revision, device=device, trust_remote_code=False)
    except (OSError, ValueError) as error:
        raise ValueError(f"sentence-transformers could not load {name!r}: {error}") from error


def _image_processor(model: Any, name: str) -> Any:
    processor = getattr(model[0], "processor", None)
    processor = getattr(processor, "image_processor", processor)
    if not hasattr(processor, "image_mean"):
        raise ValueError(
            f"sentence-transformers:{name} takes no photos; name the model whose space its texts lie in: "
            f"sentence-transformers:{name.partition(SUFFIX)[0]}{SUFFIX}clip-ViT-B-32"
        )
    return processor


def _text_side(model: Any) -> Any:
    """Give a shallow copy of a model of both kinds that holds its text tower alone."""
    side, first = copy.copy(model), copy.copy(model[0])
    first._modules = {name: only_tower(part, text=True) for name, part in first._modules.items()}
    side._modules = {**model._modules, next(iter(model._modules)): first}
    return side
