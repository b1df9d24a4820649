"""The metric as `evaluate` sees it, with caches of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

# `evaluate` imports transformers and with it torch where they are installed, for a part of it that is not used here.
LIGHT = "import sys\nsys.modules['transformers'] = None\nimport evaluate\ndel sys.modules['transformers']\n"
METRIC = Path(__file__).parents[2] / "metric" / "babel_zsic"


@pytest.fixture(scope="session")
def metric_folder() -> Path:
    """Give the folder that is published as a Space."""
    return METRIC


@pytest.fixture
def run_python(tmp_path: Path) -> Callable[..., str]:
    """Run code in a Python of its own, offline, with empty caches, in a folder; give what it printed."""

    def run(code: str, folder: Path, environment: Mapping[str, str] | None = None) -> str:
        settings = {"HF_HOME": str(tmp_path / "hf"), "HF_EVALUATE_OFFLINE": "1", "HF_HUB_OFFLINE": "1"}
        done = subprocess.run(
            [sys.executable, "-c", LIGHT + code],
            cwd=folder,
            env={**os.environ, **settings, **(environment or {})},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    return run
