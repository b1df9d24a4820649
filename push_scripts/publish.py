"""A push from beginning to end: look, compare, one commit, bring it back and compare, tag.

Whatever happens on the way, the repository holds the old state or the new one: content goes up first and counts for
nothing, then one commit on top of the commit that was looked at makes it visible. After any failure the repository is
looked at again before anything else is tried, so a commit whose answer was lost is found and not made twice.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from babel_push.errors import ConflictError, CorruptError, RefusedError, UnreachableError
from babel_push.plan import LocalFile, Plan, Snapshot, make_plan

if TYPE_CHECKING:
    from babel_push.hub import Hub

DOWNLOADS_AT_ONCE = 8
Files = Mapping[str, "Path | bytes"]
# Chooses a tag from those that are there and the commit that shall have it (None: the commit is yet to be made).
ChooseTag = Callable[[Mapping[str, str], "str | None"], str]


@dataclass(frozen=True)
class Content:
    """What a push wants to be in the repository.

    Attributes:
      build: gives path → file for the repository as it is; called again when that changed. It may read from the Hub.
      recognise: says what is wrong about the repository as it is: why it seems to hold something else; None: nothing.
      title: first line of the commit.
      description: its further text.
      owns: says of a path which is there and not in the files whether it is ours to delete.
      sdk: kind of Space, for Spaces.
      left_out: files beside the content that are not published, for the user to know.
    """

    build: Callable[[Snapshot], Files]
    recognise: Callable[[Snapshot], str | None]
    title: str
    description: str = ""
    owns: Callable[[str], bool] = lambda path: True
    sdk: str | None = None
    left_out: tuple[str, ...] = ()


@dataclass(frozen=True)
class Wishes:
    """How to push.

    Attributes:
      dry_run: look and compare only.
      is_private: a repository that has to be made is private.
      as_pull: open a pull request instead of committing.
      overwrite: also where the repository holds something else.
      choose_tag: None: no tag.
    """

    dry_run: bool = False
    is_private: bool = False
    as_pull: bool = False
    overwrite: bool = False
    choose_tag: ChooseTag | None = None


@dataclass(frozen=True)
class Outcome:
    """What a push came to.

    Attributes:
      plan: what it changed, or would change.
      commit: the commit that holds the content; None after a dry run on a repository that is not there.
      is_new: whether this push made it.
      pull: address of the pull request, if one was opened or is open already.
      tag: the tag that names the commit, or would.
    """

    plan: Plan
    commit: str | None
    is_new: bool = False
    pull: str | None = None
    tag: str | None = None


def publish(
    hub: Hub, content: Content, wishes: Wishes, *, say: Callable[[str], None], show: Callable[[Plan], None]
) -> Outcome:
    """Bring a repository to hold some content.

    Args:
      hub: the repository.
      content: what it shall hold.
      wishes: how.
      say: takes a line for the user.
      show: takes the plan for the user, before anything is changed.
    Returns:
      The outcome; nothing was committed where nothing differs.
    Raises:
      RefusedError: the repository holds something else, or the tag names another commit already.
      DeniedError, ConflictError, UnreachableError, CorruptError: see `babel_push.errors`.
      ValueError: the content itself is unsound, or the Hub refuses its README.
    """
    attempt = _Attempt(hub, content, wishes, say, show)
    if wishes.dry_run:
        return hub.patience.keep_trying(lambda: attempt.look()[0])
    outcome = hub.patience.keep_trying(attempt.push, ConflictError)
    if outcome.is_new and outcome.commit:
        _verify(hub, outcome.plan.files, outcome.commit)
        say(f"checked: {len(outcome.plan.files)} files came back from commit {outcome.commit[:10]} as they were sent")
    if wishes.choose_tag is None or outcome.pull:
        return replace(outcome, tag=None)
    return replace(outcome, tag=_tag(hub, wishes.choose_tag, outcome.commit, say))


@dataclass
class _Attempt:
    """The part of a push that is done again after a failure; it remembers what was sent before."""

    hub: Hub
    content: Content
    wishes: Wishes
    say: Callable[[str], None]
    show: Callable[[Plan], None]
    sent: Plan | None = None
    shown: Plan | None = None

    def look(self) -> tuple[Outcome, Snapshot]:
        """Compare, show, and refuse what must not be touched."""
        there = self.hub.snapshot()
        base = there
        if there.commit is None and there.exists and self.hub.revision != "main":
            base = self.hub.snapshot("main")  # where a new branch begins
        plan = self._plan(base)
        if self.shown is None or self.shown.changes != plan.changes:
            self.show(plan)
            self.shown = plan
        reason = None if self.wishes.overwrite or plan.is_empty else self.content.recognise(base)
        if reason:
            raise RefusedError(f"{self.hub.repo_id} {reason}; nothing was changed (--overwrite replaces it)")
        tag = None
        if self.wishes.choose_tag is not None:
            tags = self.hub.tags() if there.exists else {}
            tag = self.wishes.choose_tag(tags, base.commit if plan.is_empty else None)
        return Outcome(plan, base.commit, tag=tag), there

    def push(self) -> Outcome:
        """Look, and make the commit if something differs."""
        outcome, there = self.look()
        if outcome.plan.is_empty:
            if self.sent is None:
                return outcome
            self.say("the commit is there: an earlier try got through, and only its answer was lost")
            return replace(outcome, plan=self.sent, is_new=True)
        if self.wishes.as_pull and there.commit and (pull := self._open_pull()):
            return replace(outcome, pull=pull)
        plan, parent = outcome.plan, there.commit
        if parent is None:
            made = self._make(there)
            plan, parent = self._plan(made), made.commit or ""
        elif self.wishes.is_private and there.is_private is False:
            self.say(f"{self.hub.repo_id} is there already and public; --private does not change that")
        self.sent = plan
        title, description = self.content.title, self.content.description
        commit, pull = self.hub.commit(plan, parent, title, description, as_pull=self.wishes.as_pull)
        return replace(outcome, plan=plan, commit=commit, is_new=True, pull=pull)

    def _plan(self, there: Snapshot) -> Plan:
        return make_plan(self.content.build(there), there, owns=self.content.owns)

    def _make(self, there: Snapshot) -> Snapshot:
        """Make the repository and the branch where they are not there yet, and look again."""
        if not there.exists:
            self.hub.create(is_private=self.wishes.is_private, sdk=self.content.sdk)
        if self.hub.revision != "main":
            self.hub.create_branch()
        return self.hub.snapshot()

    def _open_pull(self) -> str | None:
        return self.hub.find_pull(self.content.title, lambda there: self._plan(there).is_empty)


def _verify(hub: Hub, files: Mapping[str, LocalFile], commit: str) -> None:
    """Download what was sent, at the new commit, and compare sha256.

    Raises:
      CorruptError: a file differs; it is named.
      UnreachableError: it could not be downloaded; the commit is there all the same.
    """
    with tempfile.TemporaryDirectory(prefix="babel-push-") as folder, ThreadPoolExecutor(DOWNLOADS_AT_ONCE) as pool:

        def bring_back(path: str) -> Path:
            return hub.patience.keep_trying(lambda: hub.read_file(path, commit, Path(folder)))

        try:
            places = list(pool.map(bring_back, files))
        except UnreachableError as error:
            raise UnreachableError(f"commit {commit[:10]} is made, but could not be checked: {error}") from error
        for (path, file), place in zip(files.items(), places, strict=True):
            if (back := LocalFile(place).sha256) != file.sha256:
                raise CorruptError(
                    f"{path} came back from {hub.repo_id}@{commit[:10]} with sha256 {back}, {file.sha256} was sent;"
                    " do not use this commit, push again"
                )


def _tag(hub: Hub, choose: ChooseTag, commit: str | None, say: Callable[[str], None]) -> str:
    def attempt() -> str:
        tags = hub.tags()
        tag = choose(tags, commit)
        if commit is not None and tags.get(tag) != commit:
            hub.create_tag(tag, commit)
            say(f"tag {tag} names commit {commit[:10]}")
        return tag

    return hub.patience.keep_trying(attempt, ConflictError)


def fixed_tag(tag: str) -> ChooseTag:
    """Give the chooser of one tag, which refuses to move it."""

    def choose(tags: Mapping[str, str], commit: str | None) -> str:
        if tag in tags and tags[tag] != commit:
            raise RefusedError(f"tag {tag} names commit {tags[tag][:10]} already, and a version is never moved")
        return tag

    return choose


def next_patch(release: str) -> ChooseTag:
    """Give the chooser of `release.N`: the tag that names the commit already, else the next free N.

    Args:
      release: the part that is given, such as `2.0`.
    """

    def choose(tags: Mapping[str, str], commit: str | None) -> str:
        ours = {t: c for t, c in tags.items() if t.startswith(f"{release}.") and t[len(release) + 1 :].isdigit()}
        patches = {int(t[len(release) + 1 :]): c for t, c in ours.items()}
        there = [n for n, c in patches.items() if c == commit]
        return f"{release}.{max(there) if there else max(patches, default=-1) + 1}"

    return choose
