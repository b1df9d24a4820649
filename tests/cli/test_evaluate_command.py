"""The command `evaluate`, through the real command line, with a toy model in place of a real one."""

from __future__ import annotations

import errno
import json
import shlex
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "eval"))
from toy import ToyEncoder, write_photo

from babel_eval import cli
from babel_imagenet_dataset.imagenet import english_class_names, wnids
from babel_imagenet_dataset.release import load_labels


@pytest.fixture
def toy(monkeypatch):
    """A model that knows English and the even classes of German, behind every model string."""
    vocabulary = {name: index for index, name in reversed(list(enumerate(english_class_names())))}
    german = load_labels().languages["DE"]
    for index, label in zip(german.class_index.tolist(), german.labels, strict=True):
        if index % 2 == 0:
            vocabulary.setdefault(label, index)
    encoder = ToyEncoder(vocabulary)
    monkeypatch.setattr("babel_eval.encoders.load_encoder", lambda *a, **k: encoder)
    return encoder


@pytest.fixture
def photos(tmp_path):
    german = load_labels().languages["DE"].class_index.tolist()
    for index in [i for i in german if i % 2 == 0][:3] + [i for i in german if i % 2][:1]:
        write_photo(tmp_path / "photos" / wnids()[index] / "x.png", index)
    return tmp_path / "photos"


def run(capsys, monkeypatch, *arguments):
    """Run the command line and give its exit code and all that it printed."""
    monkeypatch.setattr(sys, "argv", ["babel-imagenet", *map(str, arguments)])
    monkeypatch.setenv("COLUMNS", "200")
    with pytest.raises(SystemExit) as stop:
        cli.main()
    captured = capsys.readouterr()
    return stop.value.code or 0, captured.out + captured.err


def test_a_run_prints_the_table_and_writes_rows_and_decisions(tmp_path, photos, toy, capsys, monkeypatch):
    out = tmp_path / "r.json"
    code, text = run(
        capsys, monkeypatch, "evaluate", "--model", "toy", "--images", photos, "--languages", "de,en", "--out", out,
        "--store", tmp_path / "store",
    )  # fmt: skip
    assert code == 0, text
    rows = {r["lang"]: r for r in json.loads(out.read_text())["results"]}
    assert rows["DE"]["accuracy"] == 0.75
    assert rows["EN"]["accuracy"] == 1.0
    assert rows["DE"]["gap"] == 0.25
    assert "German" in text
    assert "75.0" in text
    assert pq.read_table(tmp_path / "r.predictions.parquet").num_rows == 8


def test_photos_are_encoded_once_for_all_runs(tmp_path, photos, toy, capsys, monkeypatch):
    for languages in ("de", "en"):
        run(
            capsys, monkeypatch, "evaluate", "--model", "toy", "--images", photos, "--languages", languages,
            "--out", tmp_path / f"{languages}.json", "--store", tmp_path / "store",
        )  # fmt: skip
    assert toy.photos_seen == 4


def test_a_bad_photo_is_listed_counted_and_an_error_unless_allowed(tmp_path, photos, toy, capsys, monkeypatch):
    (photos / "n01440764").mkdir(exist_ok=True)
    (photos / "n01440764" / "bad.jpg").write_bytes(b"nothing")
    arguments = ["evaluate", "--model", "toy", "--images", photos, "--languages", "de", "--store", tmp_path / "store"]
    code, text = run(capsys, monkeypatch, *arguments, "--out", tmp_path / "a.json")
    assert code == 1
    assert "n01440764/bad.jpg" in text
    images = json.loads((tmp_path / "a.json").read_text())["meta"]["images"]
    assert images["n_missing"] == 1
    assert images["missing"][0]["photo"] == "n01440764/bad.jpg"
    code, _ = run(capsys, monkeypatch, *arguments, "--out", tmp_path / "b.json", "--allow-missing-images")
    assert code == 0


@pytest.mark.parametrize("name", ["run-v1.6", "run-v1.5.txt", "runs"])
def test_a_result_file_that_does_not_end_in_json_is_refused(name, tmp_path, photos, toy, capsys, monkeypatch):
    """`run-v1.5` and `run-v1.6` would both keep their decisions in `run-v1.predictions.parquet`."""
    code, text = run(
        capsys, monkeypatch, "evaluate", "--model", "toy", "--images", photos, "--languages", "de",
        "--out", tmp_path / name, "--store", tmp_path / "store",
    )  # fmt: skip
    assert code == 2
    assert text == f"error: --out {tmp_path / name} must end in .json, as in {tmp_path / name}.json\n"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["photos"]


def test_a_language_without_photos_is_printed_and_exits_zero(tmp_path, toy, capsys, monkeypatch):
    labels = load_labels().languages
    index = next(i for i in labels["DE"].class_index.tolist() if i not in set(labels["LO"].class_index.tolist()))
    write_photo(tmp_path / "photos" / wnids()[index] / "x.png", index)
    code, text = run(
        capsys, monkeypatch, "evaluate", "--model", "toy", "--images", tmp_path / "photos", "--languages", "de,lo",
        "--out", tmp_path / "r.json", "--store", tmp_path / "store",
    )  # fmt: skip
    assert code == 0
    assert "LO Lao (label): no_photos" in text
    content = json.loads((tmp_path / "r.json").read_text())
    assert [r["lang"] for r in content["results"]] == ["DE"]
    assert [(f["lang"], f["accuracy"], f["status"]) for f in content["failures"]] == [("LO", None, "no_photos")]


