"""`babel-imagenet evaluate`: a model, photos and languages in; a table and a result file out."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from babel_eval.config import EvaluateConfig, help_texts

help_of = help_texts(EvaluateConfig)


def evaluate(
    model: Annotated[str, typer.Option("--model", help=help_of("model"))],
    images: Annotated[str, typer.Option("--images", help=help_of("images"))],
    out: Annotated[str, typer.Option("--out", help=help_of("out"))],
    languages: Annotated[str, typer.Option("--languages", "--language", help=help_of("languages"))] = "all",
    prompts: Annotated[str, typer.Option("--prompts", help=help_of("prompts"))] = "label",
    prompt_mode: Annotated[str, typer.Option("--prompt-mode", help=help_of("prompt_mode"))] = "released",
    templates: Annotated[str | None, typer.Option("--templates", help=help_of("templates"))] = None,
    labels: Annotated[str | None, typer.Option("--labels", help=help_of("labels"))] = None,
    device: Annotated[str | None, typer.Option("--device", help=help_of("device"))] = None,
    dtype: Annotated[str, typer.Option("--dtype", help=help_of("dtype"))] = "fp32",
    compile: Annotated[bool, typer.Option("--compile/--no-compile", help=help_of("compile"))] = False,
    precision_sample: Annotated[int, typer.Option("--precision-sample", help=help_of("precision_sample"))] = 512,
    reference_mode: Annotated[
        bool, typer.Option("--reference-mode/--no-reference-mode", help=help_of("reference_mode"))
    ] = False,
    batch_size: Annotated[int, typer.Option("--batch-size", help=help_of("batch_size"))] = 32,
    workers: Annotated[int, typer.Option("--workers", help=help_of("workers"))] = 2,
    language_token: Annotated[str, typer.Option("--language-token", help=help_of("language_token"))] = "fallback",
    store: Annotated[str | None, typer.Option("--store", help=help_of("store"))] = None,
    resume: Annotated[bool, typer.Option("--resume/--no-resume", help=help_of("resume"))] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite/--no-overwrite", help=help_of("overwrite"))] = False,
    allow_missing_images: Annotated[
        bool, typer.Option("--allow-missing-images/--no-allow-missing-images", help=help_of("allow_missing_images"))
    ] = False,
) -> None:
    """Measure how well a model names photos in each language."""
    config = EvaluateConfig(**locals())
    from rich.console import Console

    from babel_eval.runner import run
    from babel_eval.store import is_no_room
    from babel_eval.tables import print_run
    from babel_eval.team import find_team

    console = Console()
    try:
        results = run(config, progress=console.is_terminal, say=console.print)
    except (KeyboardInterrupt, OSError) as error:
        if isinstance(error, OSError) and not is_no_room(error):
            raise
        why = "no room is left on the disk" if isinstance(error, OSError) else "stopped"
        if find_team().leads:
            console.print(f"{why}; this goes on where it was:\n  {resuming(sys.argv)}", soft_wrap=True)
        raise
    if not find_team().leads:
        return
    print_run(console, results, title=f"{config.model} on {config.images}")
    failed = [f"{f['lang']} ({f['prompt']})" for f in results.failures if f["status"].startswith("failed")]
    n_missing = results.meta["images"]["n_missing"]
    if failed:
        console.print(f"[red]{len(failed)} failed: {', '.join(failed)}[/]")
    if n_missing and not allow_missing_images:
        console.print(f"[red]{n_missing} photos could not be used; --allow-missing-images accepts that[/]")
    if failed or (n_missing and not allow_missing_images):
        raise typer.Exit(1)


def resuming(arguments: Sequence[str]) -> str:
    """Give the command that goes on with an interrupted run; of several processes, what stands behind `torchrun`."""
    kept = [a for a in arguments[1:] if a not in ("--resume", "--no-resume", "--overwrite", "--no-overwrite")]
    program = ["babel-imagenet"] if int(os.environ.get("WORLD_SIZE", "1")) < 2 else ["-m", "babel_eval"]
    return shlex.join([*program, *kept, "--resume"])


def register(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command()(evaluate)
