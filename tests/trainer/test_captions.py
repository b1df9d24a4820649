"""Caption pairs out of every form of data; what is left out is counted."""

from __future__ import annotations

import json
from pathlib import Path

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from babel_adapters.captions import clean, read_pairs, split_by_english
from babel_adapters.pairs import Columns, Pair

ROWS = [
    {"target": "ແມວ", "english": "a cat", "image": "cat.jpg"},
    {"target": "null", "english": "NA", "image": "na.jpg"},
    {"target": 'ໝາ, "ໃຫຍ່"', "english": "a large\tdog", "image": "dog.jpg"},
]


def written(form: str, folder: Path) -> str:
    path = folder / f"pairs.{form}"
    if form == "parquet":
        pq.write_table(pa.Table.from_pylist(ROWS), path)
    elif form == "jsonl":
        path.write_text("\n".join(json.dumps(row) for row in ROWS) + "\n\n")
    elif form == "json":
        path.write_text(json.dumps(ROWS))
    elif form in ("csv", "tsv"):
        import csv

        with open(path, "w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, ROWS[0], delimiter="\t" if form == "tsv" else ",")
            writer.writeheader()
            writer.writerows(ROWS)
    else:
        datasets.Dataset.from_list(ROWS).save_to_disk(str(folder / "saved"))
        return f"hf:{folder / 'saved'}:train"
    return str(path)


@pytest.mark.parametrize("form", ["parquet", "jsonl", "json", "csv", "tsv", "hf"])
def test_every_form_gives_the_same_pairs_and_words_like_null_are_captions(form: str, tmp_path: Path) -> None:
    pairs = read_pairs(written(form, tmp_path), "LO").pairs
    assert [(p.target, p.english) for p in pairs] == [
        ("ແມວ", "a cat"),
        ("null", "NA"),
        ('ໝາ, "ໃຫຍ່"', "a large dog"),
    ]


def test_a_stream_gives_the_same_pairs(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    pq.write_table(pa.Table.from_pylist(ROWS), tmp_path / "data" / "train.parquet")
    name = f"hf:{tmp_path / 'data'}:train"
    assert read_pairs(name, "LO", streaming=True).pairs == read_pairs(name, "LO").pairs


def test_images_are_found_beside_the_file(tmp_path: Path) -> None:
    pairs = read_pairs(written("jsonl", tmp_path), "LO", columns=Columns(image="image")).pairs
    assert pairs[0].image == str(tmp_path / "cat.jpg")


@pytest.mark.parametrize("streaming", [False, True])
def test_images_are_found_in_the_folder_of_a_dataset(streaming: bool, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    written("jsonl", tmp_path / "data")
    name = f"hf:{tmp_path / 'data'}:train"
    pairs = read_pairs(name, "LO", columns=Columns(image="image"), streaming=streaming).pairs
    assert [pair.image for pair in pairs] == [str(tmp_path / "data" / row["image"]) for row in ROWS]


@pytest.mark.parametrize("form", ["jsonl", "json", "csv"])
def test_a_byte_order_mark_is_no_part_of_the_data(form: str, tmp_path: Path) -> None:
    path = Path(written(form, tmp_path))
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert [pair.english for pair in read_pairs(str(path), "LO").pairs] == ["a cat", "NA", "a large dog"]


def test_no_more_rows_than_asked_for_are_read_of_words_too() -> None:
    few = read_pairs("emoji", "TR", limit=10)
    assert len(few.pairs) + sum(few.left_out.values()) == 10
    assert few.pairs == read_pairs("emoji", "TR").pairs[: len(few.pairs)]


def test_a_missing_column_lists_those_there_are(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no column 'caption'; its columns are: target, english, image"):
        read_pairs(written("csv", tmp_path), "LO", columns=Columns(target="caption"))


def test_blank_and_repeated_captions_are_counted() -> None:
    rows = [Pair(f"t{n}", f"e{n}") for n in range(197)]
    read = clean("x", [*rows, Pair(" ", "blank"), Pair("t0", "e0"), Pair(" t1 ", "e1")])
    assert (len(read.pairs), dict(read.left_out)) == (197, {"blank": 1, "repeated": 2})


def test_more_than_one_in_a_hundred_blank_is_an_error() -> None:
    rows = [Pair(f"t{n}", f"e{n}") for n in range(97)]
    with pytest.raises(ValueError, match="3 of 100 captions are empty or blank"):
        clean("x", [*rows, Pair("", "a"), Pair("b", ""), Pair("\u3000", "c")])


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.jsonl", '{"target": 1, "english": "x"}', "holds int, a text is needed"),
        ("a.jsonl", "{", "line 1: no valid JSON"),
        ("a.jsonl", "[]", "an object is needed, got list"),
        ("a.json", "{}", "a list of objects is needed"),
        ("a.csv", "target,english\na\n", "not as many fields"),
        ("a.csv", "target,english\n", "no pair of captions in 0 rows"),
        ("a.json", '[{"target"', r"a\.json: no valid JSON"),
        ("a.tsv", 'target\tenglish\nb\ty\n"Hello" he said\tx\n', r"a\.tsv, line 3: .* quotes within it are doubled"),
        ("a.csv", "target,english\n\xe9,x\n", r"a\.csv: no UTF-8"),
        ("a.jsonl", '{"target": "\xe9", "english": "x"}', r"a\.jsonl: no UTF-8"),
        ("a.parquet", "no Parquet", r"a\.parquet: Parquet magic bytes not found"),
    ],
)
def test_what_cannot_be_read_says_where(name: str, content: str, said: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(content, encoding="latin-1")
    with pytest.raises(ValueError, match=said):
        read_pairs(str(tmp_path / name), "LO")


@pytest.mark.parametrize("streaming", [False, True])
def test_a_dataset_that_cannot_be_read_is_named_with_the_reason(streaming: bool, tmp_path: Path) -> None:
    (tmp_path / "train.parquet").write_bytes(b"no Parquet")
    with pytest.raises(ValueError, match=f"hf:{tmp_path}:train.*Parquet magic bytes not found"):
        read_pairs(f"hf:{tmp_path}:train", "LO", streaming=streaming)


@pytest.mark.parametrize("data", ["captions.txt", "hf:name", "cldrr:x"])
def test_an_unknown_form_is_refused(data: str) -> None:
    with pytest.raises(ValueError, match="--train-data"):
        read_pairs(data, "LO")


def test_a_missing_file_is_said(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no such file"):
        read_pairs(str(tmp_path / "none.csv"), "LO")


def test_held_out_captions_share_no_english_one_with_the_rest() -> None:
    pairs = [Pair(f"t{n}", f"e{n % 100}") for n in range(300)]
    train, held_out = split_by_english(pairs, 0.2, seed=3)
    assert {p.english for p in train}.isdisjoint(p.english for p in held_out)
    assert len(train) + len(held_out) == 300
    assert 20 <= len(held_out) <= 110


def test_more_data_moves_no_caption_across() -> None:
    pairs = [Pair(f"t{n}", f"e{n}") for n in range(100)]
    few = split_by_english(pairs[:50], 0.3, seed=0)[1]
    assert few == [p for p in split_by_english(pairs, 0.3, seed=0)[1] if p in pairs[:50]]


def test_captions_of_one_image_are_held_out_together() -> None:
    images: list[str | bytes] = [f"{n}.jpg" for n in range(40)] + [bytes([n]) for n in range(40)]
    pairs = [Pair(f"t{n} of {image!r}", f"e{n} of {image!r}", image) for image in images for n in range(5)]
    train, held_out = split_by_english(pairs, 0.3, seed=0)
    assert {p.image for p in train}.isdisjoint(p.image for p in held_out)
    assert 50 < len(held_out) < 200


def test_images_that_share_a_caption_are_held_out_together_unless_they_are_most_of_the_data() -> None:
    few = [Pair(f"t{n}", f"e{n}", f"{n}.jpg") for n in range(60)]
    many = [Pair(f"t {n}", "a photo" if k else f"e {n}", f"many {n}.jpg") for n in range(60) for k in range(2)]
    for seed in range(20):
        train, held_out = split_by_english([*few, *many], 0.1, seed)
        assert {p.image for p in train}.isdisjoint(p.image for p in held_out)
        assert {p.english for p in train}.isdisjoint(p.english for p in held_out)
        assert set(many) <= set(train)
