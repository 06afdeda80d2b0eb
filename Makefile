# FERscope. `make` alone lists the targets.

PYTHON ?= python3
# LIGHT=1 leaves PyTorch out: results and predictions by ONNX copies, in an environment of its own.
LIGHT ?=
VENV := $(if $(LIGHT),.venv-light,.venv)
REQUIREMENTS := $(if $(LIGHT),requirements-light.txt,requirements.txt)
BIN := $(VENV)/bin
# LOCK=1 installs the files whose hashes `make lock` wrote; needs Python 3.11.
LOCK ?=
LOCKFILE := $(if $(LOCK),$(REQUIREMENTS:.txt=.lock))
TOOLS := .venv-tools
# Without compiled files, which some images turn off, each process that a test starts compiles again.
unexport PYTHONDONTWRITEBYTECODE
PORT ?= 8501
# The versions that were tested. `make setup PINS=` installs the newest ones instead.
PINS ?= constraints.txt
PIP := $(BIN)/pip --disable-pip-version-check
# without compiled Python, of which only a part is ever used, the light environment is a fifth smaller
INSTALL := $(PIP) install -q $(if $(LIGHT),--no-compile) $(if $(PINS),-c $(PINS))

.DEFAULT_GOAL := help
.PHONY: help run setup setup-dev test lint types test-unit test-browser wheel docs format \
	speed benchmark constraints clean light test-remote test-ray lock audit sbom licenses load soak mutation

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: setup ## Install what is needed (once) and serve the dashboard; PORT=8501 by default, LIGHT=1 without PyTorch
	$(BIN)/streamlit run dashboard/Home.py --server.port $(PORT)

setup: $(VENV)/.installed ## Create .venv with the tested versions (PINS= for the newest)

setup-dev: $(VENV)/.installed-dev ## The same, with the development tools

test: setup-dev lint types test-unit ## Check style and types, then run all tests that need no browser

lint: setup-dev ## Check style
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: setup-dev ## Check types
	$(BIN)/mypy

test-unit: setup-dev ## Run all tests that need no browser
	$(BIN)/pytest -m "not browser" --ignore tests/browser -n auto --dist worksteal

test-browser: setup-dev ## Click through the dashboard in Chromium (FERSCOPE_CHROMIUM names another)
	$(BIN)/pytest tests/browser -m browser -n 2 --dist loadfile

test-remote: setup-dev ## Test datasets at URLs, against a local stand-in of S3
	$(INSTALL) -r requirements-remote.txt 'moto[server]'
	$(BIN)/pytest tests/data/test_remote.py

test-ray: setup-dev ## Test commands on a Ray cluster of two workers on this machine
	$(INSTALL) -r requirements-ray.txt
	$(BIN)/pytest -n0 tests/training/jobs -k ray

light: ## Install without PyTorch in .venv-light, measure it, and check what works (LIGHT=1 is implied)
	$(MAKE) LIGHT=1 setup
	.venv-light/bin/python -m tests.support.check_light

wheel: setup-dev ## Build the wheel in dist/ and check that it works outside the checkout
	rm -rf build dist
	$(PIP) wheel -q --no-deps -w dist .
	$(BIN)/python -m tests.support.check_wheel dist/*.whl

docs: setup-dev ## Build the pages of docs/ and of the Python API in build/docs
	$(BIN)/python -m tests.support.docs_site
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

format: setup-dev ## Format the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

speed: setup-dev ## Measure speed and memory, and print the table (run nothing else meanwhile)
	$(BIN)/python -m benchmarks

load: setup-dev ## Load test of the service with 1, 8 and 32 clients, 5 minutes in all (run nothing else meanwhile)
	$(INSTALL) locust
	$(BIN)/python -m benchmarks.load

soak: setup-dev ## Test of the service with 8 clients for 30 minutes: errors and memory
	$(INSTALL) locust
	$(BIN)/python -m benchmarks.load --clients 8 --seconds 1800

mutation: setup-dev ## Judge about a tenth of the mutants of fer_core/evaluation by its tests: 20 minutes on 2 cores
	$(INSTALL) mutmut
	$(BIN)/mutmut run '*__mutmut_*5'

benchmark: speed # the target's former name

constraints: setup-dev ## Write the versions in .venv to constraints.txt
	$(BIN)/python -m tests.support.write_constraints

lock: $(TOOLS)/.installed ## Write requirements.lock and requirements-light.lock: the versions of constraints.txt with hashes
	$(TOOLS)/bin/python -m tests.support.write_lock $(TOOLS)/bin/uv

audit: $(TOOLS)/.installed ## Look for known vulnerabilities of the locked versions
	sed '/^-r /d' requirements.lock | cat requirements-light.lock - > $(TOOLS)/all.lock
	$(TOOLS)/bin/pip-audit --strict --require-hashes --disable-pip -r $(TOOLS)/all.lock

sbom: $(TOOLS)/.installed ## Write the software bill of materials (CycloneDX) of the locked versions to dist/sbom.json
	mkdir -p dist
	$(TOOLS)/bin/cyclonedx-py requirements requirements.lock --pyproject pyproject.toml -o dist/sbom.json

licenses: setup-dev ## Write docs/licenses.md: licences of dependencies and weights
	$(BIN)/python -m tests.support.write_licenses

clean: ## Remove the environments and caches; data and runs stay
	rm -rf .venv .venv-light .venv-tools .pytest_cache .mypy_cache .ruff_cache .hypothesis *.egg-info build dist

$(VENV)/.installed: $(REQUIREMENTS) pyproject.toml $(PINS) $(LOCKFILE)
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "FERscope needs Python 3.11 or later")'
	$(if $(LOCK),$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11) and "LOCK=1 needs Python 3.11: make PYTHON=python3.11 ...")')
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(if $(LOCK),$(PIP) install -q $(if $(LIGHT),--no-compile) --require-hashes -r $(LOCKFILE))
	$(if $(LOCK),$(PIP) install -q --no-deps -e .,$(INSTALL) -r $(REQUIREMENTS) -e .)
	touch $@

$(VENV)/.installed-dev: $(VENV)/.installed requirements-dev.txt
	$(INSTALL) -r requirements-dev.txt
	touch $@

# Tools apart from what they check, so that their own dependencies do not get into constraints.txt.
$(TOOLS)/.installed:
	test -x $(TOOLS)/bin/python || $(PYTHON) -m venv $(TOOLS)
	$(TOOLS)/bin/pip --disable-pip-version-check install -q uv pip-audit cyclonedx-bom packaging
	touch $@
