"""`babel-imagenet audit`: what is wrong with the labels, counted and listed; samples and review lists for people."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np
    from rich.console import Console

    from babel_eval.label_effect import LabelEffect
    from babel_imagenet_dataset.audit_table import LanguageAudit
    from babel_imagenet_dataset.release import LanguageLabels
    from babel_imagenet_dataset.semantic import WrongShare
    from babel_imagenet_dataset.validation import ErrorRate


def audit(
    labels: Annotated[str | None, typer.Option(help="label file: a path; 93 or 298 (without it: 93)")] = None,
    languages: Annotated[str, typer.Option(help="which: codes, 92, 100, 298, vlow, low, mid, high, all")] = "all",
    out: Annotated[Path | None, typer.Option(help="write the whole audit as JSON")] = None,
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
    """Count what is wrong with the labels, by rules on their text and, with --meaning, by their meaning."""
    from rich.console import Console

    from babel_imagenet_dataset.audit_table import audit_language, totals
    from babel_imagenet_dataset.files import write_json
    from babel_imagenet_dataset.languages import resolve
    from babel_imagenet_dataset.release import load_labels

    if review is not None and not meaning:
        raise ValueError("--review lists labels by their meaning: add --meaning")
    console = Console()
    label_file = load_labels(labels)
    chosen = {code: label_file.languages[code] for code in resolve(languages, label_file.n_classes)}
    if sample:
        _write_samples(console, chosen, sample, seed, per_group or None, sheets)
        return
    rows = [audit_language(one) for one in chosen.values()]
    shares: dict[str, WrongShare] = {}
    if meaning:
        shares, ranks = _by_meaning(chosen, model, device, k)
        if review is not None:
            _write_review(console, chosen, ranks, review, n_review)
    judged = _judged(filled or [])
    _print_audit(console, rows, shares, judged)
    effects = _effects(console, chosen, model, device, images) if effect else []
    if out is not None:
        content = {
            "labels": label_file.sha256,
            "totals": totals(rows),
            "languages": [row.as_json() for row in rows],
            "meaning": {"model": model, "k": k, "languages": {c: vars(s) for c, s in shares.items()}}
            if meaning
            else None,
            "effect": {"model": model, "images": images, "rows": [vars(e) for e in effects]} if effect else None,
            "judged": [vars(rate) for rate in judged.values()],
        }
        write_json(out, content)
        console.print(f"wrote {out}", highlight=False, soft_wrap=True)


def register(app: typer.Typer) -> None:
    """Add the command `audit`."""
    app.command("audit")(audit)


def _by_meaning(
    chosen: Mapping[str, LanguageLabels], model: str, device: str | None, k: int
) -> tuple[dict[str, WrongShare], dict[tuple[str, int], int]]:
    """Rank every label's class; give the estimated share of wrong labels a language, and the ranks."""
    from babel_eval.encoders import load_encoder
    from babel_imagenet_dataset.human_names import HUMAN_LANGUAGES, human_names
    from babel_imagenet_dataset.imagenet import english_class_names
    from babel_imagenet_dataset.semantic import null_ranks, own_ranks, wrong_share

    encoder = load_encoder(model, device=device)
    english = encoder.encode_texts(english_class_names(), "EN")
    shares: dict[str, WrongShare] = {}
    ranks: dict[tuple[str, int], int] = {}
    for code, labels in chosen.items():
        if code == "EN":
            continue
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
    console: Console, chosen: Mapping[str, LanguageLabels], model: str, device: str | None, images: str
) -> list[LabelEffect]:
    """Measure and print what cleaned and human labels do to accuracy."""
    from rich import box
    from rich.table import Table

    from babel_eval.config import EvaluateConfig
    from babel_eval.encoders import load_encoder
    from babel_eval.images import find_photos
    from babel_eval.label_effect import label_effects
    from babel_eval.runner import image_features
    from babel_eval.store import FeatureStore, default_store
    from babel_eval.texts import ClassFeatures

    config = EvaluateConfig(model=model, images=images, out="", device=device)
    encoder = load_encoder(model, device=device)
    photos = None if images == "names" else find_photos(images)
    found = image_features(config, encoder, photos, FeatureStore(default_store()), progress=console.is_terminal)
    effects = list(label_effects(ClassFeatures(encoder), found, chosen))
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for header in ("lang", "labels", "classes", "differing", "photos", "released", "these", "difference"):
        table.add_column(header, justify="left" if header in ("lang", "labels") else "right", no_wrap=True)
    for one in effects:
        counts = map(str, (one.n_classes, one.n_differing, one.n_images))
        if one.released is None or one.changed is None or one.interval is None:
            table.add_row(one.language, one.other, *counts, "", "", "no photos")
            continue
        told = f"{one.difference:+.3f} [{one.interval[0]:+.3f}, {one.interval[1]:+.3f}]"
        table.add_row(one.language, one.other, *counts, f"{one.released:.3f}", f"{one.changed:.3f}", told)
    console.print(table)
    return effects


