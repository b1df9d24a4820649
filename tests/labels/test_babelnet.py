from __future__ import annotations

import gzip
import json
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from loopback_babelnet import KEY, LoopbackBabelNet, sense

from babel_imagenet_dataset.babelnet import CrawlConfig, crawl, from_babelnet, plan_crawl, read_crawl
from babel_imagenet_dataset.babelnet_client import BabelNetClient, QuotaError
from babel_imagenet_dataset.babelnet_store import CrawlFolder
from babel_imagenet_dataset.imagenet import wnids

WNIDS = wnids()[290:294]  # jaguar, lion, tiger, cheetah
SYNSETS: dict[str, list[Any]] = {
    "wn:02128925n": [sense("jaguar", "EN", "WN"), sense("Jaguar", "DE", "WN"), sense("onça", "PT"), sense("яг", "RU")],
    "wn:02129165n": [sense("lion", "EN", "WN"), sense("Löwe", "DE", "WN"), sense("lion", "FR"), sense("лев", "RU")],
    "wn:02129604n": [sense("tiger", "EN", "WN"), sense("Tiger", "DE", "WN"), sense("Tigerin", "DE", "WIKIRED")],
    "wn:02130308n": [sense("cheetah", "EN", "WN"), sense("guépard", "FR", "WNTR"), sense("гепард", "RU", "WIKIRED")],
}
DAY = datetime(2024, 5, 22, 12, tzinfo=timezone.utc)


def config(*languages: str, **settings: Any) -> CrawlConfig:
    return CrawlConfig(languages, wnids=WNIDS, **settings)


def client(server: LoopbackBabelNet, **settings: Any) -> BabelNetClient:
    return BabelNetClient(KEY, server.url, sleep=lambda seconds: None, **settings)


def run(server: LoopbackBabelNet, folder: Path, wanted: CrawlConfig, now: datetime = DAY) -> int:
    return crawl(CrawlFolder(folder), wanted, client(server), now=lambda: now)


def test_the_paper_s_93_languages_are_31_calls_a_synset_and_32_days(tmp_path: Path) -> None:
    languages = [f"L{number}" for number in range(92)]
    plan = plan_crawl(CrawlFolder(tmp_path), CrawlConfig(languages), "2024-05-22")
    assert (len(plan.calls), plan.n_days, plan.n_today) == (31_000, 32, 1000)
    assert {len(languages) for _, languages in plan.calls} == {3}
    assert len(set(plan.calls)) == len(plan.calls)
    assert list(tmp_path.iterdir()) == []


def test_a_day_s_calls_complete_three_languages_of_all_synsets_english_first(tmp_path: Path) -> None:
    plan = plan_crawl(CrawlFolder(tmp_path), config("RU", "DE", "FR", "PT"), "2024-05-22")
    assert plan.calls[:4] == tuple((wnid, ("EN", "RU", "DE")) for wnid in WNIDS)
    assert plan.calls[4:] == tuple((wnid, ("FR", "PT")) for wnid in WNIDS)


def test_a_crawl_becomes_labels_by_the_paper_s_rule_with_their_provenance(tmp_path: Path) -> None:
    wanted = config("DE", "FR", "PT", "RU")
    with LoopbackBabelNet(SYNSETS, glosses={"wn:02129165n": [{"language": "DE", "gloss": "eine Katze"}]}) as server:
        assert run(server, tmp_path, wanted) == 8
    selection = from_babelnet(read_crawl(CrawlFolder(tmp_path), wanted), ["DE", "FR", "PT", "RU", "LO"])
    got = {code: {c.class_index: c.label for c in labels} for code, labels in selection.labels.items()}
    assert got == {
        "DE": {291: "Löwe", 292: "Tigerin"},  # Jaguar and Tiger are English words; the tigress stays
        "PT": {290: "onça"},
        "RU": {290: "яг", 291: "лев", 293: "гепард"},  # the last is a redirection, and all there is
    }
    assert set(selection.without_label["FR"]) == {291, 293}  # lion is English, guépard is a machine's
    assert selection.glosses["DE"] == {291: "eine Katze"}
    assert selection.meta["version"] == "V5_3"
    assert selection.meta["languages_without_labels"] == ["FR", "LO"]


