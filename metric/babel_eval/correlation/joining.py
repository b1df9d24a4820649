"""Scores of several files brought together: which model and language each belongs to, and what found no partner."""

from __future__ import annotations

import csv
import fnmatch
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from babel_eval.correlation.figures import Points
from babel_imagenet_dataset.files import read_json
from babel_imagenet_dataset.languages import language

LANGUAGE_ALIASES = {"jp": "JA", "fil": "TL", "quz": "QU", "iw": "HE", "nb": "NO"}
"""What retrieval sets call a language, where that is not BabelNet's code: XTD says `jp`, XM3600 `fil` and `quz`."""

RETRIEVAL_SCORE = re.compile(r"(t2i|i2t)_r@\d+")


@dataclass(frozen=True)
class Score:
    """One number of one model in one language.

    Attributes:
      source: the file it stands in.
      task: `zero-shot`, or the name of the retrieval set or other task (`xtd`).
      model: the model's name, as its file gives it.
      language: BabelNet's code.
      name: prompt set of a zero-shot accuracy (`label`), else the name of the score (`t2i_r@1`).
      value: the score, a fraction 0..1 for both of our tasks.
      interval: its bounds, where its file gives them for a recall.
    """

    source: str
    task: str
    model: str
    language: str
    name: str
    value: float
    interval: tuple[float, float] | None = None


@dataclass(frozen=True)
class Unjoined:
    """A model or some languages for which one side has no score, and why."""

    task: str
    name: str
    model: str
    languages: tuple[str, ...]
    why: str


@dataclass(frozen=True)
class Joined:
    """The points of one prompt set and one score of a task, and all that found no partner."""

    task: str
    prompt: str
    score: str
    points: Points
    unjoined: tuple[Unjoined, ...] = field(default=())


def code_of(name: str, aliases: Mapping[str, str] = LANGUAGE_ALIASES) -> str:
    """Give BabelNet's code of a language as a retrieval set or a table names it: `jp` → `JA`.

    Raises:
      ValueError: the name is in no table; the nearest codes are proposed.
    """
    return aliases.get(name.strip().lower()) or language(name).code


def short_names(names: Sequence[str]) -> list[str]:
    """Shorten model names to what tells them apart: without the owner and the tag where that is enough.

    A name put together of several (`conse-e5+peft:ORG/NAME`) keeps a part of each: `conse-e5+NAME`.
    """
    shortest = ["+".join(part.rsplit("/", 1)[-1].split("@")[0] for part in name.split("+")) for name in names]
    return [s if shortest.count(s) == 1 else name for s, name in zip(shortest, names, strict=True)]


def read_scores(path: Path | str, aliases: Mapping[str, str] = LANGUAGE_ALIASES) -> list[Score]:
    """Read the scores of a zero-shot or retrieval result file (ours or the reference's), or of a CSV table.

    Args:
      path: `.json` with `meta` and `results`, or `.csv` with a header that has `model`, `language` and at least one
        column of numbers. A retrieval file's set is `meta.dataset.name`, else its folder's name; a table's is its
        own name without the suffix.
      aliases: names of languages in lower case, to BabelNet's codes.

    Raises:
      FileNotFoundError: there is no such file.
      ValueError: neither form, a field is missing, a number is none, or a language is unknown; the message names
        file and row.
    """
    path = Path(path)
    if path.suffix == ".csv":
        return _from_csv(path, aliases)
    content = read_json(path)
    rows = content.get("results") if isinstance(content, dict) else None
    meta = content.get("meta") if isinstance(content, dict) else None
    if not isinstance(rows, list) or not isinstance(meta, dict) or "model" not in meta:
        raise ValueError(f"{path}: no result file; needed is an object with meta.model and a list of results, or a CSV")
    scores: list[Score] = []
    for number, row in enumerate(rows):
        if "lang" not in row:
            raise ValueError(f"{path}: row {number} has no language (`lang`)")
        found = _scores_of_row(path, number, row, meta)
        code = _code(path, f"row {number}", row["lang"], aliases)
        model = str(meta["model"])
        scores += [Score(str(path), task, model, code, name, value, bounds) for task, name, value, bounds in found]
    return scores


def read_all(paths: Iterable[Path | str], aliases: Mapping[str, str] = LANGUAGE_ALIASES) -> list[Score]:
    """Read the scores of several files.

    Raises:
      ValueError: as `read_scores`; or two files hold the same score of the same model and language.
    """
    scores: dict[tuple[str, ...], Score] = {}
    for path in paths:
        for score in read_scores(path, aliases):
            key = (score.task, score.name, score.model, score.language)
            if key in scores:
                raise ValueError(
                    f"{score.task} {score.name} of {score.model} in {score.language} stands in both "
                    f"{scores[key].source} and {score.source}; give one of the two"
                )
            scores[key] = score
    return list(scores.values())


def select_models(scores: Sequence[Score], patterns: Sequence[str]) -> list[Score]:
    """Keep the scores of the models that a list of names or shell patterns names; all of them where it is empty.

    Raises:
      ValueError: a pattern matches no model; the models are listed.
    """
    models = sorted({score.model for score in scores})
    for pattern in patterns:
        if not fnmatch.filter(models, pattern):
            raise ValueError(f"--models {pattern!r} matches none of: {', '.join(models)}")
    return [s for s in scores if not patterns or any(fnmatch.fnmatchcase(s.model, p) for p in patterns)]


