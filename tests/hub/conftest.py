"""The loopback Hub under test, and the real client for each of its users."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from loopback_hub import LoopbackHub, User

OWNER = User("owner", "owner-token", orgs=("org",))
OTHER = User("other", "other-token")
READER = User("reader", "reader-token", role="read", orgs=("org",))
USERS = {user.name: user for user in (OWNER, OTHER, READER)}


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[LoopbackHub]:
    with LoopbackHub(tmp_path / "hub", USERS.values(), part_size=1 << 20) as running:
        yield running


@pytest.fixture
def as_user(hub: LoopbackHub, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., Any]:
    """Give the client of a user; None is nobody."""
    from huggingface_hub import HfApi, constants
    from huggingface_hub.utils import _http, disable_progress_bars

    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(_http.time, "sleep", lambda seconds: None)
    disable_progress_bars()
    return lambda name: HfApi(endpoint=hub.url, token=USERS[name].token if name else False)
