# Everything runs from .venv, which holds the exact versions of requirements.lock.
.DEFAULT_GOAL := help
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.complete
ARGS   ?=
WORKERS ?= 2
# Tests start hundreds of processes, each of which would compile a thousand modules anew where the environment says so.
export PYTHONDONTWRITEBYTECODE :=

$(STAMP): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Homing needs Python 3.11 or newer; $(PYTHON) is older. Try: make PYTHON=python3.12"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --no-build-isolation --no-deps -e .
	@touch $@

.PHONY: help venv demo story test walk engine lint check format runbook pictures bench chaos engine-chaos soak sim fuzz bite lock clean

help: ## print this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

venv: $(STAMP) ## build .venv with everything in it

demo: $(STAMP) ## start a simulated WhatsApp, four instances and the gateway (Ctrl-C ends all)
	$(BIN)/homing demo $(ARGS)

story: $(STAMP) ## the demo, telling the three failover stories on itself, then exiting
	$(BIN)/homing demo --story $(ARGS)

test: $(STAMP) ## every test but the walks: first those within a process, side by side, then those that start fleets
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile -m "not e2e" $(ARGS)
	$(BIN)/python -m pytest -m "e2e and not walk and not real" $(ARGS)

walk: $(STAMP) ## whole fleets from first contact through failures, restarts and upgrades: minutes, most of them spent waiting
	$(BIN)/python -m pytest -m walk $(ARGS)

engine: $(STAMP) ## the engine of the real WhatsApp, fetched, and every fault at every point; needs Node 20 and npm's registry
	HOMING_ENGINES=$(abspath $(VENV))/engines $(BIN)/python -m pytest -m real $(ARGS)

lint: $(STAMP) ## style, format and strict types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

check: lint ## what continuous integration runs beside the slow tests: lint, strict types, fast tests
	$(BIN)/python -m pytest -m "not e2e and not slow" $(ARGS)

format: $(STAMP) ## rewrite the code in the project's format
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

chaos: $(STAMP) ## real faults on a fleet under load, and a table of what came of them
	$(BIN)/homing chaos $(ARGS)

engine-chaos: $(STAMP) ## the same with the engine of the real WhatsApp, each fault thirty times (see `make engine`)
	HOMING_ENGINES=$(abspath $(VENV))/engines $(BIN)/homing engine install
	HOMING_ENGINES=$(abspath $(VENV))/engines $(BIN)/homing chaos --engine baileys --instances 2 --accounts 60 --rate 10 --repeats 30 $(ARGS)

soak: $(STAMP) ## half an hour of faults under load: do memory and descriptors stay flat?
	$(BIN)/homing chaos --soak 30m $(ARGS)

sim: $(STAMP) ## disasters in virtual time, from seeds, judged from outside
	$(BIN)/homing sim run --seeds 100 $(ARGS)

fuzz: $(STAMP) ## 30,000 generated requests on both databases; ARGS=parsers: what reads strangers' bytes, by coverage
	$(BIN)/python -m fuzz $(ARGS)

bite: $(STAMP) ## put defects in, one at a time, and see who notices
	$(BIN)/python -m tests.mutations $(ARGS)

runbook: $(STAMP) ## write docs/runbook.md's list of alerts anew, from the guides of their kinds
	$(BIN)/python -m tests.runbook

pictures: $(STAMP) ## take the pictures of docs/pictures anew (needs Chromium)
	$(BIN)/python -m tests.e2e.pictures $(ARGS)

bench: $(STAMP) ## print the tables of docs/measured.md, measured here
	$(BIN)/python -m bench $(ARGS)

lock: ## resolve requirements.lock anew (needs uv)
	uv pip compile --quiet --universal --generate-hashes --no-annotate --python-version 3.11 pyproject.toml --group dev -o requirements.lock

clean: ## remove what the targets above made
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache
