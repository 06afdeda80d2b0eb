# FERscope. `make` alone lists what there is to do.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PORT ?= 8501

.DEFAULT_GOAL := help
.PHONY: help run setup setup-dev test lint test-unit test-browser format benchmark clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: setup ## Install what is needed (once) and serve the dashboard; PORT=8501 by default
	$(BIN)/streamlit run dashboard/Home.py --server.port $(PORT)

setup: $(VENV)/.installed ## Create .venv with everything that FERscope needs

setup-dev: $(VENV)/.installed-dev ## The same, with the tools for working on FERscope

test: setup-dev lint test-unit ## Set up, then check style and types and run all tests without a browser

lint: setup-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

test-unit: setup-dev
	$(BIN)/pytest -m "not browser" -n auto --dist worksteal

test-browser: setup-dev ## Click through the dashboard in Chromium (FERSCOPE_CHROMIUM names another)
	$(BIN)/pytest -m browser

format: setup-dev ## Format the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

benchmark: setup-dev ## Measure speed and memory, and print the table (leave the machine alone meanwhile)
	$(BIN)/python -m benchmarks

clean: ## Remove .venv and caches; data and runs stay
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis *.egg-info

$(VENV)/.installed: requirements.txt pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "FERscope needs Python 3.11 or later")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --disable-pip-version-check -q -r requirements.txt -e .
	touch $@

$(VENV)/.installed-dev: $(VENV)/.installed requirements-dev.txt
	$(BIN)/pip install --disable-pip-version-check -q -r requirements-dev.txt
	touch $@
