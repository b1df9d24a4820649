"""`babel-imagenet …`: the commands, each in a module of its own; what a user did wrong is one line, not a traceback."""

from __future__ import annotations

import sys

import typer

from babel_eval.commands import (
    audit,
    build,
    correlate,
    demo,
    evaluate,
    languages,
    models,
    push,
    report,
    retrieve,
    translate,
)
from babel_eval.shell import guard

app = typer.Typer(
    name="babel-imagenet",
    help="Measure how well vision-language models understand each of 298 languages.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # drawing the boxes takes longer than all the rest of --help
)
for module in (build, audit, languages, models, evaluate, demo, retrieve, correlate, report, translate, push):
    module.register(app)


def main() -> None:
    """Run the command line; exit 2 with one line on bad input, 130 on Ctrl-C."""
    sys.exit(guard(_run))


def _run() -> None:
    if any("+peft:" in argument for argument in sys.argv):
        import babel_adapters  # noqa: F401  (it makes the kinds of adapters known that PEFT lacks)
    app()
