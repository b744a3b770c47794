# The two commands are `make up` and `make test`. They need Python 3.11 or newer and nothing else.
PYTHON ?= python3
# Tests that share a cluster or an engine run one after another; groups that share none run side by side (tests/groups.py).
# A worker's cluster takes a third of a core while it only waits: more workers than cores are slower.
WORKERS ?= $(shell cores=$$(getconf _NPROCESSORS_ONLN); echo $$((cores < 4 ? cores : 4)))
BIN := .venv/bin
export PIP_DISABLE_PIP_VERSION_CHECK := 1
# The tests start devenv a thousand times: each start takes a quarter less with its bytecode.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: up down test check bench lock clean

up: .venv/ready ## everything, from a bare machine to a cluster that answers
	$(BIN)/devenv setup --yes
	$(BIN)/devenv up
	@echo 'Call devenv as $(BIN)/devenv, or activate the environment: . $(BIN)/activate'

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

# Debian splits venv from Python: make installs it if it is missing and may be installed.
# A .venv that links to another checkout's is kept up to date there.
.venv/ready: $(if $(shell readlink .venv),,pyproject.toml requirements.lock)
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	  if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then apt-get update -qq && apt-get install -y -qq python3-venv; \
	  else echo 'Python has no venv module. Install it (Debian: sudo apt-get install python3-venv), then run make again.' >&2; exit 3; fi; }
	@echo 'Installing devenv and its tools into .venv: a minute or two.'
	$(PYTHON) -m venv .venv
	$(BIN)/python .ci/install.py requirements.lock
	@echo 'Installing devenv itself.'
	$(BIN)/pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

# Every tool and library with its version and hashes, for all systems and Pythons. Needs uv.
lock: ## write requirements.lock anew, after a change of pyproject.toml or for newer versions
	uv pip compile --quiet --upgrade --universal --generate-hashes --python-version 3.11 --extra dev \
	  --no-emit-index-url --no-emit-find-links --custom-compile-command 'make lock' \
	  --output-file requirements.lock pyproject.toml

clean: ## remove everything that make, the tools and the tests have made in this folder
	rm -rf .venv dist build *.egg-info .coverage .hypothesis .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
