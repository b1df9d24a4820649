"""Leaderboard Space: the published results as a heat map and a scatter, with filters, and how to add a model.

Stands alone: reads the results dataset that `push_results.py` publishes (`RESULTS=ORG/NAME`), or a folder of result
files (`RESULTS=FOLDER`).
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import gradio as gr
import pandas as pd

RESULTS = os.environ.get("RESULTS", "babel-imagenet/results")
GROUPS = {"vlow": 100, "low": 333, "mid": 666, "high": 1000}
SIZES = {"any size": (0, float("inf")), "up to 300 M": (0, 3e8), "300 M to 1 B": (3e8, 1e9), "above 1 B": (1e9, 1e15)}
MEASURES = {"accuracy": "accuracy", "accuracy above chance": "centred", "10-way accuracy": "k_way_10", "gap": "gap"}
ALIASES = {"JP": "JA", "FIL": "TL", "QUZ": "QU", "IW": "HE"}


def read(results: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Give one table of zero-shot rows and one of retrieval rows; the second may be empty.

    Raises:
      ValueError: a folder holds no result file.
    """
    if Path(results).is_dir():
        rows = [row for path in sorted(Path(results).rglob("*.json")) for row in read_file(path)]
        if not rows:
            raise ValueError(f"RESULTS={results}: the folder holds no result file")
        table = pd.DataFrame(rows)
        is_recall = table["accuracy"].isna() if "accuracy" in table else pd.Series(True, index=table.index)
        zero_shot, retrieval = table[~is_recall].copy(), table[is_recall].copy()
    else:
        from datasets import get_dataset_config_names, load_dataset

        names = get_dataset_config_names(results)
        tables = {n: load_dataset(results, n, split="test").to_pandas() for n in names}
        zero_shot, retrieval = tables["zero_shot"], tables.get("retrieval", pd.DataFrame())
    return with_figures(zero_shot), retrieval


def read_file(path: Path) -> list[dict[str, Any]]:
    """Give the rows of a result file with their model; nothing for other JSON."""
    content = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(content, dict) or not isinstance(content.get("results"), list):
        return []
    meta = content["meta"]
    dataset = meta.get("dataset")
    own = {"model": meta["model"], "parameters": meta.get("parameters")}
    own["images"] = dataset["name"] if isinstance(dataset, dict) else path.resolve().parent.name
    k_ways = [{f"k_way_{k}": f["value"] for k, f in row.get("k_way", {}).items()} for row in content["results"]]
    return [{**row, **k, **own} for row, k in zip(content["results"], k_ways, strict=True)]


def with_figures(table: pd.DataFrame) -> pd.DataFrame:
    """Add what a file may lack: chance-corrected accuracy and the resource group."""
    chance = 1 / table["num_classes"]
    table["centred"] = (table["accuracy"] - chance) / (1 - chance)
    table["group"] = [next(g for g, most in GROUPS.items() if n <= most) for n in table["num_classes"]]
    return table[table["accuracy"].notna()]


def chosen(table: pd.DataFrame, prompt: str, groups: list[str], size: str) -> pd.DataFrame:
    """Give the rows of a prompt set, some groups and a range of model sizes; unknown sizes pass `any size` only."""
    low, high = SIZES[size]
    of_size = table["parameters"].between(low, high, inclusive="left") | (size == "any size")
    return table[(table["prompt"] == prompt) & table["group"].isin(groups) & of_size]


def board(table: pd.DataFrame) -> pd.DataFrame:
    """Give models, best first: mean accuracy in percent over the languages chosen, English apart, and their number."""
    others = table[table["lang"] != "EN"]
    means = others.groupby("model").agg(mean=("accuracy", "mean"), languages=("lang", "nunique"))
    english = table[table["lang"] == "EN"].groupby("model")["accuracy"].mean()
    means.insert(1, "English", english.reindex(means.index))
    means["parameters (M)"] = others.groupby("model")["parameters"].first() / 1e6
    means[["mean", "English"]] = (100 * means[["mean", "English"]]).round(1)
    return means.sort_values("mean", ascending=False).round(1).reset_index()


