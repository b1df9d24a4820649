"""Publish language adapters: `python push_scripts/push_adapter.py --repo-id ORG/NAME ADAPTER_DIR`.

The same as `babel-imagenet push adapter`. One adapter lies at the root of its repository; several lie in folders called
by their language's tag, and later pushes add folders. The card has accuracy before and after as a `model-index`.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from babel_push import shell
from babel_push.plan import Snapshot
from babel_push.public import without_places
from babel_push.publish import Content

if TYPE_CHECKING:
    from babel_push.hub import Hub

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
# What `MODEL+peft:…` checks before it puts an adapter onto a base.
BASE_CHECK = "babel_adapter.json"
# Kinds that peft knows only after `import babel_adapters`.
OWN_KINDS = ("bottleneck", "linear")


def push_adapter(
    repo_id: shell.RepoId,
    adapters: Annotated[list[Path], typer.Argument(help="folders of adapters, or one that holds such folders")],
    by_language: Annotated[
        bool, typer.Option("--by-language", help="one folder a language, also for a single adapter; later pushes add")
    ] = False,
    dry_run: shell.DryRun = False,
    private: shell.Private = False,
    revision: shell.Revision = "main",
    create_pr: shell.CreatePr = False,
    overwrite: shell.Overwrite = False,
    tag: shell.Tag = None,
) -> None:
    """Publish adapters that `PeftModel.from_pretrained` reads, with a card that shows accuracy before and after."""
    with shell.Guard():
        request = shell.Request(repo_id, dry_run, private, revision, create_pr, overwrite, tag)
        folders = find_adapters(adapters)
        records = {folder: check_adapter(folder) for folder in folders}
        at_root = len(folders) == 1 and not by_language
        load = load_lines(list(records.values()), at_root=at_root)
        shell.run(request, "model", lambda hub: adapter_content(hub, records, at_root=at_root), load=load)


def find_adapters(places: Sequence[Path]) -> list[Path]:
    """Give the folders of adapters: those given, or the sub-folders of those given, in order.

    Raises:
      FileNotFoundError: a place is no adapter and holds none.
    """
    found: list[Path] = []
    for place in places:
        inside = sorted(p.parent for p in place.glob(f"*/{CONFIG}"))
        if (place / CONFIG).is_file():
            found.append(place)
        elif inside:
            found += inside
        else:
            raise FileNotFoundError(f"{place} is no adapter: no {CONFIG} in it, nor in a folder below")
    return found


def check_adapter(folder: Path) -> dict[str, Any]:
    """Check an adapter's folder, and give the record of its training.

    Raises:
      FileNotFoundError: weights or record are missing.
      ValueError: the weights are no safetensors file or hold no tensor, the record is unsound, or config and record
        name different bases.
    """
    from safetensors import SafetensorError, safe_open

    from babel_adapters.card import read_record

    if not (folder / WEIGHTS).is_file():
        raise FileNotFoundError(f"{folder / WEIGHTS} is missing; adapters are pushed as safetensors only")
    try:
        with safe_open(folder / WEIGHTS, framework="np") as weights:
            n_tensors = len(weights.keys())
    except SafetensorError as error:
        raise ValueError(f"{folder / WEIGHTS} is no safetensors file: {error}") from error
    if not n_tensors:
        raise ValueError(f"{folder / WEIGHTS} holds no tensor")
    record = read_record(folder)
    base = json.loads((folder / CONFIG).read_text(encoding="utf-8")).get("base_model_name_or_path")
    if base != record["base_model"]:
        raise ValueError(
            f"{folder / CONFIG} names the base {base!r}, its record {record['base_model']!r}; both must be the id on"
            " the Hub, so that others can load it"
        )
    return record


def load_lines(records: Sequence[Mapping[str, Any]], *, at_root: bool) -> list[str]:
    """Give the lines that load the first of some adapters from the Hub; `{repo_id}` and `{revision}` are left open."""
    first = records[0]
    lines = ["import babel_adapters  # first: it makes peft know this kind"] if first["method"] in OWN_KINDS else []
    lines.append("from peft import PeftModel")
    base = "base"
    if first.get("model"):
        lines += ["from babel_eval.encoders import load_encoder", f'encoder = load_encoder("{first["model"]}")']
        base = "encoder.text_model"
    below = "" if at_root else f', subfolder="{first["tag"]}"'
    line = f'PeftModel.from_pretrained({base}, "{{repo_id}}"{below}, revision="{{revision}}")'
    return [*lines, f"{base} = {line}"]


def adapter_content(hub: Hub, records: Mapping[Path, Mapping[str, Any]], *, at_root: bool) -> Content:
    """Give the content: weights, config, record and card of each adapter, and a card for all where they are several."""
    from babel_adapters.card import adapter_card, collection_card

    name = hub.repo_id.rpartition("/")[2]
    tags = [record["tag"] for record in records.values()]
    if len(set(tags)) < len(tags):
        raise ValueError(f"two adapters of one language ({', '.join(sorted(tags))}); push them to two repositories")

    def build(there: Snapshot) -> Mapping[str, Path | bytes]:
        files: dict[str, Path | bytes] = {}
        for folder, record in records.items():
            below = "" if at_root else f"{record['tag']}/"
            files |= {f"{below}{each}": folder / each for each in (CONFIG, WEIGHTS)}
            files |= {f"{below}{each}": _public(folder / each) for each in records_of(folder)}
            title = name if at_root else f"{name}: {record['tag']}"
            files[f"{below}README.md"] = str(adapter_card(_at(record, hub, below), name=title)).encode("utf-8")
        if not at_root:
            known = _records_there(hub, there) | {r["tag"]: r for r in records.values()}
            shown = [_at(known[tag], hub, f"{tag}/") for tag in sorted(known)]
            files["README.md"] = str(collection_card(shown, name=name)).encode("utf-8")
        return files

    languages = ", ".join(str(record["language"]) for record in records.values())
    return Content(
        build=build,
        recognise=lambda there: _recognise(hub, there, records, at_root),
        title=f"Publish adapters for {languages}" if len(records) > 1 else f"Publish an adapter for {languages}",
        owns=lambda path: at_root or path.split("/")[0] in tags,
        left_out=tuple(str(path) for folder in records for path in _others(folder)),
    )


def records_of(folder: Path) -> list[str]:
    """Give the names of the records that lie beside an adapter: that of its training, and that of its base."""
    from babel_adapters.card import RECORD_NAME

    return [name for name in (RECORD_NAME, BASE_CHECK) if (folder / name).is_file()]


def _others(folder: Path) -> list[Path]:
    known = {CONFIG, WEIGHTS, "README.md", *records_of(folder)}
    return sorted(path for path in folder.iterdir() if path.name not in known)


def _public(path: Path) -> bytes:
    """Give a record as it is published: without the places of the machine that made it."""
    record = without_places(json.loads(path.read_text(encoding="utf-8")))
    return (json.dumps(record, ensure_ascii=False, indent=1) + "\n").encode("utf-8")


def _recognise(hub: Hub, there: Snapshot, records: Mapping[Path, Mapping[str, Any]], at_root: bool) -> str | None:
    from babel_adapters.card import RECORD_NAME, TAG
    from babel_push.cards import has_content, remote_front_matter

    if not has_content(hub, there):
        return None
    card = remote_front_matter(hub, there)
    if TAG not in (card.get("tags") or []):
        return f"holds something else (its card lacks the tag {TAG})"
    if at_root != (RECORD_NAME in there.files):
        return "holds " + ("adapters in folders; add --by-language" if at_root else "one adapter at its root")
    bases = card.get("base_model") or []
    wanted = sorted({str(record["base_model"]) for record in records.values()})
    strange = [base for base in wanted if base not in ([bases] if isinstance(bases, str) else bases)]
    return f"holds adapters of another base ({bases}), not of {strange[0]}" if strange else None


def _records_there(hub: Hub, there: Snapshot) -> dict[str, dict[str, Any]]:
    """Give the records of the adapters in the repository's folders, by tag."""
    from babel_adapters.card import RECORD_NAME

    paths = [path for path in there.files if path.endswith(f"/{RECORD_NAME}") and path.count("/") == 1]
    with tempfile.TemporaryDirectory(prefix="babel-push-") as folder:
        places = [hub.read_file(path, there.commit or "", Path(folder)) for path in paths]
        found = [json.loads(place.read_text(encoding="utf-8")) for place in places]
    return {record["tag"]: record for record in found}


def _at(record: Mapping[str, Any], hub: Hub, below: str) -> dict[str, Any]:
    """Give the record with the line that loads the adapter from this repository, and without places."""
    lines = load_lines([record], at_root=not below)
    return {**without_places(record), "load": "\n".join(lines).format(repo_id=hub.repo_id, revision=hub.revision)}


if __name__ == "__main__":
    shell.main(push_adapter)
