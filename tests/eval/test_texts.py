from __future__ import annotations

import numpy as np
import pytest

from babel_eval.store import FeatureStore
from babel_eval.team import Team
from babel_eval.texts import ClassFeatures, ClassTexts


class HashEncoder:
    """Gives every text a random feature of its own (fixed by its characters and, if asked, by its language)."""

    dim = 16

    def __init__(self, uses_language: bool = False) -> None:
        self.uses_language = uses_language
        self.seen: list[tuple[str, str]] = []

    def encode_texts(self, texts, language, names=None):
        self.seen += [(text, language) for text in texts]
        return np.stack([self.feature(text, language) for text in texts])

    def feature(self, text, language):
        seed = list((text + (language if self.uses_language else "")).encode())
        return np.random.default_rng(seed).normal(size=self.dim).astype(np.float32) * len(text)


def naive(encoder, label, templates, language):
    """The mean over all templates, repeated ones repeated, written out."""
    rows = []
    for template, weight in templates:
        row = encoder.feature(template.replace("{}", label), language).astype(np.float64)
        rows += [row / np.linalg.norm(row)] * weight
    mean = np.mean(rows, axis=0)
    return mean / np.linalg.norm(mean)


TEMPLATES = (("a photo of a {}.", 3), ("{}", 1), ("the {} in {{braces}}".replace("{{braces}}", "[x]"), 2))


@pytest.mark.parametrize("templates", [(("{}", 1),), TEMPLATES])
def test_a_class_feature_is_the_normalised_weighted_mean_of_normalised_rows(templates):
    encoder = HashEncoder()
    labels = ("tench", "{curly}", "it's", "سمكة", "tench", "é")
    features = ClassFeatures(encoder).of(ClassTexts("DE", labels, templates))
    expected = np.stack([naive(encoder, label, templates, "DE") for label in labels])
    np.testing.assert_allclose(features, expected, atol=1e-6)


def test_equal_labels_get_equal_bits():
    features = ClassFeatures(HashEncoder()).of(ClassTexts("DE", ("a", "b", "a"), TEMPLATES))
    assert features[0].tobytes() == features[2].tobytes()


def test_a_text_that_languages_share_is_encoded_once():
    encoder = HashEncoder()
    bank = ClassFeatures(encoder)
    bank.prepare([ClassTexts("DE", ("radio", "zug"), (("{}", 1),)), ClassTexts("NL", ("radio", "trein"), (("{}", 1),))])
    bank.of(ClassTexts("EN", ("radio",), (("{}", 1),)))
    assert sorted(text for text, _ in encoder.seen) == ["radio", "trein", "zug"]


def test_a_tower_that_must_know_the_language_gets_each_language_apart():
    encoder = HashEncoder(uses_language=True)
    bank = ClassFeatures(encoder)
    german, dutch = (ClassTexts(code, ("radio",), (("{}", 1),)) for code in ("DE", "NL"))
    bank.prepare([german, dutch, german])
    assert sorted(encoder.seen) == [("radio", "DE"), ("radio", "NL")]
    assert not np.allclose(bank.of(german), bank.of(dutch))


def test_other_templates_give_other_features_for_the_same_label():
    bank = ClassFeatures(HashEncoder())
    assert not np.allclose(
        bank.of(ClassTexts("DE", ("a",), (("{}", 1),))), bank.of(ClassTexts("DE", ("a",), TEMPLATES))
    )


@pytest.mark.parametrize("template", ["no slot", "{} and {}", ""])
def test_a_template_needs_exactly_one_slot(template):
    with pytest.raises(ValueError, match="exactly one"):
        ClassTexts("DE", ("a",), ((template, 1),))


def test_features_depend_on_the_plan_and_not_on_the_order_of_asking():
    """What is encoded together is fixed by the plan: an interrupted run asks for less and gets the same bits."""

    class Batched(HashEncoder):
        def encode_texts(self, texts, language):
            return super().encode_texts(texts, language) + len(texts)  # a feature that shows its company

    requests = [ClassTexts(code, (code, "radio", f"{code}2"), (("{}", 1),)) for code in ("DE", "NL", "SV")]
    whole, resumed = ClassFeatures(Batched()), ClassFeatures(Batched())
    for bank in (whole, resumed):
        bank.plan(requests)
    expected = [whole.of(texts) for texts in requests]
    np.testing.assert_array_equal(resumed.of(requests[2]), expected[2])
    np.testing.assert_array_equal(resumed.of(requests[0]), expected[0])


def test_chunks_come_from_the_store_once_they_are_there(tmp_path):
    encoder = HashEncoder()
    encoder.fingerprint = "f" * 64
    request = ClassTexts("DE", ("a", "b"), TEMPLATES)
    first = ClassFeatures(encoder, FeatureStore(tmp_path)).of(request)
    encoder.seen.clear()
    np.testing.assert_array_equal(ClassFeatures(encoder, FeatureStore(tmp_path)).of(request), first)
    assert not encoder.seen
    encoder.fingerprint = "e" * 64
    ClassFeatures(encoder, FeatureStore(tmp_path)).of(request)
    assert encoder.seen, "another model has other features"


def test_two_processes_share_the_chunks(tmp_path, monkeypatch):
    monkeypatch.setattr("babel_eval.texts.TEXTS_AT_ONCE", 2)
    encoders = [HashEncoder(), HashEncoder()]
    requests = [ClassTexts("DE", tuple("abcdefg"), (("{}", 1),))]
    for rank, encoder in enumerate(encoders):
        encoder.fingerprint = "f" * 64
        bank = ClassFeatures(encoder, FeatureStore(tmp_path))
        bank.plan(requests)
        bank.share(Team(rank, 2))
    shares = [{text for text, _ in encoder.seen} for encoder in encoders]
    assert shares == [set("abef"), set("cdg")]
    encoders[0].seen.clear()
    expected = np.stack([naive(encoders[0], label, requests[0].templates, "DE") for label in "abcdefg"])
    np.testing.assert_allclose(bank.of(requests[0]), expected, atol=1e-6)


def test_memory_holds_the_latest_chunks_and_the_store_the_others(tmp_path, monkeypatch):
    monkeypatch.setattr("babel_eval.texts.TEXTS_AT_ONCE", 2)
    monkeypatch.setattr("babel_eval.texts.HELD_BYTES", 3 * 2 * HashEncoder.dim * 4)
    encoder, plain = HashEncoder(), HashEncoder()
    encoder.fingerprint = "f" * 64
    features = ClassFeatures(encoder, FeatureStore(tmp_path))
    requests = [ClassTexts(code, tuple(f"{code} {i}" for i in range(5)), (("{}", 1),)) for code in ("DE", "FR", "SW")]
    features.plan(requests)
    for texts in (*requests, *reversed(requests)):
        expected = [naive(plain, label, texts.templates, texts.language) for label in texts.labels]
        np.testing.assert_allclose(features.of(texts), expected, atol=1e-6)
        assert len(features._arrays) <= 3
    assert len(encoder.seen) == 15, "nothing is encoded twice"
