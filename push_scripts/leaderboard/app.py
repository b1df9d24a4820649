"""Leaderboard Space: the published results as a heat map and a scatter, with filters, and how to add a model.

Stands alone: reads the results dataset that `push_results.py` publishes (`RESULTS=ORG/NAME`), or a folder of result
files (`RESULTS=FOLDER`).
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import gradio as gr
import pandas as pd

RESULTS = os.environ.get("RESULTS", "babel-imagenet/results")
GROUPS = {"vlow": 100, "low": 333, "mid": 666, "high": 1000}
GROUP_NAMES = {"vlow": "up to 100 classes", "low": "101–333", "mid": "334–666", "high": "667–1000"}
SIZES = {"any size": (0, float("inf")), "up to 300 M": (0, 3e8), "300 M to 1 B": (3e8, 1e9), "above 1 B": (1e9, 1e15)}
MEASURES = {
    "accuracy": "accuracy",
    "accuracy above chance": "centred",
    "10-way accuracy": "k_way_10",
    "gap to English": "gap",
}
PROMPTS = {"label": "bare label", "openai_en": "English templates", "nllb_dist13b_prompts": "translated templates"}
DIRECTIONS = {"text-to-image": "t2i_r@1", "image-to-text": "i2t_r@1"}
ALIASES = {"JP": "JA", "FIL": "TL", "QUZ": "QU", "IW": "HE", "NB": "NO"}
INTRO = """# Babel-ImageNet leaderboard

Zero-shot accuracy in % on photos of ImageNet's classes, in up to 298 languages. Languages have different sets of
classes, so accuracies of two languages do not compare; 10-way accuracy and accuracy above chance do."""


def read(results: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Give one table of zero-shot rows and one of retrieval rows; the second may be empty.

    Raises:
      ValueError: a folder holds no zero-shot result file.
    """
    if Path(results).is_dir():
        found = {path: path.relative_to(results).as_posix() for path in sorted(Path(results).rglob("*.json"))}
        rows = [{**row, "run": name} for path, name in found.items() for row in read_file(path)]
        zero_shot = pd.DataFrame([row for row in rows if row.get("accuracy") is not None])
        retrieval = pd.DataFrame([row for row in rows if "t2i_r@1" in row])
        if zero_shot.empty:
            raise ValueError(f"RESULTS={results}: the folder holds no zero-shot result file")
    else:
        from datasets import get_dataset_config_names, load_dataset

        names = get_dataset_config_names(results, revision="main")
        tables = {n: load_dataset(results, n, split="test", revision="main").to_pandas() for n in names}
        zero_shot, retrieval = tables["zero_shot"], tables.get("retrieval", pd.DataFrame())
    return with_figures(zero_shot), retrieval


def read_file(path: Path) -> list[dict[str, Any]]:
    """Give the rows of a result file with their model and photos; nothing for other JSON."""
    content = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(content, dict) or not isinstance(content.get("results"), list):
        return []
    meta = content["meta"]
    source = meta.get("images") or meta.get("dataset")
    is_retrieval = any("t2i_r@1" in row for row in content["results"])
    images = source["name"] if isinstance(source, Mapping) else path.resolve().parent.name if is_retrieval else None
    own = {"model": meta["model"], "parameters": meta.get("parameters"), "images": images}
    k_ways = [{f"k_way_{k}": f["value"] for k, f in row.get("k_way", {}).items()} for row in content["results"]]
    return [{**row, **k, **own} for row, k in zip(content["results"], k_ways, strict=True)]


def with_figures(table: pd.DataFrame) -> pd.DataFrame:
    """Add what a file may lack, chance-corrected accuracy and the resource group, and give each run a short name."""
    table = table[table["accuracy"].notna()].copy()
    table["images"] = table["images"].fillna("ImageNet")  # the reference's files do not say
    chance = 1 / table["num_classes"]
    table["centred"] = (table["accuracy"] - chance) / (1 - chance)
    table["group"] = [next(g for g, most in GROUPS.items() if n <= most) for n in table["num_classes"]]
    table["run"] = run_names(table)
    return table


