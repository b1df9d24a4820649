"""Tiny models of real architectures, with random weights and real tokenizers, in folders that libraries read."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from safetensors.torch import save_file
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers

TEXTS = (
    "tench", "Schleie", "a photo of a goldfish.", "虎鲸", "大白鯊", "Катран, или акула", "ปลา", "ስልክ",
    "سمكة القرش الأبيض", "large white shark (Carcharodon carcharias)", "Ω", "naïve",
    "an unusually long label of very many words " * 4, "ニシキヘビ", "Tench", "  spaced   out ", "o'clock {braces}",
)  # fmt: skip
SIZE = 32
IMAGES: dict[str, Any] = {"image_size": SIZE, "width": 32, "layers": 2, "head_width": 16, "patch_size": 8}
TEXT: dict[str, Any] = {"width": 32, "heads": 2, "layers": 2}
# SigLIP's image tower in open_clip, all but its size: timm's blocks, an attention that pools, and no projection.
SIGLIP = {
    "embed_dim": 64,
    "custom_text": True,
    "init_logit_bias": -10,
    "vision_cfg": {
        "image_size": SIZE,
        "timm_model_name": "vit_base_patch16_siglip_224",
        "timm_model_pretrained": False,
        "timm_pool": "map",
        "timm_proj": "none",
    },
}


def photos(n: int = 5) -> list[Image.Image]:
    """Photos of different sizes and shapes."""
    rng = np.random.default_rng(3)
    sizes = [(40 + 17 * i, 96 - 11 * i, 3) for i in range(n)]
    return [Image.fromarray(rng.integers(0, 255, size, dtype=np.uint8)) for size in sizes]


def cosines(ours: np.ndarray, theirs: torch.Tensor) -> np.ndarray:
    """Cosine of each row of one with the same row of the other."""
    a, b = ours.astype(np.float64), theirs.detach().double().numpy()
    return (a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)


def shaken(model: torch.nn.Module) -> torch.nn.Module:
    """Make random weights large enough that features depend on every token, and biases matter."""
    torch.manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.15)
    return model.eval()


def unigram_tokenizer(specials: Sequence[str], template: str, *, lower: bool = False) -> Tokenizer:
    """A SentencePiece-like tokenizer trained on the texts of the tests."""
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFKC(), *([normalizers.Lowercase()] if lower else [])])
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    unknown = "<unk>" if "<unk>" in specials else "[UNK]"
    trainer = trainers.UnigramTrainer(vocab_size=150, special_tokens=list(specials), unk_token=unknown)
    tokenizer.train_from_iterator(TEXTS, trainer)
    pairs = [(token, specials.index(token)) for token in specials if token in template.split()]
    tokenizer.post_processor = processors.TemplateProcessing(single=template, special_tokens=pairs)
    return tokenizer


def roberta_tokenizer(folder: Path, longest: int = 60) -> Any:
    """An XLM-R tokenizer (`<s> … </s>`, padding 1) in a folder."""
    from transformers import PreTrainedTokenizerFast

    tokens = unigram_tokenizer(("<s>", "<pad>", "</s>", "<unk>"), "<s> $A </s>")
    names = {"bos_token": "<s>", "eos_token": "</s>", "cls_token": "<s>", "sep_token": "</s>"}
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=tokens, pad_token="<pad>", unk_token="<unk>", model_max_length=longest, **names
    )
    tokenizer.save_pretrained(folder)
    return tokenizer


@contextmanager
def small_siglip() -> Iterator[None]:
    """timm's SigLIP tower at a hundredth of its size, wherever it is built."""
    import timm.models.vision_transformer as towers

    real = towers._create_vision_transformer
    sizes = {"embed_dim": 64, "depth": 2, "num_heads": 2, "patch_size": 8, "img_size": SIZE}

    def small(name: str, **arguments: Any) -> Any:
        return real(name, **{**arguments, **sizes})

    towers._create_vision_transformer = small
    try:
        yield
    finally:
        towers._create_vision_transformer = real


def hub_cache(folder: Path, repository: str, content: Path) -> None:
    """Put a model's folder where the Hub's client keeps what it fetched."""
    place, revision = folder / f"models--{repository.replace('/', '--')}", "0" * 40
    (place / "refs").mkdir(parents=True)
    (place / "refs" / "main").write_text(revision)
    shutil.copytree(content, place / "snapshots" / revision)


def open_clip_folder(folder: Path, text: dict[str, Any], *, seed: int = 0, **config: Any) -> Path:
    """A folder that `open_clip` reads as `local-dir:`, its weights random."""
    import open_clip

    folder.mkdir(parents=True, exist_ok=True)
    text = {**text, **({} if "hf_model_name" in text else {**TEXT, **text})}
    config = {"embed_dim": 24, "vision_cfg": IMAGES, "text_cfg": text, **config}
    model_config = json.dumps({"model_cfg": config, "preprocess_cfg": {"size": SIZE}})
    (folder / "open_clip_config.json").write_text(model_config)
    torch.manual_seed(seed)
    model = open_clip.create_model(f"local-dir:{folder}", pretrained_text=False)
    save_file(shaken(model).state_dict(), folder / "open_clip_model.safetensors")
    return folder


def xlm_roberta_config(folder: Path, vocabulary: int) -> Any:
    """A tiny XLM-R as a base that `AutoConfig` finds in the folder."""
    from transformers import XLMRobertaConfig

    config = XLMRobertaConfig(
        vocab_size=vocabulary,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=48,
        max_position_embeddings=66,
        pad_token_id=1,
        bos_token_id=0,
        eos_token_id=2,
        type_vocab_size=1,
    )
    config.save_pretrained(folder)
    return config
