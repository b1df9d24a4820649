"""`babel-imagenet audit`: what is wrong with the labels, counted and listed; samples and review lists for people."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np
    from rich.console import Console

    from babel_eval.label_effect import LabelEffect
    from babel_imagenet_dataset.audit_table import LanguageAudit
    from babel_imagenet_dataset.release import LabelFile, LanguageLabels
    from babel_imagenet_dataset.semantic import WrongShare
    from babel_imagenet_dataset.sheets import SheetRow
    from babel_imagenet_dataset.validation import ErrorRate


READ_WITH = {
    "model": ("meaning", "effect"),
    "device": ("meaning", "effect"),
    "k": ("meaning",),
    "review": ("meaning",),
    "n_review": ("review",),
    "images": ("effect",),
    "per_group": ("sample",),
    "seed": ("sample",),
    "sheets": ("sample",),
}
"""Options that are read only where one of others is given."""
OF_SAMPLE = {"labels", "languages", "sample", "per_group", "seed", "sheets"}
"""All that is read where --sample is given."""


def audit(
    context: typer.Context,
    labels: Annotated[str | None, typer.Option(help="label file: a path; 93 or 298 (without it: 93)")] = None,
    languages: Annotated[str, typer.Option(help="which: codes, 92, 100, 298, vlow, low, mid, high, all")] = "all",
    out: Annotated[
        Path | None,
        typer.Option(help="write the audit: all of it as .json, which `report` shows too; the table as .csv or .tsv"),
    ] = None,
    correction: Annotated[
        list[Path] | None,
        typer.Option("--corrections", help="sheet of decisions, on top of those in the package; once for each"),
    ] = None,
    meaning: Annotated[
        bool, typer.Option("--meaning/--text-only", help="also rank each label's class by meaning; needs the model")
    ] = False,
    model: Annotated[str, typer.Option(help="encoder whose text tower ranks the classes")] = "conse-e5",
    device: Annotated[str | None, typer.Option(help="cpu, cuda, cuda:0, mps; chosen without it")] = None,
    k: Annotated[int, typer.Option(help="a class within the first k ranks is near")] = 100,
    effect: Annotated[
        bool,
        typer.Option("--effect/--no-effect", help="also measure accuracy under released, cleaned and human labels"),
    ] = False,
    images: Annotated[str, typer.Option(help="with --effect: photos, as for evaluate")] = "sample",
    review: Annotated[Path | None, typer.Option(help="with --meaning: write the list to review, worst first")] = None,
    n_review: Annotated[int, typer.Option(help="labels on the list to review")] = 200,
    sample: Annotated[int, typer.Option(help="draw so many labels a language for people to judge; 0: none")] = 0,
    per_group: Annotated[
        int, typer.Option(help="with --sample: draw so many languages of each resource group; 0: take all")
    ] = 0,
    seed: Annotated[int, typer.Option(help="of the sample")] = 0,
    sheets: Annotated[Path, typer.Option(help="with --sample: folder for one TSV a language")] = Path("sample"),
    filled: Annotated[list[Path] | None, typer.Option(help="a filled sheet to count; once for each")] = None,
) -> None:
    """Count what is wrong with the labels.

    Rules look at their text and, with --meaning, a model at their meaning.
    """
    from rich.console import Console

    from babel_eval.commands import audit_tables as tables
    from babel_imagenet_dataset import corrections
    from babel_imagenet_dataset.audit_table import audit_language
    from babel_imagenet_dataset.languages import resolve
    from babel_imagenet_dataset.release import load_labels

    _check_options(context, out, sample)
    console = Console()
    label_file = load_labels(labels)
    chosen = {code: label_file.languages[code] for code in resolve(languages, label_file.n_classes)}
    if sample:
        _write_samples(console, chosen, label_file.path, sample, seed, per_group or None, sheets)
        return
    decided = corrections.with_own(correction or [])
    rows = [audit_language(one, decided) for one in chosen.values()]
    judged = _judged(console, filled or [], chosen)
    shares: dict[str, WrongShare] = {}
    if meaning:
        shares, ranks = _by_meaning(console, chosen, model, device, k)
    tables.print_languages(console, rows, shares, judged)
    tables.print_flags(console, rows)
    tables.print_refused(console, rows)
    tables.print_judged(console, judged)
    if review is not None:
        _write_review(console, chosen, label_file.path, ranks, review, n_review)
    effects = _effects(console, chosen, decided, model, device, images) if effect else []
    if out is None:
        return
    if out.suffix == ".json":
        by_meaning = {"model": model, "k": k, "languages": {code: vars(share) for code, share in shares.items()}}
        by_effect = {"model": model, "images": images, "rows": [vars(one) for one in effects]}
        _write_json(out, label_file, rows, by_meaning if meaning else None, by_effect if effect else None, judged)
    else:
        tables.write_table(out, rows, shares, judged)
    console.print(f"wrote {out}", highlight=False, soft_wrap=True)


def register(app: typer.Typer) -> None:
    """Add the command `audit`."""
    app.command("audit")(audit)


def _write_json(
    out: Path,
    label_file: LabelFile,
    rows: Sequence[LanguageAudit],
    meaning: Mapping[str, Any] | None,
    effect: Mapping[str, Any] | None,
    judged: Mapping[str, ErrorRate],
) -> None:
    """Write all of an audit, as `report` reads it; None for what was not asked for."""
    from babel_imagenet_dataset.audit_table import totals
    from babel_imagenet_dataset.files import write_json

    content = {
        "audit": 1,
        "labels": {"file": label_file.path.name, "sha256": label_file.sha256},
        "totals": totals(rows),
        "languages": [row.as_json() for row in rows],
        "meaning": meaning,
        "effect": effect,
        "judged": [vars(rate) for rate in judged.values()],
    }
    write_json(out, content)


def _check_options(context: typer.Context, out: Path | None, sample: int) -> None:
    """Refuse what cannot be written, and options that nothing would read."""
    values = context.params
    given = [name for name in values if getattr(context.get_parameter_source(name), "name", "") == "COMMANDLINE"]
    for name in given:
        if (needed := READ_WITH.get(name, ())) and not any(values[other] for other in needed):
            raise ValueError(f"{_flag(name)} is read with {' or '.join(map(_flag, needed))} only")
    if sample < 0:
        raise ValueError(f"--sample must be 0 or a number of labels, got {sample}")
    if sample and (unread := [_flag(name) for name in given if name not in OF_SAMPLE and values[name]]):
        raise ValueError(f"--sample draws sheets and stops: give {', '.join(unread)} to another call")
    if out is not None and out.suffix not in (".json", ".csv", ".tsv"):
        raise ValueError(f"--out {out}: the audit is written as .json, .csv or .tsv")


def _flag(name: str) -> str:
    return "--" + {"correction": "corrections"}.get(name, name).replace("_", "-")


def _by_meaning(
    console: Console, chosen: Mapping[str, LanguageLabels], model: str, device: str | None, k: int
) -> tuple[dict[str, WrongShare], dict[tuple[str, int], int]]:
    """Rank every label's class; give the estimated share of wrong labels a language, and the ranks."""
    from babel_eval.commands.audit_tables import track
    from babel_eval.encoders import load_encoder
    from babel_imagenet_dataset.human_names import HUMAN_LANGUAGES, human_names
    from babel_imagenet_dataset.imagenet import english_class_names
    from babel_imagenet_dataset.semantic import null_ranks, own_ranks, wrong_share

    encoder = load_encoder(model, device=device)
    english = encoder.encode_texts(english_class_names(), "EN")
    shares: dict[str, WrongShare] = {}
    ranks: dict[tuple[str, int], int] = {}
    for code, labels in track(console, {c: of for c, of in chosen.items() if c != "EN"}.items(), "meaning"):
        features = encoder.encode_texts(labels.labels, code)
        own = own_ranks(features, english, labels.class_index)
        reference: np.ndarray | None = None
        if code in HUMAN_LANGUAGES:
            names = [human_names(code)[index] for index in labels.class_index.tolist()]
            reference = own_ranks(encoder.encode_texts(names, code), english, labels.class_index)
        shares[code] = wrong_share(own, null_ranks(features, english, labels.class_index), reference, k)
        ranks.update({(code, i): int(r) for i, r in zip(labels.class_index.tolist(), own, strict=True)})
    return shares, ranks


