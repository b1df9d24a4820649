"""Texts a second through our text path and through open_clip's own, side by side on the same machine.

    python benchmarks/texts.py --model ViT-B-32 --texts 10000 --baseline 512

Labels of Babel-ImageNet, eighteen languages in turn; random weights of seed 0 (speed does not depend on them).
open_clip pads every text to 77 tokens, so its speed does not depend on which texts it gets: it is timed on
`--baseline` of them, and both paths' features of those are compared. The two take turns, and medians are reported.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from itertools import chain, zip_longest

import numpy as np

LANGUAGES = ("DE", "FR", "RU", "ZH", "TR", "SW", "LO", "AR", "FI", "HI", "JA", "PL", "HU", "KO", "EL", "VI", "CS", "BG")


def labels_of(n: int) -> list[str]:
    """Give distinct labels of eighteen languages, in turn, until there are n (or no more)."""
    from babel_imagenet_dataset.release import load_labels

    languages = load_labels(None).languages
    turns = zip_longest(*(languages[code].labels for code in LANGUAGES if code in languages))
    return list(dict.fromkeys(label for label in chain.from_iterable(turns) if label is not None))[:n]


def baseline_of(clip: object, texts: Sequence[str], tokenizer: Callable, batch: int) -> np.ndarray:
    """Run open_clip's own path: tokenize, pad to the context length, encode."""
    import torch

    with torch.inference_mode():
        blocks = [clip.encode_text(tokenizer(list(texts[i : i + batch]))) for i in range(0, len(texts), batch)]  # type: ignore[attr-defined]
    return torch.cat(blocks).numpy()


def timed(function: Callable[[], np.ndarray]) -> tuple[np.ndarray, float]:
    start = time.perf_counter()
    return function(), time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="ViT-B-32")
    parser.add_argument("--texts", type=int, default=10_000)
    parser.add_argument("--baseline", type=int, default=512, help="texts for open_clip's own path")
    parser.add_argument("--batch", type=int, default=64, help="texts a batch of open_clip's own path")
    parser.add_argument("--rounds", type=int, default=8, help="turns between the two paths; medians are reported")
    options = parser.parse_args()

    from babel_eval.encoders import load_encoder

    encoder = load_encoder(f"open_clip:{options.model}@random", device="cpu")
    texts = labels_of(options.texts)
    lengths = [len(one) for one in encoder.tokenize(texts, "DE")]  # type: ignore[attr-defined]
    encoder.encode_texts(texts[:8], "DE")
    order = np.random.default_rng(0).permutation(len(texts))
    ratios, rates, cosines = [], [], []
    for some in np.array_split(order, options.rounds):  # side by side: another process slows both alike
        part = [texts[i] for i in some]
        sample = part[: max(1, options.baseline // options.rounds)]
        ours, our_time = timed(lambda part=part: encoder.encode_texts(part, "DE"))  # type: ignore[misc]
        theirs, their_time = timed(
            lambda sample=sample: baseline_of(encoder._clip, sample, encoder._tokenizer, options.batch)
        )  # type: ignore[attr-defined,misc]
        rates.append((len(part) / our_time, len(sample) / their_time))
        ratios.append(rates[-1][0] / rates[-1][1])
        same = ours[: len(sample)]
        cosines.append((same * theirs).sum(1) / np.linalg.norm(same, axis=1) / np.linalg.norm(theirs, axis=1))
    our_rate, their_rate = np.median(rates, axis=0)
    cosine = np.concatenate(cosines)
    ratio, most = np.median(ratios), encoder._tokenizer.context_length / np.mean(lengths)  # type: ignore[attr-defined]
    print(f"{options.model}: {len(texts)} texts, {np.mean(lengths):.1f} tokens on average")
    print("| ours | open_clip | ratio | floor | lowest cosine |\n|---|---|---|---|---|")
    print(f"| {our_rate:.0f}/s | {their_rate:.1f}/s | {ratio:.1f} | {most:.1f} | {cosine.min():.7f} |")


if __name__ == "__main__":
    main()
