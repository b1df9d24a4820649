"""The translated templates of a run: the published file or one's own, as it is or cleaned, and English beside it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from babel_eval.config import EvaluateConfig
from babel_imagenet_dataset.imagenet import openai_templates
from babel_imagenet_dataset.prompts import clean, reported_name
from babel_imagenet_dataset.release import PromptFile, load_prompts

ENGLISH = "EN"


@dataclass(frozen=True)
class Templates:
    """Templates of the prompt set `nllb`, and what the result file says of them.

    Attributes:
      file: the templates of each language.
      about: `file`, `sha256` and `mode`; `left_out`, the number that cleaning took away; `english`, where templates by
        OpenAI stand in.
    """

    file: PromptFile
    about: dict[str, Any]


def load_templates(config: EvaluateConfig, say: Callable[[str], None] | None = None) -> Templates | None:
    """Read the templates that a run needs; None where all its prompt sets go without.

    Languages are compared with English under the same prompt set, so a file without English has OpenAI's templates for
    it, and that is said.

    Args:
      config: `templates`, `prompts` and `prompt_mode` of a run.
      say: called with what a user should know.

    Raises:
      FileNotFoundError, ValueError: as `release.load_prompts`; or a file is called like a prompt set.
    """
    if not {"nllb", "auto"} & set(config.prompt_sets):
        return None
    given = load_prompts(config.templates)
    reported_name("nllb", given)
    about: dict[str, Any] = {"file": given.path.name, "sha256": given.sha256, "mode": config.prompt_mode}
    kept, said = given, []
    if config.prompt_mode == "clean":
        kept = clean(given)
        n_all, n_kept = (sum(map(len, file.templates.values())) for file in (given, kept))
        about["left_out"] = n_all - n_kept
        said.append(f"{n_all - n_kept} of {n_all} templates of {given.path.name} are left out as spoiled")
    if ENGLISH not in kept.templates:
        kept = replace(kept, templates={**kept.templates, ENGLISH: openai_templates()})
        about["english"] = "openai_en"
        said.append(f"{given.path.name} has no templates for EN: its yardstick is measured with those by OpenAI")
    for line in said if say else ():
        say(line)  # type: ignore[misc]
    return Templates(kept, about)
