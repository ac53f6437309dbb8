# Everything that this Makefile makes lives in CACHE, outside the checkout.
# `make help` lists the targets.
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
TOOLS_LOCK := requirements-tools.txt
TOOLS  := $(CACHE)/venv/tools-$(shell cat $(TOOLS_LOCK) | sha256sum | cut -c1-12)
RUN_ENV := $(CACHE)/venv/run-$(shell cat requirements.txt | sha256sum | cut -c1-12)
DOCS_LOCK := requirements-docs.txt
DOCS   := $(CACHE)/venv/docs-$(shell cat $(DOCS_LOCK) | sha256sum | cut -c1-12)
IMAGE_ENV := $(CACHE)/venv/image-$(shell cat requirements.txt | sha256sum | cut -c1-12)
VERSION := $(shell sed -n 's/^__version__ = "\(.*\)"/\1/p' operator/quiesce/__init__.py)
UNUSED := setuptools invoke  # needed by what they come with only for features that are not used
IMAGE  ?= quiesce:$(VERSION)
REVISION = $(shell git rev-parse HEAD 2>/dev/null)
PYTEST := $(BIN)/python -m pytest
QUIESCE := $(BIN)/python -m quiesce
SCOPE  := $(if $(NAMESPACE),--namespace $(NAMESPACE))
CODE   := operator tests tools
export PYTHONPATH := $(CURDIR)/operator

.PHONY: help tour demo run test unit security monitoring supervisors hypervisors model faults contract \
        e2e docs-check site-check procedures beds-check bench nightly lint fmt beds-up beds-down \
        clean-beds clean venv lock image dist wheel audit sbom install docs docs-serve docs-env \
        print-docs-env

help:  ## list the targets
	@grep -hE '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 16

# ---- to see it work

# It needs no tools for development: seconds to install instead of a minute.
TOUR_ENV := $(if $(wildcard $(VENV)/.complete),$(VENV),$(RUN_ENV))

tour: $(TOUR_ENV)/.complete  ## drain a node of a stand-in for Nova, in about a minute; CONTEXT=name: there
	@$(TOUR_ENV)/bin/python -m tests.tour.tour $(if $(CONTEXT),--context "$(CONTEXT)")

demo: venv  ## drain a node of a real Nova under a real Kubernetes (needs root, Debian, Go)
	@$(BIN)/python -m tests.demo.demo

run: venv  ## run the operator on your KUBECONFIG; NAMESPACE=ns; OS_CLOUD=name to store credentials
	@$(if $(OS_CLOUD),$(QUIESCE) credentials $(SCOPE),echo "OS_CLOUD is not set: no Secret is written")
	@$(QUIESCE) run $(SCOPE)

# ---- tests

test: venv  ## every tier except bench and nightly
	@$(BIN)/python -m tests.runner

unit: venv  ## tables for the pure parts (seconds)
	$(PYTEST) tests/unit

security: venv  ## hostile clouds and Secrets, and random input to what reads them
	$(PYTEST) tests/security

monitoring: venv  ## alerts, dashboard and log lines, with a real Prometheus
	$(PYTEST) tests/monitoring

install: venv  ## what `make dist` makes, installed on a real API server; and the image, built and run
	$(PYTEST) tests/install

supervisors: venv  ## stop and restore nova-compute under systemd, podman and dockerd
	$(PYTEST) tests/supervisors

hypervisors: venv  ## real guests of libvirt and QEMU, moved by a real Nova
	@$(BIN)/python -m tests.runner hypervisors

model: venv  ## the pure core against a model of Nova, with crashes and faults
	$(PYTEST) tests/model

faults: venv  ## fail every call, and kill the operator at every point, on the stand-in
	$(PYTEST) tests/faults

contract: venv  ## our assumptions about Nova, on a real one and on the stand-in
	$(PYTEST) tests/contract

e2e: venv  ## stories on a real API server and a real Nova
	@$(BIN)/python -m tests.runner keyring trouble rights e2e

docs-check: venv  ## links, manifests, reasons, flags, metrics and wording in the docs
	$(PYTEST) tests/docs

site-check: venv  ## the site builds strictly; what a browser shows is looked at by night
	$(PYTEST) tests/site --ignore=tests/site/browser

procedures: venv  ## commands and outputs of the documentation, on a real API server
	@QUIESCE_NIGHTLY=1 $(BIN)/python -m tests.runner procedures

beds-check: venv  ## tests of the test beds
	$(PYTEST) tests/beds

bench: venv  ## speed and cost, as ratios against a bound
	$(PYTEST) -s tests/bench

nightly: venv  ## what takes too long for `test` (two hours)
	@QUIESCE_NIGHTLY=1 HYPOTHESIS_PROFILE=nightly $(BIN)/python -m tests.runner

lint: venv  ## ruff, mypy --strict, import contracts
	$(BIN)/ruff check $(CODE)
	$(BIN)/ruff format --check $(CODE)
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache --no-logo

fmt: venv  ## format the code and sort imports
	$(BIN)/ruff check --fix-only $(CODE)
	$(BIN)/ruff format $(CODE)

# ---- test beds

beds-up:  ## start both beds; prints the environment for your shell
	@$(KUBE) up >/dev/null
	@$(CLOUD) up >&2
	@$(KUBE) env && $(CLOUD) env

beds-down:  ## stop both beds; builds are kept
	@$(CLOUD) down; $(KUBE) down

clean-beds:  ## stop both beds and delete their data; builds are kept
	@$(CLOUD) down --wipe; $(KUBE) down

clean: clean-beds  ## stop both beds and delete everything in the cache
	rm -rf "$(CACHE)"

# ---- to build

venv: $(VENV)/.complete  ## the Python environment, from the hash-pinned lock

