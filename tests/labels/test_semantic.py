from __future__ import annotations

import numpy as np
import pytest

from babel_imagenet_dataset.semantic import (
    ESTIMATE,
    NOT_ESTIMABLE,
    UPPER_BOUND,
    null_ranks,
    own_ranks,
    plant_errors,
    wrong_share,
)


def space(n_labels: int = 300, noise: float = 0.4, lost: float = 0.2, seed: int = 0):
    """English names at random; labels near them, but for a share that the encoder does not understand."""
    rng = np.random.default_rng(seed)
    english = rng.normal(size=(1000, 32)).astype(np.float32)
    index = np.sort(rng.choice(1000, n_labels, replace=False))

    def names() -> np.ndarray:
        features = english[index] + noise * rng.normal(size=(n_labels, 32))
        unknown = rng.random(n_labels) < lost
        features[unknown] = rng.normal(size=(unknown.sum(), 32))
        return features.astype(np.float32) + 3.0  # a direction that all texts of the language share

    return english, index, names(), names()


def naive_rank(label: np.ndarray, english: np.ndarray, own: int) -> int:
    cosines = [float(label @ name / np.linalg.norm(label) / np.linalg.norm(name)) for name in english]
    return sum(cosine >= cosines[own] for cosine in cosines)


def test_ranks_are_those_of_a_plain_loop() -> None:
    english, index, labels, _ = space(20)
    centred_labels, centred_english = labels - labels.mean(axis=0), english - english.mean(axis=0)
    expected = [naive_rank(x, centred_english, own) for x, own in zip(centred_labels, index, strict=True)]
    assert own_ranks(labels, english, index).tolist() == expected


def test_ranks_do_not_change_with_a_shift_of_all_labels_or_the_scale_of_the_space() -> None:
    english, index, labels, _ = space(50)
    expected = own_ranks(labels, english, index).tolist()
    assert own_ranks(labels + 7.0, english, index).tolist() == expected
    assert own_ranks(labels * 100.0, english * 0.5, index).tolist() == expected


def test_equal_scores_count_against_a_label() -> None:
    english = np.ones((5, 3), dtype=np.float32)
    assert own_ranks(np.ones((2, 3), dtype=np.float32), english, np.array([0, 4])).tolist() == [5, 5]


def test_shuffled_labels_rank_evenly() -> None:
    english, index, labels, _ = space()
    null = null_ranks(labels, english, index)
    assert len(null) == 20 * len(index)
    assert abs(np.mean(null > 100) - 0.9) < 0.03


@pytest.mark.parametrize("planted", [0.0, 0.05, 0.2, 0.4])
def test_random_errors_are_found_at_their_rate_where_reference_names_are_known(planted: float) -> None:
    shares, covered = [], 0
    for seed in range(12):
        english, index, labels, names = space(seed=seed)
        wrong = labels[plant_errors(index, english, planted, "random", seed)]
        found = wrong_share(
            own_ranks(wrong, english, index),
            null_ranks(wrong, english, index, 5),
            own_ranks(names, english, index),
            n_resamples=300,
        )
        assert found.status == ESTIMATE
        assert found.share is not None
        assert found.interval is not None
        shares.append(found.share)
        covered += found.interval[0] <= planted <= found.interval[1]
    assert abs(np.mean(shares) - planted) < 0.03
    assert covered >= 9


def test_without_reference_names_the_share_is_a_bound_that_holds() -> None:
    english, index, labels, _ = space()
    wrong = labels[plant_errors(index, english, 0.1, "random", 0)]
    found = wrong_share(own_ranks(wrong, english, index), null_ranks(wrong, english, index))
    assert found.status == UPPER_BOUND
    assert found.share is not None
    assert found.share > 0.1 + 0.1  # what the encoder does not understand counts, too
    assert found.interval is not None
    assert found.interval[0] == 0.0


def test_no_label_far_off_still_leaves_room_for_some_that_are_wrong() -> None:
    """With none of n beyond k, the largest share that is not refuted at 95 % solves (1 - share * q) ** n = 0.05."""
    null = np.repeat([500, 1], [90, 10])
    for n_labels in (30, 63, 400):
        found = wrong_share(np.ones(n_labels, dtype=np.int64), null)
        assert (found.share, found.interval[0]) == (0.0, 0.0)
        assert found.interval[1] == pytest.approx((1 - 0.05 ** (1 / n_labels)) / 0.9)


@pytest.mark.parametrize(("n_labels", "planted"), [(30, 0.01), (30, 0.05), (63, 0.02), (100, 0.1)])
def test_the_bound_holds_in_19_of_20_draws_however_few_labels_are_wrong(n_labels: int, planted: float) -> None:
    rng = np.random.default_rng(0)
    null = np.repeat([500, 1], [90, 10])
    n_draws = 1000
    n_far = rng.binomial(n_labels, planted * 0.9, n_draws).tolist()  # of what is wrong, a share q = 0.9 ranks far
    bounds = [wrong_share(np.repeat([500, 1], [k, n_labels - k]), null).interval[1] for k in n_far]
    assert np.mean(np.array(bounds) >= planted) > 0.95 - 3 * np.sqrt(0.05 * 0.95 / n_draws)


def test_where_the_null_does_not_separate_nothing_is_said() -> None:
    english, index, labels, _ = space(lost=0.8)
    found = wrong_share(own_ranks(labels, english, index), null_ranks(labels, english, index))
    assert (found.status, found.share, found.interval) == (NOT_ESTIMABLE, None, None)


def test_few_labels_say_nothing() -> None:
    english, index, labels, _ = space(29)
    assert wrong_share(own_ranks(labels, english, index), np.array([900, 800])).status == NOT_ESTIMABLE


def test_planted_errors_have_their_share_and_their_kind() -> None:
    english, index, _, _ = space(100)
    moved = plant_errors(index, english, 0.25, "random", 0)
    assert (moved != np.arange(100)).sum() == 25
    near = plant_errors(index, english, 1.0, "nearest", 0)
    centred = english - english.mean(axis=0)
    unit = centred / np.linalg.norm(centred, axis=1, keepdims=True)
    for row in range(100):
        others = [float(unit[index[row]] @ unit[index[other]]) if other != row else -9.0 for other in range(100)]
        assert near[row] == int(np.argmax(others))


def test_shapes_and_values_that_do_not_fit_are_errors() -> None:
    english, index, labels, _ = space(40)
    for features, indices in (
        (labels[:, :5], index),
        (labels, index[:5]),
        (labels * np.nan, index),
        (labels, index + 999),
    ):
        with pytest.raises(ValueError):
            own_ranks(features, english, indices)
    with pytest.raises(ValueError, match="k must be at least 1"):
        wrong_share(index, index, k=0)
    with pytest.raises(ValueError, match="one reference name a label"):
        wrong_share(index, index, index[:3])
    with pytest.raises(ValueError, match="`random` or `nearest`"):
        plant_errors(index, english, 0.1, "other", 0)
