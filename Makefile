PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
AXE := 4.14.1
RESULTS ?= leaderboard/results
BASE ?= leaderboard/results
INSTALL := $(PIP) install --quiet -c constraints.txt

.DEFAULT_GOAL := help
.PHONY: help run demo test install lint fmt type wheel vendor clean
.PHONY: leaderboard serve check-submission schema browser

help: ## show this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 18

run: .venv/core ## install and evaluate BM25 on the smoke tasks
	$(BIN)/cmedteb run -m bm25 -t smoke

demo: .venv/core ## install the annotator and walk its whole way, with simulated judges
	$(INSTALL) -e '.[annotate]'
	$(BIN)/cmedteb annotate demo

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

vendor: ## fetch the accessibility checker of the page's tests again (the only step that needs Node)
	cd tests/leaderboard/vendor && npm pack --silent axe-core@$(AXE) && tar -xzf axe-core-$(AXE).tgz
	cd tests/leaderboard/vendor && mv package/axe.min.js axe-$(AXE).min.js && mv package/LICENSE axe-LICENSE.txt
	cd tests/leaderboard/vendor && rm -r package axe-core-$(AXE).tgz && sha256sum -c axe-$(AXE).min.js.sha256

leaderboard: .venv/core ## check all results, then write the site to dist/
	$(BIN)/cmedteb leaderboard check
	$(BIN)/cmedteb leaderboard build

serve: .venv/core ## look at the leaderboard of RESULTS
	$(BIN)/cmedteb leaderboard serve --results $(RESULTS)

check-submission: .venv/core ## check RESULTS against those in BASE
	$(BIN)/cmedteb leaderboard check --results $(RESULTS) --base $(BASE)

schema: .venv/core ## write the JSON schemas anew
	$(BIN)/python -c 'from cmedteb.leaderboard.schemas import write_schemas; write_schemas()'

browser: ## install Chromium for the tests of the page, where it is missing (Debian)
	@command -v chromium && command -v chromedriver || \
		{ apt-get update && apt-get install -y --no-install-recommends chromium chromium-driver; }

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