def _effects(
    console: Console,
    chosen: Mapping[str, LanguageLabels],
    decided: Sequence[SheetRow],
    model: str,
    device: str | None,
    images: str,
) -> list[LabelEffect]:
    """Measure and print what cleaned and human labels do to accuracy."""
    from babel_eval.commands.audit_tables import print_effects, track
    from babel_eval.config import EvaluateConfig
    from babel_eval.encoders import load_encoder
    from babel_eval.label_effect import label_effects
    from babel_eval.photo_sources import find_photos
    from babel_eval.runner import image_features
    from babel_eval.store import FeatureStore, default_store
    from babel_eval.texts import ClassFeatures

    config = EvaluateConfig(model=model, images=images, out="", device=device)
    encoder = load_encoder(model, device=device)
    photos = None if images == "names" else find_photos(images)
    found = image_features(config, encoder, photos, FeatureStore(default_store()), progress=console.is_terminal)
    others = {code: labels for code, labels in chosen.items() if code != "EN"}
    steps = (label_effects(ClassFeatures(encoder), found, {c: of}, decided) for c, of in others.items())
    effects = [one for step in track(console, steps, "accuracy", len(others)) for one in step]
    print_effects(console, effects)
    return effects


def _write_review(
    console: Console,
    chosen: Mapping[str, LanguageLabels],
    labels: Path,
    ranks: Mapping[tuple[str, int], int],
    path: Path,
    n_labels: int,
) -> None:
    from babel_imagenet_dataset.audit_table import review_order
    from babel_imagenet_dataset.sheets import known_words, sheet_row, write_sheet

    label_of = {
        (code, index): label
        for code, of_language in chosen.items()
        for index, label in zip(of_language.class_index.tolist(), of_language.labels, strict=True)
    }
    known = known_words(labels)
    worst = review_order(ranks)[:n_labels]
    rows = [sheet_row(*key, label_of[key], known, f"own class at rank {ranks[key]} of 1000") for key in worst]
    _check_free(path)
    write_sheet(path, rows)
    console.print(f"{len(rows)} labels to review, worst first: {path}", highlight=False, soft_wrap=True)


