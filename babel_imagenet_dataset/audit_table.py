"""The audit of a label file as numbers: a row a language, and one over all."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from babel_imagenet_dataset import corrections
from babel_imagenet_dataset.audit import FLAGS, ceiling, flag_labels, is_flagged
from babel_imagenet_dataset.cleaning import STEPS, clean_labels
from babel_imagenet_dataset.human_names import HUMAN_LANGUAGES, HumanAgreement, agreement
from babel_imagenet_dataset.imagenet import N_CLASSES, english_class_names
from babel_imagenet_dataset.languages import group
from babel_imagenet_dataset.release import LanguageLabels
from babel_imagenet_dataset.sheets import SheetRow


@dataclass(frozen=True)
class LanguageAudit:
    """What the rules find in the labels of a language.

    Attributes:
      language: BabelNet's code.
      group: resource group by number of classes.
      n_classes: classes with a label.
      coverage: share of the 1000 classes with a label.
      n_cannot_win: classes whose label stands at an earlier class, so that they are never predicted.
      ceiling: highest possible accuracy with equally many photos a class.
      script_purity: share of labels written in the language's script.
      of_other_english: (class index, the other's class index) where the label is another class's English name.
      n_flagged: labels with a flag other than `equals_english`.
      n_changed: labels that cleaning changes or sets to null.
      n_null: labels that cleaning sets to null.
      flags: number of labels by flag and by step of cleaning, without zeros.
      human: agreement with human names, where there are some.
      refused: people's decisions that are not applied, as their old label is not the label.
    """

    language: str
    group: str
    n_classes: int
    coverage: float
    n_cannot_win: int
    ceiling: float
    script_purity: float
    of_other_english: tuple[tuple[int, int], ...]
    n_flagged: int
    n_changed: int
    n_null: int
    flags: dict[str, int]
    human: HumanAgreement | None = None
    refused: tuple[SheetRow, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """Give the audit as JSON values."""
        return asdict(self)


def audit_language(
    labels: LanguageLabels, decided: Sequence[SheetRow] | None = None, with_human_names: bool = True
) -> LanguageAudit:
    """Audit the labels of one language by the rules on text.

    Args:
      labels: the language's labels.
      decided: people's decisions; those that ship with the package where none are given.
      with_human_names: compare with the human names of AR, IT, JA and ZH, which needs the extra [sample].
    """
    fitted = corrections.fit(corrections.packaged() if decided is None else decided, labels)
    cleaned = clean_labels(labels, fitted.accepted)
    flags = flag_labels(labels)
    counts = Counter(flag for row in flags for flag in row) + Counter(step for one in cleaned for step in one.steps)
    highest = ceiling(labels.labels)
    compares = with_human_names and labels.code in HUMAN_LANGUAGES
    return LanguageAudit(
        language=labels.code,
        group=group(len(labels)),
        n_classes=len(labels),
        coverage=len(labels) / N_CLASSES,
        n_cannot_win=len(labels) - len(set(labels.labels)),
        ceiling=highest,
        script_purity=1 - counts["off_script"] / len(labels),
        of_other_english=_of_other_english(labels),
        n_flagged=sum(map(is_flagged, flags)),
        n_changed=sum(one.label != label for one, label in zip(cleaned, labels.labels, strict=True)),
        n_null=sum(one.label is None for one in cleaned),
        flags={flag: counts[flag] for flag in (*FLAGS, *STEPS) if counts[flag]},
        human=agreement(labels) if compares else None,
        refused=fitted.refused,
    )


def totals(rows: Sequence[LanguageAudit]) -> dict[str, Any]:
    """Sum the audit over languages.

    Raises:
      ValueError: there is no language.
    """
    if not rows:
        raise ValueError("there is no language to sum over")
    counts: Counter[str] = Counter()
    for row in rows:
        counts.update(row.flags)
    return {
        "n_languages": len(rows),
        "n_labels": sum(row.n_classes for row in rows),
        "n_cannot_win": sum(row.n_cannot_win for row in rows),
        "n_of_other_english": sum(len(row.of_other_english) for row in rows),
        "n_flagged": sum(row.n_flagged for row in rows),
        "n_changed": sum(row.n_changed for row in rows),
        "n_null": sum(row.n_null for row in rows),
        "n_refused": sum(len(row.refused) for row in rows),
        "flags": {flag: counts[flag] for flag in (*FLAGS, *STEPS) if counts[flag]},
    }


def flat(row: LanguageAudit) -> dict[str, Any]:
    """Give an audit as one row of a table: every flag and step has a column, 0 where there is none."""
    return {
        "language": row.language,
        "group": row.group,
        "n_classes": row.n_classes,
        "coverage": row.coverage,
        "n_cannot_win": row.n_cannot_win,
        "ceiling": row.ceiling,
        "script_purity": row.script_purity,
        "n_of_other_english": len(row.of_other_english),
        "n_flagged": row.n_flagged,
        "n_changed": row.n_changed,
        "n_null": row.n_null,
        "n_refused": len(row.refused),
        **{flag: row.flags.get(flag, 0) for flag in (*FLAGS, *STEPS)},
        "n_equal_human": row.human.n_equal if row.human else None,
        "n_human_of_other_class": row.human.n_of_other_class if row.human else None,
    }


def review_order(ranks: Mapping[tuple[str, int], int]) -> list[tuple[str, int]]:
    """Give (language, class index) with the farthest own class first; equal ranks by code and index."""
    return sorted(ranks, key=lambda key: (-ranks[key], key))


def _of_other_english(labels: LanguageLabels) -> tuple[tuple[int, int], ...]:
    """Find labels that are another class's English name, case aside, and not their own."""
    if labels.code == "EN":
        return ()
    owners: dict[str, list[int]] = {}
    for index, name in enumerate(english_class_names()):
        owners.setdefault(name.casefold(), []).append(index)
    found = []
    for index, label in zip(labels.class_index.tolist(), labels.labels, strict=True):
        others = owners.get(label.casefold(), [])
        if others and index not in others:
            found.append((index, others[0]))
    return tuple(found)
