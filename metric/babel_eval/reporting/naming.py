"""Short names of the runs of a report, each its own: the model, and what tells runs of one model apart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from babel_eval.correlation.joining import short_names
from babel_eval.results import Results


def place_of(meta: Mapping[str, Any]) -> str:
    """Give the name of a run's photo set; `ImageNet` for the reference's files, which do not say."""
    images = meta.get("images")
    return str(images["name"]) if isinstance(images, Mapping) else "ImageNet"


def run_labels(results: Sequence[Results]) -> list[str]:
    """Name runs, in their order.

    A model with one run goes by its short name. Of several, each has in brackets the photos, the precision, the mode,
    the language token, the label file and the templates, as far as they differ among these runs.

    Raises:
      ValueError: two files hold the same model on the same photos under the same settings.
    """
    members: dict[str, list[Results]] = {}
    for one in results:
        members.setdefault(str(one.meta["model"]), []).append(one)
    short = dict(zip(members, short_names(list(members)), strict=True))
    details = {model: iter(_differences(runs)) for model, runs in members.items()}
    named = [(short[model], next(details[model])) for model in (str(one.meta["model"]) for one in results)]
    return [f"{name} ({', '.join(words)})" if words else name for name, words in named]


def _differences(runs: Sequence[Results]) -> list[list[str]]:
    """Give what differs among the runs of one model, as words for each; nothing where there is one run."""
    plain, exact = ([_aspects(run.meta, exact=exact) for run in runs] for exact in (False, True))
    seen: dict[tuple[str, ...], Results] = {}
    for run, words in zip(runs, exact, strict=True):
        if (other := seen.setdefault(words, run)) is not run:
            raise ValueError(
                f"{other.path} and {run.path} both hold {run.meta['model']} on {place_of(run.meta)}, under the same "
                "settings; give one of the two"
            )
    columns = [_shortest(*forms) for forms in zip(zip(*plain, strict=True), zip(*exact, strict=True), strict=True)]
    known = [column for column in columns if len({*column} - {""}) > 1]
    if len(set(zip(*known, strict=True))) < len(runs):  # that a file does not say is a difference where it must be
        known = [column for column in columns if len({*column}) > 1]
    return [[column[row] for column in known if column[row]] for row in range(len(runs))]


def _shortest(plain: Sequence[str], exact: Sequence[str]) -> Sequence[str]:
    """Give an aspect of all runs in its short form, but in full where that makes different ones the same."""
    return plain if len({*plain}) == len({*exact}) else exact


def _aspects(meta: Mapping[str, Any], *, exact: bool) -> tuple[str, ...]:
    """Give what a run was made with, one word or an empty one for each aspect, in an order that holds for all runs."""
    place = place_of(meta)
    templates = meta.get("templates") or {}
    return (
        place if exact else Path(place).name,
        str(meta.get("dtype", "")),
        f"{meta['mode']} mode" if "mode" in meta else "",
        str(meta.get("language_token", "")),
        _file(meta.get("labels") or {}, exact=exact),
        ", ".join(filter(None, (_file(templates, exact=exact), str(templates.get("mode", ""))))),
    )


def _file(about: Mapping[str, Any], *, exact: bool) -> str:
    name = str(about.get("file", ""))
    return f"{name} {str(about.get('sha256', ''))[:7]}" if exact and name else name
