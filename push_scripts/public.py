"""What of a record is nobody's business: places on the machine that made it."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Any

# A path from the root, the home, the current folder or a drive, at the beginning of a value or after `:`, `=`, `,` or
# a space; not a URL, in which `:` is followed by two slashes.
_PATH = re.compile(r"(^|[:=,\s])((?:/(?!/)|~/|\.{1,2}[/\\]|[A-Za-z]:[/\\](?!/))[^\s,]*)")


def without_places(value: Any, *, drop: Collection[str] = ()) -> Any:
    """Give a JSON value in which every path is cut to its last part.

    Args:
      value: any JSON value.
      drop: keys that are left out wherever they stand.
    """
    if isinstance(value, Mapping):
        return {key: without_places(each, drop=drop) for key, each in value.items() if key not in drop}
    if isinstance(value, (list, tuple)):
        return [without_places(each, drop=drop) for each in value]
    return _PATH.sub(_cut, value) if isinstance(value, str) else value


def _cut(found: re.Match[str]) -> str:
    return found[1] + re.split(r"[/\\]", found[2].rstrip("/\\"))[-1]
