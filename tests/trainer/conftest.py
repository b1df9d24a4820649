"""Tiny bases of every family that adapters are trained on, and pairs to train them with."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tests" / "eval"), str(ROOT / "trainer")]

WORDS = ("tench", "goldfish", "shark", "ray", "cock", "hen", "ostrich", "finch", "junco", "bunting", "robin", "jay")


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Compute tiny models in one thread."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def build_base(family: str, folder: Path) -> str:
    """Write a tiny model of a family and give its model string."""
    import test_encoder_m_clip
    import test_encoder_open_clip
    import test_encoder_transformers
    import tiny_models
    import torch

    torch.manual_seed(0)
    if family == "open_clip":
        return f"open_clip:{tiny_models.open_clip_folder(folder / 'base', {})}"
    if family == "open_clip XLM-R":
        (folder / "base").mkdir(parents=True)
        text = test_encoder_open_clip.xlm_roberta_text(folder / "base")
        return f"open_clip:{tiny_models.open_clip_folder(folder / 'base', text)}"
    if family == "m-clip":
        test_encoder_m_clip.published(folder / "text")
        images = tiny_models.open_clip_folder(folder / "images", {})
        return f"m-clip:{folder / 'text'}+images:open_clip:{images}"
    kind = {"transformers CLIP": "clip", "transformers SigLIP": "siglip"}[family]
    return f"transformers:{test_encoder_transformers.saved(kind, folder / 'base')}"


@pytest.fixture
def base(tmp_path: Path) -> Callable[[str], str]:
    """Give a function that writes a tiny model of a family and returns its model string."""
    return lambda family: build_base(family, tmp_path / family.replace(" ", "-"))


@pytest.fixture
def pairs_file(tmp_path: Path) -> Path:
    """Forty captions with their English ones and images, as JSON lines."""
    rng = np.random.default_rng(0)
    rows = []
    for n in range(40):
        english = f"{WORDS[n % 12]} {WORDS[(n * 5 + n // 12) % 12]}"
        Image.fromarray(rng.integers(0, 255, (32, 32, 3), dtype=np.uint8)).save(tmp_path / f"{n}.png")
        rows.append({"target": f"{english[::-1]} {n}", "english": english, "image": f"{n}.png"})
    path = tmp_path / "pairs.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    return path


@pytest.fixture
def labels_file(tmp_path: Path) -> Path:
    """Labels of one language for six classes."""
    path = tmp_path / "labels.json"
    path.write_text(json.dumps({"LO": [[0, 1, 2, 7, 8, 9], ["hcnet", "dlog", "krahs", "koc", "neh", "hcirtso"]]}))
    return path


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let peft ask transformers what transformers will soon no longer answer to."""
    for item in items:
        if "trainer" in item.path.parts:
            item.add_marker(pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing:FutureWarning"))