def run_names(table: pd.DataFrame) -> list[str]:
    """Name each row's run: the model's short name where that is one model, its photos where it has several.

    Where runs of one model on the same photos have a number for the same language and prompts, since their labels or
    settings differ, each has the name of its file too: a mean of both would be the number of neither.
    """
    models = sorted(set(table["model"]))
    short = [model.rsplit("/", 1)[-1].split("@")[0] for model in models]
    names = {model: s if short.count(s) == 1 else model for model, s in zip(models, short, strict=True)}
    n_sets = table.groupby("model")["images"].nunique()
    own = [
        names[model] if n_sets[model] == 1 else f"{names[model]} ({Path(images).name})"
        for model, images in zip(table["model"], table["images"], strict=True)
    ]
    keys = table[["lang", "prompt"]].assign(own=own)
    several = set(keys["own"][keys.duplicated(keep=False)])
    return [f"{name}: {run}" if name in several else name for name, run in zip(own, table["run"], strict=True)]


def chosen(table: pd.DataFrame, prompt: str, groups: list[str], size: str) -> pd.DataFrame:
    """Give the rows of a prompt set, some groups and a range of model sizes; unknown sizes pass `any size` only."""
    low, high = SIZES[size]
    of_size = table["parameters"].between(low, high, inclusive="left") | (size == "any size")
    return table[(table["prompt"] == prompt) & table["group"].isin(groups) & of_size]


def board(table: pd.DataFrame) -> tuple[pd.DataFrame, str]:
    """Give runs, best first, by mean accuracy over the languages that all of them have, English apart; and a note."""
    wide = table[table["lang"] != "EN"].pivot_table(index="lang", columns="run", values="accuracy")
    shared = wide.dropna()
    means = pd.DataFrame({"mean %": 100 * shared.mean(), "languages": wide.notna().sum()})
    english = table[table["lang"] == "EN"].groupby("run")["accuracy"].first()
    means.insert(1, "English %", (100 * english).reindex(means.index))
    means["parameters, M"] = table.groupby("run")["parameters"].first() / 1e6
    photos = table.groupby("run")["images"].first()
    means["photos"] = [Path(photos[run]).name for run in means.index]
    note = (
        f"Means over the {len(shared)} languages that every model below has, English apart. Other photos, other scale."
    )
    order = means.sort_values("mean %", ascending=False).round(1).reset_index()
    return order.rename(columns={"run": "model"}), note if len(wide) else "No result for this choice."


def heat(table: pd.DataFrame, measure: str) -> Any:
    """Give languages x runs in percent, few classes first, best run first, coloured by value; no value, no colour."""
    column = MEASURES[measure]
    if column not in table or table[column].isna().all():
        return pd.DataFrame({"note": [f"these results have no {measure}"]})
    runs = list(board(table)[0]["model"])
    wide = 100 * table.pivot_table(index=["num_classes", "lang"], columns="run", values=column).sort_index()
    wide = wide.reindex(columns=runs)  # a run without the figure has a column too
    shown = wide.round(1).reset_index().rename(columns={"lang": "language", "num_classes": "classes"})
    style = shown[["language", "classes", *runs]].style.format(precision=1, na_rep="–", subset=runs)
    style = style.background_gradient("Oranges" if column == "gap" else "Blues", subset=runs, axis=None)
    return style.map(lambda v: "background-color: transparent; color: inherit" if pd.isna(v) else "", subset=runs)


