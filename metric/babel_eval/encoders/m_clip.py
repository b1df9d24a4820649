"""M-CLIP: `m-clip:M-CLIP/XLM-Roberta-Large-Vit-B-32`, a multilingual text tower for the image tower of a CLIP model.

The towers of Carlsson et al. 2022 (LREC) are a transformer, a mean over its unmasked states, and one linear layer into
CLIP's space. They are read here from their published files; the package that published them is no longer kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from babel_eval.encoders.fingerprints import describe_tokenizer, fingerprint_of, structure_of
from babel_eval.encoders.open_clip_models import load as load_open_clip
from babel_eval.encoders.paired import PairedEncoder, split_images
from babel_eval.encoders.transformers_models import context_length, read_tokenizer, split_revision, token_ids

# The image tower that each text tower was trained for (model cards of M-CLIP).
IMAGE_TOWERS = {
    "XLM-Roberta-Large-Vit-B-32": "open_clip:ViT-B-32-quickgelu@openai",
    "XLM-Roberta-Large-Vit-L-14": "open_clip:ViT-L-14-quickgelu@openai",
    "XLM-Roberta-Large-Vit-B-16Plus": "open_clip:ViT-B-16-plus-240@laion400m_e32",
    "LABSE-Vit-L-14": "open_clip:ViT-L-14-quickgelu@openai",
    "M-BERT-Base-ViT-B": "open_clip:ViT-B-32-quickgelu@openai",
    "M-BERT-Base-69": "open_clip:RN50x4-quickgelu@openai",
    "M-BERT-Distil-40": "open_clip:RN50x4-quickgelu@openai",
}
_HEAD = "LinearTransformation."
_BODY = "transformer."


class MClipText(nn.Module):
    """A transformer, a mean over the states that are not padding, and a linear layer."""

    def __init__(self, transformer: nn.Module, linear: nn.Linear) -> None:
        super().__init__()
        self.transformer, self.linear = transformer, linear

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        """Give raw features [n_texts, dim]."""
        states = self.transformer(input_ids=input_ids, attention_mask=attention_mask)[0]
        weights = attention_mask.to(states.dtype).unsqueeze(-1)
        return self.linear((states * weights).sum(dim=1) / weights.sum(dim=1))


class MClipEncoder(PairedEncoder):
    """An M-CLIP text tower with its image tower out of open_clip."""

    source = "m-clip"
    reference_normalises_texts = False

    def __init__(self, name: str, text: MClipText, tokenizer: Any, images: Any, *, device: str) -> None:
        super().__init__(images, device=device)
        self.model = f"m-clip:{name}"
        self.text_fingerprint = fingerprint_of("m-clip text", text, describe_tokenizer(tokenizer))
        self.parameters = images.parameters + sum(p.numel() for p in text.parameters())
        self.dim = text.linear.out_features
        self.text_model = text.eval().requires_grad_(False).to(device=device, dtype=self._dtype)
        self.pad_id = int(tokenizer.pad_token_id)
        self._tokenizer = tokenizer
        self._longest = context_length(text.transformer.config, tokenizer)
        settings = (structure_of(text), self._longest)
        self.fingerprint = fingerprint_of(self.image_fingerprint, self.text_fingerprint, *settings)
        if images.dim != self.dim:
            raise ValueError(f"{self.model}: texts are {self.dim} wide, photos of {images.model} {images.dim}")

    def tokenize(self, texts: Sequence[str], language: str) -> list[list[int]]:
        """Give the tokenizer's ids, special tokens included."""
        return token_ids(self._tokenizer, texts, self._longest)


def load(name: str, *, device: str, dtype: str) -> MClipEncoder:
    """Load an M-CLIP text tower and its image tower.

    Args:
      name: `M-CLIP/NAME`, `M-CLIP/NAME@REVISION` or a folder; `+images:open_clip:…` names another image tower.
      device: as torch names it.
      dtype: `fp32`, `bf16` or `fp16`.

    Raises:
      ImportError: see `read_tokenizer`.
      ValueError: a file is missing, or the linear layer is not in the weights. The oldest towers (M-BERT, Swedish) were
        published with that layer as a pickle, which is not read; as `head.safetensors` (`weight`, `bias`) beside
        the weights it is.
    """
    text_name, image_model = split_images(name, IMAGE_TOWERS, "m-clip")
    source, revision = split_revision(text_name)
    try:
        text = _read_text(source, revision)
        tokenizer = read_tokenizer(source, revision)
    except OSError as error:
        raise ValueError(f"m-clip could not load {text_name!r}: {error}") from error
    images = load_open_clip(image_model.removeprefix("open_clip:"), device=device, dtype=dtype)
    return MClipEncoder(name, text, tokenizer, images, device=device)


def _read_text(source: str, revision: str | None) -> MClipText:
    from transformers import AutoConfig, AutoModel, PretrainedConfig

    settings, _ = PretrainedConfig.get_config_dict(source, revision=revision)
    base = settings.get("modelBase")
    config = AutoConfig.from_pretrained(base or source, revision=None if base else revision, trust_remote_code=False)
    transformer = AutoModel.from_config(config)
    state = read_weights(source, revision)
    head = {key.removeprefix(_HEAD): value for key, value in state.items() if key.startswith(_HEAD)}
    head = head or _separate_head(source, revision)
    body = {key.removeprefix(_BODY): value for key, value in state.items() if not key.startswith(_HEAD)}
    linear = nn.Linear(head["weight"].shape[1], head["weight"].shape[0])
    linear.load_state_dict(head)
    _load_body(transformer, body, source)
    return MClipText(transformer, linear)


def _load_body(transformer: nn.Module, state: dict[str, torch.Tensor], source: str) -> None:
    """Load weights; only position ids (a constant, once saved) and the unused pooler may be left over or missing."""
    state = {key.removeprefix("bert."): value for key, value in state.items()}
    missing, unexpected = transformer.load_state_dict(state, strict=False)
    wrong = [key for key in missing if "pooler" not in key]
    wrong += [key for key in unexpected if not any(part in key for part in ("position_ids", "pooler", "cls."))]
    if wrong:
        raise ValueError(f"{source}: the weights do not fit the transformer: {', '.join(wrong[:5])}")


def _separate_head(source: str, revision: str | None) -> dict[str, torch.Tensor]:
    from safetensors.torch import load_file

    path = _file(source, "head.safetensors", revision)
    if path is None:
        raise ValueError(
            f"{source}: no linear layer in the weights, and no head.safetensors beside them; this tower was published "
            "with it as a pickle. docs/paper.md says how to turn that into head.safetensors once."
        )
    return load_file(path)


def read_weights(source: str, revision: str | None) -> dict[str, torch.Tensor]:
    """Read `model.safetensors`, else `pytorch_model.bin` with `weights_only`, of a repository or a folder.

    Raises:
      ValueError: there is neither.
    """
    from safetensors.torch import load_file

    if (path := _file(source, "model.safetensors", revision)) is not None:
        return load_file(path)
    if (path := _file(source, "pytorch_model.bin", revision)) is not None:
        return torch.load(path, map_location="cpu", weights_only=True)
    raise ValueError(f"{source}: neither model.safetensors nor pytorch_model.bin is there")


def _file(source: str, name: str, revision: str | None) -> Path | None:
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError

    if Path(source).is_dir():
        return path if (path := Path(source) / name).is_file() else None
    try:
        return Path(hf_hub_download(source, name, revision=revision))
    except EntryNotFoundError:
        return None
