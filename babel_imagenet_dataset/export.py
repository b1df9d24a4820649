"""The published dataset: a folder of Parquet files, one a configuration, and the card that tells the Hub about them.

What is written is exactly what is pushed. The same input gives the same bytes: nothing of the machine, the time or the
order of a folder's listing goes in.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import metadata
from importlib.resources import files
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from babel_imagenet_dataset import corrections
from babel_imagenet_dataset.audit import FLAGS, TEMPLATE_FLAGS, is_flagged
from babel_imagenet_dataset.cleaning import STEPS
from babel_imagenet_dataset.files import atomic_folder, check_replaceable
from babel_imagenet_dataset.languages import Language, group, language, resolve
from babel_imagenet_dataset.release import COMMIT, PUBLISHED, REPOSITORY, LabelFile, PromptFile
from babel_imagenet_dataset.rows import (
    LABEL_COLUMNS,
    PROMPT_COLUMNS,
    PROMPTS,
    SPLIT,
    label_table,
    prompt_table,
)
from babel_imagenet_dataset.sheets import SheetRow

PARQUET = f"{SPLIT}-00000-of-00001.parquet"
_SIGNATURE = "Written by `babel-imagenet build`"  # as the template `card.md` has it
_SIZES = {1_000: "n<1K", 10_000: "1K<n<10K", 100_000: "10K<n<100K", 1_000_000: "100K<n<1M"}


@dataclass(frozen=True)
class LanguageStatistics:
    """What the card's table says of a language.

    Attributes:
      language: what is known of it.
      n_classes: number of classes, that is of rows.
      n_distinct: number of distinct labels.
      n_flagged: number of labels with a flag other than `equals_english`.
      flags: number of labels by flag and by step of cleaning, in the order of `FLAGS` and `STEPS`; without zeros.
    """

    language: Language
    n_classes: int
    n_distinct: int
    n_flagged: int
    flags: dict[str, int]

    @property
    def group(self) -> str:
        """The resource group."""
        return group(self.n_classes)


@dataclass(frozen=True)
class Build:
    """What a build wrote.

    Attributes:
      path: the folder.
      statistics: of the languages, in the order of the configurations.
      n_prompts: number of rows of the configuration `prompts`.
      n_bytes: size of all the files.
      refused: people's decisions whose old label is not the label of these files; they were not applied.
    """

    path: Path
    statistics: tuple[LanguageStatistics, ...]
    n_prompts: int
    n_bytes: int
    refused: tuple[SheetRow, ...] = ()


def build(
    labels: LabelFile,
    prompts: PromptFile,
    out: Path | str,
    *,
    selectors: str | Sequence[str] = "all",
    decided: Sequence[SheetRow] | None = None,
    report: Callable[[str, int, int], None] | None = None,
) -> Build:
    """Write the dataset into a folder, whole or not at all.

    Args:
      labels: the label file.
      prompts: the templates; all of them are written, whichever languages are chosen.
      out: the folder; what an earlier build wrote there is replaced.
      selectors: which languages (see `languages.resolve`); `all` is what the label file holds.
      decided: people's decisions for `label_clean`; those that ship with the package where none are given.
      report: called with the configuration just written, its number and the number of all.

    Returns:
      what was written.

    Raises:
      ValueError: a selector is not known, or `out` is no folder that a build wrote.
    """
    target = Path(out).expanduser().resolve()
    codes = sorted(resolve(selectors, labels.n_classes))
    check_replaceable(target, lambda path: _is_ours(path, target), "build")
    decisions = corrections.packaged() if decided is None else decided
    tables = {code.lower(): label_table(labels.languages[code], decisions) for code in codes}
    refused = [row for code in codes for row in corrections.fit(decisions, labels.languages[code]).refused]
    statistics = tuple(language_statistics(code, tables[code.lower()]) for code in codes)
    tables[PROMPTS] = prompt_table(prompts)
    with atomic_folder(target) as part:
        for number, (name, table) in enumerate(tables.items(), start=1):
            write_parquet(table, part / name / PARQUET)
            if report is not None:
                report(name, number, len(tables))
        card = render_card(labels, prompts, statistics, tables)
        (part / "README.md").write_bytes(card.encode("utf-8"))
        n_bytes = sum(file.stat().st_size for file in part.rglob("*") if file.is_file())
    return Build(target, statistics, tables[PROMPTS].num_rows, n_bytes, tuple(refused))


def write_parquet(table: pa.Table, path: Path) -> None:
    """Write a table as one Parquet file; the same table gives the same bytes with the same pyarrow."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, path, compression="zstd", row_group_size=10_000)


