"""Photos out of tars and out of datasets read as a stream: from where they lie, never copied, in bounded memory."""

from __future__ import annotations

import io
import subprocess
import sys
import tarfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from toy import ToyEncoder

from babel_eval.encoding import PhotoRun
from babel_eval.photo_sources import find_photos
from babel_eval.store import FeatureStore


def png(class_index: int) -> bytes:
    """A photo of a class that the toy reads back."""
    out = io.BytesIO()
    Image.new("RGB", (4, 4), (class_index // 256, class_index % 256, 0)).save(out, format="PNG")
    return out.getvalue()


def write_tar(path: Path, members: dict[str, bytes]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as tar:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))


def features_of(images: str, store: FeatureStore | None = None) -> dict[str, int]:
    """The class that the toy sees in each photo; it must be the class that the source says."""
    found = PhotoRun(ToyEncoder({}), find_photos(images), store).features()
    seen = np.asarray(found.features).argmax(axis=1)
    np.testing.assert_array_equal(seen, found.class_index)
    return dict(zip(found.ids, found.class_index.tolist(), strict=True))


def test_tars_give_each_photo_the_class_of_its_cls_or_its_name(tmp_path: Path) -> None:
    write_tar(tmp_path / "t" / "b.tar", {"n15075141_7.jpg": png(999), "x/n02119789/1.png": png(278)})
    by_cls = {
        "0001.cls": b"n01440764\n",
        "0001.jpg": png(0),
        "0002.png": png(65),
        "0002.cls": b"65",
        "0002.json": b"{}",
    }
    write_tar(tmp_path / "t" / "a.tar", by_cls)
    expected = {"a.tar/0001.jpg": 0, "a.tar/0002.png": 65, "b.tar/n15075141_7.jpg": 999, "b.tar/x/n02119789/1.png": 278}
    assert features_of(str(tmp_path / "t")) == expected
    assert features_of(str(tmp_path / "t" / "a.tar")) == {name: c for name, c in expected.items() if name[0] == "a"}
    assert sorted(path.name for path in (tmp_path / "t").iterdir()) == ["a.tar", "b.tar"], "nothing is unpacked"


def test_photos_of_a_tar_without_a_class_are_listed(tmp_path: Path) -> None:
    members = {"1.jpg": png(1), "2.jpg": png(2), "2.cls": b"1000", "3.jpg": png(3), "3.cls": b"3"}
    write_tar(tmp_path / "a.tar", members)
    photos = find_photos(str(tmp_path / "a.tar"))
    assert {p.photo for p in photos.problems} == {"a.tar/1.jpg", "a.tar/2.jpg"}
    assert [p.id for p in photos.photos] == ["a.tar/3.jpg"]


def test_a_tar_that_is_none_or_is_cut_short_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.tar").write_bytes(b"no tar" * 200)
    with pytest.raises(ValueError, match=r"a\.tar"):
        find_photos(str(tmp_path / "a.tar"))
    write_tar(tmp_path / "b.tar", {"n01440764_1.png": png(0), "n01440764_2.png": png(0)})
    data = (tmp_path / "b.tar").read_bytes()
    (tmp_path / "b.tar").write_bytes(data[:1024])  # the second photo's header is gone
    photos = find_photos(str(tmp_path / "b.tar"))
    assert [p.id for p in photos.photos] == ["b.tar/n01440764_1.png"]
    assert [(p.photo, "cut short" in p.why) for p in photos.problems] == [("b.tar", True)]


def test_images_of_a_tar_that_are_no_samples_photo_are_listed(tmp_path: Path) -> None:
    members = {
        "n01440764_1.jpg": png(0),
        "n01440764_1.v2.jpg": png(0),
        "n01440764_1.png": png(0),
        "n01440764_2.txt": b"t",
    }
    write_tar(tmp_path / "a.tar", members)
    photos = find_photos(str(tmp_path / "a.tar"))
    assert [p.id for p in photos.photos] == ["a.tar/n01440764_1.jpg"]
    assert {p.photo: p.why for p in photos.problems} == {
        "a.tar/n01440764_1.v2.jpg": "no photo of a sample: those are named KEY.jpg, one dot alone",
        "a.tar/n01440764_1.png": "its sample has a photo already, n01440764_1.jpg",
    }


def test_a_folder_of_more_than_one_kind_is_refused(tmp_path: Path) -> None:
    write_tar(tmp_path / "a.tar", {"n01440764_1.png": png(0)})
    (tmp_path / "n01440764").mkdir()
    with pytest.raises(ValueError, match=r"\.tar files and folders of a class; name one of them"):
        find_photos(str(tmp_path))


@pytest.mark.parametrize("streamed", [True, False])
def test_a_row_without_a_photo_is_listed_and_stops_nothing(streamed: bool, tmp_path: Path) -> None:
    name = parquet_folder(tmp_path / "d", [1, 2, 3, 4], empty=2)
    images = name if streamed else str(tmp_path / "d")
    found = PhotoRun(ToyEncoder({}), find_photos(images), None).features()
    assert found.class_index.tolist() == [1, 2, 4]
    assert [(p.photo, p.why) for p in found.problems] == [("row 2", "cannot be read: there is no photo in this row")]


def parquet_folder(folder: Path, classes: list[int | None], empty: int | None = None) -> str:
    """A dataset as the Hub has it, in two files; one row may lack its photo."""
    from datasets import ClassLabel, Dataset, Features
    from datasets import Image as ImageFeature

    from babel_imagenet_dataset.imagenet import wnids

    features = Features({"image": ImageFeature(), "label": ClassLabel(names=list(wnids()))})
    folder.mkdir()
    half = len(classes) // 2
    for number, some in enumerate((classes[:half], classes[half:])):
        cells = [
            None if row + half * number == empty else {"bytes": png(c or 0), "path": None} for row, c in enumerate(some)
        ]
        dataset = Dataset.from_dict({"image": cells, "label": some}, features=features)
        dataset.to_parquet(str(folder / f"validation-{number:05}-of-00002.parquet"))
    return f"hf:{folder}:validation"


def test_a_dataset_is_read_as_a_stream_and_written_nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")
    images = parquet_folder(tmp_path / "d", [5, 999, None, 5, 278])
    photos = find_photos(images)
    assert photos.n_photos is None
    assert photos.photos == ()
    store = FeatureStore(tmp_path / "s")
    expected = {"row 0": 5, "row 1": 999, "row 3": 5, "row 4": 278}
    assert features_of(images, store) == expected
    assert [p.photo for p in PhotoRun(ToyEncoder({}), photos, store).features().problems] == ["row 2"]
    again = ToyEncoder({})
    PhotoRun(again, find_photos(images), store).features()
    assert again.photos_seen == 0, "a stream of the same version is kept like any set"
    assert not any(path.suffix in (".arrow", ".png") for path in tmp_path.rglob("*"))


def test_a_stream_goes_on_from_the_first_shard_that_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from babel_eval import encoding, store

    monkeypatch.setattr(store, "SHARD", 3)
    monkeypatch.setattr(encoding, "SHARD", 3)
    images = parquet_folder(tmp_path / "d", list(range(8)))
    features_of(images, FeatureStore(tmp_path / "s"))
    next((tmp_path / "s").glob("*/00001.json")).unlink()
    again = ToyEncoder({})
    found = PhotoRun(again, find_photos(images), FeatureStore(tmp_path / "s")).features()
    assert found.class_index.tolist() == list(range(8))
    assert again.photos_seen == 5, "what follows the gap is made again: where a stream ends is not known"


MEMORY = """
import resource, sys, zlib
import numpy as np
sys.path.insert(0, sys.argv[1])
from toy import ToyEncoder
from babel_eval.config import EvaluateConfig
from babel_eval.runner import run
from babel_eval.zero_shot import Scoring
import torch, datasets, pyarrow.parquet, open_clip, transformers

class Large(ToyEncoder):
    "Its input and features are as large as those of a real tower: 0.6 MB a photo, 512 numbers, no two alike."
    dim = 512
    def preprocess(self, image):
        return super().preprocess(image).expand(3, 224, 224).contiguous()
    def _vectors(self, numbers):
        return np.stack([np.random.default_rng(int(n)).standard_normal(512, dtype=np.float32) for n in numbers])
    def encode_texts(self, texts, language):
        return self._vectors([zlib.crc32(text.encode()) for text in texts])

encoder = Large({})
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
config = EvaluateConfig(model="toy", images=sys.argv[2], out=sys.argv[3], languages=sys.argv[4], store=sys.argv[5])
run(config, encoder=encoder, scoring=Scoring(n_resamples=100))
print(before, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
"""
LIMIT_MIB = 400


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["tar", "stream"])
def test_memory_does_not_grow_with_photos_and_languages(kind: str, tmp_path: Path) -> None:
    """5,000 photos are 3 GB of pixels and 10 MB of features; 92 languages have 36,000 labels."""
    from babel_imagenet_dataset.imagenet import wnids

    classes = [index % 1000 for index in range(5000)]
    if kind == "tar":
        write_tar(tmp_path / "t.tar", {f"{wnids()[c]}_{i}.png": png(c) for i, c in enumerate(classes)})
        images = str(tmp_path / "t.tar")
    else:
        images = parquet_folder(tmp_path / "d", list(classes))
    arguments = [str(Path(__file__).parent), images, str(tmp_path / "r.json"), "92", str(tmp_path / "s")]
    done = subprocess.run([sys.executable, "-c", MEMORY, *arguments], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    before, peak = map(float, done.stdout.split()[-2:])
    assert peak - before < LIMIT_MIB, f"{before:.0f} MiB before, {peak:.0f} MiB at most"
