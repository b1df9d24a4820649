from __future__ import annotations

import numpy as np
import pytest

from babel_imagenet_dataset.human_names import HUMAN_LANGUAGES, agreement, compare_names, human_names, plain_name
from babel_imagenet_dataset.release import LanguageLabels, load_labels


def test_there_are_a_thousand_names_in_four_languages_by_class_index() -> None:
    anchors = {"AR": "أسد", "IT": "un leone", "JA": "ライオン", "ZH": "狮子"}
    assert set(HUMAN_LANGUAGES) == set(anchors)
    for code, lion in anchors.items():
        names = human_names(code)
        assert len(names) == 1000
        assert names[291] == lion
        assert not [name for name in names if name != name.strip() or not name]
    with pytest.raises(ValueError, match="no human names for 'DE'; there are for AR, IT, JA, ZH"):
        human_names("DE")


def test_labels_are_compared_without_case_marks_spaces_and_articles() -> None:
    labels = LanguageLabels(
        "IT", np.array([0, 1, 2, 3, 4], dtype=np.int32), ("Tinca", "APE", "toro", "zebra", "unghia")
    )
    names = {0: "una tinca", 1: "un'ape", 2: "un bue", 3: "un toro", 4: "un'unghia", 5: "la zebra"}
    got = compare_names(labels, names)
    assert (got.n_classes, got.n_equal, got.n_of_other_class) == (5, 3, 1)
    assert got.of_other_class == ((2, 3),)


def test_a_name_that_two_classes_share_counts_as_the_class_s_own() -> None:
    labels = LanguageLabels("ZH", np.array([0, 1], dtype=np.int32), ("狗", "狗"))
    assert compare_names(labels, {0: "狗", 1: "狗"}).n_equal == 2


def test_marks_that_spell_a_word_are_kept() -> None:
    assert plain_name("غَسَّالَة", "AR") == "غسالة"
    assert plain_name("がくせい", "JA") != plain_name("かくせい", "JA")
    assert plain_name("mosche", "IT") != plain_name("mosché", "IT")


def test_released_labels_agree_far_more_than_labels_of_other_classes_would() -> None:
    released = load_labels().languages
    for code in HUMAN_LANGUAGES:
        labels = released[code]
        shifted = LanguageLabels(code, labels.class_index, (*labels.labels[1:], labels.labels[0]))
        assert agreement(labels).n_equal > 0.2 * len(labels)
        assert agreement(labels).n_of_other_class < 0.02 * len(labels)
        assert agreement(shifted).n_equal < 0.02 * len(labels)
