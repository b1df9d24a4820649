"""Result files: one JSON a run, a superset of the reference's, and the decision for each photo in Parquet beside it.

`r.json` is `{"meta": {…}, "results": [row, …], "failures": [failure, …]}`. A row has at least `lang`, `prompt`,
`num_classes` and `accuracy` (a fraction); languages without a number stand among `failures` with a `status`. A row is
written as soon as it is known; while a run is under way its decisions lie as one Parquet part a row in the folder
`r.parts`, and `finish` puts them together as `r.predictions.parquet`.
"""

from __future__ import annotations

import glob
import math
import os
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from babel_imagenet_dataset.files import atomic_path, check_writable, read_json, write_json

if TYPE_CHECKING:
    from babel_eval.encoders.base import Encoder

# What may differ between a run and its resumption: time, not what is measured.
PASSING = frozenset({"started", "finished", "versions", "device", "processes", "precision"})


@dataclass(frozen=True)
class Predictions:
    """Decisions for the photos of one row; arrays of one length, in the order of the photo set.

    Attributes:
      photo: names of the photos, [n_images].
      class_index: int64 [n_images], the true class, 0..999.
      predicted: int64 [n_images], the class whose text is nearest, 0..999.
      rank: int64 [n_images], number of the language's classes that came before the true one; 0 is right.
    """

    photo: tuple[str, ...]
    class_index: np.ndarray
    predicted: np.ndarray
    rank: np.ndarray


@dataclass
class Results:
    """What a result file holds; `failures` is empty in files of the reference runner."""

    meta: dict[str, Any]
    rows: list[dict[str, Any]] = field(default_factory=list)
    failures: list[dict[str, Any]] = field(default_factory=list)
    path: Path | None = None

    def row(self, language: str, prompt: str) -> dict[str, Any] | None:
        """Give the row of a language and prompt set, or None."""
        return next((r for r in self.rows if (r["lang"], r["prompt"]) == (language, prompt)), None)


def read_results(path: Path | str) -> Results:
    """Read a zero-shot result file, ours or the reference runner's.

    Raises:
      FileNotFoundError: there is no such file.
      ValueError: it is no JSON, has no `meta` and `results`, or a row lacks a field, repeats a language and prompt
        set, or has an accuracy outside 0..1; the message names file and row.
    """
    path = Path(path)
    content = read_json(path)
    if not isinstance(content, dict) or not isinstance(content.get("meta"), dict) or "results" not in content:
        raise ValueError(f'{path}: no result file; it must be an object with "meta" and "results"')
    seen: set[tuple[str, str]] = set()
    for number, row in enumerate(content["results"]):
        missing = {"lang", "prompt", "num_classes", "accuracy"} - set(row)
        if missing:
            raise ValueError(f"{path}: row {number} lacks {', '.join(sorted(missing))}")
        if not isinstance(row["accuracy"], (int, float)) or not 0 <= row["accuracy"] <= 1:
            raise ValueError(f"{path}: row {number} ({row['lang']}): accuracy {row['accuracy']!r} is no fraction 0..1")
        if (key := (row["lang"], row["prompt"])) in seen:
            raise ValueError(f"{path}: row {number} repeats language {key[0]} with prompts {key[1]}")
        seen.add(key)
    return Results(content["meta"], content["results"], content.get("failures", []), path)


def predictions_path(path: Path | str) -> Path:
    """Give the place of the decisions that belong to a result file: `r.json` → `r.predictions.parquet`."""
    return Path(path).with_suffix(".predictions.parquet")


