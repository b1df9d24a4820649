from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from babel_imagenet_dataset.release import load_labels
from babel_imagenet_dataset.selection import (
    Sense,
    choose,
    english_lemmas,
    provenance_form,
    provenance_path,
    release_form,
    select,
    write_selection,
)


def german(lemma: str, source: str = "WIKI", automatic: bool = False) -> Sense:
    return Sense(lemma, "DE", source, "bn:1n", automatic)


def naive_labels(by_class: dict[int, list[Sense]]) -> dict[str, dict[int, str]]:
    """The rule once more, as its description reads, over one list of all senses."""
    english = {"tricerátops", "planetárium", "sombréro"}
    for senses in by_class.values():
        for sense in senses:
            if sense.language == "EN":
                english.add(sense.lemma.lower())
    labels: dict[str, dict[int, str]] = {}
    for index, senses in by_class.items():
        for language in {sense.language for sense in senses}:
            left = [s for s in senses if s.language == language]
            if language != "EN":
                left = [s for s in left if s.lemma.lower() not in english]
            left = [s for s in left if not s.is_automatic]
            good = [s for s in left if s.source != "WIKIRED" and s.source != "WIKIDATA_ALIAS"]
            if good or left:
                word = (good + left)[0].lemma
                labels.setdefault(language, {})[index] = " ".join(word.split("_"))
    return labels


senses = st.builds(
    Sense,
    st.sampled_from(["Tiger", "tiger", "TIGRE", "tigre", "gran_tigre", "Sombréro", "虎", "t"]),
    st.sampled_from(["EN", "DE", "ES", "ZH"]),
    st.sampled_from(["WN", "WIKI", "WIKIRED", "WIKIDATA_ALIAS", "WNTR"]),
    st.just("bn:1n"),
    st.booleans(),
)


@given(st.dictionaries(st.integers(0, 999), st.lists(senses, max_size=8), max_size=6))
@settings(max_examples=150, deadline=None)
def test_the_rule_equals_its_naive_reading_on_random_senses(by_class: dict[int, list[Sense]]) -> None:
    english = english_lemmas(sense for listed in by_class.values() for sense in listed)
    got = select(by_class, english).labels
    assert {code: {c.class_index: c.label for c in labels} for code, labels in got.items()} == naive_labels(by_class)


def test_the_first_sense_that_is_no_redirection_and_no_alias_is_the_label() -> None:
    label, _ = choose(3, [german("Hai", "WIKIRED"), german("Hai2", "WIKIDATA_ALIAS"), german("Tigerhai")], set())
    assert label is not None
    assert (label.label, label.rank, label.source) == ("Tigerhai", 2, "WIKI")


def test_a_redirection_is_taken_where_there_is_nothing_else() -> None:
    label, _ = choose(3, [german("Hai", "WIKIRED"), german("Haie", "WIKIDATA_ALIAS")], set())
    assert label is not None
    assert label.label == "Hai"


def test_a_cognate_of_any_english_sense_of_any_class_is_dropped() -> None:
    """`Tiger` is right in German; the rule drops it all the same and keeps the tigress."""
    by_class = {
        292: [german("Tiger", "WN"), german("Tigerin", "WIKIRED")],
        7: [Sense("TIGER", "EN", "WNTR", "bn:7n", is_automatic=True)],
    }
    english = english_lemmas(sense for listed in by_class.values() for sense in listed)
    label, others = choose(292, by_class[292], english)
    assert label is not None
    assert label.label == "Tigerin"
    assert [(other.lemma, other.why_not) for other in others] == [("Tiger", "english")]


def test_english_matches_are_found_with_underscores_and_regardless_of_case() -> None:
    english = english_lemmas([Sense("Great_White_Shark", "EN", "WN", "bn:2n")])
    assert choose(2, [german("great_white_SHARK")], english)[0] is None
    assert choose(2, [german("great-white_shark")], english)[0] is not None


@pytest.mark.parametrize("word", ["Tricerátops", "planetárium", "SOMBRÉRO"])
def test_the_three_look_alikes_are_dropped_though_no_english_sense_is_so_written(word: str) -> None:
    assert choose(51, [german(word)], english_lemmas([]))[0] is None


