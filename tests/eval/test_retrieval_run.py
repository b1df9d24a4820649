"""Retrieval runs on a toy whose right answers are known: every form of a set, every figure counted by hand."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from toy import ToyEncoder, write_photo

from babel_eval.captions import load_captions, photos_of
from babel_eval.correlation.joining import read_scores
from babel_eval.retrieval import RetrieveConfig, run
from babel_eval.retrieval_means import LanguageDraws, Macro
from babel_zsic.retrieval import Ranks, score_retrieval
from babel_zsic.uncertainty import Resampling

IMAGES = ["a.png", "b.png", "c.png"]
# `wrong` names photo 1, so in Japanese the first photo's only caption finds the second one.
CAPTIONS = {"de": [["null", "nix"], ["eins"], ["zwei"]], "jp": [["wrong"], ["eins"], ["zwei"]]}
VOCABULARY = {"null": 0, "nix": 2, "eins": 1, "zwei": 2, "wrong": 1}


@pytest.fixture
def place(tmp_path):
    for index, name in enumerate(IMAGES):
        write_photo(tmp_path / "photos" / name, index)
    (tmp_path / "toyset.json").write_text(json.dumps({"images": IMAGES, "captions": CAPTIONS}), encoding="utf-8")
    return tmp_path


def settings(place: Path, dataset: str = "toyset.json", **more) -> RetrieveConfig:
    given = {"image_root": str(place / "photos"), "k": (1, 2), "n_resamples": 100, **more}
    return RetrieveConfig("toy", str(place / dataset), str(place / "r.json"), store=str(place / "store"), **given)


def test_recalls_in_both_directions_are_those_counted_by_hand(place):
    encoder = ToyEncoder(VOCABULARY)
    found = run(settings(place), encoder=encoder)
    de, jp = found["results"]
    # German: null, eins and zwei find their photo first; nix (the first photo's other caption) finds the third.
    assert de["t2i_r@1"] == 3 / 4
    assert de["i2t_r@1"] == pytest.approx(2 / 3)  # nix stands before zwei and ties with it for the third photo
    assert (de["n_images"], de["n_texts"], de["code"], jp["code"]) == (3, 4, "DE", "JA")
    # Japanese: the first photo's caption misses; for the second photo it stands before its own, an equal one.
    assert jp["t2i_r@1"] == pytest.approx(2 / 3)
    assert jp["i2t_r@1"] == pytest.approx(2 / 3)  # all three are equal for the first photo: the lowest row is its own
    assert found["macro"]["n_languages"] == 2
    assert found["macro"]["t2i_r@1"] == pytest.approx((3 / 4 + 2 / 3) / 2)
    low, high = de["t2i_r@1_interval"]
    assert 0 <= low <= 0.75 <= high <= 1


def test_the_file_is_read_as_a_retrieval_result_and_photos_come_from_the_store(place):
    encoder = ToyEncoder(VOCABULARY)
    run(settings(place), encoder=encoder)
    scores = {(s.task, s.language, s.name) for s in read_scores(place / "r.json")}
    assert ("toyset", "JA", "t2i_r@1") in scores
    assert encoder.photos_seen == 3
    run(settings(place, overwrite=True, languages="ja"), encoder=encoder)
    assert encoder.photos_seen == 3
    with pytest.raises(FileExistsError, match="--overwrite"):
        run(settings(place), encoder=encoder)


def test_blank_captions_and_missing_photos_are_errors_unless_allowed(place):
    blank = {**CAPTIONS, "de": [[" ", "null"], ["eins"], [""]]}
    (place / "toyset.json").write_text(json.dumps({"images": IMAGES, "captions": blank}), encoding="utf-8")
    with pytest.raises(ValueError, match=r"2 blank captions: de a\.png \(row 0\); de c\.png \(row 2\)"):
        run(settings(place), encoder=ToyEncoder(VOCABULARY))
    row = run(settings(place, allow_blank_captions=True, languages="de"), encoder=ToyEncoder(VOCABULARY))["results"][0]
    assert (row["n_blank_captions"], row["n_photos_without_caption"], row["n_images"], row["n_texts"]) == (2, 1, 2, 2)
    (place / "photos" / "b.png").unlink()
    with pytest.raises(ValueError, match=r"1 photos are missing \(b\.png: is not in"):
        run(settings(place, allow_blank_captions=True, overwrite=True), encoder=ToyEncoder(VOCABULARY))
    allowed = {"allow_blank_captions": True, "allow_missing_images": True, "overwrite": True, "languages": "jp"}
    found = run(settings(place, **allowed), encoder=ToyEncoder(VOCABULARY))
    assert found["results"][0]["n_images"] == 2
    assert found["meta"]["dataset"]["missing"][0]["photo"] == "b.png"


def test_a_photo_that_cannot_be_read_is_an_error_unless_allowed(place):
    (place / "photos" / "b.png").write_bytes(b"no image")
    with pytest.raises(ValueError, match=r"b\.png: cannot be read"):
        run(settings(place), encoder=ToyEncoder(VOCABULARY))


def test_a_cut_off_beyond_the_gallery_and_an_unknown_language_are_errors(place):
    with pytest.raises(ValueError, match="10"):
        run(settings(place, k=(1, 10)), encoder=ToyEncoder(VOCABULARY))
    with pytest.raises(ValueError, match="toyset has no 'fr'; it has: de, jp"):
        run(settings(place, languages="fr"), encoder=ToyEncoder(VOCABULARY))
    with pytest.raises(ValueError, match="none of the known forms"):
        run(settings(place, dataset="nowhere"), encoder=ToyEncoder(VOCABULARY))


def test_every_published_form_gives_the_same_set(tmp_path):
    xm = tmp_path / "captions.jsonl"
    keys = ["k0", "k1"]
    lines = [
        {"image/key": key, "image/locale": "de", "de": {"caption": [f"{key} x", f"{key} y"]}, "fil": {"caption": [key]}}
        for key in keys
    ]
    xm.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    xtd = tmp_path / "xtd"
    xtd.mkdir()
    (xtd / "test_image_names.txt").write_text("p.jpg\nq.jpg\n", encoding="utf-8")
    (xtd / "test_1kcaptions_jp.txt").write_text("一\n二\n", encoding="utf-8")
    flickr = tmp_path / "xFlickrCO" / "de"
    flickr.mkdir(parents=True)
    rows = [
        {"id": "1", "img_path": "p.jpg", "sentences": ["eins"]},
        {"id": "2", "img_path": "q.jpg", "sentences": [""]},
    ]
    (flickr / "test.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows), encoding="utf-8")
    found = [load_captions(str(p)) for p in (xm, xtd, flickr.parent)]
    assert [(s.name, list(s.captions)) for s in found] == [
        ("xm3600", ["de", "fil"]),
        ("xtd", ["jp"]),
        ("xFlickrCO", ["de"]),
    ]
    assert found[0].captions["de"] == (("k0 x", "k0 y"), ("k1 x", "k1 y"))
    assert found[1].captions["jp"] == (("一",), ("二",))
    assert found[2].blank("de") == [1]
    write_photo(tmp_path / "photos" / "k1.jpg", 1)
    photos = photos_of(found[0], tmp_path / "photos")
    assert ([p.id for p in photos.photos], [p.photo for p in photos.problems]) == (["k1"], ["k0"])


def test_a_line_of_a_caption_file_ends_at_a_line_feed_alone(tmp_path):
    (tmp_path / "test_image_names.txt").write_text("p.jpg\r\nq.jpg\r\n", encoding="utf-8", newline="")
    text = "ein\u2028zwei\x85drei\nvier\n"
    (tmp_path / "test_1kcaptions_de.txt").write_text(text, encoding="utf-8", newline="")
    found = load_captions(str(tmp_path))
    assert found.images == ("p.jpg", "q.jpg")
    assert found.captions["de"] == (("ein\u2028zwei\x85drei",), ("vier",))
    (tmp_path / "test_1kcaptions_de.txt").write_text("eins\n\n", encoding="utf-8", newline="")
    assert load_captions(str(tmp_path)).blank("de") == [1]


def test_a_hugging_face_dataset_brings_rows_of_one_photo_together(tmp_path):
    from datasets import Dataset, Features, Value
    from datasets import Image as ImageFeature

    for index in range(2):
        write_photo(tmp_path / f"{index}.png", index)
    bytes_of = [{"bytes": (tmp_path / f"{i}.png").read_bytes(), "path": None} for i in (0, 1, 0)]
    columns = {"photo": bytes_of, "text": ["null", "eins", "zero"], "lang": ["de", "de", "en"]}
    features = Features({"photo": ImageFeature(), "text": Value("string"), "lang": Value("string")})
    Dataset.from_dict(columns, features=features).save_to_disk(str(tmp_path / "ds"))
    names = {"image_column": "photo", "caption_column": "text", "language_column": "lang"}
    found = load_captions(f"hf:{tmp_path / 'ds'}:train", **names)
    assert len(found.images) == 2
    assert found.captions == {"de": (("null",), ("eins",)), "en": (("zero",), ())}
    photo = photos_of(found, None).photos[0]
    (tmp_path / "back.png").write_bytes(photo.read())
    assert Image.open(tmp_path / "back.png").size == (4, 4)
    with pytest.raises(ValueError, match="lacks the columns caption; it has: photo, text, lang"):
        load_captions(f"hf:{tmp_path / 'ds'}:train", **{**names, "caption_column": "caption"})


def hugging_face(folder: Path, cells: list[dict | None], captions: list[str]) -> None:
    """A dataset on disk: a row a photo, with its caption in German."""
    from datasets import Dataset, Features, Value
    from datasets import Image as ImageFeature

    features = Features({"image": ImageFeature(), "caption": Value("string"), "language": Value("string")})
    columns = {"image": cells, "caption": captions, "language": ["de"] * len(cells)}
    Dataset.from_dict(columns, features=features).save_to_disk(str(folder))


def cell(place: Path, index: int, path: str | None) -> dict:
    """A photo of a class as a dataset holds it: its bytes, and the name of the file that it was."""
    write_photo(place / "cell.png", index)
    return {"bytes": (place / "cell.png").read_bytes(), "path": path}


def test_photos_of_another_split_are_not_those_of_the_first_that_have_the_same_names(place):
    """The store knows photos by their content: sets of one name, and photos of one name, are told apart."""
    names = ["1.png", "2.png", "3.png"]
    words = ["null", "eins", "zwei"]
    hugging_face(place / "val" / "set", [cell(place, i, name) for i, name in zip((2, 0, 1), names, strict=True)], words)
    hugging_face(place / "test" / "set", [cell(place, i, name) for i, name in enumerate(names)], words)
    recalls = []
    for split in ("val", "test"):
        config = RetrieveConfig(
            "toy",
            f"hf:{place / split / 'set'}:train",
            str(place / f"{split}.json"),
            store=str(place / "store"),
            k=(1,),
            n_resamples=100,
        )
        recalls.append(run(config, encoder=ToyEncoder(VOCABULARY))["results"][0]["t2i_r@1"])
    assert recalls == [0.0, 1.0]


def test_photos_of_one_file_name_are_two_where_their_bytes_differ(tmp_path):
    """`datasets` keeps the last part of a path alone: a/1.png and b/1.png are both 1.png."""
    cells = [cell(tmp_path, 0, "1.png"), cell(tmp_path, 1, "1.png"), cell(tmp_path, 0, "1.png")]
    hugging_face(tmp_path / "set", cells, ["null", "eins", "zero"])
    found = load_captions(f"hf:{tmp_path / 'set'}:train")
    assert found.captions["de"] == (("null", "zero"), ("eins",))
    assert len(set(found.images)) == 2
    assert found.images[0] == "1.png"
    assert found.images[1].startswith("1.png ")
    assert [photo.read() for photo in photos_of(found, None).photos] == [cells[0]["bytes"], cells[1]["bytes"]]


def test_a_split_that_a_saved_dataset_lacks_is_refused_by_name(tmp_path):
    from datasets import Dataset, DatasetDict

    split = Dataset.from_dict({"image": ["a.png"], "caption": ["eins"], "language": ["de"]})
    DatasetDict({"val": split}).save_to_disk(str(tmp_path / "set"))
    assert load_captions(f"hf:{tmp_path / 'set'}:val").images == ("a.png",)
    with pytest.raises(ValueError, match=r"--dataset .*: no split 'test'; there is: val"):
        load_captions(f"hf:{tmp_path / 'set'}:test")


def test_a_row_without_a_photo_is_a_photo_that_is_missing(place):
    hugging_face(place / "set", [cell(place, 0, None), None, None], ["null", "eins", "zwei"])
    names = {"dataset": f"hf:{place / 'set'}:train", "k": (1,)}
    config = RetrieveConfig("toy", out=str(place / "r.json"), store=str(place / "store"), n_resamples=100, **names)
    with pytest.raises(ValueError, match=r"2 photos are missing .*there is no photo in this row"):
        run(config, encoder=ToyEncoder(VOCABULARY))


def test_bad_sets_are_refused_with_their_place(tmp_path):
    (tmp_path / "s.json").write_text('{"images": ["a", "a"], "captions": {}}', encoding="utf-8")
    with pytest.raises(ValueError, match="photo a stands there twice"):
        load_captions(str(tmp_path / "s.json"))
    (tmp_path / "s.json").write_text('{"images": ["a"], "captions": {"de": []}}', encoding="utf-8")
    with pytest.raises(ValueError, match="de has captions for 0 photos of 1"):
        load_captions(str(tmp_path / "s.json"))
    (tmp_path / "c.jsonl").write_text('{"image/key": "k"}\nno\n', encoding="utf-8")
    with pytest.raises(ValueError, match="line 2 is no JSON"):
        load_captions(str(tmp_path / "c.jsonl"))
    (tmp_path / "c.jsonl").write_text('{"image/key": "k"}\n{"image/key": "k"}\n', encoding="utf-8")
    with pytest.raises(ValueError, match="line 2: photo k stands there twice"):
        load_captions(str(tmp_path / "c.jsonl"))


def test_the_published_xtd_captions_are_read_whole(reference_data):
    found = load_captions(str(reference_data / "xtd.json"))
    assert (len(found.images), len(found.captions)) == (1000, 11)
    assert all(len(c) == 1 for captions in found.captions.values() for c in captions)


def test_photos_are_kept_shard_by_shard_as_in_zero_shot_runs(place, monkeypatch):
    for module in ("store", "encoding"):
        monkeypatch.setattr(f"babel_eval.{module}.SHARD", 2)
    run(settings(place), encoder=ToyEncoder(VOCABULARY))
    assert len(list((place / "store").rglob("*.safetensors"))) == 2


def test_the_file_says_which_adapter_was_on_and_that_weights_were_drawn(place):
    encoder = ToyEncoder(VOCABULARY)
    encoder.adapter = {"language": "DE"}
    encoder.random_weights = True
    meta = run(settings(place), encoder=encoder)["meta"]
    assert (meta["adapter"], meta["random_weights"], meta["model"]) == ({"language": "DE"}, True, "toy")


def measured(seed: int, n_images: int, n_texts: int) -> tuple[Ranks, np.ndarray]:
    rng = np.random.default_rng(seed)
    own = np.concatenate([np.arange(n_images), rng.integers(n_images, size=n_texts - n_images)])
    return Ranks(rng.integers(n_images, size=n_texts), rng.integers(n_texts, size=(n_images, 1))), own


def test_the_mean_of_one_language_has_the_interval_of_that_language():
    ranks, own = measured(0, 60, 100)
    draws = LanguageDraws.of(ranks, own, range(60), 60, (1, 5), Resampling(n_resamples=500))
    macro = Macro()
    macro.add({"code": "DE", "t2i_r@1": 0.1}, draws)
    figures = score_retrieval(ranks, own, k=(1, 5), n_resamples=500)
    for ours, theirs in (("t2i_r@1", "text_to_image_r@1"), ("i2t_r@5", "image_to_text_r@5"), ("i2t_mrr",) * 2):
        theirs = theirs.replace("i2t", "image_to_text")
        low, high = macro.intervals()[ours]
        assert (low, high) == pytest.approx(figures[f"{theirs}_interval"], abs=1e-6)
    assert macro.intervals()["mean_recall"] == pytest.approx(figures["mean_recall_interval"], abs=1e-6)


def test_the_mean_over_languages_draws_each_photo_once_for_all_languages():
    """Against a bootstrap written out: one weight a photo, every language a ratio of its own photos' sums."""
    n, n_resamples = 40, 20_000
    rows = {"DE": range(n), "FR": range(20), "JA": range(10, 40)}
    macro, rng = Macro(), np.random.default_rng(9)
    weights = rng.standard_exponential((n_resamples, n))
    low_end, high_end = rng.standard_gamma(0.5, (2, n_resamples))
    drawn = []
    for seed, (code, covered) in enumerate(rows.items()):
        ranks, own = measured(seed, len(covered), 2 * len(covered))
        macro.add({"code": code}, LanguageDraws.of(ranks, own, covered, n, (3,), Resampling(n_resamples=n_resamples)))
        found, own_weights = np.zeros(n_resamples), np.zeros(n_resamples)
        for text, image in enumerate(own):
            own_weights += weights[:, covered[image]]
            found += weights[:, covered[image]] * (ranks.text[text] < 3)
        mean_size = len(own) / len(covered)
        drawn.append((found + high_end * mean_size) / (own_weights + (low_end + high_end) * mean_size))
    low, high = np.quantile(np.mean(drawn, axis=0), [0.025, 0.975])
    assert macro.intervals()["t2i_r@3"] == pytest.approx([low, high], abs=0.01)


