"""Settings from the command line and from YAML, out of one dataclass: flag > YAML > default; unknown keys are errors.

A field's help text, group and default are its flag's; nothing is written twice.
"""

from __future__ import annotations

import argparse
import difflib
import types
import typing
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, Field, field, fields
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")


def option(default: Any, text: str, group: str) -> Any:
    """Give a dataclass field with a help text, under a heading of `--help`."""
    return field(default=default, metadata={"help": text, "group": group})


def parse(
    config_class: type[T],
    arguments: Sequence[str] | None = None,
    *,
    description: str = "",
    epilog: str = "",
    presets: Mapping[str, Mapping[str, Any]] | None = None,
    aliases: Mapping[str, Sequence[str]] | None = None,
) -> T:
    """Build a settings dataclass from flags, a YAML file (`--config`) and a preset (`--preset`).

    Args:
      config_class: a dataclass whose fields carry `help` and `group` in their metadata.
      arguments: the command line; None takes the process's own.
      description: what stands above the flags in `--help`.
      epilog: what stands below them.
      presets: named sets of values; they count like the lines of a YAML file, and the YAML file goes before them.
      aliases: other flags of a field.

    Raises:
      ValueError: a key or preset is unknown, or a value is of the wrong type; also what the dataclass itself refuses.
      SystemExit: `--help`, or an unknown flag.
    """
    parser = _parser(config_class, description, epilog, presets or {}, aliases or {})
    given = vars(parser.parse_args(arguments))
    preset, file = given.pop("preset", None), given.pop("config", None)
    values = dict((presets or {})[preset]) if preset else {}
    if file:
        values |= read_yaml(Path(file), config_class)
    return config_class(**(values | given))


def read_yaml(path: Path, config_class: type) -> dict[str, Any]:
    """Read settings from a YAML file of `key: value` lines; keys are field names, with `-` or `_`.

    Raises:
      FileNotFoundError: there is no such file.
      ValueError: it is no mapping, a key is unknown (the nearest is proposed), or a value has the wrong type.
    """
    import yaml

    if not path.is_file():
        raise FileNotFoundError(f"--config {path}: no such file")
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except yaml.YAMLError as error:
        raise ValueError(f"{path}: no valid YAML: {error}") from error
    if not isinstance(raw, dict):
        raise ValueError(f"{path}: lines of `key: value` are needed, got {type(raw).__name__}")
    hints = typing.get_type_hints(config_class)
    known = {f.name: f for f in fields(config_class)}
    values = {}
    for key, value in raw.items():
        name = str(key).replace("-", "_")
        if name not in known:
            near = difflib.get_close_matches(name, known, 1)
            hint = f"; did you mean {near[0]!r}?" if near else f"; allowed: {', '.join(known)}"
            raise ValueError(f"{path}: unknown key {key!r}{hint}")
        values[name] = _checked(path, name, value, hints[name])
    return values


def _checked(path: Path, name: str, value: Any, type_hint: Any) -> Any:
    kind = _kind(type_hint)
    if value is None and type(None) in typing.get_args(type_hint):
        return None
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if kind is float and isinstance(value, str):  # YAML 1.1 reads 1e-3 as text
        try:
            return float(value)
        except ValueError as error:
            raise ValueError(f"{path}: {name} must be a number, got {value!r}") from error
    if not isinstance(value, kind) or (kind is not bool and isinstance(value, bool)):
        hint = "; YAML reads `no`, `yes`, `on` and `off` so: put quotes around it" if isinstance(value, bool) else ""
        raise ValueError(f"{path}: {name} must be {kind.__name__}, got {value!r}{hint}")
    return value


def _parser(
    config_class: type,
    description: str,
    epilog: str,
    presets: Mapping[str, Any],
    aliases: Mapping[str, Sequence[str]],
) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=description,
        epilog=epilog,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        argument_default=argparse.SUPPRESS,
        allow_abbrev=False,
    )
    parser.add_argument("--config", metavar="YAML", help="settings from a file; a flag goes before it")
    if presets:
        parser.add_argument("--preset", choices=list(presets), help="a named set of settings; see the file's head")
    groups: dict[str, Any] = {}
    hints = typing.get_type_hints(config_class)
    for one in fields(config_class):
        title = one.metadata.get("group", "settings")
        group = groups.setdefault(title, parser.add_argument_group(title)) if title not in groups else groups[title]
        _add_flag(group, one, hints[one.name], aliases.get(one.name, ()))
    return parser


def _add_flag(group: Any, one: Field[Any], hint: Any, aliases: Sequence[str]) -> None:
    flags = [f"--{one.name.replace('_', '-')}", *aliases]
    default = "" if one.default in (MISSING, None) else f" (default: {one.default})"
    text = (one.metadata.get("help", "") + default).replace("%", "%%")
    required = one.default is MISSING and one.default_factory is MISSING
    if _kind(hint) is bool:
        group.add_argument(*flags, action=argparse.BooleanOptionalAction, help=text)
    else:
        kind = _kind(hint)
        metavar = {int: "N", float: "X"}.get(kind, "TEXT")
        group.add_argument(*flags, type=kind, metavar=metavar, help=text, required=required)


def _kind(hint: Any) -> type:
    """Give the plain type behind a hint: `int` for `int | None`."""
    if isinstance(hint, types.UnionType) or typing.get_origin(hint) is typing.Union:
        return next(kind for kind in typing.get_args(hint) if kind is not type(None))
    return hint
