"""From files to figures: what joins, what does not and why, and the published files against plain Python."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from babel_eval.correlation.analysis import analyse
from babel_eval.correlation.curse import curse_of_multilinguality, read_facts, slope
from babel_eval.correlation.joining import join, read_all, read_scores, select_models, short_names
from babel_eval.results import read_results


def write(path: Path, model: str, rows: list[dict], **meta) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"meta": {"model": model, **meta}, "results": rows}), encoding="utf-8")
    return path


def zero_shot(path: Path, model: str, accuracy: dict[str, float], **meta) -> Path:
    rows = [{"lang": c, "prompt": "label", "num_classes": 300, "accuracy": a} for c, a in accuracy.items()]
    return write(path, model, rows, **meta)


def retrieval(path: Path, model: str, recall: dict[str, float]) -> Path:
    return write(path, model, [{"lang": c, "t2i_r@1": r, "i2t_r@1": 1 - r} for c, r in recall.items()])


def test_short_names_keep_what_tells_models_apart():
    tower = "m-clip:M-CLIP/XLM-Roberta-Large-Vit-L-14"
    adapters = ["conse-e5", "conse-e5+peft:/home/me/out/tr", "conse-e5+peft:ORG/out-ja", f"{tower}+peft:out/tr"]
    assert short_names(adapters) == ["conse-e5", "conse-e5+tr", "conse-e5+out-ja", "XLM-Roberta-Large-Vit-L-14+tr"]
    assert short_names(["a/x@1", "b/x@1", "a/y@1"]) == ["a/x@1", "b/x@1", "y"]
    assert short_names(["x+peft:one/tr", "x+peft:two/tr"]) == ["x+peft:one/tr", "x+peft:two/tr"]


def test_recalls_bring_their_bounds_along(tmp_path):
    rows = [{"lang": "de", "t2i_r@1": 0.5, "t2i_r@1_interval": [0.4, 0.7], "i2t_r@1": 0.6}]
    scores = read_scores(write(tmp_path / "xtd" / "r.json", "m", rows))
    assert [(s.name, s.interval) for s in scores] == [("t2i_r@1", (0.4, 0.7)), ("i2t_r@1", None)]
    for wrong in ([0.4], [0.4, 1.7], "0.4"):
        path = write(tmp_path / "xtd" / "w.json", "m", [{**rows[0], "t2i_r@1_interval": wrong}])
        with pytest.raises(ValueError, match=r"w\.json: row 0: t2i_r@1_interval is"):
            read_scores(path)


def test_names_of_languages_join_through_the_alias_table(tmp_path):
    files = [
        zero_shot(tmp_path / "z.json", "m", {"JA": 0.1, "TL": 0.2, "QU": 0.3, "HE": 0.4}),
        retrieval(tmp_path / "xtd" / "r.json", "m", {"jp": 0.5, "fil": 0.6, "quz": 0.7, "iw": 0.8}),
    ]
    joined = join(read_all(files))
    assert {(j.task, j.prompt, j.score) for j in joined} == {("xtd", "label", "t2i_r@1"), ("xtd", "label", "i2t_r@1")}
    assert dict(zip(joined[0].points.languages, joined[0].points.y, strict=True)) == {
        "JA": 0.5, "TL": 0.6, "QU": 0.7, "HE": 0.8,
    }  # fmt: skip
    assert joined[0].unjoined == ()


def test_what_does_not_join_is_said_with_its_reason(tmp_path):
    files = [
        zero_shot(tmp_path / "a.json", "a", {"DE": 0.1, "FR": 0.2, "EN": 0.9}),
        zero_shot(tmp_path / "b.json", "b", {"DE": 0.1}),
        retrieval(tmp_path / "s" / "a.json", "a", {"de": 0.5, "it": 0.6, "en": 0.9}),
        retrieval(tmp_path / "s" / "c.json", "c", {"de": 0.5}),
    ]
    found = {(u.model, u.languages, u.why) for u in join(read_all(files), exclude=["EN"])[0].unjoined}
    assert found == {
        ("a", ("FR",), "no s score in these languages"),
        ("b", ("DE",), "no s score of this model"),
        ("a", ("IT",), "no zero-shot result with prompts label in these languages"),
        ("c", ("DE",), "no zero-shot result with prompts label of this model"),
        ("all models", ("EN",), "left out on request"),
    }


def test_a_table_of_another_task_stands_in_for_retrieval(tmp_path):
    z = zero_shot(tmp_path / "z.json", "m", {"DE": 0.1, "FR": 0.2, "IT": 0.4})
    vqa = tmp_path / "vqa.csv"
    vqa.write_text("model,language,exact match,f1\nm,de,10,\nm,fr,20,3\nm,it,35,4\n", encoding="utf-8")
    joined = {j.score: j for j in join(read_all([z, vqa]))}
    assert joined["exact match"].task == "vqa"
    assert joined["exact match"].points.y.tolist() == [10, 20, 35]
    assert list(joined["f1"].points.languages) == ["FR", "IT"]
    assert joined["f1"].unjoined[0].languages == ("DE",)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("model,lang,score\nm,de,1\n", "needs the columns model, language"),
        ("model,language,score\nm,de,high\n", "line 2: score is 'high', a number is needed"),
        ("model,language,score\nm,de,1\nm,xxq,2\n", "line 3: language 'xxq' is not known"),
        ("model,language,score\nm,de,inf\n", "finite"),
    ],
)
def test_a_bad_table_is_refused_with_its_place(tmp_path, text, message):
    (tmp_path / "t.csv").write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=message):
        read_scores(tmp_path / "t.csv")


def test_bad_result_files_are_refused_with_their_place(tmp_path):
    with pytest.raises(ValueError, match=r"row 0: accuracy is 1\.5"):
        read_scores(zero_shot(tmp_path / "z.json", "m", {"DE": 1.5}))
    with pytest.raises(ValueError, match="neither an accuracy nor a recall"):
        read_scores(write(tmp_path / "y.json", "m", [{"lang": "DE"}]))
    with pytest.raises(ValueError, match=r"stands in both .*one.json and .*two.json"):
        read_all([zero_shot(tmp_path / f"{name}.json", "m", {"DE": 0.5}) for name in ("one", "two")])
    with pytest.raises(ValueError, match="a retrieval result or a CSV of another task is not among the files"):
        join(read_scores(zero_shot(tmp_path / "x.json", "m", {"DE": 0.5})))


def test_models_are_chosen_by_pattern_and_an_empty_choice_is_an_error(tmp_path):
    scores = read_all([zero_shot(tmp_path / f"{m}.json", f"org/{m}", {"DE": 0.5}) for m in ("big", "small")])
    assert {s.model for s in select_models(scores, ["*/big"])} == {"org/big"}
    with pytest.raises(ValueError, match="'huge' matches none of: org/big, org/small"):
        select_models(scores, ["huge"])


def test_gaps_are_means_over_the_languages_of_a_group(tmp_path):
    rows = [("EN", 1000, 0.8), ("LO", 50, 0.1), ("SW", 90, 0.3), ("DE", 800, 0.6)]
    rows = [{"lang": c, "prompt": "label", "num_classes": n, "accuracy": a} for c, n, a in rows]
    found = curse_of_multilinguality([read_results(write(tmp_path / "z.json", "m", rows, parameters=10))], "label")
    assert found.basis == "all classes"
    assert found.gaps["m"] == pytest.approx({"vlow": 0.6, "high": 0.2, "all": (0.7 + 0.5 + 0.2) / 3})
    with_gaps = [{**row, "gap": 0.25} for row in rows]
    found = curse_of_multilinguality([read_results(write(tmp_path / "y.json", "m", with_gaps))], "label")
    assert (found.basis, found.gaps["m"]["vlow"]) == ("same classes", 0.25)


def test_a_slope_equals_statistics_by_hand():
    x, y = [10, 100, 1000, 10_000], [0.1, 0.2, 0.2, 0.5]
    found = slope(x, y)
    a = np.log10(x) - np.log10(x).mean()
    value = (a @ np.array(y)) / (a @ a)
    residual = np.array(y) - np.mean(y) - value * a
    error = np.sqrt(residual @ residual / 2 / (a @ a))
    assert found.value == pytest.approx(value)
    assert found.interval == pytest.approx(
        (value - stats.t.ppf(0.975, 2) * error, value + stats.t.ppf(0.975, 2) * error)
    )
    assert slope(x[:2], y[:2]) is None
    assert slope([5, 5, 5], [1, 2, 3]) is None
    assert slope(x[:3], y[:3]).interval is None


def test_facts_of_models_come_from_the_users_table_first(tmp_path):
    path = tmp_path / "facts.csv"
    path.write_text("model,text_encoder,training_languages,parameters\nm,BERT,7,\n", encoding="utf-8")
    run = read_results(zero_shot(tmp_path / "z.json", "m", {"EN": 0.5, "DE": 0.4}, parameters=99, text_encoder="GPT"))
    facts = curse_of_multilinguality([run], "label", read_facts(path)).facts["m"]
    assert (facts.text_encoder, facts.training_languages, facts.parameters) == ("BERT", 7, 99)


def test_published_results_equal_an_independent_computation(reference_data):
    """To 1e-9: the same doubles, only sums in another order."""
    files = sorted(reference_data.glob("results/**/*.json"))
    found = {(j.prompt, j.score): c for j, c in analyse(files, n_resamples=0).entries}
    read = [(json.loads(f.read_text(encoding="utf-8")), "xtd" in f.parts) for f in files]
    accuracy = {(d["meta"]["model"], r["prompt"], r["lang"].lower()): r["accuracy"]
                for d, is_xtd in read if not is_xtd for r in d["results"]}  # fmt: skip
    for (prompt, score), c in found.items():
        rows = [
            (d["meta"]["model"], r["lang"].replace("jp", "ja"), r[score])
            for d, is_xtd in read if is_xtd for r in d["results"]
        ]  # fmt: skip
        x, y = np.array([(accuracy[m, prompt, code], value) for m, code, value in rows]).T
        assert c.n == 44
        assert c.pearson.value == pytest.approx(stats.pearsonr(x, y).statistic, abs=1e-9)
        assert c.spearman.value == pytest.approx(stats.spearmanr(x, y).statistic, abs=1e-9)
        for column, figure in ((0, c.within_model), (1, c.within_language)):
            dummies = np.array([[float(row[column] == g) for g in sorted({r[column] for r in rows})] for row in rows])
            left = [v - dummies @ np.linalg.lstsq(dummies, v, rcond=None)[0] for v in (x, y)]
            assert figure.value == pytest.approx(stats.pearsonr(*left).statistic, abs=1e-9)
        without = [
            stats.pearsonr(x[keep], y[keep]).statistic
            for m in {row[0] for row in rows}
            if len(keep := [i for i, row in enumerate(rows) if row[0] != m])
        ]
        assert (c.leave_one_out[0][1], c.leave_one_out[1][1]) == pytest.approx((min(without), max(without)), abs=1e-9)


def test_an_adapted_model_has_the_text_encoder_of_its_base(tmp_path):
    runs = [
        read_results(zero_shot(tmp_path / f"{i}.json", model, {"EN": 0.9, "DE": 0.5 + i / 10}, parameters=10))
        for i, model in enumerate(("conse-e5", "conse-e5+peft:out/tr"))
    ]
    curse = curse_of_multilinguality(runs, "label")
    assert {facts.text_encoder for facts in curse.facts.values()} == {"multilingual E5 small"}
    assert curse.by_encoder["multilingual E5 small"]["all"] == pytest.approx((0.4 + 0.3) / 2)
