"""Words that packages ship: names and keywords, in pairs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from babel_adapters.pairs import Pair
from babel_adapters.words import KEYWORD_WEIGHT, cldr_pairs, emoji_pairs, keyword_pairs, translation_table


def cldr(folder: Path, **annotations: dict[str, tuple[str, list[str]]]) -> Path:
    for language, symbols in annotations.items():
        path = folder / "annotations" / language / "annotations.json"
        path.parent.mkdir(parents=True)
        entries = {s: {"tts": [name], "default": words} for s, (name, words) in symbols.items()}
        path.write_text(json.dumps({"annotations": {"identity": {}, "annotations": entries}}))
    return folder


def test_names_of_a_symbol_are_a_pair(tmp_path: Path) -> None:
    folder = cldr(
        tmp_path, en={"🐱": ("cat face", []), "🐶": ("dog face", [])}, lo={"🐱": ("ໜ້າແມວ", []), "🐮": ("ງົວ", [])}
    )
    assert list(cldr_pairs(folder, "LO")) == [Pair("ໜ້າແມວ", "cat face")]


def test_norwegian_is_found_under_cldrs_own_name(tmp_path: Path) -> None:
    folder = cldr(tmp_path, en={"🐱": ("cat", [])}, no={"🐱": ("katt", [])})
    assert list(cldr_pairs(folder, "NO")) == [Pair("katt", "cat")]


def test_a_language_that_cldr_lacks_is_refused_with_those_it_has(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"no annotations in SW .*it has en lo"):
        list(cldr_pairs(cldr(tmp_path, en={}, lo={}), "SW"))


def test_a_language_of_which_cldr_has_a_file_but_no_annotations_is_refused(tmp_path: Path) -> None:
    folder = cldr(tmp_path, en={"🐱": ("cat", [])}, ckb={})
    bare = {"annotations": {"identity": {"language": "ckb"}}}  # as CLDR 48 has it for ckb, frr and pap
    (folder / "annotations" / "ckb" / "annotations.json").write_text(json.dumps(bare))
    with pytest.raises(ValueError, match=r"no annotations in CKB .*it has en"):
        list(cldr_pairs(folder, "CKB"))


def test_a_folder_without_annotations_names_make_cldr(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="make cldr"):
        list(cldr_pairs(tmp_path / "cldr", "LO"))


def test_keywords_are_paired_by_the_symbols_they_share() -> None:
    english = [["cat", "animal"], ["dog", "animal"], ["cat", "heart"], ["heart", "red"], ["dog", "red"]]
    own = {"cat": "kissa", "dog": "koira", "animal": "eläin", "heart": "sydän", "red": "punainen"}
    target = [[own[word] for word in reversed(words)] for words in english]
    found = {pair.target: pair.english for pair in keyword_pairs(target, english)}
    assert found == {value: key for key, value in own.items()}


def test_unsure_keywords_are_left_out() -> None:
    assert keyword_pairs([["a", "b"]], [["x", "y", "z"]], least=0.5) == []


def test_a_translation_table_holds_probabilities() -> None:
    table = translation_table([["a", "b"], ["a"]], [["x", "y"], ["x"]], rounds=4)
    for word in "ab":
        assert sum(p for (source, _), p in table.items() if source == word) == pytest.approx(1)
    assert table["a", "x"] > table["a", "y"]


def test_emoji_gives_names_without_marks_or_skin_tones() -> None:
    pytest.importorskip("emoji")
    pairs = list(emoji_pairs("TR", keywords=False))
    assert Pair("birincilik madalyası", "1st place medal") in pairs
    assert not any(":" in p.target[0] or "_" in p.target for p in pairs)
    assert 1000 < len(pairs) < 3000
    assert sum("skin tone" in (p.english or "") for p in pairs) < 10


def test_emoji_also_pairs_the_words_of_names_but_not_where_words_are_not_spaced() -> None:
    pytest.importorskip("emoji")
    words = set(emoji_pairs("TR")) - set(emoji_pairs("TR", keywords=False))
    assert {pair.weight for pair in words} == {KEYWORD_WEIGHT}
    assert {("güneş", "sun"), ("sarı", "yellow")} <= {(pair.target, pair.english) for pair in words}
    assert not any(set(pair.target) & set(":,() ") for pair in words)
    assert list(emoji_pairs("JA")) == list(emoji_pairs("JA", keywords=False))


def test_a_language_that_emoji_lacks_points_to_cldr() -> None:
    with pytest.raises(ValueError, match="cldr:FOLDER"):
        list(emoji_pairs("LO"))
