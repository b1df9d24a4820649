"""`babel-imagenet push dataset|metric|adapter|results`: what was built, out to the Hub; the scripts of `babel_push`."""

from __future__ import annotations

import typer


def register(app: typer.Typer) -> None:
    """Add the commands below `push`."""
    from babel_push.push_adapter import push_adapter
    from babel_push.push_dataset import push_dataset
    from babel_push.push_metric import push_metric
    from babel_push.push_results import push_results

    group = typer.Typer(
        name="push",
        help="Publish labels, metric, adapters or results.",
        no_args_is_help=True,
    )
    group.command("dataset")(push_dataset)
    group.command("metric")(push_metric)
    group.command("adapter")(push_adapter)
    group.command("results")(push_results)
    app.add_typer(group)
