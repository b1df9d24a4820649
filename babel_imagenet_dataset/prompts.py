"""Prompts: the templates of a language, each once with how often it occurs.

Source: Geigle et al. 2023 (arXiv:2306.08658), section 4; the 80 templates are by Radford et al. 2021.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace

from babel_imagenet_dataset.audit import flag_templates
from babel_imagenet_dataset.imagenet import openai_templates
from babel_imagenet_dataset.release import PUBLISHED, PromptFile

PROMPT_SETS = ("label", "openai_en", "nllb")
POLICIES = (*PROMPT_SETS, "auto")
PROMPT_MODES = ("released", "clean")
SPOILED = frozenset({"lost_slot", "bare", "degenerate"})
"""Flags of templates that the mode `clean` leaves out."""
REFERENCE_NAMES = {"label": "label", "openai_en": "openai_en", "nllb": "nllb_dist13b_prompts"}
"""How the reference's result files call the prompt sets."""


def templates(prompt_set: str, language: str, prompt_file: PromptFile | None = None) -> list[tuple[str, int]]:
    """Give a language's distinct templates with their weights, in the order in which they first occur.

    A mean over templates in which each has its weight equals the mean over all 80, at the cost of the distinct ones.

    Args:
      prompt_set: `label` (the bare label), `openai_en` (the 80 English ones, for any language), `nllb` (translated).
      language: BabelNet's code in upper case.
      prompt_file: the translated templates; needed for `nllb` alone.

    Returns:
      (template with exactly one `{}`, how often it occurs): fill it with `template.replace("{}", label)`, as
      `str.format` raises on labels and templates that hold other braces.

    Raises:
      ValueError: the prompt set is not known, `nllb` came without a file, or the file has nothing for the language.
    """
    if prompt_set == "label":
        return [("{}", 1)]
    if prompt_set == "openai_en":
        return _weighted(openai_templates())
    if prompt_set != "nllb":
        raise ValueError(f"prompt set {prompt_set!r} is not known; allowed: {', '.join(PROMPT_SETS)}")
    if prompt_file is None:
        raise ValueError("prompt set 'nllb' needs the file of translated templates: release.load_prompts()")
    if language not in prompt_file.templates:
        raise ValueError(
            f"{prompt_file.path} has no templates for {language!r} ({len(prompt_file.templates)} languages); "
            "use the prompt set label or openai_en, or auto, which takes label where there are none"
        )
    return _weighted(prompt_file.templates[language])


def choose(policy: str, language: str, prompt_file: PromptFile | None = None) -> str:
    """Give the prompt set for a language: `auto` is `nllb` where the language has templates, else `label`.

    Raises:
      ValueError: the policy is not known, or `auto` came without a file.
    """
    if policy not in POLICIES:
        raise ValueError(f"prompts {policy!r} are not known; allowed: {', '.join(POLICIES)}")
    if policy != "auto":
        return policy
    if prompt_file is None:
        raise ValueError("prompts 'auto' need the file of translated templates: release.load_prompts()")
    return "nllb" if language in prompt_file.templates else "label"


def reported_name(prompt_set: str, prompt_file: PromptFile | None = None) -> str:
    """Give what result files call a prompt set: the reference's name, or of templates of one's own the file's stem.

    Raises:
      ValueError: a file of one's own is called like a prompt set.
    """
    if prompt_set != "nllb" or prompt_file is None or prompt_file.sha256 == PUBLISHED["prompts"].sha256:
        return REFERENCE_NAMES.get(prompt_set, prompt_set)
    name = prompt_file.path.stem
    if name in {*POLICIES, *REFERENCE_NAMES.values()}:
        raise ValueError(f"{prompt_file.path}: results are told apart by its name; give the file another name")
    return name


def clean(prompt_file: PromptFile) -> PromptFile:
    """Leave out the templates that translation spoiled, and close doubled spaces in the others.

    Left out are templates that lost their slot and got it back at the end, those of which nothing but the slot is
    left, and those that repeat a piece without end. Templates that a doubled space set apart become one.

    Returns:
      the file with what is left, repetitions kept; a language of which nothing is left is not in it.
    """
    left = {
        code: tuple(
            re.sub(" {2,}", " ", template).strip()
            for template, flags in zip(given, flag_templates(given), strict=True)
            if SPOILED.isdisjoint(flags)
        )
        for code, given in prompt_file.templates.items()
    }
    return replace(prompt_file, templates={code: templates for code, templates in left.items() if templates})


def fill(template: str, label: str) -> str:
    """Put a label into a template's one `{}`; braces in either are left as they are."""
    return template.replace("{}", label)


def _weighted(given: tuple[str, ...]) -> list[tuple[str, int]]:
    return list(Counter(given).items())
