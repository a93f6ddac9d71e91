# Two commands set up everything on a machine with only Python 3.11 (or newer) and make:
#   make demo    train, export and verify a keyword spotter, and print one screen
#   make test    run the tests
# More: make test-all (slow ones too), make lint, make docs (generated pages again), make clean.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
STAMP := $(VENV)/.installed

.PHONY: demo test test-all lint docs clean

demo: $(STAMP)
	$(VENV)/bin/tfgreen demo --force

test: $(STAMP)
	$(VENV)/bin/python -m pytest -m "not slow"

test-all: $(STAMP)
	$(VENV)/bin/python -m pytest

lint: $(STAMP)
	$(VENV)/bin/ruff check .
	$(VENV)/bin/mypy

# From the code and the records; nothing is measured.
docs: $(STAMP)
	$(VENV)/bin/python -m benchmarks.pages
	$(VENV)/bin/python -m benchmarks.faq
	$(VENV)/bin/python -m benchmarks.width_table

clean:
	rm -rf $(VENV) build dist tfgreen.egg-info

# The stamp is touched last: an interrupted installation is taken up again by the next call.
$(STAMP): setup.cfg pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install --quiet --upgrade pip
	$(VENV)/bin/python -m pip install --quiet --editable ".[all,test]"
	touch $@
