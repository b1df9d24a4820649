"""The other way up: with Xet, as on the real Hub, content does not pass the LFS routes.

The Xet library speaks to servers of its own; here a stand-in puts the content where it would arrive. Everything around
it is the client's own: `create_commit` as it is called on the real Hub.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from loopback_hub import LoopbackHub
from push_helpers import Pushed, content_of, titles

REPO = "org/results"
Push = Callable[..., Pushed]


@pytest.fixture
def xet(hub: LoopbackHub, push: Push, monkeypatch: pytest.MonkeyPatch) -> list[RuntimeError]:
    """Let content go by a stand-in for Xet; errors put into the list are raised, one an upload."""
    from huggingface_hub import _commit_api

    errors: list[RuntimeError] = []

    def upload(*, additions: list[Any], repo_type: str, repo_id: str, **_: Any) -> None:
        if errors:
            raise errors.pop()
        for addition in additions:
            with addition.as_file() as file:
                hub.store.repo(f"{repo_type}s", repo_id).put(file.read())

    monkeypatch.setattr(_commit_api, "is_xet_available", lambda: True)
    monkeypatch.setattr(_commit_api, "_upload_xet_files", upload)
    return errors


def test_content_goes_by_xet_and_comes_back(
    hub: LoopbackHub, push: Push, xet: list[RuntimeError], results_file: Callable[..., Path]
) -> None:
    pushed = push("results", "--repo-id", REPO, results_file("org/new"))
    assert pushed.code == 0, pushed.err
    assert "came back" in pushed.out
    assert hub.count("lfs-batch") == hub.count("lfs-put") == 0


@pytest.mark.parametrize("fault", [{"lose_answer": True}, {"status": 503, "body": "{}"}])
def test_a_commit_is_made_once_whatever_becomes_of_its_answer(
    hub: LoopbackHub, push: Push, xet: list[RuntimeError], results_file: Callable[..., Path], fault: dict[str, Any]
) -> None:
    met = hub.fail("commit", **fault)
    pushed = push("results", "--repo-id", REPO, results_file("org/new"))
    assert (pushed.code, met.hits) == (0, 1), pushed.err
    assert titles(hub, "datasets", REPO) == ["initial commit", "Add results of org/new"]


def test_an_error_of_the_xet_library_is_tried_again_and_then_told(
    hub: LoopbackHub, push: Push, xet: list[RuntimeError], results_file: Callable[..., Path]
) -> None:
    xet += [RuntimeError("Data processing error: CAS service error")] * 2
    assert push("results", "--repo-id", REPO, results_file("org/a")).code == 0
    before = content_of(hub, "datasets", REPO)
    xet += [RuntimeError("Data processing error: CAS service error")] * 5
    pushed = push("results", "--repo-id", REPO, results_file("org/b"))
    assert pushed.code == 5
    assert "CAS service error" in pushed.last_line
    assert content_of(hub, "datasets", REPO) == before
