"""People, and what one looks at after a push: shared by the tests of pushes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from loopback_hub import LoopbackHub, User

ANN = User("ann", "hf_annsTokenThatNobodyMaySee0123456789", orgs=("org", "evaluate-metric"))
BOB = User("bob", "hf_bobsTokenThatNobodyMaySee0123456789")
EVE = User("eve", "hf_evesTokenThatNobodyMaySee0123456789", role="read", orgs=("org",))
ROOT = Path(__file__).parents[2]

# Labels that a careless reader of text would lose: `nan`, `null`, an invisible mark.
LABELS = {
    "DE": [[0, 1, 999], ["Schleie", "Goldfisch", "Toilettenpapier"]],
    "NO": [[3, 7], ["nan", "null"]],
    "LO": [[5], ["ປາ\u200bສະຫຼາກ"]],
}


@dataclass(frozen=True)
class Pushed:
    """What a command came to."""

    code: int
    out: str
    err: str

    @property
    def last_line(self) -> str:
        return self.err.rstrip("\n").rpartition("\n")[2]


def check_no_token(text: str) -> None:
    """Fail if anyone's token, or a part of it that would do, stands in a text."""
    for user in (ANN, BOB, EVE):
        assert user.token not in text
        assert user.token[3:] not in text


def content_of(hub: LoopbackHub, kind: str, repo_id: str, revision: str = "main") -> dict[str, bytes]:
    """Give every file of a repository as it lies on the server's disk; no repository: nothing."""
    from loopback_hub.store import Refused

    try:
        repo = hub.store.repo(kind, repo_id)
    except Refused:
        return {}
    return {path: repo.object(entry.sha256).read_bytes() for path, entry in repo.resolve(revision).files.items()}


def titles(hub: LoopbackHub, kind: str, repo_id: str) -> list[str]:
    """Give the titles of all commits, oldest first."""
    return [commit.title for commit in hub.store.repo(kind, repo_id).log("main")][::-1]
