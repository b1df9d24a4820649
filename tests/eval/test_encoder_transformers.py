"""transformers' dual encoders through our text path, against each model's own plain forward pass."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_models as tiny
import torch
import transformers
from safetensors.torch import load_file, save_file
from transformers import PreTrainedTokenizerFast

from babel_eval.encoders import load_encoder
from babel_eval.encoders.base import Encoder
from babel_eval.encoders.transformers_models import tensor_of

SIZE: dict[str, Any] = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "projection_dim": 24,
}
VISION: dict[str, Any] = {**SIZE, "image_size": 32, "patch_size": 8}
CLIP_IMAGES = {"size": {"shortest_edge": 32}, "crop_size": {"height": 32, "width": 32}}
SQUARE = {"size": {"height": 32, "width": 32}}


def clip_like(folder: Path, kind: str) -> Any:
    tokens = tiny.unigram_tokenizer(("<s>", "<pad>", "</s>", "<unk>"), "<s> $A </s>", lower=True)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=tokens, pad_token="<pad>", eos_token="</s>", unk_token="<unk>", model_max_length=40
    )
    text = {**SIZE, "vocab_size": len(tokenizer), "max_position_embeddings": 40, "eos_token_id": 2, "pad_token_id": 1}
    names = {"clip": ("CLIPConfig", "CLIPModel"), "metaclip_2": ("MetaClip2Config", "MetaClip2Model")}[kind]
    if kind == "clip":  # any other eos than 2, by which old checkpoints are known, is looked up by its id
        text["eos_token_id"] = tokens.token_to_id("</s>")
    config = getattr(transformers, names[0])(text_config=text, vision_config=VISION, projection_dim=24)
    transformers.CLIPImageProcessor(**CLIP_IMAGES).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return getattr(transformers, names[1])(config)


def siglip(folder: Path) -> Any:
    tokens = tiny.unigram_tokenizer(("<pad>", "</s>", "<unk>"), "$A </s>")
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=tokens, pad_token="</s>", eos_token="</s>", unk_token="<unk>", model_max_length=24
    )
    text = {**SIZE, "vocab_size": len(tokenizer), "max_position_embeddings": 24, "projection_size": 32}
    tokenizer.save_pretrained(folder)
    transformers.SiglipImageProcessor(**SQUARE).save_pretrained(folder)
    return transformers.SiglipModel(transformers.SiglipConfig(text_config=text, vision_config=VISION))


def siglip2(folder: Path) -> Any:
    """NaFlex: photos as a grid of patches whose shape varies."""
    tokens = tiny.unigram_tokenizer(("<pad>", "</s>", "<unk>"), "$A </s>")
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=tokens, pad_token="<pad>", eos_token="</s>", unk_token="<unk>", model_max_length=24
    )
    text = {**SIZE, "vocab_size": len(tokenizer), "max_position_embeddings": 24, "projection_size": 32}
    vision = {**SIZE, "num_patches": 16, "patch_size": 8}
    tokenizer.save_pretrained(folder)
    transformers.Siglip2ImageProcessor(patch_size=8, max_num_patches=16).save_pretrained(folder)
    return transformers.Siglip2Model(transformers.Siglip2Config(text_config=text, vision_config=vision))


def alt_clip(folder: Path) -> Any:
    tokenizer = tiny.roberta_tokenizer(folder, longest=64)
    text = {**SIZE, "vocab_size": len(tokenizer), "max_position_embeddings": 66, "project_dim": 24, "pad_token_id": 1}
    config = transformers.AltCLIPConfig(text_config=text, vision_config=VISION, projection_dim=24)
    transformers.CLIPImageProcessor(**CLIP_IMAGES).save_pretrained(folder)
    return transformers.AltCLIPModel(config)


def chinese_clip(folder: Path) -> Any:
    tokens = tiny.unigram_tokenizer(("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"), "[CLS] $A [SEP]")
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=tokens, pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]", model_max_length=52
    )
    text = {**SIZE, "vocab_size": len(tokenizer), "max_position_embeddings": 52}
    config = transformers.ChineseCLIPConfig(text_config=text, vision_config=VISION, projection_dim=24)
    tokenizer.save_pretrained(folder)
    transformers.ChineseCLIPImageProcessor(**SQUARE, do_center_crop=False).save_pretrained(folder)
    return transformers.ChineseCLIPModel(config)


def align(folder: Path) -> Any:
    """Of no kind that is known by name: computed at full length, with a mask over its padding."""
    tokens = tiny.unigram_tokenizer(("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"), "[CLS] $A [SEP]")
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=tokens, pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]", model_max_length=30
    )
    text = {**SIZE, "vocab_size": len(tokenizer), "max_position_embeddings": 30}
    vision = {"image_size": 32, "width_coefficient": 0.1, "depth_coefficient": 0.2, "hidden_dim": 64}
    config = transformers.AlignConfig(text_config=text, vision_config=vision, projection_dim=32)
    tokenizer.save_pretrained(folder)
    transformers.EfficientNetImageProcessor(**SQUARE).save_pretrained(folder)
    return transformers.AlignModel(config)


MODELS = {
    "clip": (lambda folder: clip_like(folder, "clip"), True),
    "metaclip_2": (lambda folder: clip_like(folder, "metaclip_2"), True),
    "siglip": (siglip, False),
    "siglip2": (siglip2, False),
    "altclip": (alt_clip, True),
    "chinese_clip": (chinese_clip, True),
    "align": (align, True),
}


def saved(kind: str, folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    tiny.shaken(MODELS[kind][0](folder)).save_pretrained(folder)
    return folder


def plain(folder: Path, texts: list[str], is_cut: bool) -> tuple[torch.Tensor, torch.Tensor]:
    """The model as its documentation calls it, every text and photo alone (SigLIP: padded to full length)."""
    model = transformers.AutoModel.from_pretrained(folder).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    processor = transformers.AutoImageProcessor.from_pretrained(folder)
    padding = {} if is_cut else {"padding": "max_length"}
    with torch.no_grad():
        rows = []
        for text in texts:
            inputs = tokenizer([text], return_tensors="pt", truncation=True, **padding)
            inputs.pop("token_type_ids", None)
            if not is_cut:
                inputs.pop("attention_mask")
            rows.append(tensor_of(model.get_text_features(**inputs)))
        images = [
            tensor_of(model.get_image_features(**processor(images=p, return_tensors="pt"))) for p in tiny.photos()
        ]
    return torch.cat(images), torch.cat(rows)


@pytest.mark.parametrize("kind", MODELS)
def test_features_equal_the_models_own_forward_pass(kind: str, tmp_path: Path) -> None:
    folder, is_cut = saved(kind, tmp_path), MODELS[kind][1]
    texts = [text.lower() for text in tiny.TEXTS] if kind == "siglip2" else list(tiny.TEXTS)
    images, expected = plain(folder, texts, is_cut)
    encoder = load_encoder(f"transformers:{folder}", device="cpu")
    assert isinstance(encoder, Encoder)
    got = encoder.encode_texts(tiny.TEXTS, "DE")
    assert got.shape == (len(texts), encoder.dim)
    assert tiny.cosines(got, expected).min() > 0.99999
    assert tiny.cosines(encoder.encode_images(tiny.photos()), images).min() > 0.99999
    assert (encoder.full_length is None) is (is_cut and kind != "align")
    assert not np.allclose(got[0], got[1], rtol=0.02), "the texts of the test are told apart"


@pytest.mark.parametrize("kind", MODELS)
def test_the_text_tower_holds_nothing_of_the_image_tower(kind: str, tmp_path: Path) -> None:
    encoder = load_encoder(f"transformers:{saved(kind, tmp_path)}", device="cpu")
    names = [name for name, _ in encoder.text_model.named_parameters()]
    assert names
    assert not [name for name in names if "vis" in name]
    before = encoder.encode_images(tiny.photos())
    with torch.no_grad():
        for parameter in encoder.text_model.parameters():
            parameter.zero_()
    np.testing.assert_array_equal(encoder.encode_images(tiny.photos()), before)


def test_padding_moves_siglip_so_that_full_length_is_needed(tmp_path: Path) -> None:
    encoder = load_encoder(f"transformers:{saved('siglip', tmp_path)}", device="cpu")
    padded = torch.tensor(encoder.tokenize(["tench"], "EN"))
    cut = padded[:, : int((padded != encoder.pad_id).sum()) + 1]
    with torch.no_grad():
        features = [encoder.text_model(ids).numpy() for ids in (padded, cut)]
    assert tiny.cosines(features[0], torch.tensor(features[1])).max() < 0.999


def test_both_forms_of_return_are_taken() -> None:
    tensor = torch.ones(2, 3)
    output = transformers.modeling_outputs.BaseModelOutputWithPooling(pooler_output=tensor)
    assert tensor_of(tensor) is tensor
    assert tensor_of(output) is tensor


def test_what_cannot_be_loaded_says_why(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    with pytest.raises(ValueError, match="could not load"):
        load_encoder(f"transformers:{tmp_path}", device="cpu")
    with pytest.raises(ValueError, match="ORG/NAME"):
        load_encoder("transformers:", device="cpu")


def test_a_model_that_needs_code_of_its_own_is_refused(tmp_path: Path) -> None:
    config = '{"model_type": "own", "auto_map": {"AutoConfig": "own.Config", "AutoModel": "own.Model"}}'
    (tmp_path / "config.json").write_text(config)
    mark = tmp_path / "was-run"
    (tmp_path / "own.py").write_text(f"open({str(mark)!r}, 'w')\nclass Config: ...\nclass Model: ...\n")
    with pytest.raises(ValueError, match="could not load"):
        load_encoder(f"transformers:{tmp_path}", device="cpu")
    assert not mark.exists()


def test_a_model_without_both_towers_is_refused(tmp_path: Path) -> None:
    tokenizer = tiny.roberta_tokenizer(tmp_path)
    transformers.XLMRobertaModel(tiny.xlm_roberta_config(tmp_path, len(tokenizer))).save_pretrained(tmp_path)
    with pytest.raises(ValueError, match="get_image_features"):
        load_encoder(f"transformers:{tmp_path}", device="cpu")


def flava(folder: Path) -> Any:
    """Gives a feature for every token, and calls its image tower `image_model`."""
    transformers.CLIPImageProcessor(**CLIP_IMAGES).save_pretrained(folder)
    text = {**SIZE, "vocab_size": len(tiny.roberta_tokenizer(folder)), "max_position_embeddings": 60}
    images = {**SIZE, "image_size": 32, "patch_size": 8}
    config = transformers.FlavaConfig(
        text_config=text, image_config=images, multimodal_config=SIZE, hidden_size=32, projection_dim=24
    )
    return transformers.FlavaModel(config)


def test_a_model_without_one_feature_for_a_text_and_a_photo_is_refused(tmp_path: Path) -> None:
    flava(tmp_path).save_pretrained(tmp_path)
    with pytest.raises(ValueError, match=r"FlavaModel does not give one feature for a text.*features:FOLDER"):
        load_encoder(f"transformers:{tmp_path}", device="cpu")


def test_weights_that_would_be_drawn_at_random_are_refused_by_name(tmp_path: Path) -> None:
    """BLIP's retrieval checkpoints and CLIP's classifiers name their projections otherwise, or have none."""
    folder = saved("clip", tmp_path)
    weights = load_file(folder / "model.safetensors")
    for name in ("text_projection.weight", "logit_scale"):
        del weights[name]
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ValueError, match=r"lacks weights of CLIPModel \(text_projection\.weight\)"):
        load_encoder(f"transformers:{folder}", device="cpu")


def test_a_scale_of_scores_may_be_missing_and_weights_of_another_size_may_not(tmp_path: Path) -> None:
    folder = saved("clip", tmp_path)
    weights = load_file(folder / "model.safetensors")
    del weights["logit_scale"]
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    assert load_encoder(f"transformers:{folder}", device="cpu").dim == 24
    weights["text_projection.weight"] = weights["text_projection.weight"][:12]
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ValueError, match="could not load"):
        load_encoder(f"transformers:{folder}", device="cpu")


@pytest.mark.parametrize("side", ["vision", "text"])
def test_an_activation_of_the_configuration_is_told_apart(side: str, tmp_path: Path) -> None:
    """Checkpoints were published with the wrong one and put right later, with the same weights."""
    folder = saved("clip", tmp_path)
    before = load_encoder(f"transformers:{folder}", device="cpu")
    assert load_encoder(f"transformers:{folder}", device="cpu").fingerprint == before.fingerprint
    config = json.loads((folder / "config.json").read_text())
    config[f"{side}_config"]["hidden_act"] = "gelu"
    (folder / "config.json").write_text(json.dumps(config))
    after = load_encoder(f"transformers:{folder}", device="cpu")
    encode = {"vision": lambda one: one.encode_images(tiny.photos()), "text": lambda one: one.encode_texts(["a"], "EN")}
    assert not np.allclose(encode[side](before), encode[side](after), rtol=1e-4)
    assert after.fingerprint != before.fingerprint
    assert (after.image_fingerprint != before.image_fingerprint) is (side == "vision")  # type: ignore[attr-defined]


def test_the_length_at_which_texts_are_cut_is_told_apart(tmp_path: Path) -> None:
    folder = saved("clip", tmp_path)
    before = load_encoder(f"transformers:{folder}", device="cpu")
    config = json.loads((folder / "tokenizer_config.json").read_text())
    (folder / "tokenizer_config.json").write_text(json.dumps({**config, "model_max_length": 5}))
    after = load_encoder(f"transformers:{folder}", device="cpu")
    assert not np.allclose(before.encode_texts(tiny.TEXTS, "EN"), after.encode_texts(tiny.TEXTS, "EN"), rtol=1e-3)
    assert before.fingerprint != after.fingerprint
    assert before.image_fingerprint == after.image_fingerprint  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "error",
    [
        ImportError("\nSiglipTokenizer requires the SentencePiece library but it was not found in your environment."),
        ValueError("`tiktoken` is required to read a `tiktoken` file. Install it with `pip install tiktoken`."),
    ],
)
def test_a_tokenizer_that_only_sentencepiece_reads_says_what_to_install(
    error: Exception, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What transformers says without that package, of SigLIP's tokenizer and of XLM-R's published as one file."""

    def refuse(*_: Any, **__: Any) -> None:
        raise error

    folder = saved("siglip", tmp_path)
    monkeypatch.setattr(transformers.AutoTokenizer, "from_pretrained", refuse)
    with pytest.raises(ImportError, match="pip install sentencepiece"):
        load_encoder(f"transformers:{folder}", device="cpu")
