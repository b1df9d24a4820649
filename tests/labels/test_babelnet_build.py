from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest
from loopback_babelnet import KEY, LoopbackBabelNet, sense
from typer.testing import CliRunner

from babel_eval.cli import app
from babel_eval.commands.label_sources import crawl_codes
from babel_imagenet_dataset import babelnet
from babel_imagenet_dataset.imagenet import synsets

N_SYNSETS = 40


@pytest.fixture
def synsets_by_id() -> dict[str, list[Any]]:
    """Forty synsets: English words, German ones of the class's number, French ones only of every other class."""
    found: dict[str, list[Any]] = {}
    for synset in synsets()[:N_SYNSETS]:
        number = synset.class_index
        senses = [sense(word.replace(" ", "_"), "EN", "WN") for word in synset.lemmas]
        senses += [sense(f"Ding_{number}", "DE", "WIKIRED"), sense(f"Wort_{number}", "DE")]
        if number % 2:
            senses.append(sense(f"mot_{number}", "FR", "WNTR" if number == 1 else "WIKI"))
        if number < 9:
            senses.append(sense(f"kupu_{number}", "MI"))
        found[f"wn:{synset.wnid[1:]}n"] = senses
    return found


@pytest.fixture(autouse=True)
def only_forty_synsets(monkeypatch: pytest.MonkeyPatch) -> None:
    config = babelnet.CrawlConfig
    wnids = [synset.wnid for synset in synsets()[:N_SYNSETS]]
    monkeypatch.setattr(babelnet, "CrawlConfig", lambda *args: config(*args, wnids=wnids))


def run(*arguments: str, key: str = KEY) -> Any:
    result = CliRunner().invoke(app, ["build", *arguments], env={"BABELNET_KEY": key, "COLUMNS": "200"})
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def test_a_crawl_becomes_a_dataset_that_load_dataset_reads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, synsets_by_id: dict[str, list[Any]]
) -> None:
    from datasets import load_dataset

    monkeypatch.chdir(tmp_path)
    bad_days = random.Random(0).choices([None, None, None, 503, "cut", "garbage"], k=60)
    with LoopbackBabelNet(synsets_by_id, faults=bad_days) as server:
        monkeypatch.setattr("babel_imagenet_dataset.babelnet_client._wait_s", lambda attempt, response: 0.0)
        result = run("--source", "babelnet", "--languages", "de,fr,mi,lo", "--base-url", server.url)
    assert result.exit_code == 0, result.output
    assert "no label at all in 1 languages: LO" in result.output
    german = load_dataset("babel-imagenet", "de", split="test", cache_dir=str(tmp_path / "cache"))
    assert german["label"] == [f"Wort {number}" for number in range(N_SYNSETS)]
    french = load_dataset("babel-imagenet", "fr", split="test", cache_dir=str(tmp_path / "cache"))
    assert french["class_index"] == list(range(3, N_SYNSETS, 2))
    provenance = json.loads((tmp_path / "babel-labels" / "labels.provenance.json").read_text())
    assert provenance["labels"]["DE"]["7"]["rank"] == 1
    assert provenance["meta"]["version"] == "V5_3"


def test_with_all_languages_those_of_ten_labels_stay(tmp_path: Path, synsets_by_id: dict[str, list[Any]]) -> None:
    arguments = ["--source", "babelnet", "--all-languages", "--languages-per-call", "0", "--daily-quota", "0"]
    with LoopbackBabelNet(synsets_by_id) as server:
        result = run(
            *arguments,
            "--base-url",
            server.url,
            "--work",
            str(tmp_path / "w"),
            "--out",
            str(tmp_path / "babel-imagenet"),
        )
    assert result.exit_code == 0, result.output
    assert sorted(json.loads((tmp_path / "w" / "labels.json").read_text())) == ["DE", "EN", "FR"]


def test_a_dry_run_counts_calls_and_days_and_needs_no_key(tmp_path: Path) -> None:
    result = run("--source", "babelnet", "--languages", "92", "--dry-run", "--work", str(tmp_path / "w"), key="")
    assert result.exit_code == 0, result.output
    assert "1,240 are left" in result.output  # 31 calls for each of forty synsets
    assert "1,000 of them left today: 2 days in all" in result.output
    assert list(tmp_path.iterdir()) == []


def test_a_used_up_quota_ends_the_command_with_how_to_go_on_and_no_dataset(
    tmp_path: Path, synsets_by_id: dict[str, list[Any]]
) -> None:
    arguments = [
        "--source",
        "babelnet",
        "--languages",
        "de",
        "--work",
        str(tmp_path / "w"),
        "--out",
        str(tmp_path / "o"),
    ]
    with LoopbackBabelNet(synsets_by_id, quota=10) as server:
        result = run(*arguments, "--base-url", server.url)
        assert result.exit_code == 1
        assert "31 calls are left" in result.output
        assert "Run the same command again tomorrow" in result.output
        assert not (tmp_path / "o").exists()
        server.quota = None
        assert run(*arguments, "--base-url", server.url).exit_code == 0
    assert KEY not in result.output


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--dry-run"], "--dry-run counts calls to BabelNet"),
        (["--wordnet", "RO=x.tsv"], "--wordnet is read with --source wordnets only"),
        (["--source", "wordnets"], "needs --wordnet CODE=PATH"),
        (["--source", "babelnet", "--labels", "93"], "the labels are chosen anew"),
        (["--source", "babelnet", "--languages", "germann", "--dry-run"], "'germann' is not known"),
        (["--source", "babelnet", "--languages", ",", "--dry-run"], "no language is selected"),
    ],
)
def test_flags_that_do_not_fit_the_source_are_errors(tmp_path: Path, arguments: list[str], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        run(*arguments, "--work", str(tmp_path / "w"), "--out", str(tmp_path / "o"))
    assert list(tmp_path.iterdir()) == []


def test_a_wordnet_becomes_a_dataset(tmp_path: Path) -> None:
    table = tmp_path / "own.tsv"
    table.write_text("wnid\tlemma\nn01440764\ttinca\nn01443537\tpesce rosso\n")
    out = tmp_path / "babel-imagenet"
    result = run("--source", "wordnets", "--wordnet", f"it={table}", "--work", str(tmp_path / "w"), "--out", str(out))
    assert result.exit_code == 0, result.output
    assert "own.tsv: IT, 2 of 1000 classes, licence not stated" in result.output
    assert (out / "it" / "test-00000-of-00001.parquet").exists()


def test_a_crawl_takes_sets_of_the_298_and_any_valid_code_beside_them() -> None:
    assert crawl_codes("de,jp") == ["DE", "JA"]
    assert len(crawl_codes("298")) == len(crawl_codes("all")) == 298
    assert "DE" in crawl_codes("high")
    assert "LO" not in crawl_codes("high")
    assert crawl_codes("kri") == ["KRI"]  # Krio: not among the 298
