"""Encoders: one module for each family of models, found by the first word of the model string."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from babel_eval.encoders.base import Encoder, choose_device

__all__ = ["FAMILIES", "Encoder", "Family", "load_encoder"]


@dataclass(frozen=True)
class Family:
    """A family of models: how its strings look, and the module whose `load(name, *, device, dtype)` reads them."""

    form: str
    module: str
    about: str


FAMILIES = {
    "conse-e5": Family("conse-e5", "babel_eval.encoders.conse", "the embedded baseline; needs the extra [sample]"),
    "open_clip": Family(
        "open_clip:NAME@TAG, open_clip:hf-hub:ORG/NAME, open_clip:FOLDER",
        "babel_eval.encoders.open_clip_models",
        "any model of open_clip",
    ),
    "transformers": Family(
        "transformers:ORG/NAME, transformers:FOLDER",
        "babel_eval.encoders.transformers_models",
        "CLIP, SigLIP, SigLIP 2, AltCLIP, Chinese-CLIP, MetaCLIP 2, …",
    ),
    "sentence-transformers": Family(
        "sentence-transformers:NAME, sentence-transformers:TEXT+images:IMAGES",
        "babel_eval.encoders.sentence_models",
        "needs the extra [sentence-transformers]",
    ),
    "m-clip": Family(
        "m-clip:M-CLIP/NAME, m-clip:FOLDER+images:open_clip:NAME@TAG",
        "babel_eval.encoders.m_clip",
        "a multilingual text tower with its image tower out of open_clip",
    ),
    "features": Family("features:FOLDER", "babel_eval.encoders.stored", "features made elsewhere, in safetensors"),
}
PEFT = "+peft:"


def load_encoder(
    model: str,
    *,
    device: str | None = None,
    dtype: str = "fp32",
    language_token: str = "fallback",
    reference_mode: bool = False,
    compile_towers: bool = False,
) -> Encoder:
    """Load the encoder that a model string names.

    Args:
      model: `FAMILY` or `FAMILY:NAME`, see `FAMILIES`; `…+peft:PATH_OR_REPO` puts a language adapter on its text tower.
      device: as torch names it; None takes CUDA, MPS or the CPU, whichever is there.
      dtype: `fp32`, `bf16` or `fp16`.
      language_token: what towers that mark the language do where they have no token for it: `strict`, `skip` or
        `fallback` (see `nllb.LanguageTokens`).
      reference_mode: compute as the reference runner does (`TorchEncoder.imitate_reference`, and its language tokens).
      compile_towers: compile both towers with `torch.compile`.

    Raises:
      ValueError: the family is unknown (the message lists the accepted forms), or its loader refuses the name.
      ImportError: the family needs a package that is not installed (the message has the pip line).
    """
    base, has_adapter, adapter = model.partition(PEFT)
    family, _, name = base.partition(":")
    if family not in FAMILIES:
        forms = "; ".join(f.form for f in FAMILIES.values())
        raise ValueError(f"model {model!r} is of no known family; accepted: {forms}. See: babel-imagenet models")
    if has_adapter and not adapter:
        raise ValueError(f"model {model!r}: after {PEFT} comes a folder or a repository with an adapter")
    for path in (name, adapter):
        if path.startswith(("/", "./", "../", "~")) and not Path(path.partition("+")[0]).exists():
            raise ValueError(f"model {model!r}: there is no folder {path.partition('+')[0]}")
    encoder = import_module(FAMILIES[family].module).load(name, device=choose_device(device), dtype=dtype)
    if getattr(encoder, "language_tokens", None) is not None:
        encoder.use_tokens(language_token, reference=reference_mode)
    if has_adapter:
        from babel_eval.encoders.peft_adapters import put_on

        encoder = put_on(encoder, adapter)
    if reference_mode or compile_towers:
        _adjust(encoder, reference_mode=reference_mode, compile_towers=compile_towers)
    return encoder


def _adjust(encoder: Any, *, reference_mode: bool, compile_towers: bool) -> None:
    if not hasattr(encoder, "imitate_reference"):
        raise ValueError(f"{encoder.model} computes nothing here: there is no --reference-mode or --compile for it")
    if reference_mode:
        encoder.imitate_reference()
    if compile_towers:
        encoder.compile()