def heat(table: pd.DataFrame, measure: str) -> Any:
    """Give languages x models in percent, few classes first, coloured by value."""
    column = MEASURES[measure]
    if column not in table or table[column].isna().all():
        return pd.DataFrame({"note": [f"these results have no {measure}"]})
    wide = table.pivot_table(index=["num_classes", "lang"], columns="model", values=column).sort_index()
    shown = (100 * wide).round(1).reset_index().rename(columns={"lang": "language", "num_classes": "classes"})
    models = list(wide.columns)
    return shown.style.format(precision=1, na_rep="–").background_gradient("Blues", subset=models, axis=None)


def scatter(table: pd.DataFrame, retrieval: pd.DataFrame) -> Any:
    """Draw zero-shot accuracy against text-to-image recall at 1: a point is a model in a language."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 5), layout="constrained")
    axis = figure.subplots()
    axis.set(xlabel="zero-shot accuracy, %", ylabel="text-to-image recall at 1, %")
    if len(retrieval):
        keyed = retrieval.assign(lang=retrieval["lang"].str.upper().replace(ALIASES))
        both = table[["model", "lang", "accuracy"]].merge(keyed[["model", "lang", "t2i_r@1"]], on=["model", "lang"])
        for model, points in both.groupby("model"):
            axis.scatter(100 * points["accuracy"], 100 * points["t2i_r@1"], label=model, s=28)
        if len(both) > 2:
            axis.set_title(f"r = {both['accuracy'].corr(both['t2i_r@1']):.2f}, {len(both)} points", loc="left")
        if len(both):
            axis.legend(frameon=False, fontsize=8)
    axis.spines[["top", "right"]].set_visible(False)
    axis.grid(color="#e4e7eb", linewidth=0.7)
    return figure


def add_text(results: str) -> str:
    """Give the exact commands that add a model."""
    return f"""### Add your model

```
pip install babel-imagenet
babel-imagenet evaluate --model open_clip:NAME@TAG --images hf:ILSVRC/imagenet-1k:validation \\
    --languages all --labels 298 --prompts label,nllb --out my-model.json
babel-imagenet push results my-model.json --repo-id {results} --create-pr
```

The last line opens a pull request on the results dataset; once it is merged, the model stands here.
`babel-imagenet models` lists model strings; `--dry-run` shows what would be pushed."""


def build(results: str = RESULTS) -> gr.Blocks:
    """Build the page."""
    zero_shot, retrieval = read(results)
    prompts = list(dict.fromkeys(zero_shot["prompt"]))

    def show(prompt: str, groups: list[str], size: str, measure: str) -> tuple[Any, Any, Any]:
        table = chosen(zero_shot, prompt, groups, size)
        return board(table), heat(table, measure), scatter(table, retrieval)

    with gr.Blocks(title="Babel-ImageNet leaderboard") as page:
        gr.Markdown("# Babel-ImageNet leaderboard\nZero-shot accuracy in % on ImageNet, in up to 298 languages.")
        with gr.Row():
            prompt = gr.Dropdown(prompts, value=prompts[0], label="prompt set")
            groups = gr.CheckboxGroup(list(GROUPS), value=list(GROUPS), label="resource group of the language")
            size = gr.Dropdown(list(SIZES), value="any size", label="model size")
            measure = gr.Dropdown(list(MEASURES), value="accuracy", label="heat map shows")
        with gr.Tab("Models"):
            models = gr.Dataframe(interactive=False, elem_id="board")
        with gr.Tab("Heat map"):
            languages = gr.Dataframe(interactive=False, elem_id="heat", max_height=640, show_search="filter")
        with gr.Tab("Retrieval"):
            plot = gr.Plot(label="Does zero-shot accuracy foretell retrieval?", elem_id="scatter")
        with gr.Tab("Add your model"):
            gr.Markdown(add_text(results))
        inputs, outputs = [prompt, groups, size, measure], [models, languages, plot]
        page.load(show, inputs, outputs)
        for control in inputs:
            control.change(show, inputs, outputs)
    return page


if __name__ == "__main__":
    build().launch()
