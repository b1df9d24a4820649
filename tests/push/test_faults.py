"""What goes wrong on the way: afterwards the repository holds the old state or the new one, and a second run completes.

The push is that of results: three files, one of them by LFS, none of them large.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from loopback_hub import LoopbackHub
from push_helpers import ANN, BOB, EVE, Pushed, check_no_token, content_of, titles

REPO = "org/results"
# What a first push asks for, in this order.
WRITING = ("create", "validate-yaml", "preupload", "lfs-batch", "lfs-put", "lfs-verify", "commit")
ROUTES = ("info", *WRITING, "resolve", "cdn")
Push = Callable[..., Pushed]


@pytest.fixture
def old(hub: LoopbackHub, push: Push, results_file: Callable[..., Path]) -> dict[str, bytes]:
    """A repository that holds something; the state to which a failed push must leave it."""
    assert push("results", "--repo-id", REPO, results_file("org/old", DE=0.1)).code == 0
    hub.asked.clear()
    return content_of(hub, "datasets", REPO)


def holds_new(hub: LoopbackHub) -> bool:
    files = content_of(hub, "datasets", REPO)
    mine = {path.split("/")[0] for path in files if "org-new" in path}
    assert mine in (set(), {"data", "runs"}), f"half a push: {sorted(files)}"
    return bool(mine)


def check_second_run_completes(hub: LoopbackHub, push: Push, new: Path) -> None:
    hub.faults.clear()
    again = push("results", "--repo-id", REPO, new)
    assert again.code == 0, again.err
    assert holds_new(hub)
    assert titles(hub, "datasets", REPO).count("Add results of org/new") == 1


@pytest.mark.parametrize("status", [500, pytest.param(503, marks=pytest.mark.slow)])
@pytest.mark.parametrize("route", ROUTES)
def test_three_refusals_in_a_row_are_outlived(
    hub: LoopbackHub, push: Push, results_file: Callable[..., Path], route: str, status: int
) -> None:
    fault = hub.fail(route, status=status, times=3, body="{}")
    pushed = push("results", "--repo-id", REPO, results_file("org/new"))
    assert pushed.code == 0, pushed.err
    assert fault.hits == 3
    assert holds_new(hub)
    assert titles(hub, "datasets", REPO) == ["initial commit", "Add results of org/new"]


# Not `lfs-verify`: content that is up is not sent, and not verified, again.
@pytest.mark.parametrize(
    "route",
    [
        "info",
        "lfs-put",
        "commit",
        "resolve",
        *(pytest.param(route, marks=pytest.mark.slow) for route in ("preupload", "lfs-batch", "cdn")),
    ],
)
def test_a_hub_that_is_down_changes_nothing_and_says_so(
    hub: LoopbackHub, push: Push, results_file: Callable[..., Path], old: dict[str, bytes], route: str
) -> None:
    hub.fail(route, status=503, times=None, body='{"error": "down for maintenance"}')
    new = results_file("org/new")
    pushed = push("results", "--repo-id", REPO, new)
    assert pushed.code == 5
    assert pushed.last_line.startswith("error: ")
    assert "503" in pushed.last_line or "down for maintenance" in pushed.last_line
    if holds_new(hub):
        assert route in ("resolve", "cdn")
        assert "is made, but could not be checked" in pushed.last_line
    else:
        assert content_of(hub, "datasets", REPO) == old
    check_second_run_completes(hub, push, new)


@pytest.mark.parametrize("after", [pytest.param(0, marks=pytest.mark.slow), 300])
@pytest.mark.parametrize("route", ["lfs-put", "commit", "preupload"])
def test_an_upload_cut_in_the_middle_is_sent_again(
    hub: LoopbackHub, push: Push, results_file: Callable[..., Path], old: dict[str, bytes], route: str, after: int
) -> None:
    fault = hub.fail(route, cut_after=after)
    pushed = push("results", "--repo-id", REPO, results_file("org/new"))
    assert (pushed.code, fault.hits) == (0, 1), pushed.err
    assert holds_new(hub)


@pytest.mark.parametrize("route", ["lfs-put", "commit"])
def test_a_line_that_always_breaks_leaves_the_old_state(
    hub: LoopbackHub, push: Push, results_file: Callable[..., Path], old: dict[str, bytes], route: str
) -> None:
    hub.fail(route, cut_after=300, times=None)
    new = results_file("org/new")
    pushed = push("results", "--repo-id", REPO, new)
    assert pushed.code == 5
    assert content_of(hub, "datasets", REPO) == old
    check_second_run_completes(hub, push, new)


@pytest.mark.parametrize("route", ["resolve", "cdn"])
def test_a_download_cut_in_the_middle_is_fetched_again(
    hub: LoopbackHub, push: Push, results_file: Callable[..., Path], route: str
) -> None:
    fault = hub.fail(route, method="GET", cut_answer_after=100)
    pushed = push("results", "--repo-id", REPO, results_file("org/new"))
    assert (pushed.code, fault.hits) == (0, 1), pushed.err
    assert "came back" in pushed.out


@pytest.mark.parametrize("route", ["create", "commit"])
def test_an_answer_that_is_lost_does_not_make_two_commits(
    hub: LoopbackHub, push: Push, results_file: Callable[..., Path], route: str
) -> None:
    fault = hub.fail(route, lose_answer=True)
    pushed = push("results", "--repo-id", REPO, results_file("org/new"))
    assert (pushed.code, fault.hits) == (0, 1), pushed.err
    assert titles(hub, "datasets", REPO) == ["initial commit", "Add results of org/new"]
    assert ("only its answer was lost" in pushed.out) == (route == "commit")
    assert "came back" in pushed.out


def test_a_pull_request_whose_answer_is_lost_is_not_opened_twice(
    hub: LoopbackHub, push: Push, results_file: Callable[..., Path], old: dict[str, bytes]
) -> None:
    hub.fail("commit", lose_answer=True)
    new = results_file("org/new")
    for _ in range(2):
        pushed = push("results", "--repo-id", REPO, new, "--create-pr", user=BOB)
        assert pushed.code == 0, pushed.err
        assert f"pull request: {hub.url}/datasets/{REPO}/discussions/1" in pushed.out
    assert len(hub.store.repo("datasets", REPO).pulls()) == 1
    assert content_of(hub, "datasets", REPO) == old


def test_who_committed_in_between_loses_nothing(
    hub: LoopbackHub, push: Push, results_file: Callable[..., Path], old: dict[str, bytes]
) -> None:
    other = results_file("org/other")

    def someone_else(store: Any) -> None:
        from loopback_hub.store import lfs_entry

        from babel_push.push_results import card
        from babel_push.results_table import parquet, read_run

        run, repo = read_run(other), store.repo("datasets", REPO)
        files = dict(repo.resolve("main").files)
        table, raw = parquet(run), run.json
        files[f"data/zero_shot/{run.name}.parquet"] = lfs_entry(repo.put(table), len(table))
        files[f"runs/zero_shot/{run.name}.json"] = repo.keep(raw)
        text = card(REPO, set(files)).encode()
        files["README.md"] = repo.keep(text)
        repo.point("heads/main", repo.add_commit(repo.resolve("main"), files, "Add theirs", "", "bob"))

    fault = hub.fail("commit", before=someone_else, times=2)
    pushed = push("results", "--repo-id", REPO, results_file("org/new"))
    assert (pushed.code, fault.hits) == (0, 2), pushed.err
    files = content_of(hub, "datasets", REPO)
    assert set(old) < set(files)
    assert [sum(name in path for path in files) for name in ("org-old", "org-new", "org-other")] == [2, 2, 2]
    assert titles(hub, "datasets", REPO)[2:] == ["Add theirs", "Add theirs", "Add results of org/new"]


@pytest.mark.parametrize("status", [412, pytest.param(409, marks=pytest.mark.slow)])
def test_a_conflict_without_end_is_given_up(
    hub: LoopbackHub, push: Push, results_file: Callable[..., Path], old: dict[str, bytes], status: int
) -> None:
    fault = hub.fail("commit", status=status, times=None, body='{"error": "A commit has happened since."}')
    new = results_file("org/new")
    pushed = push("results", "--repo-id", REPO, new)
    assert (pushed.code, fault.hits) == (4, 5)
    assert "A commit has happened since" in pushed.last_line
    assert content_of(hub, "datasets", REPO) == old
    check_second_run_completes(hub, push, new)


def test_retry_after_is_obeyed(
    hub: LoopbackHub, push: Push, results_file: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    waited: list[float] = []
    monkeypatch.setattr("time.sleep", waited.append)
    hub.fail("commit", status=429, headers={"Retry-After": "17"}, body='{"error": "slow down"}')
    pushed = push("results", "--repo-id", REPO, results_file("org/new"))
    assert pushed.code == 0, pushed.err
    assert 17 in waited
    assert "slow down (429); try 2 of 5 in 17 s" in pushed.err


@pytest.mark.parametrize("route", ["preupload", "lfs-put", "resolve"])
def test_retry_after_on_routes_that_the_client_retries_itself(
    hub: LoopbackHub, push: Push, results_file: Callable[..., Path], route: str
) -> None:
    fault = hub.fail(route, status=429, headers={"Retry-After": "3"}, times=2)
    pushed = push("results", "--repo-id", REPO, results_file("org/new"))
    assert (pushed.code, fault.hits) == (0, 2), pushed.err


def test_a_slow_hub_is_waited_for(hub: LoopbackHub, push: Push, results_file: Callable[..., Path]) -> None:
    hub.latency = 0.05
    hub.fail("commit", delay=0.4)
    assert push("results", "--repo-id", REPO, results_file("org/new")).code == 0
    assert holds_new(hub)


def test_a_hub_that_says_nothing_at_all_is_given_up(
    hub: LoopbackHub, push: Push, results_file: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BABEL_PUSH_TIMEOUT", "0.1")
    fault = hub.fail("commit", delay=0.5, times=None)
    pushed = push("results", "--repo-id", REPO, results_file("org/new"))
    # Each try times out; what the Hub did all the same is found when it is looked at again.
    assert pushed.code in (0, 5), pushed.err
    assert fault.hits >= 1
    assert "timed out" in pushed.err
    assert titles(hub, "datasets", REPO).count("Add results of org/new") <= 1


def test_a_full_disk_at_the_hub_leaves_the_old_state(
    hub: LoopbackHub, push: Push, results_file: Callable[..., Path], old: dict[str, bytes]
) -> None:
    hub.store.capacity = sum(map(len, old.values())) + 100
    new = results_file("org/new")
    pushed = push("results", "--repo-id", REPO, new)
    assert pushed.code == 4
    assert "No space left" in pushed.last_line
    assert content_of(hub, "datasets", REPO) == old
    assert not list(hub.root.rglob(".incoming.*"))
    hub.store.capacity = None
    check_second_run_completes(hub, push, new)


def test_what_comes_back_changed_is_reported(hub: LoopbackHub, push: Push, results_file: Callable[..., Path]) -> None:
    def damage(store: Any) -> None:
        repo = store.repo("datasets", REPO)
        path = next(p for p in repo.resolve("main").files if p.endswith(".json"))
        content = repo.object(repo.resolve("main").files[path].sha256)
        content.write_bytes(content.read_bytes().replace(b"0.5", b"0.6"))

    hub.fail("resolve", before=damage)
    pushed = push("results", "--repo-id", REPO, results_file("org/new"))
    assert pushed.code == 6
    assert "came back" in pushed.last_line
    assert "push again" in pushed.last_line


@pytest.mark.parametrize("route", ["validate-yaml", "commit", "info"])
def test_the_error_page_of_a_proxy_is_no_bad_input(
    hub: LoopbackHub, push: Push, results_file: Callable[..., Path], route: str
) -> None:
    fault = hub.fail(route, status=502, body="<html><h1>Bad gateway</h1></html>", times=2)
    pushed = push("results", "--repo-id", REPO, results_file("org/new"))
    assert (pushed.code, fault.hits) == (0, 2), pushed.err


@pytest.mark.parametrize(
    ("user", "says"),
    [
        (None, "hf auth login"),
        (BOB, "right to write"),
        (EVE, "write token"),
    ],
)
def test_who_may_not_write_is_told_and_changes_nothing(
    hub: LoopbackHub, push: Push, results_file: Callable[..., Path], old: dict[str, bytes], user: Any, says: str
) -> None:
    pushed = push("results", "--repo-id", REPO, results_file("org/new"), user=user)
    assert pushed.code == 3
    assert says in pushed.last_line
    assert content_of(hub, "datasets", REPO) == old


def test_an_unknown_token_is_told(hub: LoopbackHub, push: Push, results_file: Callable[..., Path]) -> None:
    from loopback_hub import User

    pushed = push("results", "--repo-id", REPO, results_file("org/new"), user=User("x", "hf_expiredTokenOfNobody99"))
    assert pushed.code == 3
    assert "hf auth login" in pushed.last_line
    assert "hf_expired" not in pushed.out + pushed.err
    assert content_of(hub, "datasets", REPO) == {}


def test_a_private_repository_of_others_looks_as_if_it_were_not_there(
    hub: LoopbackHub, push: Push, results_file: Callable[..., Path]
) -> None:
    assert push("results", "--repo-id", REPO, results_file("org/old"), "--private").code == 0
    pushed = push("results", "--repo-id", REPO, results_file("org/new"), user=BOB)
    assert pushed.code == 3
    assert not holds_new(hub)


def test_a_repository_that_vanishes_under_the_push(
    hub: LoopbackHub, push: Push, results_file: Callable[..., Path], old: dict[str, bytes]
) -> None:
    hub.fail("commit", before=lambda store: store.delete("datasets", REPO))
    pushed = push("results", "--repo-id", REPO, results_file("org/new"))
    assert pushed.code == 4
    assert "(404)" in pushed.last_line
    assert content_of(hub, "datasets", REPO) == {}


def test_an_answer_that_holds_the_token_is_blacked_out(
    hub: LoopbackHub, push: Push, results_file: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    for route in ("validate-yaml", "lfs-put", "commit", "info"):
        hub.fail(route, status=418, body=f'{{"error": "who is Bearer {ANN.token}?", "errors": [], "warnings": []}}')
        pushed = push("results", "--repo-id", REPO, results_file("org/new"))
        assert pushed.code == 4, route
        assert "who is Bearer ***?" in pushed.err
    monkeypatch.setenv("BABEL_TRACEBACK", "1")
    hub.fail("commit", status=418, body=f'{{"error": "who is Bearer {ANN.token}?"}}')
    pushed = push("results", "--repo-id", REPO, results_file("org/new"))
    assert "Traceback" in pushed.err
    assert "who is Bearer ***?" in pushed.err


def test_no_token_in_a_url_or_on_the_way_to_the_content_store(
    hub: LoopbackHub, push: Push, results_file: Callable[..., Path]
) -> None:
    assert push("results", "--repo-id", REPO, results_file("org/new")).code == 0
    for asked in hub.asked:
        check_no_token(asked.url)
        if asked.route in ("cdn", "lfs-put"):
            assert asked.user is None
