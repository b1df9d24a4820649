"""Publish the metric's Space: `python push_scripts/push_metric.py --repo-id ORG/babel_zsic`.

The same as `babel-imagenet push metric`.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from babel_push import shell
from babel_push.plan import Snapshot, folder_files
from babel_push.publish import Content

if TYPE_CHECKING:
    from babel_push.hub import Hub

NAME = "babel_zsic"
_NEEDED = (f"{NAME}.py", "app.py", "requirements.txt", "README.md")
_PYTHON = re.compile(r"3\.\d+(\.\d+)?")
_PINNED = re.compile(r"[A-Za-z0-9._-]+(\[[\w,-]+\])?==[\w.!+]+(\s*;.*)?")


def push_metric(
    repo_id: shell.RepoId,
    folder: Annotated[Path | None, typer.Option(help="the metric's folder (without it: the installed one)")] = None,
    dry_run: shell.DryRun = False,
    private: shell.Private = False,
    revision: shell.Revision = "main",
    create_pr: shell.CreatePr = False,
    overwrite: shell.Overwrite = False,
    tag: shell.Tag = None,
) -> None:
    """Publish the metric as a Space that `evaluate.load` reads: exactly the folder, in one commit."""
    with shell.Guard():
        request = shell.Request(repo_id, dry_run, private, revision, create_pr, overwrite, tag)
        if repo_id.rpartition("/")[2] != NAME:
            raise ValueError(f"the Space must be called {NAME}, as its file is: --repo-id ORG/{NAME}, got {repo_id!r}")
        place = folder or installed_metric()
        check_metric(place)
        short = NAME if repo_id.startswith("evaluate-metric/") else "{repo_id}"
        load = ["import evaluate", f'metric = evaluate.load("{short}", revision="{{revision}}")']
        shell.run(request, "space", lambda hub: metric_content(hub, place), load=load)


def metric_content(hub: Hub, folder: Path) -> Content:
    """Give the content of the Space: the folder without byte code, caches and tests."""
    from babel_push.cards import has_content

    found, debris = folder_files(folder)

    def recognise(there: Snapshot) -> str | None:
        if has_content(hub, there) and f"{NAME}.py" not in there.files:
            return f"holds something else (no {NAME}.py)"
        return None

    return Content(
        build=lambda there: found,
        recognise=recognise,
        title=f"Publish {NAME}",
        description="Written by `babel-imagenet push metric`.",
        sdk="gradio",
        left_out=tuple(debris),
    )


def check_metric(folder: Path | str) -> None:
    """Check that a folder is what a Space needs.

    Raises:
      FileNotFoundError: there is no such folder, or one of the four files is missing.
      ValueError: README.md does not name gradio, its version, Python's and the page, or a requirement is not pinned.
    """
    from babel_push.cards import read_front_matter

    folder = Path(folder)
    found, _ = folder_files(folder)
    missing = [name for name in _NEEDED if name not in found]
    if missing:
        raise FileNotFoundError(f"{folder / missing[0]} is missing; a Space of the metric needs {', '.join(_NEEDED)}")
    card = read_front_matter(folder / "README.md")
    if card.get("sdk") != "gradio" or not re.fullmatch(r"\d+\.\d+\.\d+", str(card.get("sdk_version"))):
        raise ValueError(f"{folder / 'README.md'} must say `sdk: gradio` and an exact `sdk_version`")
    python = card.get("python_version")
    if not (isinstance(python, str) and _PYTHON.fullmatch(python)):  # without quotes YAML reads 3.10 as 3.1
        wanted = 'a `python_version` in quotes, such as "3.11", since a Space\'s own is older than the pinned packages'
        raise ValueError(f"{folder / 'README.md'} must say {wanted}; got {python!r}")
    if card.get("app_file") != "app.py":
        raise ValueError(f"{folder / 'README.md'} must say `app_file: app.py`, got {card.get('app_file')!r}")
    for line in (folder / "requirements.txt").read_text(encoding="utf-8").splitlines():
        wanted = line.partition("#")[0].strip()
        if wanted and not _PINNED.fullmatch(wanted):
            raise ValueError(f"{folder / 'requirements.txt'}: {wanted!r} has no exact version (NAME==VERSION)")


def installed_metric() -> Path:
    """Give the folder of the installed metric; in a checkout that is `metric/babel_zsic`."""
    import babel_zsic

    return Path(babel_zsic.__path__[0])


if __name__ == "__main__":
    shell.main(push_metric)
