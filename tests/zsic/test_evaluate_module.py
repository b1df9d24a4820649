"""The measure through `evaluate`: both ways in, and its own machinery."""

from __future__ import annotations

import json
from pathlib import Path

import datasets
import evaluate
import numpy as np
import pytest

from babel_zsic.babel_zsic import BabelZSIC
from babel_zsic.classification import classify, score_language


@pytest.fixture
def metric(tmp_path):
    return BabelZSIC(cache_dir=str(tmp_path))


@pytest.fixture
def retrieval(tmp_path):
    return BabelZSIC(config_name="retrieval", cache_dir=str(tmp_path))


def toy(seed: int = 0, n_images: int = 60) -> dict:
    """English has all of 30 classes, the others a part of them, listed in no order."""
    rng = np.random.default_rng(seed)
    pool = np.sort(rng.choice(1000, 30, replace=False))
    sets = {"EN": pool, "DE": rng.permutation(pool)[:20], "LO": rng.permutation(pool)[:12]}
    english = {int(c): rng.normal(size=8) for c in pool}
    return {
        "references": rng.choice(sorted(set(sets["DE"]) & set(sets["LO"])), n_images),
        "image_features": rng.normal(size=(n_images, 8)),
        "class_indices": {k: v.tolist() for k, v in sets.items()},
        "class_features": {
            k: np.stack([english[int(c)] + rng.normal(size=8) * (k != "EN") for c in v]) for k, v in sets.items()
        },
    }


def decisions_of(inputs: dict, language: str) -> tuple[np.ndarray, ...]:
    """Sort the classes by hand and classify; rows are places among the sorted classes."""
    order = np.argsort(inputs["class_indices"][language])
    classes = np.asarray(inputs["class_indices"][language])[order]
    rows = np.searchsorted(classes, inputs["references"])
    return (*classify(inputs["image_features"], inputs["class_features"][language][order], rows), rows, classes)


def test_features_give_the_figures_of_the_pure_functions(metric):
    inputs = toy()
    results = metric.compute(**inputs)
    for language in ("DE", "LO"):
        predicted, ranks, rows, classes = decisions_of(inputs, language)
        order = [inputs["class_indices"]["EN"].index(c) for c in classes]
        english = classify(inputs["image_features"], inputs["class_features"]["EN"][order], rows)[1]
        features = inputs["class_features"][language]
        expected = score_language(predicted, ranks, rows, len(classes), class_features=features, english_ranks=english)
        assert results["per_language"][language] == expected
    assert results["accuracy_macro_n"] == 2.0
    assert "gap" not in results["per_language"]["EN"]


def test_both_ways_in_agree(metric):
    inputs = toy()
    by_features = metric.compute(**inputs)["per_language"]["LO"]
    predicted, _, _, classes = decisions_of(inputs, "LO")
    n = len(predicted)
    results = metric.compute(
        predictions=classes[predicted],
        references=inputs["references"],
        languages=["LO"] * n,
        class_indices={"LO": classes},
        class_labels={"LO": [str(c) for c in classes]},
    )
    by_decisions = results["per_language"]["LO"]
    assert {name: by_features[name] for name in by_decisions} == by_decisions
    assert "top5" not in by_decisions


def test_the_order_of_the_given_classes_changes_nothing(metric):
    inputs = toy()
    base = metric.compute(**inputs)
    for language, classes in inputs["class_indices"].items():
        order = np.random.default_rng(1).permutation(len(classes))
        inputs["class_indices"][language] = [classes[i] for i in order]
        inputs["class_features"][language] = inputs["class_features"][language][order]
    inputs["class_features"] = dict(reversed(inputs["class_features"].items()))
    assert metric.compute(**inputs) == base


def test_ties_go_to_the_lowest_class_index_and_not_to_the_first_given(metric):
    inputs = {
        "references": [999, 3],
        "image_features": np.ones((2, 2)),
        "class_features": {"LO": np.ones((3, 2))},
        "class_indices": {"LO": [999, 7, 3]},
    }
    figures = metric.compute(**inputs)["per_language"]["LO"]
    assert (figures["accuracy"], figures["accuracy_merged"], figures["n_duplicate_labels"]) == (0.5, 1.0, 2)
    assert metric.compute(**inputs, ties="pessimistic")["per_language"]["LO"]["accuracy"] == 0.0
    assert metric.compute(**inputs, ties="optimistic")["per_language"]["LO"]["accuracy"] == 1.0


