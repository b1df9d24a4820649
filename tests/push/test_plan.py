"""The difference between files here and files there, and what is never published."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from babel_push.diffs import diff
from babel_push.errors import RefusedError
from babel_push.plan import RemoteFile, Snapshot, folder_files, is_debris, make_plan
from babel_push.public import without_places
from babel_push.publish import fixed_tag, next_patch
from babel_push.shell import check_repo_id, redact

names = st.sampled_from(["a", "b", "folder/c", "folder/d.parquet", "README.md"])
trees = st.dictionaries(names, st.binary(max_size=3), max_size=5)


def remote(data: bytes, *, lfs: bool) -> RemoteFile:
    git_oid = hashlib.sha1(f"blob {len(data)}".encode() + b"\0" + data).hexdigest()
    return RemoteFile(len(data), git_oid, hashlib.sha256(data).hexdigest() if lfs else None)


@given(here=trees, there=trees, lfs=st.booleans())
def test_a_plan_applied_to_what_is_there_gives_what_is_here(
    here: dict[str, bytes], there: dict[str, bytes], lfs: bool
) -> None:
    plan = make_plan(here, Snapshot("c", {p: remote(d, lfs=lfs) for p, d in there.items()}))
    result = dict(there)
    for change in plan.changes:
        if change.what == "delete":
            del result[change.path]
    result.update({path: file.source for path, file in plan.files.items()})  # type: ignore[misc]
    assert result == here
    assert plan.is_empty == (here == there)
    # Nothing goes up that is there already.
    assert all(there.get(path) != file.source for path, file in plan.files.items())


def test_equal_size_is_not_equal_content() -> None:
    for lfs in (False, True):
        plan = make_plan({"a": b"one"}, Snapshot("c", {"a": remote(b"two", lfs=lfs)}))
        assert [c.what for c in plan.changes] == ["change"]


def test_the_hubs_own_file_and_what_is_not_ours_stay() -> None:
    there = Snapshot("c", {p: remote(b"x", lfs=False) for p in (".gitattributes", "ours/a", "theirs/a")})
    plan = make_plan({}, there, owns=lambda path: path.startswith("ours/"))
    assert [(c.path, c.what) for c in plan.changes] == [("ours/a", "delete")]


@pytest.mark.parametrize("path", ["../a", "/a", "a//b", "a\\b", "a/../b", "./a", ""])
def test_a_path_that_leaves_the_repository_is_refused(path: str) -> None:
    with pytest.raises(ValueError, match="no path in a repository"):
        make_plan({path: b""}, Snapshot(None))


@pytest.mark.parametrize(
    "path",
    [
        "__pycache__/a.py",
        "a.pyc",
        ".git/config",
        ".DS_Store",
        "tests/data.json",
        "test_metric.py",
        "conftest.py",
        "x/.ipynb_checkpoints/a.py",
        "a.py~",
        "a.tmp",
        "babel.egg-info/PKG-INFO",
    ],
)
def test_debris_is_left_out(path: str, tmp_path: Path) -> None:
    (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / path).write_text("x")
    (tmp_path / "testimony.py").write_text("x")
    assert is_debris(path)
    assert folder_files(tmp_path) == ({"testimony.py": tmp_path / "testimony.py"}, [path])


def test_a_diff_holds_what_goes_and_what_comes_and_no_more_than_is_asked_for() -> None:
    before, after = "a\n-- b\nc\n", "a\n++ x\nc\nd\n"
    assert diff("x.md", before.encode(), after.encode()) == ["--- b", "+++ x", "+d"]
    assert diff("x.md", b"", "é\n".encode() * 30 + b"\xff", longest=2) == ["+é", "+é", "… 29 more lines"]
    with pytest.raises(ValueError, match="have lines to compare"):
        diff("x.safetensors", b"", b"")


def test_a_version_is_never_moved() -> None:
    choose = fixed_tag("2.0.0")
    assert choose({}, None) == choose({"2.0.0": "abc"}, "abc") == "2.0.0"
    for commit in (None, "other"):
        with pytest.raises(RefusedError, match=r"2\.0\.0 names commit abc"):
            choose({"2.0.0": "abc"}, commit)


def test_the_next_patch_is_the_first_above_all_and_a_named_commit_keeps_its_own() -> None:
    choose = next_patch("2.0")
    assert choose({}, None) == "2.0.0"
    tags = {"1.0.7": "a", "2.0.0": "b", "2.0.9": "c", "2.0.10": "d", "2.0.x": "e", "2.01.3": "f", "v2.0.11": "g"}
    assert choose(tags, None) == choose(tags, "new") == "2.0.11"
    assert choose(tags, "c") == "2.0.9"


@pytest.mark.parametrize(
    "given_id", ["name", "a/b/c", "org/a--b", "org/a..b", "org/", "/a", "org/bä", "-a/b", "a/b-", ""]
)
def test_what_is_no_repository_is_refused(given_id: str) -> None:
    with pytest.raises(ValueError, match="--repo-id must be ORG/NAME"):
        check_repo_id(given_id)


def test_a_url_with_a_token_is_not_repeated() -> None:
    with pytest.raises(ValueError, match="ORG/NAME") as caught:
        check_repo_id("https://me:hf_secretSecretSecret@huggingface.co/org/name")
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("token mine1234 here", "token *** here"),
        ("Bearer hf_AbCdEfGhIjKlMnOp", "Bearer ***"),
        ("https://me:secret@host/x", "https://***@host/x"),
        ("hf_hub_download of hf_xet", "hf_hub_download of hf_xet"),
        ("http://127.0.0.1:80/a@b:c", "http://127.0.0.1:80/a@b:c"),
    ],
)
def test_tokens_are_blacked_out_and_nothing_else(text: str, clean: str) -> None:
    assert redact(text, ["mine1234"]) == clean


@pytest.mark.parametrize(
    ("value", "public"),
    [
        ("/home/me/imagenet/val/", "val"),
        ("cldr:/home/me/cldr", "cldr:cldr"),
        ("open_clip:~/models/mine", "open_clip:mine"),
        ("./runs/r.json", "r.json"),
        ("C:\\Users\\me\\labels.json", "labels.json"),
        ("--images /data/a --out /data/b", "--images a --out b"),
        ("https://arxiv.org/abs/2306.08658", "https://arxiv.org/abs/2306.08658"),
        ("hf:org/name:train", "hf:org/name:train"),
        ("xlm-roberta-base-ViT-B-32@laion5b_s13b_b90k", "xlm-roberta-base-ViT-B-32@laion5b_s13b_b90k"),
        (["/a/b", {"x": "/c/d", "missing": ["/e"]}, 1, None], ["b", {"x": "d"}, 1, None]),
    ],
)
def test_places_on_a_machine_are_cut_to_their_last_part(value: object, public: object) -> None:
    assert without_places(value, drop=("missing",)) == public
