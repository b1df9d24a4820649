"""No training pair gives the answer away, however it is spelled."""

from __future__ import annotations

import pytest

from babel_adapters.captions import read_pairs
from babel_adapters.leakage import CLASS_NAME, LABEL, TEST_CAPTION, TEST_ENGLISH, comparable, without_leaks
from babel_adapters.pairs import Pair, PairSet
from babel_imagenet_dataset.release import load_labels

PAIRS = PairSet(
    "x",
    (
        Pair("ປາ", "a fish"),
        Pair("ÇIĞLIK", "a cry"),
        Pair("schlei", "Tench"),
        Pair("b", "TINCA_tinca"),
        Pair("c", "great\u200e white  shark"),
        Pair("d", "cock-a-leekie"),
    ),
)


def test_strict_leaves_out_labels_class_names_and_lemmas() -> None:
    left = without_leaks(PAIRS, ["ປາ"], "strict", language="LO")
    assert [p.target for p in left.pairs] == ["ÇIĞLIK", "d"]
    assert dict(left.left_out) == {LABEL: 1, CLASS_NAME: 3}


def test_the_labels_rule_leaves_out_labels_alone() -> None:
    left = without_leaks(PAIRS, ["  ปลา ", "ປາ", "Schlei"], "labels", language="LO")
    assert [p.target for p in left.pairs] == ["ÇIĞLIK", "b", "c", "d"]
    assert dict(left.left_out) == {LABEL: 2}


def test_captions_of_the_retrieval_set_are_left_out_and_english_ones_under_strict_alone() -> None:
    pairs = PairSet("x", (Pair("ໝາ ແລ່ນ", "a dog runs"), Pair("ສີ ແດງ", "a red thing"), Pair("ອື່ນ", "another")))
    known = {"captions": ["ໝາ  ແລ່ນ"], "english_captions": ["A red thing"]}
    labels, strict = (without_leaks(pairs, [], rule, language="LO", **known) for rule in ("labels", "strict"))
    assert [p.english for p in labels.pairs] == ["a red thing", "another"]
    assert [p.english for p in strict.pairs] == ["another"]
    assert (strict.left_out[TEST_CAPTION], strict.left_out[TEST_ENGLISH]) == (1, 1)


def test_no_rule_leaves_everything() -> None:
    assert without_leaks(PAIRS, ["ປາ"], "none", language="LO") == PAIRS


def test_a_rule_that_leaves_nothing_is_an_error() -> None:
    with pytest.raises(ValueError, match="leaves none of 1 pairs"):
        without_leaks(PairSet("x", (Pair("a", "tench"),)), [], "strict", language="LO")


def test_texts_are_compared_without_case_width_marks_and_hyphens() -> None:
    assert comparable("ＧＲＥＡＴ\u200e-white  Shark") == comparable("great white shark")
    assert comparable("hen") != comparable("hens")


@pytest.mark.parametrize(
    ("language", "target", "label"),
    [
        ("RU", "пчела", "пчела\u0301"),
        ("RU", "пчела\u0301", "Пчела"),
        ("RU", "лама", "лама (животное)"),
        ("LT", "avinas (gyvūnas)", "Avinas"),
        ("RU", "черная вдова", "Чёрная вдова"),
        ("HE", "מַסְכֵּת", "מסכת"),
        ("TR", "iguana", "İguana"),
        ("AZ", "ilbiz", "i\u0307lbiz"),
        ("TR", "ıstakoz", "Istakoz"),
        ("UZ", "bo‘rsiq", "Bo'rsiq"),
        ("FR", "toile d’araignée", "toile d'araignée"),
    ],
)
def test_a_label_is_known_however_it_is_spelled(language: str, target: str, label: str) -> None:
    pairs = PairSet("x", (Pair(target, "a word"), Pair("another", "a word")))
    for rule in ("labels", "strict"):
        left = without_leaks(pairs, [label], rule, language=language)
        assert ([p.target for p in left.pairs], left.left_out[LABEL]) == (["another"], 1)


@pytest.mark.parametrize("english", ["jack-o-lantern", "Jack-O’-Lantern", "military hat", "ram (animal)"])
def test_strict_knows_class_names_without_apostrophes_and_hints(english: str) -> None:
    left = without_leaks(PairSet("x", (Pair("a", english), Pair("b", "a word"))), [], "strict", language="LO")
    assert [p.target for p in left.pairs] == ["b"]


@pytest.mark.parametrize(("first", "second"), [("труба", "трубач"), ("йод", "иод"), ("kılıç", "kalıç"), ("é", "e")])
def test_other_words_stay_apart(first: str, second: str) -> None:
    assert comparable(first) != comparable(second)


def test_names_of_emoji_that_the_labels_stress_or_explain_are_left_out() -> None:
    pytest.importorskip("emoji")
    names = "банджо бикини буррито джинсы замок каноэ кольцо конверт корзина линейка лыжи орангутан парашют"
    others = "пчела солонка труба фламинго лама улитка пикап вантуз ключ"
    listed = f"{names} {others}".split()
    pairs, labels = read_pairs("emoji", "RU"), load_labels(None).languages["RU"].labels
    assert set(listed) <= {pair.target for pair in pairs.pairs}
    for rule in ("labels", "strict"):
        left = without_leaks(pairs, labels, rule, language="RU")
        assert {pair.target for pair in left.pairs}.isdisjoint(listed)