def join(scores: Sequence[Score], *, exclude: Iterable[str] = ()) -> list[Joined]:
    """Pair zero-shot accuracies with the scores of every other task, on model and language.

    Args:
      scores: of any number of files.
      exclude: BabelNet's codes that shall not become points (`EN`).

    Returns:
      one entry for each task, prompt set and score, in the order of the files; entries without a single point are
      there too, with the reasons among `unjoined`.

    Raises:
      ValueError: there is no zero-shot score, or nothing to set beside them.
    """
    gone = frozenset(exclude)
    tables: dict[tuple[str, str], dict[tuple[str, str], float]] = {}
    for s in scores:
        tables.setdefault((s.task, s.name), {})[s.model, s.language] = s.value
    prompts = {name: table for (task, name), table in tables.items() if task == "zero-shot"}
    others = {key: table for key, table in tables.items() if key[0] != "zero-shot"}
    if not prompts or not others:
        missing = "a zero-shot result" if not prompts else "a retrieval result or a CSV of another task"
        raise ValueError(f"a correlation needs both kinds of score, but {missing} is not among the files")
    return [
        Joined(task, prompt, score, _points(x, y, gone), tuple(_unjoined(task, prompt, x, y, gone)))
        for (task, score), y in others.items()
        for prompt, x in prompts.items()
    ]


Table = Mapping[tuple[str, str], float]


def _points(x: Table, y: Table, gone: frozenset[str]) -> Points:
    both = sorted(key for key in x if key in y and key[1] not in gone)
    models, languages = [m for m, _ in both], [code for _, code in both]
    return Points(models, languages, np.array([x[k] for k in both], float), np.array([y[k] for k in both], float))


def _unjoined(task: str, prompt: str, x: Table, y: Table, gone: frozenset[str]) -> Iterable[Unjoined]:
    """Say which models, and which languages of a model, stand on one side only, and which were left out on request."""
    sides = ((x, y, f"no {task} score"), (y, x, f"no zero-shot result with prompts {prompt}"))
    for here, there, why in sides:
        for model in sorted({model for model, _ in here}):
            known = {code for m, code in there if m == model}
            alone = tuple(sorted(code for m, code in here if m == model and code not in known))
            if not known:
                yield Unjoined(task, prompt, model, alone, f"{why} of this model")
            elif alone:
                yield Unjoined(task, prompt, model, alone, f"{why} in these languages")
    asked = tuple(sorted({code for m, code in x if (m, code) in y and code in gone}))
    if asked:
        yield Unjoined(task, prompt, "all models", asked, "left out on request")


def _scores_of_row(
    path: Path, number: int, row: Mapping[str, Any], meta: Mapping[str, Any]
) -> list[tuple[str, str, float, tuple[float, float] | None]]:
    if "accuracy" in row:
        if "prompt" not in row:
            raise ValueError(f"{path}: row {number} has an accuracy but no `prompt`")
        return [("zero-shot", str(row["prompt"]), _fraction(path, number, "accuracy", row["accuracy"]), None)]
    names = [name for name in row if RETRIEVAL_SCORE.fullmatch(name)]
    if not names:
        raise ValueError(f"{path}: row {number} has neither an accuracy nor a recall such as t2i_r@1")
    dataset = meta.get("dataset")
    task = dataset["name"] if isinstance(dataset, Mapping) else path.resolve().parent.name
    return [
        (str(task), name, _fraction(path, number, name, row[name]), _bounds(path, number, row, f"{name}_interval"))
        for name in names
    ]


def _bounds(path: Path, number: int, row: Mapping[str, Any], name: str) -> tuple[float, float] | None:
    if row.get(name) is None:
        return None
    if not isinstance(row[name], list) or len(row[name]) != 2:
        raise ValueError(f"{path}: row {number}: {name} is {row[name]!r}, two fractions 0..1 are needed")
    low, high = (_fraction(path, number, name, bound) for bound in row[name])
    return low, high


def _fraction(path: Path, number: int, name: str, value: Any) -> float:
    if not isinstance(value, (int, float)) or isinstance(value, bool) or not 0 <= value <= 1 + 1e-6:
        raise ValueError(f"{path}: row {number}: {name} is {value!r}, a fraction 0..1 is needed")
    return float(value)


def _code(path: Path, where: str, name: Any, aliases: Mapping[str, str]) -> str:
    try:
        return code_of(str(name), aliases)
    except ValueError as error:
        raise ValueError(f"{path}: {where}: {error}") from error


def _from_csv(path: Path, aliases: Mapping[str, str]) -> list[Score]:
    with open(path, encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(file)
        columns = [c for c in reader.fieldnames or () if c not in ("model", "language")]
        if not {"model", "language"} <= set(reader.fieldnames or ()) or not columns:
            there = ", ".join(reader.fieldnames or ()) or "nothing"
            raise ValueError(f"{path}: needs the columns model, language and at least one score; there is: {there}")
        return [
            Score(
                str(path), path.stem, row["model"], _code(path, f"line {line}", row["language"], aliases), name, value
            )
            for line, row in enumerate(reader, start=2)
            for name in columns
            if (value := _number(path, line, name, row[name])) is not None
        ]


def _number(path: Path, line: int, name: str, text: str | None) -> float | None:
    """Give a cell's number, None for an empty cell (no score there: it will be listed as unjoined)."""
    if text is None or not text.strip():
        return None
    try:
        value = float(text)
    except ValueError as error:
        raise ValueError(f"{path}: line {line}: {name} is {text!r}, a number is needed") from error
    if not np.isfinite(value):
        raise ValueError(f"{path}: line {line}: {name} is {text!r}, a finite number is needed")
    return value
