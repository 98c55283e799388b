# The book's commands; `make` or `make help` lists them. Needs Python 3.11 or newer, and nothing else installed.
PYTHON ?= python3
# Passed to pip, for example PIP_FLAGS="--extra-index-url <the CPU index that pytorch.org's Get Started page names>".
PIP_FLAGS ?=
NB ?=
PARAMS ?=
RUN ?=
WORKERS ?= 2

BIN := .venv/bin
BOOK := $(BIN)/jupyter-book build . -W -n --keep-going
STALENESS := $(BIN)/python book/_ext/staleness.py

export PYTHONHASHSEED := 0
export OMP_NUM_THREADS := 1

.DEFAULT_GOAL := help
.PHONY: help install book pdf execute execute-one stale rerun promote replay test test-quick lint clean

help:  ## list the commands
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | awk -F '\t' '{printf "  make %-12s %s\n", $$1, $$2}'

install: .venv/installed  ## make .venv from requirements.lock and requirements-data.txt

.venv/installed: requirements.lock requirements-data.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "The book needs Python 3.11 or newer; name one, as in: make PYTHON=python3.12"; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet $(PIP_FLAGS) -r requirements.lock
	$(BIN)/python -m pip install --quiet --no-deps -r requirements-data.txt
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation -e .
	@touch $@

book: .venv/installed  ## execute what is stale, build the book, print the page to open
	@$(STALENESS) --stale
	@rm -rf _build/html
	$(BOOK)
	@echo "Open $(CURDIR)/_build/html/index.html"

pdf: book  ## the built book as _build/pdf/book.pdf, and its first page as summary.pdf
	@$(BIN)/python scripts/pdf.py

execute: .venv/installed  ## execute every notebook anew
	@$(STALENESS) --all

execute-one: .venv/installed  ## execute one notebook: make execute-one NB=theory/signatures
	@test -n "$(NB)" || { echo "Name a chapter, as in: make execute-one NB=theory/signatures"; exit 1; }
	@$(STALENESS) $(NB)

stale: .venv/installed  ## say which notebooks are stale, and why
	@$(STALENESS)

rerun: .venv/installed  ## a chapter with other parameters, as a page: make rerun NB=addition/training PARAMS="seed=3 scale=smoke"
	@test -n "$(NB)" || { echo 'Name a chapter, as in: make rerun NB=addition/training PARAMS="seed=3 scale=smoke"'; exit 1; }
	@$(BIN)/python book/_ext/rerun.py "$(NB)" $(PARAMS)

promote: .venv/installed  ## check a run and move it from runs/ to results/: make promote RUN=name
	@$(BIN)/python scripts/promote.py $(RUN)

replay: .venv/installed  ## make the first steps of stored runs of older code again: make replay [RUN=name]
	@$(BIN)/python scripts/replay.py $(RUN)

test: .venv/installed  ## unit tests, doctests, every notebook by strict nbval, the built pages in a browser
	$(BIN)/python -m pytest --nbval -n $(WORKERS) --dist loadfile --no-loadscope-reorder

test-quick: .venv/installed  ## the unit tests that are quick: no notebook is executed and no page built
	$(BIN)/python -m pytest -m "not slow" -n $(WORKERS) --dist loadfile --no-loadscope-reorder

lint: .venv/installed  ## ruff on code and notebooks, types, spelling, the pairs
	$(BIN)/pre-commit run --all-files

clean:  ## remove what is built; runs/ and .venv stay
	rm -rf _build .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -not -path './.venv/*' -prune -exec rm -rf {} +