def _write_review(
    console: Console,
    chosen: Mapping[str, LanguageLabels],
    ranks: Mapping[tuple[str, int], int],
    path: Path,
    n_labels: int,
) -> None:
    from babel_imagenet_dataset.audit_table import review_order
    from babel_imagenet_dataset.sheets import sheet_row, write_sheet

    label_of = {
        (code, index): label
        for code, labels in chosen.items()
        for index, label in zip(labels.class_index.tolist(), labels.labels, strict=True)
    }
    worst = review_order(ranks)[:n_labels]
    rows = [sheet_row(*key, label_of[key], hint=f"own class at rank {ranks[key]} of 1000") for key in worst]
    write_sheet(path, rows)
    console.print(f"{len(rows)} labels to review, worst first: {path}", highlight=False, soft_wrap=True)


def _write_samples(
    console: Console, chosen: Mapping[str, LanguageLabels], n: int, seed: int, per_group: int | None, folder: Path
) -> None:
    from babel_imagenet_dataset.sheets import write_sheet
    from babel_imagenet_dataset.validation import draw_sample

    drawn = draw_sample(chosen, n, seed, per_group)
    for code, rows in drawn.items():
        path = folder / f"{code.lower()}.tsv"
        if path.exists():
            raise ValueError(
                f"{path} is there already, and may be filled: give another --sheets, or remove it yourself"
            )
        write_sheet(path, rows)
    console.print(f"{sum(map(len, drawn.values())):,} labels of {len(drawn)} languages: {folder}", highlight=False)


def _judged(paths: Sequence[Path]) -> dict[str, ErrorRate]:
    from babel_imagenet_dataset.sheets import read_sheet
    from babel_imagenet_dataset.validation import error_rates

    rows = [row for path in paths for row in read_sheet(path)]
    return {rate.language: rate for rate in error_rates(rows)} if rows else {}


def _print_audit(
    console: Console, rows: Sequence[LanguageAudit], shares: Mapping[str, WrongShare], judged: Mapping[str, ErrorRate]
) -> None:
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    columns = {
        "lang": [row.language for row in rows],
        "classes": [str(row.n_classes) for row in rows],
        "no win": [str(row.n_cannot_win) for row in rows],
        "ceiling": [f"{row.ceiling:.3f}" for row in rows],
        "script": [f"{row.script_purity:.3f}" for row in rows],
        "other's": [str(len(row.of_other_english)) for row in rows],
        "changed": [str(row.n_changed) for row in rows],
        "null": [str(row.n_null) for row in rows],
        "human": [f"{row.human.n_equal}/{row.human.n_classes}" if row.human else "" for row in rows],
        "wrong, by meaning": [_meaning(shares.get(row.language)) for row in rows],
        "wrong, judged": [_judgement(judged.get(row.language)) for row in rows],
    }
    shown = {header: cells for header, cells in columns.items() if any(cells)}
    for header in shown:
        table.add_column(header, justify="left" if header == "lang" else "right", no_wrap=True)
    for cells in zip(*shown.values(), strict=True):
        table.add_row(*cells)
    console.print(table)
    if "all" in judged:
        together = judged["all"]
        console.print(f"judged: {together.n_judged} labels, wrong {_judgement(together)}", highlight=False)


def _meaning(share: WrongShare | None) -> str:
    if share is None:
        return ""
    if share.share is None or share.interval is None:
        return share.status
    return f"at most {share.interval[1]:.2f}" if share.status == "upper bound" else _share(share.share, share.interval)


def _judgement(rate: ErrorRate | None) -> str:
    return "" if rate is None else _share(rate.rate, rate.interval)


def _share(share: float | None, interval: tuple[float, float] | None) -> str:
    return "" if share is None or interval is None else f"{share:.2f} [{interval[0]:.2f}, {interval[1]:.2f}]"
