from __future__ import annotations

import json

import pytest
from loopback_babelnet import QUOTA, sense

from babel_imagenet_dataset.babelnet_answers import error_message, is_automatic, parse_answer


def answer(*senses: object, **fields: object) -> str:
    return json.dumps({"senses": list(senses), **fields}, ensure_ascii=False)


def test_senses_come_in_the_answers_order_with_language_source_and_synset() -> None:
    got = parse_answer(
        answer(
            sense("Kit_fox", "EN", "WN", "bn:00048967n", kind="WordNetSense"),
            sense("Großohr-Kitfuchs", "DE", "WIKIDATA", "bn:00048967n"),
        )
    )
    assert [(s.lemma, s.language, s.source, s.synset) for s in got.senses] == [
        ("Kit_fox", "EN", "WN", "bn:00048967n"),
        ("Großohr-Kitfuchs", "DE", "WIKIDATA", "bn:00048967n"),
    ]


def test_senses_in_languages_that_were_not_asked_for_are_named_and_left_out() -> None:
    got = parse_answer(answer(sense("a", "DE"), sense("b", "FR")), ["DE"])
    assert [s.language for s in got.senses] == ["DE"]
    assert got.other_languages == {"FR"}


@pytest.mark.parametrize(
    ("source", "language", "expected"),
    [
        ("WNTR", "DE", True),
        ("WIKITR", "DE", True),
        ("WN", "EN", False),
        ("WIKIRED", "DE", False),
        ("WONEF", "FR", False),
        ("OMWN_FR", "FR", False),
        ("OMWN_JA", "JA", True),
        ("OMWN_HR", "HR", True),
        ("OMWN", "IT", False),
        ("OMWN", "JA", True),
        ("A_SOURCE_OF_TOMORROW", "DE", True),
    ],
)
def test_a_source_is_automatic_exactly_where_babelnet_says_so(source: str, language: str, expected: bool) -> None:
    assert is_automatic(source, language) is expected


def test_a_lemma_that_is_marked_as_translated_is_automatic_whatever_its_source() -> None:
    got = parse_answer(answer(sense("x", "DE", "WIKI", lemma_type="AUTOMATIC_TRANSLATION"), sense("y", "DE", "WIKI")))
    assert [s.is_automatic for s in got.senses] == [True, False]


def without(name: str) -> dict:
    raw = sense("x", "DE")
    del raw["properties"][name]
    return raw


@pytest.mark.parametrize(
    ("raw", "told"),
    [
        ("not an object", "no `properties`"),
        ({"type": "BabelSense"}, "no `properties`"),
        (without("fullLemma"), "`fullLemma` is None"),
        (without("language"), "`language` is None"),
        (without("source"), "`source` is None"),
        (without("synsetID"), "`synsetID` names no synset"),
        (sense("__", "DE"), "`fullLemma` is '__'"),
        (sense("", "DE"), "`fullLemma` is ''"),
        (sense("x", 7), "`language` is 7"),  # type: ignore[arg-type]
    ],
)
def test_a_malformed_sense_is_listed_with_its_place_and_the_rest_is_kept(raw: object, told: str) -> None:
    got = parse_answer(answer(sense("a", "DE"), raw, sense("b", "DE")))
    assert [s.lemma for s in got.senses] == ["a", "b"]
    assert [problem.place for problem in got.malformed] == [1]
    assert told in got.malformed[0].reason


def test_the_first_gloss_of_a_language_is_kept_and_broken_ones_are_passed_over() -> None:
    glosses = [
        "broken",
        {"language": "DE", "gloss": "  "},
        {"language": "DE", "gloss": "ein Fuchs"},
        {"language": "DE", "gloss": "noch einer"},
        {"language": "FR", "gloss": "un renard"},
    ]
    assert parse_answer(answer(glosses=glosses), ["DE"]).glosses == {"DE": "ein Fuchs"}


def test_a_synset_that_babelnet_does_not_have_has_no_senses() -> None:
    assert parse_answer("{}").senses == ()


@pytest.mark.parametrize("text", ["[]", "null", '{"senses": 3}', '"x"'])
def test_an_answer_of_another_form_is_an_error(text: str) -> None:
    with pytest.raises(ValueError, match="JSON object with a list `senses`"):
        parse_answer(text)


def test_babelnets_own_message_is_found_in_an_answer_and_only_there() -> None:
    assert error_message(json.dumps(QUOTA)) == QUOTA["message"]
    assert error_message(answer(sense("a", "DE"))) is None
    assert error_message('{"message": ""}') is None
    assert error_message("[]") is None
