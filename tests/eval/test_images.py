from __future__ import annotations

import numpy as np
import pytest
from PIL import Image
from toy import ToyEncoder, write_photo

from babel_eval.encoding import kept_features
from babel_eval.images import decode
from babel_eval.photo_sources import find_photos
from babel_imagenet_dataset.imagenet import wnids

ANCHORS = {"n01440764": 0, "n02119789": 278, "n15075141": 999}


def test_classes_of_folders_come_from_the_wnid_and_never_from_sort_order(tmp_path):
    for wnid, index in ANCHORS.items():
        write_photo(tmp_path / wnid / "one.JPEG", index)
    photos = find_photos(str(tmp_path)).photos
    assert {p.id.split("/")[0]: p.class_index for p in photos} == ANCHORS


def test_a_file_of_no_known_form_is_not_said_to_be_missing(tmp_path):
    (tmp_path / "README.txt").touch()
    with pytest.raises(ValueError, match=r"README\.txt': a file of no known form; allowed: sample"):
        find_photos(str(tmp_path / "README.txt"))
    with pytest.raises(ValueError, match="no such file or folder; allowed: sample"):
        find_photos(str(tmp_path / "nothing"))


def test_flat_files_are_named_by_wnid(tmp_path):
    for wnid, index in ANCHORS.items():
        write_photo(tmp_path / f"{wnid}_17.JPEG", index)
    assert [p.class_index for p in find_photos(str(tmp_path)).photos] == [0, 278, 999]


def test_links_are_followed_and_what_they_hide_is_listed(tmp_path):
    data, photos = tmp_path / "data", tmp_path / "photos"
    write_photo(data / "fish" / "x.png", 0)
    write_photo(photos / wnids()[1] / "y.png", 1)
    (photos / wnids()[0]).symlink_to(data / "fish")  # the usual way to make a subset
    (photos / wnids()[1] / "gone.png").symlink_to(tmp_path / "nowhere.png")
    (photos / wnids()[1] / "round").symlink_to(photos)
    (photos / "twice").symlink_to(data / "fish")
    found = find_photos(str(photos))
    assert [(p.id, p.class_index) for p in found.photos] == [(f"{wnids()[0]}/x.png", 0), (f"{wnids()[1]}/y.png", 1)]
    assert {p.photo: p.why for p in found.problems} == {
        f"{wnids()[1]}/gone.png": "a link that leads nowhere",
        f"{wnids()[1]}/round": "a link to a folder that is read already under another name",
        "twice": "a link to a folder that is read already under another name",
    }


def test_a_folder_called_by_a_number_is_no_class(tmp_path):
    write_photo(tmp_path / "10" / "x.jpg", 10)
    write_photo(tmp_path / "n01440764" / "y.jpg", 0)
    found = find_photos(str(tmp_path))
    assert [p.id for p in found.photos] == ["n01440764/y.jpg"]
    assert [p.photo for p in found.problems] == ["10/x.jpg"]
    assert "wnid" in found.problems[0].why


def test_a_wnid_outside_the_thousand_is_listed(tmp_path):
    write_photo(tmp_path / "n00000001" / "x.jpg", 1)
    write_photo(tmp_path / "n01440764" / "y.jpg", 0)
    assert "none of the 1000" in find_photos(str(tmp_path)).problems[0].why


@pytest.mark.parametrize("images", ["", "nowhere/at/all", "hf:no-split", "photos.tar.xz"])
def test_an_unknown_form_lists_the_allowed_ones(images):
    with pytest.raises(ValueError, match="hf:NAME:SPLIT"):
        find_photos(images)


def test_a_folder_without_photos_is_an_error(tmp_path):
    with pytest.raises(ValueError, match="no photo with a known class"):
        find_photos(str(tmp_path))


def test_features_are_the_photos_own_whatever_the_batch_size_and_order(tmp_path):
    generator = np.random.default_rng(0)
    classes = generator.choice(1000, size=23, replace=False)
    for index in classes:
        write_photo(tmp_path / wnids()[index] / "x.png", int(index))
    photo_set = find_photos(str(tmp_path))
    for batch_size in (1, 4, 100):
        images = kept_features(ToyEncoder({}), photo_set, None, batch_size=batch_size, workers=3)
        assert sorted(images.class_index.tolist()) == sorted(classes.tolist())
        np.testing.assert_array_equal(images.features.argmax(axis=1), images.class_index)
        np.testing.assert_allclose(np.linalg.norm(images.features, axis=1), 1, atol=1e-6)


