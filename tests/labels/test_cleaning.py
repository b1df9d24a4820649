from __future__ import annotations

import unicodedata
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from babel_imagenet_dataset.audit import flag_labels
from babel_imagenet_dataset.cleaning import STEPS, clean_label, clean_labels, strip_dictionary_marks
from babel_imagenet_dataset.release import LanguageLabels, load_labels


def labels_of(code: str, *labels: str) -> LanguageLabels:
    return LanguageLabels(code, np.arange(len(labels), dtype=np.int32), labels)


@pytest.mark.parametrize(
    ("code", "label", "expected", "steps"),
    [
        ("DE", "Weißer Hai", "Weißer Hai", ()),
        ("NL", "Wombats (hoofdbetekenis)", "Wombats", ("clean_parenthesis",)),
        ("NL", "[[wandelende]] [[tak]]", "wandelende tak", ("clean_markup",)),
        ("NL", "[[tak (boom)|tak]]", "tak", ("clean_markup",)),
        ("IT", "Libro di cucina/Ricette/Spaghetti alla carbonara", "Spaghetti alla carbonara", ("clean_markup",)),
        ("JV", "Dam / Bendungan", "Dam / Bendungan", ()),
        ("JA", "バンケン科 (Sibley)", "バンケン科", ("clean_parenthesis",)),
        ("WUU", "气球（航空器）", "气球", ("clean_parenthesis",)),
        ("AR", "(سلالة كلاب) بوميرانيان", "بوميرانيان", ("clean_parenthesis",)),
        ("WAR", "Dactyloa (ctenocercus) carolinensis", "Dactyloa (ctenocercus) carolinensis", ()),
        ("NL", "orang-oetan(g)", "orang-oetan(g)", ()),
        ("DE", "a (b (c))", "a (b (c))", ()),
        ("NV", "(*wálá-)", "(*wálá-)", ()),
        ("FA", "گهواره\u200e", "گهواره", ("clean_invisible_mark",)),
        ("FA", "می\u200cخواهم", "می\u200cخواهم", ()),
        ("RU", "пиани́но", "пианино", ("clean_diacritic_mark",)),
        ("RU", "йод", "йод", ()),
        ("MK", "ќебап", "ќебап", ()),
        ("UK", "їжак", "їжак", ()),
        ("SH", "ràvnalo", "ravnalo", ("clean_diacritic_mark",)),
        ("SH", "ćuška š", "ćuška š", ()),
        ("LT", "ežỹs", "ežys", ("clean_diacritic_mark",)),
        ("LA", "catēna", "catena", ("clean_diacritic_mark",)),
        ("FR", "éléphant", "éléphant", ()),
        ("YI", "פּעליקאַן", "פּעליקאַן", ()),
        ("AR", "غَسَّالَة", "غسالة", ("clean_diacritic_mark",)),
        ("AR", "أباجور", "أباجور", ()),
        ("CA", "escenari,", "escenari", ("clean_stray_punctuation",)),
        ("FR", "œuf à la coque", "œuf à la coque", ()),
        ("OJ", "⦃⦃t¦oj¦gookoosh¦¦⦄⦄", None, ("null_markup",)),
        ("SR", "beli medved", None, ("null_off_script",)),
        ("FR", "chien noir et feu pour la chasse au raton laveur", None, ("null_long",)),
        ("NV", "Naakaii Łizhiní Bikéyahdę́ę́ʼ tsídii yáłtiʼí łibáhígíí", None, ()),
    ],
)
def test_a_label_is_cleaned_by_the_step_that_knows_it(
    code: str, label: str, expected: str | None, steps: tuple[str, ...]
) -> None:
    label = unicodedata.normalize("NFC", label)
    cleaned = clean_label(label, code)
    if code == "NV" and expected is None:
        expected = label  # a long name of Navajo stays
    assert cleaned.label == (expected if expected is None else unicodedata.normalize("NFC", expected))
    assert cleaned.steps == steps


def test_pointed_letters_are_composed_first_and_lose_their_points_then() -> None:
    cleaned = clean_label("!\u05d8\u05b7\u05d5\u05bc\u05b8\u05e1", "HE")
    assert cleaned.label == "\u05d8\u05d5\u05e1"
    assert cleaned.steps == ("clean_nfc", "clean_diacritic_mark", "clean_stray_punctuation")


def test_a_hint_stays_where_without_it_two_labels_were_one() -> None:
    cleaned = clean_labels(labels_of("IT", "boa (serpente)", "boa (abbigliamento)", "siringa (medicina)"))
    assert [one.label for one in cleaned] == ["boa (serpente)", "boa (abbigliamento)", "siringa"]
    assert [one.steps for one in cleaned] == [("kept_apart",), ("kept_apart",), ("clean_parenthesis",)]


def test_a_hint_stays_where_another_class_has_the_bare_name() -> None:
    cleaned = clean_labels(labels_of("IT", "boa", "boa\u200e (serpente)"))
    assert [one.label for one in cleaned] == ["boa", "boa (serpente)"]
    assert cleaned[1].steps == ("clean_invisible_mark", "kept_apart")


def test_a_new_duplicate_has_a_flag_on_both_and_an_old_one_has_none() -> None:
    cleaned = clean_labels(labels_of("RU", "секач", "сека́ч", "кот", "кот"))
    assert [one.label for one in cleaned] == ["секач", "секач", "кот", "кот"]
    assert [one.steps for one in cleaned] == [
        ("clean_duplicate",),
        ("clean_diacritic_mark", "clean_duplicate"),
        (),
        (),
    ]


