"""The Hub as pushes see it: one repository and branch, each call made once, errors with a kind.

`huggingface_hub` tries some calls again by itself (uploads, downloads) and others not (create, commit, info, tag); the
callers here do it for all by `Patience`, because after a failure one has to look again before one tries again.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from json import JSONDecodeError
from pathlib import Path
from typing import Any, TypeVar

from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi
from huggingface_hub.errors import (
    HfHubHTTPError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from babel_push.errors import (
    ConflictError,
    DeniedError,
    Patience,
    PushError,
    RefusedError,
    UnreachableError,
)
from babel_push.plan import Plan, RemoteFile, Snapshot

T = TypeVar("T")
# Libraries below huggingface_hub whose errors mean that a connection failed; which one depends on its version.
_TRANSPORTS = frozenset({"httpx", "httpx2", "httpcore", "httpcore2", "requests", "urllib3", "hf_xet"})
_CONFLICTS = (409, 412)
_PASSING = (408, 425, 429, 500, 502, 503, 504)


@dataclass(frozen=True)
class Hub:
    """One repository on the Hub, seen through its API.

    Attributes:
      repo_id: `ORG/NAME`.
      repo_type: `dataset`, `space` or `model`.
      revision: the branch.
      patience: how often to try again.
      token: None: the login of this machine, or HF_TOKEN.
    """

    repo_id: str
    repo_type: str
    revision: str = "main"
    patience: Patience = field(default_factory=Patience)
    token: str | None = None

    @cached_property
    def api(self) -> HfApi:
        """The client; HF_ENDPOINT counts as it is now, with or without a slash at its end."""
        _bound_waiting(self.patience.timeout)
        endpoint = os.environ.get("HF_ENDPOINT", "").rstrip("/") or None
        return HfApi(endpoint=endpoint, token=self.token, library_name="babel-imagenet")

    @property
    def url(self) -> str:
        """The repository's page."""
        prefix = "" if self.repo_type == "model" else f"{self.repo_type}s/"
        return f"{self.api.endpoint}/{prefix}{self.repo_id}"

    def call(self, what: str, function: Callable[..., T], **arguments: Any) -> T:
        """Call the API once; errors come out as this module's.

        Args:
          what: what is being done, for the error's sentence: `read ORG/NAME`.
          function: a method of the client, or a function that calls some.
          **arguments: its arguments.
        """
        try:
            return function(**arguments)
        except Exception as error:
            if not _is_of_the_hub(error):
                raise
            raise _explain(what, error) from error

    # Reading

    def snapshot(self, revision: str | None = None) -> Snapshot:
        """Read what the branch, or another revision, holds; one request."""
        known = {**self._known, "revision": revision or self.revision, "files_metadata": True}
        try:
            info = self.call(f"read {self.repo_id}", self.api.repo_info, **known)
        except PushError as error:
            if isinstance(error.__cause__, RevisionNotFoundError):
                return Snapshot(None)
            if isinstance(error.__cause__, RepositoryNotFoundError):
                return Snapshot(None, exists=False)
            raise
        files = {
            s.rfilename: RemoteFile(s.size or 0, s.blob_id or "", s.lfs.sha256 if s.lfs else None)
            for s in getattr(info, "siblings", None) or []
        }
        return Snapshot(info.sha, files, is_private=getattr(info, "private", None))

    def read_file(self, path: str, commit: str, folder: Path) -> Path:
        """Download one file at a commit into a folder, and give its place."""
        known = {**self._known, "filename": path, "revision": commit, "local_dir": folder}
        return Path(self.call(f"download {path}", self.api.hf_hub_download, **known))

    def tags(self) -> dict[str, str]:
        """Give the tags of the repository and the commits they name."""
        refs = self.call(f"read the tags of {self.repo_id}", self.api.list_repo_refs, **self._known)
        return {tag.name: tag.target_commit for tag in refs.tags}

    def find_pull(self, title: str, is_wanted: Callable[[Snapshot], bool]) -> str | None:
        """Give the address of an open pull request of this title whose files are as wanted."""
        what = f"read the pull requests of {self.repo_id}"
        for pull in self.call(what, lambda: list(self.api.get_repo_discussions(**self._known))):
            is_open = pull.is_pull_request and pull.status in ("open", "draft") and pull.title == title
            if is_open and is_wanted(self.snapshot(f"refs/pr/{pull.num}")):
                return f"{self.url}/discussions/{pull.num}"
        return None

    @property
    def _known(self) -> dict[str, Any]:
        return {"repo_id": self.repo_id, "repo_type": self.repo_type}

    # Writing

    def create(self, *, is_private: bool, sdk: str | None = None) -> None:
        """Make the repository; nothing happens where it is there already."""
        space = {"space_sdk": sdk} if sdk else {}
        make = self.api.create_repo
        self.call(f"make {self.repo_id}", make, **self._known, private=is_private, exist_ok=True, **space)

    def create_branch(self) -> None:
        """Make the branch from `main`; nothing happens where it is there already."""
        make = self.api.create_branch
        self.call(f"make branch {self.revision}", make, **self._known, branch=self.revision, exist_ok=True)

    def create_tag(self, tag: str, commit: str) -> None:
        """Let a new tag name a commit; ConflictError where the tag is there."""
        self.call(f"set tag {tag}", self.api.create_tag, **self._known, tag=tag, revision=commit)

    def commit(self, plan: Plan, parent: str, title: str, description: str, *, as_pull: bool) -> tuple[str, str | None]:
        """Make one commit of a plan on top of `parent`, and give its id and the address of the pull request.

        `create_commit` is called with the parent, so that a commit in between is refused and a commit whose answer
        was lost cannot be made twice. `upload_folder` is not: with Xet it retries the commit without a parent.
        """
        uploads = [
            CommitOperationAdd(path, str(file.source) if isinstance(file.source, Path) else file.source)
            for path, file in plan.files.items()
        ]
        removals = [CommitOperationDelete(change.path, is_folder=False) for change in plan.of("delete")]
        made = self.call(
            f"commit to {self.repo_id}",
            self.api.create_commit,
            **self._known,
            revision=self.revision,
            operations=[*removals, *uploads],
            commit_message=title,
            commit_description=description,
            parent_commit=parent,
            create_pr=as_pull,
        )
        return made.oid, made.pr_url