def test_labels_are_read_in_the_order_of_the_given_classes(metric):
    results = metric.compute(
        predictions=[3, 3],
        references=[7, 5],
        languages=["ES", "ES"],
        class_indices={"ES": [7, 3, 5]},
        class_labels={"ES": ["oso", "oso", "pan"]},
    )
    figures = results["per_language"]["ES"]
    assert (figures["accuracy"], figures["accuracy_merged"]) == (0.0, 0.5)
    assert (figures["n_duplicate_labels"], figures["ceiling"]) == (1, 2 / 3)


def test_languages_may_be_given_for_each_photo(metric):
    inputs = toy()
    codes = np.where(np.arange(60) < 25, "DE", "LO")
    results = metric.compute(**inputs, languages=codes)
    assert results["per_language"]["DE"]["n_images"] == 25
    assert results["per_language"]["LO"]["n_images"] == 35
    assert {"gap", "english_same_classes"} <= set(results["per_language"]["LO"])
    assert "EN" not in results["per_language"]


def test_top_level_holds_floats_and_the_whole_is_json(metric):
    results = metric.compute(**toy(), k_way=(2, 10))
    assert all(type(value) is float for name, value in results.items() if name != "per_language")
    assert json.loads(json.dumps(results)) == results


def test_dropped_photos_are_counted_and_a_language_may_lose_all(metric):
    inputs = toy()
    missing = min(set(range(1000)) - set(inputs["class_indices"]["EN"]))
    inputs["references"] = np.full(60, missing)
    inputs["references"][:2] = inputs["class_indices"]["DE"][0]
    results = metric.compute(**inputs, on_missing_class="drop")["per_language"]
    assert (results["DE"]["n_images"], results["DE"]["n_dropped"]) == (2, 58)
    inputs["references"][:] = missing
    assert metric.compute(**inputs, on_missing_class="drop")["per_language"]["LO"] == {
        "n_dropped": 60, "n_images": 0, "n_classes": 12,
    }  # fmt: skip


def test_rows_may_be_added_one_by_one_and_in_batches(metric):
    metric.add(prediction=1, reference=1, languages="DE")
    metric.add_batch(predictions=[2, 3], references=[2, 4], languages=["DE", "LO"])
    added = metric.compute()
    assert added == metric.compute(predictions=[1, 2, 3], references=[1, 2, 4], languages=["DE", "DE", "LO"])
    metric.add(prediction=1, reference=1)
    metric.add_batch(predictions=[2], references=[3])
    assert metric.compute()["per_language"]["unnamed"]["accuracy"] == 0.5


def test_rows_that_are_all_at_hand_are_not_written_to_disk(tmp_path):
    metric = BabelZSIC(cache_dir=str(tmp_path / "cache"))
    before = {path for path in tmp_path.rglob("*") if path.is_file()}
    rows = {"predictions": np.arange(1000), "references": np.arange(1000), "languages": np.full(1000, "LO")}
    at_once = metric.compute(**rows)
    assert {path for path in tmp_path.rglob("*") if path.is_file()} == before
    metric.add_batch(**rows)
    assert {path for path in tmp_path.rglob("*") if path.is_file()} != before
    assert metric.compute() == at_once


def test_references_may_be_added_first_and_features_given_at_the_end(metric):
    inputs = toy()
    whole = metric.compute(**inputs)
    references = inputs.pop("references")
    metric.add_batch(references=references[:30])
    for reference in references[30:]:
        metric.add(reference=int(reference))
    assert metric.compute(**inputs) == whole


def test_a_failed_compute_leaves_no_rows_behind(metric):
    with pytest.raises(ValueError, match="lacks"):
        metric.compute(predictions=[1], references=[2], languages=["LO"], class_indices={"LO": [1]})
    assert metric.compute(predictions=[1], references=[1])["per_language"]["unnamed"]["n_images"] == 1


