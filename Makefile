# Needs Python 3.10 or newer, make and a package index; nothing else.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
CODE   := babel_imagenet_dataset metric trainer push_scripts tests benchmarks

.PHONY: demo test test-all check format install clean
demo: install           ## the main job on the embedded default: labels, photos, a model, a table
	$(BIN)/babel-imagenet demo

test: install           ## the whole suite, offline
	$(BIN)/python -m pytest -m "not slow"

test-all: install       ## and the slow proofs
	$(BIN)/python -m pytest

check: install          ## format, lint, types, spelling; every test file is collected
	$(BIN)/ruff format --check $(CODE)
	$(BIN)/ruff check $(CODE)
	$(BIN)/mypy -p babel_imagenet_dataset -p babel_zsic -p babel_eval -p babel_adapters
	$(BIN)/codespell $(CODE) README.md docs CHANGELOG.md
	$(BIN)/python -m pytest --collect-only >/dev/null

format: install
	$(BIN)/ruff format $(CODE)
	$(BIN)/ruff check --fix $(CODE)

install: $(VENV)/.installed

$(VENV)/.installed: setup.cfg pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10) and f"Python 3.10 or newer is needed, this is {sys.version.split()[0]}: make PYTHON=/path/to/python3")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --disable-pip-version-check --editable '.[sample,test,dev]'
	touch $@

clean:                  ## the environment and everything made
	rm -rf $(VENV) demo babel-imagenet build dist *.egg-info