def check_target(path: Path | str, *, resume: bool, overwrite: bool) -> None:
    """Refuse to write where a result file is, unless asked to go on with it or to replace it, or where none can be.

    Raises:
      ValueError: it is a folder, or its name does not end in `.json` (decisions lie beside it under its name without
        the suffix).
      FileExistsError: there is one, and neither was asked for.
      NotADirectoryError: its folder is a file.
      OSError: nothing can be written there.
    """
    path = Path(path)
    if path.suffix != ".json":
        raise ValueError(f"--out {path} must end in .json, as in {path}.json")
    if path.is_dir():
        raise ValueError(f"--out {path} is a folder; give a file in it, as in {path / 'results.json'}")
    if path.exists() and not (resume or overwrite):
        raise FileExistsError(f"{path} exists; go on with it by --resume, or replace it by --overwrite")
    if path.parent.exists() and not path.parent.is_dir():
        raise NotADirectoryError(f"{path.parent} is a file; --out needs a folder to write {path.name} into")
    check_writable(path.parent)


def parts_path(path: Path | str) -> Path:
    """Give the folder of what a run needs until it is finished: `r.json` → `r.parts`."""
    return Path(path).with_suffix(".parts")


class ResultWriter:
    """Writes a run's results row by row; a kill at any moment loses at most the row under way."""

    def __init__(
        self,
        path: Path | str,
        meta: Mapping[str, Any],
        plan: Sequence[tuple[str, str]],
        *,
        resume: bool = False,
        overwrite: bool = False,
    ) -> None:
        """Begin a result file, or go on with one.

        Args:
          path: the JSON file.
          meta: everything that determines the results, and what passes (see `PASSING`).
          plan: language and prompt set of every row in the order in which they shall stand.
          resume: keep the rows of an interrupted run with the same settings.
          overwrite: replace what is there.

        Raises:
          FileExistsError: the file is there, and neither `resume` nor `overwrite` was asked for.
          ValueError: `resume` was asked for, but the file was made with other settings (the message lists them).
        """
        self.path = Path(path)
        self._parts = parts_path(self.path)
        self._gone = self._parts.with_suffix(".gone")
        self._place = {key: place for place, key in enumerate(plan)}
        self._kept: dict[tuple[str, str], list[int]] = {}
        self.results = Results(plain(meta), path=self.path)
        self._sweep()
        if self.path.exists() and resume:
            self._take_up(read_results(self.path))
            return
        check_target(self.path, resume=resume, overwrite=overwrite)
        shutil.rmtree(self._parts, ignore_errors=True)
        self._parts.mkdir(parents=True)
        predictions_path(self.path).unlink(missing_ok=True)
        self._write()

    def _sweep(self) -> None:
        """Remove what a killed run had begun to write, or to remove, beside its files."""
        shutil.rmtree(self._gone, ignore_errors=True)
        for target in (self.path, predictions_path(self.path)):
            for begun in target.parent.glob(f".{glob.escape(target.name)}.*.part"):
                begun.unlink(missing_ok=True)

    def _take_up(self, old: Results) -> None:
        keys = (set(old.meta) | set(self.results.meta)) - PASSING
        if other := differences(old.meta, self.results.meta, keys):
            raise ValueError(f"{self.path} cannot be resumed, it was made with other settings ({other})")
        self._kept = _row_groups(predictions_path(self.path))
        known = [r for r in old.rows if (r["lang"], r["prompt"]) in self._kept or self._part(r).exists()]
        self.results.rows, self.results.failures = known, []
        self.results.meta.update((k, v) for k, v in old.meta.items() if k in PASSING)

    def done(self, language: str, prompt: str) -> dict[str, Any] | None:
        """Give the row that an earlier, interrupted run wrote, or None."""
        return self.results.row(language, prompt)

    def add(self, row: Mapping[str, Any], predictions: Predictions) -> None:
        """Write a row, and its decisions before it."""
        import pyarrow.parquet as pq

        with atomic_path(self._part(row)) as path:
            pq.write_table(_table(row["lang"], row["prompt"], predictions), path, compression="zstd")
        self.results.rows.append(plain(row))
        self._write()

    def fail(self, failure: Mapping[str, Any]) -> None:
        """Write a language that has no number: `lang`, `prompt`, `status` and what else is known."""
        self.results.failures.append(plain(failure))
        self._write()

    def finish(self, **meta: Any) -> None:
        """Put the decisions into one file in the order of the rows, add to `meta`, and remove the parts."""
        import pyarrow.parquet as pq

        self.results.meta.update(plain(meta))
        self._write()
        target = predictions_path(self.path)
        if not target.exists() or any(self._part(row).exists() for row in self.results.rows):
            with atomic_path(target) as path, pq.ParquetWriter(path, _schema()) as writer:
                for row in self.results.rows:
                    writer.write_table(self._decisions(row))
        if self._parts.exists():
            os.replace(self._parts, self._gone)
            shutil.rmtree(self._gone, ignore_errors=True)

    def _decisions(self, row: Mapping[str, Any]) -> Any:
        """Give a row's decisions, from this run's part or from the file that an earlier, finished run wrote."""
        import pyarrow.parquet as pq

        if self._part(row).exists():
            return pq.read_table(self._part(row), schema=_schema())
        groups = self._kept[row["lang"], row["prompt"]]
        return pq.ParquetFile(predictions_path(self.path)).read_row_groups(groups).cast(_schema())

    def _part(self, row: Mapping[str, Any]) -> Path:
        return self._parts / f"{row['prompt']}.{row['lang']}.parquet"

    def _write(self) -> None:
        for rows in (self.results.rows, self.results.failures):
            rows.sort(key=lambda row: self._place[row["lang"], row["prompt"]])
        r = self.results
        write_json(self.path, {"meta": plain(r.meta), "results": r.rows, "failures": r.failures})