def test_equal_languages_on_equal_photos_add_no_certainty_and_other_photos_do():
    ranks, own = measured(1, 50, 50)
    width = {}
    for name, places in {"same": [range(50)] * 4, "other": [range(50 * i, 50 * i + 50) for i in range(4)]}.items():
        macro = Macro()
        for code, rows in zip(("DE", "FR", "JA", "RU"), places, strict=True):
            macro.add({"code": code}, LanguageDraws.of(ranks, own, rows, 200, (20,), Resampling(n_resamples=4000)))
        low, high = macro.intervals()["t2i_r@20"]
        width[name] = high - low
    alone = score_retrieval(ranks, own, k=(20,), n_resamples=4000)["text_to_image_r@20_interval"]
    assert width["same"] == pytest.approx(alone[1] - alone[0], rel=0.1)
    assert width["other"] == pytest.approx(width["same"] / 2, rel=0.15)


def test_the_file_and_the_mean_leave_english_out_of_the_interval_too(place):
    three = {**CAPTIONS, "en": [["wrong"], ["wrong"], ["wrong"]]}
    (place / "toyset.json").write_text(json.dumps({"images": IMAGES, "captions": three}), encoding="utf-8")
    found = run(settings(place), encoder=ToyEncoder(VOCABULARY))["macro"]
    less = run(settings(place, languages="de,jp", overwrite=True), encoder=ToyEncoder(VOCABULARY))["macro"]
    assert found == less
    low, high = found["t2i_r@1_interval"]
    assert 0 <= low < found["t2i_r@1"] < high <= 1
    assert "i2t_median_rank_interval" not in found
    alone = run(settings(place, languages="en", overwrite=True), encoder=ToyEncoder(VOCABULARY))
    assert alone["macro"]["t2i_r@1_interval"] == pytest.approx(alone["results"][0]["t2i_r@1_interval"], abs=1e-6)
