"""The loopback Hub speaks as the real one does, as far as the real client can tell."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfFileSystem
from huggingface_hub.errors import (
    EntryNotFoundError,
    HfHubHTTPError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from loopback_hub import LoopbackHub

AsUser = Callable[..., Any]
CARD = b"---\nlicense: mit\ntags: [a]\n---\nText.\n"


@pytest.fixture
def api(as_user: AsUser) -> Any:
    """The owner's client, with a dataset `org/data` that holds three files."""
    owner = as_user("owner")
    owner.create_repo("org/data", repo_type="dataset")
    commit(owner, {"README.md": CARD, "a/b.parquet": b"PAR1" * 1000, "a/c.txt": b"text"})
    return owner


def commit(api: Any, files: dict[str, bytes | None], **more: Any) -> Any:
    operations = [
        CommitOperationDelete(path) if data is None else CommitOperationAdd(path, data) for path, data in files.items()
    ]
    arguments = {"repo_id": "org/data", "repo_type": "dataset", "commit_message": "change", **more}
    return api.create_commit(operations=operations, **arguments)


def read(api: Any, path: str, **more: Any) -> bytes:
    return Path(api.hf_hub_download("org/data", path, repo_type="dataset", **more)).read_bytes()


def status_of(error: pytest.ExceptionInfo[HfHubHTTPError]) -> int:
    return error.value.response.status_code


def test_whoami_names_the_user_the_organisations_and_the_role_of_the_token(as_user: AsUser) -> None:
    me = as_user("reader").whoami()
    assert (me["name"], [org["name"] for org in me["orgs"]]) == ("reader", ["org"])
    assert me["auth"]["accessToken"]["role"] == "read"


def test_content_comes_back_byte_for_byte_small_binary_and_in_parts(api: Any) -> None:
    files = {"small.txt": b"x", "binary": b"\0\1\2", "empty": b"", "parts.bin": os.urandom((1 << 20) * 2 + 17)}
    made = commit(api, files)  # type: ignore[arg-type]
    for path, data in files.items():
        assert read(api, path, revision=made.oid) == data
    kept = {f.path: f for f in api.list_repo_tree("org/data", repo_type="dataset")}
    assert [path for path in files if kept[path].lfs] == ["binary", "parts.bin"]
    assert kept["parts.bin"].lfs.sha256 == hashlib.sha256(files["parts.bin"]).hexdigest()
    assert kept["small.txt"].blob_id == hashlib.sha1(b"blob 1\0x").hexdigest()


