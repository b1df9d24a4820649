"""What the measure refuses: each error says what was wrong, what was given and what is allowed."""

from __future__ import annotations

import numpy as np
import pytest

from babel_zsic.babel_zsic import BabelZSIC
from babel_zsic.class_sets import ClassSets
from babel_zsic.classification import macro
from babel_zsic.comparison import compare
from babel_zsic.nearest import unit_rows
from babel_zsic.retrieval import rank_pairs, score_retrieval

DECISIONS = {"predictions": [1, 2], "references": [1, 3], "languages": ["LO", "LO"]}
FEATURES = {
    "references": [1, 3],
    "image_features": np.eye(2),
    "class_features": {"LO": np.eye(2)},
    "class_indices": {"LO": [1, 3]},
}

TEXTS = {"text_to_image": [0, 1], "text_features": np.eye(2), "image_features": np.eye(2), "k": (1,)}


class Unreadable:
    """A tensor of a kind that numpy lacks."""

    def __array__(self, dtype=None, copy=None):
        raise TypeError("no bfloat16")


@pytest.fixture
def metric(tmp_path):
    return BabelZSIC(cache_dir=str(tmp_path))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"languages": "LO"}, "languages is the text 'LO'"),
        ({"languages": ["LO", ""]}, "languages holds ''"),
        ({"languages": ["LO", "lo"]}, "did you mean 'LO'"),
        ({"predictions": [1.9, 2.0]}, "predictions must be whole numbers, got float64"),
        ({"predictions": [True, False]}, "predictions must be whole numbers, got bool"),
        ({"predictions": [1, None]}, "holds None"),
        ({"predictions": [1, -1]}, "predictions holds -1; allowed: 0 to 999"),
        ({"references": [1, 1000]}, "references holds 1000; allowed: 0 to 999"),
        ({"references": [1, 2**63]}, "references must be whole numbers"),
        ({"references": 3}, "at least one entry, got 3"),
        ({"num_classes": {"LO": 5.7}}, "num_classes of LO is 5.7"),
        ({"num_classes": {"LO": None}}, "num_classes of LO is None"),
        ({"num_classes": {"LO": 5000}}, "1 to 1000"),
        ({"num_classes": 5}, "num_classes is 5; give a mapping"),
        ({"class_indices": [1, 2, 3]}, "class_indices is .*; give a mapping"),
        ({"class_indices": {"LO": [1, 2, 3]}, "class_labels": {"LO": "abc"}}, "class_labels of LO is 'abc'"),
        ({"class_indices": {"LO": [1, 2, 3]}, "class_labels": {"LO": None}}, "class_labels of LO is None"),
        ({"class_indices": {"LO": [1, 2, 3]}, "class_labels": {"LO": ["a", "b", None]}}, "holds None"),
        ({"on_missing_class": "drop"}, "needs class_indices"),
        ({"class_indices": {"LO": [1, 2, 3]}, "class_labels": {"LO": ["a", " ", "b"]}}, "holds ' '"),
        ({"references": [1, 2**70]}, f"holds {2**70}"),
        ({"seed": None}, "seed is None"),
        ({"n_resamples": 10}, "n_resamples is 10; allowed: whole numbers, 100 and up"),
        ({"confidence_level": "0.95"}, "confidence_level is '0.95'"),
        ({"confidence_level": 1}, "between 0 and 1"),
    ],
)
def test_decisions_of_the_wrong_kind_are_refused(metric, change, message):
    with pytest.raises(ValueError, match=message):
        metric.compute(**{**DECISIONS, **change})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"class_features": {}}, "class_features is empty; give a mapping"),
        ({"class_indices": {"LO": [1]}}, "LO has 1 class_indices, but 2 by class_features"),
        ({"k_way": 3}, "k_way is 3; give a list"),
        ({"k_way": "23"}, "k_way is '23'"),
        ({"k_way": (2.5,)}, "k_way is 2.5"),
        ({"k_way": (2, 2)}, "k_way holds a number twice"),
        ({"ties": "bogus"}, "first, pessimistic, optimistic"),
        ({"class_features": {"LO": np.eye(2), "en": np.eye(2)}}, "class_features holds 'en'.*did you mean 'EN'"),
        ({"class_features": {"LO": np.eye(2), 3: np.eye(2)}}, "class_features holds 3"),
        ({"image_features": Unreadable()}, "image_features cannot be read by numpy .no bfloat16."),
        ({"class_features": np.eye(2)}, "class_features is .*; give a mapping"),
        ({"image_features": [[1.0, 0.0], [0.0]]}, "image_features must be a matrix"),
        ({"image_features": [[1.0, 0.0], [0.0, 0.0]]}, "row 1 of image_features is all zeros"),
        ({"num_classes": {"LO": 7}}, "2 class_indices, but 7 by num_classes"),
    ],
)
def test_features_of_the_wrong_kind_are_refused(metric, change, message):
    with pytest.raises(ValueError, match=message):
        metric.compute(**{**FEATURES, **change})


