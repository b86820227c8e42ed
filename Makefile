# `make` lists what there is. Everything runs from a virtual environment in the checkout.
PYTHON ?= python3

VENV := .venv
BIN := $(VENV)/bin
INPUTS := pyproject.toml constraints.txt
ROOTS := client/packtrain service/packtrain workers/packtrain scripts

# What has been installed is told by files within the environment, so that they go with it.
DEMO := $(VENV)/.installed-demo
DEV := $(VENV)/.installed-dev
BENCH := $(VENV)/.installed-bench
PIP_INSTALL = $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt
# In the order of the folders: those that take longest don't come last.
IN_PARALLEL := --numprocesses=2 --dist=loadfile --no-loadscope-reorder
CHECKS := check-lint check-format check-types check-imports check-proto check-generated

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
# One environment: two installations at a time would spoil it.
.NOTPARALLEL:
.PHONY: help demo test check $(CHECKS) generate bench bench-service reproduce chaos compose-test clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' Makefile

demo: $(DEMO) ## Train the experiments through a server of its own; plots and a summary
	@$(BIN)/packtrain demo

test: $(DEV) ## Run all tests, two files at a time (ARGS='-k name' for some, one by one)
	@$(BIN)/python -m pytest $(or $(ARGS),$(IN_PARALLEL))

check: $(CHECKS) ## Lint, formatting, types, import contracts, protos, generated code
	@echo "All checks passed."

check-lint: $(DEV)
	@echo "== lint (ruff check)"
	@$(BIN)/ruff check --quiet .

check-format: $(DEV)
	@echo "== formatting (ruff format)"
	@$(BIN)/ruff format --check --quiet . || { echo "Run \`$(BIN)/ruff format\`."; exit 1; }

check-types: $(DEV)
	@echo "== types (mypy)"
	@$(BIN)/mypy $(ROOTS)

check-imports: $(DEV)
	@echo "== import contracts (import-linter)"
	@$(BIN)/lint-imports --no-logo

check-proto: $(DEV)
	@echo "== proto files (buf lint)"
	@$(BIN)/buf lint proto

check-generated: $(DEV)
	@echo "== generated code against the proto files"
	@$(BIN)/python scripts/generate.py --check

generate: $(DEV) ## Generate the contract's code from the proto files
	@$(BIN)/python scripts/generate.py

reproduce: $(DEMO) ## Run the published experiments (DATASETS=DIR: where DIR/mnist is)
	@$(BIN)/python -m benchmarks.reproduce --markdown docs/experiments.md \
	  $(if $(DATASETS),--datasets '$(DATASETS)') $(ARGS)

bench: $(BENCH) ## Measure the trainer beside its peers
	@$(BIN)/python -m benchmarks.trainer $(ARGS)

bench-service: $(BENCH) ## Measure the service beside Ray Tune (DATASETS=DIR: where DIR/mnist is)
	@$(BIN)/python -m benchmarks.service $(if $(DATASETS),--datasets '$(DATASETS)') $(ARGS)

chaos: $(DEV) ## Kill, cut and fill up a real service, and see what holds (SEED=n, ARGS='--only ...')
	@$(BIN)/python -m tests.chaos $(if $(SEED),--seed $(SEED)) $(ARGS)

compose-test: $(DEV) ## Run docker-compose.yml and kill its containers one by one (needs Docker)
	@$(BIN)/python -m tests.compose $(ARGS)

clean: ## Remove the environment, caches and builds; never data or results
	@rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	@find client proto scripts service tests workers -name __pycache__ -type d -prune -exec rm -rf {} +

$(DEMO): $(BIN)/python $(INPUTS)
	@echo "Installing Packtrain with its server and plots into $(VENV) (a minute or two)..."
	@$(PIP_INSTALL) -e '.[server,plot]'
	@touch $@

$(DEV): $(BIN)/python $(INPUTS)
	@echo "Installing Packtrain with its development tools into $(VENV) (a minute or two)..."
	@$(PIP_INSTALL) -e '.[server,plot,pandas,export,dev]'
	@touch $@ $(DEMO)

$(BENCH): $(BIN)/python $(INPUTS)
	@echo "Installing Packtrain with its benchmark's peers into $(VENV) (a minute or two)..."
	@$(PIP_INSTALL) -e '.[server,plot,bench]'
	@touch $@

# A link to the interpreter: where that is gone or never was, this rule makes it (anew).
$(BIN)/python:
	@command -v $(PYTHON) >/dev/null || { \
	  echo "$(PYTHON) is not installed: install Python 3.11 or newer, or name one" \
	    "with \`make PYTHON=/path/to/python ...\`." >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "$(PYTHON) is $$($(PYTHON) --version 2>&1), but Packtrain needs Python 3.11 or newer:" \
	    "name one with \`make PYTHON=/path/to/python ...\`." >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	  echo "$(PYTHON) can't make virtual environments: install its venv module" \
	    "(on Debian and Ubuntu: apt install python3-venv)." >&2; exit 1; }
	@echo "Making a virtual environment in $(VENV) with $$($(PYTHON) --version)..."
	@$(PYTHON) -m venv --clear $(VENV) || { rm -rf $(VENV); \
	  echo "$(PYTHON) could not make a virtual environment in $(VENV): see above." >&2; exit 1; }
