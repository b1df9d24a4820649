"""The embedded default: its files as they are read, and the model against plain forward passes."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from babel_eval import sample
from babel_eval.encoders import e5_file, lite0, load_encoder
from babel_eval.images import decode
from babel_eval.photo_sources import find_photos
from babel_imagenet_dataset.imagenet import english_class_names, wnids

TEXTS = ["tench", "Schleie", "замок", "ປາ", "タンク", "a photo of a great white shark.", "كَلْب", "x" * 40, "tench"]


@pytest.fixture(scope="module")
def encoder():
    return load_encoder("conse-e5")


@pytest.fixture(scope="module")
def names(encoder):
    """Features of the 1000 English names: 8,000 tokens, so once."""
    return encoder.encode_texts(english_class_names(), "EN")


@pytest.fixture(scope="module")
def e5():
    return e5_file.read_e5_file(sample.e5_weights())


def test_the_sample_is_twenty_photos_of_nineteen_classes():
    photos = find_photos("sample").photos
    assert len(photos) == 20
    assert len({p.class_index for p in photos}) == 19
    assert all(min(decode(p).size) >= 200 for p in photos)


def test_weights_are_unpacked_as_the_format_says(e5):
    """Oracle: one block of 32 four-bit weights by hand: (nibble - 8) times the block's fp16 scale, low halves first."""
    name = next(name for name, (_, shape, data) in e5.tensors.items() if len(shape) == 2 and len(data) < np.prod(shape))
    data = e5.tensors[name][2]
    scale = float(np.asarray(data[:2]).copy().view("<f2")[0])
    nibbles = [int(byte) & 15 for byte in data[2:18]] + [int(byte) >> 4 for byte in data[2:18]]
    expected = np.array([(nibble - 8) * scale for nibble in nibbles], dtype=np.float32)
    place = list(e5.tensors).index(name)
    unpacked = list(e5_file.bert_state_dict(e5).values())[place]
    np.testing.assert_allclose(unpacked.reshape(-1)[:32], expected, atol=1e-7)


def test_a_text_is_the_mean_of_its_tokens_in_bert_alone_and_unpadded(encoder, e5):
    """Oracle: each text by itself through transformers' own BertModel, its tokens averaged in a loop."""
    bert, tokenizer = e5_file.load_bert(e5), e5_file.E5Tokenizer(e5)
    centre = np.mean([_alone(bert, tokenizer, name) for name in english_class_names()[:3]], axis=0)
    features = encoder.encode_texts(TEXTS, "DE")
    mean = encoder.text_model.centre.numpy()
    for text, feature in zip(TEXTS, features, strict=True):
        np.testing.assert_allclose(feature + mean, _alone(bert, tokenizer, text), atol=2e-5)
    names = encoder.encode_texts(english_class_names()[:3], "EN").mean(axis=0)
    np.testing.assert_allclose(names + mean, centre, atol=2e-5)


def _alone(bert, tokenizer, text):
    (ids,) = tokenizer.encode(["query: " + text])
    with torch.inference_mode():
        hidden = bert(input_ids=torch.tensor([ids])).last_hidden_state[0].numpy()
    mean = sum(hidden) / len(hidden)
    return mean / np.linalg.norm(mean)


def test_english_names_have_mean_zero(names):
    np.testing.assert_allclose(names.mean(axis=0), 0, atol=1e-5)


def test_a_photo_is_the_convex_combination_of_its_likeliest_names(encoder, names):
    """Oracle: the tower's ten largest logits, their softmax in a loop, and the names' features."""
    photos = [decode(p) for p in find_photos("sample").photos[:3]]
    names = names.astype(np.float64)
    tower = lite0.load_lite0(sample.lite0_weights())
    for photo, feature in zip(photos, encoder.encode_images(photos), strict=True):
        with torch.inference_mode():
            logits = tower(lite0.preprocess(photo)[None])[0].double().numpy()
        best = np.argsort(-logits)[:10]
        weights = np.exp(logits[best] - logits[best].max())
        expected = sum(w * names[c] for w, c in zip(weights / weights.sum(), best, strict=True))
        np.testing.assert_allclose(feature, expected, atol=1e-4)


def test_the_tower_equals_the_network_that_its_weights_were_written_for():
    network = pytest.importorskip("efficientnet_lite_pytorch", reason="the extra [sample] is not installed")
    original = network.EfficientNet.from_name("efficientnet-lite0")
    original.load_state_dict(torch.load(sample.lite0_weights(), weights_only=True))
    original.eval()
    pixels = torch.randn(2, 3, 224, 224, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        np.testing.assert_allclose(lite0.load_lite0(sample.lite0_weights())(pixels), original(pixels), atol=1e-4)


def test_pixels_are_scaled_as_tensorflow_scales_them():
    from PIL import Image

    pixels = lite0.preprocess(Image.new("RGB", (300, 500), (255, 127, 0)))
    assert pixels.shape == (3, 224, 224)
    np.testing.assert_allclose(pixels[:, 0, 0], [1.0, 0.0, -127 / 128], atol=1e-6)


def test_a_name_after_the_family_is_refused():
    with pytest.raises(ValueError, match="takes no name"):
        load_encoder("conse-e5:large")


@pytest.mark.slow
def test_the_fingerprint_tells_dtypes_apart_and_repeats(encoder):
    assert load_encoder("conse-e5").fingerprint == encoder.fingerprint
    other = load_encoder("conse-e5", dtype="bf16")
    assert other.fingerprint != encoder.fingerprint
    assert other.text_fingerprint == encoder.text_fingerprint
    cosine = torch.nn.functional.cosine_similarity(
        *(torch.from_numpy(e.encode_texts(TEXTS, "EN")) for e in (encoder, other))
    )
    assert cosine.min() > 0.99


def test_a_cut_weight_file_is_refused(tmp_path):
    path = tmp_path / "e5.bin"
    path.write_bytes(sample.e5_weights().read_bytes()[: 1 << 20])
    with pytest.raises(ValueError, match="cut short"):
        e5_file.read_e5_file(path)
    path.write_bytes(b"GGUF" + bytes(100))
    with pytest.raises(ValueError, match="no E5S1 file"):
        e5_file.read_e5_file(path)


def test_wnids_stand_in_imagenets_order():
    assert [wnids().index(w) for w in ("n01440764", "n02119789", "n15075141")] == [0, 278, 999]


def test_a_language_that_the_tokenizer_does_not_know_is_seen(encoder):
    from babel_adapters.data import unknown_share

    def share(texts):
        return unknown_share(encoder, "CHR", encoder.tokenize(texts, "CHR"))

    assert share(["a cat", "ແມວ"]) == 0
    assert share(["ᏣᎳᎩ", "ᎦᎵᏉᎩ"]) == pytest.approx(0.5)  # each is a space and one unknown run
