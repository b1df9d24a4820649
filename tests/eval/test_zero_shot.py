from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from toy import ToyEncoder

from babel_eval.images import ImageFeatures
from babel_eval.texts import ClassFeatures
from babel_eval.zero_shot import Scoring, ZeroShotRun
from babel_imagenet_dataset.imagenet import english_class_names
from babel_imagenet_dataset.release import LabelFile, LanguageLabels, PromptFile, english

QUICK = Scoring(n_resamples=200)


def label_file(**languages):
    """Give a label file of languages {code: {class_index: label}}, with English beside them."""
    read = {
        code: LanguageLabels(code, np.array(list(labels), dtype=np.int32), tuple(labels.values()))
        for code, labels in languages.items()
    }
    return LabelFile(Path("labels.json"), "0" * 64, None, {**read, "EN": english()}, None)


def photos(*class_indices):
    indices = np.array(class_indices, dtype=np.int64)
    ids = tuple(f"p{i}" for i in range(len(indices)))
    return ImageFeatures(ids, indices, ToyEncoder._vectors(indices) / np.linalg.norm(ToyEncoder._vectors(indices)), ())


def evaluate(labels, images, plan, encoder, prompts=None):
    images = ImageFeatures(images.ids, images.class_index, ToyEncoder._vectors(images.class_index), ())
    run = ZeroShotRun(ClassFeatures(encoder), images, labels, prompts=prompts, scoring=QUICK)
    return list(run.evaluate(plan))


def english_vocabulary():
    return {name: index for index, name in reversed(list(enumerate(english_class_names())))}


def test_rows_of_a_language_are_not_imagenet_indices():
    labels = label_file(LO={3: "ka", 7: "kha", 999: "nga"})
    encoder = ToyEncoder({"ka": 3, "kha": 7, "nga": 999})
    (result,) = evaluate(labels, photos(999, 3, 5, 7, 3), [("LO", "label")], encoder)
    assert result.row["accuracy"] == 1.0
    assert result.row["n_images"] == 4
    assert result.row["num_classes"] == 3
    assert result.predictions.photo == ("p0", "p1", "p3", "p4")
    assert result.predictions.predicted.tolist() == [999, 3, 7, 3]


def test_unknown_labels_lose_and_ties_go_to_the_lowest_class():
    """Two labels without a meaning to the tower have equal features: all scores are 0, and the lowest row wins."""
    labels = label_file(LO={3: "?", 7: "??", 9: "nga"})
    (result,) = evaluate(labels, photos(3, 7, 9), [("LO", "label")], ToyEncoder({"nga": 9}))
    assert result.predictions.predicted.tolist() == [3, 3, 9]
    assert result.predictions.rank.tolist() == [0, 1, 0]


def test_the_second_of_two_equal_labels_never_wins_and_the_ceiling_says_so():
    labels = label_file(ES={3: "pez", 7: "pez", 9: "ave", 11: "red"})
    (result,) = evaluate(labels, photos(7, 7, 3, 9), [("ES", "label")], ToyEncoder({"pez": 7, "ave": 9}))
    assert result.predictions.predicted.tolist()[:2] == [3, 3]
    assert result.row["ceiling"] == 0.75
    assert result.row["n_duplicate_labels"] == 1


def test_english_is_measured_on_the_same_classes_and_photos():
    labels = label_file(SW={0: "a", 1: "b", 2: "c"})
    encoder = ToyEncoder({**english_vocabulary(), "a": 0})
    (result,) = evaluate(labels, photos(0, 1, 2, 2), [("SW", "label")], encoder)
    assert result.row["english_same_classes"] == 1.0
    assert result.row["accuracy"] == 0.25
    assert result.row["gap"] == 0.75


def test_a_language_without_photos_is_listed_and_has_no_accuracy():
    labels = label_file(LO={3: "ka"}, SW={0: "a"})
    results = evaluate(labels, photos(0), [("LO", "label"), ("SW", "label")], ToyEncoder({"a": 0, "ka": 3}))
    assert [r.row["status"] for r in results] == ["no_photos", "ok"]
    assert results[0].row["accuracy"] is None
    assert results[0].predictions is None


