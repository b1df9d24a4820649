"""The commands of docs/*.md: each is read by the program that it names, with settings that are allowed together."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
import typer

from babel_eval.cli import app
from babel_eval.config import EvaluateConfig, RetrieveConfig
from babel_eval.encoders import FAMILIES
from babel_imagenet_dataset.languages import codes, resolve

ROOT = Path(__file__).parents[2]
VALUES = {"model": "open_clip:ViT-B-32@openai", "base": "open_clip:ViT-B-32@openai", "objective": "mse",
          "MODEL": "conse-e5", "languages": "lo"}  # fmt: skip
PROGRAMS = ("babel-imagenet", "babel_eval", "trainer/train_adapter.py", "trainer/translate_captions.py")


def commands(page: str) -> list[list[str]]:
    """Every command of our programs in a page's blocks, its variables replaced."""
    text = (ROOT / "docs" / page).read_text(encoding="utf-8").replace("\\\n", " ")
    blocks = re.findall(r"^```sh\n(.*?)^```", text, re.S | re.M)
    outside = re.sub(r"^```.*?^```", "", text, flags=re.S | re.M)
    lines = "\n".join([*blocks, *re.findall(r"^    (\S.*)$", outside, re.M)]).splitlines()
    lines = [re.sub(r"\$\((?:[^()]|\([^()]*\))*\)", "x", line) for line in lines]
    lines = [
        re.sub(r"\$(\w+)", lambda found: VALUES.get(found[1], "x"), line.strip()) for line in lines if "=$(" not in line
    ]
    split = [shlex.split(line, comments=True) for line in lines]
    return [parts for parts in split if any(part in PROGRAMS for part in parts)]


def parse_main(arguments: list[str]) -> None:
    command = typer.main.get_command(app)
    name, rest = arguments[0], arguments[1:]
    if rest[-1:] == ["…"]:  # an abbreviated line
        rest = ["--model", "conse-e5", "--images", "val", "--out", "r.json"]
    context = command.commands[name].make_context(name, rest)
    if name == "evaluate":
        config = EvaluateConfig(**context.params)
        resolve(config.languages, codes("93" if config.labels is None else config.labels))
        assert config.model == "…" or config.model.partition(":")[0] in FAMILIES
    if name == "retrieve":
        RetrieveConfig(**{**context.params, "k": tuple(map(int, context.params["k"].split(",")))})


def parse_trainer(script: str, arguments: list[str]) -> None:
    from babel_adapters.options import parse

    if script.endswith("translate_captions.py"):
        from translate_captions import TranslateConfig

        parse(TranslateConfig, arguments)
        return
    from babel_adapters.config import TrainConfig
    from babel_adapters.presets import PRESETS

    parse(TrainConfig, arguments, presets=PRESETS, aliases={"languages": ["--language"]})


@pytest.mark.parametrize("page", ["paper.md", "scaling.md"])
def test_every_command_is_read_by_its_program(page: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "trainer"))
    found = commands(page)
    for parts in found:
        at = next(place for place, part in enumerate(parts) if part in PROGRAMS)
        program, arguments = parts[at], parts[at + 1 :]
        (parse_trainer(program, arguments) if program.startswith("trainer/") else parse_main(arguments))
    assert len(found) >= {"paper.md": 12, "scaling.md": 5}[page]


@pytest.mark.parametrize("page", ["paper.md", "scaling.md"])
def test_every_variable_is_set_on_its_page(page: str) -> None:
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    used = set(re.findall(r"\$\{?(\w+)", text))
    given = set(re.findall(r"^\s*(\w+)=", text, re.M)) | set(re.findall(r"\bfor (\w+) in", text))
    told = {"CAPTIONS", "MODEL", "RANK"} | {name for name in used if name.startswith("SLURM_")}
    assert used - given <= told, "a command would run with an empty word in its place"
    assert {name for name in told & used if f"`{name}`" not in text and not name.startswith("SLURM_")} <= {
        "MODEL",
        "RANK",
    }


def test_runs_of_298_languages_ask_for_no_templates_that_a_language_lacks() -> None:
    """`nllb` for all 298 would fail for the 208 languages without templates; `auto` takes their bare labels."""
    pages = [parts for page in ("paper.md", "scaling.md") for parts in commands(page)]
    runs = [parts for parts in pages if "evaluate" in parts and "298" in parts]
    prompts = [parts[parts.index("--prompts") + 1].split(",") for parts in runs if "--prompts" in parts]
    assert prompts
    assert not [some for some in prompts if "nllb" in some]
