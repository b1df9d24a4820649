"""Pushing adapters: alone or several in one repository, with a card whose numbers the Hub shows."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from huggingface_hub import ModelCard
from loopback_hub import LoopbackHub
from loopback_hub.cards import complaints
from push_helpers import Pushed, content_of
from safetensors.numpy import save_file

from babel_adapters.card import adapter_card, collection_card, read_record, write_record

REPO = "org/e5-lo"
Push = Callable[..., Pushed]


def record(language: str = "LO", *, before: float = 0.11, after: float = 0.16, **changes: Any) -> dict[str, Any]:
    measured = {
        "dataset": "Babel-ImageNet",
        "metric": "accuracy",
        "images": "names",
        "prompt_set": "label",
        "before": {"value": before, "interval": [before - 0.02, before + 0.02], "n": 392},
        "after": {"value": after, "interval": [after - 0.02, after + 0.02], "n": 392},
        "gain": {"value": after - before, "interval": [0.03, 0.07]},
    }
    known = {
        "base_model": "org/base",
        "base_revision": "0123abc",
        "language": language,
        "tag": language.lower(),
        "language_name": {"LO": "Lao", "SW": "Swahili"}.get(language, language),
        "objective": {"text-contrastive": 1.0},
        "method": "lora",
        "licence": "mit",
        "data": {"name": "CLDR", "licence": "Unicode-3.0", "pairs": 1900, "removed": {"labels": 12}},
        "settings": {"rank": 16, "steps": 100},
        "evaluations": [measured],
        "load": "from peft import PeftModel",
        "notes": ["The image tower was trained on ImageNet labels."],
    }
    return {**known, **changes}


@pytest.fixture
def adapter(tmp_path: Path) -> Callable[..., Path]:
    """Write an adapter as `train_adapter.py` does."""

    def write(language: str = "LO", **changes: Any) -> Path:
        folder = tmp_path / "adapters" / language.lower()
        folder.mkdir(parents=True, exist_ok=True)
        content = record(language, **changes)
        config = {"peft_type": "LORA", "base_model_name_or_path": content["base_model"], "r": 1}
        (folder / "adapter_config.json").write_text(json.dumps(config))
        save_file({"a.lora_A.weight": np.full((1, 2), len(language), np.float32)}, folder / "adapter_model.safetensors")
        (folder / "optimizer.bin").write_bytes(b"left over")
        write_record(folder, content)
        return folder

    return write


def test_one_adapter_lies_at_the_root_with_its_numbers_in_the_card(
    hub: LoopbackHub, push: Push, adapter: Callable[..., Path]
) -> None:
    pushed = push("adapter", "--repo-id", REPO, adapter())
    assert pushed.code == 0, pushed.err
    there = content_of(hub, "models", REPO)
    wanted = {"adapter_config.json", "adapter_model.safetensors", "adapter_record.json", "README.md"}
    assert set(there) == {*wanted, ".gitattributes"}
    card = ModelCard(there["README.md"].decode())
    values = [(r.dataset_config, r.metric_type, r.metric_value) for r in card.data.eval_results or []]
    assert values == [("lo", "accuracy", 0.11), ("lo", "accuracy", 0.16)]
    assert (card.data.base_model, card.data.language, card.data.library_name) == ("org/base", ["lo"], "peft")
    for said in (
        "0123abc",
        "text-contrastive × 1",
        "CLDR",
        "Unicode-3.0",
        "1900 pairs",
        "12 labels",
        "ImageNet labels",
    ):
        assert said in card.text
    assert f'PeftModel.from_pretrained(base, "{REPO}", revision="main")' in card.text
    assert f'PeftModel.from_pretrained(base, "{REPO}", revision=' in pushed.out
    assert "left out: " in pushed.out
    assert "optimizer.bin" in pushed.out


def test_the_line_to_load_says_what_has_to_be_imported_and_which_base(push: Push, adapter: Callable[..., Path]) -> None:
    pushed = push("adapter", "--repo-id", REPO, adapter(method="linear", model="conse-e5"), "--tag", "v1")
    lines = [line.strip() for line in pushed.out.rpartition("to load it:")[2].splitlines() if line.strip()]
    assert lines == [
        "import babel_adapters  # first: it makes peft know this kind",
        "from peft import PeftModel",
        "from babel_eval.encoders import load_encoder",
        'encoder = load_encoder("conse-e5")',
        f'encoder.text_model = PeftModel.from_pretrained(encoder.text_model, "{REPO}", revision="v1")',
    ]


def test_records_go_out_without_places_of_this_machine(
    hub: LoopbackHub, push: Push, adapter: Callable[..., Path]
) -> None:
    folder = adapter(settings={"train_data": "cldr:/home/me/cldr"})
    (folder / "babel_adapter.json").write_text(json.dumps({"base_fingerprint": "ff", "data": {"name": "/home/me/x"}}))
    assert push("adapter", "--repo-id", REPO, folder).code == 0
    there = content_of(hub, "models", REPO)
    assert json.loads(there["babel_adapter.json"]) == {"base_fingerprint": "ff", "data": {"name": "x"}}
    assert json.loads(there["adapter_record.json"])["settings"] == {"train_data": "cldr:cldr"}
    assert not [path for path, data in there.items() if b"/home" in data]


def test_several_languages_lie_in_folders_and_a_later_push_adds_one(
    hub: LoopbackHub, push: Push, adapter: Callable[..., Path]
) -> None:
    repo = "org/e5-adapters"
    adapter("LO"), adapter("SI", before=0.5, after=0.625)
    assert push("adapter", "--repo-id", repo, adapter("LO").parent).code == 0
    before = content_of(hub, "models", repo)
    assert {path.split("/")[0] for path in before if "/" in path} == {"lo", "si"}
    later = adapter("SW", before=0.25, after=0.375)
    refused = push("adapter", "--repo-id", repo, later)
    assert refused.code == 4
    assert "add --by-language" in refused.last_line
    pushed = push("adapter", "--repo-id", repo, later, "--by-language")
    assert pushed.code == 0, pushed.err
    assert 'subfolder="sw"' in pushed.out
    after = content_of(hub, "models", repo)
    assert {path: data for path, data in after.items() if path in before and path != "README.md"} == {
        path: data for path, data in before.items() if path != "README.md"
    }
    found = ModelCard(after["README.md"].decode()).data.eval_results or []
    assert [(r.dataset_config, r.metric_value) for r in found] == [
        ("lo", 0.11), ("lo", 0.16), ("si", 0.5), ("si", 0.625), ("sw", 0.25), ("sw", 0.375),
    ]  # fmt: skip
    assert "nothing to push" in push("adapter", "--repo-id", repo, later, "--by-language").out


def test_an_adapter_of_another_base_is_refused(hub: LoopbackHub, push: Push, adapter: Callable[..., Path]) -> None:
    push("adapter", "--repo-id", REPO, adapter())
    pushed = push("adapter", "--repo-id", REPO, adapter(base_model="org/other"))
    assert pushed.code == 4
    assert "another base" in pushed.last_line
    assert push("adapter", "--repo-id", REPO, adapter(base_model="org/other"), "--overwrite").code == 0


def test_a_whole_model_of_this_name_is_refused(hub: LoopbackHub, push: Push, adapter: Callable[..., Path]) -> None:
    repo = hub.store.create("models", REPO, author="ann")
    from loopback_hub.store import lfs_entry

    files = {**repo.resolve("main").files, "model.safetensors": lfs_entry(repo.put(b"weights"), 7)}
    repo.point("heads/main", repo.add_commit(repo.resolve("main"), files, "a model", "", "ann"))
    pushed = push("adapter", "--repo-id", REPO, adapter())
    assert pushed.code == 4
    assert "holds something else" in pushed.last_line


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (lambda folder: (folder / "adapter_model.safetensors").unlink(), "adapter_model.safetensors is missing"),
        (lambda folder: (folder / "adapter_model.safetensors").write_bytes(b"\x80\x04pickle"), "no safetensors file"),
        (lambda folder: (folder / "adapter_record.json").unlink(), "adapter_record.json is missing"),
        (lambda folder: (folder / "adapter_config.json").write_text("{}"), "names the base None"),
        (lambda folder: (folder / "adapter_config.json").unlink(), "is no adapter"),
    ],
)
def test_an_adapter_that_nobody_could_load_is_refused(
    hub: LoopbackHub, push: Push, adapter: Callable[..., Path], damage: Callable[[Path], None], says: str
) -> None:
    folder = adapter()
    damage(folder)
    pushed = push("adapter", "--repo-id", REPO, folder)
    assert pushed.code == 2
    assert says in pushed.last_line
    assert not hub.asked


def test_every_card_passes_the_check_of_the_hub() -> None:
    cards = [
        adapter_card(record()),
        adapter_card(record("ZH", tag="zh-Hant", objective="mse")),
        collection_card([record("LO"), record("SW", licence="other", method="bottleneck")], name="two"),
    ]
    for card in cards:
        assert complaints(str(card), "model") == ([], [])
        assert ModelCard(str(card)).data.to_dict() == card.data.to_dict()


def test_the_card_shows_intervals_n_and_the_paired_gain() -> None:
    text = adapter_card(record()).text
    assert "0.110 [0.090, 0.130], n = 392 | 0.160 [0.140, 0.180], n = 392 | +0.050 [+0.030, +0.070]" in text


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"base_model": "/home/me/model"}, "no id of the Hub"),
        ({"base_model": "./model"}, "no id of the Hub"),
        ({"before": 11.0}, "a fraction 0..1 is needed"),
    ],
)
def test_a_record_that_the_hub_would_refuse_is_refused(changes: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        adapter_card(record(**changes))


def test_a_record_comes_back_from_disk_as_it_was_written(tmp_path: Path) -> None:
    write_record(tmp_path, record())
    assert read_record(tmp_path) == record()
    assert (tmp_path / "README.md").read_text(encoding="utf-8") == str(adapter_card(record()))
    with pytest.raises(ValueError, match="lacks language, tag"):
        write_record(tmp_path, {key: value for key, value in record().items() if key not in ("language", "tag")})
