"""What an adapter gained on Babel-ImageNet, and what its folder says about that: results, record, card."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from babel_adapters.card import RECORD_NAME
from babel_eval.config import EvaluateConfig
from babel_eval.encoders.peft_adapters import SUFFIX, adapter_record, identify
from babel_eval.runner import run
from babel_eval.team import Team
from babel_eval.zero_shot import LanguageResult
from babel_imagenet_dataset.files import read_json
from babel_imagenet_dataset.languages import language as language_of
from babel_zsic.uncertainty import paired_interval

# Bases whose model string is no id of the Hub.
_HUB_IDS = {"conse-e5": "intfloat/multilingual-e5-small"}
_LICENCES = {"conse-e5": "mit"}
_LEFT_OUT = {
    "strict": "no pair whose target is a label of the language, or whose English side is an ImageNet class name"
    " or a word of a class's WordNet synset, was trained on.",
    "labels": "no pair whose target is a label of the language was trained on.",
    "none": "nothing was left out, so the gain is no measure of generalisation.",
}
CONSE_NOTE = (
    "The base is a test bed: its images are known by an ImageNet-1k classifier's decisions. On `names`, every class's"
    " image embedding is that of its English name, so only the text side is measured."
)


@dataclass(frozen=True)
class Gain:
    """Accuracy of one language before and after training, on the same images; fractions 0–1.

    Attributes:
      images: what stood for the images: `names`, or what `--eval-images` named.
      prompt: prompt set.
      before: row of the result file of the base.
      after: row of the result file of the adapted model.
      gain: after − before.
      interval: of the gain, paired by image, classes being the independent draws, 95 %.
    """

    images: str
    prompt: str
    before: Mapping[str, Any]
    after: Mapping[str, Any]
    gain: float
    interval: tuple[float, float]

    def record(self) -> dict[str, Any]:
        """Give the gain as the card's record has it."""
        return {
            "dataset": "Babel-ImageNet",
            "metric": "accuracy",
            "images": self.images,
            "prompt_set": self.prompt,
            "before": _measured(self.before),
            "after": _measured(self.after),
            "gain": {"value": self.gain, "interval": list(self.interval)},
        }


def read_gains(folder: Path) -> list[Gain] | None:
    """Give the gains that a finished adapter's record holds; None where the folder holds no finished adapter."""
    if not (folder / RECORD_NAME).is_file() or not (folder / "adapter_model.safetensors").is_file():
        return None
    gains = []
    for one in read_json(folder / RECORD_NAME)["evaluations"]:
        before, after = ({"accuracy": one[w]["value"], "n_images": one[w].get("n")} for w in ("before", "after"))
        low, high = one["gain"]["interval"]
        names = one.get("images", one["dataset"]), one.get("prompt_set", one["metric"])
        gains.append(Gain(*names, before, after, one["gain"]["value"], (low, high)))
    return gains


def _measured(row: Mapping[str, Any]) -> dict[str, Any]:
    interval = row.get("accuracy_interval") or row.get("interval")
    known = {"value": row["accuracy"], "n": row.get("n_images")}
    return {**known, "interval": list(interval)} if interval is not None else known


Measured = dict[str, dict[str, LanguageResult]]
"""Result by images and prompt set."""


def measure(config: Any, encoder: Any, language: str, folder: Path, when: str) -> Measured:
    """Measure a language on each set of images and write the result files `WHEN-IMAGES.json`.

    Args:
      config: a `TrainConfig`.
      encoder: the base, or the base with an adapter on.
      language: BabelNet's code.
      folder: where the result files go.
      when: `before` or `after`.

    Raises:
      ValueError: the language has no labels, or there is no photo of any of its classes.
    """
    with known_as(config, encoder, language, folder, when) as model:
        return {
            name: _evaluate(config, model, encoder, language, name, folder / result_file(when, name))
            for name in image_sets(config)
        }


def image_sets(config: Any) -> list[str]:
    """Give the distinct sets of images that `--eval-images` lists, in its order.

    Raises:
      ValueError: the results of two would stand in one file.
    """
    names = list(dict.fromkeys(name for text in config.eval_images.split(",") if (name := text.strip())))
    by_file: dict[str, str] = {}
    for name in names:
        file = result_file("before", name)
        if (other := by_file.setdefault(file, name)) != name:
            raise ValueError(
                f"--eval-images: the results of {other} and {name} would both be written to {file}; give one of them "
                "another name, by a link for instance, or measure it apart"
            )
    return names


@contextmanager
def known_as(config: Any, encoder: Any, language: str, folder: Path, when: str) -> Iterator[str]:
    """Let an encoder be known in result files by the adapter that is on it after training; give its model string."""
    if when == "before":
        yield config.model
        return
    base = {name: getattr(encoder, name) for name in ("model", "parameters", "fingerprint")}
    identify(encoder, str(folder), adapter_record(encoder, [language]))
    try:
        yield f"{config.model}{SUFFIX}{folder}"
    finally:
        vars(encoder).update(base)
        del encoder.adapter


