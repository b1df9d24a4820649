from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from typer.testing import CliRunner

from babel_eval.cli import app
from babel_eval.commands.translate import translate_into
from babel_eval.translate import MARKERS, NLLB, target_of, translate_file, translate_templates
from babel_imagenet_dataset.audit import flag_templates
from babel_imagenet_dataset.prompts import clean
from babel_imagenet_dataset.release import load_prompts

TEXTS = ["a photo of a dog", "graffiti of a cat.", "dog", "the small plastic house in a video game", "dog"]


class Recorder:
    """Writes capitals; leaves out the markers it is told to lose."""

    fingerprint = "r"

    def __init__(self, lost: Sequence[str] = ()) -> None:
        self.lost = lost
        self.seen: list[str] = []

    def translate(self, texts: Sequence[str], target: str) -> list[str]:
        self.seen += texts
        made = []
        for text in texts:
            marker = next((m for m in sorted(MARKERS, key=len, reverse=True) if m in text), "")
            made.append(text.replace(marker, "…") if marker in self.lost else text)
        return made


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random NLLB of two layers over single letters."""
    import torch
    from transformers import M2M100Config, M2M100ForConditionalGeneration, NllbTokenizer

    folder = tmp_path_factory.mktemp("nllb")
    letters = sorted({char for text in (*TEXTS, *MARKERS) for char in text.replace(" ", "▁")} | {"▁"})
    specials = {"<s>": 0, "<pad>": 1, "</s>": 2, "<unk>": 3}
    tokenizer = NllbTokenizer(vocab=specials | {letter: 4 + i for i, letter in enumerate(letters)}, merges=[])
    tokenizer.save_pretrained(folder)
    torch.manual_seed(0)
    config = M2M100Config(
        vocab_size=len(tokenizer), d_model=32, encoder_layers=2, decoder_layers=2, encoder_ffn_dim=48,
        decoder_ffn_dim=48, encoder_attention_heads=2, decoder_attention_heads=2, max_position_embeddings=128,
        init_std=0.5, pad_token_id=1, bos_token_id=0, eos_token_id=2, decoder_start_token_id=2,
    )  # fmt: skip
    M2M100ForConditionalGeneration(config).save_pretrained(folder)
    return folder


def one_by_one(folder: Path, texts: Sequence[str], target: str) -> list[str]:
    """The plain way: no batch, no padding, no order."""
    import torch
    from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder, src_lang="eng_Latn")
    model = AutoModelForSeq2SeqLM.from_pretrained(folder).eval()
    made = []
    for text in texts:
        with torch.inference_mode():
            out = model.generate(
                **tokenizer(text, return_tensors="pt"),
                forced_bos_token_id=tokenizer.convert_tokens_to_ids(target),
                max_new_tokens=12,
                do_sample=False,
                num_beams=1,
            )
        made.append(tokenizer.batch_decode(out, skip_special_tokens=True)[0])
    return made


def test_batches_give_what_each_text_gives_alone_and_a_language_does_not_stick(tiny: Path) -> None:
    model = NLLB(str(tiny), device="cpu", max_new_tokens=12, tokens_at_once=60)
    for target in ("deu_Latn", "lao_Laoo", "deu_Latn"):
        assert model.translate(TEXTS, target) == one_by_one(tiny, TEXTS, target)
    assert model.translate(TEXTS, "deu_Latn") != model.translate(TEXTS, "lao_Laoo")
    assert model.translate([], "deu_Latn") == []


def test_an_unknown_target_or_dtype_is_an_error(tiny: Path) -> None:
    with pytest.raises(ValueError, match="no language token 'xxx_Latn'"):
        NLLB(str(tiny), device="cpu").translate(["a"], "xxx_Latn")
    with pytest.raises(ValueError, match="allowed: fp32, bf16, fp16"):
        NLLB(str(tiny), dtype="int8")


def test_what_translations_depend_on_is_in_the_fingerprint(tiny: Path) -> None:
    same = {NLLB(str(tiny), device="cpu").fingerprint for _ in range(2)}
    assert len(same) == 1
    assert NLLB(str(tiny), device="cpu", beams=2).fingerprint not in same
    assert NLLB(str(tiny), device="cpu", dtype="bf16").fingerprint not in same


def test_the_first_marker_that_survives_wins_and_no_more_is_asked() -> None:
    model = Recorder(lost=MARKERS[:2])
    (made,) = translate_templates(model, ["a {} here"], "deu_Latn")
    assert (made.marker, made.translation, made.lost_slot) == ("<b>{c}</b>", "a  {}  here", False)
    assert model.seen == [f"a {marker} here" for marker in MARKERS[:3]]


def test_a_template_of_which_no_marker_survives_has_lost_its_slot_and_says_so() -> None:
    model = Recorder(lost=MARKERS)
    (made,) = translate_templates(model, ["a {}"], "deu_Latn")
    assert (made.translation, made.lost_slot) == (None, True)
    assert made.released_form() == "a … {}"
    assert len(model.seen) == len(MARKERS) == 14


def test_a_marker_that_comes_back_twice_leaves_one_slot() -> None:
    class Twice(Recorder):
        def translate(self, texts: Sequence[str], target: str) -> list[str]:
            return [f"{text} {text}" for text in texts]

    (made,) = translate_templates(Twice(), ["a {}."], "deu_Latn")
    assert made.translation is not None
    assert made.translation.count("{}") == 1
    with pytest.raises(ValueError, match=r"exactly one \{\}"):
        translate_templates(Recorder(), ["a {} {}"], "deu_Latn")


def test_a_file_is_gone_on_with_where_it_was_cut_and_each_text_is_translated_once(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    texts = [f"ein Haus {number} ü" for number in range(10)]
    first = Recorder()
    whole = translate_file(first, [*texts, *texts], "deu_Latn", path, texts_at_once=3)
    assert sorted(first.seen) == sorted(texts)
    content = path.read_bytes()
    for cut in (len(content) - 1, len(content) - 4, content.index("ü".encode()) + 1):
        path.write_bytes(content[:cut])
        again = Recorder()
        assert translate_file(again, texts, "deu_Latn", path) == whole
        assert 0 < len(again.seen) <= len(texts)
        assert json.loads(path.read_text().partition("\n")[0])["target"] == "deu_Latn"
    idle = Recorder()
    assert translate_file(idle, texts, "deu_Latn", path) == whole
    assert idle.seen == []


def test_another_model_or_target_does_not_mix_into_a_file(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    translate_file(Recorder(), ["a"], "deu_Latn", path)
    with pytest.raises(ValueError, match="give another file"):
        translate_file(Recorder(), ["a"], "fra_Latn", path)


def test_shards_together_are_the_whole_and_share_nothing(tmp_path: Path) -> None:
    texts = [f"t{number}" for number in range(23)]
    parts = [translate_file(Recorder(), texts, "deu_Latn", tmp_path / f"{i}", (i, 4)) for i in range(4)]
    assert sum(map(len, parts)) == 23
    assert {text for part in parts for text in part} == set(texts)
    with pytest.raises(ValueError, match="0 <= i < n"):
        translate_file(Recorder(), texts, "deu_Latn", tmp_path / "x", (4, 4))


def test_targets_are_named_by_babelnets_code() -> None:
    assert target_of("LO") == "lao_Laoo"
    with pytest.raises(ValueError, match="NLLB does not know 'NV'"):
        target_of("NV")


def test_slots_that_the_model_made_up_do_not_stand_beside_the_one() -> None:
    class Braces(Recorder):
        def translate(self, texts: Sequence[str], target: str) -> list[str]:
            return [f"{{}} {text} {{}}" for text in super().translate(texts, target)]

    kept, lost = (translate_templates(Braces(names), ["a {}"], "deu_Latn")[0] for names in ((), MARKERS))
    assert kept.released_form().split() == ["a", "{}"]
    assert lost.released_form().split() == ["a", "…", "{}"]


def test_a_file_of_templates_is_written_read_back_flagged_and_gone_on_with(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from rich.console import Console

    path = tmp_path / "p.json"
    loses = Recorder(lost=MARKERS)
    translate_into(Console(width=100), loses, {"DE": "deu_Latn"}, path)
    assert "DE (deu_Latn): 80 templates, 80 lost their slot" in capsys.readouterr().out
    translate_into(Console(width=100), Recorder(), {"DE": "deu_Latn", "FR": "fra_Latn"}, path)
    said = capsys.readouterr().out
    assert "holds DE already" in said
    assert "FR (fra_Latn): 80 templates, 0 lost their slot" in said
    prompts = load_prompts(path)
    assert all("lost_slot" in flags for flags in flag_templates(prompts.templates["DE"]))
    assert not any("lost_slot" in flags for flags in flag_templates(prompts.templates["FR"]))
    assert list(clean(prompts).templates) == ["FR"]


def test_the_command_takes_languages_and_hands_the_model_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[object, ...]] = []
    monkeypatch.setattr("babel_eval.translate.NLLB", lambda *args, **kw: asked.append((*args, kw)) or Recorder())
    arguments = ["translate-prompts", "--languages", "en,de", "--model", "org/nllb", "--device", "cpu", "--beams", "4"]
    result = CliRunner().invoke(app, [*arguments, "--out", str(tmp_path / "p.json")])
    assert result.exit_code == 0, result.output
    assert asked == [("org/nllb", "cpu", "fp32", {"beams": 4})]
    assert {code: len(made) for code, made in load_prompts(tmp_path / "p.json").templates.items()} == {"DE": 80}
