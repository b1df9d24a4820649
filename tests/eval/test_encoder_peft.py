"""Adapters on the text tower: the same features as PEFT gives, photos untouched, another base refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import peft
import pytest
import test_encoder_m_clip as m_clip
import test_encoder_nllb as nllb
import test_encoder_transformers as hugging_face
import tiny_models as tiny
import torch

from babel_eval.encoders import load_encoder
from babel_eval.encoders.base import Encoder
from babel_eval.encoders.peft_adapters import adapter_record, write_record

BLOCKS = r".*resblocks\.\d+\.attn|.*c_fc|.*q_proj|.*fc1|.*query|.*q_lin"


def trained(base: str, folder: Path, **config: object) -> np.ndarray:
    """Write an adapter that changes something; give the features that PEFT itself computes with it."""
    encoder = load_encoder(base, device="cpu")
    model = peft.get_peft_model(encoder.text_model, peft.LoraConfig(r=4, target_modules=BLOCKS, **config))
    torch.manual_seed(2)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                parameter.copy_(torch.randn_like(parameter))
    model.save_pretrained(str(folder))
    write_record(folder, adapter_record(encoder, ["LO"], objective="mse"))
    with torch.inference_mode():
        return model.eval()(*encoder.collate(encoder.tokenize(tiny.TEXTS, "LO"))).numpy()


@pytest.fixture(params=["open_clip", "transformers", "nllb", "m-clip", "sentence-transformers"])
def base(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "open_clip":
        return f"open_clip:{tiny.open_clip_folder(tmp_path / 'base', {})}"
    if request.param == "nllb":
        return f"open_clip:{nllb.nllb_folder(tmp_path / 'base')}"
    if request.param == "m-clip":
        m_clip.published(tmp_path / "base")
        return f"m-clip:{tmp_path / 'base'}+images:open_clip:{tiny.open_clip_folder(tmp_path / 'images', {})}"
    if request.param == "sentence-transformers":
        sentence = pytest.importorskip("test_encoder_sentence")
        sentence.text_model(tmp_path)
        sentence.clip_model(tmp_path)
        return f"sentence-transformers:{tmp_path / 'text'}+images:{tmp_path / 'images'}"
    return f"transformers:{hugging_face.saved('clip', tmp_path / 'base')}"


def test_texts_are_adapted_and_photos_bit_identical(base: str, tmp_path: Path) -> None:
    expected = trained(base, tmp_path / "adapter")
    plain, adapted = load_encoder(base, device="cpu"), load_encoder(f"{base}+peft:{tmp_path / 'adapter'}", device="cpu")
    assert isinstance(adapted, Encoder)
    got = adapted.encode_texts(tiny.TEXTS, "LO")
    assert tiny.cosines(got, torch.tensor(expected)).min() > 0.99999
    assert not np.allclose(got, plain.encode_texts(tiny.TEXTS, "LO"), rtol=0.02)
    np.testing.assert_array_equal(adapted.encode_images(tiny.photos()), plain.encode_images(tiny.photos()))
    assert adapted.image_fingerprint == plain.image_fingerprint
    assert adapted.fingerprint != plain.fingerprint
    assert adapted.parameters > plain.parameters
    assert adapted.model == f"{base}+peft:{tmp_path / 'adapter'}"
    assert adapted.adapter["languages"] == ["LO"]


def test_the_hub_is_not_asked_for_the_base_of_an_adapter_that_is_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = f"transformers:{hugging_face.saved('clip', tmp_path / 'base')}"
    trained(base, tmp_path / "adapter")
    config = tmp_path / "adapter" / "adapter_config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"base_model_name_or_path": "org/base"}))
    asked: list[str] = []
    monkeypatch.setattr(peft.utils.save_and_load, "check_file_exists_on_hf_hub", lambda name, _: asked.append(name))
    load_encoder(f"{base}+peft:{tmp_path / 'adapter'}", device="cpu")
    assert asked == []


def test_the_fingerprint_follows_the_adapters_weights(tmp_path: Path) -> None:
    base = f"open_clip:{tiny.open_clip_folder(tmp_path / 'base', {})}"
    trained(base, tmp_path / "adapter")
    first = load_encoder(f"{base}+peft:{tmp_path / 'adapter'}", device="cpu").fingerprint
    assert first == load_encoder(f"{base}+peft:{tmp_path / 'adapter'}", device="cpu").fingerprint
    trained(base, tmp_path / "other", lora_alpha=16, bias="all")
    assert first != load_encoder(f"{base}+peft:{tmp_path / 'other'}", device="cpu").fingerprint


def test_the_fingerprint_follows_what_an_adapter_does_with_its_weights(tmp_path: Path) -> None:
    base, folder = f"open_clip:{tiny.open_clip_folder(tmp_path / 'base', {})}", tmp_path / "adapter"
    trained(base, folder)
    first = load_encoder(f"{base}+peft:{folder}", device="cpu")
    config = folder / "adapter_config.json"
    known = json.loads(config.read_text())
    config.write_text(json.dumps(known | {"lora_alpha": 2 * known["lora_alpha"]}))
    other = load_encoder(f"{base}+peft:{folder}", device="cpu")
    assert not np.allclose(first.encode_texts(tiny.TEXTS, "LO"), other.encode_texts(tiny.TEXTS, "LO"))
    assert first.fingerprint != other.fingerprint
    config.write_text(json.dumps(known | {"base_model_name_or_path": "org/other", "peft_version": "0.1"}))
    assert first.fingerprint == load_encoder(f"{base}+peft:{folder}", device="cpu").fingerprint


def test_another_base_is_refused_and_both_are_named(tmp_path: Path) -> None:
    base = f"open_clip:{tiny.open_clip_folder(tmp_path / 'base', {})}"
    other = f"open_clip:{tiny.open_clip_folder(tmp_path / 'other', {}, seed=9)}"
    trained(base, tmp_path / "adapter")
    with pytest.raises(ValueError, match=f"trained on {base}.*not on {other}"):
        load_encoder(f"{other}+peft:{tmp_path / 'adapter'}", device="cpu")


def test_another_dtype_of_the_base_is_the_same_base(tmp_path: Path) -> None:
    base = f"open_clip:{tiny.open_clip_folder(tmp_path / 'base', {})}"
    expected = trained(base, tmp_path / "adapter")
    adapted = load_encoder(f"{base}+peft:{tmp_path / 'adapter'}", device="cpu", dtype="bf16")
    assert tiny.cosines(adapted.encode_texts(tiny.TEXTS, "LO"), torch.tensor(expected)).min() > 0.998


def test_a_folder_that_is_no_adapter_says_what_is_missing(tmp_path: Path) -> None:
    base = f"open_clip:{tiny.open_clip_folder(tmp_path / 'base', {})}"
    trained(base, tmp_path / "adapter")
    record = tmp_path / "adapter" / "babel_adapter.json"
    content = json.loads(record.read_text())
    record.write_text(json.dumps({**content, "base_fingerprint": ""}))
    with pytest.raises(ValueError, match="does not say base_fingerprint"):
        load_encoder(f"{base}+peft:{tmp_path / 'adapter'}", device="cpu")
    record.unlink()
    with pytest.raises(ValueError, match=r"lacks babel_adapter\.json"):
        load_encoder(f"{base}+peft:{tmp_path / 'adapter'}", device="cpu")
    with pytest.raises(ValueError, match="a folder or a repository"):
        load_encoder(f"{base}+peft:", device="cpu")


def test_an_unknown_kind_of_adapter_says_what_to_import(tmp_path: Path) -> None:
    base = f"open_clip:{tiny.open_clip_folder(tmp_path / 'base', {})}"
    trained(base, tmp_path / "adapter")
    config = tmp_path / "adapter" / "adapter_config.json"
    config.write_text(config.read_text().replace('"LORA"', '"SOMETHING"'))
    with pytest.raises(ValueError, match="import babel_adapters"):
        load_encoder(f"{base}+peft:{tmp_path / 'adapter'}", device="cpu")


def test_an_encoder_without_a_text_tower_takes_no_adapter(tmp_path: Path) -> None:
    from babel_eval.encoders.stored import save_features

    one = (np.ones((1, 4), np.float32), np.array([3]))
    save_features(tmp_path / "features", one, {("label", "DE"): one})
    with pytest.raises(ValueError, match="no text tower"):
        load_encoder(f"features:{tmp_path / 'features'}+peft:{tmp_path}", device="cpu")