def scatter(table: pd.DataFrame, retrieval: pd.DataFrame, name: str | None, direction: str) -> tuple[Any, str]:
    """Give the points of a retrieval set, a model in a language each, in percent; and their correlation in words."""
    columns = {"accuracy": "zero-shot accuracy %", DIRECTIONS[direction]: "recall at 1 %"}
    if not len(retrieval) or name is None:
        return pd.DataFrame(columns=["run", "lang", *columns.values()]), "There are no retrieval results yet."
    keyed = retrieval[retrieval["images"] == name]
    keyed = keyed.assign(lang=keyed["lang"].str.upper().replace(ALIASES))
    both = table[["model", "run", "lang", "accuracy"]].merge(
        keyed[["model", "lang", DIRECTIONS[direction]]], on=["model", "lang"]
    )
    r = f"r = {both['accuracy'].corr(both[DIRECTIONS[direction]]):.2f}, " if len(both) > 2 else ""
    points = both.rename(columns=columns).drop(columns="model")
    points[list(columns.values())] *= 100
    note = (
        f"**{r}{len(both)} points.** A point is one model in one language; `babel-imagenet correlate` gives intervals."
    )
    return points, note


def add_text(results: str) -> str:
    """Give the exact commands that add a model."""
    repository = "ORG/RESULTS" if Path(results).is_dir() else results
    return f"""### Add your model

```
pip install babel-imagenet
babel-imagenet evaluate --model open_clip:NAME@TAG --images hf:ILSVRC/imagenet-1k:validation \\
    --languages all --labels 298 --prompts label,auto --out my-model.json
babel-imagenet push results my-model.json --repo-id {repository} --create-pr
```

The last line opens a pull request on the results dataset; once it is merged, the model stands here.
`babel-imagenet models` lists model strings; `--dry-run` shows what would be pushed. `babel-imagenet retrieve` measures
a model on captions; its file is pushed by the same last line and joins the scatter."""


def build(results: str = RESULTS) -> gr.Blocks:
    """Build the page."""
    zero_shot, retrieval = read(results)
    prompts = [(PROMPTS.get(p, p), p) for p in dict.fromkeys(zero_shot["prompt"])]
    sets = sorted(set(retrieval["images"])) if len(retrieval) else []

    def show(prompt: str, groups: list[str], size: str, measure: str, name: str, direction: str) -> tuple[Any, ...]:
        table = chosen(zero_shot, prompt, groups, size)
        return (*board(table), heat(table, measure), *scatter(table, retrieval, name, direction))

    with gr.Blocks(title="Babel-ImageNet leaderboard") as page:
        gr.Markdown(INTRO)
        with gr.Row():
            prompt = gr.Dropdown(prompts, value=prompts[0][1], label="prompt set")
            size = gr.Dropdown(list(SIZES), value="any size", label="model size")
            measure = gr.Dropdown(list(MEASURES), value="accuracy", label="heat map shows")
        groups = gr.CheckboxGroup(
            [(f"{g}: {text}", g) for g, text in GROUP_NAMES.items()],
            value=list(GROUPS),
            label="resource group of the language",
        )
        with gr.Tab("Models"):
            note = gr.Markdown()
            models = gr.Dataframe(interactive=False, elem_id="board", wrap=True)
        with gr.Tab("Heat map"):
            languages = gr.Dataframe(interactive=False, elem_id="heat", max_height=640, show_search="filter")
        with gr.Tab("Retrieval"):
            with gr.Row():
                name = gr.Dropdown(sets, value=sets[0] if sets else None, label="retrieval set")
                direction = gr.Dropdown(list(DIRECTIONS), value="text-to-image", label="direction")
            correlation = gr.Markdown()
            axes = {"x": "zero-shot accuracy %", "y": "recall at 1 %", "color": "run"}
            plot = gr.ScatterPlot(**axes, tooltip="all", height=460, elem_id="scatter")
        with gr.Tab("Add your model"):
            gr.Markdown(add_text(results))
        inputs, outputs = [prompt, groups, size, measure, name, direction], [models, note, languages, plot, correlation]
        page.load(show, inputs, outputs)
        for control in inputs:
            control.change(show, inputs, outputs)
    return page


if __name__ == "__main__":
    build().launch()