def test_the_english_words_of_all_synsets_count_and_not_only_the_class_s_own(tmp_path: Path) -> None:
    synsets = dict(SYNSETS)
    synsets["wn:02128925n"] = [*SYNSETS["wn:02128925n"], sense("Löwe", "EN", "WNTR")]
    with LoopbackBabelNet(synsets) as server:
        run(server, tmp_path, config("DE"))
    assert 291 not in {c.class_index for c in labels_of(tmp_path, "DE")}


def labels_of(folder: Path, *languages: str) -> list[Any]:
    return from_babelnet(read_crawl(CrawlFolder(folder), config(*languages)), languages).labels.get(languages[0], [])


def test_a_second_run_asks_nothing_and_needs_no_server(tmp_path: Path) -> None:
    with LoopbackBabelNet(SYNSETS) as server:
        run(server, tmp_path, config("DE"))
        asked = server.n_requests
        assert run(server, tmp_path, config("DE")) == 0
        assert server.n_requests == asked == 5  # four synsets, and the version


def test_a_language_that_is_added_later_costs_only_its_own_calls(tmp_path: Path) -> None:
    with LoopbackBabelNet(SYNSETS) as server:
        run(server, tmp_path, config("DE"))
        server.calls.clear()
        run(server, tmp_path, config("DE", "RU"))
        assert server.calls == [(f"wn:{wnid[1:]}n", ("RU",)) for wnid in WNIDS]


def test_a_crawl_stops_at_its_daily_quota_and_goes_on_the_next_day(tmp_path: Path) -> None:
    wanted = config("DE", "FR", "RU", daily_quota=5)
    with LoopbackBabelNet(SYNSETS) as server:
        with pytest.raises(QuotaError, match=r"quota of 5 calls for 2024-05-22 \(UTC\) is used\. 4 calls are left"):
            run(server, tmp_path, wanted)
        assert server.n_requests == 5
        with pytest.raises(QuotaError):
            run(server, tmp_path, wanted)
        assert server.n_requests == 5
        assert plan_crawl(CrawlFolder(tmp_path), wanted, "2024-05-22").n_today == 0
        run(server, tmp_path, wanted, DAY + timedelta(days=1))
        assert sorted(server.calls) == sorted({*server.calls})
        assert len(server.calls) == 8


def test_tries_that_fail_count_against_the_quota(tmp_path: Path) -> None:
    with LoopbackBabelNet(SYNSETS, faults=[None, 500, 500, 500]) as server:
        run(server, tmp_path, config("DE"))
    assert CrawlFolder(tmp_path).calls_on("2024-05-22") == 1 + 3 + 4


def test_the_server_s_own_quota_stops_the_crawl_and_says_what_is_kept(tmp_path: Path) -> None:
    wanted = config("DE")
    with (
        LoopbackBabelNet(SYNSETS, quota=3) as server,
        pytest.raises(QuotaError, match="2 calls are left; every answer so far is kept"),
    ):
        run(server, tmp_path, wanted)
    plan = plan_crawl(CrawlFolder(tmp_path), wanted, "2024-05-22")
    assert (plan.n_done, len(plan.calls)) == (2, 2)


def test_without_a_quota_the_plan_needs_one_day_and_counts_no_end(tmp_path: Path) -> None:
    plan = plan_crawl(CrawlFolder(tmp_path), config("DE", daily_quota=0), "2024-05-22")
    assert (plan.n_today, plan.n_days) == (None, 1)


@pytest.mark.parametrize(("used", "quota", "days"), [(0, 5, 1), (0, 4, 2), (3, 4, 2), (4, 5, 1), (4, 2, 4), (1, 3, 3)])
def test_days_are_counted_with_what_is_left_of_today(tmp_path: Path, used: int, quota: int, days: int) -> None:
    folder = CrawlFolder(tmp_path)
    folder.open("http://127.0.0.1/v9")
    for _ in range(used):
        folder.count_call("2024-05-22")
    assert plan_crawl(folder, config("DE", daily_quota=quota), "2024-05-22").n_days == days


