import json

import numpy as np
import pytest

from babel_imagenet_dataset.prompts import PROMPT_SETS, choose, clean, fill, reported_name, templates
from babel_imagenet_dataset.release import load_prompts


@pytest.fixture(scope="module")
def published():
    return load_prompts()


def test_the_bare_label_is_one_template_for_any_language():
    assert templates("label", "LA") == [("{}", 1)]


def test_the_english_templates_are_80_distinct_ones_for_any_language():
    found = templates("openai_en", "SW")
    assert len(found) == 80
    assert {weight for _, weight in found} == {1}
    assert found[0] == ("a bad photo of a {}.", 1)


def test_translated_templates_are_distinct_weighted_and_in_order_of_first_appearance(published):
    raw = json.loads(published.path.read_text(encoding="utf-8"))
    spared = 0
    for code, given in raw.items():
        expected = []
        for template in given:
            if template not in [seen for seen, _ in expected]:
                expected.append((template, given.count(template)))
        assert templates("nllb", code, published) == expected
        assert sum(weight for _, weight in expected) == 80
        spared += 80 - len(expected)
    assert spared == 1338


def test_the_weighted_mean_equals_the_mean_over_all_templates(published):
    given = published.templates["ZH"]
    features = {template: np.random.default_rng(len(template)).normal(size=8) for template in set(given)}
    distinct = templates("nllb", "ZH", published)
    assert len(distinct) < 80
    weighted = sum(weight * features[template] for template, weight in distinct) / 80
    np.testing.assert_allclose(weighted, np.mean([features[template] for template in given], axis=0), atol=1e-12)


@pytest.mark.parametrize("code", ["BR", "FY", "LA"])
def test_languages_without_templates_are_an_error_or_fall_to_the_label_under_auto(published, code):
    with pytest.raises(ValueError, match=f"no templates for '{code}'.*90 languages"):
        templates("nllb", code, published)
    assert choose("auto", code, published) == "label"
    assert choose("nllb", code, published) == "nllb"  # asked for by name: then `templates` tells, nothing is replaced


def test_auto_takes_templates_where_there_are_some(published):
    assert choose("auto", "SW", published) == "nllb"
    assert choose("auto", "EN", published) == "nllb"


@pytest.mark.parametrize("prompt_set", PROMPT_SETS)
def test_a_prompt_set_by_name_is_itself(prompt_set):
    assert choose(prompt_set, "SW") == prompt_set


def test_unknown_sets_and_a_missing_file_are_errors(published):
    with pytest.raises(ValueError, match="label, openai_en, nllb"):
        templates("auto", "SW", published)
    with pytest.raises(ValueError, match="label, openai_en, nllb, auto"):
        choose("nllb_dist13b", "SW", published)
    with pytest.raises(ValueError, match="needs the file"):
        templates("nllb", "SW")
    with pytest.raises(ValueError, match="need the file"):
        choose("auto", "SW")


def test_filling_leaves_braces_and_backslashes_of_label_and_template_alone():
    assert fill("{a} {} }{", r"{0}\1{x") == r"{a} {0}\1{x }{"
    assert fill("{}", "{}") == "{}"


def test_clean_mode_leaves_out_spoiled_templates_and_closes_doubled_spaces(tmp_path):
    path = tmp_path / "own.json"
    given = {
        "DE": ["ein  {} ", "ein {}", "ein Bild {}", "{} .", "das das das das das das  {} da", "ein Foto von  {}  hier"],
        "FR": ["photo {}"],
    }
    path.write_text(json.dumps(given))
    left = clean(load_prompts(path))
    assert dict(left.templates) == {"DE": ("ein {}", "ein Foto von {} hier")}
    assert templates("nllb", "DE", left) == [("ein {}", 1), ("ein Foto von {} hier", 1)]


def test_clean_mode_leaves_every_published_language_most_of_its_templates():
    released = load_prompts()
    left = clean(released)
    assert set(left.templates) == set(released.templates)
    for code, of_language in left.templates.items():
        assert all(t.count("{}") == 1 and "  " not in t and t == t.strip() for t in of_language), code
    n_left = sum(map(len, left.templates.values()))
    assert 7200 - 310 - 60 - 60 < n_left < 7200 - 250


def test_published_templates_are_reported_under_the_references_name_and_others_under_their_files(tmp_path):
    assert reported_name("nllb", load_prompts()) == "nllb_dist13b_prompts"
    assert reported_name("openai_en") == "openai_en"
    assert reported_name("auto", load_prompts()) == "auto"
    for name in ("mine", "label"):
        (tmp_path / f"{name}.json").write_text('{"DE": ["ein {}"]}', encoding="utf-8")
    assert reported_name("nllb", load_prompts(tmp_path / "mine.json")) == "mine"
    assert reported_name("label", load_prompts(tmp_path / "mine.json")) == "label"
    with pytest.raises(ValueError, match="give the file another name"):
        reported_name("nllb", load_prompts(tmp_path / "label.json"))
