"""What training does to retrieval: before and after on the same captions, in the same card."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import train_adapter
from babel_adapters.recalls import compare_recalls
from babel_eval.retrieval import LanguageRetrieval
from babel_zsic.retrieval import rank_pairs, score_retrieval


def result(similarity: np.ndarray, own: list[int]) -> LanguageRetrieval:
    ranks = rank_pairs(own, similarity=similarity)
    scores = score_retrieval(ranks, own, k=(1,), n_resamples=100)
    short = {k.replace("text_to_image", "t2i").replace("image_to_text", "i2t"): v for k, v in scores.items()}
    return LanguageRetrieval({**short, "set": "toy"}, ranks, own)


def test_gains_are_differences_of_recalls_counted_by_hand_in_both_directions() -> None:
    own = [0, 0, 1, 2]
    before = np.array([[0.9, 0, 0], [0, 0.9, 0], [0.8, 0, 0], [0, 0, 0.7]])  # texts 1 and 2 miss; photo 1 finds text 1
    after = before.copy()
    after[2] = [0, 0.95, 0]  # text 2 finds its photo, and photo 1 finds text 2
    texts, images = compare_recalls(result(before, own), result(after, own))
    assert (texts.before["accuracy"], texts.after["accuracy"], texts.gain) == (0.5, 0.75, 0.25)
    assert (images.before["accuracy"], images.after["accuracy"]) == pytest.approx((2 / 3, 1))
    assert images.gain == pytest.approx(1 / 3)
    assert texts.interval[0] <= 0.25 <= texts.interval[1]
    assert texts.record()["metric"] == "text-to-image recall@1"
    with pytest.raises(ValueError, match="not of the same captions"):
        compare_recalls(result(before, own), result(after[:3, :2], [0, 0, 1]))


def flags_for(
    base: Callable[[str], str], pairs_file: Path, labels_file: Path, tmp_path: Path, language: str
) -> list[str]:
    """Write a retrieval set with captions in a language, and give the flags of a training that measures it."""
    rows = [json.loads(line) for line in pairs_file.read_text().splitlines()][:12]
    captions = {"images": [r["image"] for r in rows], "captions": {language: [[r["target"]] for r in rows]}}
    (tmp_path / "toyset.json").write_text(json.dumps(captions))
    return [
        "--model", base("transformers CLIP"), "--languages", "lo", "--train-data", str(pairs_file), "--eval-labels",
        str(labels_file), "--method", "lora", "--steps", "3", "--batch-size", "16", "--force", "--learning-rate",
        "0.02", "--store", str(tmp_path / "store"), "--output-dir", str(tmp_path / "out"),
        "--eval-retrieval", str(tmp_path / "toyset.json"), "--eval-image-root", str(tmp_path),
    ]  # fmt: skip


def test_the_card_holds_retrieval_before_and_after(
    base: Callable[[str], str], pairs_file: Path, labels_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = flags_for(base, pairs_file, labels_file, tmp_path, "lo")
    assert train_adapter.main(flags) == 0
    folder = tmp_path / "out" / "lo"
    files = [json.loads((folder / f"{w}-retrieval.json").read_text())["results"][0] for w in ("before", "after")]
    record = json.loads((folder / "babel_adapter.json").read_text())
    found = {r["metric"]: r for r in record["results"] if r["dataset"] == "toyset"}
    for metric, score in (("text-to-image recall@1", "t2i_r@1"), ("image-to-text recall@1", "i2t_r@1")):
        assert [found[metric][w]["value"] for w in ("before", "after")] == [row[score] for row in files]
    card = (folder / "README.md").read_text()
    assert "| Lao (`LO`) | toyset, text-to-image recall@1" in card
    said = capsys.readouterr().err
    assert "12 target is a caption of the retrieval set" in said
    assert "text-to-image recall@1" in said
    assert train_adapter.main([*flags, "--resume"]) == 0


def test_a_language_without_captions_in_the_set_is_said(
    base: Callable[[str], str], pairs_file: Path, labels_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train_adapter.main(flags_for(base, pairs_file, labels_file, tmp_path, "de")) == 0
    assert "toyset.json has no captions in it, so retrieval is not measured" in capsys.readouterr().err
