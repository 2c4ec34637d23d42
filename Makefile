# Everything a developer runs. Only relative paths, so that a checkout whose path has spaces works.
PYTHON ?= python3
JOBS ?= 2
PERSONS ?= 2000
SEED ?= 7
UV ?= uv>=0.13,<0.14

VENV := .venv
RUN := $(VENV)/bin/python
STAMP := $(VENV)/.installed
DEMO := build/demo
CODE := src tests $(wildcard bench)

.DELETE_ON_ERROR:
.PHONY: setup demo test test-faults lint format docs notebooks lock clean help
.PHONY: bench bench-full bench-guard bench-pages bench-linkage bench-deliver

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## /\1	/p' Makefile | expand -t 12

setup: $(STAMP) ## create .venv exactly as requirements.lock says, without a compiler

$(STAMP): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and \
	    "Python 3.11 or later is needed; name one, as in: make PYTHON=python3.12")'
	rm -rf $(VENV)
	$(PYTHON) -m venv $(VENV)
	$(RUN) -m pip install --quiet --require-hashes --only-binary :all: -r requirements.lock
	$(RUN) -m pip install --quiet --no-deps --no-build-isolation -e .
	touch $(STAMP)

demo: setup ## sample, check, migrate and verify 2000 persons in build/demo
	rm -rf $(DEMO)
	mkdir -p $(DEMO)
	$(RUN) -m person_unify sample $(DEMO)/old.db --persons $(PERSONS) --seed $(SEED)
	$(RUN) -m person_unify check $(DEMO)/old.db
	$(RUN) -m person_unify migrate $(DEMO)/old.db $(DEMO)/new.db
	$(RUN) -m person_unify verify $(DEMO)/old.db $(DEMO)/new.db
	@echo
	@echo "open next: $(DEMO)/new.report.html in a browser"
	@echo "           person-unify review export $(DEMO)/new.db review.xlsx"
	@echo "           person-unify leftovers $(DEMO)/new.db"

test: lint ## lint, then every test
	$(RUN) -m pytest -n $(JOBS)

test-faults: setup ## every fault trial, far more than make test; counts go into docs/RELIABILITY.md
	rm -rf build/faults
	PERSON_UNIFY_FAULTS=full $(RUN) -m pytest -n $(JOBS) tests/faults
	$(RUN) -m tests.faults.table

lint: setup ## formatting, ruff and mypy --strict; changes nothing
	$(RUN) -m ruff format --check .
	$(RUN) -m ruff check .
	$(RUN) -m mypy --strict $(CODE)

format: setup ## format and fix in place
	$(RUN) -m ruff format .
	$(RUN) -m ruff check --fix .
	$(RUN) -m tests.stripped

docs: setup ## print docs/MAPPINGS.md, docs/FINDINGS.md and every page's console blocks anew
	mkdir -p build
	$(RUN) -m person_unify.mappings.document > build/mappings.md
	mv build/mappings.md docs/MAPPINGS.md
	$(RUN) -m person_unify.findings.document > build/findings.md
	mv build/findings.md docs/FINDINGS.md
	$(RUN) -m person_unify.explore.document docs/EXPLORE.md
	$(RUN) -m tests.tour
	$(RUN) -m tests.pictures

notebooks: setup ## open the notebooks in jupyterlab
	$(RUN) -m jupyterlab notebooks

lock: ## resolve requirements.lock anew, for every supported Python and platform
	$(PYTHON) -m venv --clear build/lock-venv
	build/lock-venv/bin/python -m pip install --quiet '$(UV)'
	build/lock-venv/bin/uv pip compile pyproject.toml --all-extras --universal --upgrade \
	    --python-version 3.11 --fork-strategy fewest --only-binary :all: --generate-hashes \
	    --no-emit-index-url --no-emit-find-links --no-annotate --quiet \
	    --custom-compile-command 'make lock' -o requirements.lock

bench: setup ## minutes: compare with the peers at 10,000 persons; prints, and keeps nothing
	$(RUN) -m bench.compare --persons 10000 --slow 1000 --rounds 3
	$(RUN) -m bench.scale 10000 100000
	$(RUN) -m bench.smallest

bench-full: setup ## hours: every size to 1,000,000 persons, kept and put into the pages
	$(RUN) -m bench.compare --keep --persons 10000 --slow 1000 --rounds 5
	$(RUN) -m bench.compare --keep --persons 100000 --slow 10000 --rounds 5 --slow-rounds 3
	$(RUN) -m bench.compare --keep --persons 300000 --rounds 3 --only sql-naive sql-tuned sql-unsafe limit
	$(RUN) -m bench.scale --keep 10000 100000 300000 1000000 --faults both
	$(RUN) -m bench.scale --keep 100000 --memory 512M
	$(RUN) -m bench.odd --keep
	$(RUN) -m bench.smallest --keep
	$(RUN) -m bench.floor --keep --rounds 3
	$(MAKE) bench-pages

bench-guard: setup ## fail if time or memory, against sql-tuned, got over 20% worse than kept
	$(RUN) -m bench.guard

bench-deliver: setup ## deliver 10,000 and 100,000 persons into PostgreSQL, beside psycopg and pgloader
	$(RUN) -m bench.deliver 10000 100000 --keep

bench-linkage: setup ## precision, recall and time of the search for suspected duplicates
	$(RUN) -m bench.linkage --keep

bench-pages: setup ## tables and pictures of the pages anew from what is kept
	$(RUN) -m bench.tables
	$(RUN) -m bench.plots

clean: ## remove what the other targets made
	rm -rf $(VENV) build dist .hypothesis .mypy_cache .pytest_cache .ruff_cache
	find src tests -name __pycache__ -type d -prune -exec rm -rf {} +
