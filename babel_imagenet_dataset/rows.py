"""Rows of the published dataset: what a configuration's columns hold, as Arrow tables.

One place says it, for the builder (`babel_imagenet.py`) and for the Parquet files (`export.py`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from babel_imagenet_dataset.audit import flag_labels, flag_templates
from babel_imagenet_dataset.imagenet import english_class_names, openai_templates, wnids
from babel_imagenet_dataset.release import LanguageLabels, PromptFile

SPLIT = "test"
PROMPTS = "prompts"

LABEL_COLUMNS = {
    "class_index": "the class's place in ImageNet-1k, 0..999",
    "wnid": "its WordNet id, `n01440764`",
    "label": "its name in the language, exactly as released",
    "english": "its English name by OpenAI",
    "flags": "what is wrong with the label, see the table of flags; an empty list where nothing is",
}
PROMPT_COLUMNS = {
    "language": "BabelNet's code in upper case",
    "prompt_set": "`openai_en` (the 80 by OpenAI) or `nllb` (their machine translation)",
    "position": "which of the templates, 0..79",
    "template": "the template, with one `{}` where the label goes, exactly as released",
    "english": "the English template at this position; empty where a language has another number of templates",
    "flags": "what is wrong with the template, see the table of flags",
}

_LABEL_SCHEMA = pa.schema(
    [("class_index", pa.int32()), ("wnid", pa.string()), ("label", pa.string()), ("english", pa.string()),
     ("flags", pa.list_(pa.string()))]
)  # fmt: skip
_PROMPT_SCHEMA = pa.schema(
    [("language", pa.string()), ("prompt_set", pa.string()), ("position", pa.int32()), ("template", pa.string()),
     ("english", pa.string()), ("flags", pa.list_(pa.string()))]
)  # fmt: skip


def label_table(labels: LanguageLabels) -> pa.Table:
    """Give a language's configuration: a row a class, in the order of the label file, columns of `LABEL_COLUMNS`."""
    indices = labels.class_index.tolist()
    columns = {
        "class_index": indices,
        "wnid": [wnids()[index] for index in indices],
        "label": list(labels.labels),
        "english": [english_class_names()[index] for index in indices],
        "flags": [list(flags) for flags in flag_labels(labels)],
    }
    return pa.table(columns, schema=_LABEL_SCHEMA)


def prompt_table(prompts: PromptFile) -> pa.Table:
    """Give the configuration `prompts`: OpenAI's templates, then each language's in alphabetical order of codes."""
    rows = _template_rows("EN", "openai_en", openai_templates())
    for code in sorted(prompts.templates):
        rows += _template_rows(code, "nllb", prompts.templates[code])
    return pa.Table.from_pylist(rows, schema=_PROMPT_SCHEMA)


def features(table_columns: Mapping[str, str]) -> dict[str, Any]:
    """Give the columns' types as `datasets` has them."""
    from datasets import Sequence, Value

    schema = _LABEL_SCHEMA if "wnid" in table_columns else _PROMPT_SCHEMA
    return {
        name: Sequence(Value("string")) if pa.types.is_list(kind) else Value(str(kind))
        for name, kind in zip(schema.names, schema.types, strict=True)
    }


def _template_rows(code: str, prompt_set: str, templates: tuple[str, ...]) -> list[dict[str, Any]]:
    english = openai_templates()
    flags = flag_templates(templates)
    return [
        {
            "language": code,
            "prompt_set": prompt_set,
            "position": position,
            "template": template,
            "english": english[position] if len(templates) == len(english) else "",
            "flags": list(flags[position]),
        }
        for position, template in enumerate(templates)
    ]
