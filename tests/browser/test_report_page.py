"""The report in a real Chromium: weight and speed at the size that it is meant for, the rest on a small one."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

from babel_eval.reporting.classes import ClassTable, flag_rows
from babel_eval.reporting.data import gather
from babel_eval.reporting.report import Report, write_page
from babel_eval.vega import runtime
from babel_imagenet_dataset.languages import codes, language
from babel_imagenet_dataset.release import LabelFile, LanguageLabels

pytestmark = pytest.mark.browser
PROMPTS = ("label", "nllb_dist13b_prompts")
N_MODELS = 12  # of the large page
FEW = ("DE", "RU", "JA", "EN", "LO", "AR", "SW", "HE", "AB", "TI", "GAN", "FR")


def result_file(folder: Path, number: int, languages: Sequence[str], rng: np.random.Generator) -> Path:
    rows = []
    for prompt in PROMPTS:
        for code in languages:
            n, accuracy = language(code).n_classes, float(rng.uniform(0.05, 0.9))
            low, high = max(0.0, accuracy - 0.05), min(1.0, accuracy + 0.05)
            row = {"lang": code, "prompt": prompt, "num_classes": n, "accuracy": accuracy, "chance": 1 / n}
            row |= {"accuracy_interval": [low, high], "n_images": 50 * n, "ceiling": 1.0, "top5": high}
            row |= {"k_way": {"10": {"value": high, "interval": [low, 1.0]}}}
            row |= {"english_same_classes": 0.9, "gap": 0.9 - accuracy, "gap_interval": [0.8 - accuracy, 1 - accuracy]}
            rows.append(row)
    meta = {"model": f"org/model-{number:02d}", "source": "toy", "parameters": 10**8 * (number + 1),
            "images": {"name": "val", "kind": "photos"}}  # fmt: skip
    path = folder / f"m{number:02d}.json"
    path.write_text(json.dumps({"meta": meta, "results": rows}), encoding="utf-8")
    return path


def recall_file(folder: Path, number: int, rng: np.random.Generator) -> Path:
    rows = [
        {
            "lang": c,
            "t2i_r@1": float(rng.random()),
            "t2i_r@1_interval": [0.0123, 0.9877],
            "i2t_r@1": float(rng.random()),
        }
        for c in ("de", "jp", "ru", "en")
    ]
    path = folder / "xtd" / f"m{number:02d}.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps({"meta": {"model": f"org/model-{number:02d}"}, "results": rows}), encoding="utf-8")
    return path


def written(folder: Path, n_models: int, languages: Sequence[str]) -> Path:
    rng = np.random.default_rng(0)
    files = [result_file(folder, i, languages, rng) for i in range(n_models)]
    data = gather([*files, *(recall_file(folder, i, rng) for i in range(min(4, n_models)))], n_resamples=50)
    entries = {}
    for code in languages:
        n = language(code).n_classes
        index = np.sort(rng.choice(1000, n, replace=False)).astype(np.int32)
        entries[code] = LanguageLabels(code, index, tuple(f"{code} имя {rng.integers(10**9)}" for _ in range(n)))
    labels = LabelFile(Path("labels.json"), "0" * 64, None, entries, None)
    flags = {code: [("duplicate",) if i % 7 == 0 else () for i in range(len(x))] for code, x in entries.items()}
    right = {
        (run, prompt, code): rng.binomial(50, 0.5, len(x)).astype(np.uint8) * 2
        for run in data.labels for prompt in PROMPTS for code, x in entries.items()
    }  # fmt: skip
    table = ClassTable(labels, tuple(x["code"] for x in data.languages), flags, right, ())
    pairs = [
        {"prompt": prompt, "first": a, "second": b, "lang": code, "n_images": 9, "diff": d, "low": d - 0.1,
         "high": d + 0.1, "p": abs(float(p))}
        for prompt in PROMPTS for a, b in combinations(data.labels, 2) for code in entries
        for d, p in [rng.uniform(-0.5, 0.5, 2).round(4)]
    ]  # fmt: skip
    report = Report(data, table, flag_rows(table), pairs, ["A note."])
    return write_page(report, folder / "out", title=f"{n_models} models")


@pytest.fixture(scope="module")
def large(tmp_path_factory) -> Path:
    return written(tmp_path_factory.mktemp("large"), N_MODELS, codes("298"))


@pytest.fixture(scope="module")
def page(tmp_path_factory) -> Path:
    return written(tmp_path_factory.mktemp("small"), 3, FEW)


def opened(browser, page: Path, **view):
    browser.view(**view)
    browser.open(page)
    browser.wait_until(lambda: browser.run("return document.body.dataset.complete"), seconds=40, what="charts drawn")
    return browser


@pytest.mark.slow
def test_twelve_models_in_298_languages_open_in_two_seconds_and_five_megabytes_with_every_cell(browser, large):
    assert large.stat().st_size - len(runtime().encode()) <= 5e6
    assert len(runtime().encode()) <= 1.5e6
    seconds = []
    for _ in range(4):  # the best of four: what the page costs, not what else the machine does
        opened(browser, large)
        assert browser.errors() == []
        seconds.append(int(browser.run("return document.body.dataset.ready")) / 1000)
        if seconds[-1] < 2:
            break
    assert min(seconds) < 2
    assert len(browser.find_all("[data-table=heat] tbody tr")) == 298
    assert len(browser.find_all("[data-table=heat] tbody td.heat")) == 298 * N_MODELS


def test_every_language_has_its_autonym_and_every_chart_is_drawn(browser, page):
    opened(browser, page)
    assert len(browser.find_all("[data-table=heat] tbody td.heat")) == len(FEW) * 3
    autonym = browser.run("return document.querySelector('[data-table=heat] [lang=lo]').outerHTML")
    assert 'dir="auto"' in autonym
    assert browser.run("return document.querySelectorAll('.chart svg').length") == len(browser.find_all(".chart"))


def test_a_heading_sorts_the_table_up_and_down(browser, page):
    opened(browser, page)
    cells = "document.querySelectorAll('[data-table=heat] tbody tr td.heat:nth-of-type(5)')"
    column = f"return [...{cells}].map(x => +x.textContent)"
    before = browser.run(column)
    browser.run("document.querySelectorAll('[data-table=heat] thead button')[5].click()")
    assert browser.run(column) == sorted(before, reverse=True)
    browser.run("document.querySelectorAll('[data-table=heat] thead button')[5].click()")
    assert browser.run(column) == sorted(before)
    assert browser.find("[data-table=heat] th[aria-sort=ascending]").text.startswith("model-00")


def test_filters_and_search_change_tables(browser, page):
    opened(browser, page)
    choose = "const e = document.querySelector(arguments[0]); e.value = arguments[1];" \
             "e.dispatchEvent(new Event(arguments[2], {bubbles: true}))"  # fmt: skip
    n_high = sum(language(code).group == "high" for code in FEW)
    rows = "return document.querySelectorAll('[data-table=heat] tbody tr').length"
    browser.run(choose, "[data-bind=group]", "high", "change")
    browser.wait_until(lambda: browser.run(rows) == n_high)
    browser.run(choose, "input[type=search]", "russian", "input")
    browser.wait_until(lambda: browser.run(rows) == 1)
    assert "RU" in browser.find("[data-table=heat] tbody tr").text
    number = "return document.querySelector('[data-table=heat] tbody td.heat').textContent"
    label = browser.run(number)
    browser.run(choose, "[data-bind=prompt]", PROMPTS[1], "change")
    browser.wait_until(lambda: browser.run(number) != label)
    assert browser.errors() == []


def test_a_class_is_shown_in_every_language_that_has_it(browser, page):
    opened(browser, page)
    choose = "const e = document.querySelector('[data-bind=class]'); e.value = 'hen';" \
             "e.dispatchEvent(new Event('change', {bubbles: true}))"  # fmt: skip
    assert "duplicate" in browser.find("[data-table=classes]").text
    browser.run(choose)
    browser.wait_until(lambda: browser.find("[data-table=classes] thead th").text == "language")
    assert "имя" in browser.find("[data-table=classes] tbody tr").text


def test_on_paper_tables_keep_their_headings_and_are_whole_and_light(browser, page):
    opened(browser, page, dark=True)
    browser.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    try:
        assert browser.find("[data-table=heat] thead th").is_displayed()
        # Chromium repeats a heading on each page where it may not be cut and no button in it has a box.
        style = "return getComputedStyle(document.querySelector(arguments[0]))[arguments[1]]"
        assert browser.run(style, "[data-table=heat] thead", "breakInside") == "avoid"
        assert browser.run(style, "[data-table=heat] thead button", "display") == "contents"
        assert browser.find("[data-bind=run]").is_displayed()
        assert not browser.find("#theme").is_displayed()
        box = "const b = document.querySelector('.scroll:has([data-table=heat])');"
        shown, whole = browser.run(f"{box} return [b.clientHeight, b.scrollHeight]")
        assert shown == whole
        assert browser.run("return getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    finally:
        browser.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})


def test_charts_are_drawn_anew_in_the_width_of_the_paper(browser, page):
    opened(browser, page)
    width = "return Math.max(...[...document.querySelectorAll('.chart svg')].map(x => +x.getAttribute('width')))"
    assert browser.run(width) > 1000
    browser.run("dispatchEvent(new Event('beforeprint'))")
    assert 600 < browser.run(width) <= 720
    browser.run("dispatchEvent(new Event('afterprint'))")
    browser.wait_until(lambda: browser.run(width) > 1000)


def test_means_of_classes_over_languages_are_those_of_the_table_beside_the_page(browser, page):
    with open(page.parent / "data" / "classes.csv", encoding="utf-8") as file:
        rows = [r for r in csv.DictReader(file) if (r["prompt"], r["english"]) == ("label", "hen")]
    shares = [float(r[f"model-{i:02d}"]) for r in rows for i in range(3)]
    opened(browser, page)
    choose = "const e = document.querySelector(arguments[0]); e.value = arguments[1];" \
             "e.dispatchEvent(new Event(arguments[2], {bubbles: true}))"  # fmt: skip
    browser.run(choose, "[data-bind=language]", "", "change")
    browser.run(choose, "input[type=search]", "hen", "input")
    find = "return [...document.querySelectorAll('[data-table=classes] tbody tr')].find(" \
           "tr => tr.cells[0].textContent === 'hen')?.innerText.split(/\\s+/)"  # fmt: skip
    found = browser.wait_until(lambda: browser.run(find))
    assert (int(found[1]), int(found[3])) == (len(rows), round(sum(shares) / len(shares)))


def test_a_figure_is_rounded_once_so_that_page_and_paper_show_the_same(browser, tmp_path):
    """Each of these lies below a half of the last digit shown, and on it once it is rounded to a digit more."""
    accuracies = {"DE": 0.0874964, "LO": 0.0684708, "SW": 0.1164919, "FR": 0.3044801, "JA": 0.0124551, "EN": 0.9}
    rows = [{"lang": c, "prompt": "label", "num_classes": 1000, "accuracy": a} for c, a in accuracies.items()]
    files = [tmp_path / "a.json", tmp_path / "b.json"]
    for path in files:
        path.write_text(json.dumps({"meta": {"model": path.stem}, "results": rows}), encoding="utf-8")
    pair = {"prompt": "label", "first": "a", "second": "b", "n_images": 9}
    pair |= {"low": -0.1164919, "high": 0.3044801, "p": 0.5}
    compared = [{**pair, "lang": code, "diff": value} for code, value in accuracies.items()]
    opened(browser, write_page(Report(gather(files), comparisons=compared), tmp_path / "out", title="rounded"))
    read = "return [...document.querySelectorAll('[data-table=' + arguments[0] + '] tbody tr')].map(" \
           "tr => [tr.querySelector('.code').textContent, tr.cells[arguments[1]].textContent])"  # fmt: skip
    expected = {code: f"{100 * value:.1f}" for code, value in accuracies.items()}
    assert dict(browser.run(read, "heat", 5)) == expected
    assert dict(browser.run(read, "pairs", 5)) == {code: f"+{text}" for code, text in expected.items()}
    assert {text for _, text in browser.run(read, "pairs", 6)} == {"−11.6 … +30.4"}


def contrast(first: tuple[float, ...], second: tuple[float, ...]) -> float:
    """Give the contrast of two colours, sRGB 0-255, as WCAG 2.2 defines it: 1 to 21."""

    def luminance(colour: tuple[float, ...]) -> float:
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in (x / 255 for x in colour)]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    dark, light = sorted((luminance(first), luminance(second)))
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("measure", ["accuracy", "gap"])
def test_a_number_in_a_coloured_cell_can_be_read_whatever_its_value(browser, page, measure, dark):
    opened(browser, page, dark=dark)
    choose = "const e = document.querySelector('[data-bind=measure]'); e.value = arguments[0];" \
             "e.dispatchEvent(new Event('change', {bubbles: true}))"  # fmt: skip
    browser.run(choose, measure)
    # One cell takes every share of the colour in turn; a canvas turns what the browser computes into sRGB.
    read = """const cell = document.querySelector('[data-table=heat] td.heat'), found = [];
        const paint = document.createElement('canvas').getContext('2d', {willReadFrequently: true});
        const pixel = () => [...paint.getImageData(0, 0, 1, 1).data].slice(0, 3);
        const rgb = colour => { paint.fillStyle = colour; paint.fillRect(0, 0, 1, 1); return pixel(); };
        for (let share = 0; share <= 1; share += .01) {
          cell.style.setProperty('--v', share.toFixed(3));
          const style = getComputedStyle(cell);
          found.push([rgb(style.color), rgb(style.backgroundColor)]);
        }
        return found;"""
    colours = browser.run(read)
    assert len({tuple(back) for _, back in colours}) > 50, "the colours are not drawn"
    assert min(contrast(ink, back) for ink, back in colours) >= 4.5


def test_two_models_turn_round_with_their_sign(browser, page):
    opened(browser, page)
    rows = "[...document.querySelectorAll('[data-table=pairs] tbody tr')]"
    read = f"return {rows}.find(tr => tr.querySelector('.code').textContent === 'DE').cells[5].textContent"
    choose = "const e = document.querySelector(arguments[0]); e.value = arguments[1];" \
             "e.dispatchEvent(new Event('change', {bubbles: true}))"  # fmt: skip
    before = browser.run(read)
    browser.run(choose, "[data-bind=a]", "model-01")
    browser.run(choose, "[data-bind=b]", "model-00")
    turned = before.replace("+", "−") if before[0] == "+" else before.replace("−", "+")
    assert turned != before, "two models that do not differ would show nothing"
    browser.wait_until(lambda: browser.run(read) == turned)


def test_a_recall_stands_above_its_bounds(browser, page):
    opened(browser, page)
    cells = browser.run("return [...document.querySelectorAll('[data-table=recalls] td.heat')].map(x => x.innerText)")
    assert {"1.2–98.8"} == {line for cell in cells for line in cell.split("\n")[1:]}
    assert sum("\n" in cell for cell in cells) == len(cells) / 2, "only one of the two scores has an interval"


@pytest.mark.parametrize(("name", "view"), [("light", {}), ("dark", {"dark": True}), ("phone", {"width": 390})])
def test_each_section_is_seen_in_light_and_dark_and_on_a_phone(browser, page, tmp_path, name, view):
    opened(browser, page, **view)
    sections = [s.get_attribute("id") for s in browser.find_all("section[id]")]
    assert sections == ["overview", "languages", "accuracy", "gap", "size", "labels", "classes", "compare", "retrieval"]
    assert browser.run("return document.documentElement.scrollWidth") <= browser.run("return innerWidth")
    for section in sections:
        browser.run("document.getElementById(arguments[0]).scrollIntoView({behavior: 'instant'})", section)
        shot = browser.screenshot(tmp_path / f"{name}-{section}.png")
        assert shot.stat().st_size > 8000
    paper = browser.run("return getComputedStyle(document.body).backgroundColor")
    assert paper == ("rgb(20, 23, 28)" if name == "dark" else "rgb(255, 255, 255)")
    assert browser.errors() == []
