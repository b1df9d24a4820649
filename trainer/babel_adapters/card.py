"""Model cards of language adapters: the record of a training in, a `huggingface_hub.ModelCard` out."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from huggingface_hub import EvalResult, ModelCard, ModelCardData

from babel_imagenet_dataset.files import read_json, write_json, write_text

RECORD_NAME = "adapter_record.json"
TAG = "babel-imagenet-adapter"
# What the Hub takes as `base_model`: a name, or a namespace and a name. A path on disk is refused by its validation.
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?")
_MEASURED = ("evaluations", "load")
_REQUIRED = ("base_model", "language", "tag", "objective", "method", "licence", "data", "settings", *_MEASURED)
_BODY = """---
{{ card_data }}
---

# {{ title }}

{{ summary }}

{% for note in notes %}> {{ note }}

{% endfor %}## Accuracy before and after

{{ table }}

Fractions 0–1; in brackets the 95 % interval, n is the number of photos or queries, a gain is paired. Source of the
benchmark: Geigle, Timofte, Glavaš 2023, *Babel-ImageNet*, arXiv:2306.08658.

## How to load

{% for line in loads %}```python
{{ line }}
```

{% endfor %}## How it was trained

{{ training }}
"""


def adapter_card(record: Mapping[str, Any], *, name: str | None = None) -> ModelCard:
    """Give the card of one adapter: metadata for the Hub, a `model-index` with accuracy before and after, and text.

    Args:
      record: what is known of the training; plain JSON values. Required keys:
        `base_model`  id of the base on the Hub, `ORG/NAME` (never a path: the Hub refuses such a card);
        `language`    BabelNet code, upper case (`LO`); `tag` its BCP-47 tag (`lo`);
        `objective`   name or `{name: weight}`; `method` kind of adapter (`lora`, `bottleneck`, …);
        `licence`     licence of the adapter's weights, as an id of the Hub (`mit`, `cc-by-nc-4.0`, `other`);
        `data`        `{"name", "licence", "pairs": int, "removed": {reason: int}}`, `url` if there is one, other
                      keys are kept;
        `settings`    `{name: number, string or bool}` of the training, as printed in the card;
        `evaluations` list, one for each measure: `{"dataset": "Babel-ImageNet", "metric": "accuracy", "images":
                      "names", "prompt_set": "label", "before": M, "after": M, "gain": G}` with M = `{"value":
                      fraction, "interval": [low, high], "n": int}` and G = `{"value", "interval"}`; `interval`,
                      `n` and `gain` may be absent; other keys of an evaluation (`leakage`, `release`, …) are kept;
                      `task` is the Hub's task id, `zero-shot-image-classification` where absent;
        `load`        the line or lines of Python that load it.
      Optional keys: `base_revision`, `model` (the name that `babel-imagenet evaluate --model` takes),
      `language_name`, `notes` (list of sentences that a reader must know, such as that the image tower was trained
      on ImageNet labels), `versions`, `left_out` (list of sentences: what was left out, and why).
      name: name of the model in `model-index`; where absent, base model and tag.
    Returns:
      A `ModelCard` whose `data` validates on the Hub; `str(card)` is the README.
    Raises:
      ValueError: a key is missing, `base_model` is no id of the Hub, or an accuracy is no fraction 0..1.
    """
    check_record(record)
    title = name or f"{record['base_model'].split('/')[-1]}-{record['tag']}"
    summary = (
        f"A `{record['method']}` adapter for the text tower of `{record['base_model']}`"
        f"{_revision(record)}, specialised to {_language(record)}."
    )
    return _card([record], title, summary, _training(record))


def collection_card(records: Sequence[Mapping[str, Any]], *, name: str) -> ModelCard:
    """Give the card of a repository that holds several adapters, each in a folder called by its tag.

    Args:
      records: as in `adapter_card`, at least one, in the order in which they shall stand.
      name: title, and name of the model in `model-index`.
    Raises:
      ValueError: no record, an unsound one, or two of one base model, language and method.
    """
    if not records:
        raise ValueError("a card of several adapters needs at least one record")
    for record in records:
        check_record(record)
    keys = [(r["base_model"], r["tag"], r["method"]) for r in records]
    if len(set(keys)) < len(keys):
        raise ValueError(f"two adapters of one base model, language and method: {sorted(keys)}")
    bases = sorted({r["base_model"] for r in records})
    summary = f"Adapters for the text tower of {', '.join(f'`{b}`' for b in bases)}, one folder a language."
    training = "\n\n".join(f"### {_language(r)}\n\n{_training(r)}" for r in records)
    return _card(records, name, summary, training)


def write_record(folder: Path | str, record: Mapping[str, Any]) -> None:
    """Write `README.md` and `adapter_record.json` into an adapter's folder, each whole or not at all."""
    card = adapter_card(record)
    write_json(Path(folder) / RECORD_NAME, dict(record))
    write_text(Path(folder) / "README.md", str(card))


def read_record(folder: Path | str) -> dict[str, Any]:
    """Read the record that lies beside an adapter.

    Raises:
      FileNotFoundError: there is none; the adapter was not written by `train_adapter.py`.
      ValueError: it is unsound; see `adapter_card`.
    """
    path = Path(folder) / RECORD_NAME
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing; train_adapter.py writes it beside adapter_config.json")
    record = read_json(path)
    check_record(record)
    return dict(record)