def test_corrections_go_on_top_and_may_set_to_null() -> None:
    cleaned = clean_labels(labels_of("DE", "Tigerin", "TK-Pizza (Essen)", "Hai"), {0: "Tiger", 1: None})
    assert [one.label for one in cleaned] == ["Tiger", None, "Hai"]
    assert cleaned[0].changes[-1] == type(cleaned[0].changes[-1])("corrected", "Tigerin", "Tiger")
    assert cleaned[1].steps == ("clean_parenthesis", "corrected")


def test_a_correction_that_makes_two_labels_equal_has_a_flag_on_both() -> None:
    cleaned = clean_labels(labels_of("DE", "Tigerin", "Tiger", "Hai", "Haie"), {0: "Tiger", 3: None})
    assert [one.label for one in cleaned] == ["Tiger", "Tiger", "Hai", None]
    assert [one.steps for one in cleaned] == [
        ("corrected", "clean_duplicate"),
        ("clean_duplicate",),
        (),
        ("corrected",),
    ]


def test_a_correction_that_parts_two_labels_leaves_no_flag_of_a_duplicate() -> None:
    cleaned = clean_labels(labels_of("RU", "секач", "сека́ч"), {1: "тяпка"})
    assert [(one.label, one.steps) for one in cleaned] == [
        ("секач", ()),
        ("тяпка", ("clean_diacritic_mark", "corrected")),
    ]


def test_no_two_released_labels_become_one_without_a_flag() -> None:
    """With decisions at random on top, new duplicates and flags of them are the same rows."""
    rng = np.random.default_rng(0)
    released = load_labels().languages
    for code in ("AF", "AR", "HE", "IT", "RU", "SW", "UK"):
        labels = released[code]
        some = rng.choice(labels.class_index, 20).tolist()
        decided = {index: str(rng.choice(labels.labels)) for index in some} | {some[0]: None}
        cleaned = clean_labels(labels, decided)
        pairs = list(zip(labels.labels, cleaned, strict=True))
        for label, one in pairs:
            new = one.label is not None and any(b.label == one.label and a != label for a, b in pairs)
            assert ("clean_duplicate" in one.steps) == new, (code, label, one)


def test_english_is_not_touched() -> None:
    cleaned = clean_labels(labels_of("EN", "crane bird (x)", "swim trunks / shorts"), {0: "y"})
    assert [(one.label, one.steps) for one in cleaned] == [("crane bird (x)", ()), ("swim trunks / shorts", ())]


def test_steps_that_are_left_out_do_not_act() -> None:
    labels = labels_of("RU", "пиани́но (инструмент)", "piano")
    only = clean_labels(labels, steps={"clean_parenthesis"})
    assert [one.label for one in only] == ["пиани́но", "piano"]
    assert [one.label for one in clean_labels(labels, steps=())] == list(labels.labels)
    with pytest.raises(ValueError, match=r"steps \['clean_all'\] are not known"):
        clean_labels(labels, steps={"clean_all"})


texts = st.text(st.sampled_from("aàеéд́ć()[]|/!,. אַب\u064e\u200e\u200cZ漢"), min_size=1, max_size=12)


@given(st.lists(texts, min_size=1, max_size=6), st.sampled_from(["RU", "SH", "HE", "AR", "DE", "JA", "FA"]))
@settings(max_examples=300, deadline=None)
def test_every_change_follows_from_the_one_before_and_can_be_undone(labels: list[str], code: str) -> None:
    for released, one in zip(labels, clean_labels(labels_of(code, *labels)), strict=True):
        text: str | None = released
        for change in one.changes:
            if change.step not in ("kept_apart", "clean_duplicate"):
                assert change.before == text
                assert change.after != text
            text = change.after
        assert text == one.label
        assert set(one.steps) <= set(STEPS)
        for change in reversed(one.changes):
            text = change.before
        assert text == released


@given(texts, st.sampled_from(["RU", "SH", "HE", "AR", "DE", "JA", "FA"]))
@settings(max_examples=300, deadline=None)
def test_cleaning_a_clean_label_changes_nothing_and_adds_no_letter(label: str, code: str) -> None:
    once = clean_label(label, code)
    if once.label is None:
        return
    assert clean_label(once.label, code).label == once.label
    before, after = (Counter(filter(str.isalpha, unicodedata.normalize("NFD", text))) for text in (label, once.label))
    assert after <= before


def test_only_dictionary_marks_are_taken_out() -> None:
    assert strip_dictionary_marks("со́лнечные часы́ йод ёж", "RU") == "солнечные часы йод ёж"
    assert strip_dictionary_marks("čekić žȉvot", "SH") == "čekić život"


def test_the_released_labels_keep_their_letters_and_lose_their_flags() -> None:
    """What is cleaned is what was flagged, and after it the flags of the rules are gone."""
    released = load_labels().languages
    chosen = {"AR", "HE", "RU", "BG", "UK", "MK", "FA", "LA", *sorted(released)[::6]} - {"EN"}
    mendable = ("invisible_mark", "diacritic_mark", "not_nfc", "off_script")
    for code in sorted(chosen):
        labels = released[code]
        cleaned = clean_labels(labels)
        flags = flag_labels(labels)
        for one, label, of_row in zip(cleaned, labels.labels, flags, strict=True):
            if one.label != label:
                assert of_row, (code, label, one)
        left = [one.label for one in cleaned if one.label is not None]
        after = flag_labels(LanguageLabels(code, np.arange(len(left), dtype=np.int32), tuple(left)))
        assert not [row for row in after if set(row) & set(mendable)], code