def test_two_processes_give_what_one_gives(metric, tmp_path, run_python, metric_folder):
    code = """
import evaluate
rank = RANK
m = evaluate.load("babel_zsic", num_process=2, process_id=rank, experiment_id="two", cache_dir=CACHE)
m.add_batch(predictions=[rank, 5, 6], references=[0, 5, 7], languages=["DE", "LO", "LO"])
print(m.compute(num_classes={"DE": 20, "LO": 10}))
"""
    from concurrent.futures import ThreadPoolExecutor

    shared = repr(str(tmp_path / "shared"))
    codes = [code.replace("RANK", str(rank)).replace("CACHE", shared) for rank in (0, 1)]
    with ThreadPoolExecutor(2) as pool:
        outputs = list(pool.map(lambda text: run_python(text, metric_folder.parent), codes))
    assert outputs[1] == "None"
    expected = metric.compute(
        predictions=[0, 5, 6, 1, 5, 6],
        references=[0, 5, 7] * 2,
        languages=["DE", "LO", "LO"] * 2,
        num_classes={"DE": 20, "LO": 10},
    )
    assert outputs[0] == str(expected)


def test_it_combines_with_others_and_is_saved(metric, tmp_path):
    class Count(evaluate.Metric):
        """Counts rows."""

        def _info(self):
            features = datasets.Features(
                {"predictions": datasets.Value("int64"), "references": datasets.Value("int64")}
            )
            return evaluate.MetricInfo(description="", citation="", inputs_description="", features=features)

        def _compute(self, predictions, references):
            return {"rows": len(references)}

    together = evaluate.combine([metric, Count(cache_dir=str(tmp_path))])
    results = together.compute(predictions=[1, 2], references=[1, 3])
    assert (results["accuracy_macro"], results["rows"]) == (0.5, 2)
    saved = evaluate.save(tmp_path / "results", **results)
    assert json.loads(Path(saved).read_text())["accuracy_macro"] == 0.5


def test_two_models_are_compared_on_the_metric_itself(metric):
    a = {"predictions": [1, 2, 3], "references": [1, 2, 4], "languages": ["LO"] * 3}
    row = metric.compare(a, {**a, "predictions": [1, 1, 1]})["LO"]
    assert row["difference"] == pytest.approx(1 / 3)


def test_features_are_decided_as_they_are_scored(metric):
    inputs = toy()
    columns = metric.decide(**inputs)
    scores = metric.compute(**inputs)["per_language"]
    assert {name: len(values) for name, values in columns.items()} == dict.fromkeys(columns, 3 * 60)
    by_decisions = metric.compute(**{name: columns[name] for name in ("predictions", "references", "languages")})
    for language in ("DE", "EN", "LO"):
        predicted, _, _, classes = decisions_of(inputs, language)
        chosen = [row for row, code in enumerate(columns["languages"]) if code == language]
        assert [columns["predictions"][row] for row in chosen] == classes[predicted].tolist()
        assert [columns["photos"][row] for row in chosen] == list(range(60))
        assert by_decisions["per_language"][language]["accuracy"] == scores[language]["accuracy"]


def test_two_models_are_compared_by_their_features_whatever_the_order_of_the_photos_they_dropped(metric):
    one, other = toy(), toy(seed=0)
    other["image_features"] = np.random.default_rng(9).normal(size=(60, 8))
    for inputs in (one, other):
        inputs["references"] = np.where(np.arange(60) < 5, 0, inputs["references"])
    a, b = (metric.decide(**inputs, on_missing_class="drop") for inputs in (one, other))
    assert len(a["photos"]) == 3 * 55
    order = np.random.default_rng(1).permutation(len(b["photos"]))
    shuffled = {name: [values[row] for row in order] for name, values in b.items()}
    rows = metric.compare(a, shuffled)
    assert rows == metric.compare(a, b)
    scores = [metric.compute(**inputs, on_missing_class="drop")["per_language"]["DE"] for inputs in (one, other)]
    assert (rows["DE"]["accuracy_a"], rows["DE"]["accuracy_b"]) == tuple(score["accuracy"] for score in scores)
    with pytest.raises(ValueError, match="`decide` makes decisions of features"):
        metric.compare(one, other)


def test_photos_with_a_language_of_their_own_are_decided_in_it_alone(metric):
    columns = metric.decide(**toy(), languages=["LO"] * 20 + ["DE"] * 40)
    assert columns["languages"] == ["DE"] * 40 + ["LO"] * 20
    assert columns["photos"] == [*range(20, 60), *range(20)]