FOREIGN = [
    (DECISIONS, {"k_way": (10,)}, r"decisions take no k_way \(that is for features"),
    (DECISIONS, {"ties": "first"}, "decisions take no ties"),
    (DECISIONS, {"match": "any"}, r"decisions take no match \(that is for retrieval"),
    (DECISIONS, {"k": (1,), "similarity": np.eye(2)}, "decisions take no k, similarity"),
    (DECISIONS, {"text_to_image": [0, 1]}, "decisions take no text_to_image"),
    (DECISIONS, {"class_features": {"LO": np.eye(2)}}, "got predictions .2 rows. and class_features"),
    (FEATURES, {"k": (1,)}, "features take no k"),
    (FEATURES, {"text_features": np.eye(2)}, "features take no text_features"),
    (TEXTS, {"class_labels": {"LO": ["a"]}}, "retrieval takes no class_labels"),
    (TEXTS, {"num_classes": {"LO": 2}}, r"retrieval takes no num_classes \(that is for decisions, features"),
    (TEXTS, {"class_features": {"LO": np.eye(2)}}, "retrieval takes no class_features"),
    (TEXTS, {"predictions": [0, 1]}, "retrieval takes no predictions"),
    (TEXTS, {"references": [0, 1]}, "retrieval takes no references"),
    (TEXTS, {"on_missing_class": "drop"}, "retrieval takes no on_missing_class"),
    (TEXTS, {"k_ways": (1,)}, "retrieval takes no k_ways; allowed: text_to_image"),
    (FEATURES, {"class_label": {}}, r"features take no class_label \(did you mean class_labels"),
]


@pytest.mark.parametrize(("inputs", "more", "message"), FOREIGN)
def test_arguments_of_another_way_in_are_refused_and_leave_no_rows_behind(tmp_path, inputs, more, message):
    metric = BabelZSIC(config_name="retrieval" if inputs is TEXTS else "default", cache_dir=str(tmp_path))
    with pytest.raises(ValueError, match=message):
        metric.compute(**inputs, **more)
    assert metric.compute(**inputs)


def test_columns_of_another_configuration_are_refused_in_batches(metric, tmp_path):
    with pytest.raises(ValueError, match="no column text_to_image"):
        metric.add_batch(references=[1], text_to_image=[0])
    with pytest.raises(ValueError, match="no column text_to_image"):
        metric.add(reference=1, text_to_image=0)
    retrieval = BabelZSIC(config_name="retrieval", cache_dir=str(tmp_path))
    with pytest.raises(ValueError, match="no column references"):
        retrieval.add_batch(text_to_image=[0], references=[1])


def test_what_is_no_mapping_cannot_be_compared():
    with pytest.raises(ValueError, match="a is 3; give a mapping"):
        compare(3, {"predictions": [0], "references": [0]})


def test_a_similarity_of_nothing_is_a_similarity(tmp_path):
    retrieval = BabelZSIC(config_name="retrieval", cache_dir=str(tmp_path))
    results = retrieval.compute(text_to_image=[0, 1], similarity=[[0.0, 0.0], [0.0, 1.0]], k=(1, 2))
    assert results["text_to_image_r@1"] == 1.0
    with pytest.raises(ValueError, match="row 1 of similarity holds NaN"):
        retrieval.compute(text_to_image=[0, 1], similarity=[[0.0, 0.0], [np.nan, 1.0]], k=(1,))


