"""Which cheap subset suffices? Correlation and the ranking of models with fewer photos, classes or languages."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from babel_eval.correlation.figures import weighted_pearson
from babel_eval.results import predictions_path, read_results
from babel_zsic.classification import k_way_table

SIZES = {"photos": (1, 2, 5, 10, 25), "classes": (10, 25, 50, 100, 250), "languages": (5, 10, 20, 50, 100)}
Cell = tuple[str, str]  # model, language
Table = Mapping[Cell, float]


@dataclass(frozen=True)
class Decisions:
    """What one model decided in one language, photo by photo.

    Attributes:
      photo: int32 [n_images], place of each photo in the photo list that all cells share.
      rank: int64 [n_images], number of the language's classes that came before the true one; 0 is right.
      n_classes: number of the language's classes.
    """

    photo: np.ndarray
    rank: np.ndarray
    n_classes: int


@dataclass(frozen=True)
class Photos:
    """The photos that all cells share: the class of each, int64 [n_photos], 0..999."""

    class_of: np.ndarray


@dataclass(frozen=True)
class Subset:
    """What is left of the figures when only part of the benchmark is run, over random draws of that part.

    Attributes:
      kind: `photos` (a class), `classes` (a language) or `languages`.
      size: how many of them.
      n_draws: number of draws; each figure is (mean, 2.5 %, 97.5 %) over them, or None where it is not defined.
      tau: Kendall's tau-b between the models' mean accuracies on the subset and on everything.
      mean_error: mean absolute difference to the whole of a model's mean accuracy over languages, a fraction.
      cell_error: the same of a model's accuracy in one language; 0 where whole languages are left out.
      r: Pearson's correlation with each other task, under its name. Where languages are left out, `size` of those that
        the task has are drawn.
    """

    kind: str
    size: int
    n_draws: int
    tau: tuple[float, float, float] | None
    mean_error: tuple[float, float, float] | None
    cell_error: tuple[float, float, float] | None
    r: Mapping[str, tuple[float, float, float] | None]

    def as_dict(self) -> dict[str, Any]:
        """Give the figures in JSON's types."""
        return asdict(self)


def read_decisions(
    paths: Sequence[Path | str], prompt: str, names: Sequence[str] | None = None
) -> tuple[Photos, dict[Cell, Decisions]]:
    """Read the decisions beside several result files, of one prompt set.

    Args:
      paths: result files; those without decisions beside them (the reference's) add nothing.
      prompt: prompt set as in result files.
      names: what to call the model of each file; `meta.model` where None.

    Returns:
      the photos of all files together, and the decisions of each model and language.

    Raises:
      ValueError: the same photo has another class in another file.
    """
    place: dict[str, int] = {}
    class_of = np.zeros(0, dtype=np.int64)
    cells: dict[Cell, Decisions] = {}
    for number, path in enumerate(map(Path, paths)):
        if not predictions_path(path).exists():
            continue
        results = read_results(path)
        name = names[number] if names is not None else str(results.meta["model"])
        sizes = {row["lang"]: int(row["num_classes"]) for row in results.rows if row["prompt"] == prompt}
        columns = _columns(predictions_path(path), prompt)
        photo = np.array([place.setdefault(p, len(place)) for p in columns.photos], dtype=np.int32)[columns.photo]
        class_of = _with_classes(class_of, list(place), photo, columns.class_index, path)
        for code, rows in columns.languages:
            cells[name, code] = Decisions(photo[rows], columns.rank[rows], sizes[code])
    return Photos(class_of), cells


@dataclass(frozen=True)
class _Columns:
    """A file's rows of one prompt set: `photo` points into `photos`; a language is a run of rows."""

    photos: list[str]
    photo: np.ndarray
    class_index: np.ndarray
    rank: np.ndarray
    languages: list[tuple[str, slice]]


def _columns(path: Path, prompt: str) -> _Columns:
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    table = pq.read_table(path, columns=["lang", "photo", "class_index", "rank"], filters=[("prompt", "==", prompt)])
    language, photo = (pc.dictionary_encode(table[c].cast("string")).combine_chunks() for c in ("lang", "photo"))
    codes, codes_of = language.dictionary.to_pylist(), language.indices.to_numpy()
    order = np.argsort(codes_of, kind="stable")
    bounds = np.searchsorted(codes_of[order], np.arange(len(codes) + 1))
    return _Columns(
        photo.dictionary.to_pylist(),
        photo.indices.to_numpy()[order],
        table["class_index"].to_numpy()[order].astype(np.int64),
        table["rank"].to_numpy()[order].astype(np.int64),
        [(code, slice(bounds[i], bounds[i + 1])) for i, code in enumerate(codes)],
    )


def _with_classes(
    known: np.ndarray, photos: Sequence[str], photo: np.ndarray, class_index: np.ndarray, path: Path
) -> np.ndarray:
    """Add the classes of a file's photos, and check that a photo has the same in every file and language."""
    class_of = np.concatenate([known, np.full(len(photos) - len(known), -1)])
    fresh = class_of.copy()
    fresh[photo] = class_index
    clash = photo[((class_of[photo] >= 0) & (class_of[photo] != class_index)) | (fresh[photo] != class_index)]
    if len(clash):
        raise ValueError(
            f"{path}: photo {photos[clash[0]]} has one class here, and another in a file or language before"
        )
    return fresh


