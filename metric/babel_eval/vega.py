"""Charts as Vega-Lite specifications: drawn live in a page, or as PNG and SVG without a browser.

Colours that depend on the reader's scheme are written as CSS variables (`var(--ink)`); a page defines them, and a
picture gets the values of `LIGHT` or `DARK`. The Vega runtime (BSD-3-Clause, 0.9 MB) and the renderer come with
`vl-convert-python`; nothing is fetched.
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from babel_imagenet_dataset.files import atomic_path

VEGA_LITE = "5.20"
Spec = dict[str, Any]

LIGHT = {"paper": "#ffffff", "ink": "#1b1f24", "soft": "#57606a", "line": "#e4e7eb", "faint": "#f4f6f8"} | {
    "vlow": "#d55e00", "low": "#e69f00", "mid": "#56b4e9", "high": "#0072b2",  # Okabe and Ito 2008
}  # fmt: skip
DARK = {"paper": "#14171c", "ink": "#e8ebef", "soft": "#a0a9b4", "line": "#2d333b", "faint": "#1c2027"} | {
    "vlow": "#f0782a", "low": "#f2b632", "mid": "#74c7f5", "high": "#3d9be0",
}  # fmt: skip
FONT = "system-ui, -apple-system, 'Segoe UI', 'Noto Sans', sans-serif"

MODEL_COLOURS = (
    "#3b74c4", "#e08a2e", "#3f9b72", "#c8506a", "#8a6bc4", "#4aaec6",
    "#b59a2a", "#d977a8", "#8c7355", "#6b7b8c", "#8fb548", "#6f86d6",
)  # fmt: skip
MODEL_SHAPES = ("circle", "square", "triangle-up", "diamond", "cross", "triangle-down")
GROUP_COLOURS = {g: f"var(--{g})" for g in ("vlow", "low", "mid", "high")}
GROUP_NAMES = {"vlow": "up to 100 classes", "low": "101–333", "mid": "334–666", "high": "667–1000"}

CONFIG: Spec = {
    "background": "transparent",
    "font": FONT,
    "view": {"stroke": None},
    "axis": {
        "labelColor": "var(--soft)",
        "titleColor": "var(--soft)",
        "titleFontWeight": 500,
        "labelFontSize": 12,
        "titleFontSize": 12,
        "titlePadding": 8,
        "gridColor": "var(--line)",
        "domain": False,
        "tickColor": "var(--line)",
        "labelLimit": 240,
    },
    "axisX": {"labelFlush": False},
    "legend": {
        "labelColor": "var(--ink)",
        "titleColor": "var(--soft)",
        "labelFontSize": 12,
        "labelLimit": 320,
        "symbolSize": 90,
        "orient": "bottom",
        "columns": 3,
    },
    "header": {"labelColor": "var(--ink)", "labelFontSize": 13, "labelFontWeight": 600, "title": None},
    "title": {"color": "var(--ink)", "anchor": "start", "fontSize": 14, "fontWeight": 600},
}


# The renderer's own fonts lack U+2212, and it would set a whole number with it in another one.
_LOCALE = {"decimal": ".", "thousands": ",", "grouping": [3], "currency": ["$", ""], "minus": "-"}


def converter() -> Any:
    """Give the renderer.

    Raises:
      ImportError: it is not installed; the message has the pip line.
    """
    try:
        import vl_convert
    except ImportError as error:
        raise ImportError('charts need vl-convert-python: pip install "babel-imagenet[report]"') from error
    return vl_convert


@cache
def runtime() -> str:
    """Give the JavaScript of the Vega runtime, which defines `window.vegaEmbed`."""
    return str(converter().javascript_bundle("window.vegaEmbed = vegaEmbed;", vl_version=VEGA_LITE))


def compiled(spec: Spec) -> Spec:
    """Compile a Vega-Lite specification to Vega, which needs no compiler in the page."""
    return dict(converter().vegalite_to_vega({"config": CONFIG, **spec}, vl_version=VEGA_LITE))


def draw(spec: Spec, path: Path | str, *, dark: bool = False) -> None:
    """Draw a chart into a file, PNG or SVG by its suffix.

    Raises:
      ValueError: the suffix is neither.
    """
    path = Path(path)
    ready = {**painted({"config": CONFIG, **spec}, DARK if dark else LIGHT)}
    ready["config"] = {**ready["config"], "background": (DARK if dark else LIGHT)["paper"]}
    ready.setdefault("padding", 16)
    given = {"vl_version": VEGA_LITE, "format_locale": _LOCALE}
    if path.suffix == ".svg":
        data = converter().vegalite_to_svg(ready, **given).encode()
    elif path.suffix == ".png":
        data = _packed(converter().vegalite_to_png(ready, scale=2, **given))
    else:
        raise ValueError(f"a chart is drawn as .png or .svg, got {path}")
    with atomic_path(path) as part:
        part.write_bytes(data)


def _packed(png: bytes) -> bytes:
    """Give the same picture in 256 colours: a chart has few, and a file of a third the size."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.open(io.BytesIO(png)).convert("RGB").quantize(256).save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def painted(spec: Spec, colours: Mapping[str, str]) -> Spec:
    """Put colours in the place of CSS variables."""
    return dict(json.loads(re.sub(r"var\(--(\w+)\)", lambda match: colours[match[1]], json.dumps(spec))))


def model_scale(models: list[str], channel: str) -> Spec:
    """Give the scale that gives each model the same colour or shape in every chart."""
    palette = MODEL_COLOURS if channel == "color" else MODEL_SHAPES
    return {"domain": models, "range": [palette[i % len(palette)] for i in range(len(models))]}
