"""`babel-imagenet models`: strings that load, numbers that are true."""

from __future__ import annotations

import subprocess
import sys

import pytest
from typer.testing import CliRunner

from babel_eval.catalogue import CATALOGUE
from babel_eval.cli import app
from babel_eval.encoders import FAMILIES


def test_every_loadable_model_is_of_a_known_family() -> None:
    assert all(known.model.partition(":")[0] in FAMILIES for known in CATALOGUE if known.is_loadable)
    assert len({known.model for known in CATALOGUE}) == len(CATALOGUE)


def test_every_model_of_open_clip_is_one_of_its_pairs() -> None:
    import open_clip

    pairs = {f"open_clip:{name}@{tag}" for name, tag in open_clip.list_pretrained()}
    assert {known.model for known in CATALOGUE if known.model.startswith("open_clip:")} <= pairs


@pytest.mark.parametrize("known", [k for k in CATALOGUE if k.model.startswith("open_clip:")], ids=lambda k: k.model)
def test_parameters_are_those_of_the_architecture(known) -> None:
    import open_clip
    import torch

    name = known.model.removeprefix("open_clip:").partition("@")[0]
    if "hf_model_name" in open_clip.get_model_config(name)["text_cfg"]:
        pytest.skip("its text tower's configuration is on the Hub; the number is the reference's")
    with torch.device("meta"):
        model = open_clip.create_model(name, device="meta")
    assert sum(p.numel() for p in model.parameters()) == known.parameters


def test_the_list_can_be_read_by_a_script() -> None:
    result = CliRunner().invoke(app, ["models", "--names", "--paper"])
    assert result.exit_code == 0
    lines = result.output.split()
    assert "open_clip:xlm-roberta-base-ViT-B-32@laion5b_s13b_b90k" in lines
    assert len(lines) == sum(known.paper and known.is_loadable for known in CATALOGUE)


def test_the_table_names_what_is_special() -> None:
    result = CliRunner().invoke(app, ["models"], env={"COLUMNS": "200"})
    assert result.exit_code == 0
    for word in ("SigLIP2", "worldwide", "jina-clip-v2", "nllb-clip-base-siglip", "--language-token", "+peft:"):
        assert word in result.output


@pytest.mark.parametrize("columns", ["60", "80", "200"])
def test_every_model_string_can_be_copied_at_any_width(columns: str) -> None:
    lines = CliRunner().invoke(app, ["models"], env={"COLUMNS": columns}).output.splitlines()
    assert {known.model for known in CATALOGUE} <= {line.strip() for line in lines}
    text = " ".join(" ".join(lines).split())
    for known in CATALOGUE:
        assert f"licence: {known.licence} · {known.text}" in text
        assert f"{known.parameters / 1e6:,.0f} M parameters" in text
    assert "…" not in text.replace("…+peft", "").replace("MetaCLIP 2, …", "")


@pytest.mark.slow
def test_the_embedded_baseline_has_the_parameters_that_are_listed() -> None:
    from babel_eval.encoders import load_encoder

    (known,) = (known for known in CATALOGUE if known.model == "conse-e5")
    assert known.parameters == load_encoder("conse-e5").parameters


@pytest.mark.parametrize(
    "command", ["evaluate", *(pytest.param(name, marks=pytest.mark.slow) for name in ("retrieve", "audit"))]
)
def test_every_command_knows_the_adapters_that_peft_lacks(command: str) -> None:
    script = (
        "import sys\n"
        f"sys.argv = ['babel-imagenet', {command!r}, '--model', 'conse-e5+peft:nowhere', '--help']\n"
        "from babel_eval import cli\n"
        "try: cli.main()\n"
        "except SystemExit: pass\n"
        "sys.exit(0 if 'babel_adapters' in sys.modules else 1)\n"
    )
    assert subprocess.run([sys.executable, "-c", script], capture_output=True).returncode == 0
