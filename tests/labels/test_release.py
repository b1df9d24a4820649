import hashlib
import json

import numpy as np
import pytest

from babel_imagenet_dataset import imagenet, release
from babel_imagenet_dataset.release import labels_of, load_labels, load_prompts

SMALL = {"DE": [[0, 7, 999], ["Schleie", "Hahn", "Klopapier"]], "SW": [[3], ["papa"]]}


def write(folder, value, name="own.json"):
    path = folder / name
    text = value if isinstance(value, (str, bytes)) else json.dumps(value, ensure_ascii=False)
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def unsaid(folder, value, *parts):
    """Give those of the file's name and the parts that are not in the message with which reading fails."""
    path = write(folder, value)
    with pytest.raises(ValueError) as error:
        load_labels(path)
    return [part for part in (str(path), *parts) if part not in str(error.value)]


def test_without_a_path_the_93_key_file_of_clip_benchmark_is_read():
    file = load_labels()
    raw = json.loads(file.path.read_text(encoding="utf-8"))
    assert file.sha256 == hashlib.sha256(file.path.read_bytes()).hexdigest()
    assert file.sha256 == "1699e9984d5d02f34640b06230f2d5ebacab2ff1554ddf55883858b5862afc5a"
    assert file.release == "93"
    assert list(file.languages) == sorted(raw)
    for code, (indices, labels) in raw.items():
        if code != "EN":
            read = file.languages[code]
            assert read.code == code
            assert read.class_index.dtype == np.int32
            assert read.class_index.tolist() == indices
            assert list(read.labels) == labels
            assert file.n_classes[code] == len(read) == len(labels)


def test_the_298_key_file_is_known_by_its_bytes(reference_data):
    file = load_labels(reference_data / "babel_imagenet-298.json")
    assert (file.release, len(file.languages)) == ("298", 298)


def test_english_is_the_1000_names_by_openai_and_what_was_released_is_kept_beside_it():
    file = load_labels()
    raw = json.loads(file.path.read_text(encoding="utf-8"))["EN"]
    assert file.languages["EN"].labels == imagenet.english_class_names()
    assert file.languages["EN"].class_index.tolist() == list(range(1000))
    assert list(file.released_english.labels) == raw[1]
    agree = sum(a == b for a, b in zip(raw[1], file.languages["EN"].labels, strict=True))
    assert agree == 530


def test_a_file_without_english_gets_the_1000_names(tmp_path):
    file = load_labels(write(tmp_path, SMALL))
    assert list(file.languages) == ["DE", "EN", "SW"]
    assert len(file.languages["EN"]) == 1000
    assert file.released_english is None
    assert file.release is None


def test_labels_are_kept_to_the_letter(tmp_path):
    awkward = [
        "{}",
        "a{0}b{c}",
        "rock ’n’ roll",
        "כלב\u200e",
        "e\u0301",
        "می\u200cخواهم",
        "nan",
        "NULL",
        "犬|貓",
        "\\N",
    ]
    file = load_labels(write(tmp_path, {"SW": [list(range(10)), awkward]}))
    assert list(file.languages["SW"].labels) == awkward


def test_class_indices_cannot_be_changed_by_accident(tmp_path):
    labels = load_labels(write(tmp_path, SMALL)).languages["DE"]
    with pytest.raises(ValueError, match="read-only"):
        labels.class_index[0] = 5
    with pytest.raises(ValueError, match="read-only"):
        release.english().class_index[0] = 5


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no file .*nowhere\.json.*93, 298"):
        load_labels(tmp_path / "nowhere.json")


def test_only_names_of_what_is_read_are_offered_and_taken():
    with pytest.raises(FileNotFoundError, match=r"no file prompts; give a path, or one of: 93, 298$"):
        load_labels("prompts")
    with pytest.raises(FileNotFoundError, match=r"no file 298; give a path, or one of: prompts$"):
        load_prompts("298")


def test_a_file_named_as_a_published_one_must_be_it(tmp_path):
    for name in ("babel_imagenet.json", "babel_imagenet-298.json"):
        with pytest.raises(ValueError, match=rf"{name}: sha256 is [0-9a-f]{{64}}, expected [0-9a-f]{{64}}"):
            load_labels(write(tmp_path, SMALL, name))


def test_a_published_file_cut_short_is_refused(tmp_path):
    whole = load_labels().path.read_bytes()
    with pytest.raises(ValueError, match=r"sha256 is .* cut short"):
        load_labels(write(tmp_path, whole[:-1000], "babel_imagenet.json"))


def test_a_sha256_that_is_asked_for_is_checked(tmp_path):
    path = write(tmp_path, SMALL)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    assert load_labels(path, sha256=digest.upper()).sha256 == digest
    with pytest.raises(ValueError, match=f"expected {'0' * 64}"):
        load_labels(path, sha256="0" * 64)


def test_what_is_no_json_is_refused_with_its_place(tmp_path):
    assert unsaid(tmp_path, '{"DE": [[0], ["Schleie"]', "line 1, column") == []
    assert unsaid(tmp_path, "", "line 1, column 1") == []
    assert unsaid(tmp_path, b'{"DE": [[0], ["\xff"]]}', "UTF-8") == []


@pytest.mark.parametrize("value", [[], {}, "text", 3, None])
def test_what_is_no_mapping_is_refused(tmp_path, value):
    assert unsaid(tmp_path, json.dumps(value), "expected an object of language codes") == []


