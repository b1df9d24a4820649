"""open_clip's towers through our text path, against open_clip's own plain forward pass at full length."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import pytest
import tiny_models as tiny
import torch

from babel_eval.encoders import load_encoder
from babel_eval.encoders.base import Encoder


def plain(folder: Path, texts: list[str]) -> tuple[Any, torch.Tensor, torch.Tensor]:
    """open_clip as its own documentation calls it."""
    model, _, preprocess = open_clip.create_model_and_transforms(f"local-dir:{folder}")
    tokenizer = open_clip.get_tokenizer(f"local-dir:{folder}")
    model.eval()
    with torch.no_grad():
        images = model.encode_image(torch.stack([preprocess(photo) for photo in tiny.photos()]))
        return model, images, model.encode_text(tokenizer(texts))


def siglip_text(folder: Path) -> dict[str, Any]:
    from transformers import PreTrainedTokenizerFast

    tokens = tiny.unigram_tokenizer(("<pad>", "</s>", "<unk>"), "$A </s>")
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=tokens, pad_token="</s>", eos_token="</s>", unk_token="<unk>")
    tokenizer.save_pretrained(folder)
    return {
        "context_length": 24,
        "vocab_size": tokens.get_vocab_size(),
        "hf_tokenizer_name": str(folder),
        "tokenizer_kwargs": {"clean": "canonicalize"},
        "no_causal_mask": True,
        "proj_bias": True,
        "pool_type": "last",
    }


def xlm_v_text(folder: Path) -> dict[str, Any]:
    tokenizer = tiny.roberta_tokenizer(folder)
    return {
        "context_length": 40,
        "vocab_size": len(tokenizer),
        "hf_tokenizer_name": str(folder),
        "pool_type": "eos",
        "eos_id": 2,
    }


def eos_text(folder: Path) -> dict[str, Any]:
    """A causal tower that pools the end token, with a tokenizer that pads with that token too."""
    from transformers import PreTrainedTokenizerFast

    tokens = tiny.unigram_tokenizer(("<s>", "</s>", "<unk>"), "<s> $A </s>")
    names = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "pad_token": "</s>"}
    PreTrainedTokenizerFast(tokenizer_object=tokens, **names).save_pretrained(folder)
    return {
        "context_length": 40,
        "vocab_size": tokens.get_vocab_size(),
        "hf_tokenizer_name": str(folder),
        "pool_type": "eos",
        "eos_id": 1,
    }


def xlm_roberta_text(folder: Path) -> dict[str, Any]:
    tokenizer = tiny.roberta_tokenizer(folder)
    tiny.xlm_roberta_config(folder, len(tokenizer))
    return {
        "context_length": 40,
        "hf_model_name": str(folder),
        "hf_tokenizer_name": str(folder),
        "hf_pooler_type": "mean_pooler",
        "hf_proj_type": "mlp",
    }


def mt5_text(folder: Path) -> dict[str, Any]:
    from transformers import MT5Config, PreTrainedTokenizerFast

    tokens = tiny.unigram_tokenizer(("<pad>", "</s>", "<unk>"), "$A </s>")
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=tokens, pad_token="<pad>", eos_token="</s>", unk_token="<unk>")
    tokenizer.save_pretrained(folder)
    size = {"d_model": 32, "d_ff": 48, "d_kv": 16, "num_layers": 2, "num_heads": 2}
    MT5Config(vocab_size=tokens.get_vocab_size(), **size).save_pretrained(folder)
    return {"hf_model_name": str(folder), "hf_tokenizer_name": str(folder), "hf_pooler_type": "mean_pooler"}


TOWERS = {
    "clip": (lambda folder: {"context_length": 77, "vocab_size": 49408}, {}, True),
    "clip, quick gelu": (lambda folder: {"context_length": 77, "vocab_size": 49408}, {"quick_gelu": True}, True),
    "custom text": (lambda folder: {"context_length": 32, "vocab_size": 49408}, {"custom_text": True}, True),
    "bidirectional": (
        lambda folder: {"context_length": 77, "vocab_size": 49408, "no_causal_mask": True},
        {"custom_text": True},
        False,
    ),
    "xlm-v, causal": (xlm_v_text, {}, True),
    "padded with its end": (eos_text, {}, False),
    "siglip": (siglip_text, tiny.SIGLIP, False),
    "xlm-r": (xlm_roberta_text, {}, True),
    "mt5": (mt5_text, {}, True),
    "coca": (
        lambda folder: {"context_length": 20, "vocab_size": 49408, "embed_cls": True, "output_tokens": True},
        {
            "custom_text": True,
            "vision_cfg": {**tiny.IMAGES, "attentional_pool": True, "attn_pooler_heads": 2, "output_tokens": True},
            "multimodal_cfg": {"width": 32, "heads": 2, "layers": 1, "context_length": 20},
        },
        False,
    ),
}


@pytest.fixture(autouse=True)
def small_towers() -> Iterator[None]:
    with tiny.small_siglip():
        yield


@pytest.mark.parametrize("shares", [True, False], ids=["sharing beginnings", "padded"])
@pytest.mark.parametrize("kind", TOWERS)
def test_features_equal_open_clips_own_forward_pass(
    kind: str, shares: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both ways: beginnings shared on a CPU, and padded to the batch as on cards, under `--compile` and in training."""
    make_text, config, is_cut = TOWERS[kind]
    tmp_path.joinpath("model").mkdir()
    folder = tiny.open_clip_folder(tmp_path / "model", make_text(tmp_path / "model"), **config)
    texts = list(tiny.TEXTS)
    _, images, expected = plain(folder, texts)
    encoder = load_encoder(f"open_clip:{folder}", device="cpu")
    if not shares:
        monkeypatch.setattr(type(encoder), "shares_prefixes", False)
    if kind == "siglip":
        assert type(encoder._clip.visual.trunk.attn_pool).__name__ == "AttentionPoolLatent"
    assert isinstance(encoder, Encoder)
    lengths = {len(one) for one in encoder.tokenize(texts, "DE")}
    assert (len(lengths) > 3) is is_cut, "short texts are cut where the tower allows it, and only there"
    got = encoder.encode_texts(texts, "DE")
    if kind == "coca":  # its own encode functions normalise
        images, expected = images * 3, expected * 3
    assert got.dtype == np.float32
    assert got.shape == (len(texts), encoder.dim)
    assert tiny.cosines(got, expected).min() > 0.99999
    assert tiny.cosines(encoder.encode_images(tiny.photos()), images).min() > 0.99999
    if kind != "coca":
        np.testing.assert_allclose(got, expected.numpy(), rtol=1e-3, atol=1e-4)


