import json

import pytest
from typer.testing import CliRunner

from babel_eval.cli import app
from babel_eval.commands.build import copy_metric


def run(*arguments, columns="120"):
    result = CliRunner().invoke(app, ["build", *arguments], env={"COLUMNS": columns})
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0
    return result.output


def test_build_writes_the_chosen_languages_and_says_what_it_wrote(tmp_path):
    output = run("--languages", "de,jp,lo", "--out", str(tmp_path / "babel-imagenet"))
    assert sorted(path.name for path in (tmp_path / "babel-imagenet").iterdir()) == [
        "README.md", "de", "ja", "lo", "prompts",
    ]  # fmt: skip
    # German 738 and Japanese 733 are high, Lao's 141 low
    rows = {line.split()[0]: line.split()[1:] for line in output.splitlines() if line.split()}
    assert rows["low"][:3] == ["1", "141", "140"]
    assert rows["high"][:3] == ["2", "1,471", "1,465"]
    assert rows["all"][:3] == ["3", "1,612", "1,605"]
    assert str(tmp_path / "babel-imagenet") in output
    assert not (tmp_path / "babel_zsic").exists()


def test_build_takes_a_label_file_of_ones_own(tmp_path):
    path = tmp_path / "own.json"
    path.write_text(json.dumps({"SW": [[3], ["papa"]]}))
    output = run("--labels", str(path), "--languages", "sw", "--out", str(tmp_path / "out"))
    assert str(path) in output
    assert (tmp_path / "out" / "sw").is_dir()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--languages", "germam"), "did you mean"),
        (("--languages", "wuu"), r"babel_imagenet-298\.json"),
        (("--labels", "nowhere.json"), r"there is no file nowhere\.json"),
    ],
)
def test_bad_input_is_an_error_before_anything_is_written(tmp_path, arguments, message):
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        run(*arguments, "--out", str(tmp_path / "out"))
    assert list(tmp_path.iterdir()) == []


def test_the_metric_is_copied_beside_the_dataset_when_asked_for(tmp_path):
    import babel_zsic

    run("--languages", "lo", "--out", str(tmp_path / "babel-imagenet"), "--with-metric")
    copied = tmp_path / "babel_zsic"
    source = next(iter(babel_zsic.__path__))
    for path in copied.iterdir():
        assert path.read_bytes() == (type(path)(source) / path.name).read_bytes()
    assert (copied / "__init__.py").exists()
    assert not (copied / "py.typed").exists()
    copy_metric(tmp_path)  # once more over its own copy


def test_a_folder_of_the_metrics_name_with_other_files_is_left_alone(tmp_path):
    (tmp_path / "babel_zsic").mkdir()
    (tmp_path / "babel_zsic" / "thesis.tex").write_text("precious")
    with pytest.raises(ValueError, match=r"thesis\.tex"):
        copy_metric(tmp_path)
    assert (tmp_path / "babel_zsic" / "thesis.tex").read_text() == "precious"
