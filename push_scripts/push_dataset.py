"""Publish the labels: `python push_scripts/push_dataset.py --repo-id ORG/babel-imagenet`.

The same as `babel-imagenet push dataset`.
A folder as `babel-imagenet build` writes it, one configuration a language, goes up in one commit with a version tag.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from babel_push import shell
from babel_push.plan import Snapshot, folder_files
from babel_push.publish import ChooseTag, Content, next_patch

if TYPE_CHECKING:
    from babel_push.hub import Hub

# What tells the labels' card from that of results, which has the first of them too.
TAGS = ("babel-imagenet", "babelnet")
# Version of the data by the published label file: the reference's first and second release; the patch is ours.
RELEASES = {"93": "1.0", "298": "2.0"}
TERMS = """\
The labels of all languages but English are a part of BabelNet 5.2. The BabelNet Non-Commercial License
(https://babelnet.org/full-license) asks whoever passes them on
  - to do so for research and other non-commercial purposes only,
  - to pass them on under the same licence, named on the card (it is),
  - to give credit to BabelNet (the card does, with its citation).
A repository on the Hub must not sell them or stand behind a paid product."""


def push_dataset(
    repo_id: shell.RepoId,
    folder: Annotated[
        Path | None, typer.Option(help="a folder that `babel-imagenet build` wrote; else one is built")
    ] = None,
    labels: Annotated[
        str | None, typer.Option(help="label file to build from: a path, 93 or 298 (without it: 93)")
    ] = None,
    languages: Annotated[str, typer.Option(help="which to build, as for `babel-imagenet build`")] = "all",
    accept_babelnet_license: Annotated[
        bool, typer.Option("--accept-babelnet-license", help="you keep to BabelNet's terms; remembered on this machine")
    ] = False,
    dry_run: shell.DryRun = False,
    private: shell.Private = False,
    revision: shell.Revision = "main",
    create_pr: shell.CreatePr = False,
    overwrite: shell.Overwrite = False,
    tag: shell.Tag = None,
    no_tag: Annotated[bool, typer.Option("--no-tag", help="set no version tag")] = False,
) -> None:
    """Publish the labels as a dataset that `load_dataset` reads: Parquet and card, one commit, a version tag.

    Without --tag the version is 1.0.N for the 93-key label file and 2.0.N for the 298-key one, with the next free N.
    """
    with shell.Guard():
        request = shell.Request(repo_id, dry_run, private, revision, create_pr, overwrite, tag)
        with _folder(folder, labels, languages) as built:
            checked = check_dataset(built)
            card = (built / "README.md").read_text(encoding="utf-8")
            choose = None if no_tag or tag else version_tag(checked, card)
            if not dry_run:
                agree_to_terms(accept_babelnet_license)
            name = "de" if "de" in checked else next(iter(checked))
            line = f'labels = load_dataset("{{repo_id}}", "{name}", split="test", revision="{{revision}}")'
            load = ["from datasets import load_dataset", line]
            shell.run(request, "dataset", lambda hub: dataset_content(hub, built), load=load, choose_tag=choose)


def dataset_content(hub: Hub, folder: Path) -> Content:
    """Give the content of the dataset's repository: the folder, its card with the repository's name in the examples."""
    from babel_push.cards import has_content, remote_front_matter

    card = (folder / "README.md").read_text(encoding="utf-8").replace("ORG/babel-imagenet", hub.repo_id)
    found, _ = folder_files(folder)

    def recognise(there: Snapshot) -> str | None:
        tags = (remote_front_matter(hub, there).get("tags") or []) if has_content(hub, there) else TAGS
        lacking = [tag for tag in TAGS if tag not in tags]
        return f"holds something else (its card lacks the tag {lacking[0]})" if lacking else None

    return Content(
        build=lambda there: {**found, "README.md": card.encode("utf-8")},
        recognise=recognise,
        title="Publish Babel-ImageNet labels",
        description=f"{len(found) - 1} configurations, written by `babel-imagenet build`.",
    )


def check_dataset(folder: Path | str) -> dict[str, int]:
    """Check a built folder as `datasets` will see it.

    Args:
      folder: Parquet files and README.md, nothing else.
    Returns:
      Number of rows by configuration, in the card's order.
    Raises:
      FileNotFoundError: there is no such folder, no card, or a file that the card names is missing.
      ValueError: the folder holds what the card does not name, a configuration does not load, is empty, or has other
        columns than the first of its kind; the message names it.
    """
    from babel_push.cards import read_front_matter

    folder = Path(folder)
    found, debris = folder_files(folder)
    if debris or "README.md" not in found:
        wrong = f"holds {debris[0]}, which no build writes" if debris else "has no README.md"
        raise ValueError(f"{folder} {wrong}; give a folder that `babel-imagenet build` wrote")
    configs = _configurations(read_front_matter(folder / "README.md"))
    stray = sorted(set(found) - {"README.md", *configs.values()})
    if stray:
        raise ValueError(
            f"{folder} holds {stray[0]}, which its card does not name; only Parquet and the card are pushed"
        )
    missing = [path for path in configs.values() if path not in found]
    if missing:
        raise FileNotFoundError(f"{folder / missing[0]} is missing, but the card names it")
    return _load_all(folder, configs)


def version_tag(configs: Mapping[str, int], card: str) -> ChooseTag:
    """Give the chooser of the next version of a whole published release.

    Args:
      configs: number of rows by configuration.
      card: the dataset's card, which names the sha256 of the label file that it was built from.

    Raises:
      ValueError: the labels are not those of a published file, or not all of them; the version has to be given.
    """
    from babel_imagenet_dataset.release import PUBLISHED

    # 93 and 298 keys hold English, and `prompts` comes on top.
    is_whole = {key: len(configs) == int(key) + 1 and {"en", "prompts"} <= set(configs) for key in RELEASES}
    release = next((v for key, v in RELEASES.items() if is_whole[key] and PUBLISHED[key].sha256 in card), None)
    if release is None:
        raise ValueError(
            f"these {len(configs)} configurations are no whole published release (all 93 or 298 languages of a"
            " published label file, and prompts); name the version with --tag, or push without one with --no-tag"
        )
    return next_patch(release)


def agree_to_terms(accepted: bool) -> None:
    """Print BabelNet's terms, and go on only if they were accepted, now or earlier on this machine.

    Raises:
      ValueError: they were not.
    """
    from rich.console import Console

    from babel_imagenet_dataset.files import write_text

    Console(highlight=False, soft_wrap=True).print(TERMS, markup=False)
    home = os.environ.get("XDG_CONFIG_HOME") or os.path.expanduser("~/.config")
    mark = Path(home) / "babel-imagenet" / "accepted-babelnet-license"
    if accepted:
        write_text(mark, TERMS + "\n")
    elif not (mark.is_file() and mark.read_text(encoding="utf-8") == TERMS + "\n"):
        raise ValueError("to publish the labels, read these terms and give --accept-babelnet-license once")


@contextmanager
def _folder(folder: Path | None, labels: str | None, languages: str) -> Iterator[Path]:
    if folder is not None:
        if labels is not None or languages != "all":
            raise ValueError("--folder is built already; leave out --labels and --languages")
        yield folder
        return
    from babel_imagenet_dataset.export import build
    from babel_imagenet_dataset.release import load_labels, load_prompts

    with tempfile.TemporaryDirectory(prefix="babel-push-") as temporary:
        yield build(load_labels(labels), load_prompts(), Path(temporary) / "built", selectors=languages).path


def _configurations(card: Mapping[str, Any]) -> dict[str, str]:
    """Give file by configuration as the card has them."""
    configs: dict[str, str] = {}
    for config in card.get("configs") or []:
        name, files = config.get("config_name"), config.get("data_files")
        paths = [each.get("path") for each in files] if isinstance(files, list) else []
        if not isinstance(name, str) or len(paths) != 1 or not isinstance(paths[0], str):
            raise ValueError(f"README.md: configuration {name!r} must have a name that is text, and one file")
        configs[name] = paths[0]
    if not configs:
        raise ValueError("README.md names no configurations (`configs` at its head)")
    return configs


def _load_all(folder: Path, configs: Mapping[str, str]) -> dict[str, int]:
    """Load each configuration with `datasets`; the card itself is read by it once, since it is long."""
    import datasets

    rows: dict[str, int] = {}
    columns: dict[bool, list[str]] = {}
    seen = set(datasets.get_dataset_config_names(str(folder)))
    if seen != set(configs):
        raise ValueError(f"{folder}: datasets sees other configurations than the card: {sorted(seen ^ set(configs))}")
    with tempfile.TemporaryDirectory(prefix="babel-push-") as cache, _no_progress():
        for name, path in configs.items():
            try:
                data = datasets.Dataset.from_parquet(str(folder / path), cache_dir=cache)
            except (datasets.exceptions.DatasetGenerationError, ValueError, OSError) as error:
                raise ValueError(f"{folder / path}: configuration {name} does not load: {error}") from error
            usual = columns.setdefault(name == "prompts", data.column_names)
            if not len(data) or data.column_names != usual:
                raise ValueError(f"{folder / path}: {len(data)} rows, columns {data.column_names}; others have {usual}")
            rows[name] = len(data)
    return rows


@contextmanager
def _no_progress() -> Iterator[None]:
    import datasets

    was_on = datasets.utils.is_progress_bar_enabled()
    datasets.disable_progress_bars()
    try:
        yield
    finally:
        if was_on:
            datasets.enable_progress_bars()


if __name__ == "__main__":
    shell.main(push_dataset)
