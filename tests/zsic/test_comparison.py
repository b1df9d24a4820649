"""Two models on the same photos."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from babel_zsic.comparison import compare, holm, mcnemar
from babel_zsic.uncertainty import paired_interval


def decisions(seed: int, n: int = 60) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    truth = np.random.default_rng(99).integers(0, 12, n)
    return {
        "references": truth,
        "predictions": np.where(rng.random(n) < 0.5, truth, 50),
        "languages": np.array(["DE", "LO", "SW"])[np.arange(n) % 3],
        "photos": np.arange(n),
    }


@pytest.mark.parametrize(("a", "b"), [(0, 0), (1, 0), (0, 5), (7, 7), (12, 30), (400, 350), (3000, 0)])
def test_mcnemar_is_the_exact_binomial_test(a, b):
    expected = stats.binomtest(a, a + b).pvalue if a + b else 1.0
    assert mcnemar(a, b) == pytest.approx(expected, rel=1e-9, abs=1e-300)


def test_holm_is_the_smallest_level_at_which_the_step_down_rule_rejects():
    p_values = [0.01, 0.04, 0.03, 0.005, 0.9]

    def rejected(level: float) -> set[int]:
        out: set[int] = set()
        for place, i in enumerate(np.argsort(p_values).tolist()):
            if p_values[i] > level / (len(p_values) - place):
                break
            out.add(i)
        return out

    for i, corrected in enumerate(holm(p_values)):
        assert i in rejected(corrected + 1e-9)
        assert corrected == 1.0 or i not in rejected(corrected - 1e-9)
    assert holm([]) == []


def test_differences_are_counted_by_language_with_the_paired_interval():
    a, b = decisions(1), decisions(2)
    result = compare(a, b, seed=3)
    assert list(result) == ["DE", "LO", "SW"]
    for language, row in result.items():
        chosen = a["languages"] == language
        right = [(x["predictions"] == x["references"])[chosen] for x in (a, b)]
        assert row["n_images"] == chosen.sum()
        assert row["difference"] == pytest.approx(right[0].mean() - right[1].mean())
        assert row["only_a_right"] == (right[0] & ~right[1]).sum()
        assert row["difference_interval"] == paired_interval(*right, a["references"][chosen], seed=3)
        assert row["mcnemar_p"] <= row["holm_p"] <= 1


def test_photos_are_matched_by_their_ids_in_any_order():
    a, b = decisions(1), decisions(2)
    order = np.random.default_rng(0).permutation(60)
    assert compare(a, b) == compare(a, {name: column[order] for name, column in b.items()})


def test_a_model_does_not_differ_from_itself():
    a = decisions(1)
    for row in compare(a, a).values():
        assert (row["difference"], row["mcnemar_p"], row["holm_p"]) == (0, 1, 1)
        assert row["difference_interval"][0] < 0 < row["difference_interval"][1]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"photos": np.arange(60) + 1}, "same photos"),
        ({"photos": np.zeros(60, int)}, "twice"),
        ({"photos": None}, "only one"),
        ({"predictions": np.zeros(3, int)}, "one length"),
        ({"references": None}, "lacks 'references'"),
    ],
)
def test_other_photos_and_broken_columns_are_refused(change, message):
    b = {name: column for name, column in {**decisions(2), **change}.items() if column is not None}
    with pytest.raises(ValueError, match=message):
        compare(decisions(1), b)


def test_without_ids_both_must_list_the_same_photos():
    a, b = ({name: x[name] for name in ("predictions", "references")} for x in (decisions(1), decisions(2)))
    assert list(compare(a, b)) == ["unnamed"]
    with pytest.raises(ValueError, match="differ in languages or references"):
        compare(a, {**b, "references": b["references"][::-1]})


def test_the_work_of_matching_photos_grows_with_their_number_and_not_with_its_square():
    looked_at = 0

    class Photo:
        def __init__(self, name):
            self.name = name

        def __hash__(self):
            nonlocal looked_at
            looked_at += 1
            return hash(self.name)

        def __eq__(self, other):
            return self.name == other.name

    photos = [Photo(i) for i in range(300)]
    a = {"predictions": [1] * 300, "references": [1] * 300, "photos": photos}
    compare(a, {**a, "photos": photos[::-1]}, n_resamples=100)
    assert 300 <= looked_at <= 20 * 300
