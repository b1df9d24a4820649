"""What is said beside tables is printed to the letter: names with brackets are no markup."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console

from babel_eval.commands import retrieve
from babel_eval.correlation import tables as correlation_tables
from babel_eval.correlation.joining import Joined, Points, Unjoined
from babel_eval.results import Results
from babel_eval.tables import print_run

NAME = "img[bold] [/a].png"


@pytest.fixture
def console() -> Console:
    return Console(file=io.StringIO(), width=80)


def printed(console: Console) -> str:
    return console.file.getvalue()  # type: ignore[attr-defined]


def test_of_a_run(console: Console) -> None:
    images = {"kind": "photos", "missing": [{"photo": NAME, "why": "no [/b] image"}]}
    failures = [{"lang": "DE", "prompt": "label", "status": "failed: [/c]"}]
    print_run(console, Results({"images": images}, [], failures, Path("r.json")))
    assert f"photo left out: {NAME}: no [/b] image\n" in printed(console)
    assert "DE German (label): failed: [/c]\n" in printed(console)


def test_of_retrieval(console: Console) -> None:
    found = {
        "failures": [{"lang": "de", "status": "failed: [/c]"}],
        "results": [{"lang": "lo", "n_blank_captions": 2, "n_photos_without_caption": 1}],
        "meta": {"dataset": {"missing": [{"photo": NAME, "why": "missing"}]}},
    }
    retrieve._print_left_out(console, found)
    assert printed(console).splitlines() == [
        "de: failed: [/c]",
        "lo: 2 blank captions and 1 photos without one were left out",
        f"photo left out: {NAME}: missing",
    ]


def joined(prompt: str, *languages: str) -> Joined:
    why = "no xtd score in these languages"
    return Joined("xtd", prompt, "t2i_r@1", Points([], [], [], []), (Unjoined("xtd", prompt, "m", languages, why),))


def test_what_did_not_join_under_one_prompt_set_names_it(console: Console) -> None:
    entries = [joined("label", "DE", "LO"), joined("openai_en", "DE")]
    correlation_tables._print_unjoined(console, entries, {"m": "[m]"})
    assert printed(console).splitlines()[:3] == [
        "did not join",
        "  no xtd score in these languages: DE, LO ([m]; bare label)",
        "  no xtd score in these languages: DE ([m]; English templates)",
    ]


def test_what_did_not_join_under_any_prompt_set_is_said_once(console: Console) -> None:
    entries = [joined("label", "DE"), joined("openai_en", "DE")]
    correlation_tables._print_unjoined(console, entries, {})
    assert printed(console).splitlines()[:2] == ["did not join", "  no xtd score in these languages: DE (m)"]
