"""What the four commands share: options, tables, exit codes, and no token in anything that is printed."""

from __future__ import annotations

import os
import re
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Annotated, Any, TextIO

import typer

from babel_eval.shell import said
from babel_push.errors import Patience, PushError
from babel_push.publish import ChooseTag, Content, Outcome, Wishes, fixed_tag, publish

if TYPE_CHECKING:
    from babel_push.hub import Hub
    from babel_push.plan import Plan

RepoId = Annotated[str, typer.Option("--repo-id", metavar="ORG/NAME", help="the repository on the Hub")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="print files, sizes and what would change; change nothing")]
Private = Annotated[bool, typer.Option("--private", help="a repository that has to be made is private")]
Revision = Annotated[str, typer.Option("--revision", metavar="BRANCH", help="branch to push to; made where missing")]
CreatePr = Annotated[bool, typer.Option("--create-pr", help="open a pull request instead of committing")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="also where the repository holds something else")]
Tag = Annotated[str | None, typer.Option("--tag", metavar="NAME", help="tag that shall name the commit; never moved")]

_REPO_ID = re.compile(r"[A-Za-z0-9_](?:[\w.-]{0,94}\w)?/[A-Za-z0-9_](?:[\w.-]{0,94}\w)?", re.ASCII)
# Tokens of the Hub (of users, of organisations, by OAuth), and a password inside a URL.
_SECRETS = re.compile(
    r"\b(hf|api_org)_[A-Za-z0-9]{16,}|\bhf_(oauth|jwt)_[\w.-]{8,}|(?<=://)[^/\s@]+:[^/\s@]+(?=@)",
)


@dataclass(frozen=True)
class Request:
    """What the options that all commands share say."""

    repo_id: str
    dry_run: bool = False
    is_private: bool = False
    revision: str = "main"
    create_pr: bool = False
    overwrite: bool = False
    tag: str | None = None

    def wishes(self, by_itself: ChooseTag | None = None) -> Wishes:
        """Give the wishes; a tag that was asked for goes before the one that a command chooses by itself.

        Raises:
          ValueError: a tag together with a pull request: it would name what is not merged yet.
        """
        if self.tag and self.create_pr:
            raise ValueError("--tag names a commit of a branch; push the tag after the pull request is merged")
        by_itself = by_itself if self.revision == "main" and not self.create_pr else None
        choose = fixed_tag(self.tag) if self.tag else by_itself
        return Wishes(self.dry_run, self.is_private, self.create_pr, self.overwrite, choose)


def run(
    request: Request,
    repo_type: str,
    make_content: Callable[[Hub], Content],
    *,
    load: Iterable[str],
    choose_tag: ChooseTag | None = None,
) -> Outcome:
    """Push and print: the plan, what happened, and the lines a user needs to load it.

    Args:
      request: the options.
      repo_type: `dataset`, `space` or `model`.
      make_content: gives what to push, for the repository.
      load: lines of Python; `{repo_id}` and `{revision}` stand for the repository, and for the tag or the commit.
      choose_tag: chooses the tag where the user asked for none; None: no tag.
    Raises:
      ValueError: the repository's name is none.
      PushError: see `babel_push.publish.publish`.
    """
    from rich.console import Console

    from babel_push.hub import Hub

    def say(line: str) -> None:
        console.print(line, markup=False)

    console = Console(highlight=False, soft_wrap=True)
    wishes = request.wishes(choose_tag)
    hub = Hub(check_repo_id(request.repo_id), repo_type, request.revision, Patience(say=_warn))
    content = make_content(hub)
    if content.left_out:
        say(f"left out: {', '.join(content.left_out)}")
    with _no_bars_in_files():
        outcome = publish(hub, content, wishes, say=say, show=lambda plan: _show(console, hub, plan))
        if wishes.dry_run:
            _show_insides(hub, outcome, say)
    for line in _report(hub, outcome, wishes):
        say(line)
    if not wishes.dry_run and not outcome.pull:
        say("\nto load it:\n")
        for line in load:
            say("    " + line.format(repo_id=request.repo_id, revision=outcome.tag or outcome.commit))
    return outcome


def check_repo_id(repo_id: str) -> str:
    """Give a sound `ORG/NAME` back.

    Raises:
      ValueError: it is none. The message does not repeat what might be a URL with a token.
    """
    if not _REPO_ID.fullmatch(repo_id) or "--" in repo_id or ".." in repo_id:
        given = f", got {repo_id!r}" if "/" in repo_id and "://" not in repo_id else ""
        raise ValueError(f"--repo-id must be ORG/NAME (letters, digits, '-', '_', '.'){given}")
    return repo_id


def main(command: Callable[..., None]) -> None:
    """Run one command as a script."""
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.command()(command)
    app()


