"""The text tower's file: its tokens against SentencePiece's definition, its weights against a plain forward pass."""

from __future__ import annotations

import math
import unicodedata

import numpy as np
import pytest
import torch

from babel_eval import sample
from babel_eval.encoders.e5_file import E5Tokenizer, load_bert, read_e5_file
from babel_imagenet_dataset.imagenet import english_class_names

TEXTS = ["Schleie", "замок", "ປາ", "タンク", "كَلْب", "Ƚ x", "ku\u02b9s\u01e9\u01e9si\xf5rr", "½ ﬁn", "großer weißer Hai"]


@pytest.fixture(scope="module")
def e5():
    return read_e5_file(sample.e5_weights())


@pytest.fixture(scope="module")
def tokenizer(e5):
    return E5Tokenizer(e5)


def test_ids_are_those_of_xlm_r(tokenizer):
    """Oracle: the ids that fairseq's page on XLM-R gives for these five greetings."""
    known = {
        "Hello world!": [0, 35378, 8999, 38, 2],
        "你好，世界": [0, 6, 124084, 4, 3221, 2],
        "नमस्ते दुनिया": [0, 68700, 97883, 29405, 2],
        "مرحبا بالعالم": [0, 665, 193478, 258, 1705, 77796, 2],
        "Bonjour le monde": [0, 84602, 95, 11146, 2],
    }
    assert tokenizer.encode(list(known)) == list(known.values())
    assert tokenizer.encode([""]) == [[0, 2]]


def test_tokens_are_the_likeliest_split_of_a_text(e5, tokenizer):
    """Oracle: SentencePiece's unigram rule over the whole text, in a loop; a run of unknown characters is one token."""
    score = dict(e5.pieces[4:-1])
    number = {piece: place for place, (piece, _) in enumerate(e5.pieces)}
    unknown = min(score.values()) - 10
    texts = [*TEXTS, *english_class_names()[::40]]
    for text, ids in zip(texts, tokenizer.encode(texts), strict=True):
        marked = "▁" + tokenizer.normalise(text).replace(" ", "▁")
        best: list[tuple[float, tuple[int, ...]]] = [(0.0, ())]
        for end in range(1, len(marked) + 1):
            ways = [(best[end - 1][0] + unknown, (*best[end - 1][1], e5.unk))]
            ways += [
                (best[start][0] + score[piece], (*best[start][1], number[piece]))
                for start in range(max(0, end - 20), end)
                if (piece := marked[start:end]) in score
            ]
            best.append(max(ways, key=lambda way: way[0]))
        split = best[-1][1]
        fused = [i for place, i in enumerate(split) if i != e5.unk or split[place - 1 : place] != (e5.unk,)]
        assert ids == [e5.bos, *fused, e5.eos], text


def test_forms_that_mean_the_same_give_the_same_tokens(tokenizer):
    composed = ["großer Hai", "é è ễ ậ", "한국어", "ガラス", "ѷ"]
    decomposed = [unicodedata.normalize("NFD", text) for text in composed]
    assert tokenizer.encode(decomposed) == tokenizer.encode(composed)
    assert tokenizer.encode(["cat\u200e", "  cat ", "c\x07at", "ｃａｔ"]) == tokenizer.encode(["cat"]) * 4
    assert tokenizer.normalise("می\u200cرود") == "می رود"


def test_marks_are_not_reordered(tokenizer):
    """SentencePiece composes neighbours only; NFC would move the second mark before the first."""
    text = "ש\u05c1\u05bb"
    assert unicodedata.normalize("NFC", text) != text
    assert tokenizer.normalise(text) == text


def test_a_text_beyond_the_towers_positions_is_cut_with_a_warning(tokenizer):
    with pytest.warns(UserWarning, match="1 texts of more than 512 tokens"):
        (ids, short) = tokenizer.encode(["cat " * 600, "cat"])
    assert (len(ids), ids[0], ids[-1], len(short)) == (512, 0, 2, 3)


def test_half_a_surrogate_pair_is_refused(tokenizer):
    with pytest.raises(ValueError, match="surrogate"):
        tokenizer.encode(["cat \ud83d"])


def test_the_tower_computes_what_the_file_describes(e5, tokenizer):
    """Oracle: the twelve layers written out in numpy, float64, on the file's tensors under the file's names."""
    (ids,) = tokenizer.encode(["query: großer weißer Hai"])
    with torch.inference_mode():
        got = load_bert(e5)(input_ids=torch.tensor([ids])).last_hidden_state[0].numpy()
    np.testing.assert_allclose(got, _forward(e5, ids), atol=2e-4)


def _forward(e5, ids):
    def tensor(name, rows=None):
        kind, shape, data = e5.tensors[name]
        if not kind:
            return np.asarray(data).view("<f4").reshape(shape).astype(np.float64)
        blocks = np.asarray(data).reshape(shape[0], -1, 18)
        blocks = blocks if rows is None else blocks[rows]
        scale = np.ascontiguousarray(blocks[..., :2]).view("<f2").astype(np.float64)
        nibbles = np.concatenate([blocks[..., 2:] % 16, blocks[..., 2:] // 16], axis=-1).astype(np.float64)
        return ((nibbles - 8) * scale).reshape(len(blocks), -1)

    def linear(x, name):
        return x @ tensor(f"{name}.w").T + tensor(f"{name}.b")

    def norm(x, name):
        x = x - x.mean(axis=-1, keepdims=True)
        x = x / np.sqrt((x**2).mean(axis=-1, keepdims=True) + 1e-12)
        return x * tensor(f"{name}.w") + tensor(f"{name}.b")

    gelu = np.vectorize(lambda value: value / 2 * (1 + math.erf(value / math.sqrt(2))))
    x = norm(tensor("emb.word", ids) + tensor("emb.pos")[: len(ids)] + tensor("emb.type")[0], "emb.ln")
    for layer in range(12):
        q, k, v = (linear(x, f"l{layer}.{part}").reshape(len(ids), 12, 32).swapaxes(0, 1) for part in "qkv")
        weights = np.exp(q @ k.swapaxes(1, 2) / math.sqrt(32))
        heads = (weights / weights.sum(axis=-1, keepdims=True)) @ v
        x = norm(x + linear(heads.swapaxes(0, 1).reshape(len(ids), 384), f"l{layer}.ao"), f"l{layer}.aln")
        x = norm(x + linear(gelu(linear(x, f"l{layer}.fi")), f"l{layer}.fo"), f"l{layer}.oln")
    return x