def language_statistics(code: str, table: pa.Table) -> LanguageStatistics:
    """Count what a language's rows hold."""
    flags = table.column("flags").to_pylist()
    counts = Counter(flag for row in flags for flag in row)
    return LanguageStatistics(
        language=language(code),
        n_classes=table.num_rows,
        n_distinct=len(set(table.column("label").to_pylist())),
        n_flagged=sum(map(is_flagged, flags)),
        flags={flag: counts[flag] for flag in (*FLAGS, *STEPS) if counts[flag]},
    )


def render_card(
    labels: LabelFile, prompts: PromptFile, statistics: Sequence[LanguageStatistics], tables: dict[str, pa.Table]
) -> str:
    """Give the dataset card: YAML for the Hub and for `datasets`, then Markdown for people."""
    from huggingface_hub import DatasetCard

    n_labels = sum(row.n_classes for row in statistics)
    counts = Counter(flag for row in statistics for flag, n in row.flags.items() for _ in range(n))
    template_counts = Counter(flag for row in tables[PROMPTS].column("flags").to_pylist() for flag in row)
    card = DatasetCard.from_template(
        card_data(statistics, tables, is_published=labels.release is not None),
        template_str=(files("babel_imagenet_dataset") / "card.md").read_text(encoding="utf-8"),
        statistics=statistics,
        n_labels=n_labels,
        n_languages=len(statistics),
        n_prompts=tables[PROMPTS].num_rows,
        example=_example(statistics),
        columns=LABEL_COLUMNS,
        prompt_columns=PROMPT_COLUMNS,
        flags=[(flag, counts[flag], rule) for flag, rule in FLAGS.items()],
        steps=[(step, counts[step], rule) for step, rule in STEPS.items()],
        template_flags=[(flag, template_counts[flag], rule) for flag, rule in TEMPLATE_FLAGS.items()],
        label_source=_source(labels.path, labels.sha256),
        prompt_source=_source(prompts.path, prompts.sha256),
        version=metadata.version("babel-imagenet"),
    )
    return str(card).rstrip("\n") + "\n"


def card_data(statistics: Sequence[LanguageStatistics], tables: dict[str, pa.Table], *, is_published: bool) -> Any:
    """Give the card's YAML as `huggingface_hub` holds it; the licence of labels of one's own stands in its text."""
    from huggingface_hub import DatasetCardData

    tags = [row.language.tag for row in statistics]
    n_rows = sum(table.num_rows for table in tables.values())
    return DatasetCardData(
        pretty_name="Babel-ImageNet",
        language=sorted({tag.split("-")[0] for tag in tags}),
        language_bcp47=sorted(tag for tag in tags if "-" in tag) or None,
        license="other",
        license_name="babelnet-non-commercial" if is_published else "terms-of-the-label-file",
        license_link="https://babelnet.org/full-license" if is_published else "README.md",
        multilinguality=["multilingual"],
        language_creators=["found"],
        annotations_creators=["machine-generated"],
        source_datasets=["extended|imagenet-1k"],
        task_categories=["zero-shot-image-classification"],
        size_categories=[next(size for limit, size in _SIZES.items() if n_rows < limit)],
        tags=["babel-imagenet", "babelnet", "imagenet", "vision-language", "multilingual-evaluation"],
        configs=[
            {"config_name": name, "data_files": [{"split": SPLIT, "path": f"{name}/{PARQUET}"}]} for name in tables
        ],
    )


def _example(statistics: Sequence[LanguageStatistics]) -> str:
    names = [row.language.config_name for row in statistics]
    return "de" if "de" in names else names[0]


def _source(path: Path, sha256: str) -> dict[str, str | None]:
    """Say where a file comes from, without a path of this machine: its published address, or its name alone."""
    published = next((file for file in PUBLISHED.values() if file.sha256 == sha256), None)
    url = f"https://github.com/{REPOSITORY}/blob/{COMMIT}/data/{published.name}" if published else None
    return {"name": published.name if published else path.name, "url": url, "sha256": sha256}


def _is_ours(path: Path, folder: Path) -> bool:
    """Tell whether a build writes this: its card, a configuration's folder, and the one file in it."""
    parts = path.relative_to(folder).parts
    if parts == ("README.md",):
        return path.is_file() and _SIGNATURE in path.read_text(encoding="utf-8", errors="replace")
    if len(parts) == 1:
        return path.is_dir() and not parts[0].startswith(".")
    return len(parts) == 2 and parts[1] == PARQUET
