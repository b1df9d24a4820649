"""What determines the features that a model gives, as hex digits: weights, structure, settings and tokenizers."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

# Of a module: where its files lie, and the mode it happens to be in.
_PASSING = frozenset({"name_or_path", "training", "gradient_checkpointing", "grad_checkpointing"})


def fingerprint_of(*parts: object) -> str:
    """Give 64 hex digits over modules (names, shapes, bytes of their weights), tensors and plain values, in order."""
    import torch

    digest = hashlib.sha256()
    for part in parts:
        if not isinstance(part, (torch.nn.Module, torch.Tensor)):
            digest.update(f"{part!r};".encode())
            continue
        tensors = part.state_dict() if isinstance(part, torch.nn.Module) else {"": part}
        for name, tensor in tensors.items():
            digest.update(f"{name}:{tuple(tensor.shape)}:{tensor.dtype};".encode())
            raw: Any = tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy()
            digest.update(raw)
    return digest.hexdigest()


def structure_of(module: torch.nn.Module) -> str:
    """Give a string that differs where equal weights compute something else: the kind of each part and its settings.

    Number of heads, activation, pooling, causal mask, the constant of a norm: none of them is among the weights.
    """
    parts = []
    for name, part in module.named_modules():
        settings = {
            key: value
            for key, value in vars(part).items()
            if isinstance(value, (bool, int, float, str, tuple)) and not key.startswith("_") and key not in _PASSING
        }
        masks = [key for key, buffer in part.named_buffers(recurse=False) if buffer is not None]
        parts.append(f"{name}:{type(part).__name__}:{sorted(settings.items())}:{masks}")
    return ";".join(parts)


def describe_tokenizer(tokenizer: Any) -> str:
    """Give a string that differs wherever the tokenizer would: its class, its cut-off, and its vocabulary and rules."""
    inner = getattr(tokenizer, "tokenizer", tokenizer)
    backend = getattr(inner, "backend_tokenizer", None)
    vocabulary = backend.to_str() if backend is not None else sorted(getattr(inner, "encoder", {}).items())
    settings = [getattr(tokenizer, name, None) for name in ("context_length", "strip_sep_token", "padding_side")]
    clean = getattr(getattr(tokenizer, "clean_fn", None), "__name__", None)
    return f"{type(tokenizer).__name__};{settings};{clean};{fingerprint_of(vocabulary)}"
