"""Publish result files: `python push_scripts/push_results.py --repo-id ORG/babel-imagenet-results r.json …`.

The same as `babel-imagenet push results`. The repository is a dataset that `load_dataset` reads as one table; a push
adds to it what it lacks, on top of what others pushed meanwhile.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from babel_push import shell
from babel_push.plan import Snapshot
from babel_push.publish import Content
from babel_push.results_table import COLUMNS, RETRIEVAL, ZERO_SHOT, Run, merge, parquet, read_run

if TYPE_CHECKING:
    from babel_push.hub import Hub

TAG = "babel-imagenet-results"
_BODY = """---
{{ card_data }}
---

# Results on Babel-ImageNet

One row for each model, language and prompt set, from result files of `babel-imagenet evaluate`
{%- if "retrieval" in configs %} and `babel-imagenet retrieve`{% endif %}. A language without a number has a row too: its `status` says why.

```python
from datasets import load_dataset

{% for config in configs -%}
table = load_dataset("{{ repo_id }}", "{{ config }}", split="test")
{% endfor -%}
```

Add yours (with a token of your own; without the right to write it becomes a pull request by `--create-pr`):

```bash
babel-imagenet push results --repo-id {{ repo_id }} r.json
```

{% for config in configs %}## Columns of `{{ config }}`

| column | type | what |
|---|---|---|
{% for name, (kind, what) in columns[config].items() -%}
| `{{ name }}` | {{ kind }} | {{ what }} |
{% endfor %}
{% endfor -%}
Fractions 0–1. Languages have different sets of classes, so accuracies of two languages are not comparable as they are;
`k_way_K`, `centred` and `gap` are meant for that. Labels derive from BabelNet, for non-commercial use; these are numbers only.

Benchmark: Geigle, Timofte and Glavaš, *Babel-ImageNet: Massively Multilingual Evaluation of Vision-and-Language
Representations*, [arXiv:2306.08658](https://arxiv.org/abs/2306.08658).
"""  # noqa: E501


def push_results(
    repo_id: shell.RepoId,
    files: Annotated[list[Path], typer.Argument(help="result files, zero-shot or retrieval")],
    dry_run: shell.DryRun = False,
    private: shell.Private = False,
    revision: shell.Revision = "main",
    create_pr: shell.CreatePr = False,
    overwrite: shell.Overwrite = False,
    tag: shell.Tag = None,
) -> None:
    """Add result files to a dataset of results: one table, one row for each model, language and prompt set.

    --overwrite also replaces numbers that are published for the same run and differ.
    """
    with shell.Guard():
        request = shell.Request(repo_id, dry_run, private, revision, create_pr, overwrite, tag)
        runs = read_runs(files)
        load = ["from datasets import load_dataset"]
        load += [
            f'table = load_dataset("{{repo_id}}", "{c}", split="test")' for c in dict.fromkeys(r.config for r in runs)
        ]
        shell.run(request, "dataset", lambda hub: results_content(hub, runs, overwrite=overwrite), load=load)


def read_runs(files: Sequence[Path]) -> list[Run]:
    """Read result files.

    Raises:
      FileNotFoundError, ValueError: see `read_run`; or two files are of one run.
    """
    runs: dict[tuple[str, str], Run] = {}
    for path in files:
        run = read_run(path)
        if (run.config, run.name) in runs:
            raise ValueError(
                f"{path}: a second file of {run.meta['model']} with the same settings; push them one by one"
            )
        runs[run.config, run.name] = run
    return list(runs.values())


def results_content(hub: Hub, runs: Sequence[Run], *, overwrite: bool = False) -> Content:
    """Give the content: two files for each run (its table, and the file itself), and the card."""
    from babel_push.cards import has_content, remote_front_matter

    def recognise(there: Snapshot) -> str | None:
        if has_content(hub, there) and TAG not in (remote_front_matter(hub, there).get("tags") or []):
            return f"holds something else (its card lacks the tag {TAG})"
        return None

    def build(there: Snapshot) -> Mapping[str, Path | bytes]:
        files: dict[str, Path | bytes] = {}
        for run in runs:
            raw = f"runs/{run.config}/{run.name}.json"
            whole = run
            if raw in there.files and there.commit is not None:
                whole = merge(_published(hub, raw, there.commit, run.config), run, overwrite=overwrite)
            files[raw] = whole.json
            files[f"data/{run.config}/{run.name}.parquet"] = parquet(whole)
        files["README.md"] = card(hub.repo_id, {*there.files, *files}).encode("utf-8")
        return files

    names = ", ".join(dict.fromkeys(str(run.meta["model"]) for run in runs))
    return Content(
        build=build,
        recognise=recognise,
        title=f"Add results of {names}" if len(names) < 60 else f"Add results of {len(runs)} runs",
        description="\n".join(f"{run.config}: {run.name}, {len(run.rows)} rows" for run in runs),
        owns=lambda path: overwrite and path != "README.md" and not path.startswith(("data/", "runs/")),
    )


def card(repo_id: str, paths: set[str]) -> str:
    """Give the card of a repository that holds some files; a configuration is named once it has a file."""
    from huggingface_hub import DatasetCard, DatasetCardData

    configs = [c for c in (ZERO_SHOT, RETRIEVAL) if any(path.startswith(f"data/{c}/") for path in paths)]
    data = DatasetCardData(
        pretty_name="Results on Babel-ImageNet",
        license="cc-by-4.0",
        task_categories=["zero-shot-image-classification"],
        tags=["babel-imagenet", TAG, "multilingual-evaluation"],
        configs=[
            {
                "config_name": c,
                "data_files": [{"split": "test", "path": f"data/{c}/*.parquet"}],
                "default": c == configs[0],
            }
            for c in configs
        ],
    )
    card = DatasetCard.from_template(data, template_str=_BODY, repo_id=repo_id, configs=configs, columns=COLUMNS)
    return str(card).rstrip("\n") + "\n"


def _published(hub: Hub, path: str, commit: str, config: str) -> Run:
    with tempfile.TemporaryDirectory(prefix="babel-push-") as folder:
        content = json.loads(hub.read_file(path, commit, Path(folder)).read_text(encoding="utf-8"))
    return Run(config, content["meta"], tuple(content["results"]), tuple(content.get("failures") or ()))


if __name__ == "__main__":
    shell.main(push_results)
