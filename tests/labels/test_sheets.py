from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from babel_imagenet_dataset import corrections
from babel_imagenet_dataset.release import LanguageLabels, load_labels
from babel_imagenet_dataset.selection import ChosenLabel, OtherSense, Selection, write_selection
from babel_imagenet_dataset.sheets import (
    COLUMNS,
    KnownWords,
    SheetRow,
    known_words,
    read_sheet,
    sheet_row,
    write_sheet,
)
from babel_imagenet_dataset.validation import draw_sample, error_rates, still_there, wilson


def labels_of(code: str, *labels: str) -> LanguageLabels:
    return LanguageLabels(code, np.arange(len(labels), dtype=np.int32), labels)


def decided(code: str, index: int, old: str, new: str = "", **cells: str) -> SheetRow:
    filled = {"reason": "r", "source": "s", "reviewer": "p"} | cells
    return replace(sheet_row(code, index, old), verdict="wrong", new=new, **filled)


def test_a_sheet_comes_back_as_it_was_written(tmp_path: Path) -> None:
    known = KnownWords({("DE", 0): ("Tinca tinca", "Schlei")}, {("DE", 0): "ein Fisch"})
    rows = [
        sheet_row("DE", 0, 'Schleie "Tinca"', known, "rank 300"),
        decided("AR", 1, "سمكة\u200e", "سمكة", source="x"),
        sheet_row("NV", 2, "a\u2028b"),
    ]
    write_sheet(tmp_path / "s.tsv", rows)
    assert read_sheet(tmp_path / "s.tsv") == rows
    assert rows[0].others == "Tinca tinca; Schlei"
    assert rows[0].definition.startswith("freshwater dace-like game fish")
    assert rows[0].definition.endswith(" | ein Fisch")


def test_what_the_provenance_beside_a_label_file_says_stands_in_the_sheet(tmp_path: Path) -> None:
    others = (OtherSense("Tinca\n_tinca", "WIKI", "later"), OtherSense("tench", "WN", "english"))
    chosen = [ChosenLabel(0, "Schleie", "bn:1n", "WN", 0, others), ChosenLabel(7, "Hahn", "bn:2n", "WN", 0)]
    write_selection(Selection({"DE": chosen}, {}, {}, {"DE": {0: "ein\tFisch"}}), tmp_path / "labels.json")
    known = known_words(tmp_path / "labels.json")
    assert known.others == {("DE", 0): ("Tinca  tinca", "tench"), ("DE", 7): ()}
    assert known.glosses == {("DE", 0): "ein Fisch"}
    labels = {"DE": LanguageLabels("DE", np.array([0, 7], dtype=np.int32), ("Schleie", "Hahn"))}
    drawn = {row.old: row for row in draw_sample(labels, 2, seed=0, known=known)["DE"]}
    assert drawn["Schleie"].others == "Tinca  tinca; tench"
    write_sheet(tmp_path / "s.tsv", list(drawn.values()))


def test_a_label_file_without_provenance_has_no_other_words_and_a_damaged_one_is_named(tmp_path: Path) -> None:
    assert known_words(load_labels().path).others == {}
    (tmp_path / "labels.provenance.json").write_text('{"labels": {"DE": {"0": []}}}')
    with pytest.raises(ValueError, match="is no provenance of labels"):
        known_words(tmp_path / "labels.json")


def test_a_user_s_decision_counts_before_the_packaged_one(tmp_path: Path) -> None:
    write_sheet(tmp_path / "own.tsv", [decided("DE", 292, "Tigerin", "Königstiger"), decided("AF", 0, "x")])
    own = {(row.language, row.class_index): row.new for row in corrections.with_own([tmp_path / "own.tsv"])}
    shipped = {(row.language, row.class_index): row.new for row in corrections.packaged()}
    assert own == shipped | {("DE", 292): "Königstiger", ("AF", 0): ""}
    assert corrections.with_own([]) == corrections.packaged()


def test_judged_rows_whose_label_has_changed_are_told_apart() -> None:
    rows = [sheet_row("DE", 0, "a"), sheet_row("DE", 1, "old"), sheet_row("DE", 9, "a"), sheet_row("FR", 0, "a")]
    kept, gone = still_there(rows, {"DE": labels_of("DE", "a", "b")})
    assert (kept, gone) == (rows[:1], rows[1:])


