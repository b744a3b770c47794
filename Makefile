# The two commands are `make up` and `make test`. They need Python 3.11 or newer and nothing else.
PYTHON ?= python3
# Tests that share a cluster or an engine run one after another; groups that share none run side by side (tests/groups.py).
WORKERS ?= 2
BIN := .venv/bin
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: up down test check bench clean

up: .venv/ready ## everything, from a bare machine to a cluster that answers
	$(BIN)/devenv setup --yes
	$(BIN)/devenv up

down: .venv/ready ## remove the cluster
	$(BIN)/devenv down

test: check ## all three tiers; the cluster tier is skipped, with the reason, where it can't run
	$(BIN)/pytest --numprocesses $(WORKERS) --dist loadscope

check: .venv/ready ## what needs no cluster and no test run
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: .venv/ready ## ratios, measured in one run; minutes
	$(BIN)/python -m bench.up

# Debian splits venv from Python: where it is missing and may be installed, it is.
.venv/ready: pyproject.toml
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	  if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then apt-get update -qq && apt-get install -y -qq python3-venv; \
	  else echo 'Python has no venv module. Install it (Debian: sudo apt-get install python3-venv), then run make again.' >&2; exit 3; fi; }
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --editable '.[dev]'
	@touch $@

clean: ## remove the virtual environment
	rm -rf .venv
