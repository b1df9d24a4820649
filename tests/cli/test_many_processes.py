"""Several processes, as `torchrun` starts them: the scores of one, and a store to go on from when one of them dies."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "eval"))
import tiny_models as tiny
from toy import write_photo

from babel_eval.results import PASSING
from babel_imagenet_dataset.imagenet import wnids

LANGUAGES = "om,lo,xh,so"
TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
# The toy behind the real command line, with small shards; the second process dies in the middle of its photos.
SCRIPT = f"""
import os, sys
sys.path.insert(0, {str(Path(__file__).parents[1] / "eval")!r})
from toy import ToyEncoder
import babel_eval.encoders, babel_eval.encoding, babel_eval.store
from babel_eval import cli
babel_eval.store.SHARD = babel_eval.encoding.SHARD = 8

class Dying(ToyEncoder):
    def encode_pixels(self, pixels):
        if os.environ.get("RANK") == "1" and self.photos_seen >= 12:
            os._exit(9)
        return super().encode_pixels(pixels)

encoder = Dying({{}})
babel_eval.encoders.load_encoder = lambda *a, **k: encoder
cli.main()
"""

# The real command line with small shares, which writes down what each process has encoded.
COUNTING = """
import json, os
import babel_eval.encoding, babel_eval.store, babel_eval.texts
from babel_eval import cli
from babel_eval.encoders.base import TorchEncoder
babel_eval.store.SHARD = babel_eval.encoding.SHARD = 8
babel_eval.texts.TEXTS_AT_ONCE = 128
seen = {"_encode_pixels": 0, "_encode_tokens": 0}

def counted(method):
    compute = getattr(TorchEncoder, method)
    def count(self, some):
        seen[method] += len(some)
        return compute(self, some)
    setattr(TorchEncoder, method, count)

for method in seen:
    counted(method)
try:
    cli.main()
finally:
    with open(os.environ["SEEN"] + os.environ.get("RANK", "0"), "w") as file:
        json.dump(seen, file)
