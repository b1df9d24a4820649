"""Language adapters: `MODEL+peft:PATH_OR_REPO` is the model with an adapter of PEFT on its text tower.

An adapter folder holds PEFT's own files and `babel_adapter.json`, the record of what it was trained on. An adapter is
only put onto the base it was trained on; photos never see it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from babel_eval.encoders.base import Encoder, TorchEncoder
from babel_eval.encoders.fingerprints import fingerprint_of
from babel_imagenet_dataset.files import read_json, write_json

SUFFIX = "+peft:"
RECORD = "babel_adapter.json"
_CONFIG = "adapter_config.json"
# Of an adapter's settings: where it comes from, which changes no feature.
_PASSING = frozenset(
    {"base_model_name_or_path", "revision", "inference_mode", "auto_mapping", "task_type", "peft_version"}
)


def adapter_record(encoder: Any, languages: Sequence[str], **more: Any) -> dict[str, Any]:
    """Give the record of an adapter trained on an encoder's text tower.

    Args:
      encoder: the base, before or after the adapter was put on.
      languages: BabelNet's codes of the languages it was trained for.
      more: what else shall stand there (objective, data, versions).
    """
    base, _, _ = str(encoder.model).partition(SUFFIX)
    return {"base_model": base, "base_fingerprint": base_fingerprint(encoder), "languages": list(languages), **more}


def write_record(folder: Path | str, record: Mapping[str, Any]) -> None:
    """Write an adapter's record beside PEFT's files."""
    write_json(Path(folder) / RECORD, dict(record))


def base_fingerprint(encoder: Any) -> str:
    """Give what identifies the text tower that an adapter fits: its weights and tokenizer, whatever the dtype."""
    return str(getattr(encoder, "text_fingerprint", encoder.fingerprint))


def put_on(encoder: Encoder, adapter: str) -> Encoder:
    """Put an adapter onto an encoder's text tower and give the encoder back; its photo features stay as they are.

    Args:
      encoder: a base with a `text_model`.
      adapter: a folder, or a repository on the Hub (`ORG/NAME`, `ORG/NAME@REVISION`).

    Raises:
      ValueError: there is no record or no adapter, it was trained on another base (both are named), the encoder has no
        text tower to put it on, or its kind is not known to PEFT here.
    """
    if not isinstance(encoder, TorchEncoder) or not hasattr(encoder, "text_model"):
        raise ValueError(f"{encoder.model} has no text tower that an adapter could be put on")
    folder = adapter_folder(adapter)
    record = checked_record(folder, adapter)
    _check_base(encoder, record, adapter)
    encoder.text_model = _wrapped(encoder, folder, adapter)
    identify(encoder, adapter, record)
    return encoder


def identify(encoder: Any, adapter: str, record: Mapping[str, Any]) -> None:
    """Let an encoder be known by the adapter that is on its text tower: name, parameters, fingerprint, record."""
    from peft import get_peft_model_state_dict

    # Our adapters train no embeddings; asked to find out, peft would look for the base on the Hub.
    weights = get_peft_model_state_dict(encoder.text_model, save_embedding_layers=False)
    encoder.parameters += sum(value.numel() for value in weights.values())
    config = encoder.text_model.peft_config["default"].to_dict()
    settings = [(k, sorted(v) if isinstance(v, set) else v) for k, v in sorted(config.items()) if k not in _PASSING]
    encoder.fingerprint = fingerprint_of(
        encoder.fingerprint, settings, sorted(weights), *map(weights.get, sorted(weights))
    )
    encoder.model += f"{SUFFIX}{adapter}"
    encoder.adapter = record


def adapter_folder(adapter: str) -> Path:
    """Give the folder that holds an adapter, after fetching it from the Hub where it is no folder here.

    Raises:
      ValueError: it is neither a folder nor a repository that can be fetched.
    """
    if Path(adapter).is_dir():
        return Path(adapter)
    from huggingface_hub import snapshot_download

    name, _, revision = adapter.partition("@")
    try:
        return Path(snapshot_download(name, revision=revision or None, allow_patterns=["*.json", "*.safetensors"]))
    except (OSError, ValueError) as error:
        raise ValueError(f"adapter {adapter!r} is no folder here, and the Hub did not give it: {error}") from error


def checked_record(folder: Path, adapter: str) -> dict[str, Any]:
    """Read an adapter's record.

    Raises:
      ValueError: a file is missing (each missing one is named), or the record lacks what it must say.
    """
    needed = (RECORD, _CONFIG, "adapter_model.safetensors")
    missing = [name for name in needed if not (folder / name).is_file()]
    if missing:
        raise ValueError(
            f"adapter {adapter!r} lacks {', '.join(missing)}; trainer/train_adapter.py writes such a folder"
        )
    record = read_json(folder / RECORD)
    absent = [key for key in ("base_model", "base_fingerprint", "languages") if not record.get(key)]
    if absent:
        raise ValueError(f"{folder / RECORD} does not say {', '.join(absent)}")
    return record


def _check_base(encoder: Any, record: Mapping[str, Any], adapter: str) -> None:
    here = base_fingerprint(encoder)
    if record["base_fingerprint"] != here:
        raise ValueError(
            f"adapter {adapter!r} was trained on {record['base_model']} ({record['base_fingerprint'][:12]}…), "
            f"not on {encoder.model} ({here[:12]}…); use {record['base_model']}{SUFFIX}{adapter}"
        )


def _wrapped(encoder: Any, folder: Path, adapter: str) -> Any:
    """Give the text tower with the adapter on."""
    from peft import PeftModel, PeftType

    kind = read_json(folder / _CONFIG).get("peft_type")
    if kind not in {member.value for member in PeftType}:
        raise ValueError(f"adapter {adapter!r} is of kind {kind!r}, unknown to peft here; import babel_adapters first")
    dtype = next(parameter.dtype for parameter in encoder.text_model.parameters() if parameter.is_floating_point())
    try:
        model = PeftModel.from_pretrained(encoder.text_model, str(folder), autocast_adapter_dtype=False)
    except (RuntimeError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"adapter {adapter!r} does not fit the text tower of {encoder.model}: {error}") from error
    return model.eval().requires_grad_(False).to(device=encoder.device, dtype=dtype)
