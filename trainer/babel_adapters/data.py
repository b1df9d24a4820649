"""All that a training needs of its pairs, ready: what is left out, what is held out, tokens, frozen features."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from babel_adapters.captions import read_pairs, split_by_english
from babel_adapters.frozen import MAX_UNREADABLE_SHARE, english_features, photo_features
from babel_adapters.leakage import without_leaks
from babel_adapters.pairs import Columns, Pair, PairSet
from babel_adapters.recalls import retrieval_captions
from babel_adapters.words import EMOJI_LANGUAGES, MAKE_CLDR
from babel_eval.encoders.base import unknown_token
from babel_eval.store import FeatureStore

if TYPE_CHECKING:
    from babel_adapters.objectives import Batch
    from babel_eval.encoders.base import TorchEncoder


@dataclass(frozen=True, eq=False)
class TrainingData:
    """Pairs with their tokens and the frozen features they are trained towards.

    Attributes:
      source: the pairs as read, with what was left out.
      fingerprint: of the pairs as read, those included whose images did not open.
      pairs: pairs trained on, then those held out.
      n_train: how many are trained on.
      tokens: token ids of each distinct target caption.
      target_id: int64 [n_pairs], row in `tokens`.
      english_id: int64 [n_pairs], row in `english`; zeros without English captions.
      english: frozen features of the distinct English captions, float32 [n, dim]; None where none are needed.
      image_id: int64 [n_pairs], row in `images`.
      images: frozen features of the distinct images, float32 [n, dim]; None where none are needed.
      unknown_share: share of target tokens that the tokenizer does not know, 0..1.
      use_bank: whether all English captions serve as negatives.
    """

    source: PairSet
    fingerprint: str
    pairs: tuple[Pair, ...]
    n_train: int
    tokens: list[list[int]]
    target_id: np.ndarray
    english_id: np.ndarray
    english: torch.Tensor | None
    image_id: np.ndarray
    images: torch.Tensor | None
    unknown_share: float
    use_bank: bool

    @property
    def held_out(self) -> np.ndarray:
        """Numbers of the pairs that are held out."""
        return np.arange(self.n_train, len(self.pairs))

    def lengths(self) -> list[int]:
        """Give the number of tokens of each pair that is trained on."""
        return [len(self.tokens[row]) for row in self.target_id[: self.n_train]]

    def batch(self, rows: np.ndarray, target: torch.Tensor) -> Batch:
        """Give what the objectives see of pairs, next to their adapted features [n, dim]."""
        from babel_adapters.objectives import Batch

        device = target.device
        english_id = torch.as_tensor(self.english_id[rows], device=device)
        image_id = torch.as_tensor(self.image_id[rows], device=device)
        return Batch(
            target=target,
            target_id=torch.as_tensor(self.target_id[rows], device=device),
            english=None if self.english is None else self.english[english_id],
            english_id=english_id,
            image=None if self.images is None else self.images[image_id],
            image_id=image_id,
            **self._bank(rows, device),
        )

    def _bank(self, rows: np.ndarray, device: torch.device) -> dict[str, torch.Tensor]:
        """Give every caption that is trained on as a negative, all of them in a check, and those that are none."""
        if not self.use_bank or self.english is None:
            return {}
        trains = bool((rows < self.n_train).all())
        n = int(self.english_id[: self.n_train].max()) + 1 if trains else len(self.english)
        same = np.zeros((len(rows), n), dtype=bool)
        for place, row in enumerate(rows):
            paired = self._english_of[int(self.target_id[row])]
            same[place, [caption for caption in paired if caption < n]] = True
        return {"bank": self.english[:n], "bank_same": torch.as_tensor(same, device=device)}

    @cached_property
    def _english_of(self) -> dict[int, list[int]]:
        """The numbers of the English captions that the data pairs with each target caption, by its number."""
        paired: dict[int, list[int]] = defaultdict(list)
        for target, caption in zip(self.target_id.tolist(), self.english_id.tolist(), strict=True):
            paired[target].append(caption)
        return paired


def training_data(config: Any, encoder: TorchEncoder, language: str, labels: Sequence[str]) -> TrainingData:
    """Read, filter, split and tokenize pairs, and get their frozen features.

    Args:
      config: a `TrainConfig`.
      encoder: the base, without an adapter.
      language: BabelNet's code of the target language.
      labels: all labels of the evaluated language.

    Raises:
      ValueError: what `read_pairs`, `without_leaks` and `photo_features` refuse; too many unknown tokens; no pair left.
    """
    needs_images, needs_english = needs(config)
    source = allowed_pairs(config, language, labels)
    store, fingerprint = store_of(config), source.fingerprint
    images, image_id, source = _images(encoder, source, store) if needs_images else (None, None, source)
    train, held_out = split_by_english(source.pairs, config.hold_out, config.seed)
    if len(train) < 2:
        raise ValueError(f"{source.name}: {len(train)} pairs are left to train on; at least 2 are needed")
    pairs = (*train, *held_out)
    targets, target_id = _numbered([pair.target for pair in pairs])
    tokens = encoder.tokenize(targets, language)
    unknown = _check_unknown(config, encoder, language, tokens)
    captions, english_id = _numbered([pair.english or "" for pair in pairs])
    # A closed form works on states, not on features.
    wants_features = needs_english and config.method != "linear"
    english = english_features(encoder, captions, store) if wants_features else None
    return TrainingData(
        source=source,
        fingerprint=fingerprint,
        pairs=pairs,
        n_train=len(train),
        tokens=tokens,
        target_id=target_id,
        english_id=english_id,
        english=None if english is None else torch.tensor(english, device=encoder.device),
        image_id=np.zeros(len(pairs), dtype=np.int64) if image_id is None else _image_rows(pairs, image_id),
        images=None if images is None else torch.tensor(images, device=encoder.device),
        unknown_share=unknown,
        use_bank=wants_features and 0 < len(captions) <= config.bank,
    )


def needs(config: Any) -> tuple[bool, bool]:
    """Tell whether a training's objectives need images, and whether they need English captions."""
    return "lit" in config.weights, bool({"mse", "text-contrastive"} & set(config.weights))


