# Needs: make, Python 3.11 or newer with its venv module, and a package registry. Everything else goes into .venv/.
#   make demo     set up, then the whole story on a simulated district
#   make test     set up, then all tests
#   make check    lint, types, import layers, migrations
#   make lock     write requirements.lock anew from pyproject.toml (UPGRADE=--upgrade takes newer versions)
#   make soak      10,000 steps of the books against a small model, with faults
#   make crash     kill -9 of poster and database server, 50 times in a row
#   make clean    remove .venv/ and caches; the data folder var/ is kept

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

# Another interpreter: make PY=/path/to/python3.12 demo
PY ?= $(shell for python in python3.11 python3 python3.12 python3.13 python3.14; do \
  "$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo "$$python"; break; }; done)
# Processes that run tests; 1 runs them in order in this one.
TEST_PROCESSES ?= 2
TESTS ?=

VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/ready
# No interpreter is fetched from elsewhere, and no progress bars stand in logs.
export UV_PYTHON_DOWNLOADS := never
export UV_NO_PROGRESS := 1
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: help setup demo test soak crash check lint types layers migrations lock fuzz clean hledger

help:
	@sed -n 's/^#   //p' Makefile

setup: $(READY)

$(READY): requirements.lock pyproject.toml
	@[ -n "$(PY)" ] || { echo "Python 3.11 or newer was not found. Install it, or say where it is: make PY=/path/to/python3.11 $(MAKECMDGOALS)"; exit 2; }
	@"$(PY)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "'$(PY)' is not a Python 3.11 or newer; say where one is: make PY=/path/to/python3.11 $(MAKECMDGOALS)"; exit 2; }
	@"$(PY)" -c 'import venv, ensurepip' 2>/dev/null || { echo "$(PY) has no venv module. On Debian or Ubuntu: apt-get install python3-venv"; exit 2; }
	@"$(PY)" -c 'import sys, sysconfig; sys.exit(0 if sys.platform.startswith("linux") or sys.platform == "darwin" else 1)' || { echo "Only Linux and macOS are supported."; exit 2; }
	@# A .venv that was moved here from elsewhere, or whose Python is gone, does not run: begin again.
	@if [ -e $(VENV) ] && ! { $(BIN)/python -c 'import sys, os; sys.exit(os.path.realpath(sys.prefix) != os.path.realpath("$(VENV)"))' && $(BIN)/python -m pip --version; } >/dev/null 2>&1; then rm -rf $(VENV); fi
	@[ -e $(VENV) ] || { echo "Creating $(VENV) with $$("$(PY)" --version)"; "$(PY)" -m venv $(VENV); }
	@echo "Installing what requirements.lock names"
	@$(BIN)/python -m pip install --quiet uv || echo "uv is not to be had; pip does it, more slowly"
	@if [ -x $(BIN)/uv ] && $(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes -r requirements.lock; then :; \
	else $(BIN)/python -m pip install --quiet --require-hashes -r requirements.lock; fi
	@$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

demo: $(READY)
	@$(BIN)/escrow demo

# hledger proves that our export is read by a stranger; without it those tests say why they are skipped.
hledger:
	@if ! command -v hledger >/dev/null && [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	  echo "Installing hledger, with which the exports are checked"; \
	  { timeout 120 apt-get update -qq && DEBIAN_FRONTEND=noninteractive timeout 180 apt-get install -y -qq --no-install-recommends hledger; } >/dev/null 2>&1 \
	    || echo "hledger could not be installed; its tests will be skipped and say so"; \
	fi

test: $(READY) hledger
	@$(BIN)/python -m pytest $(if $(filter-out 1,$(TEST_PROCESSES)),-n $(TEST_PROCESSES) --dist loadfile) $(TESTS)

soak: $(READY)
	@HYPOTHESIS_PROFILE=soak $(BIN)/python -m pytest -q -s tests/ledger/test_state_machine.py

crash: $(READY)
	@CRASH_ROUNDS=50 $(BIN)/python -m pytest -q tests/ledger/test_crash.py

check: lint types layers migrations

lint: $(READY)
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

types: $(READY)
	@$(BIN)/mypy

layers: $(READY)
	@$(BIN)/lint-imports

migrations: $(READY)
	@$(BIN)/python -m migrations.check

fuzz: $(READY)
	PYTHONPATH=. $(BIN)/python tests/fuzz/damage.py $${ESCROW_CORPUS:-../shared/corpus} --times 200

lock: $(READY)
	@echo 'setuptools>=77' | $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --extra test --generate-hashes \
	  --no-header --no-annotate --no-emit-index-url $(UPGRADE) pyproject.toml - --output-file requirements.lock
	@! grep -n '://' requirements.lock

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis *.egg-info
	find . -name __pycache__ -type d -not -path './.git/*' -prune -exec rm -rf {} +
