"""The browser fixture itself: what it cannot see, no test that uses it can see."""

from __future__ import annotations

from pathlib import Path

import pytest

pytestmark = pytest.mark.browser
HEAD = (
    '<!doctype html><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
    '<link rel="icon" href="data:,">'
)


def page(folder: Path, body: str) -> Path:
    path = folder / "page.html"
    path.write_text(f"{HEAD}<body>{body}", encoding="utf-8")
    return path


def test_an_error_in_the_console_is_seen_once(browser, tmp_path):
    browser.open(page(tmp_path, "<script>nothing.here</script>"))
    assert "nothing is not defined" in browser.wait_until(browser.errors)[0]
    assert browser.errors() == []


def test_a_page_that_asks_another_host_shows_an_error(browser, tmp_path):
    browser.open(page(tmp_path, '<script src="https://cdn.example.org/library.js"></script>'))
    assert "cdn.example.org" in browser.wait_until(browser.errors)[0]


@pytest.mark.parametrize("dark", [True, False])
def test_width_and_colour_scheme_are_what_was_asked_for(browser, tmp_path, dark):
    browser.view(width=390, height=700, dark=dark)
    browser.open(page(tmp_path, "<p>Lao: ລາວ"))
    assert browser.run("return innerWidth") == 390
    assert browser.run("return matchMedia('(prefers-color-scheme: dark)').matches") is dark
    assert browser.errors() == []
