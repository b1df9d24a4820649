"""Pushing results: what is added and refused, dry runs, branches, tags, pull requests; what all pushes share."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from loopback_hub import LoopbackHub
from push_helpers import ANN, BOB, Pushed, content_of, titles

REPO = "org/results"
Push = Callable[..., Pushed]
Write = Callable[..., Path]


def rows_of(hub: LoopbackHub, revision: str = "main") -> dict[tuple[str, str], float]:
    """Give accuracy by model and language over all tables of the repository."""
    found = {}
    for path, data in content_of(hub, "datasets", REPO, revision).items():
        if path.startswith("data/zero_shot/"):
            for row in pq.read_table(io.BytesIO(data)).to_pylist():
                found[row["model"], row["lang"]] = row["accuracy"]
    return found


def test_several_files_are_one_commit_and_the_lines_to_load_are_printed(
    hub: LoopbackHub, push: Push, results_file: Write
) -> None:
    pushed = push("results", "--repo-id", REPO, results_file("a", DE=0.5), results_file("b", DE=0.25, LO=0.125))
    assert pushed.code == 0, pushed.err
    assert rows_of(hub) == {("a", "DE"): 0.5, ("b", "DE"): 0.25, ("b", "LO"): 0.125}
    assert titles(hub, "datasets", REPO) == ["initial commit", "Add results of a, b"]
    assert f'load_dataset("{REPO}", "zero_shot", split="test")' in pushed.out


def test_an_unchanged_push_makes_no_commit_and_sends_nothing(hub: LoopbackHub, push: Push, results_file: Write) -> None:
    file = results_file()
    push("results", "--repo-id", REPO, file)
    hub.asked.clear()
    pushed = push("results", "--repo-id", REPO, file)
    assert pushed.code == 0
    assert "nothing to push" in pushed.out
    assert {a.method for a in hub.asked} <= {"GET", "HEAD"}
    assert len(titles(hub, "datasets", REPO)) == 2


def test_more_languages_of_a_run_join_those_that_are_there(hub: LoopbackHub, push: Push, results_file: Write) -> None:
    push("results", "--repo-id", REPO, results_file(DE=0.5, LO=0.25))
    assert push("results", "--repo-id", REPO, results_file(LO=0.25, SW=0.75)).code == 0
    assert rows_of(hub) == {("org/model", "DE"): 0.5, ("org/model", "LO"): 0.25, ("org/model", "SW"): 0.75}


def test_another_number_for_a_published_run_needs_overwrite(hub: LoopbackHub, push: Push, results_file: Write) -> None:
    push("results", "--repo-id", REPO, results_file(DE=0.5))
    changed = results_file(DE=0.75)
    refused = push("results", "--repo-id", REPO, changed)
    assert refused.code == 2
    assert "--overwrite replaces it" in refused.last_line
    assert rows_of(hub) == {("org/model", "DE"): 0.5}
    assert push("results", "--repo-id", REPO, changed, "--overwrite").code == 0
    assert rows_of(hub) == {("org/model", "DE"): 0.75}


def test_a_dry_run_prints_every_file_its_size_and_what_would_change_and_writes_nothing(
    hub: LoopbackHub, push: Push, results_file: Write
) -> None:
    first = push("results", "--repo-id", REPO, results_file("a"), "--dry-run")
    assert first.code == 0
    assert {a.method for a in hub.asked} == {"GET"}
    assert content_of(hub, "datasets", REPO) == {}
    lines = [line for line in first.out.splitlines() if "add" in line and "│" in line]
    assert len(lines) == 3
    assert all("kB" in line or "bytes" in line for line in lines)
    push("results", "--repo-id", REPO, results_file("a"))
    before = content_of(hub, "datasets", REPO)
    hub.asked.clear()
    second = push("results", "--repo-id", REPO, results_file("a", SW=0.5), "--dry-run")
    assert "2 to change, 0 to delete, 1 the same" in second.out
    assert "dry run: nothing was changed" in second.out
    assert {a.method for a in hub.asked} <= {"GET", "HEAD"}
    assert content_of(hub, "datasets", REPO) == before


def test_a_dry_run_of_something_public_needs_no_token(hub: LoopbackHub, push: Push, results_file: Write) -> None:
    push("results", "--repo-id", REPO, results_file("a"))
    pushed = push("results", "--repo-id", REPO, results_file("b"), "--dry-run", user=None)
    assert pushed.code == 0, pushed.err


def test_a_repository_that_holds_something_else_is_refused_until_overwrite(
    hub: LoopbackHub, push: Push, results_file: Write
) -> None:
    from huggingface_hub import HfApi

    api = HfApi(endpoint=hub.url, token=ANN.token)
    api.create_repo(REPO, repo_type="dataset")
    api.upload_file(path_or_fileobj=b"mine", path_in_repo="notes.txt", repo_id=REPO, repo_type="dataset")
    before = content_of(hub, "datasets", REPO)
    refused = push("results", "--repo-id", REPO, results_file())
    assert refused.code == 4
    assert "holds something else" in refused.last_line
    assert content_of(hub, "datasets", REPO) == before
    assert push("results", "--repo-id", REPO, results_file(), "--overwrite").code == 0
    assert "notes.txt" not in content_of(hub, "datasets", REPO)
    assert rows_of(hub)


def test_who_may_not_write_can_open_a_pull_request_and_the_owner_merges_it(
    hub: LoopbackHub, push: Push, results_file: Write
) -> None:
    from huggingface_hub import HfApi

    push("results", "--repo-id", REPO, results_file("a", DE=0.5))
    pushed = push("results", "--repo-id", REPO, results_file("b", DE=0.25), "--create-pr", user=BOB)
    assert pushed.code == 0, pushed.err
    assert f"{hub.url}/datasets/{REPO}/discussions/1" in pushed.out
    assert "to load it" not in pushed.out
    assert rows_of(hub) == {("a", "DE"): 0.5}
    assert rows_of(hub, "refs/pr/1") == {("a", "DE"): 0.5, ("b", "DE"): 0.25}
    push("results", "--repo-id", REPO, results_file("c", DE=0.125))
    HfApi(endpoint=hub.url, token=ANN.token).merge_pull_request(REPO, 1, repo_type="dataset")
    assert rows_of(hub) == {("a", "DE"): 0.5, ("b", "DE"): 0.25, ("c", "DE"): 0.125}


def test_a_branch_is_made_from_main_and_main_stays(hub: LoopbackHub, push: Push, results_file: Write) -> None:
    push("results", "--repo-id", REPO, results_file("a", DE=0.5))
    for _ in range(2):
        assert push("results", "--repo-id", REPO, results_file("b", DE=0.25), "--revision", "trial").code == 0
    assert rows_of(hub) == {("a", "DE"): 0.5}
    assert rows_of(hub, "trial") == {("a", "DE"): 0.5, ("b", "DE"): 0.25}


def test_a_branch_of_a_repository_that_is_not_there_yet(hub: LoopbackHub, push: Push, results_file: Write) -> None:
    assert push("results", "--repo-id", REPO, results_file("a", DE=0.5), "--revision", "trial").code == 0
    assert (rows_of(hub), rows_of(hub, "trial")) == ({}, {("a", "DE"): 0.5})


def test_a_tag_names_the_commit_and_is_never_moved(hub: LoopbackHub, push: Push, results_file: Write) -> None:
    first = results_file("a", DE=0.5)
    assert push("results", "--repo-id", REPO, first, "--tag", "paper").code == 0
    assert push("results", "--repo-id", REPO, first, "--tag", "paper").code == 0
    hub.asked.clear()
    refused = push("results", "--repo-id", REPO, results_file("b"), "--tag", "paper")
    assert refused.code == 4
    assert "never moved" in refused.last_line
    assert {a.method for a in hub.asked} <= {"GET", "HEAD"}
    assert rows_of(hub, "paper") == rows_of(hub) == {("a", "DE"): 0.5}


def test_a_tag_that_did_not_come_through_is_set_by_the_next_run(
    hub: LoopbackHub, push: Push, results_file: Write
) -> None:
    hub.fail("tag", status=503, times=None)
    assert push("results", "--repo-id", REPO, results_file("a"), "--tag", "paper").code == 5
    hub.faults.clear()
    pushed = push("results", "--repo-id", REPO, results_file("a"), "--tag", "paper")
    assert pushed.code == 0, pushed.err
    assert rows_of(hub, "paper") == rows_of(hub)
    assert len(titles(hub, "datasets", REPO)) == 2


def test_a_tag_whose_answer_is_lost_is_set_once(hub: LoopbackHub, push: Push, results_file: Write) -> None:
    hub.fail("tag", lose_answer=True)
    pushed = push("results", "--repo-id", REPO, results_file("a"), "--tag", "paper")
    assert pushed.code == 0, pushed.err
    assert [name for name, _ in hub.store.repo("datasets", REPO).refs("tags")] == ["paper"]


def test_private_counts_for_a_new_repository_and_is_said_not_to_for_an_old_one(
    hub: LoopbackHub, push: Push, results_file: Write
) -> None:
    push("results", "--repo-id", REPO, results_file("a"), "--private")
    assert hub.store.repo("datasets", REPO).settings["private"] is True
    push("results", "--repo-id", "org/public", results_file("a"))
    pushed = push("results", "--repo-id", "org/public", results_file("b"), "--private")
    assert "public; --private does not change that" in pushed.out


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--repo-id", "results"), "--repo-id must be ORG/NAME"),
        (("--repo-id", REPO, "--tag", "x", "--create-pr"), "--tag names a commit of a branch"),
    ],
)
def test_bad_input_is_one_line_and_asks_the_hub_nothing(
    hub: LoopbackHub, push: Push, results_file: Write, arguments: tuple[str, ...], says: str
) -> None:
    pushed = push("results", *arguments, results_file())
    assert pushed.code == 2
    assert says in pushed.last_line
    assert pushed.err.count("\n") == 1
    assert not hub.asked


def test_two_files_of_one_run_are_refused(push: Push, results_file: Write) -> None:
    pushed = push("results", "--repo-id", REPO, results_file(DE=0.5), results_file(LO=0.5))
    assert pushed.code == 2
    assert "push them one by one" in pushed.last_line
