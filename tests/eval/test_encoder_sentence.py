"""sentence-transformers' models through our text path, against its own `encode`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_models as tiny
import torch
from transformers import CLIPConfig, CLIPImageProcessor, CLIPModel, CLIPProcessor, PreTrainedTokenizerFast

pytest.importorskip("sentence_transformers", reason='needs pip install "babel-imagenet[sentence-transformers]"')
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Dense, Pooling, Transformer

from babel_eval.encoders import load_encoder
from babel_eval.encoders.base import Encoder

SIZE: dict[str, Any] = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "projection_dim": 24,
}


def text_model(folder: Path) -> SentenceTransformer:
    """DistilBERT, a mean over tokens, a projection, as clip-ViT-B-32-multilingual-v1 has them."""
    from transformers import DistilBertConfig, DistilBertModel

    base = folder / "base"
    base.mkdir(parents=True)
    tokens = tiny.unigram_tokenizer(("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"), "[CLS] $A [SEP]")
    names = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=tokens, model_max_length=40, **names)
    tokenizer.save_pretrained(base)
    size = {"dim": 32, "hidden_dim": 48, "n_layers": 2, "n_heads": 2, "max_position_embeddings": 40}
    tiny.shaken(DistilBertModel(DistilBertConfig(vocab_size=len(tokenizer), **size))).save_pretrained(base)
    dense = Dense(32, 24, bias=False, activation_function=torch.nn.Identity())
    model = SentenceTransformer(modules=[Transformer(str(base)), Pooling(32), dense], device="cpu")
    model.max_seq_length = 30
    model.save_pretrained(str(folder / "text"))
    return model


def clip_model(folder: Path) -> SentenceTransformer:
    """Both towers in one module, as clip-ViT-B-32 has them."""
    base = folder / "clip-base"
    base.mkdir(parents=True)
    tokens = tiny.unigram_tokenizer(("<s>", "<pad>", "</s>", "<unk>"), "<s> $A </s>", lower=True)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=tokens, pad_token="<pad>", eos_token="</s>", unk_token="<unk>", model_max_length=40
    )
    text = {**SIZE, "vocab_size": len(tokenizer), "max_position_embeddings": 40, "eos_token_id": 2, "pad_token_id": 1}
    config = CLIPConfig(text_config=text, vision_config={**SIZE, "image_size": 32, "patch_size": 8}, projection_dim=24)
    tiny.shaken(CLIPModel(config)).save_pretrained(base)
    images = CLIPImageProcessor(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32})
    CLIPProcessor(images, tokenizer).save_pretrained(base)
    model = SentenceTransformer(modules=[Transformer(str(base))], device="cpu")
    model.save_pretrained(str(folder / "images"))
    return model


def test_a_text_model_with_its_image_model_equals_encode(tmp_path: Path) -> None:
    texts, images = text_model(tmp_path), clip_model(tmp_path)
    encoder = load_encoder(f"sentence-transformers:{tmp_path / 'text'}+images:{tmp_path / 'images'}", device="cpu")
    assert isinstance(encoder, Encoder)
    assert encoder.dim == 24
    expected = torch.tensor(texts.encode(list(tiny.TEXTS)))
    assert tiny.cosines(encoder.encode_texts(tiny.TEXTS, "DE"), expected).min() > 0.99999
    photos = torch.tensor(images.encode(tiny.photos()))
    assert tiny.cosines(encoder.encode_images(tiny.photos()), photos).min() > 0.99999


def test_a_model_of_both_towers_equals_encode(tmp_path: Path) -> None:
    model = clip_model(tmp_path)
    encoder = load_encoder(f"sentence-transformers:{tmp_path / 'images'}", device="cpu")
    expected = torch.tensor(model.encode(list(tiny.TEXTS)))
    assert tiny.cosines(encoder.encode_texts(tiny.TEXTS, "DE"), expected).min() > 0.99999
    before = encoder.encode_images(tiny.photos())
    assert tiny.cosines(before, torch.tensor(model.encode(tiny.photos()))).min() > 0.99999
    names = [name for name, _ in encoder.text_model.named_parameters()]
    assert names
    assert not [name for name in names if "vis" in name]
    with torch.no_grad():
        for parameter in encoder.text_model.parameters():
            parameter.zero_()
    np.testing.assert_array_equal(encoder.encode_images(tiny.photos()), before)


def test_the_multilingual_models_images_come_from_its_teacher() -> None:
    from babel_eval.encoders.sentence_models import image_model_of

    assert image_model_of("clip-ViT-B-32-multilingual-v1") == "clip-ViT-B-32"
    assert image_model_of("sentence-transformers/clip-ViT-B-32-multilingual-v1") == "clip-ViT-B-32"
    assert image_model_of("clip-ViT-L-14") == "clip-ViT-L-14"


def test_a_missing_model_says_so(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="could not load"):
        load_encoder(f"sentence-transformers:{tmp_path}", device="cpu")


def test_a_model_of_texts_alone_asks_for_its_images(tmp_path: Path) -> None:
    text_model(tmp_path)
    with pytest.raises(ValueError, match=r"takes no photos.*\+images:"):
        load_encoder(f"sentence-transformers:{tmp_path / 'text'}", device="cpu")


def test_the_token_for_what_is_not_known_is_the_tokenizers_own(tmp_path: Path) -> None:
    text_model(tmp_path), clip_model(tmp_path)
    encoder: Any = load_encoder(f"sentence-transformers:{tmp_path / 'text'}+images:{tmp_path / 'images'}", device="cpu")
    assert encoder.unknown_id == 1
    assert encoder.unknown_id in encoder.tokenize(["ᏣᎳᎩ"], "CHR")[0]
    both: Any = load_encoder(f"sentence-transformers:{tmp_path / 'images'}", device="cpu")
    assert both.unknown_id in both.tokenize(["ᏣᎳᎩ"], "CHR")[0]


@pytest.mark.parametrize("end", [None, 2])
def test_byte_pairs_know_everything(end: int | None) -> None:
    from types import SimpleNamespace

    from babel_eval.encoders.base import unknown_token

    assert unknown_token(SimpleNamespace(unk_token_id=end, eos_token_id=2)) is None


@pytest.mark.parametrize("include", [True, False])
def test_a_prompt_that_the_model_puts_before_every_text_is_put_there(include: bool, tmp_path: Path) -> None:
    """E5 and its kin name one in their configuration; some do not pool its tokens."""
    clip_model(tmp_path)
    model = text_model(tmp_path)
    bare = model.encode(list(tiny.TEXTS))
    model.prompts, model.default_prompt_name = {"name": "a photo of "}, "name"
    model[1].include_prompt = include
    model.save_pretrained(str(tmp_path / "text"))
    expected = SentenceTransformer(str(tmp_path / "text"), device="cpu").encode(list(tiny.TEXTS))
    assert not np.allclose(bare, expected, rtol=1e-3)
    encoder = load_encoder(f"sentence-transformers:{tmp_path / 'text'}+images:{tmp_path / 'images'}", device="cpu")
    assert tiny.cosines(encoder.encode_texts(tiny.TEXTS, "DE"), torch.tensor(expected)).min() > 0.99999


def test_what_is_done_to_photos_before_the_tower_is_told_apart(tmp_path: Path) -> None:
    clip_model(tmp_path)
    before: Any = load_encoder(f"sentence-transformers:{tmp_path / 'images'}", device="cpu")
    files = [path for path in (tmp_path / "images").rglob("*.json") if "image_mean" in path.read_text()]
    assert files
    for path in files:
        path.write_text(path.read_text().replace('"resample": 3', '"resample": 0'))
    after: Any = load_encoder(f"sentence-transformers:{tmp_path / 'images'}", device="cpu")
    assert not np.allclose(before.encode_images(tiny.photos()), after.encode_images(tiny.photos()), rtol=1e-3)
    assert before.image_fingerprint != after.image_fingerprint
    assert before.text_fingerprint == after.text_fingerprint