"""


def environment() -> dict[str, str]:
    return {**os.environ, "ACCELERATE_USE_CPU": "true", "OMP_NUM_THREADS": "1"}


def content(path: Path) -> dict:
    whole = json.loads(path.read_text())
    whole["meta"] = {k: v for k, v in whole["meta"].items() if k not in PASSING}
    return whole


@pytest.mark.slow
def test_two_processes_give_the_scores_of_one(tmp_path: Path) -> None:
    model = tiny.open_clip_folder(tmp_path / "model", {})
    for index in range(0, 1000, 20):
        write_photo(tmp_path / "photos" / wnids()[index] / "x.png", index)
    options = ["evaluate", "--model", f"open_clip:{model}", "--images", str(tmp_path / "photos")]
    options += ["--languages", LANGUAGES, "--device", "cpu"]
    for launcher, name in ((TORCHRUN, "two"), ([sys.executable], "one")):
        places = ["--out", str(tmp_path / f"{name}.json"), "--store", str(tmp_path / name)]
        command = [*launcher, "-m", "babel_eval", *options, *places]
        done = subprocess.run(command, env=environment(), capture_output=True, text=True)
        assert done.returncode == 0, done.stderr[-3000:]
        meta = json.loads((tmp_path / f"{name}.json").read_text())["meta"]
        assert "error" not in done.stderr
        assert meta["processes"] == (2 if name == "two" else 1), "torchrun must really start two"
        assert done.stdout.count("Oromo") == 1, "one process speaks"
    assert content(tmp_path / "two.json") == content(tmp_path / "one.json")
    tables = [pq.read_table(tmp_path / f"{name}.predictions.parquet") for name in ("one", "two")]
    assert tables[0].equals(tables[1])


@pytest.mark.slow
def test_each_of_two_processes_encodes_its_share(tmp_path: Path) -> None:
    model = tiny.open_clip_folder(tmp_path / "model", {})
    for index in range(0, 1000, 20):
        write_photo(tmp_path / "photos" / wnids()[index] / "x.png", index)
    (tmp_path / "script.py").write_text(COUNTING)
    options = [str(tmp_path / "script.py"), "evaluate", "--model", f"open_clip:{model}", "--languages", LANGUAGES]
    options += ["--images", str(tmp_path / "photos"), "--device", "cpu"]
    for launcher, name in ((TORCHRUN, "two"), ([sys.executable], "one")):
        places = ["--out", str(tmp_path / f"{name}.json"), "--store", str(tmp_path / name)]
        seen = {**environment(), "SEEN": str(tmp_path / f"{name}-")}
        done = subprocess.run([*launcher, *options, *places], env=seen, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr[-3000:]
    one, *two = (json.loads((tmp_path / name).read_text()) for name in ("one-0", "two-0", "two-1"))
    for work, n in one.items():
        shares = [rank[work] for rank in two]
        assert sum(shares) == n, f"{work}: nothing twice, nothing left out"
        assert min(shares) > n / 4, f"{work}: each does a share"
    assert content(tmp_path / "two.json") == content(tmp_path / "one.json")


@pytest.mark.slow
def test_two_processes_share_the_photos_of_a_retrieval_set(tmp_path: Path) -> None:
    model = tiny.open_clip_folder(tmp_path / "model", {})
    names = [f"{n}.png" for n in range(40)]
    for n, name in enumerate(names):
        write_photo(tmp_path / "photos" / name, n)
    captions = {"EN": [[f"{n} tench"] for n in range(40)], "LO": [[f"hcnet {n}"] for n in range(40)]}
    (tmp_path / "set.json").write_text(json.dumps({"images": names, "captions": captions}))
    (tmp_path / "script.py").write_text(COUNTING)
    options = [str(tmp_path / "script.py"), "retrieve", "--model", f"open_clip:{model}", "--device", "cpu"]
    options += ["--dataset", str(tmp_path / "set.json"), "--image-root", str(tmp_path / "photos")]
    for launcher, name in ((TORCHRUN, "two"), ([sys.executable], "one")):
        places = ["--out", str(tmp_path / f"{name}.json"), "--store", str(tmp_path / name)]
        seen = {**environment(), "SEEN": str(tmp_path / f"{name}-")}
        done = subprocess.run([*launcher, *options, *places], env=seen, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr[-3000:]
        assert done.stdout.count("results:") == 1, "one process speaks"
    one, *two = (json.loads((tmp_path / name).read_text()) for name in ("one-0", "two-0", "two-1"))
    assert [rank["_encode_pixels"] for rank in two] == [24, 16]
    assert [rank["_encode_tokens"] for rank in two] == [one["_encode_tokens"], 0], "the first one alone scores"
    assert content(tmp_path / "two.json") == content(tmp_path / "one.json")


@pytest.mark.slow
def test_a_process_that_dies_leaves_a_store_to_go_on_from(tmp_path: Path) -> None:
    for index in range(64):
        write_photo(tmp_path / "photos" / wnids()[index] / "x.png", index)
    (tmp_path / "script.py").write_text(SCRIPT)
    options = [str(tmp_path / "script.py"), "evaluate", "--model", "toy", "--images", str(tmp_path / "photos")]
    options += ["--languages", LANGUAGES, "--batch-size", "4", "--out", str(tmp_path / "r.json")]
    options += ["--store", str(tmp_path / "store")]
    done = subprocess.run([*TORCHRUN, *options], env=environment(), capture_output=True, text=True)
    assert done.returncode != 0
    assert not (tmp_path / "r.json").exists(), "nobody scores before all photos are there"
    kept = sorted((tmp_path / "store").glob("*/*.safetensors"))
    assert kept, "shards that were whole are there"
    ages = {path: path.stat().st_mtime_ns for path in kept}
    done = subprocess.run([sys.executable, *options], env=environment(), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    assert f"{8 * len(kept)} photos were encoded before" in done.stdout.replace("\n", " ")
    assert {path: path.stat().st_mtime_ns for path in kept} == ages, "what was kept is not made again"
    assert json.loads((tmp_path / "r.json").read_text())["meta"]["images"]["n_images"] == 64
