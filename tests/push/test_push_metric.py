"""Pushing the metric: exactly the folder, pinned, to a Space of its name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from loopback_hub import LoopbackHub
from push_helpers import ANN, Pushed, content_of

REPO = "org/babel_zsic"
CARD = '---\ntitle: ZSIC\nsdk: gradio\nsdk_version: 5.9.1\npython_version: "3.11"\napp_file: app.py\n---\nA metric.\n'
Push = Callable[..., Pushed]


@pytest.fixture
def metric(tmp_path: Path) -> Path:
    """A folder as a Space of a metric has it."""
    files = {
        "babel_zsic.py": "x = 1\n",
        "app.py": "y = 1\n",
        "requirements.txt": "evaluate==0.4.6\n",
        "README.md": CARD,
    }
    for name, text in files.items():
        (tmp_path / "babel_zsic" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "babel_zsic" / name).write_text(text)
    return tmp_path / "babel_zsic"


def test_exactly_the_folder_goes_out_and_no_debris(hub: LoopbackHub, push: Push, metric: Path) -> None:
    for debris in ("__pycache__/app.pyc", "test_app.py", ".pytest_cache/x", "conftest.py", "app.py~"):
        (metric / debris).parent.mkdir(exist_ok=True)
        (metric / debris).write_text("x")
    pushed = push("metric", "--repo-id", REPO, "--folder", metric)
    assert pushed.code == 0, pushed.err
    there = content_of(hub, "spaces", REPO)
    assert set(there) == {"babel_zsic.py", "app.py", "requirements.txt", "README.md", ".gitattributes"}
    assert there["README.md"].decode() == CARD
    assert hub.store.repo("spaces", REPO).settings["sdk"] == "gradio"
    assert 'evaluate.load("org/babel_zsic"' in pushed.out


def test_an_old_file_disappears_from_the_space(hub: LoopbackHub, push: Push, metric: Path) -> None:
    (metric / "old.py").write_text("z = 1\n")
    push("metric", "--repo-id", REPO, "--folder", metric)
    (metric / "old.py").unlink()
    assert push("metric", "--repo-id", REPO, "--folder", metric).code == 0
    assert "old.py" not in content_of(hub, "spaces", REPO)


def test_the_readme_that_the_hub_puts_into_a_new_space_is_not_something_else(
    hub: LoopbackHub, push: Push, metric: Path
) -> None:
    # The first run makes the Space and then fails, so that the second finds the Hub's own README.
    hub.fail("commit", status=503, times=None)
    assert push("metric", "--repo-id", REPO, "--folder", metric).code == 5
    assert "README.md" in content_of(hub, "spaces", REPO)
    hub.faults.clear()
    assert push("metric", "--repo-id", REPO, "--folder", metric).code == 0
    assert content_of(hub, "spaces", REPO)["README.md"].decode() == CARD


def test_another_space_of_this_name_is_refused(hub: LoopbackHub, push: Push, metric: Path) -> None:
    from huggingface_hub import HfApi

    api = HfApi(endpoint=hub.url, token=ANN.token)
    api.create_repo(REPO, repo_type="space", space_sdk="gradio")
    api.upload_file(path_or_fileobj=b"x", path_in_repo="app.py", repo_id=REPO, repo_type="space")
    pushed = push("metric", "--repo-id", REPO, "--folder", metric)
    assert pushed.code == 4
    assert "holds something else (no babel_zsic.py)" in pushed.last_line


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("requirements.txt", "gradio>=5\n", "'gradio>=5' has no exact version"),
        ("requirements.txt", "git+https://github.com/huggingface/evaluate@main\n", "has no exact version"),
        ("README.md", "---\nsdk: gradio\n---\n", "exact `sdk_version`"),
        ("README.md", CARD.replace('python_version: "3.11"\n', ""), "python_version"),
        ("README.md", CARD.replace('"3.11"', "3.10"), "in quotes"),
        ("README.md", CARD.replace("app.py", "main.py"), "app_file: app.py"),
        ("README.md", "---\nsdk: [\n---\n", "bad YAML"),
        ("README.md", "no front matter", "sdk: gradio"),
    ],
)
def test_what_is_not_pinned_is_refused(
    hub: LoopbackHub, push: Push, metric: Path, name: str, text: str, says: str
) -> None:
    (metric / name).write_text(text)
    pushed = push("metric", "--repo-id", REPO, "--folder", metric)
    assert pushed.code == 2
    assert says in pushed.last_line
    assert not hub.asked


def test_a_missing_file_and_a_wrong_name_are_refused(hub: LoopbackHub, push: Push, metric: Path) -> None:
    assert "must be called babel_zsic" in push("metric", "--repo-id", "org/metric", "--folder", metric).last_line
    (metric / "app.py").unlink()
    pushed = push("metric", "--repo-id", REPO, "--folder", metric)
    assert pushed.code == 2
    assert "app.py is missing" in pushed.last_line
    assert not hub.asked
