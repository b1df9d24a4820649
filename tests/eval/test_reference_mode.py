"""`--reference-mode`: the reference runner's own choices, against its arithmetic written out plainly."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import test_encoder_m_clip as m_clip
import test_encoder_nllb as nllb
import tiny_models as tiny

from babel_eval.config import EvaluateConfig
from babel_eval.encoders import load_encoder
from babel_eval.encoders.nllb import LanguageTokens
from babel_eval.runner import run
from babel_eval.texts import ClassFeatures, ClassTexts, with_length
from babel_eval.zero_shot import Scoring
from babel_zsic.classification import classify

# Lengths of text features differ, so that product and cosine decide otherwise.
LABELS = tuple(dict.fromkeys(tiny.TEXTS))[:10]
TEMPLATES = (("a photo of {}", 2), ("{} ", 1))


def test_the_order_by_cosine_is_the_order_by_product() -> None:
    rng = np.random.default_rng(0)
    images = rng.normal(size=(200, 6)).astype(np.float32)
    classes = (rng.normal(size=(30, 6)) * rng.uniform(0.1, 40, size=(30, 1))).astype(np.float32)
    classes[7] = classes[3]
    wide, longer = np.pad(images, ((0, 0), (0, 1))), with_length(classes)
    np.testing.assert_allclose(np.linalg.norm(longer, axis=1), 1, atol=1e-6)
    products = images.astype(np.float64) @ classes.astype(np.float64).T
    products[:, 7] = products[:, 3]
    predicted, _ = classify(wide, longer, np.zeros(200, dtype=np.int64))
    np.testing.assert_array_equal(predicted, products.argmax(axis=1))
    assert not np.array_equal(predicted, (products / np.linalg.norm(classes, axis=1)).argmax(axis=1))


def plain_features(encoder: Any, templates: tuple[tuple[str, int], ...]) -> np.ndarray:
    """The reference: raw features, their mean over prompts, and a length of 1 only where there are several."""
    prompts = [template for template, weight in templates for _ in range(weight)]
    rows = []
    for label in LABELS:
        raw = encoder.encode_texts([prompt.replace("{}", label) for prompt in prompts], "DE").astype(np.float64)
        mean = raw.mean(axis=0)
        rows.append(mean / np.linalg.norm(mean) if len(prompts) > 1 else mean)
    return np.array(rows)


@pytest.mark.parametrize("templates", [(("{}", 1),), TEMPLATES])
def test_texts_of_m_clip_keep_the_lengths_that_the_reference_leaves_them(
    templates: tuple[tuple[str, int], ...], tmp_path: Path
) -> None:
    m_clip.published(tmp_path / "text")
    model = f"m-clip:{tmp_path / 'text'}+images:open_clip:{tiny.open_clip_folder(tmp_path / 'images', {})}"
    encoder = load_encoder(model, device="cpu", reference_mode=True)
    default = load_encoder(model, device="cpu")
    texts = ClassTexts("DE", LABELS, templates)
    ours = ClassFeatures(encoder).of(texts)
    np.testing.assert_allclose(ours, plain_features(default, templates), rtol=1e-4, atol=1e-5)
    assert not np.allclose(ours, ClassFeatures(default).of(texts), rtol=1e-3)
    assert encoder.fingerprint != default.fingerprint, "stored texts of one mode are no use to the other"
    assert encoder.image_fingerprint == default.image_fingerprint


def test_a_run_scores_by_product_and_says_so(tmp_path: Path) -> None:
    m_clip.published(tmp_path / "text")
    model = f"m-clip:{tmp_path / 'text'}+images:open_clip:{tiny.open_clip_folder(tmp_path / 'images', {})}"
    (tmp_path / "labels.json").write_text(json.dumps({"EN": [[0], ["tench"]], "DE": [[*range(10)], list(LABELS)]}))
    options: dict[str, Any] = {"model": model, "images": "names", "languages": "de", "device": "cpu"}
    found = {}
    for mode in (True, False):
        config = EvaluateConfig(
            out=str(tmp_path / f"{mode}.json"), labels=str(tmp_path / "labels.json"), reference_mode=mode, **options
        )
        decided: list[Any] = []
        results = run(config, scoring=Scoring(n_resamples=100), on_result=decided.append)
        assert results.meta["mode"] == ("reference" if mode else "default")
        found[mode] = decided[0].predictions.predicted.tolist()
    encoder = load_encoder(model, device="cpu")
    from babel_imagenet_dataset.imagenet import english_class_names

    images = encoder.encode_texts(list(english_class_names())[:10], "EN").astype(np.float64)
    texts = plain_features(encoder, (("{}", 1),))
    assert found[True] == (images @ texts.T).argmax(axis=1).tolist()
    assert found[False] == (images @ (texts / np.linalg.norm(texts, axis=1)[:, None]).T).argmax(axis=1).tolist()
    assert found[True] != found[False], "the towers must tell the modes apart"


def test_language_tokens_are_the_references(tmp_path: Path) -> None:
    tokens = LanguageTokens(reference=True)
    expected = {"NO": "nno_Latn", "ZH": "zho_Hant", "KU": "ckb_Arab", "ALS": "als_Latn", "QU": "eng_Latn",
                "SH": "eng_Latn", "BAR": "eng_Latn", "DE": "deu_Latn", "SAT": "<unk>"}  # fmt: skip
    assert {code: tokens.of(["虎"], code)[0] for code in expected} == expected
    assert str(tokens.use(["allqu"], "QU")) == "fallback: eng_Latn"
    encoder = load_encoder(f"open_clip:{nllb.nllb_folder(tmp_path / 'n')}", device="cpu", reference_mode=True)
    assert encoder.tokenize(["tench"], "SAT")[0][0] == 3, "the tokenizer does not know the reference's token"


def test_what_computes_nothing_has_no_mode(tmp_path: Path) -> None:
    from babel_eval.encoders.stored import save_features

    eye = np.eye(2, dtype=np.float32)
    save_features(tmp_path / "f", (eye, np.array([0, 1])), {("label", "EN"): (eye, np.array([0, 1]))})
    with pytest.raises(ValueError, match="--reference-mode"):
        load_encoder(f"features:{tmp_path / 'f'}", device="cpu", reference_mode=True)
    with pytest.raises(ValueError, match="neither --dtype"):
        EvaluateConfig(model="m", images="names", out="r.json", reference_mode=True, dtype="bf16")