def test_trees_are_listed_flat_and_deep_and_page_by_page(
    api: Any, hub: LoopbackHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    from loopback_hub import reading

    flat = [entry.path for entry in api.list_repo_tree("org/data", repo_type="dataset")]
    assert flat == [".gitattributes", "README.md", "a"]
    monkeypatch.setattr(reading, "PAGE", 2)
    deep = [entry.path for entry in api.list_repo_tree("org/data", repo_type="dataset", recursive=True)]
    assert deep == [".gitattributes", "README.md", "a", "a/b.parquet", "a/c.txt"]
    assert hub.count("tree") == 1 + 3
    assert [e.path for e in api.list_repo_tree("org/data", "a", repo_type="dataset")] == ["a/b.parquet", "a/c.txt"]
    with pytest.raises(EntryNotFoundError):
        list(api.list_repo_tree("org/data", "nowhere", repo_type="dataset"))


def test_paths_and_repositories_tell_what_they_hold(api: Any) -> None:
    found = api.get_paths_info("org/data", ["a", "a/c.txt", "nowhere"], repo_type="dataset")
    assert sorted(entry.path for entry in found) == ["a", "a/c.txt"]
    info = api.dataset_info("org/data", files_metadata=True)
    assert {s.rfilename: s.size for s in info.siblings}["a/b.parquet"] == 4000
    assert (info.card_data.license, info.private, info.id) == ("mit", False, "org/data")
    with pytest.raises(RevisionNotFoundError):
        api.dataset_info("org/data", revision="nowhere")


def test_a_range_is_answered_with_that_range(api: Any, hub: LoopbackHub) -> None:
    from huggingface_hub.utils import get_session

    for path in ("a/b.parquet", "a/c.txt"):
        whole = read(api, path)
        url = f"{hub.url}/datasets/org/data/resolve/main/{path}"
        part = get_session().get(url, headers={"Range": "bytes=1-2"})
        assert (part.status_code, part.content) == (206, whole[1:3])
        assert part.headers["Content-Range"] == f"bytes 1-2/{len(whole)}"
        assert get_session().get(url, headers={"Range": "bytes=-2"}).content == whole[-2:]
        assert get_session().get(url, headers={"Range": f"bytes={len(whole)}-"}).status_code == 416
        assert get_session().get(url, headers={"If-None-Match": part.headers["ETag"]}).status_code == 304
    with HfFileSystem(endpoint=hub.url).open("datasets/org/data/a/b.parquet", block_size=16) as file:
        file.seek(100)
        assert file.read(4) == b"PAR1"


def test_an_interrupted_download_goes_on(api: Any, hub: LoopbackHub, tmp_path: Path) -> None:
    data = os.urandom(11 << 20)
    commit(api, {"large.bin": data})
    fault = hub.fail("cdn", method="GET", cut_answer_after=(10 << 20) + 5)
    assert read(api, "large.bin") == data
    assert fault.hits == 1


def test_a_commit_on_another_parent_is_refused_and_changes_nothing(api: Any) -> None:
    old = api.dataset_info("org/data").sha
    new = commit(api, {"d": b"d"}, parent_commit=old).oid
    with pytest.raises(HfHubHTTPError) as error:
        commit(api, {"e": b"e"}, parent_commit=old)
    assert status_of(error) == 412
    assert api.dataset_info("org/data").sha == new


def test_a_commit_takes_effect_whole_or_not_at_all(api: Any) -> None:
    before = api.dataset_info("org/data").sha
    with pytest.raises(EntryNotFoundError):
        commit(api, {"new": b"new", "nowhere": None})
    with pytest.raises(ValueError, match="license"):
        commit(api, {"new": b"new", "README.md": b"---\nlicense: mine\n---\n"})
    assert api.dataset_info("org/data").sha == before


def test_folders_are_deleted_with_what_is_in_them(api: Any) -> None:
    commit(api, {"a/": None})
    assert api.list_repo_files("org/data", repo_type="dataset") == [".gitattributes", "README.md"]


@pytest.mark.parametrize(
    ("user", "status"),
    [(None, 401), ("other", 403), ("reader", 403)],
)
def test_who_may_not_write_is_refused(api: Any, as_user: AsUser, user: str | None, status: int) -> None:
    for change in (
        lambda client: commit(client, {"x": b"x"}),
        lambda client: client.create_repo("org/more"),
        lambda client: client.create_tag("org/data", tag="t", repo_type="dataset"),
        lambda client: client.delete_repo("org/data", repo_type="dataset"),
        lambda client: client.update_repo_settings("org/data", repo_type="dataset", private=True),
    ):
        with pytest.raises(HfHubHTTPError) as error:
            change(as_user(user))
        assert status_of(error) == status
    assert read(as_user(user), "a/c.txt") == b"text"


def test_a_private_repository_is_seen_by_its_people_only(api: Any, as_user: AsUser) -> None:
    api.update_repo_settings("org/data", repo_type="dataset", private=True)
    for user in (None, "other"):
        with pytest.raises(RepositoryNotFoundError):
            as_user(user).dataset_info("org/data")
    assert read(as_user("reader"), "a/c.txt") == b"text"


def test_a_signed_url_opens_one_content_and_no_other(api: Any, hub: LoopbackHub) -> None:
    from huggingface_hub.utils import get_session

    answer = get_session().get(f"{hub.url}/datasets/org/data/resolve/main/a/b.parquet", follow_redirects=False)
    place = answer.headers["Location"]
    assert answer.status_code == 302
    assert "localhost" in place
    assert get_session().get(place).status_code == 200
    other = place.replace(answer.headers["X-Linked-ETag"].strip('"'), "0" * 64)
    assert get_session().get(other).status_code == 403


def test_branches_and_tags_name_commits(api: Any) -> None:
    first = api.dataset_info("org/data").sha
    api.create_branch("org/data", branch="side/way", repo_type="dataset")
    api.create_tag("org/data", tag="1.0", repo_type="dataset")
    with pytest.raises(HfHubHTTPError) as error:
        api.create_tag("org/data", tag="1.0", repo_type="dataset")
    assert status_of(error) == 409
    commit(api, {"a/c.txt": b"other"}, revision="side/way")
    assert [read(api, "a/c.txt", revision=r) for r in ("main", "1.0", first[:12], "side/way")] == [
        b"text", b"text", b"text", b"other",
    ]  # fmt: skip
    refs = api.list_repo_refs("org/data", repo_type="dataset")
    assert [(b.name, b.ref) for b in refs.branches] == [
        ("main", "refs/heads/main"),
        ("side/way", "refs/heads/side/way"),
    ]
    assert [(t.name, t.target_commit) for t in refs.tags] == [("1.0", first)]
    api.delete_tag("org/data", tag="1.0", repo_type="dataset")
    api.delete_branch("org/data", branch="side/way", repo_type="dataset")
    with pytest.raises(RevisionNotFoundError):
        read(api, "a/c.txt", revision="1.0")


def test_a_pull_request_changes_nothing_until_it_is_merged_onto_what_is_there_then(api: Any, as_user: AsUser) -> None:
    pull = commit(as_user("other"), {"a/c.txt": None, "new": b"theirs"}, create_pr=True)
    clash = commit(as_user("other"), {"README.md": CARD + b"theirs"}, create_pr=True)
    commit(api, {"README.md": CARD + b"ours"})
    assert [p.num for p in api.get_repo_discussions("org/data", repo_type="dataset")] == [2, 1]
    with pytest.raises(HfHubHTTPError) as error:
        api.merge_pull_request("org/data", clash.pr_num, repo_type="dataset")
    assert status_of(error) == 409
    api.merge_pull_request("org/data", pull.pr_num, repo_type="dataset")
    assert read(api, "README.md") == CARD + b"ours"
    assert api.list_repo_files("org/data", repo_type="dataset") == [
        ".gitattributes", "README.md", "a/b.parquet", "new",
    ]  # fmt: skip
    assert api.get_discussion_details("org/data", pull.pr_num, repo_type="dataset").status == "merged"


def test_kinds_of_repositories_do_not_mix(api: Any) -> None:
    api.create_repo("org/data")
    assert api.list_repo_files("org/data") == [".gitattributes"]
    api.delete_repo("org/data")
    with pytest.raises(RepositoryNotFoundError):
        api.model_info("org/data")
    assert api.repo_exists("org/data", repo_type="dataset")
    with pytest.raises(HfHubHTTPError) as error:
        api.create_repo("org/data", repo_type="dataset")
    assert status_of(error) == 409


def test_a_content_that_is_not_as_announced_is_not_kept(api: Any, hub: LoopbackHub) -> None:
    from huggingface_hub.utils import get_session

    announced = {"oid": hashlib.sha256(b"this").hexdigest(), "size": 4}
    batch = get_session().post(
        f"{hub.url}/datasets/org/data.git/info/lfs/objects/batch",
        json={"operation": "upload", "objects": [announced], "ref": {"name": "main"}},
        headers={"Authorization": "Bearer owner-token"},
    )
    place = batch.json()["objects"][0]["actions"]["upload"]["href"]
    assert get_session().put(place, content=b"that").status_code == 400
    assert not hub.store.repo("datasets", "org/data").object(announced["oid"]).exists()
    assert get_session().put(place, content=b"this").status_code == 200


def test_what_is_on_disk_is_served_again_by_the_next_server(api: Any, hub: LoopbackHub) -> None:
    with LoopbackHub(hub.root) as second:
        from huggingface_hub import HfApi

        again = HfApi(endpoint=second.url, token=False)
        assert again.dataset_info("org/data").sha == api.dataset_info("org/data").sha
        assert read(again, "a/b.parquet") == b"PAR1" * 1000


def test_a_fault_comes_when_it_is_asked_for_and_goes_again(api: Any, hub: LoopbackHub) -> None:
    fault = hub.fail("info", status=503, skip=1, times=1)
    api.dataset_info("org/data")
    with pytest.raises(HfHubHTTPError) as error:
        api.dataset_info("org/data")
    assert (status_of(error), fault.hits) == (503, 1)
    api.dataset_info("org/data")


def test_make_hub_prints_the_lines_to_try_it(tmp_path: Path) -> None:
    settings = {**os.environ, "PYTHONPATH": str(Path(__file__).parent)}
    command = [sys.executable, "-m", "loopback_hub", "--folder", str(tmp_path / "hub"), "--port", "0"]
    with subprocess.Popen(command, env=settings, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        said = "".join(process.stdout.readline() for _ in range(6))
        process.terminate()
        assert process.wait(timeout=10) == 0
    assert "export HF_ENDPOINT=http://127.0.0.1:" in said
    assert "HF_HUB_DISABLE_XET=1" in said
    assert "babel-imagenet push dataset --repo-id local/babel-imagenet --accept-babelnet-license" in said
