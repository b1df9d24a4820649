"""Retrieval: ranks and recalls in both directions."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from zsic_oracles import cosines, recall_at

from babel_zsic.retrieval import MATCHES, Ranks, rank_pairs, score_retrieval

SEEDS = st.integers(0, 2**32 - 1)


def ragged(rng: np.random.Generator, n_images: int, dim: int = 4, *, exact: bool = True) -> tuple[np.ndarray, ...]:
    own = np.repeat(np.arange(n_images), rng.integers(1, 4, n_images))
    rng.shuffle(own)
    texts, images = (rng.normal(size=(n, dim)) for n in (len(own), n_images))
    return (own, np.sign(texts), np.sign(images)) if exact else (own, texts, images)


@pytest.mark.parametrize("match", MATCHES)
@pytest.mark.parametrize("given_as", ["features", "similarity"])
def test_ranks_are_those_of_a_plain_sort(match, given_as):
    rng = np.random.default_rng(0)
    for _ in range(25):
        own, texts, images = ragged(rng, int(rng.integers(1, 9)))
        scores = texts @ images.T
        inputs = (
            {"similarity": scores} if given_as == "similarity" else {"text_features": texts, "image_features": images}
        )
        ranks = rank_pairs(own, match=match, block=3, **inputs)
        by_text = np.argsort(-scores, axis=1, kind="stable")
        assert ranks.text.tolist() == [by_text[t].tolist().index(own[t]) for t in range(len(own))]
        by_image = np.argsort(-scores.T, axis=1, kind="stable")
        for image in range(len(images)):
            places = [by_image[image].tolist().index(t) for t in np.flatnonzero(own == image)]
            expected = {"any": [min(places)], "first": places[:1], "fraction": sorted(places)}[match]
            assert sorted(ranks.caption[image][ranks.caption[image] >= 0].tolist()) == expected


@settings(max_examples=30, deadline=None)
@given(SEEDS)
def test_recalls_are_the_references_definition(seed):
    rng = np.random.default_rng(seed)
    own, texts, images = ragged(rng, 12, exact=bool(seed % 2))
    scores = texts @ images.T if seed % 2 else cosines(texts, images)
    relevant = own[:, None] == np.arange(12)
    figures = score_retrieval(rank_pairs(own, text_features=texts, image_features=images), own, n_resamples=100)
    for k in (1, 5, 10):
        assert figures[f"text_to_image_r@{k}"] == pytest.approx(recall_at(scores, relevant, k))
        assert figures[f"image_to_text_r@{k}"] == pytest.approx(recall_at(scores.T, relevant.T, k))


def test_any_first_and_fraction_differ_on_the_same_toy():
    texts, images = np.array([[1.0, 0.0], [0.0, 1.0], [0.0, 1.0], [0.1, 1.0]]), np.array([[1.0, 0.2], [0.0, 1.0]])
    own = np.array([0, 0, 1, 1])
    recalls = {}
    for match in MATCHES:
        ranks = rank_pairs(own, text_features=texts, image_features=images, match=match)
        recalls[match] = score_retrieval(ranks, own, k=(1,), n_resamples=100)["image_to_text_r@1"]
    # Image 0 finds its first caption; image 1 finds the text of image 0 that is equal to its own and stands before it.
    assert recalls == {"any": 0.5, "first": 0.5, "fraction": 0.25}


@settings(max_examples=30, deadline=None)
@given(SEEDS, st.integers(1, 40))
def test_chunks_and_factors_change_no_rank_even_with_equal_texts(seed, block):
    rng = np.random.default_rng(seed)
    own, texts, images = ragged(rng, 14, 24, exact=False)
    texts[rng.integers(0, len(own), 6)] = texts[0]
    base = rank_pairs(own, text_features=texts, image_features=images)
    factors = [np.exp2(rng.integers(-20, 20, (n, 1))) for n in (len(own), len(images))]
    other = rank_pairs(own, text_features=texts * factors[0], image_features=images * factors[1], block=block)
    np.testing.assert_array_equal(base.text, other.text)
    np.testing.assert_array_equal(base.caption, other.caption)


@settings(max_examples=30, deadline=None)
@given(SEEDS)
def test_the_order_of_texts_and_images_changes_no_rank(seed):
    rng = np.random.default_rng(seed)
    own, texts, images = ragged(rng, 14, 24, exact=False)
    base = rank_pairs(own, text_features=texts, image_features=images)
    rows, columns = rng.permutation(len(own)), rng.permutation(len(images))
    moved = rank_pairs(np.argsort(columns)[own[rows]], text_features=texts[rows], image_features=images[columns])
    np.testing.assert_array_equal(moved.text, base.text[rows])
    np.testing.assert_array_equal(moved.caption, base.caption[columns])


def test_ranks_and_reciprocals_are_counted_from_one():
    figures = score_retrieval(Ranks(np.array([0, 1, 3]), np.array([[0], [2], [2]])), [0, 1, 2], k=(1, 3))
    assert figures["text_to_image_mean_rank"] == pytest.approx((1 + 2 + 4) / 3)
    assert figures["text_to_image_median_rank"] == 2
    assert figures["image_to_text_mrr"] == pytest.approx((1 + 1 / 3 + 1 / 3) / 3)
    assert figures["mean_recall"] == pytest.approx((1 / 3 + 2 / 3 + 1 / 3 + 1) / 4)


def test_every_figure_has_an_interval_around_it():
    rng = np.random.default_rng(1)
    own, texts, images = ragged(rng, 80, 16, exact=False)
    figures = score_retrieval(rank_pairs(own, text_features=texts + 0.8 * images[own], image_features=images), own)
    names = [name for name, value in figures.items() if isinstance(value, float)]
    assert len(names) == 2 * (3 + 3) + 1
    for name in names:
        low, high = figures[f"{name}_interval"]
        assert low <= figures[name] <= high
        # More than half of the texts find their image at once: resampled medians are all 1.
        assert low < high or name.endswith("median_rank")


def test_the_medians_interval_is_that_of_resampled_medians():
    rng = np.random.default_rng(2)
    ranks = np.floor(rng.exponential(12, size=300)).astype(int)
    figures = score_retrieval(Ranks(ranks, ranks[:, None]), np.arange(300), k=(1,))
    weights = rng.standard_exponential((4000, 300))
    order = np.argsort(ranks, kind="stable")
    cumulative = np.cumsum(weights[:, order], axis=1) / weights.sum(axis=1, keepdims=True)
    medians = ranks[order][(cumulative < 0.5).sum(axis=1)] + 1
    np.testing.assert_allclose(
        figures["text_to_image_median_rank_interval"], np.quantile(medians, [0.025, 0.975]), atol=1
    )


def test_images_with_many_captions_are_resampled_whole():
    own = np.repeat(np.arange(20), 5)
    ranks = np.where(own < 10, 0, 50)
    figures = score_retrieval(Ranks(ranks, np.zeros((20, 1), int)), own, k=(1,))
    alone = score_retrieval(Ranks(ranks[::5], np.zeros((20, 1), int)), np.arange(20), k=(1,))
    np.testing.assert_allclose(figures["text_to_image_r@1_interval"], alone["text_to_image_r@1_interval"], atol=1e-6)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"own": [0, 0]}, "1 of 2 images have no caption, such as 1"),
        ({"own": [0, 2]}, "holds 2; allowed: 0 to 1"),
        ({"own": [0]}, "one image row a text"),
        ({"text_features": [[1.0, np.nan], [1.0, 0.0]]}, "row 0 of text_features holds NaN"),
        ({"image_features": [[0.0, 0.0], [1.0, 0.0]]}, "row 0 of image_features is all zeros"),
        ({"text_features": [[1.0], [1.0]]}, "1 wide"),
        ({"text_features": None}, "belong together"),
        ({"similarity": np.eye(2)}, "not both"),
        ({"text_features": None, "image_features": None}, "not neither"),
        ({"text_features": None, "image_features": None, "similarity": [[1.0, np.inf], [0.0, 1.0]]}, "NaN or infinity"),
        ({"match": "best"}, "any, first, fraction"),
    ],
)
def test_bad_input_is_refused(change, message):
    inputs = {"own": [0, 1], "text_features": np.eye(2), "image_features": np.eye(2), **change}
    with pytest.raises(ValueError, match=message):
        rank_pairs(inputs.pop("own"), **inputs)


@pytest.mark.parametrize(
    ("k", "message"), [(0, "k is 0; allowed: whole numbers, 1 and up"), (3, "k holds 3; allowed: 1 to the smaller")]
)
def test_a_cutoff_outside_the_gallery_is_refused(k, message):
    with pytest.raises(ValueError, match=message):
        score_retrieval(Ranks(np.array([0, 1]), np.array([[0], [0]])), [0, 1], k=(k,))


def test_with_fractions_every_image_weighs_the_same_in_the_median():
    """Four captions of image 0 stand at 1 to 4, those of images 1 and 2 at 5: two images of three are at 5."""
    ranks = Ranks(np.zeros(6, dtype=np.int64), np.array([[0, 1, 2, 3], [4, -1, -1, -1], [4, -1, -1, -1]]))
    figures = score_retrieval(ranks, [0, 0, 0, 0, 1, 2], k=(1,), n_resamples=200)
    assert figures["image_to_text_median_rank"] == 5.0
    assert figures["text_to_image_median_rank"] == 1.0


def test_the_median_of_an_even_number_lies_between_the_middle_two():
    ranks = Ranks(np.array([0, 3]), np.array([[0], [1]]))
    figures = score_retrieval(ranks, [0, 1], k=(1,), n_resamples=200)
    assert (figures["text_to_image_median_rank"], figures["image_to_text_median_rank"]) == (2.5, 1.5)


@pytest.mark.parametrize("match", ["any", "first", "fraction"])
def test_the_order_of_images_and_texts_changes_no_bit_of_a_figure_where_nothing_ties(match):
    rng = np.random.default_rng(4)
    own = rng.permutation(np.concatenate([np.arange(30), rng.integers(0, 30, 50)]))
    similarity = rng.permutation(80 * 30).reshape(80, 30)
    images, texts = rng.permutation(30), rng.permutation(80)
    if match == "first":  # which caption comes first is part of the input
        texts = np.arange(80)
    moved = np.argsort(images)[own[texts]]
    before, after = (
        score_retrieval(rank_pairs(pairs, similarity=scores, match=match), pairs)
        for pairs, scores in ((own, similarity), (moved, similarity[texts][:, images]))
    )
    for name, value in before.items():  # weights are drawn by row, so intervals move within their Monte Carlo error
        if not name.endswith("_interval"):
            assert after[name] == value
        elif "rank" not in name:
            np.testing.assert_allclose(after[name], value, atol=0.02)
