"""Sets of settings by name, and the defaults that were tried; `RECIPES.md` says how they were found."""

from __future__ import annotations

from typing import Any

LEARNING_RATES = {
    "lora": 5e-4,
    "dora": 5e-4,
    "ia3": 5e-3,
    "adalora": 1e-3,
    "vera": 5e-3,
    "bottleneck": 1e-3,
    "linear": 1e-3,
}
"""Highest learning rate of each method where the user names none."""

PRESETS: dict[str, dict[str, Any]] = {
    # Geigle et al. 2023, section 6: bottleneck adapters, captions translated by NLLB. Sizes and rates are ours.
    "paper": {
        "method": "bottleneck",
        "rank": 64,
        "objective": "text-contrastive",
        "temperature": 0.07,
        "learn_temperature": True,
        "bank": 0,
        "batch_size": 512,
        "steps": 10_000,
        "learning_rate": 1e-3,
        "check_every": 500,
        "save_every": 1_000,
    },
}
