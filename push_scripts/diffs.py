"""What changes inside a file: lines of text, rows of a table. Pure; no network."""

from __future__ import annotations

import difflib
import io
import json
from collections.abc import Iterator
from itertools import islice

TEXT = (".md", ".txt", ".py", ".json", ".yaml", ".yml", ".toml")
TABLES = (".parquet",)


def can_diff(path: str) -> bool:
    """Say whether a file's kind has lines or rows to compare."""
    return path.endswith((*TEXT, *TABLES))


def diff(path: str, before: bytes, after: bytes, longest: int = 20) -> list[str]:
    """Give the lines that go (`-`) and come (`+`), each with what it was; rows of a table are lines of JSON.

    Args:
      path: says by its ending what the content is.
      before: content that is there.
      after: content that would be.
      longest: lines at most; how many more there are stands in a last one.

    Raises:
      ValueError: the kind of file has no lines.
    """
    if not can_diff(path):
        raise ValueError(f"{path}: only {', '.join((*TEXT, *TABLES))} have lines to compare")
    pairs = difflib.unified_diff(_lines(path, before), _lines(path, after), lineterm="", n=0)
    changed = [line for line in islice(pairs, 2, None) if line[:1] in "+-"]  # the first two name the files
    more = [f"… {len(changed) - longest:,} more lines"] if len(changed) > longest else []
    return changed[:longest] + more


def _lines(path: str, content: bytes) -> list[str]:
    return list(_rows(content)) if path.endswith(TABLES) else content.decode("utf-8", "replace").splitlines()


def _rows(content: bytes) -> Iterator[str]:
    import pyarrow.parquet as pq

    for row in pq.read_table(io.BytesIO(content)).to_pylist():
        yield json.dumps(row, ensure_ascii=False)
