# The two commands are `make run` and `make test`; `make` alone lists them all.
#
# Every installation step leaves a stamp named after a hash of what it installed, so a second run
# finds nothing to do, and a changed pin re-runs its step (and those after it) only.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.ONESHELL:
.DELETE_ON_ERROR:
.NOTPARALLEL:
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory --warn-undefined-variables

VENV ?= .venv
PYTHON ?=
ARGS ?=
CI ?=
# Tests at a time: they wait a lot. 0 is one after the other, in one process.
WORKERS ?= $(shell cores=$$(nproc); echo $$((cores < 5 ? cores + 1 : 6)))

# A file of tests in one process, in the order that tests/conftest.py gives them: the slowest first.
DIST := --dist loadfile --no-loadscope-reorder
# Under CI=true: up to so many tests that failed are run once more, by themselves.
AGAIN ?= 5

# The tools in the environment find the code by this, wherever the checkout was moved to.
PY := $(VENV)/bin/python
STAMPS := $(VENV)/.stamps
# Present while packages are being written: an environment that was killed in the middle of that
# cannot be trusted, and is made anew.
BUSY := $(STAMPS)/installing

hash = $(shell cat $(1) | sha256sum | cut -c1-16)
ENVIRONMENT := $(STAMPS)/environment
HEAVY := $(STAMPS)/heavy-$(call hash,requirements_heavy.txt)
BASE := $(STAMPS)/base-$(call hash,requirements_heavy.txt requirements_base.txt)
DEV := $(STAMPS)/dev-$(call hash,requirements_heavy.txt requirements_base.txt requirements_dev.txt)
PACKAGE := $(STAMPS)/package-$(shell (pwd; cat pyproject.toml services/__init__.py) | sha256sum | cut -c1-16)

ifneq ($(wildcard $(BUSY)),)
ifneq ($(shell kill -0 "$$(cat $(BUSY))" 2>/dev/null && echo alive),)
$(error Slipway is being installed here by another command; wait for it and try again)
endif
$(shell find "$(STAMPS)" -type f ! -name installing -delete)
endif
# The interpreter behind it may be gone after a system upgrade.
$(shell [ -x "$(PY)" ] || rm -rf "$(STAMPS)")

# pip's own progress bars go to a terminal only; a log gets one line for each step.
# Temporary files stay beside the environment: /tmp is often too small for the heavy libraries.
define install
mkdir -p "$(STAMPS)" "$(VENV)/tmp"
echo $$$$ > "$(BUSY)"
quiet=-q; if [ -t 1 ]; then quiet=; fi
start=$$SECONDS
# Interrupted: leave the mark, for a package may be half written.
trap 'exit 130' INT TERM
if ! TMPDIR="$$PWD/$(VENV)/tmp" "$(PY)" -m pip install --no-input --disable-pip-version-check $$quiet $(2); then
  rm -rf "$(BUSY)" "$(VENV)/tmp"
  echo "make: installing $(1) failed, see the message above; \`make setup\` tries again." >&2
  exit 1
fi
rm -rf "$(BUSY)" "$(VENV)/tmp"
touch "$@"
echo "      done in $$((SECONDS - start)) s"
endef

.PHONY: help
help: ## list these commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' Makefile

.PHONY: run
run: $(HEAVY) $(BASE) $(PACKAGE) ## install what is missing and start Slipway
	@exec "$(PY)" -m services.cli run $(ARGS)

.PHONY: test
test: setup lint ## install what is missing, check the code, run the tests (CI=true: the slow ones too)
	@echo "tests"
	if [ "$(CI)" != true ]; then
	  exec "$(PY)" -m pytest -m "not slow" -n $(WORKERS) $(DIST) $(ARGS)
	fi
	failed=0
	broken=0
	# 1: tests failed; anything above is no matter of single tests.
	note() { failed=$$1; if [ "$$1" -gt 1 ]; then broken=$$1; fi; }
	"$(PY)" -m pytest --cache-clear -m "not alone" -n $(WORKERS) $(DIST) $(ARGS) || note $$?
	echo "tests that need the machine for themselves"
	# Their files only: to read all the others once more takes a minute.
	"$(PY)" -m pytest -m alone $(or $(ARGS),$$(grep -rl --include='*.py' 'mark\.alone' tests)) || note $$?
	if [ $$broken -ne 0 ] || [ $$failed -eq 0 ]; then exit $$broken; fi
	# Of both runs: each keeps what the other left there. Nothing, where a process of tests died.
	again=$$("$(PY)" -c 'import json; print(*json.load(open(".pytest_cache/v/cache/lastfailed")), sep="\n")' 2>/dev/null || true)
	count=$$(wc -l <<< "$$again")
	# A name without `::` is a file that could not even be read.
	if [ "$$count" -gt $(AGAIN) ] || grep -qv :: <<< "$$again"; then exit $$failed; fi
	echo "==== FAILED AT FIRST: $$count, run once more, one after the other, with nothing beside ===="
	echo "$$again"
	"$(PY)" -m pytest --lf --lfnf=none $(ARGS)
	echo "==== PASSED ONLY THE SECOND TIME, and to be repaired: ===="
	echo "$$again"

