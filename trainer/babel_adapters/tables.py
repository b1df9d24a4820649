"""Caption pairs out of files and datasets with named columns, row by row, whatever their size.

Words such as `NA` and `null` are captions here, never missing values: CSV and TSV are read as text.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

from babel_adapters.pairs import Columns, Pair

SUFFIXES = (".parquet", ".jsonl", ".json", ".csv", ".tsv")


def file_pairs(path: Path, columns: Columns, *, limit: int | None = None) -> Iterator[Pair]:
    """Give the pairs of a file with named columns."""
    if not path.is_file():
        raise FileNotFoundError(f"--train-data {path}: no such file")
    return pairs_of(islice(rows_of(path), limit), columns, str(path), folder_of(str(path)))


def dataset_pairs(data: str, columns: Columns, *, limit: int | None = None, streaming: bool = False) -> Iterator[Pair]:
    """Give the pairs of `hf:NAME:SPLIT`: a dataset on the Hub, a folder of data files, or one of `save_to_disk`."""
    return pairs_of(islice(dataset_rows(data, streaming=streaming), limit), columns, data, folder_of(data))


def folder_of(data: str) -> Path | None:
    """Give the folder that relative paths of images start at: a file's own, or a dataset's; None for one on the Hub."""
    if not data.startswith("hf:"):
        return Path(data).parent
    folder = Path(data.removeprefix("hf:").rpartition(":")[0])
    return folder if folder.is_dir() else None


def dataset_rows(data: str, *, streaming: bool = False, flag: str = "--train-data") -> Iterator[Mapping[str, Any]]:
    """Give the rows of `hf:NAME:SPLIT`, one after another; errors as of `dataset_of`, and for what cannot be read."""
    with _named(f"{flag} {data}"):
        yield from dataset_of(data, streaming=streaming, flag=flag)


def dataset_of(data: str, *, streaming: bool = False, flag: str = "--train-data") -> Any:
    """Open `hf:NAME:SPLIT`, its columns of images, if any, as bytes and paths; `flag` is who asked.

    Raises:
      ValueError: the form is another, or a saved dataset has no such split.
    """
    from datasets import DatasetDict, load_dataset, load_from_disk

    name, _, split = data.removeprefix("hf:").rpartition(":")
    if not name or not split:
        raise ValueError(f"{flag} {data!r}: the form is hf:NAME:SPLIT, for instance hf:ORG/captions:train")
    if any((Path(name) / marker).exists() for marker in ("dataset_info.json", "dataset_dict.json")):
        dataset = load_from_disk(name)
        if isinstance(dataset, DatasetDict):
            if split not in dataset:
                raise ValueError(f"{flag} {data!r}: no split {split!r}; there is: {', '.join(dataset)}")
            dataset = dataset[split]
    else:
        dataset = load_dataset(name, split=split, streaming=streaming)
    return _images_as_they_are(dataset)


def _images_as_they_are(dataset: Any) -> Any:
    """Keep columns of images from being decoded; a stream that does not know its columns decodes none."""
    from datasets import Image

    for column, feature in (dataset.features or {}).items():
        if isinstance(feature, Image):
            dataset = dataset.cast_column(column, Image(decode=False))
    return dataset


def rows_of(path: Path) -> Iterator[Mapping[str, Any]]:
    """Give the rows of a Parquet, JSON lines, JSON (a list of objects), CSV or TSV file, one after another.

    Raises:
      ValueError: the suffix is none of these, or the file or a line of it cannot be read (it is named).
    """
    with _named(str(path)):
        yield from _rows_of(path)


def _rows_of(path: Path) -> Iterator[Mapping[str, Any]]:
    suffix = path.suffix.lower()
    if suffix == ".parquet":
        import pyarrow.parquet as pq

        for batch in pq.ParquetFile(path).iter_batches():
            yield from batch.to_pylist()
    elif suffix in (".csv", ".tsv"):
        with open(path, encoding="utf-8-sig", newline="") as file:
            yield from _delimited(file, path, "\t" if suffix == ".tsv" else ",")
    elif suffix == ".jsonl":
        with open(path, encoding="utf-8-sig") as file:
            yield from (_object(line, f"{path}, line {n}") for n, line in enumerate(file, 1) if line.strip())
    elif suffix == ".json":
        rows = json.loads(path.read_text(encoding="utf-8-sig"))
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            raise ValueError(f'{path}: a list of objects is needed, such as [{{"image": "a.jpg", "caption": "a cat"}}]')
        yield from rows
    else:
        raise ValueError(f"{path}: suffix {suffix!r} is not read; allowed: {', '.join(SUFFIXES)}")


@contextmanager
def _named(source: str) -> Iterator[None]:
    """Let an error in the source's bytes be a ValueError that names it and says why."""
    try:
        yield
    except UnicodeDecodeError as error:
        raise ValueError(f"{source}: no UTF-8 ({error}); save it in that encoding") from error
    except json.JSONDecodeError as error:
        raise ValueError(f"{source}: no valid JSON ({error})") from error
    except Exception as error:
        from datasets.exceptions import DatasetGenerationError
        from pyarrow import ArrowException

        if isinstance(error, (ArrowException, DatasetGenerationError)):
            raise ValueError(f"{source}: {error.__cause__ or error}") from error
        raise