def test_english_keeps_its_own_senses() -> None:
    senses_ = [Sense("tench", "EN", "WN", "bn:3n"), Sense("Tinca_tinca", "EN", "WN", "bn:3n")]
    label, others = choose(0, senses_, english_lemmas(senses_))
    assert label is not None
    assert label.label == "tench"
    assert [other.why_not for other in others] == ["later"]


def test_automatic_translations_are_dropped_even_in_english() -> None:
    assert choose(0, [Sense("tench", "EN", "WNTR", "bn:3n", is_automatic=True)], set())[0] is None
    assert choose(0, [german("Schleie", "WIKITR", automatic=True)], set())[0] is None


def test_underscores_become_spaces_and_nothing_else_changes() -> None:
    label, _ = choose(0, [german("Wombats_(hoofdbetekenis)\u200e")], set())
    assert label is not None
    assert label.label == "Wombats (hoofdbetekenis)\u200e"


def test_provenance_names_every_sense_that_is_not_the_label_and_why() -> None:
    listed = [
        german("Tiger", "WN"),
        german("Tijger", "WNTR", True),
        german("Tigerin"),
        german("Königstiger", "WIKIRED"),
    ]
    label, others = choose(292, listed, {"tiger"})
    assert label is not None
    assert label.rank == 2
    assert [(o.lemma, o.source, o.why_not) for o in others] == [
        ("Tiger", "WN", "english"),
        ("Tijger", "WNTR", "automatic"),
        ("Königstiger", "WIKIRED", "later"),
    ]


def test_a_class_whose_senses_are_all_dropped_is_listed_with_them() -> None:
    selection = select({0: [german("tench")], 1: [german("Goldfisch")]}, {"tench"})
    assert release_form(selection) == {"DE": [[1], ["Goldfisch"]]}
    assert selection.without_label["DE"][0][0].why_not == "english"


def test_a_language_below_the_least_number_of_classes_is_left_out() -> None:
    by_class = {index: [german(f"Wort{index}")] for index in range(10)}
    by_class[0].append(Sense("mot", "FR", "WN", "bn:1n"))
    assert sorted(select(by_class, set(), min_classes=10).labels) == ["DE"]
    assert sorted(select(by_class, set(), min_classes=11).labels) == []
    assert sorted(select(by_class, set()).labels) == ["DE", "FR"]


def test_senses_of_two_languages_are_no_choice() -> None:
    with pytest.raises(ValueError, match="senses of one language"):
        choose(0, [german("a"), Sense("b", "FR", "WN", "bn:1n")], set())


def test_a_class_index_outside_imagenet_is_an_error() -> None:
    with pytest.raises(ValueError, match=r"0\.\.999, got \[1000\]"):
        select({1000: [german("a")]}, set())


def test_written_labels_are_read_back_as_a_label_file_with_their_provenance_beside(tmp_path) -> None:
    selection = select({3: [german("Hai", "WIKIRED"), german("Tiger_hai")], 999: [german("Klopapier")]}, set())
    path = tmp_path / "labels.json"
    beside = write_selection(selection, path)
    read = load_labels(path)
    assert read.languages["DE"].labels == ("Tiger hai", "Klopapier")
    assert list(read.languages["DE"].class_index) == [3, 999]
    assert beside == provenance_path(path) == tmp_path / "labels.provenance.json"
    record = json.loads(beside.read_text())["labels"]["DE"]["3"]
    assert record["synset"] == "bn:1n"
    assert record["rank"] == 1
    assert record["others"][0]["lemma"] == "Hai"


def test_glosses_stand_with_the_label_they_belong_to() -> None:
    selection = select({3: [german("Tigerhai")]}, set())
    selection.glosses["DE"] = {3: "ein Hai"}
    assert provenance_form(selection)["labels"]["DE"]["3"]["gloss"] == "ein Hai"


def test_nothing_is_written_where_there_is_no_label(tmp_path) -> None:
    with pytest.raises(ValueError, match="no language has a label"):
        write_selection(select({}, set()), tmp_path / "labels.json")
    assert list(tmp_path.iterdir()) == []
