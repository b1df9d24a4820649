"""`babel-imagenet …`: the commands, each in a module of its own; what a user did wrong is one line, not a traceback."""

from __future__ import annotations

import os
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
    try:
        if any("+peft:" in argument for argument in sys.argv):
            import babel_adapters  # noqa: F401  (it makes the kinds of adapters known that PEFT lacks)
        app()
    except (ValueError, KeyError, ImportError, OSError) as error:
        if os.environ.get("BABEL_TRACEBACK"):
            raise
        message = error.args[0] if isinstance(error, KeyError) and error.args else error
        sys.stderr.write(f"error: {message}\n")
        sys.exit(2)
    except KeyboardInterrupt:
        sys.stderr.write("stopped\n")
        sys.exit(130)