def _write_samples(
    console: Console,
    chosen: Mapping[str, LanguageLabels],
    labels: Path,
    n: int,
    seed: int,
    per_group: int | None,
    folder: Path,
) -> None:
    from babel_imagenet_dataset.sheets import known_words, write_sheet
    from babel_imagenet_dataset.validation import draw_sample

    drawn = draw_sample(chosen, n, seed, per_group, known_words(labels))
    paths = {code: folder / f"{code.lower()}.tsv" for code in drawn}
    for path in paths.values():
        _check_free(path)
    for code, rows in drawn.items():
        write_sheet(paths[code], rows)
    console.print(
        f"{sum(map(len, drawn.values())):,} labels of {len(drawn)} languages, one sheet each: {folder}",
        highlight=False,
        soft_wrap=True,
    )


def _check_free(path: Path) -> None:
    if path.exists():
        raise ValueError(f"{path} is there already, and may be filled: name another place, or remove it yourself")


def _judged(console: Console, paths: Sequence[Path], chosen: Mapping[str, LanguageLabels]) -> dict[str, ErrorRate]:
    """Count filled sheets; what they judge but the labels no longer hold is left out, and said."""
    from babel_imagenet_dataset.sheets import read_sheet
    from babel_imagenet_dataset.validation import error_rates, still_there

    rows, gone = still_there([row for path in paths for row in read_sheet(path)], chosen)
    for row in gone:
        why = "its label is another now" if row.language in chosen else "the language is not among --languages"
        console.print(
            f"left out of the count: {row.language}, class {row.class_index}, {row.old!r}: {why}",
            highlight=False,
            soft_wrap=True,
            markup=False,
            style="yellow",
        )
    return {rate.language: rate for rate in error_rates(rows)} if rows else {}
