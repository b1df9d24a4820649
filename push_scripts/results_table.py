"""Result files as rows of one table: what stands nested in JSON is flattened into named columns of fixed types. Pure.

    "accuracy": 0.4, "accuracy_interval": [0.3, 0.5]         →  accuracy, accuracy_low, accuracy_high
    "k_way": {"10": {"value": 0.7, "interval": [0.6, 0.8]}}  →  k_way_10, k_way_10_low, k_way_10_high

Every file of the published table has the same columns, so that `load_dataset` reads them as one. A figure that has no
column here stands as JSON in the column `other`: nothing is lost, and a newer writer's files stay readable.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from babel_imagenet_dataset.files import read_json
from babel_imagenet_dataset.release import PUBLISHED
from babel_push.public import without_places

if TYPE_CHECKING:
    import pyarrow as pa

ZERO_SHOT, RETRIEVAL = "zero_shot", "retrieval"
_RECALL = re.compile(r"(t2i|i2t)_r@\d+")
_WITH_INTERVAL = ("accuracy", "top5", "centred", "accuracy_merged", "english_same_classes", "gap")
_K_WAY = ("k_way_10", "k_way_50", "k_way_100")
_RECALLS = tuple(f"{way}_r@{k}" for way in ("t2i", "i2t") for k in (1, 5, 10))
_META = {
    "run": ("string", "name of the run; its file as it was made is `runs/CONFIG/RUN.json`"),
    "model": ("string", "model under test"),
    "source": ("string", "where the model comes from (`openclip`, `m-clip`, …)"),
    "parameters": ("int64", "number of its parameters"),
    "fingerprint": ("string", "what determines its features, as a hash"),
    "images": ("string", "photo set, or set of captioned photos"),
    "labels_sha256": ("string", "sha256 of the label file"),
}


def _bounds(name: str) -> dict[str, tuple[str, str]]:
    return {f"{name}_low": ("double", "lower end of its interval"), f"{name}_high": ("double", "upper end")}


def _measures(names: Iterable[str], what: str) -> dict[str, tuple[str, str]]:
    return {k: v for name in names for k, v in {name: ("double", what), **_bounds(name)}.items()}


COLUMNS: dict[str, dict[str, tuple[str, str]]] = {
    ZERO_SHOT: {
        **_META,
        "lang": ("string", "BabelNet's code of the language, upper case"),
        "prompt": ("string", "prompt set: `label`, `openai_en` or `nllb_dist13b_prompts`"),
        "status": ("string", "`ok`, or why there is no number: `no_photos`, `failed: …`"),
        "num_classes": ("int32", "classes of the language"),
        "group": ("string", "resource group"),
        "n_images": ("int64", "photos"),
        **_measures(_WITH_INTERVAL, "fraction 0–1 (a gap −1–1)"),
        "chance": ("double", "1 / classes"),
        "ceiling": ("double", "distinct labels / classes"),
        "n_duplicate_labels": ("int32", "labels that stand on an earlier class already"),
        **_measures(_K_WAY, "accuracy among K classes, fraction 0–1"),
        "other": ("string", "figures without a column of their own, as JSON"),
    },
    RETRIEVAL: {
        **_META,
        "lang": ("string", "language as the set calls it"),
        "status": ("string", "`ok`, or why there is no number"),
        "n_images": ("int64", "photos"),
        "n_texts": ("int64", "captions"),
        **_measures(_RECALLS, "recall at k, fraction 0–1"),
        "mean_recall": ("double", "mean of the six recalls"),
        "other": ("string", "figures without a column of their own, as JSON"),
    },
}


@dataclass(frozen=True)
class Run:
    """A result file of one model: `meta`, rows with a number, and failures without one; `config` is its table."""

    config: str
    meta: Mapping[str, Any]
    rows: tuple[Mapping[str, Any], ...]
    failures: tuple[Mapping[str, Any], ...] = ()

    @property
    def name(self) -> str:
        """Name in the repository: the model's, and eight digits that tell its settings from others.

        Runs of the same name are joined row by row, so all that determines a number is in it; which languages and
        prompt sets were asked for is not.
        """
        known = [_value(self.meta, key) for key in _META if key != "run"]
        identity = json.dumps([self.config, *known, _settings(self.meta)], sort_keys=True)
        slug = re.sub(r"[^A-Za-z0-9.]+", "-", str(self.meta["model"])).strip("-.").lower()[:80]
        return f"{slug}-{hashlib.sha256(identity.encode()).hexdigest()[:8]}"

    @property
    def json(self) -> bytes:
        """The run as a result file; the same run gives the same bytes."""
        content = {"meta": self.meta, "results": self.rows, "failures": self.failures}
        return (json.dumps(content, ensure_ascii=False, indent=1, allow_nan=False) + "\n").encode("utf-8")


def read_run(path: Path | str) -> Run:
    """Read a result file of ours or of the reference runner, zero-shot or retrieval.

    Paths of the machine that made it are cut to their last part; the list of photos that could not be read is left
    out, its length stays.

    Raises:
      FileNotFoundError: there is no such file.
      ValueError: it is no result file, holds no row, repeats a language and prompt set, or has a fraction outside
        0..1; the message names the file and the row.
    """
    path = Path(path)
    content = read_json(path)
    meta = content.get("meta") if isinstance(content, dict) else None
    rows = content.get("results") if isinstance(content, dict) else None
    if not isinstance(meta, dict) or "model" not in meta or not isinstance(rows, list):
        raise ValueError(f"{path}: no result file; it must hold `meta` with a `model`, and `results`")
    failures = content.get("failures") or []
    if not rows + failures:
        raise ValueError(f"{path}: holds no result")
    is_retrieval = any(_RECALL.fullmatch(key) for row in rows for key in row)
    config = RETRIEVAL if is_retrieval else ZERO_SHOT
    _check(path, config, rows)
    public = without_places(meta, drop=("missing", "command"))
    if is_retrieval and not _value(public, "images"):
        public["dataset"] = {"name": path.absolute().parent.name}  # as the reference lays out its files
    return Run(config, public, tuple(rows), tuple(failures))


def merge(old: Run, new: Run, *, overwrite: bool = False) -> Run:
    """Add the rows of a run to those of an earlier one with the same name.

    Args:
      old: what is published.
      new: what is added; its `meta` counts.
      overwrite: where both have a number for a language and prompt set and they differ, take the new one.
    Returns:
      All rows, those of `old` first.
    Raises:
      ValueError: both have a number for a language and prompt set, they differ, and `overwrite` is not asked for.
    """
    known = {_key(row): row for row in old.rows}
    for row in new.rows:
        there = known.get(_key(row))
        if there is not None and _scores(there) != _scores(row) and not overwrite:
            raise ValueError(
                f"{new.name} is published with another number for {' '.join(filter(None, _key(row)))}"
                f" ({_scores(there)} there, {_scores(row)} here); --overwrite replaces it"
            )
        known[_key(row)] = row if there is None or overwrite else there
    failures = {_key(f): f for f in (*old.failures, *new.failures) if _key(f) not in known}
    meta = new.meta if overwrite or len(known) > len(old.rows) or len(failures) != len(old.failures) else old.meta
    return replace(new, meta=meta, rows=tuple(known.values()), failures=tuple(failures.values()))


def table(run: Run) -> pa.Table:
    """Give the rows of a run under the columns of its table, sorted by language and prompt set; failures are rows."""
    import pyarrow as pa

    names = {"double": pa.float64(), "int64": pa.int64(), "int32": pa.int32(), "string": pa.string()}
    schema = pa.schema([(name, names[kind]) for name, (kind, _) in COLUMNS[run.config].items()])
    meta = {key: _value(run.meta, key) for key in _META} | {"run": run.name}
    rows = [flat(row, run.config) for row in sorted((*run.rows, *run.failures), key=_key)]
    return pa.Table.from_pylist([{**meta, **row} for row in rows], schema=schema)


def parquet(run: Run) -> bytes:
    """Give the table of a run as a Parquet file."""
    import pyarrow.parquet as pq

    buffer = io.BytesIO()
    pq.write_table(table(run), buffer, compression="zstd")
    return buffer.getvalue()


def flat(row: Mapping[str, Any], config: str) -> dict[str, Any]:
    """Flatten one row; what has no column goes into `other`."""
    found: dict[str, Any] = {}
    for key, value in row.items():
        if key == "k_way" and isinstance(value, Mapping):
            for k, figure in value.items():
                found[f"k_way_{k}"] = figure["value"]
                found |= _ends(f"k_way_{k}", figure.get("interval"))
        elif key.endswith("_interval"):
            found |= _ends(key.removesuffix("_interval"), value)
        else:
            found[key] = value
    columns = COLUMNS[config]
    known = {key: value for key, value in found.items() if key in columns and key != "other"}
    other = {key: value for key, value in found.items() if key not in columns and key != "n_classes"}
    known["status"] = found.get("status", "ok")
    known["other"] = json.dumps(other, ensure_ascii=False, sort_keys=True) if other else None
    return known


def _ends(name: str, interval: Sequence[float] | None) -> dict[str, float]:
    return {} if interval is None else {f"{name}_low": interval[0], f"{name}_high": interval[1]}


def _key(row: Mapping[str, Any]) -> tuple[str, str]:
    return str(row["lang"]), str(row.get("prompt", ""))


def _scores(row: Mapping[str, Any]) -> dict[str, float]:
    return {key: value for key, value in row.items() if key == "accuracy" or _RECALL.fullmatch(key)}


def _check(path: Path, config: str, rows: Sequence[Mapping[str, Any]]) -> None:
    seen: set[tuple[str, str]] = set()
    needed = {"lang", "prompt", "num_classes", "accuracy"} if config == ZERO_SHOT else {"lang"}
    for number, row in enumerate(rows):
        if missing := sorted(needed - set(row)):
            raise ValueError(f"{path}: row {number} lacks {', '.join(missing)}")
        for name, value in _scores(row).items():
            if not isinstance(value, (int, float)) or not 0 <= value <= 1:
                raise ValueError(f"{path}: row {number} ({row['lang']}): {name} {value!r} is no fraction 0..1")
        if _key(row) in seen:
            raise ValueError(f"{path}: row {number} repeats {' '.join(_key(row))}")
        seen.add(_key(row))


def _settings(meta: Mapping[str, Any]) -> dict[str, Any]:
    """Give what determines the numbers and has no column; None where a file does not say, as the reference's do not.

    The published templates count as none: a run of bare labels is joined by one that has translated prompts too.
    """
    source, templates = _photos(meta), meta.get("templates") or {}
    photos = [source.get("fingerprint"), source.get("n_images")] if isinstance(source, Mapping) else None
    made_with = [templates.get("sha256"), templates.get("mode")]
    usual = ([None, None], [PUBLISHED["prompts"].sha256, "released"])
    settings = {key: meta.get(key) for key in ("dtype", "mode", "language_token")}
    return {**settings, "photos": photos, "templates": None if made_with in usual else made_with}


def _photos(meta: Mapping[str, Any]) -> Any:
    return meta.get("images") or meta.get("dataset")


def _value(meta: Mapping[str, Any], key: str) -> Any:
    """Give what `meta` says for a column; the reference's files hold model, source and parameters only."""
    if key == "images":
        source = _photos(meta)
        return source.get("name") if isinstance(source, Mapping) else source
    if key == "labels_sha256":
        labels = meta.get("labels")
        return labels.get("sha256") if isinstance(labels, Mapping) else None
    return meta.get(key)
