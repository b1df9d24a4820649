"""Encoders: one module for each family of models, found by the first word of the model string."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module

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
}


def load_encoder(model: str, *, device: str | None = None, dtype: str = "fp32") -> Encoder:
    """Load the encoder that a model string names.

    Args:
      model: `FAMILY` or `FAMILY:NAME`; see `FAMILIES`.
      device: as torch names it; None takes CUDA, MPS or the CPU, whichever is there.
      dtype: `fp32`, `bf16` or `fp16`.

    Raises:
      ValueError: the family is unknown (the message lists the accepted forms), or its loader refuses the name.
      ImportError: the family needs a package that is not installed (the message has the pip line).
    """
    family, _, name = model.partition(":")
    if family not in FAMILIES:
        forms = "; ".join(f.form for f in FAMILIES.values())
        raise ValueError(f"model {model!r} is of no known family; accepted: {forms}. See: babel-imagenet models")
    return import_module(FAMILIES[family].module).load(name, device=choose_device(device), dtype=dtype)
