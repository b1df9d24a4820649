"""Models of open_clip: `open_clip:NAME@TAG`, `open_clip:hf-hub:ORG/NAME`, `open_clip:FOLDER`."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from pickle import UnpicklingError
from typing import TYPE_CHECKING, Any

from babel_eval.encoders.base import TorchEncoder, torch_dtype
from babel_eval.encoders.fingerprints import describe_tokenizer, fingerprint_of, structure_of
from babel_eval.encoders.nllb import LanguageTokens, marks_languages

if TYPE_CHECKING:
    import torch
    from PIL import Image

RANDOM = "random"


class OpenClipEncoder(TorchEncoder):
    """A dual encoder around any model that open_clip builds: CLIP, CustomTextCLIP or CoCa."""

    source = "openclip"

    def __init__(self, name: str, model: Any, tokenizer: Any, *, device: str, dtype: str) -> None:
        import torch
        from open_clip.transform import PreprocessCfg, image_transform_v2

        from babel_eval.encoders.open_clip_text import text_tower

        self.model, self.device = f"open_clip:{name}", device
        preprocessing = PreprocessCfg(**model.visual.preprocess_cfg)
        settings = (structure_of(model.visual), dtype, asdict(preprocessing))
        self.image_fingerprint = fingerprint_of("open_clip image", model.visual, *settings)
        self.text_model = text_tower(model)
        self.text_fingerprint = fingerprint_of("open_clip text", self.text_model, describe_tokenizer(tokenizer))
        self.fingerprint = fingerprint_of(self.image_fingerprint, self.text_fingerprint, structure_of(self.text_model))
        self.parameters = sum(p.numel() for p in model.parameters())
        self._dtype, self._clip, self._tokenizer = torch_dtype(dtype), model, tokenizer
        self._transform = image_transform_v2(preprocessing, is_train=False)
        inner = getattr(tokenizer, "tokenizer", None)
        self.language_tokens = LanguageTokens() if marks_languages(inner) else None
        self.uses_language = self.language_tokens is not None
        self._set_padding()
        model.eval().requires_grad_(False).to(device=device, dtype=self._dtype)
        self.text_model.to(device=device, dtype=self._dtype)
        with torch.inference_mode():
            self.dim = self.forward_texts(*self.collate(self.tokenize(["a"], "EN"))).shape[1]

    def _set_padding(self) -> None:
        inner = getattr(self._tokenizer, "tokenizer", None)
        self.pad_id = int(getattr(inner, "pad_token_id", None) or 0)
        exact = bool(self.text_model.exact_at_any_length)
        pool = getattr(self.text_model, "pool", None)
        if pool == "argmax" and self.pad_id != 0:
            exact = False  # padding could hold the highest id, and would then be what is pooled
        if pool == "eos" and self.pad_id == self.text_model.eos_id:
            exact = False  # where a text ends and padding begins cannot be told: the end would be cut off with it
        self.full_length = None if exact else int(self._tokenizer.context_length)

    def use_tokens(self, policy: str, *, reference: bool = False) -> None:
        """Choose what happens to languages without a token (NLLB towers only), or mark them as the reference does."""
        self.language_tokens = LanguageTokens(policy, reference=reference)
        if reference:
            self.fingerprint = fingerprint_of(self.fingerprint, "reference tokens")

    def token_use(self, labels: Sequence[str], language: str) -> str | None:
        """Say how the tokenizer saw a language (`native: deu_Latn`); None where it needs not know the language."""
        return None if self.language_tokens is None else str(self.language_tokens.use(labels, language))

    def preprocess(self, image: Image.Image) -> torch.Tensor:
        """Resize, crop and normalise as the model's own configuration says."""
        return self._transform(image)

    def forward_pixels(self, pixels: torch.Tensor) -> torch.Tensor:
        """Give raw features [n_images, dim] of a batch on the encoder's device and in its dtype."""
        return self._clip.encode_image(pixels, normalize=False)

    def tokenize(self, texts: Sequence[str], language: str) -> list[list[int]]:
        """Give open_clip's own ids, cut at the last that is not padding where the tower is exact at any length."""
        return self.tokenize_prompts(texts, language, texts)

    def tokenize_prompts(self, texts: Sequence[str], language: str, names: Sequence[str]) -> list[list[int]]:
        """Give the ids of prompts; a language token (NLLB) is that of the name within, not of the words around it."""
        if not texts:
            return []
        if self.language_tokens is not None:
            return marked_ids(self._tokenizer, texts, self.language_tokens.of(names, language))
        padded = self._tokenizer(list(texts)).numpy()
        if self.full_length is not None:
            return padded.tolist()
        ends = padded.shape[1] - (padded[:, ::-1] != self.pad_id).argmax(axis=1)
        return [row[:end].tolist() for row, end in zip(padded, ends, strict=True)]