def test_names_stand_in_for_photos_and_the_result_says_so(tmp_path, toy, capsys, monkeypatch):
    code, text = run(
        capsys, monkeypatch, "evaluate", "--model", "toy", "--images", "names", "--languages", "en",
        "--out", tmp_path / "r.json",
    )  # fmt: skip
    assert code == 0
    content = json.loads((tmp_path / "r.json").read_text())
    assert content["meta"]["images"]["kind"] == "names"
    assert content["results"][0]["accuracy"] == 0.998, "two English names stand twice, the second cannot win"
    assert "text side" in text


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"--model": "nonsense"}, "open_clip:NAME@TAG"),
        ({"--languages": "xx"}, "xx"),
        ({"--prompts": "haiku"}, "openai_en"),
        ({"--images": "nowhere"}, "hf:NAME:SPLIT"),
        ({"--device": "gpu"}, "cpu"),
        ({"--labels": "nowhere.json"}, "nowhere.json"),
        ({"--store": "/dev/null"}, "name another folder by --store"),
        ({"--precision-sample": "-1"}, "0 or a number of photos"),
    ],
)
def test_bad_input_is_one_line_and_writes_nothing(tmp_path, photos, capsys, monkeypatch, change, message):
    options = {"--model": "conse-e5", "--images": str(photos), "--languages": "de", "--out": str(tmp_path / "r.json")}
    options.update(change)
    code, text = run(capsys, monkeypatch, "evaluate", *(part for pair in options.items() for part in pair))
    assert code == 2
    assert text.startswith("error: ")
    assert message in text
    assert "Traceback" not in text
    assert not (tmp_path / "r.json").exists()


class Stopping(ToyEncoder):
    """A toy that stops, as the user or the machine would, when it meets a label for the first time."""

    def __init__(self, vocabulary, label, error):
        super().__init__(vocabulary)
        self.label, self.error = label, error

    def encode_texts(self, texts, language):
        if self.error is not None and self.label in texts:
            error, self.error = self.error, None
            raise error
        return super().encode_texts(texts, language)


def interrupted(tmp_path, capsys, monkeypatch, stop):
    """Run four languages up to an interruption, then the command that is printed; give both outputs and both files."""
    arguments = ["evaluate", "--model", "toy", "--images", "names", "--languages", "om,lo,xh,so"]
    encoder = stop()
    monkeypatch.setattr("babel_eval.encoders.load_encoder", lambda *a, **k: encoder)
    first = run(capsys, monkeypatch, *arguments, "--out", tmp_path / "a b.json", "--overwrite")
    kept = json.loads((tmp_path / "a b.json").read_text())["results"]
    command = next(line for line in first[1].splitlines() if line.strip().startswith("babel-imagenet"))
    second = run(capsys, monkeypatch, *shlex.split(command)[1:])
    run(capsys, monkeypatch, *arguments, "--out", tmp_path / "whole.json")
    files = [json.loads((tmp_path / name).read_text()) for name in ("a b.json", "whole.json")]
    return first, kept, second, files


def test_ctrl_c_prints_the_command_that_goes_on(tmp_path, toy, capsys, monkeypatch):
    monkeypatch.setattr("babel_eval.texts.TEXTS_AT_ONCE", 60)
    label = load_labels().languages["SO"].labels[-1]
    stop = lambda: Stopping(toy.vocabulary, label, KeyboardInterrupt())  # noqa: E731
    first, kept, second, (one, whole) = interrupted(tmp_path, capsys, monkeypatch, stop)
    assert first[0] == 130
    assert "stopped" in first[1]
    assert "Traceback" not in first[1]
    assert [row["lang"] for row in kept] == ["OM", "LO", "XH"][: len(kept)]
    assert kept
    assert second[0] == 0
    assert one["results"] == whole["results"]
    assert not list(tmp_path.glob("*.parts"))


def test_a_full_disk_says_so_and_loses_nothing(tmp_path, toy, capsys, monkeypatch):
    from babel_eval import results

    real, full = results.write_json, [True]

    def write_json(path, content):
        if full[0] and len(content["results"]) == 2:
            full[0] = False
            raise OSError(errno.ENOSPC, "No space left on device", str(path))
        real(path, content)

    monkeypatch.setattr(results, "write_json", write_json)
    first, kept, second, (one, whole) = interrupted(tmp_path, capsys, monkeypatch, lambda: toy)
    assert first[0] == 2
    assert "no room is left on the disk; this goes on where it was" in first[1]
    assert f"error: {tmp_path / 'a b.json'}: No space left on device" in first[1]
    assert [row["lang"] for row in kept] == ["OM"]
    assert second[0] == 0
    assert one["results"] == whole["results"]


def test_help_names_no_module_that_is_heavy():
    """The help is instant because nothing heavy is imported for it."""
    script = (
        "import sys\n"
        "sys.argv = ['babel-imagenet', '--help']\n"
        "from babel_eval import cli\n"
        "try: cli.main()\n"
        "except SystemExit: pass\n"
        "heavy = {'torch', 'transformers', 'datasets', 'open_clip', 'scipy', 'matplotlib', 'pyarrow', 'pandas'}\n"
        "sys.exit(','.join(sorted(heavy & set(sys.modules))) or 0)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "evaluate" in done.stdout


def test_the_first_screen_says_what_each_command_does_in_whole_words(capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["babel-imagenet", "--help"])
    monkeypatch.setenv("COLUMNS", "80")
    with pytest.raises(SystemExit):
        cli.main()
    lines = capsys.readouterr().out.partition("Commands:")[2].splitlines()[1:]
    assert len(lines) == len(cli.app.registered_commands) + len(cli.app.registered_groups), "a line each"
    assert [line for line in lines if not line.endswith(".") or line.endswith("...")] == []
