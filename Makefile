PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin/python
READY := $(VENV)/.ready
CONFIG ?= configs/collisions.yaml

.PHONY: help setup fit test lint bench figures clean

help:  ## Explain the targets
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 10

setup: $(READY)  ## Make .venv with the tested versions (the other targets do so by themselves)

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(RUN) -m pip install --quiet --disable-pip-version-check --constraint constraints.txt torch
	$(RUN) -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	@touch $@

fit: $(READY)  ## Train the headline experiment: make fit [CONFIG=configs/collisions.yaml]
	$(RUN) -m polysemantic fit --config $(CONFIG)

test: $(READY)  ## Run the tests
	$(RUN) -m pytest

lint: $(READY)  ## Check format, style, types and the direction of imports
	$(RUN) -m ruff format --check .
	$(RUN) -m ruff check .
	$(RUN) -m mypy
	$(VENV)/bin/lint-imports

bench: $(READY)  ## Measure speed; prints and saves the table of benchmarks/README.md
	$(RUN) -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[bench]'
	$(RUN) -m benchmarks

figures: $(READY)  ## Draw the picture of the README; trains what its table lacks (half an hour from nothing)
	$(RUN) docs/figures/collisions.py --train

clean:  ## Remove what the other targets made, but no run
	rm -rf $(VENV) build *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
