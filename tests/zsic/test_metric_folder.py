"""The measure's folder as `evaluate` loads it: by name, from copies and from a Space, and with its examples."""

from __future__ import annotations

import doctest
import re
import shutil

import pytest

LOAD = """
import evaluate
print(evaluate.load("babel_zsic").compute(predictions=[1, 2], references=[1, 3])["accuracy_macro"])
"""


def test_the_examples_of_the_docstring_and_of_the_card_run(run_python, metric_folder):
    code = """
import doctest, evaluate
text = evaluate.load("babel_zsic").inputs_description
test = doctest.DocTestParser().get_doctest(text, {"evaluate": evaluate}, "inputs", None, 0)
print(len(test.examples), doctest.DocTestRunner().run(test).failed, *doctest.testfile(CARD, module_relative=False))
"""
    inside, failed, card_failed, card = map(
        int, run_python(code.replace("CARD", repr(str(metric_folder / "README.md"))), metric_folder.parent).split()
    )
    assert (failed, card_failed) == (0, 0)
    assert inside >= 6
    assert card >= 6


def test_the_examples_of_the_modules_run():
    import babel_zsic.classification
    import babel_zsic.comparison

    for module in (babel_zsic.classification, babel_zsic.comparison):
        assert doctest.testmod(module).failed == 0


@pytest.mark.slow  # the examples' test loads it from there too
def test_it_loads_by_name_from_the_folder_of_the_rooms(run_python, metric_folder):
    assert run_python(LOAD, metric_folder.parent) == "0.5"


def test_it_loads_by_name_from_a_copy_that_the_build_wrote(run_python, tmp_path):
    from babel_eval.commands.build import copy_metric

    (tmp_path / "work").mkdir()
    copy_metric(tmp_path / "work")
    assert run_python(LOAD, tmp_path / "work", {"PYTHONPATH": ""}) == "0.5"


def test_it_loads_from_the_flat_folder_of_a_space_without_the_package(run_python, metric_folder, tmp_path):
    flat = tmp_path / "space"
    shutil.copytree(metric_folder, flat, ignore=shutil.ignore_patterns("__pycache__", "__init__.py", "py.typed"))
    code = """
import sys
class Refuse:
    def find_spec(self, name, *rest):
        if name.split(".")[0] in {"babel_zsic", "babel_eval"}:
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Refuse())
import evaluate
m = evaluate.load("./babel_zsic.py", "retrieval")
print(m.compute(text_to_image=[0, 1], similarity=[[1.0, 0.0], [0.0, 1.0]], k=(1,))["mean_recall"])
print(evaluate.load("./babel_zsic.py").compute(predictions=[1], references=[1])["accuracy_macro"])
"""
    assert run_python(code, flat) == "1.0\n1.0"


def test_the_main_file_imports_every_sibling_since_only_those_are_copied(metric_folder):
    main = (metric_folder / "babel_zsic.py").read_text()
    copied = set(re.findall(r"^from \.(\w+) import", main, flags=re.MULTILINE))
    used = {
        name
        for path in metric_folder.glob("*.py")
        for name in re.findall(r"^\s*from \.(\w+) import", path.read_text(), flags=re.MULTILINE)
    }
    assert used <= copied


def test_only_numpy_is_imported_beside_the_standard_library_and_evaluate(metric_folder):
    import sys

    allowed = {*sys.stdlib_module_names, "numpy", "datasets", "evaluate", "__future__"}
    for path in metric_folder.glob("*.py"):
        if path.name != "app.py":
            found = re.findall(r"^\s*(?:import|from) (\w+)", path.read_text(), flags=re.MULTILINE)
            assert {name for name in found if name} <= allowed, path.name
