import json

import pytest
from rich.cells import cell_len
from typer.testing import CliRunner

from babel_eval.cli import app


def run(*arguments, columns="120"):
    result = CliRunner().invoke(app, ["languages", *arguments], env={"COLUMNS": columns})
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0
    return result.output


def test_the_table_has_a_row_a_language_with_all_its_facts():
    lines = run("lo,ar").splitlines()
    assert lines[1].split() == ["code", "name", "in", "itself", "script", "tag", "dir", "classes", "group"]
    assert [line.split() for line in lines[3:5]] == [
        ["LO", "Lao", "ລາວ", "Laoo", "lo", "ltr", "141", "low"],
        ["AR", "Arabic", "العربية", "Arab", "ar", "rtl", "636", "mid"],
    ]
    assert lines[-1] == "2 languages: 1 low, 1 mid"


def test_without_a_label_file_there_are_298():
    assert run().splitlines()[-1] == "298 languages: 180 vlow, 63 low, 38 mid, 17 high"


@pytest.mark.parametrize("columns", ["80", "120"])
def test_no_line_is_wider_than_the_terminal_and_no_code_is_broken(columns):
    lines = run("298", columns=columns).splitlines()
    assert max(map(cell_len, lines)) <= int(columns)
    assert any(line.split()[:1] == ["ZH_CLASSICAL"] for line in lines)
    assert any("be-tarask" in line for line in lines)


def test_json_holds_the_same_and_is_for_programs():
    (record,) = json.loads(run("jp", "--json"))
    assert record == {
        "code": "JA", "config": "ja", "name": "Japanese", "autonym": "日本語", "script": "Jpan", "tag": "ja",
        "direction": "ltr", "n_classes": 733, "group": "high", "releases": ["93", "298"], "aliases": ["jp", "jpn"],
    }  # fmt: skip


def test_the_counts_are_those_of_the_label_file_that_is_given(tmp_path):
    path = tmp_path / "own.json"
    path.write_text(json.dumps({"DE": [[3, 4], ["a", "b"]]}))
    records = json.loads(run("--labels", str(path), "--json"))
    assert [(record["code"], record["n_classes"], record["group"]) for record in records] == [
        ("DE", 2, "vlow"), ("EN", 1000, "high"),
    ]  # fmt: skip


def test_an_unknown_language_is_an_error_that_proposes_the_nearest():
    with pytest.raises(ValueError, match="did you mean 'DE'"):
        run("germam")