def test_the_order_of_photos_changes_nothing_and_no_count_a_class_is_assumed():
    labels = label_file(LO={i: f"w{i}" for i in range(6)})
    encoder = ToyEncoder({f"w{i}": i for i in range(0, 6, 2)})
    classes = [0, 0, 0, 1, 2, 2, 3, 4, 5, 5]
    one, other = (
        evaluate(labels, photos(*order), [("LO", "label")], encoder)[0].row for order in (classes, classes[::-1])
    )
    assert {k: v for k, v in one.items() if "interval" not in k} == {
        k: v for k, v in other.items() if "interval" not in k
    }


def test_random_features_give_the_argmax_over_the_languages_own_classes():
    """Oracle: for each photo, the class of the language whose feature has the largest inner product, in a loop."""
    generator = np.random.default_rng(5)
    indices = np.sort(generator.choice(1000, 40, replace=False))
    features = generator.normal(size=(1000, 12)).astype(np.float32)

    class Random(ToyEncoder):
        dim = 12

        def encode_texts(self, texts, language):
            return np.stack([features[self.vocabulary.get(text, 0)] for text in texts])

    classes = generator.choice(1000, 300)
    rows = generator.normal(size=(300, 12)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    images = ImageFeatures(tuple(map(str, range(300))), classes, rows, ())
    labels = label_file(LO={int(i): f"w{i}" for i in indices})
    encoder = Random({f"w{i}": int(i) for i in range(1000)})
    (result,) = ZeroShotRun(ClassFeatures(encoder), images, labels, scoring=QUICK).evaluate([("LO", "label")])
    expected, right = [], 0
    for photo, index in zip(rows, classes, strict=True):
        if index in indices:
            scores = [photo @ features[c] / np.linalg.norm(features[c]) for c in indices]
            expected.append(indices[int(np.argmax(scores))])
            right += expected[-1] == index
    assert result.predictions.predicted.tolist() == expected
    assert result.row["accuracy"] == right / len(expected)


class Picky(ToyEncoder):
    """Refuses one language's texts, as a tower that has no token for it may."""

    def encode_texts(self, texts, language):
        if "ka" in texts:
            raise ValueError("no token for Lao")
        return super().encode_texts(texts, language)


def test_a_language_that_the_tower_refuses_is_a_failure_and_stops_no_other():
    labels = label_file(LO={0: "ka"}, SW={0: "a"}, DE={0: "A"})
    encoder = Picky({**english_vocabulary(), "a": 0, "A": 0})
    results = evaluate(labels, photos(0), [(code, "label") for code in ("DE", "LO", "SW")], encoder)
    assert [r.row["status"] for r in results] == ["ok", "failed: no token for Lao", "ok"]


def test_a_prompt_set_without_templates_is_a_failure_of_that_language_alone():
    prompts = PromptFile(Path("p.json"), "0" * 64, {"DE": ("ein {}",), "EN": ("a {}",)})
    labels = label_file(LA={0: "piscis"}, DE={0: "Fisch"})
    encoder = ToyEncoder({**{f"a {n}": i for n, i in english_vocabulary().items()}, "ein Fisch": 0})
    results = evaluate(labels, photos(0), [("LA", "nllb"), ("DE", "nllb")], encoder, prompts)
    assert results[0].row["status"].startswith("failed: ")
    assert "no templates for 'LA'" in results[0].row["status"]
    assert results[1].row["prompt"] == "p", "templates of one's own go by their file's name"
    assert results[1].row["accuracy"] == 1.0


@pytest.mark.parametrize("setting", [{"confidence_level": 1.0}, {"n_resamples": 0}, {"k_way": (1,)}])
def test_scoring_refuses_what_makes_no_sense(setting):
    with pytest.raises(ValueError, match=next(iter(setting))):
        Scoring(**setting)
