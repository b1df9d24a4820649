"""Photos shard by shard: kept as soon as they are whole, read again, shared by processes, never wrong."""

from __future__ import annotations

import errno
import json
import logging
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from toy import ToyEncoder, one_by_one, write_photo

from babel_eval import encoding, store
from babel_eval.encoding import PhotoRun
from babel_eval.images import ImageFeatures, Photo, PhotoSet, Problem
from babel_eval.photo_sources import find_photos
from babel_eval.store import FeatureStore, Rows, mapped
from babel_eval.team import Team
from babel_imagenet_dataset.imagenet import wnids


@pytest.fixture(autouse=True)
def small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "SHARD", 4)
    monkeypatch.setattr(encoding, "SHARD", 4)


def photo_set(folder: Path, n: int = 10) -> PhotoSet:
    for index in range(n):
        write_photo(folder / "photos" / wnids()[index * 7] / "x.png", index * 7)
    (folder / "photos" / wnids()[0] / "bad.png").write_text("no photo")
    return find_photos(str(folder / "photos"))


def as_stream(photos: PhotoSet) -> PhotoSet:
    return PhotoSet("stream", (), stream=lambda start: iter(photos.photos[start:]), stamp="1")


def check(images, whole) -> None:
    assert images.ids == whole.ids
    np.testing.assert_array_equal(np.asarray(images.features), whole.features)
    np.testing.assert_array_equal(images.class_index, whole.class_index)
    assert images.problems == whole.problems


@pytest.mark.parametrize("kind", ["listed", "stream"])
@pytest.mark.parametrize("n", [1, 7, 8, 11])
@pytest.mark.parametrize("kept", [True, False])
def test_shards_together_are_the_whole(kind: str, n: int, kept: bool, tmp_path: Path) -> None:
    photos = photo_set(tmp_path, n)
    whole = one_by_one(photos)
    photos = as_stream(photos) if kind == "stream" else photos
    encoder = ToyEncoder({})
    images = PhotoRun(encoder, photos, FeatureStore(tmp_path / "s") if kept else None).features(batch_size=3)
    check(images, whole)
    again = PhotoRun(encoder, photos, FeatureStore(tmp_path / "s") if kept else None)
    check(again.features(batch_size=3), whole)
    assert again.n_kept == (n + 1 if kept else 0)
    assert encoder.photos_seen == (n if kept else 2 * n), "what is kept is not encoded again"


def test_what_was_encoded_before_a_stop_is_kept(tmp_path: Path) -> None:
    photos = photo_set(tmp_path)
    whole = one_by_one(photos)

    class Stopped(ToyEncoder):
        def encode_pixels(self, pixels):
            if self.photos_seen >= 5:
                raise KeyboardInterrupt
            return super().encode_pixels(pixels)

    with pytest.raises(KeyboardInterrupt):
        PhotoRun(Stopped({}), photos, FeatureStore(tmp_path / "s")).features(batch_size=2)
    rest = ToyEncoder({})
    check(PhotoRun(rest, photos, FeatureStore(tmp_path / "s")).features(batch_size=2), whole)
    assert rest.photos_seen == 10 - 3, "the first shard holds three photos and the one that cannot be read"


