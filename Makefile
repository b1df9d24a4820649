# Needs Python 3.10 or newer, make and a package index; nothing else.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
CODE   := babel_imagenet_dataset metric trainer push_scripts tests benchmarks

# Versions of datasets that still know loading scripts: the oldest that is claimed, and the last.
COMPAT := 2.21.0 3.6.0

.PHONY: demo test test-all test-browser test-compat check format install clean hub cldr bench-long
demo: install           ## the main job on the embedded default: labels, photos, a model, a table
	$(BIN)/babel-imagenet demo

test: install           ## the whole suite, offline
	$(BIN)/python -m pytest -m "not slow"

test-all: install       ## and the slow proofs
	$(BIN)/python -m pytest

test-compat: $(COMPAT:%=.venv-compat-%/.installed)  ## the labels under older datasets: loading script and Parquet folder
	for version in $(COMPAT); do \
	  .venv-compat-$$version/bin/python -m pytest -m "not slow" tests/labels/test_builder.py tests/labels/test_export.py || exit 1; \
	done

test-browser: install   ## the pages in a real Chromium; installs it on Debian where it is missing
	command -v chromedriver >/dev/null || (apt-get update -q && apt-get install -q -y chromium chromium-driver)
	CI=true $(BIN)/python -m pytest -m browser tests/browser tests/zsic/test_app.py

check: install          ## format, lint, types, spelling; every test file is collected
	$(BIN)/ruff format --check $(CODE)
	$(BIN)/ruff check $(CODE)
	mkdir -p .mypy_cache/src && ln -sfn "$(CURDIR)/push_scripts" .mypy_cache/src/babel_push  # mypy finds packages by folder
	MYPYPATH=.mypy_cache/src $(BIN)/mypy -p babel_imagenet_dataset -p babel_zsic -p babel_eval -p babel_adapters -p babel_push
	$(BIN)/codespell $(CODE) README.md docs CHANGELOG.md
	$(BIN)/python -m pytest --collect-only >/dev/null

hub: install            ## a Hub on this machine, to try a push before the real one: prints what to set
	PYTHONPATH=tests/hub $(BIN)/python -m loopback_hub

cldr:                   ## words of some 95 languages for adapters, with npm
	mkdir -p cldr && npm pack --silent --pack-destination cldr cldr-annotations-full@48.2.0
	tar -xzf cldr/cldr-annotations-full-48.2.0.tgz -C cldr --strip-components=1

bench-long: install     ## beside clip-benchmark at 90 languages: over an hour, nearly all of it theirs
	$(BIN)/python benchmarks/against_clip_benchmark.py --languages 90

format: install
	$(BIN)/ruff format $(CODE)
	$(BIN)/ruff check --fix $(CODE)

install: $(VENV)/.installed

$(VENV)/.installed: setup.cfg pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10) and f"Python 3.10 or newer is needed, this is {sys.version.split()[0]}: make PYTHON=/path/to/python3")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --disable-pip-version-check --editable '.[sample,test,dev]'
	touch $@

# What the labels need and no more: no torch. The last four are read as data, without what they depend on.
.venv-compat-%/.installed: setup.cfg
	$(PYTHON) -m venv $(@D)
	$(@D)/bin/python -m pip install --disable-pip-version-check datasets==$* filelock fonttools jinja2 langcodes language_data pytest requests
	$(@D)/bin/python -m pip install --disable-pip-version-check --no-deps clip-benchmark==1.6.2 open_clip_torch timm --editable .
	touch $@

clean:                  ## the environment and everything made
	rm -rf $(VENV) .venv-compat-* demo babel-imagenet build dist *.egg-info
