"""A whole zero-shot run from its settings: labels, photos, model, scores, result file."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import asdict
from datetime import datetime, timezone
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from babel_eval.config import EvaluateConfig
from babel_eval.encoders.stored import StoredFeatures
from babel_eval.encoding import kept_features
from babel_eval.images import FEATURES, NAMES, ImageFeatures, PhotoSet, name_features
from babel_eval.photo_sources import find_photos
from babel_eval.precision import load_checked
from babel_eval.results import Results, ResultWriter, check_target, model_meta, parts_path
from babel_eval.store import FeatureStore, default_store
from babel_eval.team import Team, find_team
from babel_eval.templates import Templates, load_templates
from babel_eval.texts import ClassFeatures
from babel_eval.zero_shot import ENGLISH, LanguageResult, Scoring, ZeroShotRun
from babel_imagenet_dataset.files import sha256_of_text
from babel_imagenet_dataset.languages import resolve
from babel_imagenet_dataset.prompts import choose, reported_name
from babel_imagenet_dataset.release import LabelFile, PromptFile, load_labels
from babel_zsic.classification import unit_rows

if TYPE_CHECKING:
    from babel_eval.encoders.base import Encoder

_PACKAGES = ("torch", "transformers", "open_clip_torch", "datasets", "numpy", "babel-imagenet")


def run(
    config: EvaluateConfig,
    *,
    encoder: Encoder | None = None,
    features: ClassFeatures | None = None,
    progress: bool = False,
    say: Callable[[str], None] | None = None,
    on_result: Callable[[LanguageResult], None] | None = None,
    scoring: Scoring | None = None,
    team: Team | None = None,
) -> Results:
    """Measure a model as the settings say and write the result file; rows are written as soon as they are known.

    Started by a launcher in several processes, they share the photos, then the texts; the first one writes.

    Args:
      config: what to measure.
      encoder: the model, if it is loaded already (tests and the trainer); else `config.model` is loaded.
      features: class features of such a model that several runs share, so that no text is encoded twice.
      progress: show bars for photos and languages.
      say: called with what a user should know on the way.
      on_result: called with each result once it is written.
      scoring: intervals and K-way.
      team: the processes that measure together; None: those that a launcher started. One of several processes that
        measures by itself (the trainer's first one) says `Team()`, or it would wait for the others.

    Returns:
      what the result file holds; in the processes that only help, no rows.

    Raises:
      ValueError, FileExistsError, ImportError: bad settings or input, before anything is written.
    """
    team = team or find_team()
    if team.leads:
        check_target(config.out, resume=config.resume, overwrite=config.overwrite)
    labels, templates = load_labels(config.labels), load_templates(config, say if team.leads else None)
    prompts = templates.file if templates else None
    plan = _plan(config, labels, prompts)
    photos = None if config.images in (NAMES, FEATURES) else find_photos(config.images)
    store = FeatureStore(config.store or default_store())
    if photos is not None:
        store.check()
    precision: dict[str, Any] = {"dtype": config.dtype, "compile": config.compile}
    if features is None:
        if encoder is None:
            languages = [language for language, _ in plan]
            device = team.device or config.device
            heard = say if team.leads else None
            encoder, precision = load_checked(config, device, photos, labels, languages, heard)
        features = ClassFeatures(encoder)
    images = image_features(config, features.encoder, photos, store, team, progress=progress, say=say)
    scoring = scoring or Scoring()
    meta = _meta(config, features.encoder, images, labels, templates, scoring)
    meta.update(precision=precision, processes=team.size)
    zero_shot = ZeroShotRun(features, images, labels, prompts=prompts, scoring=scoring)
    zero_shot.plan(plan)
    keys = [(language, reported_name(prompt, prompts)) for language, prompt in plan]
    writer = None
    if team.leads:
        writer = ResultWriter(config.out, meta, keys, resume=config.resume, overwrite=config.overwrite)
    team.wait()  # the place where texts are kept is there
    features.store = FeatureStore(parts_path(config.out) / "texts")
    if team.size > 1:
        features.share(team)
    if writer is None:  # this process helped; the one that leads scores and writes
        return Results(meta)
    to_do = [entry for entry, key in zip(plan, keys, strict=True) if not writer.done(*key)]
    with closing(_bar(to_do, len(plan), progress)) as bar:
        for result in zero_shot.evaluate(to_do):
            if result.predictions is None:
                writer.fail(result.row)
            else:
                writer.add(result.row, result.predictions)
            bar.update()
            if on_result:
                on_result(result)
    writer.finish(finished=_now())
    return writer.results


def image_features(
    config: EvaluateConfig,
    encoder: Encoder,
    photos: PhotoSet | None,
    store: FeatureStore,
    team: Team | None = None,
    *,
    progress: bool = False,
    say: Callable[[str], None] | None = None,
) -> ImageFeatures:
    """Give the features of photos, from the store where it has them; English names stand in where there are none."""
    if isinstance(encoder, StoredFeatures) or config.images == FEATURES:
        return stored_features(config, encoder)
    if photos is None:
        return name_features(encoder)
    return kept_features(
        encoder,
        photos,
        store,
        team,
        batch_size=config.batch_size,
        workers=config.workers,
        progress=progress,
        say=say,
    )


def stored_features(config: EvaluateConfig, encoder: Encoder) -> ImageFeatures:
    """Give the photos that a folder of features holds.

    Raises:
      ValueError: only one of `--model features:FOLDER` and `--images features` was given.
    """
    if not isinstance(encoder, StoredFeatures) or config.images != FEATURES:
        raise ValueError("--model features:FOLDER and --images features go together: the folder holds both sides")
    features, class_index = encoder.stored_images()
    ids = tuple(f"row {row}" for row in range(len(features)))
    return ImageFeatures(ids, class_index, unit_rows(features), ())


def _plan(config: EvaluateConfig, labels: LabelFile, prompts: PromptFile | None) -> list[tuple[str, str]]:
    languages = resolve(config.languages, labels.n_classes)
    pairs = ((language, choose(prompt, language, prompts)) for prompt in config.prompt_sets for language in languages)
    return list(dict.fromkeys(pairs))


def _meta(
    config: EvaluateConfig,
    encoder: Encoder,
    images: ImageFeatures,
    labels: LabelFile,
    templates: Templates | None,
    scoring: Scoring,
) -> dict[str, Any]:
    """Everything that determines the results, and what passes (`results.PASSING`)."""
    return {
        **model_meta(config.model, config.dtype, encoder),
        "mode": "reference" if config.reference_mode else "default",
        **({"language_token": config.language_token} if getattr(encoder, "language_tokens", None) else {}),
        "languages": config.languages,
        "prompts": ",".join(reported_name(p, templates.file if templates else None) for p in config.prompt_sets),
        "labels": {"file": labels.path.name, "sha256": labels.sha256},
        "templates": templates.about if templates else None,
        "images": _images_meta(config, images),
        "reference_language": ENGLISH,
        "scoring": asdict(scoring),
        "device": encoder.device,
        "started": _now(),
        "versions": {name: version(name) for name in _PACKAGES},
    }


def _images_meta(config: EvaluateConfig, images: ImageFeatures) -> dict[str, Any]:
    pairs = (f"{photo}\0{index}" for photo, index in zip(images.ids, images.class_index, strict=True))
    return {
        "name": config.images,
        "kind": images.kind,
        "n_images": len(images.ids),
        "n_classes": len(set(images.class_index.tolist())),
        "fingerprint": sha256_of_text(*pairs),
        "n_missing": len(images.problems),
        "missing": [{"photo": p.photo, "why": p.why} for p in images.problems],
    }


def _bar(to_do: Sequence[Any], n_all: int, progress: bool) -> Any:
    from tqdm import tqdm

    return tqdm(total=n_all, initial=n_all - len(to_do), unit="language", desc="languages", disable=not progress)


def _now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="seconds")
