"""Language tokens: the map of languages, the script of texts, the policies, and NLLB towers of open_clip."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import langcodes
import numpy as np
import open_clip
import pytest
import tiny_models as tiny
import torch
from transformers.models.nllb.tokenization_nllb import FAIRSEQ_LANGUAGE_CODES

from babel_eval.encoders import load_encoder, open_clip_models
from babel_eval.encoders.base import LanguageSkipped
from babel_eval.encoders.nllb import TOKENS, LanguageTokens, is_off_script, script_of, token_of
from babel_eval.texts import ClassFeatures, ClassTexts
from babel_imagenet_dataset.languages import codes, language

# Varieties that NLLB has for what ISO 639 calls a macrolanguage or a group, and two spellings of a language.
VARIETIES = {
    "AR": "arb", "AY": "ayr", "AZ": "azj", "BE_X_OLD": "bel", "BH": "bho", "DIN": "dik", "ET": "est", "FA": "pes",
    "GN": "grn", "KU": "kmr", "LV": "lvs", "MG": "plt", "MN": "khk", "MS": "zsm", "NE": "npi", "NO": "nob", "OM": "gaz",
    "OR": "ory", "PS": "pbt", "QU": "quy", "SC": "srd", "SH": "hrv", "SIMPLE": "eng", "SQ": "als", "SW": "swh",
    "TL": "tgl", "UZ": "uzn", "YI": "ydd", "ZH": "zho", "ZH_YUE": "yue", "AK": "aka", "KG": "kon",
}  # fmt: skip


def test_every_token_is_one_of_nllbs() -> None:
    assert {token for tokens in TOKENS.values() for token in tokens} <= set(FAIRSEQ_LANGUAGE_CODES)


def test_every_language_is_one_of_the_298() -> None:
    assert set(TOKENS) <= set(codes("298"))


def test_every_token_is_of_its_language_by_iso_639() -> None:
    wrong = {}
    for code, tokens in TOKENS.items():
        expected = VARIETIES.get(code) or langcodes.Language.get(language(code).tag).to_alpha3()
        first = tokens[0].partition("_")[0]
        if first != expected:
            wrong[code] = (first, expected)
    assert not wrong


def test_no_language_that_nllb_knows_is_left_out() -> None:
    """A language whose ISO 639-3 code is one of NLLB's must be in the map."""
    known = {token.partition("_")[0] for token in FAIRSEQ_LANGUAGE_CODES}
    left = {}
    for code in set(codes("298")) - set(TOKENS):
        alpha3 = langcodes.Language.get(language(code).tag).to_alpha3()
        if alpha3 in known:
            left[code] = alpha3
    assert not left


def test_bokmal_alemannic_and_albanian_are_not_mixed_up() -> None:
    assert TOKENS["NO"] == ("nob_Latn",)
    assert TOKENS["NN"] == ("nno_Latn",)
    assert TOKENS["SQ"] == ("als_Latn",)
    assert "ALS" not in TOKENS  # BabelNet's ALS is Alemannic


@pytest.mark.parametrize("code", sorted(TOKENS))
def test_a_token_is_in_the_script_of_the_published_labels(code: str) -> None:
    script = {"Jpan": "Jpan", "Kore": "Hang"}.get(language(code).script, language(code).script)
    scripts = {token.rpartition("_")[2] for token in TOKENS[code]}
    if code == "SAT":  # NLLB calls Santali's Ol Chiki `Beng`
        scripts.add("Olck")
    chinese = script in ("Hani", "Hans", "Hant") and scripts & {"Hans", "Hant"}
    assert script in scripts or chinese


@pytest.mark.parametrize(
    ("text", "script"),
    [
        ("tench", "Latn"), ("Катран", "Cyrl"), ("虎鲸", "Hans"), ("虎鯨", "Hant"), ("大白", "Hani"),
        ("ニシキヘビ", "Jpan"), ("ニシキ蛇", "Jpan"), ("상어", "Hang"), ("سمكة", "Arab"), ("מלך", "Hebr"),
        ("ปลา", "Thai"), ("42 — !", None), ("", None), ("DVD плеер", "Cyrl"),
    ],
)  # fmt: skip
def test_scripts_of_texts(text: str, script: str | None) -> None:
    assert script_of(text) == script