$(VENV)/.complete: PACKAGES = -r $(LOCK)
$(RUN_ENV)/.complete: PACKAGES = --no-compile --no-deps -r requirements.txt
$(VENV)/.complete $(RUN_ENV)/.complete:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Python 3.11 or newer is required: make PYTHON=/path/to/python3 ..." >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || PYTHON="$(PYTHON)" tools/install-venv
	@echo "==> Python environment in $(@D) (about a minute, once)"
	@rm -rf "$(@D)" && mkdir -p "$(dir $(@D))" && $(PYTHON) -m venv "$(@D)"
	@$(@D)/bin/pip install --quiet --disable-pip-version-check --require-hashes $(PACKAGES)
	@touch $@

# Tools of the supply chain have an environment of their own, so that they never add to the locked
# one. Without UPGRADE=1 every version that still satisfies pyproject.toml is kept.
COMPILE = $(TOOLS)/bin/pip-compile --quiet --generate-hashes --strip-extras \
  --allow-unsafe --no-annotate --no-header --no-emit-index-url --no-emit-trusted-host \
  --no-emit-find-links $(if $(UPGRADE),--upgrade)

$(TOOLS)/.complete:
	@rm -rf "$(TOOLS)" && mkdir -p "$(dir $(TOOLS))" && $(PYTHON) -m venv "$(TOOLS)"
	@$(TOOLS)/bin/pip install --quiet --disable-pip-version-check --require-hashes -r $(TOOLS_LOCK)
	@touch $@

lock: $(TOOLS)/.complete  ## update the locks from pyproject.toml; UPGRADE=1 takes the newest versions
	$(COMPILE) --output-file requirements.txt pyproject.toml
	$(COMPILE) --extra dev --constraint requirements.txt --output-file requirements-dev.txt \
	  pyproject.toml
	$(COMPILE) --constraint requirements-dev.txt --output-file $(TOOLS_LOCK) requirements-tools.in
	$(COMPILE) --constraint requirements-dev.txt --output-file $(DOCS_LOCK) requirements-docs.in

# ---- to release

DIST ?= $(CACHE)/dist

dist: wheel sbom  ## install.yaml, Helm chart, wheel and SBOM into DIST=folder; IMAGE=name:tag
	@$(BIN)/python -m tools.dist manifests "$(DIST)" "$(IMAGE)"
	@$(BIN)/python -m tools.dist sums "$(DIST)"
	@ls -d "$(DIST)"/*

wheel: venv  ## the wheel, and requirements.txt with its hash and those of what it needs
	@$(BIN)/python -m tools.dist wheel "$(DIST)"

image: wheel sbom  ## build the image with podman or docker; IMAGE=name:tag BUILD="--build-arg …"
	@tool=$$(command -v podman || command -v docker) || \
	  { echo "neither podman nor docker is installed" >&2; exit 1; }; \
	  "$$tool" build --build-arg VERSION="$(VERSION)" --build-arg REVISION="$(REVISION)" \
	    $(BUILD) -t "$(IMAGE)" -f Containerfile "$(DIST)"

# ---- the documentation as a site

SITE ?= $(CACHE)/site/html
SITE_PAGES := $(SITE).pages
PORT ?= 8000
MKDOCS = NO_MKDOCS_2_WARNING=1 QUIESCE_SITE_PAGES="$(abspath $(SITE_PAGES))" $(DOCS)/bin/mkdocs

docs: venv docs-env  ## the documentation as a site, links and anchors checked; SITE=folder
	@$(BIN)/python -m tools.site "$(abspath $(SITE_PAGES))"
	@$(MKDOCS) build --strict --site-dir "$(abspath $(SITE))"

docs-serve: docs  ## show the site on http://127.0.0.1:8000; PORT=number
	@$(DOCS)/bin/python -m http.server --bind 127.0.0.1 --directory "$(SITE)" $(PORT)

docs-env: $(DOCS)/.complete

print-docs-env:
	@echo "$(DOCS)"

$(DOCS)/.complete:
	@rm -rf "$(DOCS)" && mkdir -p "$(dir $(DOCS))" && $(PYTHON) -m venv "$(DOCS)"
	@$(DOCS)/bin/pip install --quiet --disable-pip-version-check --require-hashes -r $(DOCS_LOCK)
	@touch $@

# ---- what is in it

SERVICE ?= pypi

audit: $(TOOLS)/.complete  ## known vulnerabilities in what the locks pin; SERVICE=osv asks another database
	@$(TOOLS)/bin/python -m tools.audit --service $(SERVICE) requirements.txt \
	  requirements-dev.txt $(TOOLS_LOCK) $(DOCS_LOCK)

SBOM ?= $(DIST)/quiesce-$(VERSION).cdx.json

sbom: $(TOOLS)/.complete $(IMAGE_ENV)/.complete  ## the Python packages of the image, as CycloneDX; SBOM=file
	@mkdir -p "$(dir $(SBOM))"
	@$(TOOLS)/bin/python -m tools.sbom $(IMAGE_ENV)/bin/python $(VERSION) > "$(SBOM)"
	@echo "$(SBOM)"

# As in the Containerfile.
$(IMAGE_ENV)/.complete:
	@rm -rf "$(IMAGE_ENV)" && mkdir -p "$(dir $(IMAGE_ENV))"
	@$(PYTHON) -m venv --without-pip "$(IMAGE_ENV)"
	@$(PYTHON) -m pip --python $(IMAGE_ENV)/bin/python install --quiet --no-deps \
	  --disable-pip-version-check --only-binary=:all: --require-hashes -r requirements.txt
	@$(PYTHON) -m pip --python $(IMAGE_ENV)/bin/python uninstall --quiet --yes \
	  --disable-pip-version-check $(UNUSED)
	@touch $@