@pytest.mark.parametrize("code", ["de", "", "D E", "ДЕ", "DE-AT", "../X", "_"])
def test_what_is_no_code_is_refused(tmp_path, code):
    assert unsaid(tmp_path, {code: [[0], ["x"]]}, repr(code)) == []


def test_a_language_that_stands_twice_is_refused(tmp_path):
    assert unsaid(tmp_path, '{"DE": [[0], ["a"]], "SW": [[0], ["b"]], "DE": [[1], ["c"]]}', "'DE'", "twice") == []


@pytest.mark.parametrize("index", [-1, 1000, 1.0, "3", None, True, [1]])
def test_an_index_that_is_no_whole_number_in_0_to_999_is_refused_with_language_row_and_value(tmp_path, index):
    assert unsaid(tmp_path, {"SW": [[4, index], ["a", "b"]]}, "SW", "row 1", "0..999", repr(index)) == []


@pytest.mark.parametrize("label", [None, 3, 1.5, ["a"], True, "", " ", " a", "a\t", "a\n"])
def test_a_label_that_is_no_trimmed_text_is_refused_with_language_row_and_value(tmp_path, label):
    assert unsaid(tmp_path, {"SW": [[4, 5, 6], ["a", "b", label]]}, "SW", "row 2", repr(label)) == []


def test_half_a_surrogate_pair_is_refused_with_language_and_row(tmp_path):
    assert unsaid(tmp_path, '{"SW": [[4], ["a\\ud800"]]}', "SW", "row 0", r"\ud800") == []


def test_an_index_that_stands_twice_is_refused_with_both_rows(tmp_path):
    assert unsaid(tmp_path, {"SW": [[4, 9, 4], ["a", "b", "c"]]}, "SW", "row 2", "class index 4", "row 0") == []


def test_lists_of_unequal_length_or_none_are_refused(tmp_path):
    assert unsaid(tmp_path, {"SW": [[4, 5], ["a"]]}, "SW", "got 1 and 2") == []
    assert unsaid(tmp_path, {"SW": [[], []]}, "SW", "got 0 and 0") == []
    for value in ([[4]], [[4], ["a"], []], {"4": "a"}, [4, "a"], None):
        assert unsaid(tmp_path, {"SW": value}, "SW", "[[class indices], [labels]]") == []


def test_a_language_is_found_by_any_alias_and_a_lacking_one_names_the_file_that_has_it():
    file = load_labels()
    assert labels_of(file, "jp") is file.languages["JA"]
    with pytest.raises(ValueError, match=r"lacks: WUU.*babel_imagenet-298\.json"):
        labels_of(file, "wuu")


def test_an_unknown_source_is_an_error_that_lists_the_known_ones():
    with pytest.raises(ValueError, match="auto, packaged, download"):
        load_labels(source="hub")
    with pytest.raises(ValueError, match=r"babel_imagenet-298\.json is in no package"):
        load_labels("298", source="packaged")


def test_without_clip_benchmark_the_file_is_downloaded_or_its_absence_is_told(monkeypatch, tmp_path):
    asked = []

    def absent(*arguments):
        raise ImportError("the package clip-benchmark is not installed")

    def fetch(repository, commit, path, sha256):
        asked.append((repository, commit, path, sha256))
        return write(tmp_path, b"not it", "babel_imagenet.json")

    monkeypatch.setattr(release, "packaged_file", absent)
    monkeypatch.setattr(release, "fetch", fetch)
    with pytest.raises(ValueError, match="sha256"):  # the download is checked here once more
        load_labels()
    repository, commit, path, sha256 = asked[0]
    assert (repository, path, sha256[:8]) == ("gregor-ge/Babel-ImageNet", "data/babel_imagenet.json", "1699e998")
    assert commit.startswith("317c498")
    assert len(commit) == 40
    with pytest.raises(ImportError, match="clip-benchmark"):
        load_labels(source="packaged")


def test_the_published_prompts_hold_80_templates_for_90_languages_each_with_one_slot():
    file = load_prompts()
    raw = json.loads(file.path.read_text(encoding="utf-8"))
    assert {code: list(templates) for code, templates in file.templates.items()} == raw
    assert len(raw) == 90
    assert {"BR", "FY", "LA"}.isdisjoint(raw)
    assert all(len(templates) == 80 for templates in raw.values())
    assert all(template.count("{}") == 1 for templates in raw.values() for template in templates)


@pytest.mark.parametrize("template", ["no slot", "{} and {}", "", "{ }", "{0}", 3, None])
def test_a_template_without_exactly_one_slot_is_refused_with_language_row_and_value(tmp_path, template):
    path = write(tmp_path, {"SW": ["picha ya {}", template]})
    with pytest.raises(ValueError) as error:
        load_prompts(path)
    for part in (str(path), "SW", "row 1", repr(template)):
        assert part in str(error.value)


def test_other_braces_are_no_slots(tmp_path):
    assert load_prompts(write(tmp_path, {"SW": ["{a} {} {0}"]})).templates["SW"] == ("{a} {} {0}",)


@pytest.mark.parametrize("value", [{"SW": []}, {"SW": "picha ya {}"}, [], {"sw": ["{}"]}])
def test_prompts_of_another_shape_are_refused(tmp_path, value):
    with pytest.raises(ValueError, match=r"own\.json"):
        load_prompts(write(tmp_path, value))