def test_a_model_of_the_hub_is_read_from_the_clients_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tiny.open_clip_folder(tmp_path / "model", {})
    tiny.hub_cache(tmp_path / "cache", "some-org/some-clip", folder)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    _, images, texts = plain(folder, list(tiny.TEXTS))
    encoder = load_encoder("open_clip:hf-hub:some-org/some-clip", device="cpu")
    assert tiny.cosines(encoder.encode_texts(tiny.TEXTS, "DE"), texts).min() > 0.99999
    assert tiny.cosines(encoder.encode_images(tiny.photos()), images).min() > 0.99999
    assert encoder.model == "open_clip:hf-hub:some-org/some-clip"
    with pytest.raises(ValueError, match="could not load 'hf-hub:some-org/none'"):
        load_encoder("open_clip:hf-hub:some-org/none", device="cpu")


def test_features_differ_between_texts(tmp_path: Path) -> None:
    encoder = load_encoder(f"open_clip:{tiny.open_clip_folder(tmp_path, {})}", device="cpu")
    features = encoder.encode_texts(["tench", "Schleie"], "DE")
    assert not np.allclose(features[0], features[1], rtol=0.05)


def test_no_text_and_no_photo_give_no_rows(tmp_path: Path) -> None:
    encoder = load_encoder(f"open_clip:{tiny.open_clip_folder(tmp_path, {})}", device="cpu")
    assert encoder.encode_texts([], "DE").shape == (0, 24)
    assert encoder.encode_images([]).shape == (0, 24)


