"""`babel-imagenet translate-prompts`: OpenAI's templates into other languages by NLLB, as those published were."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from babel_eval.translate import Translator


def translate_prompts(
    languages: Annotated[str, typer.Option(help="which: codes, 92, 100, 298, vlow, low, mid, high; with commas")],
    out: Annotated[Path, typer.Option(help="file of templates; languages that it holds already stay as they are")],
    model: Annotated[
        str, typer.Option(help="NLLB model: id on the Hub or folder")
    ] = "facebook/nllb-200-distilled-1.3B",
    device: Annotated[str | None, typer.Option(help="cpu, cuda, cuda:0, mps; chosen without it")] = None,
    dtype: Annotated[str, typer.Option(help="fp32, bf16 or fp16")] = "fp32",
    beams: Annotated[int, typer.Option(help="1 is greedy, as the published templates were made")] = 1,
) -> None:
    """Translate OpenAI's 80 templates by NLLB.

    The slot is protected by one marker after another until one survives.

    A template of which no marker survives has lost its slot, which is put at its end, as in the published file; it is
    counted here, flagged as `lost_slot` in the dataset, and left out by `evaluate --prompt-mode clean`.
    The file is written after each language; a second run goes on with those that are missing. `evaluate --prompts nllb
    --templates FILE` measures with it.
    """
    from rich.console import Console

    from babel_eval.commands.label_sources import crawl_codes
    from babel_eval.translate import NLLB, target_of

    codes = [code for code in crawl_codes(languages) if code != "EN"]
    targets = {code: target_of(code) for code in codes}
    translate_into(Console(), NLLB(model, device, dtype, beams=beams), targets, out)


def translate_into(console: Console, translator: Translator, targets: dict[str, str], out: Path) -> None:
    """Translate the templates into each language that the file lacks, and write it after each.

    Args:
      console: says how many templates lost their slot, language by language.
      translator: the model.
      targets: NLLB's language token by BabelNet's code.
      out: the file, in the form of the published one.

    Raises:
      ValueError: the file is there and holds no templates.
    """
    from babel_eval.translate import translate_templates
    from babel_imagenet_dataset.files import write_json
    from babel_imagenet_dataset.imagenet import openai_templates
    from babel_imagenet_dataset.release import load_prompts

    known: dict[str, Sequence[str]] = dict(load_prompts(out).templates) if out.exists() else {}
    there = [code for code in targets if code in known]
    if there:
        console.print(f"{out} holds {', '.join(there)} already", highlight=False, soft_wrap=True, markup=False)
    for code, target in targets.items():
        if code in known:
            continue
        made = translate_templates(translator, openai_templates(), target)
        known[code] = [one.released_form() for one in made]
        write_json(out, {name: list(known[name]) for name in sorted(known)})
        n_lost = sum(one.lost_slot for one in made)
        console.print(f"{code} ({target}): {len(made)} templates, {n_lost} lost their slot", highlight=False)
    console.print(f"wrote {out}, {len(known)} languages", highlight=False, soft_wrap=True, markup=False)


def register(app: typer.Typer) -> None:
    """Add the command `translate-prompts`."""
    app.command("translate-prompts")(translate_prompts)
