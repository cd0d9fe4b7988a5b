PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
INSTALL := $(PIP) install --quiet -c constraints.txt

.DEFAULT_GOAL := help
.PHONY: help run test install lint fmt type wheel clean

help: ## show this list
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

run: .venv/core ## install and evaluate BM25 on the smoke tasks
	$(BIN)/cmedteb run -m bm25 -t smoke

test: .venv/full ## install what the tests need and run them
	$(BIN)/pytest

install: .venv/full ## install everything for development

lint: .venv/full ## style
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

fmt: .venv/full ## format the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

type: .venv/full ## types
	$(BIN)/mypy

wheel: .venv/full ## build the wheel and try it in a fresh environment
	sh .ci/wheel $(BIN)/python

clean: ## remove what was built
	rm -rf .venv dist build *.egg-info .pytest_cache .mypy_cache .ruff_cache

.venv/bin/python:
	$(PYTHON) -m venv .venv
	$(PIP) install --quiet --upgrade pip

.venv/core: pyproject.toml constraints.txt | .venv/bin/python
	$(INSTALL) -e .
	@touch $@

.venv/full: pyproject.toml constraints.txt | .venv/bin/python
	$(INSTALL) -e '.[models,faiss,api,mteb,modelscope,ray]' --group dev
	@touch .venv/core $@
