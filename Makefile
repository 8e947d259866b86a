PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin/python
READY := $(VENV)/.ready
CONFIG ?= configs/collisions.yaml
CHROMIUM ?= /usr/bin/chromium

.PHONY: help setup fit test test-slow faults lint bench findings findings-quick figures clean

help:  ## Explain the targets
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 16

setup: $(READY)  ## Make .venv with the tested versions (the other targets do so by themselves)

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(RUN) -m pip install --quiet --disable-pip-version-check --constraint constraints.txt torch
	$(RUN) -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev,report]'
	@touch $@

fit: $(READY)  ## Train the headline experiment: make fit [CONFIG=configs/collisions.yaml]
	$(RUN) -m polysemantic fit --config $(CONFIG)

test: $(READY) $(CHROMIUM)  ## Run the tests, those of pages in a browser: make test [CHROMIUM=/usr/bin/chromium]
	CHROMIUM=$(CHROMIUM) $(RUN) -m pytest --numprocesses auto --dist loadfile --no-loadscope-reorder

$(CHROMIUM):
	@if [ "$$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then \
		echo "error: the tests of pages need Chromium, got none at $@: install it (Debian: apt-get install chromium)" \
			"or say where it is: make test CHROMIUM=PATH" >&2; exit 1; fi
	apt-get update --quiet=2
	DEBIAN_FRONTEND=noninteractive apt-get install --quiet=2 --yes --no-install-recommends chromium

test-slow: $(READY) $(CHROMIUM)  ## Run the tests that take minutes, with Ray
	$(RUN) -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[ray]'
	CHROMIUM=$(CHROMIUM) $(RUN) -m pytest -m slow

faults: $(READY)  ## Kill, fill, damage and refuse runs, all of tests/faults, and count what came of it (ten minutes)
	$(RUN) -m pytest tests/faults -m "slow or not slow"

lint: $(READY)  ## Check format, style, types and the direction of imports
	$(RUN) -m ruff format --check .
	$(RUN) -m ruff check .
	$(RUN) -m mypy
	$(VENV)/bin/lint-imports

bench: $(READY)  ## Measure speed; prints and saves the table of benchmarks/README.md
	$(RUN) -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[bench]'
	$(RUN) -m benchmarks

findings: $(READY)  ## Answer the open questions in the background: make findings [QUESTIONS="width lives"]
	$(RUN) -m findings --background $(QUESTIONS)

findings-quick: $(READY)  ## Hold small versions of the findings against what docs/findings.md claims
	$(RUN) -m findings --quick $(QUESTIONS)

figures: $(READY) $(CHROMIUM)  ## Draw the pictures of the README
	CHROMIUM=$(CHROMIUM) $(RUN) docs/figures/report.py
	CHROMIUM=$(CHROMIUM) $(RUN) docs/figures/tab.py

clean:  ## Remove what the other targets made, but no run
	rm -rf $(VENV) build *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
