"""The folder that a build writes: replaced whole or not at all, and never where anything else lies."""

import signal
import subprocess
import sys
import time

import pytest
from small_labels import hashes, write_own

from babel_imagenet_dataset import export, release
from babel_imagenet_dataset.export import PARQUET, build


@pytest.fixture
def own(tmp_path):
    return write_own(tmp_path)


def test_an_earlier_build_is_replaced_whole(own, tmp_path):
    out = tmp_path / "d"
    build(release.load_labels(), release.load_prompts(), out, selectors="de,sw")
    assert (out / "sw").is_dir()
    build(release.load_labels(own), release.load_prompts(), out)
    assert sorted(path.name for path in out.iterdir()) == ["README.md", "en", "no", "prompts", "zh_yue"]


@pytest.mark.parametrize(
    "foreign",
    ["notes.txt", "LICENSE", ".git/HEAD", "de/extra.parquet", "thesis/chapter.tex", "de/x/test.parquet", "README.md"],
)
def test_a_folder_that_holds_anything_else_is_never_replaced(own, tmp_path, foreign):
    out = tmp_path / "d"
    build(release.load_labels(own), release.load_prompts(), out)
    path = out / foreign
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("precious")
    before = hashes(out)
    with pytest.raises(ValueError, match="holds what no build wrote"):
        build(release.load_labels(own), release.load_prompts(), out)
    assert hashes(out) == before


def test_the_current_folder_and_a_file_are_never_replaced(own, tmp_path, monkeypatch):
    (tmp_path / "inside").mkdir()
    monkeypatch.chdir(tmp_path / "inside")
    for out in (".", "..", str(own)):
        with pytest.raises(ValueError, match="cannot be replaced"):
            build(release.load_labels(own), release.load_prompts(), out)


def test_a_wrong_selector_leaves_the_old_build_alone(own, tmp_path):
    out = tmp_path / "d"
    build(release.load_labels(own), release.load_prompts(), out)
    before = hashes(out)
    with pytest.raises(ValueError, match="did you mean"):
        build(release.load_labels(own), release.load_prompts(), out, selectors="germam")
    assert hashes(out) == before


SLOWLY = """
import time
from babel_imagenet_dataset import export, release
labels, prompts = release.load_labels(), release.load_prompts()
export.build(labels, prompts, "out", selectors="vlow,low", report=lambda *_: time.sleep(0.05))
"""


@pytest.mark.parametrize("has_older", [False, True])
def test_a_build_that_is_killed_while_writing_leaves_the_old_folder_or_none(own, tmp_path, has_older):
    out = tmp_path / "out"
    before = None
    if has_older:
        build(release.load_labels(own), release.load_prompts(), out)
        before = hashes(out)
    process = subprocess.Popen([sys.executable, "-c", SLOWLY], cwd=tmp_path)
    written = stopped_mid_write(process, tmp_path)
    assert 1 <= len(written) < 42  # the kill lands while configurations are being written
    assert not list(tmp_path.glob(".out.*.part/README.md"))
    process.kill()
    process.wait()
    assert process.returncode == -signal.SIGKILL
    assert (hashes(out) if out.exists() else None) == before
    again = build(release.load_labels(own), release.load_prompts(), out)
    assert len(again.statistics) == 3


def stopped_mid_write(process, folder):
    """Stop a build as soon as some configurations are written, and give their files."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        assert process.poll() is None, "the build ended before it could be killed"
        if len(list(folder.glob(f".out.*.part/*/{PARQUET}"))) >= 3:
            process.send_signal(signal.SIGSTOP)
            return list(folder.glob(f".out.*.part/*/{PARQUET}"))
        time.sleep(0.005)
    raise AssertionError("no configuration was written within a minute")


def test_a_failure_while_writing_leaves_no_half_folder(own, tmp_path, monkeypatch):
    def fail(*arguments):
        raise OSError("disk full")

    monkeypatch.setattr(export, "render_card", fail)
    with pytest.raises(OSError, match="disk full"):
        build(release.load_labels(own), release.load_prompts(), tmp_path / "d")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["own.json"]