@pytest.mark.parametrize("quota", [2, 3, 4, 5, 9])
def test_a_crawl_takes_as_many_days_as_its_plan_says(tmp_path: Path, quota: int) -> None:
    """Each day begins with a call for BabelNet's version, which costs one of the day's calls as any other."""
    wanted = config("DE", "FR", "RU", daily_quota=quota)
    planned = plan_crawl(CrawlFolder(tmp_path), wanted, "2024-05-22").n_days
    days = 0
    with LoopbackBabelNet(SYNSETS) as server:
        while plan_crawl(CrawlFolder(tmp_path), wanted).calls:
            with suppress(QuotaError):
                run(server, tmp_path, wanted, DAY + timedelta(days=days))
            days += 1
    assert days == planned


def test_a_self_hosted_server_may_answer_in_every_language_it_has(tmp_path: Path) -> None:
    wanted = CrawlConfig((), languages_per_call=0, daily_quota=0, wnids=WNIDS)
    with LoopbackBabelNet(SYNSETS) as server:
        assert run(server, tmp_path, wanted) == 4
        assert {languages for _, languages in server.calls} == {()}
    selection = from_babelnet(read_crawl(CrawlFolder(tmp_path), wanted))
    assert sorted(selection.labels) == ["DE", "EN", "PT", "RU"]
    assert from_babelnet(read_crawl(CrawlFolder(tmp_path), wanted), min_classes=3).labels.keys() == {"EN", "RU"}


def test_a_server_that_answers_in_fewer_languages_than_asked_is_found_out(tmp_path: Path) -> None:
    with (
        LoopbackBabelNet(SYNSETS, max_languages=2) as server,
        pytest.raises(ValueError, match=r"answered in EN, DE only.*lower --languages-per-call"),
    ):
        run(server, tmp_path, config("DE", "RU"))


def test_malformed_senses_and_absent_synsets_are_listed(tmp_path: Path) -> None:
    synsets = {wn: list(senses) for wn, senses in SYNSETS.items()}
    synsets["wn:02129165n"].append({"type": "BabelSense", "properties": {"fullLemma": "?"}})
    del synsets["wn:02130308n"]
    with LoopbackBabelNet(synsets) as server:
        run(server, tmp_path, config("DE", "RU"))
    crawled = read_crawl(CrawlFolder(tmp_path), config("DE", "RU"))
    assert [(wnid, problem.reason.split(",")[0]) for wnid, problem in crawled.malformed] == [
        ("n02129165", "`language` is None")
    ]
    assert crawled.absent == ("n02130308",)
    assert from_babelnet(crawled, ["DE"]).meta["absent"] == ["n02130308"]


def test_an_incomplete_crawl_gives_no_labels(tmp_path: Path) -> None:
    with LoopbackBabelNet(SYNSETS) as server:
        run(server, tmp_path, config("DE"))
    with pytest.raises(ValueError, match="4 calls are missing, the first for n02128925 in RU"):
        read_crawl(CrawlFolder(tmp_path), config("DE", "RU"))


def test_answers_are_kept_raw_one_file_a_synset_and_the_key_is_in_none(tmp_path: Path) -> None:
    with LoopbackBabelNet(SYNSETS) as server:
        run(server, tmp_path, config("DE", "RU"))
        raw = client(server).synset("wn:02129165n", ["EN", "DE", "RU"])
    files = sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file())
    assert files == [*(f"answers/{wnid}.json.gz" for wnid in WNIDS), "crawl.json"]
    stored = json.loads(gzip.decompress((tmp_path / "answers" / "n02129165.json.gz").read_bytes()))
    assert stored["calls"][0]["answer"] == raw
    assert stored["calls"][0]["languages"] == ["EN", "DE", "RU"]
    assert stored["calls"][0]["time"] == "2024-05-22T12:00:00+00:00"
    for path in tmp_path.rglob("*.*"):
        content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        assert b"8c1f" not in content
        assert b"0001" not in content.replace(b"bn:00000001n", b"")


