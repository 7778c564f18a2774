PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: demo test lint types suite bench clean
.DEFAULT_GOAL := help

help:  ## list the targets
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/'

# The stamp names what the environment was built from, so that a changed pyproject.toml installs again.
$(STAMP): pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --editable '.[test]'
	@touch $@

demo: $(STAMP)  ## one real opt-out check, end to end over mutual TLS
	$(BIN)/mesh-sim demo

test: lint types suite  ## lint, types and the whole test suite

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/codespell mesh_sim client tests docs README.md CHANGELOG.md CONTRIBUTING.md
	$(BIN)/lint-imports
	$(BIN)/hadolint Dockerfile
	$(BIN)/check-jsonschema --builtin-schema vendor.compose-spec docker-compose.yml

types: $(STAMP)
	$(BIN)/mypy

suite: $(STAMP)
	$(BIN)/pytest --numprocesses auto --dist loadfile --cov --cov-report=term

bench: $(STAMP)  ## measure the client: round trip, filtering, transfer, membership
	$(BIN)/python -m pip install --quiet --editable '.[bench]'
	$(BIN)/python benchmarks/round_trip.py
	$(BIN)/python benchmarks/filtering.py
	$(BIN)/python benchmarks/transfer.py
	$(BIN)/python benchmarks/membership.py

clean:  ## remove the environment and everything generated
	rm -rf $(VENV) build dist .coverage .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache demo-output
