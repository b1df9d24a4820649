"""Out to the Hub and back: a stranger with empty caches and an empty folder gets what was built, unchanged.

The stranger is another process with the real clients; all it knows is the address of the Hub.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from loopback_hub import LoopbackHub
from push_helpers import ANN, LABELS, Pushed

from babel_zsic.scoring import score_decisions

TOY_SPACE = {
    "README.md": '---\ntitle: ZSIC\nsdk: gradio\nsdk_version: 5.9.1\npython_version: "3.11"\napp_file: app.py\n---\n',
    "requirements.txt": "evaluate==0.4.6\n",
    "app.py": "import evaluate\n",
}
PREDICTIONS = [0, 1, 1, 5, 999, 2, 0, 1]
REFERENCES = [0, 1, 0, 5, 999, 1, 0, 2]
LANGUAGES = ["LO", "LO", "DE", "DE", "DE", "LO", "EN", "EN"]

STRANGER = """
import json, os, sys
from datasets import load_dataset
import evaluate

assert not os.listdir("."), os.listdir(".")
found = {name: load_dataset("org/babel-imagenet", name, split="test").to_list() for name in sys.argv[2:]}
found["results"] = load_dataset("org/results", split="test").to_list()
asked = json.loads(sys.argv[1])
for name in ("babel_zsic", "org/babel_zsic"):
    found[name] = evaluate.load(name).compute(**asked)
print(json.dumps(found))
"""


def metric_folder(tmp_path: Path) -> Path:
    """Copy the installed metric; the files of its Space that it lacks are filled in."""
    from babel_push.push_metric import installed_metric

    folder = shutil.copytree(installed_metric(), tmp_path / "babel_zsic")
    for name, text in TOY_SPACE.items():
        if not (folder / name).exists():
            (folder / name).write_text(text)
    return folder


def test_dataset_results_and_metric_come_back_as_they_were(
    hub: LoopbackHub,
    push: Callable[..., Pushed],
    spawn: Callable[..., Pushed],
    built_once: Path,
    results_file: Callable[..., Path],
    tmp_path: Path,
) -> None:
    for command in (
        ("dataset", "--repo-id", "org/babel-imagenet", "--folder", built_once, "--accept-babelnet-license", "--no-tag"),
        ("results", "--repo-id", "org/results", results_file("a", DE=0.5), results_file("b", LO=0.125)),
        ("metric", "--repo-id", "org/babel_zsic", "--folder", metric := metric_folder(tmp_path)),
        ("metric", "--repo-id", "evaluate-metric/babel_zsic", "--folder", metric),
    ):
        pushed = push(*command)
        assert pushed.code == 0, pushed.err
    asked = {
        "predictions": PREDICTIONS,
        "references": REFERENCES,
        "languages": LANGUAGES,
        "num_classes": {"LO": 10, "DE": 1000, "EN": 1000},
    }
    script = tmp_path / "stranger.py"
    script.write_text(STRANGER)
    seen = spawn(script, json.dumps(asked), *(code.lower() for code in LABELS), user=None)
    assert seen.code == 0, seen.err
    found = json.loads(seen.out.splitlines()[-1])
    for code, (indices, labels) in LABELS.items():
        rows = found[code.lower()]
        assert [row["class_index"] for row in rows] == indices
        assert [row["label"].encode() for row in rows] == [label.encode() for label in labels]
    assert [(r["model"], r["lang"], r["accuracy"]) for r in found["results"]] == [("a", "DE", 0.5), ("b", "LO", 0.125)]
    local = json.loads(json.dumps(score_decisions(**asked)))
    assert found["babel_zsic"] == found["org/babel_zsic"] == local
    assert found["babel_zsic"]["per_language"]["DE"]["accuracy"] == pytest.approx(2 / 3)
    assert {a.user for a in hub.asked if a.route == "resolve" and a.method == "GET"} <= {None, "ann"}


ADAPTED = """
import json, sys
import babel_adapters, torch
from peft import PeftModel
from transformers import AutoModel

found = {}
for below in sys.argv[1:]:
    base = AutoModel.from_pretrained("org/base")
    model = PeftModel.from_pretrained(base, "org/adapters", subfolder=below).eval()
    with torch.inference_mode():
        states = model(input_ids=torch.tensor([[1, 5, 9, 2]])).last_hidden_state
    found[below] = states.numpy().tobytes().hex()
print(json.dumps(found))
"""


# peft asks transformers for a name that is deprecated there.
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing.:FutureWarning")
def test_adapters_give_the_same_bits_again(
    hub: LoopbackHub, push: Callable[..., Pushed], spawn: Callable[..., Pushed], tmp_path: Path
) -> None:
    import torch
    from huggingface_hub import HfApi
    from transformers import BertConfig, BertModel

    torch.manual_seed(0)
    sizes: dict[str, Any] = {"hidden_size": 16, "intermediate_size": 32, "num_attention_heads": 2}
    base = BertModel(BertConfig(vocab_size=50, num_hidden_layers=2, max_position_embeddings=16, **sizes)).eval()
    base.save_pretrained(tmp_path / "base")
    HfApi(endpoint=hub.url, token=ANN.token).create_repo("org/base")
    HfApi(endpoint=hub.url, token=ANN.token).upload_folder(repo_id="org/base", folder_path=tmp_path / "base")
    expected = {tag: make_adapter(tmp_path, tag, method) for tag, method in (("lo", "lora"), ("sw", "bottleneck"))}
    assert expected["lo"] != expected["sw"]
    pushed = push("adapter", "--repo-id", "org/adapters", tmp_path / "adapters")
    assert pushed.code == 0, pushed.err
    script = tmp_path / "stranger.py"
    script.write_text(ADAPTED)
    seen = spawn(script, *expected, user=None)
    assert seen.code == 0, seen.err
    assert json.loads(seen.out.splitlines()[-1]) == expected


def make_adapter(tmp_path: Path, tag: str, method: str) -> str:
    """Write an adapter with random weights onto the base on disk, and give its states as hex digits."""
    import torch
    from test_push_adapter import record
    from transformers import AutoModel

    from babel_adapters.adapter import AdapterConfig, attach, save, trainable
    from babel_adapters.card import write_record

    base = AutoModel.from_pretrained(tmp_path / "base")
    model = attach(base, AdapterConfig(method=method, rank=2), n_steps=1, base_model="org/base").eval()
    with torch.no_grad():
        for parameter in trainable(model).values():
            parameter.normal_()
    folder = tmp_path / "adapters" / tag
    save(model, folder)
    write_record(folder, record(tag.upper(), method=method))
    with torch.inference_mode():
        states = model(input_ids=torch.tensor([[1, 5, 9, 2]])).last_hidden_state
    return states.numpy().tobytes().hex()