def test_another_server_or_another_version_does_not_mix_into_a_crawl(tmp_path: Path) -> None:
    with LoopbackBabelNet(SYNSETS) as server:
        run(server, tmp_path, config("DE"))
        server.version = "V6_0"
        with pytest.raises(ValueError, match="answers of BabelNet V5_3, the server now has V6_0"):
            run(server, tmp_path, config("DE", "RU"))
    with LoopbackBabelNet(SYNSETS) as other, pytest.raises(ValueError, match="give another folder"):
        run(other, tmp_path, config("DE", "RU"))


def test_damaged_files_are_named_and_say_what_to_do(tmp_path: Path) -> None:
    with LoopbackBabelNet(SYNSETS) as server:
        run(server, tmp_path, config("DE"))
    path = tmp_path / "answers" / "n02129165.json.gz"
    whole = path.read_bytes()
    for damaged in (whole[:20], b"", b"no gzip", gzip.compress(b"{}"), gzip.compress(b"not json")):
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match=r"n02129165\.json\.gz is damaged .* delete it"):
            read_crawl(CrawlFolder(tmp_path), config("DE"))
    path.write_bytes(whole)
    (tmp_path / "crawl.json").write_text('{"format": 99}')
    with pytest.raises(ValueError, match="not a manifest of format 1"):
        CrawlFolder(tmp_path).manifest()


@pytest.mark.parametrize(
    ("languages", "settings", "told"),
    [
        ((), {}, "no language to crawl"),
        (("de",), {}, r"upper case, got \['de'\]"),
        (("DE",), {"languages_per_call": -1}, "languages_per_call must be 0"),
        (("DE",), {"daily_quota": -1}, "daily_quota must be 0"),
        (("DE",), {"daily_quota": 1}, "or at least 2"),
    ],
)
def test_a_wrong_crawl_is_refused_when_it_is_described(languages: Any, settings: Any, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        CrawlConfig(languages, **settings)


CHILD = """
import sys
from pathlib import Path
from babel_imagenet_dataset.babelnet import CrawlConfig, crawl
from babel_imagenet_dataset.babelnet_client import BabelNetClient
from babel_imagenet_dataset.babelnet_store import CrawlFolder
url, key, folder, *wnids = sys.argv[1:]
config = CrawlConfig(["DE", "FR", "PT", "RU", "IT"], wnids=wnids, daily_quota=0)
crawl(CrawlFolder(folder), config, BabelNetClient(key, url), lambda done, total: print(done, flush=True))
"""


def test_a_crawl_that_is_killed_goes_on_where_it_stopped(tmp_path: Path) -> None:
    many = wnids()[:60]
    wanted = CrawlConfig(["DE", "FR", "PT", "RU", "IT"], wnids=many, daily_quota=0)
    folder = tmp_path / "crawl"
    with LoopbackBabelNet(SYNSETS) as server:
        child = subprocess.Popen(
            [sys.executable, "-c", CHILD, server.url, KEY, str(folder), *many], stdout=subprocess.PIPE, text=True
        )
        assert child.stdout is not None
        for line in child.stdout:
            if int(line) >= 25:
                os.kill(child.pid, signal.SIGKILL)
                break
        assert child.wait(timeout=20) == -signal.SIGKILL
        kept = plan_crawl(CrawlFolder(folder), wanted).n_done
        assert 25 <= kept < 120  # the kill landed in the middle
        time.sleep(0.05)
        crawl(CrawlFolder(folder), wanted, client(server))
        repeated = len(server.calls) - len(set(server.calls))
        assert len(set(server.calls)) == 120
        assert repeated <= 1
    assert len(read_crawl(CrawlFolder(folder), wanted).senses) == 60
