"""Babel-ImageNet as a `datasets` builder: a configuration a language, and one of prompts.

In memory, under any `datasets`::

    builder = BabelImageNet(config_name="de")
    builder.download_and_prepare()
    german = builder.as_dataset(split="test")

As a loading script, under `datasets` before 4 (which dropped them)::

    load_dataset("babel_imagenet_dataset/babel_imagenet.py", "de", trust_remote_code=True)

It imports what is installed, absolutely: a script with relative imports is no loading script. Files of Parquet, which
every version loads, are written by `babel-imagenet build`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import datasets

from babel_imagenet_dataset import release
from babel_imagenet_dataset.languages import codes, language
from babel_imagenet_dataset.rows import (
    LABEL_COLUMNS,
    PROMPT_COLUMNS,
    PROMPTS,
    SPLIT,
    features,
    label_table,
    prompt_table,
)

CITATION = """\
@article{geigle2023babelimagenet,
  author     = {Gregor Geigle and Radu Timofte and Goran Glava\\v{s}},
  title      = {{B}abel-{I}mage{N}et: Massively Multilingual Evaluation of Vision-and-Language Representations},
  journal    = {arXiv},
  volume     = {abs/2306.08658},
  year       = {2023},
  url        = {https://arxiv.org/abs/2306.08658},
  eprinttype = {arXiv},
  eprint     = {2306.08658},
}
"""
HOMEPAGE = "https://github.com/gregor-ge/Babel-ImageNet"
LICENSE = "BabelNet Non-Commercial License, https://babelnet.org/full-license"


@dataclass
class BabelImageNetConfig(datasets.BuilderConfig):
    """A configuration: a language by its code in lower case, or `prompts`.

    Attributes:
      labels: the label file: a path, `93` or `298`; None for the 93-key file.
      prompts: the file of translated templates; None for the published one.
    """

    labels: str | None = None
    prompts: str | None = None

    def create_config_id(self, config_kwargs: dict[str, Any], *arguments: Any, **keywords: Any) -> str:
        """Give the name of the folder in the cache: it holds the file's sha256, so that a changed file is read anew."""
        sha256 = self.prompt_file().sha256 if self.name == PROMPTS else self.label_file().sha256
        return super().create_config_id({**config_kwargs, "sha256": sha256}, *arguments, **keywords)

    def label_file(self) -> release.LabelFile:
        """Read the label file."""
        return release.load_labels(self.labels)

    def prompt_file(self) -> release.PromptFile:
        """Read the file of prompts."""
        return release.load_prompts(self.prompts)


class BabelImageNet(datasets.GeneratorBasedBuilder):
    """The labels of ImageNet-1k's classes in a language; the photos are not part of it."""

    VERSION = datasets.Version("1.0.0")
    BUILDER_CONFIG_CLASS = BabelImageNetConfig
    BUILDER_CONFIGS = [  # noqa: RUF012
        *(
            BabelImageNetConfig(
                name=code.lower(),
                version=datasets.Version("1.0.0"),
                description=f"ImageNet-1k labels in {language(code).name}",
            )
            for code in codes()
        ),
        BabelImageNetConfig(name=PROMPTS, version=datasets.Version("1.0.0"), description="templates for the labels"),
    ]

    def _info(self) -> datasets.DatasetInfo:
        columns = PROMPT_COLUMNS if self.config.name == PROMPTS else LABEL_COLUMNS
        return datasets.DatasetInfo(
            description=self.config.description or "",
            features=datasets.Features(features(columns)),
            homepage=HOMEPAGE,
            license=LICENSE,
            citation=CITATION,
        )

    def _split_generators(self, dl_manager: datasets.DownloadManager) -> list[datasets.SplitGenerator]:
        if self.config.name != PROMPTS:
            release.labels_of(
                self.config.label_file(), self.config.name
            )  # a lacking language is told before work begins
        return [datasets.SplitGenerator(name=SPLIT)]

    def _generate_examples(self) -> Iterator[tuple[int, dict[str, Any]]]:
        if self.config.name == PROMPTS:
            table = prompt_table(self.config.prompt_file())
        else:
            table = label_table(release.labels_of(self.config.label_file(), self.config.name))
        yield from enumerate(table.to_pylist())