def check_record(record: Mapping[str, Any]) -> None:
    """Raise ValueError where a record lacks a key or holds what the Hub refuses."""
    missing = [key for key in _REQUIRED if key not in record]
    if missing:
        raise ValueError(f"the record of an adapter lacks {', '.join(missing)}; it needs {', '.join(_REQUIRED)}")
    if not _HUB_ID.fullmatch(str(record["base_model"])):
        raise ValueError(
            f"base_model {record['base_model']!r} is no id of the Hub (ORG/NAME); name the base model as it is"
            " published, not by its place on disk"
        )
    for evaluation in record["evaluations"]:
        for when in ("before", "after"):
            value = evaluation[when]["value"]
            if not isinstance(value, (int, float)) or not 0 <= value <= 1:
                raise ValueError(f"{evaluation.get('dataset')}: {when} is {value!r}, a fraction 0..1 is needed")


def _card(records: Sequence[Mapping[str, Any]], title: str, summary: str, training: str) -> ModelCard:
    bases = _distinct(r["base_model"] for r in records)
    licences = _distinct(r["licence"] for r in records)
    data = ModelCardData(
        base_model=bases[0] if len(bases) == 1 else bases,
        base_model_relation="adapter",
        language=_distinct(r["tag"].split("-")[0] for r in records),
        # Several licences in one repository: the Hub has room for one, the text names each.
        license=licences[0] if len(licences) == 1 else "other",
        library_name="peft",
        tags=["babel-imagenet", TAG, "multilingual", *_distinct(r["method"] for r in records)],
        metrics=_distinct(e["metric"] for r in records for e in r["evaluations"]),
        model_name=title,
        eval_results=[result for record in records for result in _results(record)],
    )
    return ModelCard.from_template(
        data,
        template_str=_BODY,
        title=title,
        summary=summary,
        notes=_distinct(note for r in records for note in r.get("notes", [])),
        table=_table(records),
        loads=_distinct(r["load"] for r in records),
        training=training,
    )


def _results(record: Mapping[str, Any]) -> list[EvalResult]:
    return [
        EvalResult(
            task_type=evaluation.get("task", "zero-shot-image-classification"),
            dataset_type=evaluation["dataset"].lower().replace(" ", "-"),
            dataset_name=f"{evaluation['dataset']} ({record['tag']})",
            dataset_config=str(record["language"]).lower(),
            metric_type=evaluation["metric"],
            metric_name=f"{_measure(evaluation)}, {when} training",
            metric_value=round(evaluation[when]["value"], 6),
        )
        for evaluation in record["evaluations"]
        for when in ("before", "after")
    ]


def _table(records: Sequence[Mapping[str, Any]]) -> str:
    head = "| language | measure | before | after | gain |\n|---|---|---|---|---|"
    rows = [
        f"| {_language(r)} | {e['dataset']}, {_measure(e)} | {_number(e['before'])} | {_number(e['after'])} |"
        f" {_number(e['gain'], sign='+') if 'gain' in e else '—'} |"
        for r in records
        for e in r["evaluations"]
    ]
    return "\n".join([head, *rows])


def _measure(evaluation: Mapping[str, Any]) -> str:
    known = {"task", "dataset", "metric", "before", "after", "gain"}
    detail = [f"{key} {value}" for key, value in evaluation.items() if key not in known]
    return f"{evaluation['metric']} ({', '.join(detail)})" if detail else str(evaluation["metric"])


def _number(measured: Mapping[str, Any], sign: str = "") -> str:
    text = f"{measured['value']:{sign}.3f}"
    if measured.get("interval") is not None:
        low, high = measured["interval"]
        text += f" [{low:{sign}.3f}, {high:{sign}.3f}]"
    return text + (f", n = {measured['n']}" if measured.get("n") is not None else "")


def _training(record: Mapping[str, Any]) -> str:
    data, objective = record["data"], record["objective"]
    if isinstance(objective, Mapping):
        objective = ", ".join(f"{name} × {weight:g}" for name, weight in objective.items())
    removed = ", ".join(f"{count} {reason}" for reason, count in data.get("removed", {}).items()) or "none"
    source = f"[{data['name']}]({data['url']})" if data.get("url") else str(data["name"])
    rows = {
        "base model": f"`{record['base_model']}`{_revision(record)}",
        "objective": objective,
        "method": record["method"],
        "data": f"{source}, licence {data['licence']}, {data['pairs']} pairs",
        "pairs removed before training": removed,
        "licence of the weights": record["licence"],
        **{f"`{key}`": value for key, value in record["settings"].items()},
        **{f"version of {key}": value for key, value in record.get("versions", {}).items()},
    }
    lines = ["| | |", "|---|---|", *(f"| {key} | {value} |" for key, value in rows.items())]
    return "\n".join(lines + [f"\n{sentence}" for sentence in record.get("left_out", [])])


def _language(record: Mapping[str, Any]) -> str:
    known = record.get("language_name")
    return f"{known} (`{record['language']}`)" if known else f"`{record['language']}`"


def _revision(record: Mapping[str, Any]) -> str:
    return f" at revision `{record['base_revision']}`" if record.get("base_revision") else ""


def _distinct(values: Iterable[Any]) -> list[Any]:
    return list(dict.fromkeys(values))
