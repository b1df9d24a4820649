"""What the runner asks of a model: one small Protocol, and the base class that most families share."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np

from babel_eval.encoders.batching import Halving, encode_in_batches, token_batches
from babel_eval.encoders.fingerprints import fingerprint_of
from babel_eval.encoders.prefixes import prefix_batches

if TYPE_CHECKING:
    import torch
    from PIL import Image


@runtime_checkable
class Encoder(Protocol):
    """A dual encoder: photos and texts into one space, where cosine says what belongs together.

    Attributes:
      model: the model string that the user gave, e.g. `open_clip:ViT-B-32@laion2b_s34b_b79k`.
      source: the family's name in result files (`openclip`, `conse`, `transformers`, …).
      parameters: number of parameters of both towers.
      dim: width of the common space.
      device: where it runs, as torch names it (`cpu`, `cuda:0`, `mps`).
      fingerprint: 64 hex digits over everything that determines features: weights, how they are computed with, dtype,
        preprocessing, tokenizer. Two encoders of equal fingerprint give equal features.
      uses_language: True when `encode_texts` gives another feature for the same text in another language.
    """

    model: str
    source: str
    parameters: int
    dim: int
    device: str
    fingerprint: str
    uses_language: bool

    def preprocess(self, image: Image.Image) -> torch.Tensor:
        """Turn one RGB photo into the tower's input, float32 [channels, height, width]; safe in worker threads."""
        ...

    def encode_pixels(self, pixels: torch.Tensor) -> np.ndarray:
        """Give raw (not normalised) features, float32 [n_images, dim], of a batch of `preprocess` outputs."""
        ...

    def encode_images(self, images: Sequence[Image.Image]) -> np.ndarray:
        """Give raw (not normalised) features, float32 [n_images, dim], of photos in the order given."""
        ...

    def encode_texts(self, texts: Sequence[str], language: str, names: Sequence[str] | None = None) -> np.ndarray:
        """Give raw (not normalised) features, float32 [n_texts, dim], of texts in the order given.

        Any number of texts: the encoder sorts and batches them itself. `language` is BabelNet's code (`DE`), used
        by towers whose tokenizer must know the language (`uses_language`); `names` are the class names within texts
        that are prompts, whose script then says which token a text gets, whatever words stand around them.
        """
        ...


class LanguageSkipped(ValueError):  # noqa: N818  (no mistake of the user's: a policy)
    """A language that the user asked to leave out where the model has no token for it."""


