"""Rows of the published dataset: what a configuration's columns hold, as Arrow tables.

One place says it, for the builder (`babel_imagenet.py`) and for the Parquet files (`export.py`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from babel_imagenet_dataset import corrections
from babel_imagenet_dataset.audit import flag_labels, flag_templates
from babel_imagenet_dataset.cleaning import clean_labels
from babel_imagenet_dataset.imagenet import english_class_names, openai_templates, wnids
from babel_imagenet_dataset.release import LanguageLabels, PromptFile
from babel_imagenet_dataset.sheets import SheetRow

SPLIT = "test"
PROMPTS = "prompts"

LABEL_COLUMNS = {
    "class_index": "the class's place in ImageNet-1k, 0..999",
    "wnid": "its WordNet id, `n01440764`",
    "label": "its name in the language, exactly as released",
    "label_clean": "the name cleaned and corrected; null where no rule and no person could mend it",
    "english": "its English name by OpenAI",
    "flags": "what is wrong with the label, then what was done for `label_clean`; see the tables of flags and steps",
}
PROMPT_COLUMNS = {
    "language": "BabelNet's code in upper case",
    "prompt_set": "`openai_en` (the 80 by OpenAI) or `nllb` (their machine translation)",
    "position": "which of the templates, 0..79; of equal ones the first",
    "template": "the template, with one `{}` where the label goes, exactly as released",
    "weight": "how many of the language's templates are exactly this one",
    "english": "the English template at this position; empty where a language has another number of templates",
    "flags": "what is wrong with the template, see the table of flags",
}

_LABEL_SCHEMA = pa.schema(
    [("class_index", pa.int32()), ("wnid", pa.string()), ("label", pa.string()), ("label_clean", pa.string()),
     ("english", pa.string()), ("flags", pa.list_(pa.string()))]
)  # fmt: skip
_PROMPT_SCHEMA = pa.schema(
    [("language", pa.string()), ("prompt_set", pa.string()), ("position", pa.int32()), ("template", pa.string()),
     ("weight", pa.int32()), ("english", pa.string()), ("flags", pa.list_(pa.string()))]
)  # fmt: skip


def label_table(labels: LanguageLabels, decided: Sequence[SheetRow] | None = None) -> pa.Table:
    """Give a language's configuration: a row a class, in the order of the label file, columns of `LABEL_COLUMNS`.

    Args:
      labels: the language's labels.
      decided: people's decisions (`corrections.decisions`); those that ship with the package where none are given.
    """
    indices = labels.class_index.tolist()
    fitted = corrections.fit(corrections.packaged() if decided is None else decided, labels)
    cleaned = clean_labels(labels, fitted.accepted)
    columns = {
        "class_index": indices,
        "wnid": [wnids()[index] for index in indices],
        "label": list(labels.labels),
        "label_clean": [one.label for one in cleaned],
        "english": [english_class_names()[index] for index in indices],
        "flags": [[*flags, *one.steps] for flags, one in zip(flag_labels(labels), cleaned, strict=True)],
    }
    return pa.table(columns, schema=_LABEL_SCHEMA)


def prompt_table(prompts: PromptFile) -> pa.Table:
    """Give the configuration `prompts`: OpenAI's templates, then each language's in alphabetical order of codes.

    Of equal templates of a language there is one row; its weight says how many they are.
    """
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
    flags = flag_templates(templates, code)
    weights = Counter(templates)
    return [
        {
            "language": code,
            "prompt_set": prompt_set,
            "position": position,
            "template": template,
            "weight": weights[template],
            "english": english[position] if len(templates) == len(english) else "",
            "flags": list(flags[position]),
        }
        for position, template in enumerate(templates)
        if templates.index(template) == position
    ]