def _row_groups(path: Path) -> dict[tuple[str, str], list[int]]:
    """Give the numbers of the row groups of a file of decisions, by language and prompt set; {} where it is missing."""
    import pyarrow.parquet as pq

    groups: dict[tuple[str, str], list[int]] = {}
    if path.exists():
        file = pq.ParquetFile(path)
        for number in range(file.num_row_groups):
            first = file.read_row_group(number, ["lang", "prompt"]).slice(0, 1).to_pylist()
            for row in first:
                groups.setdefault((row["lang"], row["prompt"]), []).append(number)
    return groups


def _schema() -> Any:
    import pyarrow as pa

    text = pa.dictionary(pa.int32(), pa.string())
    fields = {"lang": text, "prompt": text, "photo": text}
    fields.update(class_index=pa.int16(), predicted=pa.int16(), rank=pa.int16())
    return pa.schema(fields)


def _table(language: str, prompt: str, predictions: Predictions) -> Any:
    import pyarrow as pa

    n = len(predictions.photo)
    columns = {"lang": [language] * n, "prompt": [prompt] * n, "photo": list(predictions.photo)}
    arrays = {"class_index": predictions.class_index, "predicted": predictions.predicted, "rank": predictions.rank}
    return pa.table({**columns, **arrays}).cast(_schema())


def model_meta(model: str, dtype: str, encoder: Encoder) -> dict[str, Any]:
    """Give what a result file says of the model, under the reference's names where it has some."""
    return {
        "model": model.removeprefix("open_clip:"),
        "model_string": model,
        "source": encoder.source,
        "parameters": encoder.parameters,
        "fingerprint": encoder.fingerprint,
        "dtype": dtype,
        **({"random_weights": True} if getattr(encoder, "random_weights", False) else {}),
        **({"adapter": encoder.adapter} if hasattr(encoder, "adapter") else {}),
    }


def differences(made: Mapping[str, Any], now: Mapping[str, Any], keys: Iterable[str]) -> str:
    """Name the settings that something was made with and that are others now, by name; empty where there are none."""
    other = sorted(key for key in keys if made.get(key) != now.get(key))
    return "; ".join(f"{key}: {made.get(key)!r} there, {now.get(key)!r} now" for key in other)


def plain(value: Any) -> Any:
    """Turn numpy numbers, arrays, tuples and mappings into what JSON holds.

    Raises:
      ValueError: a number is not finite: a result that is not known is absent, never NaN.
    """
    if isinstance(value, Mapping):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple, np.ndarray)):
        return [plain(v) for v in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"a result must be finite, got {value}")
    return value