def test_what_a_spreadsheet_makes_of_a_sheet_is_read_too(tmp_path: Path) -> None:
    """Byte order mark, Windows line ends, spaces at the ends, capitals, fewer columns in another order."""
    path = tmp_path / "s.tsv"
    path.write_bytes("\ufeffverdict\told\tclass_index\tlanguage\r\n Wrong \tTigerin \t292\tde\r\n".encode())
    (row,) = read_sheet(path)
    assert (row.language, row.class_index, row.old, row.verdict) == ("DE", 292, "Tigerin", "wrong")


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("DE\t1000\tx\t", r"line 2: class_index '1000' is not in 0\.\.999"),
        ("DE\t-1\tx\t", "class_index '-1'"),
        ("DE\t\tx\t", "class_index ''"),
        ("DE\t1\tx\tfalse", "verdict 'false' is none of right, wrong, unsure"),
        ("DE\t1\t\t", "`language` and `old` must not be empty"),
        ("\t1\tx\t", "`language` and `old` must not be empty"),
        ("DE\t1\tx\t\ty", "more cells than the header"),
    ],
)
def test_a_cell_that_cannot_be_read_is_named_with_its_line(tmp_path: Path, line: str, told: str) -> None:
    path = tmp_path / "s.tsv"
    path.write_text(f"language\tclass_index\told\tverdict\n{line}\n")
    with pytest.raises(ValueError, match=told):
        read_sheet(path)


def test_a_wnid_that_is_not_the_class_s_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "s.tsv"
    path.write_text("language\tclass_index\twnid\told\tverdict\nDE\t291\tn02129604\tx\t\n")
    with pytest.raises(ValueError, match="class_index 291 is n02129165, not n02129604"):
        read_sheet(path)


def test_a_new_label_needs_the_verdict_that_the_old_is_wrong(tmp_path: Path) -> None:
    path = tmp_path / "s.tsv"
    path.write_text("language\tclass_index\told\tverdict\tnew\nDE\t1\tx\tright\ty\n")
    with pytest.raises(ValueError, match="`new` 'y' stands beside a verdict that is not `wrong`"):
        read_sheet(path)


def test_columns_that_are_missing_or_unknown_are_errors(tmp_path: Path) -> None:
    path = tmp_path / "s.tsv"
    path.write_text("language\told\n")
    with pytest.raises(ValueError, match=r"\['class_index', 'verdict'\] are missing"):
        read_sheet(path)
    path.write_text("\t".join(COLUMNS) + "\tcomment\n")
    with pytest.raises(ValueError, match=r"\['comment'\] are not known"):
        read_sheet(path)
    path.write_bytes(b"language\xff")
    with pytest.raises(ValueError, match="not UTF-8 at byte 8"):
        read_sheet(path)


def test_a_cell_with_a_tab_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="a tab or a line end"):
        write_sheet(tmp_path / "s.tsv", [sheet_row("DE", 1, "a\tb")])
    assert list(tmp_path.iterdir()) == []


def test_the_packaged_decisions_fit_the_released_labels_one_for_one() -> None:
    languages = load_labels().languages
    fitted = {code: corrections.fit(corrections.packaged(), languages[code]) for code in languages}
    assert not [row for one in fitted.values() for row in one.refused]
    assert sum(len(one.accepted) for one in fitted.values()) == len(corrections.packaged()) > 3
    assert fitted["DE"].accepted[292] == "Tiger"


def test_a_decision_is_refused_when_the_old_label_is_gone() -> None:
    rows = [decided("DE", 0, "Schleie", "Tinca"), decided("DE", 1, "Koi", "Goldfisch"), decided("DE", 9, "x")]
    fitted = corrections.fit([*rows, decided("FR", 0, "tanche", "t")], labels_of("DE", "Schleie", "Goldfisch"))
    assert fitted.accepted == {0: "Tinca"}
    assert [row.class_index for row in fitted.refused] == [1, 9]


def test_a_decision_without_a_new_label_drops_the_old() -> None:
    assert corrections.fit([decided("DE", 0, "x")], labels_of("DE", "x")).accepted == {0: None}


def test_only_wrong_rows_are_decisions_and_each_says_why_where_and_who(tmp_path: Path) -> None:
    path = tmp_path / "s.tsv"
    write_sheet(path, [decided("DE", 0, "x", "y"), replace(sheet_row("DE", 1, "z"), verdict="right")])
    assert [row.class_index for row in corrections.decisions([path])] == [0]
    write_sheet(path, [decided("DE", 0, "x", "y", source="", reviewer="")])
    with pytest.raises(ValueError, match=r"DE, class 0: a decision needs \['source', 'reviewer'\]"):
        corrections.decisions([path])


def test_two_decisions_on_one_label_must_be_the_same(tmp_path: Path) -> None:
    one, two = tmp_path / "1.tsv", tmp_path / "2.tsv"
    write_sheet(one, [decided("DE", 0, "x", "y")])
    write_sheet(two, [decided("DE", 0, "x", "z")])
    with pytest.raises(ValueError, match="class 0 is decided twice, and differently"):
        corrections.decisions([one, two])
    assert len(corrections.decisions([one, one])) == 1


