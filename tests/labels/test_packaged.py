"""Files of other packages: found without running those packages, and checked; ImageNet's classes read that way."""

from __future__ import annotations

import hashlib
import subprocess
import sys

import pytest

from babel_imagenet_dataset import imagenet
from babel_imagenet_dataset.packaged import packaged_file

DATA = b"one\ntwo\n"
SHA256 = hashlib.sha256(DATA).hexdigest()


@pytest.fixture
def package(tmp_path, monkeypatch):
    """An installed distribution `some-labels` whose package must not be imported."""
    folder = tmp_path / "some_labels"
    folder.mkdir()
    (folder / "__init__.py").write_text("raise RuntimeError('imported as code')\n")
    (folder / "words.txt").write_bytes(DATA)
    info = tmp_path / "some_labels-1.5.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: some-labels\nVersion: 1.5\n")
    monkeypatch.syspath_prepend(tmp_path)
    return folder


def test_a_file_is_found_without_importing_its_package(package):
    assert packaged_file("some-labels", "some_labels/words.txt", SHA256, "sample") == package / "words.txt"
    assert "some_labels" not in sys.modules


def test_without_a_digest_any_bytes_are_given(package):
    (package / "words.txt").write_bytes(b"other")
    assert packaged_file("some-labels", "some_labels/words.txt", None, None).read_bytes() == b"other"


def test_other_bytes_are_refused_with_file_both_digests_and_a_remedy(package):
    packaged_file("some-labels", "some_labels/words.txt", SHA256, "sample")
    (package / "words.txt").write_bytes(b"one\nTWO!\n")
    with pytest.raises(ValueError) as error:
        packaged_file("some-labels", "some_labels/words.txt", SHA256, "sample")
    got = hashlib.sha256(b"one\nTWO!\n").hexdigest()
    for part in (str(package / "words.txt"), SHA256, got, "1.5", "pip uninstall -y some-labels"):
        assert part in str(error.value)


def test_a_missing_distribution_names_the_extra_and_the_pip_line():
    with pytest.raises(ImportError, match=r'not-there.*\[sample\].*pip install "babel-imagenet\[sample\]"'):
        packaged_file("not-there", "not_there/x.txt", None, "sample")


def test_a_version_without_the_file_is_told_from_a_missing_package(package):
    with pytest.raises(FileNotFoundError, match=r"some-labels 1\.5 is installed but holds no file some_labels/no\.txt"):
        packaged_file("some-labels", "some_labels/no.txt", None, "sample")


def test_classes_are_read_as_data_and_equal_what_the_code_says():
    """Oracle: open_clip's own tuples, imported; the reading of them runs in a process that loads no torch."""
    from open_clip import IMAGENET_CLASSNAMES, OPENAI_IMAGENET_TEMPLATES

    assert imagenet.english_class_names() == tuple(IMAGENET_CLASSNAMES)
    assert list(imagenet.openai_templates()) == [template("{}") for template in OPENAI_IMAGENET_TEMPLATES]
    code = (
        "import sys; from babel_imagenet_dataset import imagenet as i;"
        "i.english_class_names(), i.openai_templates(), i.wnids(), i.synsets();"
        "sys.exit(bool({'torch', 'timm', 'open_clip'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_every_class_has_words_and_a_definition():
    synsets = imagenet.synsets()
    assert [s.class_index for s in synsets] == list(range(1000))
    assert tuple(s.wnid for s in synsets) == imagenet.wnids() == tuple(sorted(imagenet.wnids()))
    assert all(s.definition and s.lemmas and all(s.lemmas) for s in synsets)
    assert synsets[0].lemmas == ("tench", "Tinca tinca")


def test_classes_of_an_unknown_release_are_refused(monkeypatch):
    known = imagenet.wnids()
    monkeypatch.setattr(imagenet, "_info", lambda name: [*known[:-1], "n99999999"])
    with pytest.raises(ValueError, match=r"ImageNet's wnids.*1000 of sha256"):
        imagenet.wnids.__wrapped__()