def test_chinese_is_marked_by_the_script_of_the_label() -> None:
    assert [token_of(text, "ZH") for text in ("虎鲸", "虎鯨", "大白", "DVD")] == [
        "zho_Hans", "zho_Hant", "zho_Hans", "zho_Hans",
    ]  # fmt: skip
    assert token_of("虎鲸", "ZH", reference=True) == "zho_Hant"
    assert [token_of(text, "SH") for text in ("riba", "риба")] == ["hrv_Latn", "srp_Cyrl"]


def test_scripts_that_do_not_agree_are_counted() -> None:
    assert is_off_script("riba", "srp_Cyrl")
    assert not is_off_script("риба", "srp_Cyrl")
    assert not is_off_script("大白", "zho_Hans")
    assert not is_off_script("大白", "jpn_Jpan")
    assert is_off_script("虎鲸", "zho_Hant")
    assert not is_off_script("42", "srp_Cyrl")
    assert str(LanguageTokens().use(["риба", "riba", "пас"], "SR")) == "native: srp_Cyrl; 1 labels in another script"


def test_santali_is_written_in_ol_chiki_whatever_its_token_is_called() -> None:
    labels = ["ᱦᱟᱹᱛᱤ", "ᱠᱩᱞ"]
    assert str(LanguageTokens("strict").use(labels, "SAT")) == "native: sat_Beng"
    assert is_off_script("হাতি", "sat_Beng")


def test_policies_for_languages_without_a_token() -> None:
    texts = ["Schlei", "Hecht"]
    assert LanguageTokens("fallback").of(texts, "ALS") == ["eng_Latn", "eng_Latn"]
    assert str(LanguageTokens("fallback").use(texts, "ALS")) == "fallback: eng_Latn"
    with pytest.raises(LanguageSkipped, match="ALS"):
        LanguageTokens("skip").of(texts, "ALS")
    with pytest.raises(ValueError, match="ALS"):
        LanguageTokens("strict").of(texts, "ALS")
    with pytest.raises(ValueError, match="2 of 3 labels are not in the script"):
        LanguageTokens("strict").use(["riba", "pas", "нос"], "SR")
    assert str(LanguageTokens("strict").use(["riba", "пас", "нос"], "SR")).startswith("native: srp_Cyrl")
    assert LanguageTokens("strict").of(["a photo of a пас", "a photo of a нос"], "SR") == ["srp_Cyrl"] * 2
    with pytest.raises(ValueError, match="strict, skip, fallback"):
        LanguageTokens("guess")


def nllb_folder(folder: Path, *, legacy: bool = False, **config: Any) -> Path:
    """An NLLB text tower and tokenizer, tiny, as `nllb-clip-base` has them."""
    from transformers import M2M100Config, NllbTokenizer

    folder.mkdir()
    specials = {"<s>": 0, "<pad>": 1, "</s>": 2, "<unk>": 3}
    letters = sorted({char for text in tiny.TEXTS for char in text.replace(" ", "▁")} | {"▁"})
    vocabulary = specials | {letter: 4 + i for i, letter in enumerate(letters)}
    tokenizer = NllbTokenizer(vocab=vocabulary, merges=[], legacy_behaviour=legacy)
    tokenizer.save_pretrained(folder)
    size: dict[str, Any] = {"d_model": 32, "encoder_layers": 2, "decoder_layers": 1, "encoder_ffn_dim": 48}
    size |= {"decoder_ffn_dim": 48, "encoder_attention_heads": 2, "decoder_attention_heads": 2}
    M2M100Config(vocab_size=len(tokenizer), max_position_embeddings=128, **size).save_pretrained(folder)
    names = {"hf_model_name": str(folder), "hf_tokenizer_name": str(folder), "hf_proj_type": "linear"}
    return tiny.open_clip_folder(folder, {**names, "hf_pooler_type": "cls_pooler"}, **config)