def _delimited(lines: Iterable[str], path: Path, delimiter: str) -> Iterator[Mapping[str, Any]]:
    reader = csv.DictReader(lines, delimiter=delimiter, strict=True)
    try:
        for row in reader:
            if None in row or None in row.values():
                raise ValueError(f"{path}, line {reader.line_num}: not as many fields as the header has")
            yield row
    except csv.Error as error:
        raise ValueError(
            f"{path}, line {reader.reader.line_num}: {error}. A field that begins with a quote ends with one, and "
            "quotes within it are doubled"
        ) from error


def _object(line: str, place: str) -> Mapping[str, Any]:
    try:
        row = json.loads(line)
    except json.JSONDecodeError as error:
        raise ValueError(f"{place}: no valid JSON ({error.msg}, column {error.colno})") from error
    if not isinstance(row, dict):
        raise ValueError(f"{place}: an object is needed, got {type(row).__name__}")
    return row


def pairs_of(
    rows: Iterable[Mapping[str, Any]], columns: Columns, name: str, folder: Path | None = None
) -> Iterator[Pair]:
    """Turn rows into pairs.

    Raises:
      ValueError: a column is missing (those there are get listed), a caption is no text, or an image is neither a path
        nor bytes; row and column are named.
    """
    for n, row in enumerate(rows):
        for column in filter(None, (columns.target, columns.english, columns.image)):
            if column not in row and (column != columns.english or columns.needs_english):
                raise ValueError(
                    f"{name}, row {n}: no column {column!r}; its columns are: {', '.join(map(str, row))}. Name yours "
                    "with --target-column, --english-column and --image-column"
                )
        image = _image(row[columns.image], columns.image, name, n, folder) if columns.image else None
        yield Pair(_text(row, columns.target, name, n), _english(row, columns, name, n), image)


def _english(row: Mapping[str, Any], columns: Columns, name: str, n: int) -> str | None:
    """Give a row's English caption; an empty one is none where none is needed."""
    if columns.english is None or columns.english not in row:
        return None
    text = _text(row, columns.english, name, n)
    return text if columns.needs_english or text.strip() else None


def _text(row: Mapping[str, Any], column: str, name: str, n: int) -> str:
    value = row[column]
    if value is not None and not isinstance(value, str):
        raise ValueError(f"{name}, row {n}: column {column!r} holds {type(value).__name__}, a text is needed")
    return value or ""


def _image(value: Any, column: str, name: str, n: int, folder: Path | None) -> str | bytes | None:
    """Take a path, bytes, or the dict of both that datasets keeps an image in."""
    if isinstance(value, Mapping):
        value = value.get("bytes") or value.get("path")
    if value is not None and not isinstance(value, (str, bytes)):
        raise ValueError(
            f"{name}, row {n}: column {column!r} holds {type(value).__name__}, a path, an address or the bytes of an "
            "image file are needed"
        )
    if isinstance(value, str) and folder is not None and "://" not in value and not Path(value).is_absolute():
        return str(folder / value)
    return value