@pytest.mark.parametrize("harm", ["flip", "cut", "foreign", "record", "gone"])
def test_damaged_and_foreign_shards_are_made_again(harm: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    photos = photo_set(tmp_path)
    whole = PhotoRun(ToyEncoder({}), photos, FeatureStore(tmp_path / "s")).features()
    expected = one_by_one(photos)
    check(whole, expected)
    (array,) = (tmp_path / "s").glob("*/00001.safetensors")
    record = array.with_suffix(".json")
    if harm == "flip":
        data = bytearray(array.read_bytes())
        data[-1] ^= 1
        array.write_bytes(bytes(data))
    elif harm == "cut":
        array.write_bytes(array.read_bytes()[:-8])
    elif harm == "foreign":
        record.write_text(json.dumps({**json.loads(record.read_text()), "key": "0" * 64}))
    elif harm == "record":
        record.write_text(record.read_text()[:-9])
    else:
        array.unlink()
    again = ToyEncoder({})
    with caplog.at_level(logging.WARNING):
        check(PhotoRun(again, photos, FeatureStore(tmp_path / "s")).features(), expected)
    assert again.photos_seen == 4
    assert harm == "gone" or "made again" in caplog.text


def together(encoders: list[ToyEncoder], photos: PhotoSet, folder: Path) -> list[ImageFeatures]:
    """Two processes of one run, as threads."""
    meeting = threading.Barrier(2, timeout=30)
    teams = [Team(rank, 2, barrier=meeting.wait) for rank in range(2)]
    with ThreadPoolExecutor(2) as pool:
        runs = [PhotoRun(e, photos, FeatureStore(folder), t) for e, t in zip(encoders, teams, strict=True)]
        return list(pool.map(lambda run: run.features(batch_size=3), runs))


@pytest.mark.parametrize("kind", ["listed", "stream"])
def test_two_processes_share_the_photos_and_get_the_same(kind: str, tmp_path: Path) -> None:
    photos = photo_set(tmp_path, 14)
    whole = one_by_one(photos)
    encoders = [ToyEncoder({}), ToyEncoder({})]
    for images in together(encoders, as_stream(photos) if kind == "stream" else photos, tmp_path / "s"):
        check(images, whole)
    assert [encoder.photos_seen for encoder in encoders] == [7, 7]


def test_what_is_missing_after_a_stop_is_shared_whosever_it_was(tmp_path: Path) -> None:
    photos = photo_set(tmp_path, 15)
    whole = one_by_one(photos)
    together([ToyEncoder({}), ToyEncoder({})], photos, tmp_path / "s")
    for number in (1, 3):  # both were the second process's
        [shard] = (tmp_path / "s").glob(f"*/*{number}.safetensors")
        shard.unlink()
    encoders = [ToyEncoder({}), ToyEncoder({})]
    for images in together(encoders, photos, tmp_path / "s"):
        check(images, whole)
    assert [encoder.photos_seen for encoder in encoders] == [4, 4]


def test_a_share_that_was_not_done_is_said(tmp_path: Path) -> None:
    run = PhotoRun(ToyEncoder({}), photo_set(tmp_path), FeatureStore(tmp_path / "s"), Team(0, 2))
    with pytest.raises(RuntimeError, match="run again to go on"):
        run.features()
    with pytest.raises(ValueError, match="need a store"):
        PhotoRun(ToyEncoder({}), photo_set(tmp_path), None, Team(0, 2))


def test_two_runs_may_write_to_one_store_at_once(tmp_path: Path) -> None:
    from concurrent.futures import ThreadPoolExecutor

    photos = photo_set(tmp_path, 30)
    whole = one_by_one(photos)
    runs = [PhotoRun(ToyEncoder({}), photos, FeatureStore(tmp_path / "s")) for _ in range(3)]
    with ThreadPoolExecutor(3) as pool:
        for images in pool.map(lambda run: run.features(batch_size=2), runs):
            check(images, whole)
    (key,) = [folder.name for folder in (tmp_path / "s").iterdir()]
    check(FeatureStore(tmp_path / "s").load(key), whole)
    assert [path for path in (tmp_path / "s").rglob("*") if "tmp" in path.suffix] == []


def test_a_full_disk_costs_what_is_kept_and_not_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    photos = photo_set(tmp_path)
    real = FeatureStore.save_shard

    def full(self, key, number, images, **more):
        if number == 1:
            raise OSError(errno.ENOSPC, "No space left on device")
        real(self, key, number, images, **more)

    monkeypatch.setattr(FeatureStore, "save_shard", full)
    with caplog.at_level(logging.WARNING):
        images = PhotoRun(ToyEncoder({}), photos, FeatureStore(tmp_path / "s")).features()
    check(images, one_by_one(photos))
    assert caplog.text.count("no room") == 1


def test_a_store_that_cannot_be_written_is_said_before_any_work(tmp_path: Path) -> None:
    (tmp_path / "s").write_text("a file in the folder's place")
    with pytest.raises(OSError, match="--store"):
        FeatureStore(tmp_path / "s").check()


def test_photos_that_vanish_while_they_are_encoded_are_listed(tmp_path: Path) -> None:
    photos = photo_set(tmp_path)

    class Deleting(ToyEncoder):
        def encode_pixels(self, pixels):
            (tmp_path / "photos" / wnids()[63] / "x.png").unlink(missing_ok=True)
            return super().encode_pixels(pixels)

    images = PhotoRun(Deleting({}), photos, FeatureStore(tmp_path / "s")).features(batch_size=1, workers=1)
    assert len(images.ids) == 9
    assert {p.photo for p in images.problems} == {f"{wnids()[0]}/bad.png", f"{wnids()[63]}/x.png"}


def test_a_stream_lists_what_has_no_class() -> None:
    items = [Photo("a", 3, "", lambda: b""), Problem("b", "no class")]
    photos = PhotoSet("stream", (), stream=lambda start: iter(items[start:]), stamp="1")
    images = PhotoRun(ToyEncoder({}), photos, None).features()
    assert [p.photo for p in images.problems] == ["a", "b"]
    assert images.ids == ()


def test_rows_of_several_arrays_are_one_matrix(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    whole = rng.normal(size=(23, 5)).astype(np.float32)
    rows = Rows([whole[:9], whole[9:9], whole[9:20], whole[20:]], 5)
    assert (rows.shape, len(rows), rows.ndim, rows.dtype) == ((23, 5), 23, 2, np.float32)
    np.testing.assert_array_equal(np.asarray(rows), whole)
    for index in ([22, 0, 9, 8, 9], slice(3, 21, 2), whole[:, 0] > 0, np.array([], dtype=int), [-1]):
        np.testing.assert_array_equal(rows[index], whole[index])
    np.testing.assert_array_equal(rows[20], whole[20])
    with pytest.raises(IndexError):
        rows[[23]]


def test_kept_features_are_mapped_and_not_read(tmp_path: Path) -> None:
    photos = photo_set(tmp_path)
    PhotoRun(ToyEncoder({}), photos, FeatureStore(tmp_path / "s")).features()
    (array,) = (tmp_path / "s").glob("*/00001.safetensors")
    assert isinstance(mapped(array)["features"], np.memmap)


def test_a_photo_that_can_be_read_again_is_encoded_again(tmp_path: Path) -> None:
    """A disk that did not answer once must not cost a photo for good: its bytes, and so its stamp, are the same."""
    answers = [False]
    write_photo(tmp_path / "x.png", 5)

    def read() -> bytes:
        if not answers[0]:
            raise OSError("the disk does not answer")
        return (tmp_path / "x.png").read_bytes()

    photos = PhotoSet("p", tuple(Photo(f"p{n}", 5, "same", read) for n in range(6)))
    assert len(PhotoRun(ToyEncoder({}), photos, FeatureStore(tmp_path / "s")).features().problems) == 6
    answers[0] = True
    images = PhotoRun(ToyEncoder({}), photos, FeatureStore(tmp_path / "s")).features()
    assert (images.ids, images.problems) == (tuple(f"p{n}" for n in range(6)), ())


def test_a_photo_that_stays_unreadable_costs_no_new_pass(tmp_path: Path) -> None:
    photos, encoder = photo_set(tmp_path), ToyEncoder({})
    for _ in range(2):
        assert len(PhotoRun(encoder, photos, FeatureStore(tmp_path / "s")).features().problems) == 1
    assert encoder.photos_seen == 10
