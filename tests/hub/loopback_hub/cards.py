"""The check that the Hub makes of a README's front matter before it takes it."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import yaml

# Ids of licences that the Hub knows; not all, but those a project of this kind would name.
_LICENCES = """
    apache-2.0 mit openrail bsd bsd-2-clause bsd-3-clause cc cc0-1.0 cc-by-2.0 cc-by-3.0 cc-by-4.0 cc-by-sa-3.0
    cc-by-sa-4.0 cc-by-nc-3.0 cc-by-nc-4.0 cc-by-nc-sa-3.0 cc-by-nc-sa-4.0 cc-by-nc-nd-4.0 cc-by-nd-4.0 gpl gpl-2.0
    gpl-3.0 lgpl lgpl-2.1 lgpl-3.0 agpl-3.0 mpl-2.0 isc unlicense wtfpl zlib odc-by odbl pddl unknown other
"""
LICENCES = frozenset(_LICENCES.split())
SDKS = ("gradio", "streamlit", "docker", "static")
_HUB_ID = re.compile(r"[\w.-]+(/[\w.-]+)?")
_FRONT = re.compile(r"\A(?:\ufeff)?---[ \t]*\r?\n(.*?)\r?\n---[ \t]*(?:\r?\n|\Z)", re.DOTALL)


def front_matter(text: str) -> dict[str, Any] | None:
    """Give the YAML at the head of a README; None where there is none or it is no mapping."""
    found = _FRONT.match(text)
    if not found:
        return None
    value = yaml.load(found.group(1), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    return value if isinstance(value, dict) else None


def complaints(text: str, repo_type: str) -> tuple[list[str], list[str]]:
    """Give errors, for which the Hub refuses a README, and warnings."""
    try:
        data = front_matter(text)
    except yaml.YAMLError as error:
        return [f"bad YAML: {' '.join(str(error).split())}"], []
    if data is None:
        return [], ["empty or missing yaml metadata in repo card"]
    errors = _common(data)
    if repo_type == "model":
        errors += _model(data)
    elif repo_type == "dataset":
        errors += _dataset(data)
    elif data.get("sdk") not in SDKS:
        errors.append(f'"sdk" must be one of [{", ".join(SDKS)}]')
    return errors, []


def _common(data: dict[str, Any]) -> list[str]:
    errors = [
        f'"license" must be one of the known ids, not {x!r}' for x in _listed(data, "license", LICENCES.__contains__)
    ]
    errors += [
        f'"language" must only contain ISO 639 codes, not {x!r}' for x in _listed(data, "language", _is_language)
    ]
    if data.get("license") == "other" and "license_name" in data and "license_link" not in data:
        errors.append('"license_link" is required with "license_name"')
    tags = data.get("tags", [])
    if not isinstance(tags, list) or not all(isinstance(tag, str) for tag in tags):
        errors.append('"tags" must be an array of strings')
    return errors


def _listed(data: dict[str, Any], key: str, is_sound: Callable[[Any], Any]) -> list[Any]:
    value = data.get(key, [])
    return [each for each in (value if isinstance(value, list) else [value]) if not is_sound(each)]


def _is_language(value: Any) -> bool:
    return isinstance(value, str) and bool(re.fullmatch(r"[a-z]{2,3}|code|multilingual", value))


def _is_hub_id(value: Any) -> bool:
    return isinstance(value, str) and bool(_HUB_ID.fullmatch(value))


def _model(data: dict[str, Any]) -> list[str]:
    errors = [
        f'"base_model" with value {x!r} is not valid. Use a model id from the Hub.'
        for x in _listed(data, "base_model", _is_hub_id)
    ]
    for index, model in enumerate(data.get("model-index", [])):
        if "name" not in model:
            errors.append(f'"model-index[{index}].name" is required')
        for number, result in enumerate(model.get("results", [])):
            where = f"model-index[{index}].results[{number}]"
            for part, keys in (("task", ("type",)), ("dataset", ("type", "name"))):
                errors += [f'"{where}.{part}.{k}" is required' for k in keys if not result.get(part, {}).get(k)]
            for metric in result.get("metrics") or [{}]:
                errors += [f'"{where}.metrics.{k}" is required' for k in ("type", "value") if k not in metric]
    return errors


def _dataset(data: dict[str, Any]) -> list[str]:
    errors = []
    seen = set()
    for config in data.get("configs", []):
        name = config.get("config_name")
        if not isinstance(name, str):
            errors.append(f'"configs.config_name" must be a string, not {name!r}')
        elif name in seen:
            errors.append(f'"configs" contains {name!r} twice')
        seen.add(name)
    return errors
