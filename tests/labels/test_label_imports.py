import json
import pkgutil
import subprocess
import sys

import babel_imagenet_dataset

ABOVE = {"torch", "torchvision", "open_clip", "timm", "transformers", "clip_benchmark", "babel_eval", "babel_zsic"}


def test_no_module_of_the_room_brings_torch_a_model_library_or_a_room_above_it(tmp_path):
    names = [
        module.name for module in pkgutil.walk_packages(babel_imagenet_dataset.__path__, "babel_imagenet_dataset.")
    ]
    assert {"babel_imagenet_dataset.export", "babel_imagenet_dataset.babel_imagenet"} <= set(names)
    script = (
        "import importlib, json, sys\n"
        f"for name in {names!r}: importlib.import_module(name)\n"
        "from babel_imagenet_dataset import export, release\n"
        "export.build(release.load_labels(), release.load_prompts(), 'out', selectors='de,sw')\n"
        "json.dump(sorted(sys.modules), sys.stdout)"
    )
    run = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=True)
    loaded = {name.split(".")[0] for name in json.loads(run.stdout)}
    assert ABOVE & loaded == set()
