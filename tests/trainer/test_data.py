"""What a training takes of its data: every rule on every objective, and what the tokenizer knows."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from babel_adapters.captions import split_by_english
from babel_adapters.config import TrainConfig
from babel_adapters.data import allowed_pairs, unknown_share
from babel_adapters.leakage import CLASS_NAME
from babel_adapters.measure import base_revision, card_record, image_sets
from babel_adapters.pairs import Pair

OBJECTIVES = ("mse", "text-contrastive", "lit", "lit=1,mse=1")
ROWS = [
    {"target": "x", "english": "tench", "image": "x.jpg"},
    {"target": "y", "english": "a word", "image": "y.jpg"},
]


def config(folder: Path, rows: list[dict[str, Any]], **settings: Any) -> TrainConfig:
    path = folder / "pairs.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    return TrainConfig(train_data=str(path), languages="lo", method="lora", **settings)


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_strict_looks_at_the_english_caption_whatever_the_objective(objective: str, tmp_path: Path) -> None:
    source = allowed_pairs(config(tmp_path, ROWS, objective=objective), "LO", [])
    assert [(pair.target, pair.english) for pair in source.pairs] == [("y", "a word")]
    assert (source.left_out[CLASS_NAME], source.n_without_english) == (1, 0)


@pytest.mark.parametrize("english", [{}, {"english": None}, {"english": "  "}])
def test_lit_does_without_english_captions_and_they_are_counted(english: dict[str, Any], tmp_path: Path) -> None:
    rows = [*({"target": f"t{n}", "image": "a.jpg"} | english for n in range(3)), ROWS[1]]
    source = allowed_pairs(config(tmp_path, rows, objective="lit"), "LO", [])
    assert (len(source.pairs), source.n_without_english, source.left_out["blank"]) == (4, 3, 0)


@pytest.mark.parametrize("settings", [{"objective": "mse"}, {"objective": "lit", "english_column": "caption"}])
def test_english_captions_that_are_needed_or_named_must_be_there(settings: dict[str, str], tmp_path: Path) -> None:
    column = settings.get("english_column", "english")
    with pytest.raises(ValueError, match=f"no column '{column}'"):
        allowed_pairs(config(tmp_path, [{"target": "x", "image": "x.jpg"}], **settings), "LO", [])


def test_pairs_without_an_image_are_counted_and_an_error_above_one_in_a_hundred(tmp_path: Path) -> None:
    rows = [{"target": f"t{n}", "image": f"{n}.jpg" if n else None} for n in range(100)]
    source = allowed_pairs(config(tmp_path, rows, objective="lit"), "LO", [])
    assert (len(source.pairs), source.left_out["no image"]) == (99, 1)
    with pytest.raises(ValueError, match="1 of 99 pairs have no image, more than 1%"):
        allowed_pairs(config(tmp_path, rows[:99], objective="lit"), "LO", [])


@pytest.mark.parametrize(
    ("images", "names"),
    [("names, /a/val ,sample,", ["names", "/a/val", "sample"]), ("names,names", ["names"]), ("", [])],
)
def test_sets_of_images_are_read_from_a_list(images: str, names: list[str]) -> None:
    assert image_sets(TrainConfig(eval_images=images)) == names


@pytest.mark.parametrize("images", ["/a/val,/b/val", "hf:A/imagenet:validation,hf:B/imagenet:validation"])
def test_sets_of_images_whose_results_would_stand_in_one_file_are_refused(images: str) -> None:
    with pytest.raises(ValueError, match=rf"{images.split(',')[0]} and .*both be written to before-.*val.*json"):
        image_sets(TrainConfig(eval_images=images))


def test_captions_of_one_image_without_english_are_held_out_together() -> None:
    images: list[str | bytes] = [f"{n}.jpg" for n in range(40)] + [bytes([n]) for n in range(40)]
    pairs = [Pair(f"caption {n} of {image!r}", None, image) for image in images for n in range(5)]
    train, held_out = split_by_english(pairs, 0.3, seed=0)
    assert {pair.image for pair in train}.isdisjoint(pair.image for pair in held_out)
    assert 50 < len(held_out) < 200


@pytest.mark.parametrize(("rule", "n", "says"), [("strict", 3, True), ("strict", 0, False), ("labels", 3, False)])
def test_the_card_says_where_strict_could_not_see_an_english_side(rule: str, n: int, says: bool) -> None:
    record = card(leakage=rule, data={"name": "x", "licence": "mit", "pairs": 9, "removed": {}, "without_english": n})
    assert any("3 pairs of the data" in sentence for sentence in record["left_out"]) == says


def test_the_card_says_which_revision_the_model_string_names() -> None:
    assert card(model="transformers:ORG/NAME@v1")["base_revision"] == "v1"
    assert "base_revision" not in card(model="conse-e5")


def card(**more: Any) -> dict[str, Any]:
    known = {
        "model": "conse-e5", "base": "ORG/NAME", "language": "LO", "objective": {"lit": 1.0}, "method": "lora",
        "data": {}, "settings": {}, "gains": [], "folder": "lo", "versions": {}, "leakage": "strict",
    }  # fmt: skip
    return card_record(**(known | more))


@pytest.mark.parametrize(
    ("model", "revision"),
    [
        ("transformers:ORG/NAME@abc", "abc"),
        ("m-clip:ORG/NAME@abc+images:open_clip:ViT-B-32@openai", "abc"),
        ("m-clip:ORG/NAME+images:open_clip:ViT-B-32@openai", None),
        ("open_clip:ViT-B-32@openai", None),
        ("conse-e5", None),
    ],
)
def test_a_revision_is_told_from_the_tag_of_weights(model: str, revision: str | None) -> None:
    assert base_revision(model) == revision


class Letters:
    """A tokenizer of small letters between a beginning, 0, and an end, 1; what it does not know is 2, padding 3."""

    def __init__(self, **more: Any) -> None:
        self.__dict__.update(more)

    def tokenize(self, texts: list[str], language: str) -> list[list[int]]:
        return [[0, *(ord(c) if c.isascii() else 2 for c in text), 1, 3, 3, 3] for text in texts]


def test_beginning_end_and_padding_are_no_tokens_of_a_text() -> None:
    encoder = Letters(unknown_id=2)
    assert unknown_share(encoder, "LO", encoder.tokenize(["aປປ", "a"], "LO")) == pytest.approx(2 / 4)
    assert unknown_share(encoder, "LO", encoder.tokenize([""], "LO")) == 0


def test_a_tokenizer_of_bytes_knows_everything() -> None:
    for known in ({"unk_token_id": None, "eos_token_id": 1}, {"unk_token_id": 1, "eos_token_id": 1}):
        assert unknown_share(Letters(_tokenizer=SimpleNamespace(**known)), "LO", [[0, 1, 1]]) == 0
    assert unknown_share(Letters(unknown_id=None), "LO", [[0, 1, 1]]) == 0


def test_an_encoder_that_does_not_say_what_it_does_not_know_is_an_error() -> None:
    with pytest.raises(TypeError, match="Letters must say which token is unknown_id"):
        unknown_share(Letters(), "LO", [[0, 1]])
