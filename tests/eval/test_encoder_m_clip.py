"""M-CLIP's text towers read from their published form, against the same towers put together by hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_models as tiny
import torch
from safetensors.torch import save_file
from torch import nn
from transformers import XLMRobertaModel

from babel_eval.encoders import load_encoder
from babel_eval.encoders.base import Encoder
from babel_eval.encoders.m_clip import IMAGE_TOWERS


def published(folder: Path) -> tuple[Any, nn.Module, nn.Linear]:
    """A folder as M-CLIP's repositories are: a base that `config.json` names, and one state dict of both parts."""
    base = folder / "base"
    base.mkdir(parents=True)
    tokenizer = tiny.roberta_tokenizer(folder, longest=64)
    torch.manual_seed(0)  # the same weights, whatever ran before
    transformer = tiny.shaken(XLMRobertaModel(tiny.xlm_roberta_config(base, len(tokenizer))))
    linear = nn.Linear(32, 24)
    config = {"modelBase": str(base), "numDims": 24, "transformerDimensions": 32, "model_type": "M-CLIP"}
    (folder / "config.json").write_text(json.dumps(config))
    state = {f"transformer.{k}": v for k, v in transformer.state_dict().items()}
    state |= {f"LinearTransformation.{k}": v for k, v in linear.state_dict().items()}
    state["transformer.embeddings.position_ids"] = torch.arange(66)[None]
    torch.save(state, folder / "pytorch_model.bin")
    return tokenizer, transformer, linear


@torch.no_grad()
def by_hand(tokenizer: Any, transformer: nn.Module, linear: nn.Linear) -> torch.Tensor:
    inputs = tokenizer(list(tiny.TEXTS), padding=True, truncation=True, return_tensors="pt")
    inputs.pop("token_type_ids", None)
    states, mask = transformer(**inputs)[0], inputs["attention_mask"]
    return linear((states * mask.unsqueeze(2)).sum(dim=1) / mask.sum(dim=1)[:, None])


@pytest.fixture
def images(tmp_path: Path) -> Path:
    return tiny.open_clip_folder(tmp_path / "images", {})


@pytest.mark.parametrize("form", ["pytorch_model.bin", "model.safetensors"])
def test_features_equal_the_towers_put_together_by_hand(form: str, images: Path, tmp_path: Path) -> None:
    folder = tmp_path / "text"
    parts = published(folder)
    if form == "model.safetensors":
        save_file(torch.load(folder / "pytorch_model.bin", weights_only=True), folder / form)
        (folder / "pytorch_model.bin").unlink()
    encoder = load_encoder(f"m-clip:{folder}+images:open_clip:{images}", device="cpu")
    assert isinstance(encoder, Encoder)
    assert encoder.source == "m-clip"
    assert tiny.cosines(encoder.encode_texts(tiny.TEXTS, "DE"), by_hand(*parts)).min() > 0.99999
    plain = load_encoder(f"open_clip:{images}", device="cpu")
    np.testing.assert_array_equal(encoder.encode_images(tiny.photos()), plain.encode_images(tiny.photos()))
    assert encoder.image_fingerprint == plain.image_fingerprint
    assert encoder.parameters == plain.parameters + sum(p.numel() for part in parts[1:] for p in part.parameters())


def test_a_head_beside_the_weights_is_taken(images: Path, tmp_path: Path) -> None:
    """The oldest towers: BERT's own repository, and the linear layer in a file of its own."""
    folder = tmp_path / "text"
    tokenizer, transformer, linear = published(folder)
    (folder / "pytorch_model.bin").unlink()
    transformer.config.save_pretrained(folder)
    save_file({f"bert.{k}": v for k, v in transformer.state_dict().items()}, folder / "model.safetensors")
    with pytest.raises(ValueError, match=r"head\.safetensors"):
        load_encoder(f"m-clip:{folder}+images:open_clip:{images}", device="cpu")
    save_file(linear.state_dict(), folder / "head.safetensors")
    encoder = load_encoder(f"m-clip:{folder}+images:open_clip:{images}", device="cpu")
    expected = by_hand(tokenizer, transformer, linear)
    assert tiny.cosines(encoder.encode_texts(tiny.TEXTS, "DE"), expected).min() > 0.99999


def test_weights_that_lack_a_layer_are_refused(images: Path, tmp_path: Path) -> None:
    published(tmp_path / "text")
    state = torch.load(tmp_path / "text" / "pytorch_model.bin", weights_only=True)
    del state["transformer.encoder.layer.1.output.dense.weight"]
    torch.save(state, tmp_path / "text" / "pytorch_model.bin")
    with pytest.raises(ValueError, match=r"encoder\.layer\.1\.output\.dense\.weight"):
        load_encoder(f"m-clip:{tmp_path / 'text'}+images:open_clip:{images}", device="cpu")


def test_widths_must_agree(tmp_path: Path) -> None:
    published(tmp_path / "text")
    images = tiny.open_clip_folder(tmp_path / "wide", {}, embed_dim=40)
    with pytest.raises(ValueError, match=r"24 wide.* 40"):
        load_encoder(f"m-clip:{tmp_path / 'text'}+images:open_clip:{images}", device="cpu")


def test_an_unknown_tower_asks_for_its_images(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"\+images:open_clip:"):
        load_encoder(f"m-clip:{tmp_path}", device="cpu")


def test_image_towers_are_models_of_open_clip() -> None:
    import open_clip

    known = {f"open_clip:{name}@{tag}" for name, tag in open_clip.list_pretrained()}
    assert set(IMAGE_TOWERS.values()) <= known