def allowed_pairs(config: Any, language: str, labels: Sequence[str]) -> PairSet:
    """Read a language's pairs, and leave out those that the leakage rule forbids.

    English captions are read wherever the data has them, whatever the objective: the rule `strict` looks at them.
    """
    needs_images, needs_english = needs(config)
    columns = Columns(
        target=config.target_column,
        english=config.english_column,
        image=config.image_column if needs_images else None,
        # `lit` can do without; but a column that was named must be there.
        needs_english=needs_english or config.english_column != Columns.english,
    )
    name = resolve_data(config.train_data, language)
    source = read_pairs(
        name, language, columns=columns, limit=config.limit, streaming=config.streaming, keywords=config.keywords
    )
    if needs_images:
        source = _with_images(source)
    return without_leaks(
        source,
        labels,
        config.leakage,
        language=language,
        captions=retrieval_captions(config.eval_retrieval, language),
        english_captions=retrieval_captions(config.eval_retrieval, "EN"),
    )


def _with_images(source: PairSet) -> PairSet:
    """Leave out the pairs without an image, of which there may be one in a hundred."""
    kept = [pair for pair in source.pairs if pair.image is not None]
    n = len(source.pairs) - len(kept)
    if not kept:
        raise ValueError(f"--objective lit needs images, and {source.name} has none")
    if n > MAX_UNREADABLE_SHARE * len(source.pairs):
        raise ValueError(
            f"{source.name}: {n} of {len(source.pairs)} pairs have no image, more than {MAX_UNREADABLE_SHARE:.0%}; "
            "--objective lit needs one for each"
        )
    return source.without("no image", kept, n)


def resolve_data(data: str, language: str) -> str:
    """Put the language into a form of `--train-data`, and decide what `auto` is: emoji where it has the language.

    Raises:
      FileNotFoundError: emoji does not have the language, and there is no folder `cldr` here or one level up.
    """
    if data != "auto":
        return data.replace("{language}", language.lower())
    if language in EMOJI_LANGUAGES:
        return "emoji"
    for folder in (Path("cldr"), Path("../cldr")):
        if folder.is_dir():
            return f"cldr:{folder}"
    raise FileNotFoundError(
        f"the package emoji has no names in {language}, and there is no folder cldr here: {MAKE_CLDR}, or name your "
        "own captions with --train-data"
    )


def unknown_share(encoder: Any, language: str, tokens: Sequence[Sequence[int]]) -> float:
    """Give the share of tokens, 0..1, that stand for what the tokenizer does not know; 0 for tokenizers of bytes.

    Tokens that even an empty text has (beginning, end, padding, a model's prefix) do not count.

    Raises:
      TypeError: the encoder says nowhere which token that is.
    """
    unknown = unknown_id(encoder)
    if unknown is None:
        return 0.0
    frame = {*encoder.tokenize([""], language)[0]} - {unknown}
    own = [token for text in tokens for token in text if token not in frame]
    return own.count(unknown) / max(len(own), 1)


def unknown_id(encoder: Any) -> int | None:
    """Give the token for what a tokenizer does not know; None for a tokenizer of bytes, which knows everything.

    Raises:
      TypeError: the encoder has neither `unknown_id` nor a tokenizer that could be asked.
    """
    if hasattr(encoder, "unknown_id"):
        return encoder.unknown_id
    if getattr(encoder, "_tokenizer", None) is None:
        raise TypeError(f"{type(encoder).__name__} must say which token is unknown_id, None where there is none")
    return unknown_token(encoder._tokenizer)


def _check_unknown(config: Any, encoder: Any, language: str, tokens: Sequence[Sequence[int]]) -> float:
    share = unknown_share(encoder, language, tokens)
    if share > config.max_unknown and not config.force:
        raise ValueError(
            f"the tokenizer of {encoder.model} does not know {share:.0%} of the tokens in {language}, more than "
            f"{config.max_unknown:.0%}: choose a base that knows the language, or train anyway with --force"
        )
    return share


def _images(
    encoder: TorchEncoder, source: PairSet, store: FeatureStore
) -> tuple[np.ndarray, dict[str | bytes, int], PairSet]:
    """Give features of the distinct images, their rows by image, and the pairs whose image opens."""
    distinct = list(dict.fromkeys(pair.image for pair in source.pairs if pair.image is not None))
    features, problems = photo_features(encoder, distinct, store)
    row_of = {image: row for row, image in enumerate(distinct)}
    kept = [pair for pair in source.pairs if pair.image is not None and row_of[pair.image] not in problems]
    return features, row_of, source.without("image does not open", kept, len(source.pairs) - len(kept))


def _image_rows(pairs: Sequence[Pair], row_of: dict[str | bytes, int]) -> np.ndarray:
    return np.array([row_of[pair.image] for pair in pairs if pair.image is not None], dtype=np.int64)


def _numbered(texts: Sequence[str]) -> tuple[list[str], np.ndarray]:
    """Give distinct texts in order of their first place, and the number of each text among them."""
    number = {text: row for row, text in enumerate(dict.fromkeys(texts))}
    return list(number), np.array([number[text] for text in texts], dtype=np.int64)


def store_of(config: Any) -> FeatureStore:
    """Give the store that a training keeps features in."""
    from babel_eval.store import default_store

    return FeatureStore(config.store or default_store())