def test_photos_that_cannot_be_decoded_are_listed_with_their_reason(tmp_path, monkeypatch):
    write_photo(tmp_path / "n01440764" / "good.png", 0)
    write_photo(tmp_path / "n01440764" / "large.png", 0)
    whole = (tmp_path / "n01440764" / "good.png").read_bytes()
    (tmp_path / "n01440764" / "cut.png").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "n01440764" / "text.jpg").write_text("no photo")
    (tmp_path / "n01440764" / "empty.jpg").write_bytes(b"")
    Image.new("RGB", (200, 200)).save(tmp_path / "n01440764" / "large.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 30_000)
    images = kept_features(ToyEncoder({}), find_photos(str(tmp_path)), None)
    assert images.ids == ("n01440764/good.png",)
    why = {p.photo.split("/")[1]: p.why for p in images.problems}
    assert set(why) == {"cut.png", "text.jpg", "empty.jpg", "large.png"}
    assert "too large" in why["large.png"]
    assert "cannot be read" in why["cut.png"]


def test_a_decompression_bomb_is_refused(tmp_path, monkeypatch):
    write_photo(tmp_path / "n01440764" / "bomb.png", 0)
    Image.new("RGB", (300, 300)).save(tmp_path / "n01440764" / "bomb.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with pytest.raises(ValueError, match="too large"):
        decode(find_photos(str(tmp_path)).photos[0])


def test_a_photo_that_vanishes_after_listing_is_listed(tmp_path):
    write_photo(tmp_path / "n01440764" / "a.png", 0)
    write_photo(tmp_path / "n01440764" / "b.png", 0)
    photo_set = find_photos(str(tmp_path))
    (tmp_path / "n01440764" / "a.png").unlink()
    images = kept_features(ToyEncoder({}), photo_set, None)
    assert images.ids == ("n01440764/b.png",)
    assert [p.photo for p in images.problems] == ["n01440764/a.png"]


def _dataset(tmp_path, labels, features=None):
    from datasets import Dataset

    paths = []
    for row, _ in enumerate(labels):
        write_photo(tmp_path / "files" / f"{row}.png", row)
        paths.append({"bytes": (tmp_path / "files" / f"{row}.png").read_bytes(), "path": None})
    return Dataset.from_dict({"image": paths, "label": labels}, features=features)


def _features(names):
    from datasets import ClassLabel, Features
    from datasets import Image as ImageFeature

    return Features({"image": ImageFeature(), "label": ClassLabel(names=names)})


def test_a_dataset_on_disk_is_mapped_by_the_wnids_of_its_class_labels(tmp_path):
    dataset = _dataset(tmp_path, [2, 0, 1], _features(["n15075141", "n02119789", "n01440764"]))
    dataset.save_to_disk(str(tmp_path / "saved"))
    photos = find_photos(f"hf:{tmp_path / 'saved'}:train").photos
    assert [p.class_index for p in photos] == [0, 999, 278]


def test_class_labels_that_are_neither_wnids_nor_imagenets_names_are_refused(tmp_path):
    """Ten classes numbered 0 to 9 are not ImageNet's first ten."""
    dataset = _dataset(tmp_path, [0, 1], _features(["tench", "English springer"]))
    dataset.save_to_disk(str(tmp_path / "saved"))
    with pytest.raises(ValueError, match="neither wnids nor"):
        find_photos(f"hf:{tmp_path / 'saved'}:train")


def test_a_thousand_names_in_another_order_are_refused(tmp_path):
    from babel_imagenet_dataset.imagenet import synsets

    names = [f"{s.wnid} {', '.join(s.lemmas)}".partition(" ")[2] for s in synsets()]
    unique = [n if names.index(n) == i else f"{n} {i}" for i, n in enumerate(names)]
    dataset = _dataset(tmp_path, [0, 999], _features(unique))
    dataset.save_to_disk(str(tmp_path / "right"))
    assert [p.class_index for p in find_photos(f"hf:{tmp_path / 'right'}:train").photos] == [0, 999]
    dataset = _dataset(tmp_path, [0, 999], _features(unique[::-1]))
    dataset.save_to_disk(str(tmp_path / "wrong"))
    with pytest.raises(ValueError, match="neither wnids nor"):
        find_photos(f"hf:{tmp_path / 'wrong'}:train")


def test_parquet_with_class_indices_is_read_and_unknown_classes_are_listed(tmp_path):
    _dataset(tmp_path, [5, 1000, -1, 7]).to_parquet(str(tmp_path / "photos.parquet"))
    found = find_photos(str(tmp_path / "photos.parquet"))
    assert [(p.id, p.class_index) for p in found.photos] == [("row 0", 5), ("row 3", 7)]
    assert [p.photo for p in found.problems] == ["row 1", "row 2"]
    assert decode(found.photos[1]).size == (4, 4)


def test_the_fingerprint_changes_with_the_photos_and_with_nothing_else(tmp_path):
    write_photo(tmp_path / "n01440764" / "a.png", 0)
    before = find_photos(str(tmp_path)).fingerprint
    assert find_photos(str(tmp_path)).fingerprint == before
    write_photo(tmp_path / "n01440764" / "b.png", 0)
    assert find_photos(str(tmp_path)).fingerprint != before