.PHONY: setup
setup: $(HEAVY) $(BASE) $(PACKAGE) $(DEV) ## only install
	@echo "Slipway is installed in $(VENV)"

.PHONY: lint
lint: $(HEAVY) $(BASE) $(PACKAGE) $(DEV) ## check style and types
	@echo "style"
	"$(PY)" -m ruff check
	"$(PY)" -m ruff format --check
	echo "types"
	"$(PY)" -m mypy

.PHONY: format
format: $(HEAVY) $(BASE) $(PACKAGE) $(DEV) ## repair what can be repaired of the style
	@"$(PY)" -m ruff check --fix
	"$(PY)" -m ruff format

.PHONY: clean
clean: ## remove the environment and every cache; models and data stay
	@rm -rf "$(VENV)" .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache *.egg-info
	find services tests benchmarks monitoring -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null || true

# An environment that someone else made and that works is taken over as it is.
$(ENVIRONMENT):
	@if [ ! -e "$(BUSY)" ] && "$(PY)" -c 'import pip, sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
	  mkdir -p "$(STAMPS)"; touch "$@"; exit
	fi
	find_python() {
	  for name in $(PYTHON) python3.11 python3 python3.12 python3.13; do
	    if "$$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
	      echo "$$name"; return
	    fi
	  done
	}
	python=$$(find_python)
	if [ -z "$$python" ]; then
	  echo "make: Slipway needs Python 3.11 or newer, and found none." >&2
	  echo "      Install it (Debian, Ubuntu: apt install python3 python3-venv) or name it: make PYTHON=/path/to/python3.11" >&2
	  exit 1
	fi
	if ! "$$python" -c 'import ensurepip, venv' 2>/dev/null; then
	  echo "make: $$python comes without its venv module (Debian, Ubuntu: apt install $$(basename "$$python")-venv)." >&2
	  exit 1
	fi
	echo "Setting up Slipway in $(VENV) with $$("$$python" --version) (only the first time)"
	"$$python" -m venv --clear "$(VENV)"
	mkdir -p "$(STAMPS)"
	touch "$@"

# An order-only prerequisite: the environment's own age says nothing about what is in it.
$(HEAVY): | $(ENVIRONMENT)
	@need=9; free=$$(df -Pk . | awk 'NR == 2 { print int($$4 / 1048576) }')
	if [ "$$free" -lt "$$need" ] && [ ! -d "$(VENV)"/lib/python3*/site-packages/torch ]; then
	  echo "make: the heavy libraries need about $$need GB while they are installed (6 GB after), and only $$free GB are free here." >&2
	  exit 1
	fi
	echo "[1/3] heavy libraries: torch, torchvision, OpenCV (about 5.6 GB on disk, 1 to 5 minutes)"
	rm -f "$(STAMPS)"/heavy-*
	$(call install,the heavy libraries,-r requirements_heavy.txt)

$(BASE): $(HEAVY) | $(ENVIRONMENT)
	@echo "[2/3] the service's own libraries (about 150 MB, half a minute)"
	rm -f "$(STAMPS)"/base-*
	$(call install,the libraries,-r requirements_base.txt)

# Without build isolation: the pinned setuptools is there already, and nothing is downloaded.
$(PACKAGE): $(BASE) | $(ENVIRONMENT)
	@echo "[3/3] the slipway command"
	rm -f "$(STAMPS)"/package-*
	$(call install,the slipway command,--no-deps --no-build-isolation -e .)

$(DEV): $(PACKAGE) | $(ENVIRONMENT)
	@echo "[+]   tools for tests (about 350 MB, half a minute)"
	rm -f "$(STAMPS)"/dev-*
	$(call install,the tools for tests,-r requirements_dev.txt)
