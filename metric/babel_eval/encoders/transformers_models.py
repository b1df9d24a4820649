"""Dual encoders of transformers: `transformers:ORG/NAME` for CLIP, SigLIP, SigLIP 2, AltCLIP, Chinese-CLIP, MetaCLIP 2
and any other model with `get_image_features` and `get_text_features`."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import nn

from babel_eval.encoders.base import TorchEncoder, torch_dtype
from babel_eval.encoders.fingerprints import describe_tokenizer, fingerprint_of, structure_of

# A causal mask, or a mask over padding: exact at any length. All others are computed at the length of their training.
EXACT_AT_ANY_LENGTH = frozenset({"clip", "metaclip_2", "altclip", "chinese_clip"})
_WITHOUT_MASK = frozenset({"siglip", "siglip2"})
_ENDLESS = 1_000_000
# Of scores; they move no feature.
_SCALES = frozenset({"logit_scale", "logit_bias", "temperature"})


class TransformersEncoder(TorchEncoder):
    """A dual encoder of transformers, its two towers called through `get_image_features` and `get_text_features`."""

    source = "transformers"

    def __init__(self, name: str, model: Any, image_processor: Any, tokenizer: Any, *, device: str, dtype: str) -> None:
        self.model, self.device = f"transformers:{name}", device
        self.parameters = sum(p.numel() for p in model.parameters())
        self._kind, self._dtype = str(model.config.model_type), torch_dtype(dtype)
        self._image_processor, self._tokenizer = image_processor, tokenizer
        self._images = only_tower(model, text=False)
        text = only_tower(model, text=True)
        settings = (structure_of(self._images), dtype, processor_settings(image_processor))
        self.image_fingerprint = fingerprint_of("transformers image", self._images, *settings)
        self.text_fingerprint = fingerprint_of("transformers text", text, self._kind, describe_tokenizer(tokenizer))
        self.text_model = TextFeatures(text, masked=self._kind not in _WITHOUT_MASK)
        self.pad_id = int(tokenizer.pad_token_id or 0)
        self.context_length = context_length(model.config, tokenizer)
        if self._kind not in EXACT_AT_ANY_LENGTH and self.context_length < _ENDLESS:
            self.full_length = self.context_length
        self._lower_case = self._kind == "siglip2" or "Gemma" in type(tokenizer).__name__
        tokens = (self.context_length, self.full_length, self._lower_case, self.pad_id)
        self.fingerprint = fingerprint_of(self.image_fingerprint, self.text_fingerprint, structure_of(text), *tokens)
        model.eval().requires_grad_(False).to(device=device, dtype=self._dtype)
        self.dim = self._common_width(type(model).__name__)

    @torch.inference_mode()
    def _common_width(self, kind: str) -> int:
        """Give the width of the space that photos and texts share, tried on one of each."""
        photo = self.preprocess(Image.new("RGB", (64, 48)))[None].to(device=self.device, dtype=self._dtype)
        text = self.collate(self.tokenize(["a"], "EN"))
        try:
            shapes = [list(features.shape) for features in (self.forward_texts(*text), self.forward_pixels(photo))]
        except AttributeError:  # no such tower under the name it has in CLIP, or no such output
            shapes = []
        if not shapes or len(shapes[0]) != 2 or shapes[0] != shapes[1]:
            raise ValueError(
                f"{self.model}: {kind} does not give one feature for a text and one of the same width for a photo"
                f"{f' (their shapes: {shapes})' if shapes else ''}; encode elsewhere and measure with features:FOLDER"
            )
        return int(shapes[0][1])

    def preprocess(self, image: Image.Image) -> torch.Tensor:
        """Prepare a photo as the model's own image processor does.

        A processor that cuts photos into a varying grid of patches (SigLIP 2 NaFlex) gives float32
        [patches, width + 3]: pixels, then whether the patch counts, then the grid's height and width.
        """
        out = self._image_processor(images=image, return_tensors="pt")
        pixels = out["pixel_values"][0]
        if "spatial_shapes" not in out:
            return pixels
        grid = out["spatial_shapes"][0].expand(len(pixels), 2)
        return torch.cat([pixels, out["pixel_attention_mask"][0][:, None], grid], dim=1)

    def forward_pixels(self, pixels: torch.Tensor) -> torch.Tensor:
        """Give raw features [n_images, dim] of a batch on the encoder's device and in its dtype."""
        if pixels.ndim == 4:
            return tensor_of(self._images.get_image_features(pixel_values=pixels))
        arguments = {"pixel_attention_mask": pixels[:, :, -3].long(), "spatial_shapes": pixels[:, 0, -2:].long()}
        return tensor_of(self._images.get_image_features(pixel_values=pixels[:, :, :-3], **arguments))

    def tokenize(self, texts: Sequence[str], language: str) -> list[list[int]]:
        """Give the tokenizer's ids, padded (on its own side) for SigLIP alone; `collate` pads the others."""
        if self._lower_case:
            texts = [text.lower() for text in texts]
        return token_ids(self._tokenizer, texts, self.context_length, full=self._kind in _WITHOUT_MASK)