def test_a_bad_row_is_named_as_it_was_given_and_with_its_language(metric):
    classes = np.eye(3)
    classes[0] = np.nan
    inputs = {
        "references": [10],
        "image_features": np.eye(3)[:1],
        "class_features": {"LO": classes},
        "class_indices": {"LO": [30, 10, 20]},
    }
    with pytest.raises(ValueError, match="row 0 of class_features of LO holds NaN"):
        metric.compute(**inputs)
    photos = np.eye(3)[[0, 1, 2, 0, 1]]
    photos[4] = 0
    inputs = {"references": [1] * 5, "languages": ["DE"] * 3 + ["LO"] * 2, "image_features": photos}
    sets = {code: [1, 2, 3] for code in ("DE", "LO")}
    with pytest.raises(ValueError, match="row 4 of image_features is all zeros"):
        metric.compute(**inputs, class_features=dict.fromkeys(sets, np.eye(3)), class_indices=sets)


def test_rows_added_one_by_one_are_checked_too(metric, tmp_path):
    with pytest.raises(ValueError, match="whole numbers"):
        metric.add(prediction=1.5, reference=1)
    retrieval = BabelZSIC(config_name="retrieval", cache_dir=str(tmp_path))
    with pytest.raises(ValueError, match="text_to_image are missing"):
        retrieval.add()


def test_only_the_languages_asked_for_are_in_the_result(metric):
    sets = {"class_features": {code: np.eye(2) for code in ("EN", "DE", "LO")}}
    indices = {code: [1, 3] for code in sets["class_features"]}
    results = metric.compute(**{**FEATURES, **sets, "class_indices": indices}, languages=["LO", "LO"])
    assert list(results["per_language"]) == ["LO"]
    english = metric.compute(**{**FEATURES, **sets, "class_indices": indices}, languages=["EN", "EN"])
    assert english["accuracy_macro"] == 1.0


def test_any_size_of_k_way_has_its_mean_and_unmeasured_languages_none():
    of = {"accuracy": 0.5, "n_classes": 9, "k_way": {"3": {"value": 0.25, "interval": [0, 1]}}}
    means = macro({"DE": of, "LO": {"n_images": 0, "n_classes": 9}})
    assert (means["k_way_3_macro"], means["k_way_3_macro_n"], means["accuracy_macro_n"]) == (0.25, 1.0, 1.0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"predictions": ["0", "1"]}, "predictions of b must be whole numbers"),
        ({"predictions": [0, None]}, "holds None"),
        ({"predictions": [0, -1]}, "predictions of b holds -1"),
        ({"language": ["DE", "DE"]}, "'language'; allowed"),
        ({"languages": "DE"}, "languages of b is the text"),
    ],
)
def test_a_comparison_refuses_columns_of_the_wrong_kind(change, message):
    a = {"predictions": [0, 1], "references": [0, 1]}
    with pytest.raises(ValueError, match=message):
        compare(a, {**a, **change})


def test_a_photo_with_two_classes_is_refused_in_a_comparison():
    a = {"predictions": [0, 1], "references": [0, 1], "photos": ["x", "x"]}
    with pytest.raises(ValueError, match="twice in one language of a"):
        compare(a, a)


@pytest.mark.parametrize("k", [(), 1, "1", (1.5,), (1, 1), None])
def test_cutoffs_of_the_wrong_kind_are_refused(k):
    ranks = rank_pairs([0, 1], similarity=np.eye(2))
    with pytest.raises(ValueError, match=r"^k "):
        score_retrieval(ranks, [0, 1], k=k)


def test_labels_without_indices_are_refused():
    with pytest.raises(ValueError, match="give class_indices too"):
        ClassSets(labels={"LO": ["a"]})


@pytest.mark.parametrize("size", [1e300, 1e-300])
def test_rows_of_any_finite_size_are_brought_to_length_one(size):
    rows = np.array([[3.0, 4.0], [0.6, 0.8]]) * size
    np.testing.assert_allclose(unit_rows(rows), [[0.6, 0.8]] * 2, rtol=1e-6)
