"""The paper's Figure 3: one model in one language a point, colour by model, a fitted line, r in the corner."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from babel_eval.correlation.figures import Correlation
from babel_eval.correlation.joining import Joined
from babel_eval.vega import Spec, model_scale
from babel_imagenet_dataset.languages import language

DIRECTIONS = {"t2i": "text-to-image", "i2t": "image-to-text"}
PROMPTS = {"label": "bare label", "openai_en": "English templates", "nllb_dist13b_prompts": "translated templates"}


def score_title(score: str) -> str:
    """Give the words for a retrieval score: `t2i_r@1` becomes `text-to-image, recall at 1`; other names stay."""
    direction, _, cutoff = score.partition("_r@")
    return f"{DIRECTIONS[direction]}, recall at {cutoff}" if direction in DIRECTIONS and cutoff else score


def is_recall(score: str) -> bool:
    """True for the recalls of a retrieval set, which are fractions."""
    return score.partition("_r@")[0] in DIRECTIONS


def point_rows(joined: Joined) -> list[dict[str, Any]]:
    """Give a chart's points as rows: model, code, language, x, y."""
    p = joined.points
    return [
        {"model": model, "code": code, "language": language(code).name, "x": float(x), "y": float(y)}
        for model, code, x, y in zip(p.models, p.languages, p.x, p.y, strict=True)
    ]


def scatter(joined: Joined, figures: Correlation, models: Sequence[str], *, width: int | str = 300) -> Spec:
    """Draw one set, prompt set and score.

    Args:
      joined: the points.
      figures: their correlation, for the corner.
      models: all models of the report, in the order that fixes their colours.
      width: in pixels, or `container`.
    """
    y_format = ".0%" if is_recall(joined.score) else ".3~g"
    x = {
        "field": "x",
        "type": "quantitative",
        "axis": {"format": ".0%", "title": f"zero-shot accuracy ({PROMPTS.get(joined.prompt, joined.prompt)})"},
        "scale": {"zero": False, "nice": True},
    }
    y = {
        "field": "y",
        "type": "quantitative",
        "axis": {"format": y_format, "title": score_title(joined.score), "tickCount": 6},
        "scale": {"zero": False, "nice": True},
    }
    points = {
        "mark": {"type": "point", "filled": True, "size": 70, "opacity": 0.85},
        "encoding": {
            "color": {
                "field": "model",
                "scale": model_scale(list(models), "color"),
                "legend": {
                    "title": None,
                    "columns": 2 if width != "container" else {"expr": "width < 420 ? 1 : 2"},
                    "values": [model for model in models if width != "container" or model in joined.points.models],
                },
            },
            "shape": {"field": "model", "scale": model_scale(list(models), "shape")},
            "tooltip": [
                {"field": "language"},
                {"field": "model"},
                {"field": "x", "format": ".1%", "title": "accuracy"},
                {"field": "y", "format": ".1%" if is_recall(joined.score) else ".4~g", "title": joined.score},
            ],
        },
    }
    line = {
        "transform": [{"regression": "y", "on": "x"}],
        "mark": {"type": "line", "color": "var(--soft)", "strokeWidth": 1.5, "strokeDash": [5, 3]},
    }
    return {
        "title": {"text": joined.task, "subtitle": score_title(joined.score), "subtitleColor": "var(--soft)"},
        "width": width,
        "height": 300,
        "data": {"values": point_rows(joined)},
        "encoding": {"x": x, "y": y},
        "layer": [line, points, _corner(figures)],
    }


def _corner(figures: Correlation) -> Spec:
    r = "r not defined" if figures.pearson.value is None else f"r = {figures.pearson.value:.2f}"
    return {
        "data": {"values": [{"text": r}]},
        "mark": {"type": "text", "align": "left", "baseline": "top", "fontSize": 15, "fontWeight": 600},
        "encoding": {
            "x": {"value": 8},
            "y": {"value": 6},
            "text": {"field": "text"},
            "color": {"value": "var(--ink)"},
        },
    }


def figure(entries: Sequence[tuple[Joined, Correlation]], models: Sequence[str]) -> Spec:
    """Draw several scatters in one picture, two in a row."""
    return {
        "concat": [scatter(joined, figures, models) for joined, figures in entries],
        "columns": 2,
        "spacing": 32,
        "resolve": {"scale": {"color": "shared", "shape": "shared"}},
    }
