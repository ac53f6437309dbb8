# Everything that this Makefile makes lives in CACHE, outside the checkout. `make help` lists the targets.
SHELL       := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
PYTHON ?= python3
CACHE  := $(if $(XDG_CACHE_HOME),$(XDG_CACHE_HOME),$(HOME)/.cache)/quiesce
LOCK   := requirements-dev.txt
VENV   := $(CACHE)/venv/$(shell cat $(LOCK) | sha256sum | cut -c1-12)
BIN    := $(VENV)/bin
export PYTHONPATH := operator

.PHONY: help venv lint unit model lock

help:  ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 16

venv: $(VENV)/.complete  ## the Python environment (from the hash-pinned lock)

$(VENV)/.complete:
	@echo "==> Python environment in $(VENV) (about a minute, once)"
	@rm -rf $(VENV) && mkdir -p $(dir $(VENV)) && $(PYTHON) -m venv $(VENV)
	@$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r $(LOCK)
	@touch $@

lint: venv  ## ruff and mypy --strict
	$(BIN)/ruff check operator tests
	$(BIN)/ruff format --check operator tests
	$(BIN)/mypy

unit: venv  ## tables for the pure parts: milliseconds
	$(BIN)/pytest tests/unit

model: venv  ## the pure core against a model of Nova, with crashes and faults
	$(BIN)/pytest tests/model

lock: venv  ## renew the hash-pinned requirements from pyproject.toml
	$(BIN)/pip install --quiet pip-tools
	$(BIN)/pip-compile -q --generate-hashes --strip-extras --allow-unsafe --no-annotate --no-header --no-emit-index-url --no-emit-trusted-host --no-emit-find-links -U -o requirements.txt pyproject.toml
	$(BIN)/pip-compile -q --generate-hashes --strip-extras --allow-unsafe --no-annotate --no-header --no-emit-index-url --no-emit-trusted-host --no-emit-find-links -U --extra dev -c requirements.txt -o requirements-dev.txt pyproject.toml