def marked_ids(tokenizer: Any, texts: Sequence[str], tokens: Sequence[str]) -> list[list[int]]:
    """Give NLLB's ids of texts, each with its own language token, cut at the tokenizer's context length.

    NLLB's tokenizer keeps the last language it was set to, or falls back to English at the next call (what open_clip's
    `set_language` meets with transformers 5); nothing is set here, so no text gets another's token. The token stands
    before the text, or after its end in the tokenizer's old manner (`legacy_behaviour`).
    """
    inner = tokenizer.tokenizer
    plain = inner([tokenizer.clean_fn(text) for text in texts], add_special_tokens=False)["input_ids"]
    marks = inner.convert_tokens_to_ids(list(tokens))
    pairs = zip(tokens, marks, strict=True)
    unknown = {token for token, mark in pairs if mark == inner.unk_token_id and token != inner.unk_token}
    if unknown:
        raise ValueError(f"the tokenizer has no language token {', '.join(sorted(unknown))}")
    end, room = inner.eos_token_id, tokenizer.context_length - 2
    if getattr(inner, "legacy_behaviour", False):
        return [[*ids[:room], end, mark] for ids, mark in zip(plain, marks, strict=True)]
    return [[mark, *ids[:room], end] for ids, mark in zip(plain, marks, strict=True)]


def load(name: str, *, device: str, dtype: str) -> OpenClipEncoder:
    """Load a model that open_clip knows, finds on the Hub or reads from a folder.

    Args:
      name: `NAME@TAG` (the pairs of `open_clip.list_pretrained()`), `hf-hub:ORG/NAME`, a folder that holds
        `open_clip_config.json` and weights, or `NAME@random`: the architecture with weights drawn from seed 0, for
        benchmarks (`random_weights` is then true).
      device: as torch names it.
      dtype: `fp32`, `bf16` or `fp16`; weights are held and products computed in it.

    Weights are safetensors, or read with `weights_only=True`; nothing of a model is run as code.

    Raises:
      ValueError: an unknown name or tag (the message proposes the nearest), no weights, or weights that only a pickle
        could read.
    """
    import open_clip

    reference, arguments = _resolve(name)
    try:
        if arguments.pop("random", False):
            model = _random_model(reference)
        else:
            model = open_clip.create_model(reference, require_pretrained=True, **arguments)
        tokenizer = open_clip.get_tokenizer(reference)
    except (RuntimeError, OSError, UnpicklingError) as error:
        raise ValueError(f"open_clip could not load {name!r}: {error}") from error
    encoder = OpenClipEncoder(name, model, tokenizer, device=device, dtype=dtype)
    encoder.random_weights = name.endswith(f"@{RANDOM}")
    return encoder


def _resolve(name: str) -> tuple[str, dict[str, Any]]:
    """Turn the user's name into what `create_model` takes: a reference and keyword arguments."""
    if not name:
        raise ValueError("open_clip needs a model: open_clip:NAME@TAG, open_clip:hf-hub:ORG/NAME or open_clip:FOLDER")
    if name.startswith("hf-hub:"):
        return name, {}
    if Path(name).is_dir():
        return _checked_folder(Path(name)), {}
    architecture, at, tag = name.partition("@")
    return _checked_pair(architecture, tag if at else "")


def _checked_folder(folder: Path) -> str:
    if not (folder / "open_clip_config.json").is_file():
        raise ValueError(f"{folder}: no open_clip_config.json; `open_clip.push_to_hf_hub` writes such a folder")
    if not any(any(folder.glob(pattern)) for pattern in ("*.safetensors", "*.bin", "*.pth")):
        raise ValueError(f"{folder}: no weights (open_clip_model.safetensors) beside open_clip_config.json")
    return f"local-dir:{folder}"


def _checked_pair(architecture: str, tag: str) -> tuple[str, dict[str, Any]]:
    import open_clip
    from open_clip.pretrained import get_pretrained_cfg

    if architecture not in open_clip.list_models():
        near = difflib.get_close_matches(architecture, open_clip.list_models(), n=5, cutoff=0.4)
        hint = f"; nearest: {', '.join(near)}" if near else ""
        raise ValueError(
            f"{architecture!r} is neither a folder nor a model of open_clip{hint}. See: babel-imagenet models"
        )
    if tag == RANDOM:
        return architecture, {"random": True}
    config = get_pretrained_cfg(architecture, tag) if tag else {}
    if not config:
        tags = [*open_clip.list_pretrained_tags_by_model(architecture), RANDOM]
        raise ValueError(
            f"open_clip:{architecture} has no weights {tag!r}; "
            f"write {architecture}@TAG with TAG one of: {', '.join(tags)}"
        )
    return architecture, {"pretrained": tag, "force_quick_gelu": bool(config.get("quick_gelu"))}


def _random_model(architecture: str) -> torch.nn.Module:
    import open_clip
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return open_clip.create_model(architecture, pretrained=None, pretrained_hf=False)