class Guard:
    """Runs a command: errors become one line and an exit code, and no token reaches stdout or stderr.

    Both streams are wrapped for as long as the block runs, so that lines of other libraries, warnings, progress bars
    and tracebacks pass the same filter. With BABEL_TRACEBACK set the traceback is printed, filtered too.
    """

    def __enter__(self) -> Guard:
        self._streams = sys.stdout, sys.stderr
        sys.stdout, sys.stderr = Redacted(sys.stdout), Redacted(sys.stderr)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is not None and not issubclass(kind, (SystemExit, typer.Exit, GeneratorExit)):
                raise typer.Exit(self._print(kind, error, trace)) from None
        finally:
            sys.stdout, sys.stderr = self._streams

    def _print(self, kind: type[BaseException], error: BaseException | None, trace: TracebackType | None) -> int:
        is_known = issubclass(kind, (PushError, ValueError, KeyError, ImportError, OSError, KeyboardInterrupt))
        if os.environ.get("BABEL_TRACEBACK") or not is_known:
            sys.stderr.write("".join(traceback.format_exception(kind, error, trace)))
        if issubclass(kind, KeyboardInterrupt):
            _warn("stopped; the repository holds its old state or the new one, the same command goes on")
            return 130
        sys.stderr.write(f"error: {' '.join(said(error or kind()).split())}\n")
        return getattr(error, "exit_code", 2 if is_known else 1)


class Redacted:
    """A text stream that lets no token through."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write text, tokens blacked out."""
        self._stream.write(redact(text))
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        """Write lines, tokens blacked out."""
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def redact(text: str, known: Iterable[str] | None = None) -> str:
    """Black out tokens: those of this machine, and whatever looks like one of the Hub's.

    Args:
      text: any text.
      known: tokens to black out; where None, those of the environment and of the login.
    """
    for token in sorted(_tokens() if known is None else known, key=len, reverse=True):
        text = text.replace(token, "***")
    return _SECRETS.sub("***", text)


def _tokens() -> set[str]:
    names = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HUGGINGFACE_TOKEN")
    found = {os.environ.get(name, "").strip() for name in names}
    found.add(_login())
    return {token for token in found if len(token) >= 4}


def _login() -> str:
    home = os.environ.get("HF_HOME", os.path.expanduser("~/.cache/huggingface"))
    path = Path(os.environ.get("HF_TOKEN_PATH", os.path.join(home, "token")))
    try:
        return path.read_text(encoding="utf-8").strip()
    except OSError:
        return ""


def _warn(line: str) -> None:
    sys.stderr.write(f"{line}\n")


def _show(console: Any, hub: Any, plan: Plan) -> None:
    from rich.filesize import decimal
    from rich.table import Table

    table = Table(title=f"{hub.repo_type} {hub.repo_id}, branch {hub.revision}", title_justify="left")
    for name in ("", "file", "size", "before"):
        table.add_column(name, justify="left" if name in ("", "file") else "right", overflow="fold")
    for change in plan.changes:
        sizes = ["" if size is None else decimal(size) for size in (change.size, change.old_size)]
        table.add_row(change.what, change.path, *sizes)
    if not console.is_terminal:  # in a log each file is one line, however long its name
        console.width = max(console.width, console.measure(table, options=console.options.update(width=1000)).maximum)
    console.print(table)
    counts = {what: len(plan.of(what)) for what in ("add", "change", "delete", "same")}
    upload = decimal(sum(file.size for file in plan.files.values()))
    console.print(", ".join(f"{n} to {what}" if what != "same" else f"{n} the same" for what, n in counts.items()) +
                  f"; {upload} to upload")  # fmt: skip


def _show_insides(hub: Hub, outcome: Outcome, say: Callable[[str], None]) -> None:
    """Say which lines and rows of changed files go and come."""
    import tempfile

    from babel_push.diffs import can_diff, diff

    with tempfile.TemporaryDirectory(prefix="babel-push-") as folder:
        for change in outcome.plan.of("change"):
            if outcome.commit is None or not can_diff(change.path):
                continue
            read = partial(hub.read_file, change.path, outcome.commit, Path(folder))
            there = hub.patience.keep_trying(read).read_bytes()
            say(f"\n{change.path}:")
            for line in diff(change.path, there, outcome.plan.files[change.path].content):
                say(f"  {line}")


@contextmanager
def _no_bars_in_files() -> Iterator[None]:
    """Keep the client's progress bars, one a file, out of logs; in a terminal they stay."""
    from huggingface_hub.utils import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars

    if sys.stderr.isatty() or are_progress_bars_disabled():
        yield
        return
    disable_progress_bars()
    try:
        yield
    finally:
        enable_progress_bars()


def _report(hub: Any, outcome: Outcome, wishes: Wishes) -> list[str]:
    if wishes.dry_run:
        tag = [f"tag: {outcome.tag}"] if outcome.tag else []
        return [*tag, "dry run: nothing was changed"]
    if outcome.pull:
        return [f"pull request: {outcome.pull}" + ("" if outcome.is_new else " (open already, nothing to add)")]
    if not outcome.is_new:
        return [f"nothing to push: {hub.url} holds this already, at commit {(outcome.commit or '')[:10]}"]
    return [f"pushed to {hub.url}, commit {(outcome.commit or '')[:10]}"]