def test_equal_texts_are_computed_once(tmp_path: Path) -> None:
    encoder = load_encoder(f"open_clip:{tiny.open_clip_folder(tmp_path, {})}", device="cpu")
    seen: list[int] = []
    encoder.text_model.register_forward_hook(lambda _, __, features: seen.append(len(features)))
    features = encoder.encode_texts(["tench", "TENCH", "tench", "carp"], "EN")  # CLIP's tokenizer lower-cases
    assert sum(seen) == 2
    np.testing.assert_array_equal(features[0], features[2])


def test_padding_computed_is_little(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    encoder = load_encoder(f"open_clip:{tiny.open_clip_folder(tmp_path, {})}", device="cpu")
    texts = [" ".join(["fish"] * (1 + i % 40)) + f" {i}" for i in range(120)]
    sizes: list[int] = []
    forward = encoder.forward_texts
    monkeypatch.setattr(encoder, "forward_texts", lambda ids, mask: (sizes.append(ids.numel()), forward(ids, mask))[1])
    encoder.token_budget = 512
    monkeypatch.setattr(type(encoder), "shares_prefixes", False)
    encoder.encode_texts(texts, "EN")
    needed = sum(map(len, encoder.tokenize(texts, "EN")))
    assert needed <= sum(sizes) < 1.15 * needed


def test_gradients_flow_to_the_text_tower_and_not_to_the_image_tower(tmp_path: Path) -> None:
    encoder = load_encoder(f"open_clip:{tiny.open_clip_folder(tmp_path, {})}", device="cpu")
    encoder.text_model.requires_grad_(True)
    encoder.forward_texts(*encoder.collate(encoder.tokenize(["tench"], "EN"))).sum().backward()
    assert encoder.text_model.token_embedding.weight.grad.abs().sum() > 0
    names = [name for name, _ in encoder.text_model.named_parameters()]
    assert names
    assert not [name for name in names if "visual" in name]


def test_encoding_leaves_the_towers_mode_as_it_was(tmp_path: Path) -> None:
    encoder = load_encoder(f"open_clip:{tiny.open_clip_folder(tmp_path, {})}", device="cpu")
    encoder.text_model.train()
    encoder.encode_texts(["tench"], "EN")
    assert encoder.text_model.training
    assert encoder.text_model.ln_final.training


@pytest.fixture
def tiny_architecture(monkeypatch: pytest.MonkeyPatch) -> str:
    """An architecture that open_clip knows by name."""
    config = {"embed_dim": 24, "vision_cfg": tiny.IMAGES, "text_cfg": tiny.TEXT}
    monkeypatch.setitem(open_clip.factory._MODEL_CONFIGS, "ViT-tiny", config)
    return "ViT-tiny"


def test_random_weights_are_the_same_each_time_and_say_so(tiny_architecture: str) -> None:
    first, second = (load_encoder(f"open_clip:{tiny_architecture}@random", device="cpu") for _ in range(2))
    assert first.random_weights
    assert first.fingerprint == second.fingerprint
    np.testing.assert_array_equal(first.encode_texts(["tench"], "EN"), second.encode_texts(["tench"], "EN"))


def test_loading_random_weights_leaves_the_global_seed_alone(tiny_architecture: str) -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    load_encoder(f"open_clip:{tiny_architecture}@random", device="cpu")
    assert torch.equal(torch.rand(3), expected)


def test_fingerprint_follows_weights_dtype_and_preprocessing(tmp_path: Path) -> None:
    base = tiny.open_clip_folder(tmp_path / "a", {})
    same = tiny.open_clip_folder(tmp_path / "b", {})
    other = tiny.open_clip_folder(tmp_path / "c", {}, seed=1)
    prints = [load_encoder(f"open_clip:{f}", device="cpu") for f in (base, same, other)]
    assert prints[0].fingerprint == prints[1].fingerprint != prints[2].fingerprint
    half = load_encoder(f"open_clip:{base}", device="cpu", dtype="bf16")
    assert half.fingerprint != prints[0].fingerprint
    assert half.text_fingerprint == prints[0].text_fingerprint
    config = base / "open_clip_config.json"
    config.write_text(config.read_text().replace('"size": 32', '"size": 32, "interpolation": "bilinear"'))
    changed = load_encoder(f"open_clip:{base}", device="cpu")
    assert changed.image_fingerprint != prints[0].image_fingerprint
    assert changed.text_fingerprint == prints[0].text_fingerprint


@pytest.mark.parametrize(
    ("old", "new", "sides"),
    [
        ('"embed_dim"', '"quick_gelu": true, "embed_dim"', {"image", "text"}),
        ('"head_width": 16', '"head_width": 8', {"image"}),
        ('"image_size"', '"pool_type": "avg", "image_size"', {"image"}),
        ('"heads": 2', '"heads": 4', {"text"}),
        ('"heads"', '"no_causal_mask": true, "heads"', {"text"}),
    ],
)
def test_what_a_configuration_says_beside_the_weights_is_told_apart(
    old: str, new: str, sides: set[str], tmp_path: Path
) -> None:
    """The same weights compute something else with another activation, number of heads, pooling or mask."""
    folder = tiny.open_clip_folder(tmp_path, {})
    before: Any = load_encoder(f"open_clip:{folder}", device="cpu")
    config = folder / "open_clip_config.json"
    config.write_text(config.read_text().replace(old, new))
    after: Any = load_encoder(f"open_clip:{folder}", device="cpu")
    moved = {
        "image": not np.allclose(before.encode_images(tiny.photos()), after.encode_images(tiny.photos()), rtol=1e-4),
        "text": not np.allclose(before.encode_texts(tiny.TEXTS, "EN"), after.encode_texts(tiny.TEXTS, "EN"), rtol=1e-4),
    }
    assert {side for side, has in moved.items() if has} == sides
    assert (after.image_fingerprint != before.image_fingerprint) is ("image" in sides)
    assert after.fingerprint != before.fingerprint


@pytest.mark.parametrize("dtype", ["bf16", "fp16"])
def test_half_precision_stays_near(dtype: str, tmp_path: Path) -> None:
    folder = tiny.open_clip_folder(tmp_path, {})
    _, images, texts = plain(folder, list(tiny.TEXTS))
    encoder = load_encoder(f"open_clip:{folder}", device="cpu", dtype=dtype)
    assert next(encoder.text_model.parameters()).dtype == {"bf16": torch.bfloat16, "fp16": torch.float16}[dtype]
    assert tiny.cosines(encoder.encode_texts(tiny.TEXTS, "DE"), texts).min() > 0.999
    assert tiny.cosines(encoder.encode_images(tiny.photos()), images).min() > 0.999


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("", "open_clip:NAME@TAG"),
        ("ViT-B-23@openai", "ViT-B-32"),
        ("ViT-B-32", "laion2b_s34b_b79k"),
        ("ViT-B-32@laion3b", "laion2b_s34b_b79k"),
    ],
)
def test_unknown_names_say_what_there_is(name: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        load_encoder(f"open_clip:{name}", device="cpu")


def test_openai_weights_are_computed_with_quick_gelu() -> None:
    from babel_eval.encoders.open_clip_models import _resolve

    assert _resolve("ViT-B-32@openai") == ("ViT-B-32", {"pretrained": "openai", "force_quick_gelu": True})
    assert _resolve("ViT-B-32@laion2b_s34b_b79k")[1]["force_quick_gelu"] is False


def test_a_folder_without_weights_is_refused(tmp_path: Path) -> None:
    folder = tiny.open_clip_folder(tmp_path, {})
    (folder / "open_clip_model.safetensors").unlink()
    with pytest.raises(ValueError, match="no weights"):
        load_encoder(f"open_clip:{folder}", device="cpu")
    (folder / "open_clip_config.json").unlink()
    with pytest.raises(ValueError, match=r"open_clip_config\.json"):
        load_encoder(f"open_clip:{folder}", device="cpu")


def test_a_pickle_that_runs_code_is_refused(tmp_path: Path) -> None:
    import pickle

    folder = tiny.open_clip_folder(tmp_path / "model", {})
    (folder / "open_clip_model.safetensors").unlink()
    mark = tmp_path / "was-run"

    class Evil:
        def __reduce__(self):
            return (Path.touch, (mark,))

    (folder / "open_clip_pytorch_model.bin").write_bytes(pickle.dumps({"state_dict": Evil()}))
    with pytest.raises(ValueError, match="could not load"):
        load_encoder(f"open_clip:{folder}", device="cpu")
    assert not mark.exists()