def _explain(what: str, error: BaseException) -> PushError:
    """Turn an error of the client into one sentence with an exit code."""
    answered = _answered(error)
    if answered is None:
        reason = " ".join(str(error).split()) or type(error).__name__
        return UnreachableError(f"could not {what}: {reason}")
    response = answered.response
    status = response.status_code
    said = " ".join((getattr(answered, "server_message", None) or "").split())
    sentence = f"could not {what}: {said or 'the Hub answers'} ({status})"
    if status in _ADVICE:
        return DeniedError(f"{sentence}; {_ADVICE[status]}")
    if status in _CONFLICTS:
        return ConflictError(sentence)
    if status in _PASSING:
        return UnreachableError(sentence, wait=_retry_after(response))
    if status == 404:
        return RefusedError(f"{sentence}; it is not there, or this token may not see it")
    return RefusedError(sentence)


def _answered(error: BaseException | None) -> Any:
    """Give the error, this or one below it, that holds an answer of the Hub; None where no answer came."""
    while error is not None and getattr(error, "response", None) is None:
        error = error.__cause__
    return error


def _is_of_the_hub(error: BaseException) -> bool:
    """Say whether an error came from the Hub or from the way there, and not from the files here.

    The Xet library raises bare RuntimeErrors, `huggingface_hub` bare OSErrors (a file of the wrong length), and it
    reads some answers as JSON before it looks at their status, so that a proxy's error page is a JSONDecodeError.
    """
    known = (HfHubHTTPError, LocalEntryNotFoundError, ConnectionError, TimeoutError, RuntimeError, JSONDecodeError)
    if isinstance(error, known):
        return True
    if any(kind.__module__.partition(".")[0] in _TRANSPORTS for kind in type(error).__mro__):
        return True
    return isinstance(error, OSError) and error.errno is None


_ADVICE = {
    401: "log in with `hf auth login`, or set HF_TOKEN to a token that is still valid",
    402: "the owner's plan does not cover this",
    403: "the token needs the right to write to this repository (see push_scripts/README.md, Tokens)",
}


def _retry_after(response: Any) -> float | None:
    value = response.headers.get("Retry-After", "")
    return float(value) if value.isdigit() else None


def _bound_waiting(seconds: float) -> None:
    """Let the client give up on a silent connection; by itself it waits for ever."""
    try:
        from huggingface_hub import set_client_factory
        from huggingface_hub.utils._http import default_client_factory
    except ImportError:  # huggingface_hub < 1 has another client and no such setting
        return

    def factory() -> Any:
        client = default_client_factory()
        client.timeout = seconds
        return client

    set_client_factory(factory)
