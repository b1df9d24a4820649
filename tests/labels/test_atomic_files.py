"""Files written whole: what the system refuses names the path that was asked for."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from babel_imagenet_dataset.files import atomic_folder, atomic_path, check_writable


@pytest.mark.parametrize("writer", [atomic_path, atomic_folder])
def test_a_folder_that_cannot_be_made_is_an_error_of_the_path_asked_for(
    writer: Callable[[Path], AbstractContextManager[Path]], tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(NotADirectoryError) as caught, writer(tmp_path / "file" / "sub" / "r.json"):
        pass
    assert caught.value.filename == str(tmp_path / "file" / "sub" / "r.json")


def test_a_file_does_not_take_the_place_of_a_folder(tmp_path: Path) -> None:
    target = tmp_path / "r.json"
    target.mkdir()
    with pytest.raises(IsADirectoryError) as caught, atomic_path(target) as part:
        part.write_text("{}")
    assert caught.value.filename == str(target)
    assert [path.name for path in tmp_path.iterdir()] == ["r.json"]


def test_an_error_of_whoever_writes_stays_as_it_is(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="no figures here") as caught, atomic_path(tmp_path / "r.json"):
        raise OSError("no figures here")
    assert caught.value.filename is None


def test_a_folder_is_made_and_left_empty_by_the_check(tmp_path: Path) -> None:
    check_writable(tmp_path / "new" / "folder")
    assert not list((tmp_path / "new" / "folder").iterdir())
