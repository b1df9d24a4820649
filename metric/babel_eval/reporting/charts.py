"""The report's charts as Vega-Lite specifications over named data; the page fills them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from babel_eval.correlation.curse import QUANTITIES
from babel_eval.reporting.data import ReportData, Row, best_models, group_means, main_runs
from babel_eval.vega import GROUP_COLOURS, GROUP_NAMES, Spec, model_scale
from babel_imagenet_dataset.languages import GROUPS

EQUAL = "several, equally"
_ORDER = list(GROUPS)
_GROUP_LABEL = f"{GROUP_NAMES}[datum.value]".replace("'", '"')
_GROUP_COLOUR = {
    "field": "group",
    "scale": {"domain": _ORDER, "range": [GROUP_COLOURS[g] for g in _ORDER]},
    "legend": {
        "title": None,
        "labelExpr": _GROUP_LABEL,
        "columns": {"expr": "width < 500 ? 2 : 4"},
    },
}


@dataclass(frozen=True)
class Chart:
    """A chart: its specification without data, and the rows that it draws.

    Attributes:
      name: file name without suffix, and id in the page.
      spec: Vega-Lite; its data are named `rows`, what the reader chooses are parameters (`run`, `prompt`, `k`).
      rows: data for pictures; the page fills in its own, filtered.
    """

    name: str
    spec: Spec
    rows: Sequence[Row]


def charts(data: ReportData, flags: Sequence[Row]) -> list[Chart]:
    """Give every chart for which the results have what it draws.

    Args:
      data: the results.
      flags: counts of label flags a language, from `classes.flag_rows`; empty where labels are not at hand.
    """
    rows = language_rows(data, flags)
    found = [
        Chart("groups", _groups(data), group_means(data)),
        Chart("accuracy", _accuracy(data), rows),
        Chart("gap", _gap(data), rows),
        Chart("classes_raw", _by_size(data, "accuracy"), rows),
        Chart("classes_k_way", _by_size(data, k_field(data)), rows),
    ]
    if len(data.rivals) > 1:
        found.append(Chart("best", _best(data), best_models(data)))
    if flags:
        found.append(Chart("flags", _flags(data), rows))
    return found


def language_rows(data: ReportData, flags: Sequence[Row]) -> list[Row]:
    """Give the results' rows with what charts show beside the figures: the language's name, its share of flags."""
    names = {x["code"]: x["name"] for x in data.languages}
    share = {f["lang"]: f["flagged"] / f["n_classes"] for f in flags}
    return [{**row, "language": names[row["lang"]], "flagged": share.get(row["lang"])} for row in data.rows]


def k_field(data: ReportData) -> str:
    """Give the figure that compares languages of unlike size: 10-way accuracy where the files have it, else centred."""
    return "k10" if any(row["k10"] is not None for row in data.rows) else "centred"


def _params(data: ReportData, **more: Any) -> list[Spec]:
    values = {"prompt": data.prompts[0], "run": data.labels[0], **more}
    return [{"name": name, "value": value} for name, value in values.items()]


def _base(params: list[Spec], transform: list[Spec], **rest: Any) -> Spec:
    return {
        "data": {"name": "rows"},
        "width": "container",
        "height": 280,
        "params": params,
        "transform": transform,
        **rest,
    }


_OF_RUN = {"filter": "datum.prompt == prompt && datum.run == run"}
_NOT_ENGLISH = {"filter": "datum.lang != 'EN'"}


def _percent(field: str, title: str, **more: Any) -> Spec:
    return {"field": field, "type": "quantitative", "axis": {"format": ".0%", "title": title, "tickCount": 6}, **more}


def _places(title: str) -> Spec:
    """Give an axis of places 1, 2, … without numbers."""
    return {
        "field": "place",
        "type": "quantitative",
        "axis": {"labels": False, "grid": False, "ticks": False, "title": title},
        "scale": {"nice": False, "zero": False, "padding": 6},
    }


def _tip(*fields: str) -> list[Spec]:
    """Give a tooltip of fields; fractions as percent."""
    plain = {"language", "run", "n", "n_classes", "n_images", "best", "second", "group"}
    return [{"field": f, **({} if f in plain else {"format": ".1%"})} for f in fields]


def _groups(data: ReportData) -> Spec:
    encoding = {
        "x": {
            "field": "group",
            "type": "ordinal",
            "sort": _ORDER,
            "axis": {
                "title": "resource group of the language",
                "labelExpr": _GROUP_LABEL,
                "labelAngle": 0,
                "grid": False,
            },
            "scale": {"padding": 0.25},
        },
        "y": _percent("value", "mean accuracy", scale={"domainMin": 0}),
        "color": {
            "field": "run",
            "scale": model_scale(data.labels, "color"),
            "legend": {"title": None, "columns": {"expr": "width < 500 ? 1 : 4"}},
        },
        "tooltip": [*_tip("run", "n"), {"field": "value", "format": ".1%", "title": "mean"}],
    }
    line = {"mark": {"type": "line", "strokeWidth": 1.5, "opacity": 0.6}}
    point = {
        "mark": {"type": "point", "filled": True, "size": 80, "opacity": 1},
        "encoding": {"shape": {"field": "run", "scale": model_scale(data.labels, "shape")}},
    }
    transform = [
        {"filter": "datum.prompt == prompt && datum.group != 'all'"},
        {"calculate": "datum[measure]", "as": "value"},
        {"filter": "isValid(datum.value)"},
    ]
    params = _params(data, measure="accuracy")
    return _base(params, transform, encoding=encoding, layer=[line, point])


def _accuracy(data: ReportData) -> Spec:
    transform: list[Spec] = [
        _OF_RUN,
        {"calculate": f"indexof({_ORDER}, datum.group)", "as": "order"},
        {
            "window": [{"op": "row_number", "as": "place"}],
            "sort": [{"field": "order"}, {"field": "accuracy", "order": "descending"}],
        },
    ]
    x = _places("languages by resource group, best first")
    interval = {
        "mark": {"type": "rule", "strokeWidth": 1.2, "opacity": 0.45},
        "encoding": {"y": _percent("accuracy_low", "accuracy"), "y2": {"field": "accuracy_high"}},
    }
    chance = {
        "mark": {"type": "tick", "orient": "horizontal", "thickness": 1.5, "size": 5, "opacity": 0.9},
        "encoding": {"y": {"field": "chance", "type": "quantitative"}, "color": {"value": "var(--soft)"}},
    }
    point = {
        "mark": {"type": "point", "filled": True, "size": 34, "opacity": 1},
        "encoding": {
            "y": _percent("accuracy", "accuracy"),
            "tooltip": _tip("language", "accuracy", "accuracy_low", "accuracy_high", "chance", "n_classes"),
        },
    }
    return _base(
        _params(data), transform, encoding={"x": x, "color": _GROUP_COLOUR}, layer=[interval, chance, point], height=300
    )


def _gap(data: ReportData) -> Spec:
    encoding = {
        "y": {
            "field": "run",
            "type": "nominal",
            "sort": data.labels,
            "axis": {"title": None, "ticks": False},
            "scale": {"paddingInner": 0.2, "paddingOuter": 0.1},
        },
        "yOffset": {"field": "group", "sort": _ORDER, "scale": {"domain": _ORDER}},
        "color": _GROUP_COLOUR,
    }
    ticks = {
        "mark": {"type": "tick", "thickness": 1.5, "size": 9, "opacity": 0.4},
        "encoding": {
            "x": _percent("gap", "points below English"),
            "tooltip": _tip("language", "run", "accuracy", "english", "gap"),
        },
    }
    mean = {
        "mark": {"type": "point", "filled": True, "size": 70, "opacity": 1, "stroke": "var(--paper)", "strokeWidth": 1},
        "encoding": {"x": {"aggregate": "mean", "field": "gap", "type": "quantitative"}},
    }
    transform = [{"filter": "datum.prompt == prompt && isValid(datum.gap)"}, _NOT_ENGLISH]
    height = {"step": 10}
    return _base(_params(data), transform, encoding=encoding, layer=[ticks, mean], height=height)


def _by_size(data: ReportData, field: str) -> Spec:
    """Draw accuracy, or what is fair between languages, against the number of classes."""
    titles = {"accuracy": "accuracy among all classes", "centred": "accuracy above chance"}
    parameter = {} if field == "accuracy" else {"k": field}
    value = "datum.accuracy" if field == "accuracy" else "datum[k]"
    transform = [_OF_RUN, {"calculate": value, "as": "value"}, {"filter": "isValid(datum.value)"}]
    x = {
        "field": "n_classes",
        "type": "quantitative",
        "scale": {"type": "log", "nice": False, "padding": 8},
        "axis": {"title": "classes of the language", "values": [10, 30, 100, 300, 1000], "grid": False},
    }
    y = _percent("value", titles.get(field, "accuracy among K classes"), scale={"domainMax": 1})
    point = {
        "mark": {"type": "point", "filled": True, "size": 36, "opacity": 0.75},
        "encoding": {"color": _GROUP_COLOUR, "tooltip": _tip("language", "value", "accuracy", "chance", "n_classes")},
    }
    trend = {
        "transform": [{"loess": "value", "on": "n_classes", "bandwidth": 0.7}],
        "mark": {"type": "line", "strokeWidth": 2, "color": "var(--ink)"},
    }
    chance = {
        "mark": {"type": "line", "strokeDash": [3, 3], "color": "var(--soft)"},
        "encoding": {"y": {"field": "chance", "type": "quantitative"}},
    }
    layers = [chance, point, trend] if field == "accuracy" else [point, trend]
    return _base(_params(data, **parameter), transform, encoding={"x": x, "y": y}, layer=layers)


def _best(data: ReportData) -> Spec:
    """Count the languages of each best model; where several are equally good none of them is the best."""
    colours = model_scale(data.labels, "color")
    colours = {"domain": [*colours["domain"], EQUAL], "range": [*colours["range"], "var(--soft)"]}
    encoding = {
        "y": {
            "field": "group",
            "type": "ordinal",
            "sort": _ORDER,
            "axis": {"title": None, "labelExpr": _GROUP_LABEL, "ticks": False},
        },
        "x": {
            "aggregate": "count",
            "stack": "zero",
            "axis": {"title": "languages in which it is best", "tickMinStep": 1, "tickCount": 8, "format": "d"},
        },
        "color": {
            "field": "best",
            "scale": colours,
            "legend": {"title": None, "columns": {"expr": "width < 500 ? 1 : 4"}, "values": [*data.rivals, EQUAL]},
        },
        "order": {"aggregate": "count", "sort": "descending"},
        "tooltip": [{"field": "best"}, {"aggregate": "count", "title": "languages"}],
    }
    best = f"datum.lead === 0 ? '{EQUAL}' : datum.best"
    transform = [{"filter": "datum.prompt == prompt"}, _NOT_ENGLISH, {"calculate": best, "as": "best"}]
    return _base(
        _params(data), transform, encoding=encoding, mark={"type": "bar", "height": {"band": 0.72}}, height=180
    )


def _flags(data: ReportData) -> Spec:
    transform = [_OF_RUN, _NOT_ENGLISH, {"filter": "isValid(datum.flagged) && isValid(datum.centred)"}]
    encoding = {
        "x": _percent("flagged", "share of the language's labels with a flag"),
        "y": _percent("centred", "accuracy above chance"),
        "color": _GROUP_COLOUR,
        "tooltip": _tip("language", "flagged", "centred", "accuracy", "n_classes"),
    }
    mark = {"type": "point", "filled": True, "size": 42, "opacity": 0.75}
    return _base(_params(data), transform, encoding=encoding, mark=mark)


def pair_chart(data: ReportData) -> Spec:
    """Draw the differences of two models, language by language, with their intervals; the page fills `rows`."""
    transform: list[Spec] = [
        {"window": [{"op": "row_number", "as": "place"}], "sort": [{"field": "diff", "order": "descending"}]},
        {"calculate": "datum.p < 0.05 ? 'after Holm, p < 0.05' : 'could be chance'", "as": "verdict"},
    ]
    x = _places("languages, largest difference first")
    colour = {
        "field": "verdict",
        "scale": {"domain": ["after Holm, p < 0.05", "could be chance"], "range": ["#3b74c4", "#9aa4af"]},
        "legend": {"title": None},
    }
    layers = [
        {"mark": {"type": "rule", "color": "var(--ink)"}, "data": {"values": [{"z": 0}]}, "encoding": {
            "y": {"field": "z", "type": "quantitative"}, "x": {"value": 0}, "x2": {"value": "width"}}},
        {"mark": {"type": "rule", "opacity": 0.5}, "encoding": {
            "y": _percent("low", "first less second model"), "y2": {"field": "high"}}},
        {"mark": {"type": "point", "filled": True, "size": 34, "opacity": 1}, "encoding": {
            "y": _percent("diff", "first less second model"), "tooltip": _tip("language", "diff", "low", "high")}},
    ]  # fmt: skip
    return _base(_params(data), transform, encoding={"x": x, "color": colour}, layer=layers)


def curse_charts(data: ReportData) -> list[Chart]:
    """Draw the gap against each quantity of the models that at least three of them have."""
    return [chart for quantity in QUANTITIES if (chart := _curse_chart(data, quantity)) is not None]


def _curse_chart(data: ReportData, quantity: str) -> Chart | None:
    """Draw the gap of each resource group against a quantity of the models; None below 3 models that have it."""
    rows: list[Row] = []
    names = {run.model: run.label for run in main_runs(data.runs)}
    for curse in data.curses:
        for model, gaps in curse.gaps.items():
            value = getattr(curse.facts[model], quantity)
            for name, gap in gaps.items() if value is not None else ():
                rows.append({"run": names[model], "prompt": curse.prompt, "group": name, "quantity": value, "gap": gap})
    if len({row["quantity"] for row in rows}) < 3:
        return None
    titles = {"parameters": "parameters of the model", "training_languages": "languages in its training"}
    encoding = {
        "x": {
            "field": "quantity",
            "type": "quantitative",
            "scale": {"type": "log", "nice": False, "padding": 16},
            "axis": {
                "title": titles[quantity],
                "labelExpr": "replace(format(datum.value, '~s'), 'G', 'B')",
                "grid": False,
                "tickCount": 4,
            },
        },
        "y": _percent("gap", "mean gap to English"),
        "color": _GROUP_COLOUR,
    }
    point = {
        "mark": {"type": "point", "filled": True, "size": 60, "opacity": 0.9},
        "encoding": {
            "tooltip": [*_tip("run", "group", "gap"), {"field": "quantity", "format": ",", "title": quantity}]
        },
    }
    line = {
        "transform": [{"regression": "gap", "on": "quantity", "method": "log", "groupby": ["group"]}],
        "mark": {"type": "line", "strokeWidth": 1.5, "opacity": 0.7},
    }
    transform = [{"filter": "datum.prompt == prompt && datum.group != 'all'"}]
    return Chart(f"curse_{quantity}", _base(_params(data), transform, encoding=encoding, layer=[line, point]), rows)
