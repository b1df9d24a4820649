"""The retrieval run: photos once, captions language by language, recalls in both directions, a result file.

Every figure comes from `babel_zsic.retrieval`; image features come from the store that zero-shot runs use.
Source: Geigle et al. 2023 (arXiv:2306.08658), section 5; the file keeps the reference's names (`t2i_r@1`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from babel_eval.caption_precision import load_checked
from babel_eval.captions import CaptionSet, load_captions, photos_of
from babel_eval.config import RetrieveConfig
from babel_eval.correlation.joining import code_of
from babel_eval.encoders.base import LanguageSkipped
from babel_eval.encoding import kept_features
from babel_eval.images import ImageFeatures
from babel_eval.results import model_meta, plain
from babel_eval.retrieval_means import LanguageDraws, Macro
from babel_eval.store import FeatureStore, default_store
from babel_eval.team import Team, find_team
from babel_imagenet_dataset.files import write_json

if TYPE_CHECKING:
    from babel_eval.encoders.base import Encoder
    from babel_zsic.retrieval import Ranks

_SHORT = {"text_to_image": "t2i", "image_to_text": "i2t"}


@dataclass(frozen=True)
class LanguageRetrieval:
    """One language.

    Attributes:
      row: of the result file.
      ranks: the places of texts and photos, None where the encoder refused.
      text_to_image: each text's photo, as a place in `photos`.
      photos: the rows, among the run's photos, of those that have a caption in this language.
    """

    row: dict[str, Any]
    ranks: Ranks | None
    text_to_image: list[int]
    photos: list[int] = field(default_factory=list)


def run(
    config: RetrieveConfig,
    *,
    encoder: Encoder | None = None,
    progress: bool = False,
    say: Callable[[str], None] | None = None,
    on_result: Callable[[LanguageRetrieval], None] | None = None,
    team: Team | None = None,
) -> dict[str, Any]:
    """Measure a model's retrieval as the settings say; the file is written anew after each language.

    Args:
      config: what to measure.
      encoder: the model, if it is loaded already; else `config.model` is loaded.
      progress: show a bar for the photos.
      say: called with what a user should know on the way.
      on_result: called with each language's result once it is written.
      team: the processes that share the photos, the first of which scores; None: those that a launcher started. One of
        several that measures by itself says `Team()`.

    Returns:
      what the file holds: `meta`, `results` (one row a language), `failures` (languages that the encoder refused, with
      their `status`), `macro` (means over languages, with `n_languages`);
      in processes that only help, `meta` alone.

    Raises:
      FileExistsError: the file is there and `overwrite` was not asked for.
      ValueError: bad settings or input; photos missing or captions blank without leave.
    """
    team = team or find_team()
    if team.leads and Path(config.out).exists() and not config.overwrite:
        raise FileExistsError(f"{config.out} exists; replace it by --overwrite")
    columns = {f"{c}_column": getattr(config, f"{c}_column") for c in ("image", "caption", "language")}
    captions = load_captions(config.dataset, **columns)
    names = _selected(captions, config.languages)
    if max(config.k) > len(captions.images):
        raise ValueError(f"--k {max(config.k)} is more than {captions.name}'s {len(captions.images)} photos")
    _refuse_blanks(captions, names, config)
    photos = photos_of(captions, config.image_root)
    if photos.problems and not config.allow_missing_images:
        raise ValueError(_missing(captions.name, photos.problems))
    precision: dict[str, Any] = {"dtype": config.dtype, "compile": config.compile}
    if encoder is None:
        device, heard = team.device or config.device, say if team.leads else None
        encoder, precision = load_checked(config, device, photos, captions, names, heard)
    store = FeatureStore(config.store or default_store())
    images = kept_features(
        encoder, photos, store, team, batch_size=config.batch_size, workers=config.workers, progress=progress, say=say
    )
    if images.problems and not config.allow_missing_images:
        raise ValueError(_missing(captions.name, images.problems))
    content: dict[str, Any] = {
        "meta": _meta(config, encoder, captions, images, precision),
        "results": [],
        "failures": [],
    }
    macro = Macro()
    for name in names if team.leads else ():
        result = score_captions(encoder, captions, name, images, config)
        content["results" if result.ranks else "failures"].append(plain(result.row))
        if result.ranks is not None:
            macro.add(result.row, _draws(result, len(images.ids), config))
        content["macro"] = macro.means()
        write_json(config.out, content)
        if on_result:
            on_result(result)
    return content


def score_captions(
    encoder: Encoder, captions: CaptionSet, name: str, images: ImageFeatures, config: RetrieveConfig
) -> LanguageRetrieval:
    """Give the result of one language: recalls under the reference's names, ranks, intervals, and what was left out.

    Where the encoder refuses the language's captions the row holds its `status` alone, `failed: why` or `skipped: why`.

    Raises:
      ValueError: a photo without a caption in this language, or a cut-off larger than a gallery.
    """
    from babel_zsic.retrieval import rank_pairs, score_retrieval

    code = code_of(name)
    of_photo = dict(zip(captions.images, captions.captions[name], strict=True))
    kept = [(row, photo) for row, photo in enumerate(images.ids) if any(c.strip() for c in of_photo[photo])]
    texts, own = [], []
    for place, (_, photo) in enumerate(kept):
        good = [c for c in of_photo[photo] if c.strip()]
        texts += good
        own += [place] * len(good)
    if not texts:
        raise ValueError(f"{captions.name}: {name} has no caption of a photo at hand")
    try:
        features = encoder.encode_texts(texts, code)
        token_use = getattr(encoder, "token_use", lambda *_: None)(texts, code)
    except ValueError as error:
        what = "skipped" if isinstance(error, LanguageSkipped) else "failed"
        return LanguageRetrieval({"lang": name, "code": code, "status": f"{what}: {error}"}, None, own, [])
    rows = [row for row, _ in kept]
    ranks = rank_pairs(own, text_features=features, image_features=images.features[rows])
    scores = score_retrieval(ranks, own, k=config.k, n_resamples=config.n_resamples, seed=config.seed)
    row = {
        "lang": name,
        "code": code,
        **{_short(figure): value for figure, value in scores.items()},
        **({} if token_use is None else {"language_token": token_use}),
        "n_photos_without_caption": len(images.ids) - len(kept),
        "n_blank_captions": sum(not c.strip() for c_ in of_photo.values() for c in c_),
        "status": "ok",
    }
    return LanguageRetrieval(row, ranks, own, rows)


def _draws(result: LanguageRetrieval, n_photos: int, config: RetrieveConfig) -> LanguageDraws:
    from babel_zsic.uncertainty import Resampling

    if result.ranks is None:
        raise ValueError(f"{result.row['lang']} has no ranks")
    how = Resampling(n_resamples=config.n_resamples, seed=config.seed)
    return LanguageDraws.of(result.ranks, result.text_to_image, result.photos, n_photos, config.k, how)


def _short(figure: str) -> str:
    for long, short in _SHORT.items():
        figure = re.sub(f"^{long}", short, figure)
    return figure


def _selected(captions: CaptionSet, languages: str) -> list[str]:
    if languages.strip().lower() == "all":
        return list(captions.captions)
    by_code = {code_of(name): name for name in captions.captions}
    chosen = []
    for wanted in filter(None, (part.strip() for part in languages.split(","))):
        name = wanted if wanted in captions.captions else by_code.get(code_of(wanted))
        if name is None:
            raise ValueError(f"--languages: {captions.name} has no {wanted!r}; it has: {', '.join(captions.captions)}")
        chosen.append(name)
    if not chosen:
        raise ValueError("no language is selected")
    return list(dict.fromkeys(chosen))


def _refuse_blanks(captions: CaptionSet, names: Iterable[str], config: RetrieveConfig) -> None:
    blank = [f"{name} {captions.images[i]} (row {i})" for name in names for i in captions.blank(name)]
    if blank and not config.allow_blank_captions:
        more = f" and {len(blank) - 5} more" if len(blank) > 5 else ""
        raise ValueError(
            f"{captions.name}: {len(blank)} blank captions: {'; '.join(blank[:5])}{more}; "
            "--allow-blank-captions leaves them out"
        )


def _missing(name: str, problems: Iterable[Any]) -> str:
    found = [f"{p.photo}: {p.why}" for p in problems]
    return f"{name}: {len(found)} photos are missing ({'; '.join(found[:5])}); --allow-missing-images leaves them out"


def _meta(
    config: RetrieveConfig, encoder: Encoder, captions: CaptionSet, images: ImageFeatures, precision: dict[str, Any]
) -> dict[str, Any]:
    problems = [asdict(p) for p in images.problems]
    dataset = {"name": captions.name, "n_images": len(images.ids), "n_missing": len(problems), "missing": problems}
    return {
        **model_meta(config.model, config.dtype, encoder),
        "precision": precision,
        "dataset": dataset,
        "match": "any",
        "scoring": {"k": list(config.k), "n_resamples": config.n_resamples, "seed": config.seed},
    }
