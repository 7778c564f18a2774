PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: demo test test-browser lint types suite coverage audit bench soak fuzz clean
.DEFAULT_GOAL := help

help:  ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/'

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
	$(BIN)/codespell mesh_sim client tests docs README.md CHANGELOG.md CONTRIBUTING.md SECURITY.md
	$(BIN)/lint-imports
	$(BIN)/hadolint Dockerfile
	$(BIN)/check-jsonschema --builtin-schema vendor.compose-spec docker-compose.yml

types: $(STAMP)
	$(BIN)/mypy

# Without coverage, whose measuring takes half as long again.
suite: $(STAMP)
	$(BIN)/pytest --numprocesses auto --dist loadfile

# Elsewhere these tests are skipped: they run only where the variable names a Chromium.
test-browser: $(STAMP)  ## the pages in a real browser; gets Playwright, and Chromium where there is none (PICTURES=1: takes the pictures of docs/images/pages)
	$(BIN)/python -m pip install --quiet --editable '.[browser]'
	chromium=$$($(BIN)/python .ci/chromium.py --install) && MESH_SIM_TEST_CHROMIUM=$$chromium \
		$(if $(PICTURES),MESH_SIM_TEST_PICTURES=docs/images/pages) $(BIN)/pytest tests/browser$(if $(PICTURES),/test_pictures_browser.py)

coverage: $(STAMP)  ## the suite once more, with the lines and branches that it does not reach
	$(BIN)/pytest --numprocesses auto --dist loadfile --cov --cov-report=term

# Where pip-audit cannot be installed, the second line says that nothing was audited.
audit: $(STAMP)  ## known vulnerabilities of the packages installed, where a service can be asked
	-$(BIN)/python -m pip install --quiet --editable '.[audit]'
	$(BIN)/python .ci/audit.py

bench: $(STAMP)  ## measure side by side with the peers (QUICK=1: a small run; ONLY="server bulk": some; ONLY=growth: how cost grows; ONLY=pages: the pages)
	$(BIN)/python -m pip install --quiet --editable '.[bench]'
	$(BIN)/python benchmarks/run.py $(if $(QUICK),--quick) $(if $(ONLY),--only $(ONLY))

# The short form draws no plot and keeps no results; MINUTES and KILLS say how long and how many otherwise.
soak: $(STAMP)  ## kill servers 200 times, then half an hour of mixed load (SHORT=1: two minutes in all; KILLS=, MINUTES=)
ifdef SHORT
	PYTHONPATH=tests $(BIN)/python -m soak --kills 10 --minutes 0.75
else
	$(BIN)/python -m pip install --quiet --editable '.[bench]'
	PYTHONPATH=tests $(BIN)/python -m soak $(if $(KILLS),--kills $(KILLS)) $(if $(MINUTES),--minutes $(MINUTES)) \
		--results benchmarks/results
endif

fuzz: $(STAMP)  ## feed every parser with made-up input, a minute each
	$(BIN)/python -m pip install --quiet --editable '.[fuzz]'
	$(BIN)/python tests/fuzz/fuzzing.py

clean:  ## remove the environment and everything generated
	rm -rf $(VENV) build dist .coverage .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache demo-output fuzz-findings
