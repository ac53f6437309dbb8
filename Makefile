# Everything that this Makefile makes lives in CACHE, outside the checkout. `make help` lists the targets.
SHELL       := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
PYTHON ?= python3
CACHE  := $(if $(XDG_CACHE_HOME),$(XDG_CACHE_HOME),$(HOME)/.cache)/quiesce
LOCK   := requirements-dev.txt
VENV   := $(CACHE)/venv/$(shell cat $(LOCK) | sha256sum | cut -c1-12)
BIN    := $(VENV)/bin
KUBE   := tests/beds/kube/kube.py
CLOUD  := tests/beds/cloud/cloud
IMAGE  ?= quiesce:0.1.0
PYTEST := $(BIN)/python -m pytest
export PYTHONPATH := $(CURDIR)/operator

.PHONY: help demo run test unit supervisors hypervisors model faults contract e2e docs-check beds-check bench nightly lint fmt \
        beds-up beds-down clean-beds clean venv lock image

help:  ## this list
	@grep -hE '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 16

# ---- to see it work

demo: venv  ## a real Nova and a real Kubernetes, one node drained before your eyes (needs: root on Debian, Go)
	@$(BIN)/python -m tests.demo.demo

run: venv  ## the operator on your own KUBECONFIG; with OS_CLOUD it makes the Secret openstack-clouds first; NAMESPACE=ns
	@$(BIN)/python -m tests.demo.run $(if $(NAMESPACE),--namespace $(NAMESPACE))

# ---- tests

test: venv  ## everything but bench and nightly: lint, docs, unit, supervisors, model, faults, contract, e2e, hypervisors
	@$(BIN)/python tests/run.py

unit: venv  ## tables for the pure parts: milliseconds
	$(PYTEST) tests/unit

supervisors: venv  ## nova-compute stopped and given back under a real systemd, podman and dockerd, over SSH
	$(PYTEST) tests/supervisors

hypervisors: venv  ## real guests of a real libvirt, moved by a real Nova: what the fake driver cannot show
	@$(BIN)/python tests/run.py hypervisors

model: venv  ## the pure core against a model of Nova, with crashes and faults
	$(PYTEST) tests/model

faults: venv  ## every call made to fail, and a death at every moment, on the stand-in
	$(PYTEST) tests/faults

contract: venv  ## what we believe of Nova, on the real one and on the stand-in
	$(PYTEST) tests/contract

e2e: venv  ## the stories, on the real API server and the real Nova; the keyrings' on a cloud of their own
	@$(BIN)/python tests/run.py keyring trouble e2e

docs-check: venv  ## links, manifests, reasons, flags and metrics in the documentation
	$(PYTEST) tests/docs

beds-check: venv  ## the promises of the test beds themselves
	$(PYTEST) tests/beds

bench: venv  ## speed and cost, as ratios against a bound
	$(PYTEST) -s tests/bench

nightly: venv  ## the long profiles: hours
	@QUIESCE_NIGHTLY=1 HYPOTHESIS_PROFILE=nightly $(BIN)/python tests/run.py

lint: venv  ## ruff and mypy --strict
	$(BIN)/ruff check operator tests tools
	$(BIN)/ruff format --check operator tests tools
	$(BIN)/mypy

fmt: venv  ## let ruff format and sort
	$(BIN)/ruff check --fix-only operator tests tools
	$(BIN)/ruff format operator tests tools

# ---- test beds

beds-up:  ## start a real Kubernetes control plane and a real OpenStack on loopback; prints the lines for your shell
	@$(KUBE) up >/dev/null
	@$(CLOUD) up >&2
	@$(KUBE) env && $(CLOUD) env

beds-down:  ## stop both; what was built stays
	@$(CLOUD) down; $(KUBE) down

clean-beds:  ## stop both and forget all that was in them; what was built stays
	@$(CLOUD) down --wipe; $(KUBE) down

clean: clean-beds  ## the same, and remove everything that was ever built or installed in the cache
	rm -rf "$(CACHE)"

# ---- to build

venv: $(VENV)/.complete  ## the Python environment (from the hash-pinned lock)

$(VENV)/.complete:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Python 3.11 or newer is needed; name one: make PYTHON=/path/to/python3 ..." >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null && \
	  echo "==> Debian package python3-venv" && apt-get update -qq && apt-get install -y -qq python3-venv >/dev/null; } || \
	  { echo "$(PYTHON) cannot make virtual environments: install its venv module (Debian: python3-venv)" >&2; exit 1; }
	@echo "==> Python environment in $(VENV) (about a minute, once)"
	@rm -rf "$(VENV)" && mkdir -p "$(dir $(VENV))" && $(PYTHON) -m venv "$(VENV)"
	@$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r $(LOCK)
	@touch $@

lock: venv  ## renew the hash-pinned requirements from pyproject.toml
	$(BIN)/pip install --quiet pip-tools
	$(BIN)/pip-compile -q --generate-hashes --strip-extras --allow-unsafe --no-annotate --no-header --no-emit-index-url --no-emit-trusted-host --no-emit-find-links -U -o requirements.txt pyproject.toml
	$(BIN)/pip-compile -q --generate-hashes --strip-extras --allow-unsafe --no-annotate --no-header --no-emit-index-url --no-emit-trusted-host --no-emit-find-links -U --extra dev -c requirements.txt -o requirements-dev.txt pyproject.toml

image:  ## the operator's image, with podman or docker; IMAGE=name:tag
	@tool=$$(command -v podman || command -v docker) || { echo "neither podman nor docker is installed" >&2; exit 1; }; \
	  "$$tool" build -t "$(IMAGE)" -f Containerfile .
