# The five things one types. Each makes .venv when it is missing: with uv if there is one, else venv and pip.
.PHONY: help up test check scoreboard compiled
.DEFAULT_GOAL := help

# The interpreter that .venv is made from; another one: make up PYTHON=python3.12
PYTHON ?= python3
PY := .venv/bin/python

help:
	@echo "make up          both worlds on embedded engines, seeded; Ctrl-C stops them"
	@echo "make test        every tier this machine can run; STRICT=1 makes a skip a failure, ARGS='-k word' go to pytest"
	@echo "make check       format, lint, types, import contracts"
	@echo "make scoreboard  measure every claim, write docs/scoreboard.md"
	@echo "make compiled    the data plane as machine code, for three fifths of the CPU; needs a C compiler. The next gateway takes it"

.venv/.installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "Banyan needs Python 3.11 or newer; $(PYTHON) is: $$($(PYTHON) --version 2>&1)"; \
	  echo "Name another one: make $(MAKECMDGOALS) PYTHON=python3.12"; exit 1; } >&2
	@echo "Installing into .venv (about a minute with pip, ten seconds with uv) ..."
	@if command -v uv >/dev/null 2>&1; then \
	  uv venv --seed --quiet --allow-existing --python $(PYTHON) .venv && \
	  uv pip install --quiet --python $(PY) -c constraints.txt -e '.[sandbox,dev]'; \
	else \
	  $(PYTHON) -m venv .venv && \
	  $(PY) -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[sandbox,dev]'; \
	fi
	@touch $@

up: .venv/.installed
	$(PY) -m cli.main up

test: .venv/.installed
	$(PY) -m tests.tiers $(if $(filter 1,$(STRICT)),--strict-tiers) $(ARGS)

check: .venv/.installed
	.venv/bin/ruff format --check .
	.venv/bin/ruff check .
	.venv/bin/mypy
	.venv/bin/lint-imports --no-cache
	.venv/bin/hadolint Dockerfile

compiled: .venv/.installed
	$(PY) -m runtime.compiled.build

scoreboard: .venv/.installed
	-$(PY) -m runtime.compiled.build
	$(PY) -m benchmarks scoreboard