def subsample(
    whole: Table,
    others: Mapping[str, Table],
    photos: Photos | None = None,
    cells: Mapping[Cell, Decisions] | None = None,
    *,
    sizes: Mapping[str, Sequence[int]] = SIZES,
    n_draws: int = 100,
    seed: int = 0,
) -> list[Subset]:
    """Measure again and again on random parts of the benchmark.

    Args:
      whole: accuracy of each (model, language) on everything, a fraction.
      others: for each other task, its score of each (model, language).
      photos: the photos behind `cells`; None where only languages can be left out.
      cells: the decisions of each (model, language).
      sizes: what to try for each kind; a size that is no part (at least as large as the whole) is left out.
      n_draws: random parts a size; the same part is taken for every model and language.
      seed: of the draws.

    Returns:
      one `Subset` a kind and size. Photos are drawn for each class. Classes are drawn for each language, and accuracy
      among them is the exact expectation over which other classes of the language a photo's class meets: an
      assumption that makes the spread over draws slightly smaller than that of fixed subsets. A language that has
      fewer keeps all.
    """
    rng = np.random.default_rng(seed)
    kinds: dict[str, tuple[int, Callable[[int], Table]]] = {
        "languages": (len({code for _, code in whole}), lambda size: _fewer_languages(whole, size, rng))
    }
    if photos is not None and cells:
        most = int(np.bincount(photos.class_of).max())
        largest = max(cell.n_classes for cell in cells.values())
        kinds["photos"] = most, lambda size: _fewer_photos(photos, cells, size, rng)
        kinds["classes"] = largest, lambda size: _fewer_classes(photos, cells, size, rng)
    found = []
    for kind, (limit, draw) in sorted(kinds.items(), reverse=True):
        for size in (size for size in sizes.get(kind, ()) if size < limit):
            draws = [draw(size) for _ in range(n_draws)]
            r = {task: _spread(_correlations(kind, size, draws, whole, y, rng)) for task, y in others.items()}
            found.append(_figures(kind, size, draws, whole, r))
    return found


def _correlations(
    kind: str, size: int, draws: Sequence[Table], whole: Table, y: Table, rng: np.random.Generator
) -> list[float]:
    """Give r in each draw; where languages are left out, among those that the task has, or the rest would be empty."""
    if kind != "languages":
        return [_r(draw, y) for draw in draws]
    both = {cell: value for cell, value in whole.items() if cell in y}
    if size >= len({code for _, code in both}):
        return []
    return [_r(_fewer_languages(both, size, rng), y) for _ in draws]


def _fewer_languages(whole: Table, size: int, rng: np.random.Generator) -> Table:
    chosen = set(rng.choice(sorted({code for _, code in whole}), size=size, replace=False).tolist())
    return {cell: value for cell, value in whole.items() if cell[1] in chosen}


def _fewer_photos(photos: Photos, cells: Mapping[Cell, Decisions], size: int, rng: np.random.Generator) -> Table:
    """Keep at most `size` photos a class."""
    order = np.lexsort((rng.random(len(photos.class_of)), photos.class_of))
    ordered = photos.class_of[order]
    place_in_class = np.arange(len(order)) - np.searchsorted(ordered, ordered)
    kept = np.zeros(len(order), dtype=bool)
    kept[order[place_in_class < size]] = True
    return {cell: float((d.rank[kept[d.photo]] == 0).mean()) for cell, d in cells.items() if kept[d.photo].any()}


def _fewer_classes(photos: Photos, cells: Mapping[Cell, Decisions], size: int, rng: np.random.Generator) -> Table:
    """Keep the photos of at most `size` classes a language, each against `size - 1` others of the language."""
    priority = rng.permutation(int(photos.class_of.max()) + 1)
    table = {}
    for cell, d in cells.items():
        classes = photos.class_of[d.photo]
        present = np.unique(classes)
        chosen = present[np.argsort(priority[present])[:size]]
        rank = d.rank[np.isin(classes, chosen)]
        table[cell] = float(k_way_table(d.n_classes, min(size, d.n_classes))[rank].mean())
    return table


def _figures(kind: str, size: int, draws: Sequence[Table], whole: Table, r: Mapping[str, Any]) -> Subset:
    tau, mean_error, cell_error = [], [], []
    for draw in draws:
        part, all_ = _means(draw), _means(whole)
        models = [model for model in part if model in all_]
        tau.append(_tau([part[m] for m in models], [all_[m] for m in models]))
        mean_error.append(float(np.mean([abs(part[m] - all_[m]) for m in models])))
        cell_error.append(float(np.mean([abs(draw[cell] - whole[cell]) for cell in draw if cell in whole])))
    return Subset(kind, size, len(draws), _spread(tau), _spread(mean_error), _spread(cell_error), r)


def _tau(part: Sequence[float], whole: Sequence[float]) -> float:
    from scipy.stats import kendalltau

    return float(kendalltau(part, whole).statistic) if len(part) > 1 else float("nan")


def _means(table: Table) -> dict[str, float]:
    """Give each model's mean accuracy over the languages that every model has."""
    models = sorted({model for model, _ in table})
    common = set.intersection(*({code for m, code in table if m == model} for model in models)) if models else set()
    return {m: float(np.mean([table[m, code] for code in sorted(common)])) for m in models} if common else {}


def _r(x: Table, y: Table) -> float:
    both = [cell for cell in x if cell in y]
    if len(both) < 3:
        return float("nan")
    values = np.array([x[c] for c in both]), np.array([y[c] for c in both])
    return float(weighted_pearson(*values, np.ones((1, len(both))))[0])


def _spread(values: Sequence[float]) -> tuple[float, float, float] | None:
    known = np.array([v for v in values if np.isfinite(v)])
    if not len(known) or len(known) * 2 < len(values):
        return None
    low, high = np.quantile(known, [0.025, 0.975])
    return float(known.mean()), float(low), float(high)
