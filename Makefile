# Needs make and Python 3.11 or newer. Another interpreter: make venv PYTHON=python3.12

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/installed.stamp

# Each process takes up to 4 GiB. Tests of one file run in one process, for they use the same compiled programs.
PARALLEL := -n logical --maxprocesses 4 --dist loadfile --durations 20

.PHONY: help venv demo test test-slow bench bench-large lint docs dist clean

help:
	@echo "make venv       install the package and its tools, at pinned versions, into $(VENV)"
	@echo "make demo       simulate a sample, invert it and write the pages to build/demo"
	@echo "make test       the tests (minutes), on all cores; options for pytest: make test TESTARGS='-n 0 -k sweep'"
	@echo "make test-slow  the tests marked slow"
	@echo "make bench      the benchmarks (minutes)"
	@echo "make bench-large  those of the largest models and of a survey (tens of minutes, up to 12 GiB)"
	@echo "make lint       style and types of the code"
	@echo "make docs       the pages of docs/, into docs/_build/html"
	@echo "make dist       the source archive and the wheel, into dist/"
	@echo "make clean      remove what the other targets wrote, $(VENV) excepted"

venv: $(STAMP)

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	  echo "mmtjax needs Python 3.11 or newer; '$(PYTHON)' is $$($(PYTHON) --version 2>/dev/null || echo 'not there')." >&2; \
	  echo "Name a newer one: make venv PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -m venv --clear $(VENV) || { rm -rf $(VENV); \
	  echo "'$(PYTHON) -m venv' failed; on Debian and Ubuntu install the package python3-venv." >&2; exit 1; }

$(STAMP): pyproject.toml constraints.txt | $(BIN)/python
	$(BIN)/python -m pip install --quiet --no-input --disable-pip-version-check \
	  -c constraints.txt -e '.[all,test,bench,docs,dev]'
	@touch $@

demo: venv
	$(BIN)/mmtjax demo --out build/demo --overwrite

test: venv
	$(BIN)/python -m pytest $(PARALLEL) $(TESTARGS)

test-slow: venv
	XLA_FLAGS= $(BIN)/python -m pytest -m slow $(PARALLEL) $(TESTARGS)

bench: venv
	$(BIN)/python -m benchmarks.run

bench-large: venv
	$(BIN)/python -m benchmarks.run limit survey subdomains goal

lint: venv
	$(BIN)/python -m ruff check .
	$(BIN)/python -m ruff format --check .
	$(BIN)/python -m pyright --project pyproject.toml

docs: venv
	$(BIN)/python -m sphinx -q -W --keep-going -b html docs docs/_build/html

dist: venv
	rm -rf dist
	$(BIN)/python -m build --no-isolation --outdir dist

clean:
	rm -rf build dist docs/_build docs/api/generated .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -not -path './$(VENV)/*' -prune -exec rm -rf {} +