class TorchEncoder:
    """What the torch families share; a family fills in `preprocess`, `forward_pixels`, `tokenize` and `text_model`.

    Attributes:
      text_model: the text tower and nothing of the image tower (what a PEFT adapter wraps), called as
        `text_model(input_ids, attention_mask)` and giving raw features [n_texts, dim].
      pad_id: the token that fills a batch up to its longest text.
      full_length: None where the tower is exact at any length (texts are padded to the longest of their batch); else
        the length at which the tower was trained, and to which every text is padded.
      image_fingerprint: 64 hex digits over what determines the features of photos alone. An adapter on the text side
        leaves it as it was, so stored photo features stay good.
      text_fingerprint: 64 hex digits over the text tower's weights and tokenizer, whatever the dtype: what an adapter
        was trained on.
      random_weights: True where the weights were drawn, not learnt (benchmarks); results must say so.
      reference_normalises_texts: False for families whose text features the reference runner leaves at their lengths.
      keeps_text_lengths: True where `imitate_reference` asked for those lengths.
      compiled: True after `compile`.
    """

    uses_language = False
    random_weights = False
    reference_normalises_texts = True
    keeps_text_lengths = False
    compiled = False
    dim: int
    device: str
    fingerprint: str
    image_fingerprint: str
    text_fingerprint: str
    text_model: torch.nn.Module
    _dtype: torch.dtype
    pad_id: int = 0
    full_length: int | None = None
    _autocast = False

    def imitate_reference(self) -> None:
        """Compute as the reference runner does: texts keep the lengths it leaves them, and fp16 by autocast on CUDA.

        Language tokens are chosen apart (`use_tokens`).
        """
        self.keeps_text_lengths = not self.reference_normalises_texts
        self._autocast = self.device.startswith("cuda")
        self.fingerprint = fingerprint_of(self.fingerprint, "reference mode", self._autocast)
        if self._autocast:
            self.image_fingerprint = fingerprint_of(self.image_fingerprint, "autocast")

    def compile(self) -> None:
        """Compile both towers with `torch.compile`; the first batches then take long, and features move a little."""
        import torch

        self.compiled = True
        self.fingerprint = fingerprint_of(self.fingerprint, "compiled")
        self.image_fingerprint = fingerprint_of(self.image_fingerprint, "compiled")
        self._compiled_pixels = torch.compile(self.forward_pixels)
        self._compiled_texts = torch.compile(self.forward_texts, dynamic=True)

    @contextmanager
    def _computing(self) -> Iterator[None]:
        import torch

        autocast = torch.autocast("cuda", torch.float16) if self._autocast else nullcontext()
        with torch.inference_mode(), autocast:
            yield

    @property
    def shares_prefixes(self) -> bool:
        """True where beginnings that texts share are computed once: causal towers with a `tree_of`, on a CPU.

        There a product takes as long as it has numbers. On a card a tree of a few hundred nodes is too small to fill
        it, and a large one attends mostly to what it may not see.
        """
        fits = self.device == "cpu" and not self.compiled and self.full_length is None
        return fits and hasattr(self.text_model, "tree_of")

    @cached_property
    def token_budget(self) -> int:
        """Most tokens a batch of texts holds, padding counted: on a CPU what its caches hold, else what fills a card.

        Tried on ViT-B-32 and two cores (`benchmarks/README.md`): 512 tokens were 3.3 times as fast as 16,384.
        """
        return 512 if self.device == "cpu" else 16_384

    @cached_property
    def _text_halving(self) -> Halving:
        return Halving()

    @cached_property
    def _image_halving(self) -> Halving:
        return Halving()

    def preprocess(self, image: Image.Image) -> torch.Tensor:
        """Turn one RGB photo into the tower's input, float32 [channels, height, width]."""
        raise TypeError(f"{type(self).__name__} must define preprocess")

    def forward_pixels(self, pixels: torch.Tensor) -> torch.Tensor:
        """Give raw features [n_images, dim] of a batch of `preprocess` outputs, already on the device and cast."""
        raise TypeError(f"{type(self).__name__} must define forward_pixels")

    def encode_pixels(self, pixels: torch.Tensor) -> np.ndarray:
        """Give raw features, float32 [n_images, dim], of a batch of `preprocess` outputs; no photo gives [0, dim].

        A batch that does not fit into memory is halved and tried again.
        """
        if not len(pixels):
            return np.zeros((0, self.dim), dtype=np.float32)
        rows = list(range(len(pixels)))
        return self._image_halving.run(rows, lambda some: self._encode_pixels(pixels[some]))

    def _encode_pixels(self, pixels: torch.Tensor) -> np.ndarray:
        import torch

        forward = self._compiled_pixels if self.compiled else self.forward_pixels
        with self._computing():
            features = forward(pixels.to(device=self.device, dtype=getattr(self, "_dtype", torch.float32)))
        return features.float().cpu().numpy()

    def encode_images(self, images: Sequence[Image.Image]) -> np.ndarray:
        """Give raw features, float32 [n_images, dim], of photos in the order given; no photo gives [0, dim]."""
        import torch

        if not images:
            return np.zeros((0, self.dim), dtype=np.float32)
        return self.encode_pixels(torch.stack([self.preprocess(image.convert("RGB")) for image in images]))

    def tokenize(self, texts: Sequence[str], language: str) -> list[list[int]]:
        """Give the token ids of each text, special tokens included; padded only where `full_length` is set."""
        raise TypeError(f"{type(self).__name__} must define tokenize")

    def tokenize_prompts(self, texts: Sequence[str], language: str, names: Sequence[str]) -> list[list[int]]:
        """Give the token ids of prompts around names; the names count where tokens say what language a text is in."""
        return self.tokenize(texts, language)

    def collate(self, tokens: Sequence[Sequence[int]]) -> tuple[torch.Tensor, torch.Tensor]:
        """Give `input_ids` and `attention_mask`, int64 [n_texts, longest or full_length], on the encoder's device."""
        import torch

        length = max([self.full_length or 0, *map(len, tokens)])
        ids = torch.full((len(tokens), length), self.pad_id, dtype=torch.long)
        mask = torch.zeros((len(tokens), length), dtype=torch.long)
        for row, one in enumerate(tokens):
            ids[row, : len(one)] = torch.tensor(one, dtype=torch.long)
            mask[row, : len(one)] = 1
        return ids.to(self.device), mask.to(self.device)

    def forward_texts(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        """Give raw features [n_texts, dim] of a `collate`d batch; gradients flow where the caller wants them."""
        return self.text_model(input_ids, attention_mask)

    def without_adapter(self) -> AbstractContextManager[Any]:
        """Give a context in which texts are encoded as the base does, whatever adapter is on."""
        disable = getattr(self.text_model, "disable_adapter", None)
        return disable() if disable is not None else nullcontext()

    def encode_texts(self, texts: Sequence[str], language: str, names: Sequence[str] | None = None) -> np.ndarray:
        """Give raw features, float32 [n_texts, dim], of texts in the order given.

        Texts of equal tokens are computed once, and so is what texts share at their start where `shares_prefixes`; else
        they go through the tower in batches of like length. The tower computes in evaluation mode, whatever mode it was
        in, and without gradients.
        """
        rows: dict[tuple[int, ...], int] = {}
        ids = self.tokenize(texts, language) if names is None else self.tokenize_prompts(texts, language, names)
        where = [rows.setdefault(tuple(one), len(rows)) for one in ids]
        distinct = list(rows)
        lengths = [max(len(one), self.full_length or 0) for one in distinct]
        batches = prefix_batches(distinct) if self.shares_prefixes else token_batches(lengths, self.token_budget)
        with evaluating(self.text_model):
            features = encode_in_batches(
                batches,
                lengths,
                self.dim,
                lambda places: self._encode_tokens([distinct[i] for i in places]),
                self._text_halving,
            )
        return features[where]

    def _encode_tokens(self, tokens: Sequence[Sequence[int]]) -> np.ndarray:
        forward = self._compiled_texts if self.compiled else self.forward_texts
        with self._computing():
            if self.shares_prefixes:
                tree = self.text_model.tree_of(tokens)  # type: ignore[operator]
                features = self.text_model(tree.ids, tree=tree)
            else:
                features = forward(*self.collate(tokens))
            return features.float().cpu().numpy()


@contextmanager
def evaluating(module: torch.nn.Module) -> Iterator[None]:
    """Hold a module in evaluation mode (no dropout), and give each of its parts its own mode back after."""
    modes = [(part, part.training) for part in module.modules()]
    module.eval()
    try:
        yield
    finally:
        for part, mode in modes:
            part.training = mode


def torch_dtype(dtype: str) -> torch.dtype:
    """Give torch's name of `fp32`, `bf16` or `fp16`.

    Raises:
      ValueError: it is none of the three.
    """
    import torch

    known = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
    if dtype not in known:
        raise ValueError(f"dtype {dtype!r} is unknown; allowed: {', '.join(known)}")
    return known[dtype]


def choose_device(device: str | None) -> str:
    """Give the device to run on: the one asked for, else CUDA, else MPS, else the CPU.

    Raises:
      ValueError: torch does not know the device, or this machine does not have it.
    """
    import torch

    available = ["cpu"]
    if torch.backends.mps.is_available():
        available.insert(0, "mps")
    if torch.cuda.is_available():
        available.insert(0, "cuda")
    if device is None:
        return available[0]
    try:
        wanted = torch.device(device)
    except RuntimeError as error:
        raise ValueError(f"device {device!r} is unknown to torch; here there is: {', '.join(available)}") from error
    too_high = wanted.type == "cuda" and (wanted.index or 0) >= torch.cuda.device_count()
    if wanted.type not in available or too_high:
        raise ValueError(f"device {device!r} is not on this machine; here there is: {', '.join(available)}")
    return str(wanted)


def unknown_token(tokenizer: Any) -> int | None:
    """Give the token for what a tokenizer does not know; None for byte pairs, which have none, or the end of text."""
    inner = getattr(tokenizer, "tokenizer", tokenizer)  # a processor of photos and texts has its tokenizer inside
    unknown = getattr(inner, "unk_token_id", None)
    return None if unknown in (None, getattr(inner, "eos_token_id", None)) else int(unknown)
