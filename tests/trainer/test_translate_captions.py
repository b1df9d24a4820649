"""English captions into a language, over files, datasets and several processes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from test_translate import one_by_one, tiny  # noqa: F401  # a fixture

import translate_captions
from babel_adapters.captions import read_pairs
from babel_adapters.pairs import Columns
from babel_eval.translate import NLLB
from translate_captions import TranslateConfig, one_language, read_captions

ROWS = [
    {"image": "a.jpg", "caption": "a photo of a dog"},
    {"image": "b.jpg", "caption": "the small plastic house"},
    {"image": "c.jpg", "caption": "a photo of a dog"},
    {"image": "d.jpg", "caption": "graffiti of a cat"},
]


class Backwards:
    """Turns texts round, and remembers what it was asked; may be told to die."""

    fingerprint = "backwards"

    def __init__(self, dies_after: int = 10**9) -> None:
        self.seen: list[str] = []
        self.dies_after = dies_after

    def translate(self, texts: Sequence[str], target: str) -> list[str]:
        if len(self.seen) >= self.dies_after:
            raise KeyboardInterrupt
        self.seen += texts
        return [text[::-1] for text in texts]


def settings(tmp_path: Path, rows: list[dict[str, str]] = ROWS, **more: object) -> TranslateConfig:
    path = tmp_path / "captions.json"
    path.write_text(json.dumps(rows))
    out = str(tmp_path / "out" / "{language}.parquet")
    return TranslateConfig(captions=str(path), out=out, **more)  # type: ignore[arg-type]


def written(tmp_path: Path) -> list[tuple[str, str, str]]:
    rows = pq.read_table(tmp_path / "out" / "lo.parquet").to_pylist()
    return [(Path(row["image"]).name, row["english"], row["target"]) for row in rows]


def test_captions_with_images_become_training_pairs(tmp_path: Path) -> None:
    config, model = settings(tmp_path), Backwards()
    assert one_language(config, model, "LO", read_captions(config), (0, 1))
    assert written(tmp_path) == [(r["image"], r["caption"], r["caption"][::-1]) for r in ROWS]
    assert len(model.seen) == 3  # a caption that stands there twice is translated once
    pairs = read_pairs(str(tmp_path / "out" / "lo.parquet"), "LO", columns=Columns(image="image")).pairs
    assert (pairs[0].target, pairs[0].english) == ("god a fo otohp a", "a photo of a dog")
    assert pairs[0].image == str(tmp_path / "a.jpg")


def test_captions_that_are_left_out_are_counted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [{"caption": f"caption {n}"} for n in range(99)]
    read_captions(settings(tmp_path, [*rows, {"caption": " "}, rows[0], rows[1]]))
    assert "captions.json: 99 captions; left out: 1 blank, 2 repeated" in capsys.readouterr().err
    read_captions(settings(tmp_path, rows))
    assert capsys.readouterr().err == ""


def test_addresses_of_images_are_kept(tmp_path: Path) -> None:
    config = settings(tmp_path, [{"url": "https://a.example/1.jpg", "caption": "a dog"}])
    assert read_captions(config) == [{"english": "a dog", "image": "https://a.example/1.jpg"}]


@pytest.mark.parametrize("streaming", [False, True])
def test_images_embedded_in_a_dataset_are_kept_as_their_bytes(streaming: bool, tmp_path: Path) -> None:
    import datasets
    from PIL import Image

    for name in ("a", "b"):
        Image.new("RGB", (4, 4), "red" if name == "a" else "blue").save(tmp_path / f"{name}.png")
    files = [(tmp_path / f"{name}.png").read_bytes() for name in ("a", "b")]
    rows = {"image": [{"bytes": file, "path": None} for file in files], "caption": ["a dog", "a cat"]}
    saved = datasets.Dataset.from_dict(rows).cast_column("image", datasets.Image())
    if streaming:
        (tmp_path / "data").mkdir()
        saved.to_parquet(tmp_path / "data" / "train.parquet")
    else:
        saved.save_to_disk(tmp_path / "data")
    out = str(tmp_path / "out" / "{language}.parquet")
    config = TranslateConfig(captions=f"hf:{tmp_path / 'data'}:train", out=out, streaming=streaming)
    captions = read_captions(config)
    assert captions == [{"english": "a dog", "image": files[0]}, {"english": "a cat", "image": files[1]}]
    assert one_language(config, Backwards(), "LO", captions, (0, 1))
    pairs = read_pairs(str(tmp_path / "out" / "lo.parquet"), "LO", columns=Columns(image="image")).pairs
    assert [(pair.target, pair.image) for pair in pairs] == [("god a", files[0]), ("tac a", files[1])]


def test_images_can_be_left_where_they_are(tmp_path: Path) -> None:
    assert read_captions(settings(tmp_path, image_column=""))[0] == {"english": "a photo of a dog"}


def test_a_column_that_is_no_image_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="row 0: column 'image' holds list, a path, an address or the bytes"):
        read_captions(settings(tmp_path, [{"image": [0, 1], "caption": "a dog"}]))  # type: ignore[list-item]


def test_a_second_run_translates_what_the_first_did_not(tmp_path: Path) -> None:
    config = settings(tmp_path, captions_at_once=1)
    rows = read_captions(config)
    with pytest.raises(KeyboardInterrupt):
        one_language(config, Backwards(dies_after=2), "LO", rows, (0, 1))
    model = Backwards()
    one_language(config, model, "LO", rows, (0, 1))
    assert len(model.seen) == 1
    assert len(written(tmp_path)) == 4


def test_the_process_that_ends_last_writes_the_file(tmp_path: Path) -> None:
    config = settings(tmp_path)
    rows = read_captions(config)
    assert not one_language(config, Backwards(), "LO", rows, (1, 2))
    assert not (tmp_path / "out" / "lo.parquet").exists()
    assert one_language(config, Backwards(), "LO", rows, (0, 2))
    assert len(written(tmp_path)) == 4


def test_the_program_gives_what_the_model_gives_each_caption_alone(
    tiny: Path,  # noqa: F811
    tmp_path: Path,
) -> None:
    config = settings(tmp_path)
    flags = ["--captions", config.captions, "--out", config.out, "--model", str(tiny), "--device", "cpu"]
    more = ["--languages", "lo,de", "--max-new-tokens", "12", "--tokens-at-once", "64", "--dtype", "fp32"]
    assert translate_captions.main([*flags, *more]) == 0
    english = [row["caption"] for row in ROWS]
    assert [target for _, _, target in written(tmp_path)] == one_by_one(tiny, english, "lao_Laoo")


def test_bf16_gives_what_the_model_in_bf16_gives_each_caption_alone(tiny: Path, tmp_path: Path) -> None:  # noqa: F811
    import torch
    from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

    half = tmp_path / "half"
    AutoTokenizer.from_pretrained(tiny).save_pretrained(half)
    AutoModelForSeq2SeqLM.from_pretrained(tiny).to(torch.bfloat16).save_pretrained(half)
    config = settings(tmp_path)
    flags = ["--captions", config.captions, "--out", config.out, "--model", str(tiny), "--device", "cpu"]
    # one caption a batch: a padded one may round otherwise in bf16
    assert translate_captions.main([*flags, "--dtype", "bf16", "--max-new-tokens", "12", "--tokens-at-once", "1"]) == 0
    english = [row["caption"] for row in ROWS]
    assert [target for _, _, target in written(tmp_path)] == one_by_one(half, english, "lao_Laoo")
    assert {p.dtype for p in NLLB(str(tiny), device="cpu", dtype="bf16")._model.parameters()} == {torch.bfloat16}


@pytest.mark.slow
def test_two_processes_share_the_captions(tiny: Path, tmp_path: Path) -> None:  # noqa: F811
    config = settings(tmp_path)
    script = Path(translate_captions.__file__)
    command = [
        sys.executable, "-m", "torch.distributed.run", "--nproc_per_node", "2", str(script), "--device", "cpu",
        "--captions", config.captions, "--out", config.out, "--model", str(tiny), "--max-new-tokens", "12",
    ]  # fmt: skip
    subprocess.run(command, check=True, env={**os.environ, "OMP_NUM_THREADS": "1"}, timeout=300, cwd=tmp_path)
    parts = sorted((tmp_path / "out" / "lo.parts").iterdir())
    assert [path.name for path in parts] == ["0-of-2.jsonl", "1-of-2.jsonl"]
    assert [len(path.read_text().splitlines()) - 1 for path in parts] == [2, 1]
    english = [row["caption"] for row in ROWS]
    assert [target for _, _, target in written(tmp_path)] == one_by_one(tiny, english, "lao_Laoo")


def test_bad_settings_and_captions_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="--captions is needed"):
        TranslateConfig()
    with pytest.raises(ValueError, match=r"must end in \.parquet"):
        TranslateConfig(captions="a.json", out="a.csv")
    with pytest.raises(FileNotFoundError, match="no such file"):
        read_captions(TranslateConfig(captions=str(tmp_path / "none.json")))
    with pytest.raises(ValueError, match="no column 'english'"):
        read_captions(settings(tmp_path, [{"words": "a dog"}]))
    with pytest.raises(ValueError, match="1 of 2 captions are empty or blank"):
        read_captions(settings(tmp_path, [{"caption": " "}, {"caption": "a dog"}]))