def test_retrieval_by_language_names_the_language_of_an_error(retrieval):
    texts, own = np.eye(4)[[0, 1, 2, 3, 0, 1, 3, 2]], [0, 1, 2, 3] * 2
    inputs = {"text_to_image": own, "text_features": texts, "image_features": np.eye(4), "k": (1, 2)}
    results = retrieval.compute(**inputs, languages=["DE"] * 4 + ["LO"] * 4)
    assert results["per_language"]["DE"]["text_to_image_r@1"] == 1.0
    assert results["per_language"]["LO"]["text_to_image_r@1"] == 0.5
    assert (results["text_to_image_r@1"], results["n_languages"]) == (0.75, 2.0)
    with pytest.raises(ValueError, match="LO: 1 of 4 images have no caption"):
        retrieval.compute(**{**inputs, "text_to_image": [*own[:7], 0]}, languages=["DE"] * 4 + ["LO"] * 4)
    with pytest.raises(ValueError, match="unnamed: k holds 5"):
        retrieval.compute(**{**inputs, "k": (5,)})


def test_retrieval_takes_a_similarity_matrix_and_batches(retrieval):
    similarity = np.random.default_rng(0).normal(size=(12, 4))
    whole = retrieval.compute(text_to_image=np.arange(12) % 4, similarity=similarity, k=(1, 4))
    retrieval.add_batch(text_to_image=np.arange(8) % 4)
    for row in range(8, 12):
        retrieval.add(text_to_image=row % 4)
    assert retrieval.compute(similarity=similarity, k=(1, 4)) == whole


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"references": [1, 2]}, "rows of image_features and 2 references"),
        ({"references": []}, "at least one"),
        ({"image_features": np.full((60, 8), np.nan)}, "NaN or infinity"),
        ({"image_features": np.ones((60, 3))}, "3 wide and class_features 8"),
        ({"class_features": None}, "give image_features, class_features, class_indices"),
        (
            {"class_indices": {"EN": range(30), "DE": range(20), "LO": range(12)}},
            "references are of classes that DE lacks",
        ),
        ({"languages": ["lo"] * 60}, "did you mean 'LO'"),
        ({"languages": ["XX"] * 60}, "'XX' is not in class_features"),
        ({"predictions": [1] * 60}, "and no predictions"),
        ({"ties": "coin"}, "first, pessimistic, optimistic"),
        ({"on_missing_class": "skip"}, "error, drop"),
        ({"class_labels": {"DE": ["a"], "LO": ["a"], "EN": ["a"]}}, "class_indices, but 1 by class_labels"),
    ],
)
def test_bad_features_are_refused(metric, change, message):
    with pytest.raises(ValueError, match=message):
        metric.compute(**{**toy(), **change})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"predictions": None}, "no prediction"),
        ({"references": None}, "references are missing"),
        ({"predictions": [1, -3]}, "holds -3"),
        ({"class_indices": {"LO": [1, 2]}}, "lacks, such as 3"),
        ({"class_indices": {"LO": [1, 3]}}, "class 2 is predicted"),
        ({"class_indices": {"LO": [1, 3, 3]}}, "twice"),
        ({"class_indices": {"DE": [1, 2, 3]}}, "'LO' is not in class_indices"),
        ({"class_labels": {"LO": ["a"]}}, "give class_indices too"),
        ({"num_classes": {"LO": 2}}, "3 classes occur, but num_classes says 2"),
        ({"num_classes": {"DE": 2}}, "'LO' is not in num_classes"),
        ({"num_classes": {"LO": 9}, "class_indices": {"LO": [1, 2, 3]}}, "3 class_indices, but 9 by num_classes"),
        ({"languages": ["LO"]}, "one code for each of 2 rows"),
        ({"predictions": [1]}, "1 predictions and 2 references"),
    ],
)
def test_bad_decisions_are_refused(metric, change, message):
    inputs = {"predictions": [1, 2], "references": [1, 3], "languages": ["LO", "LO"], **change}
    with pytest.raises(ValueError, match=message):
        metric.compute(**inputs)


def test_an_unknown_configuration_is_refused(tmp_path):
    with pytest.raises(ValueError, match="default, retrieval"):
        BabelZSIC(config_name="detection", cache_dir=str(tmp_path))