def test_a_sample_is_drawn_by_its_seed_alone() -> None:
    languages = load_labels().languages
    drawn = draw_sample({code: languages[code] for code in ("EN", "DE", "LO", "TI") if code in languages}, 50, 0)
    assert sorted(drawn) == ["DE", "LO"]
    alone = draw_sample({"DE": languages["DE"]}, 50, 0)
    assert alone["DE"] == drawn["DE"]
    assert draw_sample({"DE": languages["DE"]}, 50, 1)["DE"] != drawn["DE"]
    assert len({row.class_index for row in drawn["DE"]}) == 50
    by_index = dict(zip(languages["DE"].class_index.tolist(), languages["DE"].labels, strict=True))
    assert all(by_index[row.class_index] == row.old and row.verdict == "" for row in drawn["DE"])


def test_every_label_is_drawn_equally_often() -> None:
    languages = {"DE": labels_of("DE", *(f"w{i}" for i in range(10)))}
    counts = Counter(row.old for seed in range(2000) for row in draw_sample(languages, 3, seed)["DE"])
    assert len(counts) == 10
    assert all(abs(n - 600) < 5 * (600 * 0.7) ** 0.5 for n in counts.values())


def test_a_small_language_gives_all_its_labels() -> None:
    drawn = draw_sample({"DE": labels_of("DE", "a", "b", "c")}, 100, 0)
    assert sorted(row.old for row in drawn["DE"]) == ["a", "b", "c"]


def test_languages_are_drawn_alike_from_each_resource_group() -> None:
    languages = load_labels().languages
    drawn = draw_sample(languages, 5, 3, per_group=4)
    sizes = [len(languages[code]) for code in drawn]
    assert [sum(low < n <= high for n in sizes) for low, high in ((0, 100), (100, 333), (333, 666), (666, 1000))] == [
        4
    ] * 4


@pytest.mark.parametrize("settings", [{"n_labels": 0}, {"n_labels": 5, "per_group": 0}])
def test_a_sample_of_nothing_is_refused(settings: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="at least 1 label"):
        draw_sample({"DE": labels_of("DE", "a")}, seed=0, **settings)
    with pytest.raises(ValueError, match="no language to draw from"):
        draw_sample({"EN": labels_of("EN", "a")}, 1, 0)


def test_error_rates_count_right_and_wrong_and_show_the_rest() -> None:
    verdicts = ["right"] * 6 + ["wrong"] * 2 + ["unsure"] + [""]
    rows = [replace(sheet_row("DE", i, "x"), verdict=v) for i, v in enumerate(verdicts)]
    rows.append(replace(sheet_row("FR", 0, "y"), verdict="unsure"))
    german, french, together = error_rates(rows)
    assert (german.n_judged, german.n_wrong, german.n_unsure, german.n_open, german.rate) == (8, 2, 1, 1, 0.25)
    assert (french.rate, french.interval) == (None, None)
    assert (together.language, together.n_judged, together.n_unsure) == ("all", 8, 2)


def test_a_label_that_several_people_judge_is_one_draw() -> None:
    """Two sheets of the same labels must not make the interval as narrow as twice as many labels would."""
    one = [replace(sheet_row("DE", i, "x"), verdict="wrong" if i < 4 else "right") for i in range(40)]
    alone, twice = error_rates(one)[0], error_rates([*one, *one])[0]
    assert twice == alone
    assert alone.interval == wilson(4, 40)


@pytest.mark.parametrize(
    ("verdicts", "counted"),
    [
        (("wrong", "right"), "n_unsure"),
        (("wrong", "unsure"), "n_wrong"),
        (("unsure", ""), "n_unsure"),
        (("", ""), "n_open"),
        (("", "right"), "n_judged"),
    ],
)
def test_judges_who_disagree_count_as_unsure(verdicts: tuple[str, str], counted: str) -> None:
    rate = error_rates([replace(sheet_row("DE", 0, "x"), verdict=verdict) for verdict in verdicts])[0]
    assert rate.n_judged + rate.n_unsure + rate.n_open == 1
    assert getattr(rate, counted) == 1


def test_wilsons_interval_is_scipys() -> None:
    from scipy.stats import binomtest

    for n in (1, 5, 100, 999):
        for k in {0, 1, n // 3, n - 1, n}:
            expected = binomtest(k, n).proportion_ci(method="wilson")
            assert wilson(k, n) == pytest.approx((expected.low, expected.high), abs=1e-12)
    with pytest.raises(ValueError, match="0 <= k <= n"):
        wilson(2, 1)
