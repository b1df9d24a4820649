"""How long the labels take to the Hub and back: a file a language, against one file with a row group a language.

    python benchmarks/push_layout.py [--labels 298] [--latency 0.05]

The Hub is the loopback one of the tests, every request of which waits `--latency` seconds, as on a long way. Both
layouts are pushed by the same code; loading is timed in a process of its own with nothing cached, without its imports.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests" / "hub"))

LOAD = """
import sys, time
from datasets import load_dataset
start = time.perf_counter()
rows = load_dataset("org/babel-imagenet", "de", split="test")
print(len(rows), time.perf_counter() - start)
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--labels", default="298")
    parser.add_argument("--latency", type=float, default=0.05)
    arguments = parser.parse_args()
    # Before the client is imported: it reads these once.
    os.environ |= {"HF_HUB_DISABLE_XET": "1", "HF_HUB_DISABLE_PROGRESS_BARS": "1", "HF_TOKEN": "benchmark-token"}
    with tempfile.TemporaryDirectory() as temporary:
        folders = build(arguments.labels, Path(temporary))
        print(f"{'layout':20} {'files':>6} {'push':>7} {'check':>7} {'requests':>9} {'no change':>10} {'load':>7}")
        for name, folder in folders.items():
            measure(name, folder, Path(temporary) / f"hub-{name.replace(' ', '-')}", arguments.latency)


def build(labels: str, temporary: Path) -> dict[str, Path]:
    """Write both layouts of one label file."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    from babel_imagenet_dataset.export import build
    from babel_imagenet_dataset.release import load_labels, load_prompts
    from babel_push.push_dataset import _configurations

    single, shared = temporary / "file a language", temporary / "one file"
    built = build(load_labels(labels), load_prompts(), single).path
    text = (built / "README.md").read_text(encoding="utf-8")
    from babel_push.cards import front_matter

    shared.mkdir()
    languages = {name: pq.read_table(built / path) for name, path in _configurations(front_matter(text)).items()}
    languages.pop("prompts")
    schema = next(iter(languages.values())).schema.append(pa.field("language", pa.string()))
    with pq.ParquetWriter(shared / "labels.parquet", schema, compression="zstd") as writer:
        for name, table in languages.items():
            column = pa.array([name] * table.num_rows, pa.string())
            writer.write_table(table.append_column(schema.field("language"), column))
    lines = [
        f'- config_name: "{name}"\n  data_files:\n  - split: test\n    path: labels.parquet\n'
        f'  filters: [["language", "==", "{name}"]]\n'
        for name in languages
    ]
    (shared / "README.md").write_text(f"---\ntags: [babel-imagenet]\nconfigs:\n{''.join(lines)}---\n", encoding="utf-8")
    return {"a file a language": built, "one file": shared}


def measure(name: str, folder: Path, root: Path, latency: float) -> None:
    from loopback_hub import LoopbackHub, User

    from babel_push.hub import Hub
    from babel_push.publish import Wishes, publish
    from babel_push.push_dataset import dataset_content

    with LoopbackHub(root, [User("me", "benchmark-token", orgs=("org",))], latency=latency) as hub:
        os.environ["HF_ENDPOINT"] = hub.url
        target = Hub("org/babel-imagenet", "dataset")
        times = []
        for _ in range(2):
            start = time.perf_counter()
            publish(target, dataset_content(target, folder), Wishes(), say=lambda line: None, show=lambda plan: None)
            times.append(time.perf_counter() - start)
            if len(times) == 1:
                asked = len(hub.asked)
                made = next(i for i, a in enumerate(hub.asked) if a.route == "commit")
                check = sum(a.seconds for a in hub.asked[made + 1 :]) / 8
        found = load(hub.url, Path(root))
        n_files = sum(path.is_file() for path in folder.rglob("*"))
        push = times[0] - check
        print(f"{name:20} {n_files:6} {push:6.1f}s {check:6.1f}s {asked:9} {times[1]:9.1f}s {found:6.1f}s")


def load(url: str, root: Path) -> float:
    """Load one configuration in a new process, three times with nothing cached, and give the shortest time."""
    found = []
    for number in range(3):
        home = {"HF_ENDPOINT": url, "HF_HOME": str(root / f"home-{number}"), "HF_UPDATE_DOWNLOAD_COUNTS": "FALSE"}
        command = [sys.executable, "-c", LOAD]
        said = subprocess.run(command, env={**os.environ, **home}, cwd=root, capture_output=True, text=True, check=True)
        found.append(float(said.stdout.split()[-1]))
    return min(found)


if __name__ == "__main__":
    main()