def _evaluate(
    config: Any, model: str, encoder: Any, language: str, images: str, out: Path
) -> dict[str, LanguageResult]:
    settings = EvaluateConfig(
        model=model,
        images=images,
        out=str(out),
        languages=language.lower(),
        prompts=config.eval_prompts,
        labels=config.eval_labels,
        store=config.store,
        overwrite=True,
    )
    results: list[LanguageResult] = []
    run(settings, encoder=encoder, on_result=results.append, team=Team())
    failed = [f"{r.row['lang']}: {r.row['status']}" for r in results if not r.is_ok]
    if failed:
        raise ValueError(f"--eval-images {images}: no result for {'; '.join(failed)}")
    return {str(result.row["prompt"]): result for result in results}


def result_file(when: str, images: str) -> str:
    """Give the name of the result file of a set of images, `before` or `after` training."""
    return f"{when}-{_safe(images)}.json"


def _safe(name: str) -> str:
    return re.sub(r"[^\w.-]+", "-", Path(name).name if "/" in name else name).strip("-.") or "images"


def compare(before: Measured, after: Measured) -> list[Gain]:
    """Give the gain on each set of images under each prompt set."""
    return [gain(name, before[name][prompt], after[name][prompt]) for name in before for prompt in before[name]]


def gain(images: str, before: LanguageResult, after: LanguageResult) -> Gain:
    """Compare two results of one language on the same images.

    Raises:
      ValueError: the images differ.
    """
    first, second = before.predictions, after.predictions
    if first is None or second is None or first.photo != second.photo:
        raise ValueError(f"{images}: the results before and after are not of the same images")
    right_before = (first.predicted == first.class_index).astype(np.float64)
    right_after = (second.predicted == second.class_index).astype(np.float64)
    low, high = paired_interval(right_after, right_before, first.class_index)
    value = float(right_after.mean() - right_before.mean())
    return Gain(images, str(after.row["prompt"]), before.row, after.row, value, (low, high))


def hub_id(model: str, given: str | None = None) -> str:
    """Give what cards call a base model: an id of the Hub where it can be told from the model string.

    Args:
      model: model string of the base.
      given: what the user says it is; goes before everything else.
    """
    if given:
        return given
    if model in _HUB_IDS:
        return _HUB_IDS[model]
    name = model.partition(":")[2].removeprefix("hf-hub:").partition("+")[0]
    if Path(name).exists():
        return re.sub(r"[^\w.-]+", "-", Path(name).resolve().name).strip("-.") or "local"
    name, _, tag = name.partition("@")
    if model.startswith("open_clip:") and tag:
        return _open_clip_hub_id(name, tag) or re.sub(r"[^\w.-]+", "-", f"{name}-{tag}")
    return name


def base_revision(model: str) -> str | None:
    """Give the revision that a model string names of its text model; None where it names none, or a folder."""
    family, _, name = model.partition(":")
    name = name.partition("+")[0]
    if family == "open_clip" or Path(name).exists():  # open_clip's @ is between a model and its weights' tag
        return None
    return name.partition("@")[2] or None


def _open_clip_hub_id(name: str, tag: str) -> str | None:
    from open_clip.pretrained import get_pretrained_cfg

    return str((get_pretrained_cfg(name, tag) or {}).get("hf_hub", "")).rstrip("/") or None


def card_record(
    *,
    model: str,
    base: str,
    language: str,
    objective: Mapping[str, float],
    method: str,
    data: Mapping[str, Any],
    settings: Mapping[str, Any],
    gains: Sequence[Gain],
    folder: str,
    versions: Mapping[str, str],
    leakage: str,
) -> dict[str, Any]:
    """Give the record that `card.adapter_card` renders, out of what a training knows."""
    known = language_of(language)
    is_ours = method in ("bottleneck", "linear")
    lines = ["import babel_adapters  # first: it makes peft know this kind"] if is_ours else []
    lines += [
        "from babel_eval.encoders import load_encoder",
        f'encoder = load_encoder("{model}+peft:{folder}")',
    ]
    left_out = [f"Leakage rule `{leakage}`: {_LEFT_OUT[leakage]}"]
    if leakage == "strict" and (n := data.get("without_english")):
        left_out.append(
            f"{n} pairs of the data (held-out ones counted) have no English side, so `strict` could look at their"
            " target alone: what they stand for may be an ImageNet class."
        )
    notes = [CONSE_NOTE] if model == "conse-e5" else []
    if is_ours:
        notes.append("This adapter stands behind a block and cannot be merged into the base weights.")
    return {
        "base_model": base,
        **({"base_revision": revision} if (revision := base_revision(model)) else {}),
        "model": model,
        "language": language,
        "language_name": known.name,
        "tag": known.tag,
        "objective": dict(objective),
        "method": method,
        "licence": _LICENCES.get(model, "other"),
        "data": dict(data),
        "settings": {key: value for key, value in settings.items() if value is not None},
        "evaluations": [{**one.record(), "leakage": leakage} for one in gains],
        "load": "\n".join(lines),
        "versions": dict(versions),
        "left_out": left_out,
        "notes": notes,
    }