@pytest.mark.parametrize(("legacy", "images"), [(False, "clip"), (True, "clip"), (False, "siglip")])
def test_nllb_towers_equal_open_clip_set_to_each_language(legacy: bool, images: str, tmp_path: Path) -> None:
    with tiny.small_siglip():
        folder = nllb_folder(tmp_path / "nllb", legacy=legacy, **(tiny.SIGLIP if images == "siglip" else {}))
        model, _, preprocess = open_clip.create_model_and_transforms(f"local-dir:{folder}")
        encoder = load_encoder(f"open_clip:{folder}", device="cpu")
    model.eval()
    tokenizer = open_clip.get_tokenizer(f"local-dir:{folder}")
    assert encoder.uses_language
    texts = ["tench", "Schleie", "a photo of a goldfish.", "large white shark " * 12]
    for code, token in (("DE", "deu_Latn"), ("EN", "eng_Latn"), ("DE", "deu_Latn"), ("ALS", "eng_Latn")):
        tokenizer.tokenizer.src_lang = token  # open_clip's `set_language` is undone by the next call of the tokenizer
        with torch.no_grad():
            expected = model.encode_text(tokenizer(texts))
        assert encoder.tokenize(texts[:1], code)[0] == [i for i in tokenizer(texts[:1])[0].tolist() if i != 1]
        assert tiny.cosines(encoder.encode_texts(texts, code), expected).min() > 0.99999
    with torch.no_grad():
        photos = model.encode_image(torch.stack([preprocess(photo) for photo in tiny.photos()]))
    assert tiny.cosines(encoder.encode_images(tiny.photos()), photos).min() > 0.99999
    german, english = encoder.encode_texts(texts, "DE"), encoder.encode_texts(texts, "EN")
    assert not np.allclose(german, english, rtol=1e-3)


def test_each_chinese_label_has_its_own_token(tmp_path: Path) -> None:
    encoder = load_encoder(f"open_clip:{nllb_folder(tmp_path / 'nllb')}", device="cpu")
    names = encoder._tokenizer.tokenizer.convert_ids_to_tokens(
        [ids[0] for ids in encoder.tokenize(["虎鲸", "大白鯊"], "ZH")]
    )
    assert names == ["zho_Hans", "zho_Hant"]
    assert encoder.token_use(["虎鲸", "大白鯊"], "ZH") == "native: zho_Hans 1, zho_Hant 1"


@pytest.mark.parametrize(
    ("language", "label", "template", "token"),
    [
        ("KU", "kew", "وێنەیەکی زۆر  {} .", "kmr_Latn"),
        ("ZH", "鹎科", "照片裡有許多 {} ", "zho_Hans"),
        ("ZH", "虎鯨", "a photo of a {}.", "zho_Hant"),
        ("SH", "риба", "a photo of a {}.", "srp_Cyrl"),
    ],
)
def test_the_name_in_a_prompt_says_its_token_as_the_row_does(
    language: str, label: str, template: str, token: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoder = load_encoder(f"open_clip:{nllb_folder(tmp_path / 'nllb')}", device="cpu")
    seen: list[str] = []
    put = open_clip_models.marked_ids
    monkeypatch.setattr(
        open_clip_models,
        "marked_ids",
        lambda tokenizer, texts, tokens: (seen.extend(tokens), put(tokenizer, texts, tokens))[1],
    )
    texts = ClassTexts(language, (label,), ((template, 1), ("{}", 2)), "nllb", (0,))
    features = ClassFeatures(encoder)
    features.plan([texts])
    features.ensure(texts)
    assert seen == [token, token]
    assert encoder.token_use([label], language) == f"native: {token}"


def test_the_policy_comes_with_the_model(tmp_path: Path) -> None:
    folder = nllb_folder(tmp_path / "nllb")
    skipping = load_encoder(f"open_clip:{folder}", device="cpu", language_token="skip")
    with pytest.raises(LanguageSkipped):
        skipping.encode_texts(["Schlei"], "ALS")
    reference = load_encoder(f"open_clip:{folder}", device="cpu", reference_mode=True)
    assert reference.fingerprint != skipping.fingerprint
    assert reference.token_use(["虎鲸"], "ZH") == "native: zho_Hant; 1 labels in another script"
