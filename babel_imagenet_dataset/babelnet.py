"""BabelNet's HTTP API: a crawl of the senses of ImageNet's 1000 synsets that respects the quota and can be resumed.

Facts about the API, version 9: `getSynset` takes a WordNet 3.0 id (`wn:02119789n`) and at most three target languages;
every call costs one Babelcoin, of which a free key has 1000 a day; an exhausted quota and a wrong key are answered
alike, with HTTP status 200 and a message. So 93 languages are 31 calls a synset, 31,000 calls and 32 days with a free
key, as each day begins with a call for the version. Calls go language by language over all synsets, English first: each
day ends with more languages complete.

On disk, a folder: `crawl.json` (server, version of BabelNet, calls a day) and `answers/n01440764.json.gz`, one file a
synset with every raw answer. The key stands in no file and in no message.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any, TypeVar

from babel_imagenet_dataset.babelnet_answers import Malformed, parse_answer
from babel_imagenet_dataset.babelnet_client import BabelNetClient, QuotaError
from babel_imagenet_dataset.babelnet_store import CrawlFolder, StoredCall
from babel_imagenet_dataset.imagenet import wnids as imagenet_wnids
from babel_imagenet_dataset.selection import Selection, Sense, english_lemmas, select

HTTP_LANGUAGES_PER_CALL = 3
FREE_DAILY_QUOTA = 1000

Item = TypeVar("Item")


@dataclass(frozen=True)
class CrawlConfig:
    """What to crawl, and how fast.

    Attributes:
      languages: BabelNet's codes; English is added, because the paper's rule needs its senses.
      languages_per_call: 3 is all that BabelNet's own server answers; a self-hosted index may give more; 0 sends no
        list of languages at all, for a server that then answers in every language it has.
      daily_quota: calls a day (UTC), that for the version included; 0 for a server without a quota.
      wnids: the synsets; ImageNet-1k's where it is not given.
    """

    languages: Sequence[str]
    languages_per_call: int = HTTP_LANGUAGES_PER_CALL
    daily_quota: int = FREE_DAILY_QUOTA
    wnids: Sequence[str] = field(default_factory=imagenet_wnids)

    def __post_init__(self) -> None:
        if self.languages_per_call < 0:
            raise ValueError(f"languages_per_call must be 0 (no limit) or more, got {self.languages_per_call}")
        if self.daily_quota < 0 or self.daily_quota == 1:
            raise ValueError(
                "daily_quota must be 0 (no quota) or at least 2, of which a run's first asks for the version, "
                f"got {self.daily_quota}"
            )
        if not self.languages and self.languages_per_call:
            raise ValueError("no language to crawl; only with languages_per_call=0 does the server choose them")
        wrong = [code for code in self.languages if not code or code != code.upper()]
        if wrong:
            raise ValueError(f"languages are BabelNet's codes in upper case, got {wrong}")


@dataclass(frozen=True)
class CrawlPlan:
    """What is still to be asked, in the order of asking, and what it costs.

    Attributes:
      calls: (wnid, languages of this call); no language means: all that the server has.
      n_done: calls whose answers are on disk already.
      n_today: calls that the quota still allows today; None without a quota.
      n_days: days needed with one run a day, counting today if a run gets anywhere today; 0 if nothing is left.
    """

    calls: tuple[tuple[str, tuple[str, ...]], ...]
    n_done: int
    n_today: int | None
    n_days: int


@dataclass(frozen=True)
class Crawl:
    """A complete crawl, read back.

    Attributes:
      senses: per class index, in the order of the answers.
      glosses: per language and class index, BabelNet's first definition.
      malformed: (wnid, what was wrong) for every sense that could not be read.
      absent: wnids of which BabelNet gave no sense in any language.
      meta: server, version, times.
    """

    senses: dict[int, list[Sense]]
    glosses: dict[str, dict[int, str]]
    malformed: tuple[tuple[str, Malformed], ...]
    absent: tuple[str, ...]
    meta: dict[str, Any]


def plan_crawl(folder: CrawlFolder, config: CrawlConfig, today: str | None = None) -> CrawlPlan:
    """Plan the calls that are missing; asks the network nothing and needs no key.

    Args:
      folder: where answers are kept; it may be empty or missing.
      config: what to crawl.
      today: the day in UTC, `2024-05-22`; now, if it is not given.
    """
    stored = {wnid: folder.languages_of(wnid) for wnid in config.wnids}
    wanted = ["EN", *(code for code in dict.fromkeys(config.languages) if code != "EN")]
    rounds = [_missing_calls(wanted, stored[wnid], config.languages_per_call) for wnid in config.wnids]
    calls = tuple(
        (wnid, of_synset[turn])
        for turn in range(max(map(len, rounds), default=0))
        for wnid, of_synset in zip(config.wnids, rounds, strict=True)
        if turn < len(of_synset)
    )
    n_done = sum(folder.n_calls(wnid) for wnid in config.wnids)
    n_today, n_days = _days(len(calls), config.daily_quota, folder.calls_on(today or _today()))
    return CrawlPlan(calls, n_done, n_today, n_days)


def crawl(
    folder: CrawlFolder,
    config: CrawlConfig,
    client: BabelNetClient,
    on_call: Callable[[int, int], None] = lambda done, total: None,
    now: Callable[[], datetime] = lambda: datetime.now(timezone.utc),
) -> int:
    """Ask for everything that is missing; every answer is on disk before the next call.

    Args:
      folder: where answers are kept. A second run over it goes on where the first stopped.
      config: what to crawl.
      client: the connection, with its key.
      on_call: told after each call how many of how many are done.
      now: the clock, in UTC.

    Returns:
      number of calls made for senses.

    Raises:
      QuotaError: today's calls are used up, by our count or by BabelNet's word; the message says how to go on.
      ValueError: the folder was made with another server or version of BabelNet, or the server does not answer in the
        languages asked for.
      ConnectionError: the server stayed out of reach, or answered no JSON, through all tries.
    """
    plan = plan_crawl(folder, config, _day(now()))
    if not plan.calls:
        return 0
    folder.open(client.base_url)
    done = 0

    def charge() -> None:
        _charge(folder, config.daily_quota, _day(now()))

    try:
        folder.agree_on_version(client.version(charge))
        for wnid, languages in plan.calls:
            text = client.synset(f"wn:{wnid[1:]}n", languages, charge)
            _check_languages(text, languages, wnid)
            folder.add(wnid, StoredCall(languages, now().isoformat(timespec="seconds"), text))
            done += 1
            on_call(done, len(plan.calls))
    except QuotaError as error:
        raise QuotaError(f"{error} {_how_to_go_on(len(plan.calls) - done)}") from None
    return done


def read_crawl(folder: CrawlFolder, config: CrawlConfig) -> Crawl:
    """Read a crawl back as senses.

    Raises:
      ValueError: the crawl is not complete for these languages, or an answer on disk is damaged.
    """
    plan = plan_crawl(folder, config)
    if plan.calls:
        wnid, languages = plan.calls[0]
        raise ValueError(
            f"{folder.path}: {len(plan.calls)} calls are missing, the first for {wnid} in "
            f"{', '.join(languages) or 'all languages'}; run the crawl again"
        )
    class_index = {wnid: index for index, wnid in enumerate(imagenet_wnids())}
    senses: dict[int, list[Sense]] = {}
    glosses: dict[str, dict[int, str]] = {}
    malformed: list[tuple[str, Malformed]] = []
    for wnid in config.wnids:
        index = class_index[wnid]
        senses[index] = []
        for stored in folder.calls(wnid):
            answer = parse_answer(stored.answer, stored.languages or None)
            senses[index] += answer.senses
            malformed += [(wnid, problem) for problem in answer.malformed]
            for language, gloss in answer.glosses.items():
                glosses.setdefault(language, {})[index] = gloss
    absent = tuple(wnid for wnid in config.wnids if not senses[class_index[wnid]])
    return Crawl(senses, glosses, tuple(malformed), absent, folder.manifest())


def from_babelnet(crawled: Crawl, languages: Sequence[str] | None = None, min_classes: int = 0) -> Selection:
    """Apply the paper's rule to a crawl.

    Args:
      crawled: what `read_crawl` gave.
      languages: BabelNet's codes; None takes every language of the crawl.
      min_classes: languages with fewer labels are left out.
    """
    english = english_lemmas(sense for senses in crawled.senses.values() for sense in senses)
    chosen = select(crawled.senses, english, languages, min_classes)
    meta = {
        "source": "babelnet",
        **crawled.meta,
        "malformed": [[wnid, problem.place, problem.reason] for wnid, problem in crawled.malformed],
        "absent": list(crawled.absent),
        "languages_without_labels": sorted(set(languages or ()) - set(chosen.labels)),
    }
    return Selection(chosen.labels, chosen.without_label, meta, crawled.glosses)


def _missing_calls(wanted: Sequence[str], stored: frozenset[str] | None, per_call: int) -> list[tuple[str, ...]]:
    """Give the calls that one synset lacks; `stored` None says that it was asked for every language."""
    if stored is None:
        return []
    if per_call == 0:
        return [()]
    return _chunks([code for code in wanted if code not in stored], per_call)


def _chunks(items: Sequence[Item], size: int) -> list[tuple[Item, ...]]:
    return [tuple(items[start : start + size]) for start in range(0, len(items), size)]


def _days(n_calls: int, quota: int, n_used: int) -> tuple[int | None, int]:
    if quota == 0:
        return None, min(n_calls, 1)
    left = max(quota - n_used, 0)
    if n_calls == 0:
        return left, 0
    today = max(left - 1, 0)  # a run's first call asks for the version
    return left, (today > 0) + math.ceil(max(n_calls - today, 0) / (quota - 1))


def _charge(folder: CrawlFolder, quota: int, day: str) -> None:
    """Count a try before it is made: a kill or a cut answer may waste a coin of ours, never overdraw BabelNet's."""
    if quota and folder.calls_on(day) >= quota:
        raise QuotaError(f"The quota of {quota} calls for {day} (UTC) is used.")
    folder.count_call(day)


def _how_to_go_on(n_left: int) -> str:
    return (
        f"{n_left:,} calls are left; every answer so far is kept. Run the same command again tomorrow. "
        "(BabelNet raises the daily number of calls on request; tell it with --daily-quota.)"
    )


def _check_languages(text: str, languages: tuple[str, ...], wnid: str) -> None:
    """Find out a server that answers in fewer languages than it was asked for."""
    covered = json.loads(text).get("filterLangs")
    if languages and isinstance(covered, list) and not set(languages) <= set(covered):
        raise ValueError(
            f"asked for {wnid} in {', '.join(languages)}, the server answered in {', '.join(map(str, covered))} only: "
            "it gives fewer languages a call, or does not know a code; lower --languages-per-call or drop the code"
        )


def _day(moment: datetime) -> str:
    return moment.astimezone(timezone.utc).date().isoformat()


def _today() -> str:
    return _day(datetime.fromtimestamp(time.time(), timezone.utc))
