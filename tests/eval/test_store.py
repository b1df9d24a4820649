from __future__ import annotations

import os

import numpy as np
from toy import ToyEncoder, one_by_one, write_photo

from babel_eval.photo_sources import find_photos
from babel_eval.store import FeatureStore, image_key


def kept(tmp_path, encoder):
    for index, wnid in enumerate(("n01440764", "n01443537", "n01484850")):
        write_photo(tmp_path / "photos" / wnid / "x.png", index)
    (tmp_path / "photos" / "n01440764" / "bad.png").write_text("x")
    photo_set = find_photos(str(tmp_path / "photos"))
    images = one_by_one(photo_set)
    store = FeatureStore(tmp_path / "store")
    key = image_key(encoder, photo_set)
    store.save(key, images)
    return store, key, images


def test_what_was_kept_comes_back_bit_for_bit_with_its_problems(tmp_path):
    store, key, images = kept(tmp_path, ToyEncoder({}))
    loaded = store.load(key)
    assert loaded.ids == images.ids
    assert loaded.problems == images.problems
    assert len(loaded.problems) == 1
    np.testing.assert_array_equal(loaded.features, images.features)
    np.testing.assert_array_equal(loaded.class_index, images.class_index)


def test_another_model_or_other_photos_have_another_key(tmp_path):
    _, key, _ = kept(tmp_path, ToyEncoder({}))
    photo_set = find_photos(str(tmp_path / "photos"))
    assert image_key(ToyEncoder({}), photo_set) == key
    assert image_key(ToyEncoder({}, fingerprint="e" * 64), photo_set) != key
    write_photo(tmp_path / "photos" / "n01440764" / "x.png", 700)
    (tmp_path / "photos" / "n01440764" / "x.png").touch()
    assert image_key(ToyEncoder({}), find_photos(str(tmp_path / "photos"))) != key


def test_damaged_features_are_not_taken(tmp_path):
    store, key, _ = kept(tmp_path, ToyEncoder({}))
    for path in store.folder.rglob("*.safetensors"):
        data = bytearray(path.read_bytes())
        data[-1] ^= 1
        path.write_bytes(bytes(data))
    assert store.load(key) is None


def test_a_damaged_manifest_is_not_taken(tmp_path):
    store, key, _ = kept(tmp_path, ToyEncoder({}))
    for path in store.folder.rglob("*.json"):
        path.write_text(path.read_text()[:-20])
    assert store.load(key) is None


def test_what_killed_runs_had_begun_to_write_is_removed_and_what_is_being_written_stays(tmp_path):
    (tmp_path / "key").mkdir()
    old, new, kept = (tmp_path / "key" / name for name in (".0.safetensors.a.part", ".0.json.b.part", "0.json"))
    for path in (old, new, kept):
        path.write_bytes(b"half")
    for path in (old, kept):
        os.utime(path, (0, 0))
    FeatureStore(tmp_path).check()
    assert sorted((tmp_path / "key").iterdir()) == sorted([new, kept])


def test_a_store_is_checked_by_many_at_once(tmp_path):
    from concurrent.futures import ThreadPoolExecutor

    store = FeatureStore(tmp_path)
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(lambda _: store.check(), range(400))) == [None] * 400
    assert list(tmp_path.iterdir()) == []
