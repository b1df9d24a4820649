"""Pushing the labels: what is checked before, versions, licence, and that nothing but Parquet and card goes out."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from loopback_hub import LoopbackHub
from push_helpers import LABELS, Pushed, content_of

from babel_imagenet_dataset.release import PUBLISHED
from babel_push.push_dataset import version_tag

REPO = "org/babel-imagenet"
Push = Callable[..., Pushed]


@pytest.fixture
def built(built_once: Path, tmp_path: Path) -> Path:
    """A built dataset of four languages and prompts that a test may change."""
    return shutil.copytree(built_once, tmp_path / "babel-imagenet")


@pytest.fixture
def arguments(built: Path) -> tuple[str, ...]:
    return ("dataset", "--repo-id", REPO, "--folder", str(built), "--accept-babelnet-license")


def test_exactly_the_folder_goes_out_with_the_repositorys_name_in_the_card(
    hub: LoopbackHub, push: Push, built: Path, arguments: tuple[str, ...]
) -> None:
    pushed = push(*arguments, "--tag", "0.1.0")
    assert pushed.code == 0, pushed.err
    there = content_of(hub, "datasets", REPO)
    here = {p.relative_to(built).as_posix(): p.read_bytes() for p in built.rglob("*") if p.is_file()}
    assert set(there) == {*here, ".gitattributes"}
    assert {path for path, data in here.items() if there[path] != data} == {"README.md"}
    assert there["README.md"].decode() == here["README.md"].decode().replace("ORG/babel-imagenet", REPO)
    assert f'load_dataset("{REPO}", "de", split="test", revision="0.1.0")' in pushed.out
    assert content_of(hub, "datasets", REPO, "0.1.0") == there


def test_a_dry_run_shows_which_lines_and_which_labels_change(
    hub: LoopbackHub, push: Push, built: Path, arguments: tuple[str, ...]
) -> None:
    push(*arguments, "--no-tag")
    path = built / "de" / "test-00000-of-00001.parquet"
    table = pq.read_table(path)
    rows = table.to_pylist()
    rows[1]["label_clean"] = "Koi"
    pq.write_table(pa.Table.from_pylist(rows, schema=table.schema), path)
    card = built / "README.md"
    card.write_text(card.read_text() + "One line more.\n")
    before = content_of(hub, "datasets", REPO)
    pushed = push(*arguments, "--no-tag", "--dry-run")
    assert pushed.code == 0, pushed.err
    lines = [line.strip() for line in pushed.out.splitlines()]
    changed = [line for line in lines if line.startswith(("+ ", "- ", "+{", "-{", "+One", "…"))]
    assert "+One line more." in changed
    assert [json.loads(line[1:])["label_clean"] for line in changed if line[1] == "{"] == ["Goldfisch", "Koi"]
    assert content_of(hub, "datasets", REPO) == before


def test_a_repository_of_results_is_no_place_for_labels_nor_the_other_way_round(
    hub: LoopbackHub, push: Push, built_once: Path, results_file: Callable[..., Path]
) -> None:
    labels = ("dataset", "--folder", built_once, "--no-tag", "--accept-babelnet-license")
    assert push("results", "--repo-id", "org/results", results_file()).code == 0
    there = content_of(hub, "dataset", "org/results")
    refused = push(*labels, "--repo-id", "org/results")
    assert (refused.code, content_of(hub, "dataset", "org/results")) == (4, there)
    assert "holds something else (its card lacks the tag babelnet)" in refused.last_line
    assert push(*labels, "--repo-id", "org/labels").code == 0
    there = content_of(hub, "dataset", "org/labels")
    refused = push("results", "--repo-id", "org/labels", results_file())
    assert (refused.code, content_of(hub, "dataset", "org/labels")) == (4, there)


def test_a_configuration_that_is_gone_is_gone_there_too(
    hub: LoopbackHub, push: Push, built: Path, arguments: tuple[str, ...]
) -> None:
    push(*arguments, "--no-tag")
    shutil.rmtree(built / "lo")
    card = built / "README.md"
    gone = "- config_name: lo\n  data_files:\n  - split: test\n    path: lo/test-00000-of-00001.parquet\n"
    assert gone in card.read_text()
    card.write_text(card.read_text().replace(gone, ""))
    assert push(*arguments, "--no-tag").code == 0
    assert not [path for path in content_of(hub, "datasets", REPO) if path.startswith("lo/")]


@pytest.mark.parametrize(
    ("stray", "says"),
    [
        ("babel-imagenet.py", "which its card does not name"),
        ("de/extra.parquet", "which its card does not name"),
        ("notes.txt", "which its card does not name"),
        ("de/.DS_Store", "which no build writes"),
    ],
)
def test_a_folder_with_anything_else_is_refused(
    hub: LoopbackHub, push: Push, built: Path, arguments: tuple[str, ...], stray: str, says: str
) -> None:
    (built / stray).write_bytes(b"x")
    pushed = push(*arguments, "--no-tag")
    assert pushed.code == 2
    assert stray in pushed.last_line
    assert says in pushed.last_line
    assert not hub.asked


def test_a_configuration_that_does_not_load_is_named(
    hub: LoopbackHub, push: Push, built: Path, arguments: tuple[str, ...]
) -> None:
    (built / "no" / "test-00000-of-00001.parquet").write_bytes(b"PAR1 and then nothing")
    pushed = push(*arguments, "--no-tag")
    assert pushed.code == 2
    assert "configuration no does not load" in pushed.last_line
    (built / "no" / "test-00000-of-00001.parquet").unlink()
    pushed = push(*arguments, "--no-tag")
    assert pushed.code == 2
    assert "is missing, but the card names it" in pushed.last_line
    assert not hub.asked


def test_without_accepting_the_licence_the_terms_are_printed_and_nothing_is_pushed(
    hub: LoopbackHub, push: Push, arguments: tuple[str, ...]
) -> None:
    without = [a for a in arguments if a != "--accept-babelnet-license"]
    refused = push(*without, "--no-tag")
    assert refused.code == 2
    assert "--accept-babelnet-license" in refused.last_line
    assert "BabelNet Non-Commercial License" in refused.out
    assert not hub.asked
    assert push(*arguments, "--no-tag").code == 0
    # Once is enough on one machine, and the terms are printed all the same.
    again = push(*without, "--no-tag")
    assert again.code == 0
    assert "BabelNet Non-Commercial License" in again.out


def test_a_dry_run_needs_no_acceptance(hub: LoopbackHub, push: Push, arguments: tuple[str, ...]) -> None:
    without = [a for a in arguments if a != "--accept-babelnet-license"]
    assert push(*without, "--no-tag", "--dry-run").code == 0


def test_what_is_no_whole_release_needs_a_version_of_its_own(
    hub: LoopbackHub, push: Push, arguments: tuple[str, ...]
) -> None:
    pushed = push(*arguments)
    assert pushed.code == 2
    assert "name the version with --tag" in pushed.last_line
    assert not hub.asked


def test_versions_of_the_published_releases_count_up_their_patch() -> None:
    for n_keys, first in ((93, "1.0.0"), (298, "2.0.0")):
        configs = {"en": 1000, "prompts": 80} | {f"x{i}": 1 for i in range(n_keys - 1)}
        card = f"| babel_imagenet.json | `{PUBLISHED[str(n_keys)].sha256}` |"
        assert version_tag(configs, card)({}, None) == first
        assert version_tag(configs, card)({first: "a"}, None) == first[:-1] + "1"
        with pytest.raises(ValueError, match="no whole published release"):
            version_tag({"en": 1, "prompts": 1, "de": 1}, card)


def test_labels_of_ones_own_never_get_the_version_of_a_published_release() -> None:
    """A crawl of the same 93 languages is another release, however many its configurations are."""
    configs = {"en": 1000, "prompts": 80} | {f"x{i}": 1 for i in range(92)}
    with pytest.raises(ValueError, match="no whole published release"):
        version_tag(configs, "| labels.json (a file of the user's own) | `" + "0" * 64 + "` |")


def test_building_and_pushing_in_one_go(hub: LoopbackHub, push: Push, tmp_path: Path) -> None:
    pytest.importorskip("clip_benchmark", reason="the extra [sample] holds the published prompts")
    (tmp_path / "own.json").write_text(json.dumps(LABELS), encoding="utf-8")
    pushed = push("dataset", "--repo-id", REPO, "--labels", tmp_path / "own.json", "--languages", "de,lo",
                  "--accept-babelnet-license", "--tag", "0.0.1")  # fmt: skip
    assert pushed.code == 0, pushed.err
    folders = {path.split("/")[0] for path in content_of(hub, "datasets", REPO) if "/" in path}
    assert folders == {"de", "lo", "prompts"}
