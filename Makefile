# Bare `make` lists what can be made. Nothing here needs root; `make setup` and `make test` use it where they have it.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
LANES ?= 2
HOSTS ?= 3
CHECKED := src tests tools $(wildcard bench)

.PHONY: help setup system demo test check format lint types imports py39 docs bench hosts soak clean

help: ## List the targets
	@grep -hE '^[a-z0-9]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z0-9]+):.*## /\1\t/' | \
	  while IFS=$$'\t' read -r name help; do printf '  make %-8s %s\n' "$$name" "$$help"; done

setup: system $(INSTALLED) ## Make .venv ready; as root on Debian also install the system packages that tests use

system:
	@tools/system-packages test

$(INSTALLED): pyproject.toml src/mikoshi/__init__.py tools/find-python tools/make-venv
	@tools/make-venv $(VENV)
	@touch $@

demo: $(INSTALLED) ## Show an application being deployed, changed, broken and brought back (no root, no Docker)
	@$(BIN)/mikoshi tour

test: setup ## Run everything this machine can run, and say at the end what it could not
	@LANES=$(LANES) tools/run-tests

check: format lint types imports py39 docs ## Format, lint, types, imports, Python 3.9 and documentation (under a minute)

format: $(INSTALLED)
	@$(BIN)/ruff format --quiet --diff .

lint: $(INSTALLED)
	@$(BIN)/ruff check --quiet .

types: $(INSTALLED)
	@$(BIN)/mypy $(CHECKED)

imports: $(INSTALLED)
	@mkdir -p .make; $(BIN)/lint-imports > .make/imports.log || { cat .make/imports.log; exit 1; }

py39: $(INSTALLED)
	@$(BIN)/python -m tools.check_py39

docs: $(INSTALLED)
	@$(BIN)/python -m tools.check_docs
	@$(BIN)/python -m tools.check_source

bench: $(INSTALLED) ## Measure against other tools, side by side, and write docs/benchmarks.md
	@tools/system-packages bench
	@$(BIN)/python -m bench.push --write docs/benchmarks.md
	@$(BIN)/python -m bench.handover --write docs/benchmarks.md

hosts: setup ## Start real SSH servers, each with its own file system, to try things on (root; HOSTS=3; Ctrl-C ends them)
	@$(BIN)/python -m tools.hosts $(HOSTS)

soak: setup ## Run the tests that take minutes
	@$(BIN)/python -m pytest -n 0 -m soak --timeout 3600

clean: ## Remove what was made: .venv, .demo, caches
	@rm -rf $(VENV) .demo .make dist build .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	@find src tests tools -name __pycache__ -type d -prune -exec rm -rf {} +
