"""Checks of what a caller hands in: each names what was wrong, what was given and what is allowed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from numbers import Integral, Real
from typing import Any

import numpy as np

N_CLASSES = 1000  # of ImageNet-1k
_ROWS = 4096


def check_rows(values: Any, n_classes: int | None, name: str) -> np.ndarray:
    """Give integers as int64 [n], checked to be rows of a language of `n_classes` classes (None: of any number).

    Raises:
      ValueError: empty, not a list of whole numbers, or a value below 0 or not below `n_classes`.
    """
    array = _array(values)
    if array.ndim != 1 or len(array) == 0:
        raise ValueError(f"{name} must be a list with at least one entry, got {_describe(values)}")
    if array.dtype.kind not in "iu":
        raise ValueError(f"{name} must be whole numbers, got {_describe(values)}")
    allowed = "0 and up" if n_classes is None else f"0 to {n_classes - 1}"
    top = np.iinfo(np.int64).max if n_classes is None else n_classes - 1
    if int(array.min()) < 0 or int(array.max()) > top:
        bad = int(array[(array < 0) | (array > top)][0])
        raise ValueError(f"{name} holds {bad}; allowed: {allowed}")
    return array.astype(np.int64)


def check_whole(value: Any, name: str, low: int, high: int | None = None) -> int:
    """Give a whole number from low to high (None: any)."""
    whole = isinstance(value, Integral) and not isinstance(value, bool)
    if not whole or not low <= int(value) <= (int(value) if high is None else high):
        allowed = f"{low} to {high}" if high is not None else f"{low} and up"
        raise ValueError(f"{name} is {value!r}; allowed: whole numbers, {allowed}")
    return int(value)


def check_sizes(values: Any, name: str, low: int) -> list[int]:
    """Give a list of different whole numbers from `low` on; it may be empty."""
    if isinstance(values, (str, bytes)) or not isinstance(values, (Sequence, np.ndarray)):
        raise ValueError(f"{name} is {values!r}; give a list of whole numbers, such as ({max(low, 10)},)")
    sizes = [check_whole(value, name, low) for value in values]
    if len(set(sizes)) < len(sizes):
        raise ValueError(f"{name} holds a number twice: {sizes}")
    return sizes


def check_share(value: Any, name: str) -> float:
    """Give a number between 0 and 1, both ends excluded."""
    if not isinstance(value, Real) or isinstance(value, bool) or not 0.0 < float(value) < 1.0:
        raise ValueError(f"{name} is {value!r}; it must lie between 0 and 1, such as 0.95")
    return float(value)


def check_codes(values: Any, n: int, name: str) -> np.ndarray:
    """Give the language of each row as a string array [n]; codes stand in upper case."""
    if isinstance(values, (str, bytes)):
        raise ValueError(f"{name} is the text {values!r}; give a list with one code a row")
    array = _array(values)
    if array.shape != (n,):
        raise ValueError(f"{name} has shape {array.shape}; give one code for each of {n} rows")
    for code in dict.fromkeys(array.tolist()):
        if not isinstance(code, str) or not code.strip():
            raise ValueError(f"{name} holds {code!r}; give each row a language's code, such as 'DE'")
    return array.astype(str)


def check_case(codes: Iterable[Any], name: str, *others: str) -> None:
    """Check that codes of languages stand in upper case; `others` are allowed as they are."""
    for code in codes:
        if not isinstance(code, str) or (code not in others and code != code.upper()):
            hint = f": did you mean {code.upper()!r}?" if isinstance(code, str) else ", such as 'DE'"
            raise ValueError(f"{name} holds {code!r}; codes stand in upper case{hint}")


def check_labels(values: Any, name: str) -> list[str]:
    """Give labels as a list of strings."""
    if isinstance(values, (str, bytes)) or not isinstance(values, (Sequence, np.ndarray)):
        raise ValueError(f"{name} is {_describe(values)}; give a list of labels")
    labels = list(values)
    for label in labels:
        if not isinstance(label, str) or not label.strip():
            raise ValueError(f"{name} holds {label!r}; every label must be a text")
    return [str(label) for label in labels]


def check_mapping(values: Any, name: str) -> Mapping[str, Any]:
    """Give a mapping from languages, checked not to be empty."""
    if not isinstance(values, Mapping) or not values:
        what = "empty" if isinstance(values, Mapping) else _describe(values)
        raise ValueError(f"{name} is {what}; give a mapping from languages, such as {{'DE': …}}")
    return values


def as_matrix(features: Any, name: str) -> np.ndarray:
    """Give features as a matrix of real numbers [n, dim] with at least one row and one column."""
    try:
        matrix = _array(features)
    except (TypeError, RuntimeError) as error:  # a tensor of bfloat16, on a device or with gradients
        raise ValueError(f"{name} cannot be read by numpy ({error}); give an array of float16, 32 or 64") from error
    if matrix.ndim != 2 or 0 in matrix.shape:
        raise ValueError(f"{name} must be a matrix [n, dim] with at least one row and one column, got {matrix.shape}")
    if matrix.dtype.kind not in "fiu":
        raise ValueError(f"{name} must hold real numbers, got {matrix.dtype}")
    return matrix


def check_features(features: Any, n: int, name: str, *, zeros: bool = False) -> np.ndarray:
    """Give features as a matrix with n rows, every one finite and, unless `zeros` are allowed, not all zeros."""
    matrix = as_matrix(features, name)
    if len(matrix) != n:
        raise ValueError(f"{name} has shape {matrix.shape}; expected a matrix with {n} rows")
    for start in range(0, n, _ROWS):
        part = matrix[start : start + _ROWS]
        finite = np.isfinite(part).all(axis=1)
        good = finite if zeros else finite & part.any(axis=1)
        if not good.all():
            row = int(np.flatnonzero(~good)[0])
            raise bad_row(name, start + row, zero=bool(finite[row]))
    return matrix


def bad_row(name: str, row: int, *, zero: bool) -> ValueError:
    """Give the error of a row of zeros, or of one that is not finite."""
    what = "is all zeros" if zero else "holds NaN or infinity"
    return ValueError(f"row {row} of {name} {what}; every row must be finite and longer than 0")


def look_up(mapping: Mapping[str, Any], language: str, name: str) -> Any:
    """Give a language's entry; a ValueError that names what is there, and the nearest, where it has none."""
    if language in mapping:
        return mapping[language]
    near = get_close_matches(language.upper(), list(mapping), n=1, cutoff=0.5)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    raise ValueError(f"language {language!r} is not in {name}, which holds {', '.join(sorted(mapping)[:20])}{hint}")


def _array(values: Any) -> np.ndarray:
    try:
        return np.asarray(values)
    except ValueError:  # rows of different lengths
        return np.asarray(None)


def _describe(values: Any) -> str:
    if values is None or isinstance(values, (str, bytes, int, float)):
        return repr(values)
    array = _array(values)
    if array.dtype.kind == "O" and array.ndim == 1:
        odd = [value for value in array.tolist() if not isinstance(value, Integral)]
        return f"a list that holds {odd[0] if odd else max(array.tolist(), key=abs)!r}"
    if array.ndim == 0:
        return type(values).__name__
    return f"{array.dtype} of shape {array.shape}"