class TextFeatures(nn.Module):
    """The text tower of a dual encoder: ids and mask in, raw features out."""

    def __init__(self, tower: Any, *, masked: bool) -> None:
        super().__init__()
        self.tower, self.masked = tower, masked

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor | None = None) -> torch.Tensor:
        """Give raw features [n_texts, dim]; SigLIP was trained without a mask and gets none."""
        arguments = {"attention_mask": attention_mask} if self.masked else {}
        return tensor_of(self.tower.get_text_features(input_ids=input_ids, **arguments))


def load(name: str, *, device: str, dtype: str) -> TransformersEncoder:
    """Load `ORG/NAME`, `ORG/NAME@REVISION` or a folder that `save_pretrained` wrote.

    Weights are safetensors, or read with `weights_only`; a model that needs code of its own is refused.

    Raises:
      ImportError: see `read_tokenizer`.
      ValueError: the model is not found, lacks weights, needs code from its repository, or has no features for images
        and texts.
    """
    from transformers import AutoImageProcessor, AutoModel

    source, revision = split_revision(name)
    arguments: dict[str, Any] = {"revision": revision, "trust_remote_code": False}
    try:
        model, report = AutoModel.from_pretrained(source, output_loading_info=True, **arguments)
        if not (hasattr(model, "get_image_features") and hasattr(model, "get_text_features")):
            raise ValueError(f"{type(model).__name__} has no get_image_features and get_text_features")
        _refuse_random(type(model).__name__, report["missing_keys"])
        image_processor = AutoImageProcessor.from_pretrained(source, **arguments)
        tokenizer = read_tokenizer(source, revision)
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        raise ValueError(f"transformers could not load {name!r}: {error}") from error
    return TransformersEncoder(name, model, image_processor, tokenizer, device=device, dtype=dtype)


def _refuse_random(kind: str, missing: Iterable[str]) -> None:
    """Refuse a checkpoint that lacks weights, which transformers draws at random."""
    drawn = sorted(set(missing) - _SCALES)
    if drawn:
        more = f" and {len(drawn) - 5} more" if len(drawn) > 5 else ""
        raise ValueError(
            f"it lacks weights of {kind} ({', '.join(drawn[:5])}{more}), which would be drawn at random; it was "
            "probably saved from another class of model"
        )


def read_tokenizer(source: str, revision: str | None) -> Any:
    """Read the tokenizer of a repository or a folder.

    Raises:
      ImportError: only SentencePiece reads it, which is not installed. Of some tokenizers transformers then asks for
        tiktoken, which would not help.
    """
    from transformers import AutoTokenizer

    try:
        return AutoTokenizer.from_pretrained(source, revision=revision, trust_remote_code=False)
    except (ImportError, ValueError) as error:
        if not any(name in str(error).lower() for name in ("sentencepiece", "tiktoken")):
            raise
        raise ImportError(f"the tokenizer of {source!r} is a SentencePiece model: pip install sentencepiece") from error


def split_revision(name: str) -> tuple[str, str | None]:
    """Split `ORG/NAME@REVISION`; a folder's path is taken whole.

    Raises:
      ValueError: the name is empty.
    """
    if not name:
        raise ValueError("a model is needed after the colon: ORG/NAME, ORG/NAME@REVISION or a folder")
    if Path(name).is_dir():
        return name, None
    source, _, revision = name.partition("@")
    return source, revision or None


def only_tower(model: Any, *, text: bool) -> Any:
    """Give a shallow copy of a dual encoder that holds one of its towers, with the same weights and methods.

    What is left out (`vision_model`, `visual_projection`, …) is gone from the copy's modules, so that what adapts,
    counts or hashes the copy cannot reach it.
    """
    tower = copy.copy(model)
    tower._modules = {name: part for name, part in model._modules.items() if ("vis" in name) is not text}
    tower._parameters = {}
    return tower


def tensor_of(output: Any) -> torch.Tensor:
    """Give the features out of what `get_*_features` returns: a tensor, or since transformers 5 an output object."""
    return output if isinstance(output, torch.Tensor) else output.pooler_output


def token_ids(tokenizer: Any, texts: Sequence[str], longest: int, *, full: bool = False) -> list[list[int]]:
    """Give the ids of each text, special tokens included, cut at `longest`, and padded to it where `full`."""
    if not texts:
        return []
    arguments = {"padding": "max_length"} if full else {"padding": False}
    cut = {"truncation": True, "max_length": longest} if longest < _ENDLESS else {}
    return tokenizer(list(texts), return_attention_mask=False, **arguments, **cut)["input_ids"]


def context_length(config: Any, tokenizer: Any) -> int:
    """Give the most tokens a text may have: by the tower's positions and by the tokenizer, whichever is less.

    RoBERTa-like towers begin counting positions after the padding index, so they have that many fewer.
    """
    text = getattr(config, "text_config", config)
    positions = getattr(text, "max_position_embeddings", None) or _ENDLESS
    if "roberta" in str(text.model_type) or text.model_type == "altclip_text_model":
        positions -= int(text.pad_token_id) + 1
    return int(min(positions, tokenizer.model_max_length, _ENDLESS))


def processor_settings(processor: Any) -> str:
    """Give a string that differs wherever an image processor would."""
    settings = {key: value for key, value in processor.to_dict().items() if not key.startswith("_")}
    return f"{type(processor).__name__};{sorted(settings.items(), key=lambda item: item[0])}"
