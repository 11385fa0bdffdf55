# Everything runs in ./.venv, which is made when it is first needed.
#
#   make demo        run the example site
#   make test        C units under every preset, then all Python tests
#   make help        the other targets

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory

VENV := .venv
BIN := $(VENV)/bin
PRESETS := debug asan tsan
# Where cmake and ninja are not installed, their wheels bring them.
export PATH := $(PATH):$(CURDIR)/$(BIN)

# The first interpreter that is new enough.
PYTHON ?= $(shell for python in python3 python3.13 python3.12 python3.11 python3.10; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null \
	&& echo $$python && break; done)

# Seconds for each fuzz target, and whether there is a compiler for them: clang with its
# runtime libraries.
FUZZ_SECONDS ?= 600
FUZZER := echo 'int LLVMFuzzerTestOneInput(const char *data, unsigned long size) \
	{ return 0 & size & (unsigned long)data; }' \
	| clang -fsanitize=fuzzer,address -x c - -o /dev/null 2>/dev/null

CORE := $(wildcard csrc/* csrc/python/*) setup.py pyproject.toml
C_FILES := $(wildcard csrc/*.[ch] csrc/python/*.[ch] tests/c/*.[ch] benchmarks/*.[ch])
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet

.PHONY: help demo demo-check test test-c kill-all sabotage test-py soak lint format dist clean
.PHONY: api bench bench-compare bench-servers
.PHONY: $(PRESETS:%=test-c-%) test-c-fuzz fuzz fuzz-build fuzz-test fuzz-segment fuzz-body

help: ## list the targets
	@sed -nE 's/^([a-z-]+):.*## (.*)/make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 20

demo: $(VENV)/example ## run the example site until Ctrl-C
	@exec $(BIN)/python examples/chat/demo.py

demo-check: $(VENV)/dev ## start the example site and check it end to end
	$(BIN)/python -m pytest tests/example

test: $(VENV)/dev ## everything; fails if any part fails
	@failed=0; \
	$(MAKE) test-c || failed=1; \
	$(MAKE) test-py || failed=1; \
	if [ $$failed = 1 ]; then echo 'make test: a part failed, see above'; exit 1; fi

test-c: $(PRESETS:%=test-c-%) test-c-fuzz ## the C units: debug, ASan+UBSan, TSan; fuzzing, in short

$(PRESETS:%=test-c-%): test-c-%: $(VENV)/dev
	cmake --preset $* --log-level=WARNING
	cmake --build --preset $*
	ctest --preset $* $(CTEST_ARGS)

test-c-fuzz: $(VENV)/dev
	@if $(FUZZER); then $(MAKE) fuzz-test; else \
		echo 'skipped, no clang with libFuzzer: apt-get install clang libclang-rt-dev' >&2; \
		case "$$ASHM_NO_SKIP" in '' | 0) ;; *) exit 1 ;; esac; fi

fuzz: fuzz-segment fuzz-body ## libFuzzer on segments and bodies, FUZZ_SECONDS=600 for each

fuzz-build: $(VENV)/dev
	cmake --preset fuzz --log-level=WARNING
	cmake --build --preset fuzz

# Of its own: a line that names $(MAKE) is run even by make --dry-run.
fuzz-test: fuzz-build
	ctest --preset fuzz $(CTEST_ARGS)

fuzz-segment fuzz-body: fuzz-%: fuzz-build
	@mkdir -p build/fuzz/corpus/$*
	cd build/fuzz && tests/c/fuzz_$* -max_total_time=$(FUZZ_SECONDS) -max_len=400 -timeout=60 \
		-entropic=0 -verbosity=0 -print_final_stats=1 $(FUZZ_ARGS) \
		corpus/$* ../../tests/c/seeds/$*
	@if [ $* = body ]; then $(BIN)/python -m tests.fuzz build/fuzz/corpus/body; fi

kill-all: $(VENV)/dev ## kill every operation at nearly every change, and recover in every way
	cmake --preset debug --log-level=WARNING
	cmake --build --preset debug --target kill_all

sabotage: $(VENV)/dev ## leave each safeguard out, and see which C tests notice
	tests/c/sabotage.sh $(SABOTAGE_ARGS)

test-py: $(VENV)/dev ## the Python tests, the example site's among them
	$(BIN)/python -m pytest $(PYTEST_ARGS)

# How long, in minutes, and how many kills at least; it goes on until it has both.
MINUTES ?= 60
KILLS ?= 100000

soak: $(VENV)/dev ## processes killed at random for an hour, each message counted (MINUTES=60)
	$(BIN)/python -m tests.soak --minutes $(MINUTES) --kills $(KILLS) $(SOAK_ARGS)

lint: $(VENV)/dev ## ruff, mypy, clang-format
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/clang-format --dry-run --Werror $(C_FILES)

format: $(VENV)/dev ## let the formatters have their way
	$(BIN)/ruff check --fix-only --quiet
	$(BIN)/ruff format
	$(BIN)/clang-format -i $(C_FILES)

api: $(VENV)/dev ## write docs/api.md from the docstrings
	$(BIN)/python docs/make_api.py

bench: $(VENV)/dev ## asgi_shm beside the in-memory layer and the floors, in a few minutes
	$(BIN)/python -m benchmarks --quick $(BENCH_ARGS)

bench-compare: $(VENV)/peers ## all layers that can be started here; writes the docs' figures
	$(BIN)/python -m benchmarks --compare --docs $(BENCH_ARGS)

bench-servers: ## what the other layers need of Debian; as root
	apt-get install --yes nats-server postgresql rabbitmq-server redis-server

dist: $(VENV)/dev ## sdist and wheel in dist/
	rm -rf dist
	$(BIN)/python -m build --outdir dist
	$(BIN)/python -m auditwheel show dist/*.whl

clean: ## remove everything that was made here, the venv too
	rm -rf .venv .venv-* build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis .benchmarks
	rm -rf *.egg-info asgi_shm/*.so
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# The venv, in steps that each stand for what is installed so far.

$(VENV)/made:
	@if [ -z '$(PYTHON)' ]; then \
		echo 'asgi_shm needs Python 3.10 or later; name one: make PYTHON=/path/to/python3' >&2; \
		exit 1; \
	fi
	rm -rf $(VENV)
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); \
		echo 'Debian has venv in a package of its own: apt-get install python3-venv' >&2; \
		exit 1; }
	$(PIP) install 'cffi>=1.17' 'setuptools>=77' 'pip>=24'
	touch $@

# Editable: the native module is built into asgi_shm/.
$(VENV)/built: $(VENV)/made $(CORE)
	@$(BIN)/python -c 'import os, sysconfig as s, sys; \
		sys.exit(not os.path.exists(s.get_path("include") + "/Python.h"))' || { \
		echo 'No Python.h: apt-get install python3-dev' >&2; exit 1; }
	$(PIP) install --no-build-isolation --editable .
	touch $@

$(VENV)/example: $(VENV)/built examples/chat/requirements.txt
	$(PIP) install -r examples/chat/requirements.txt
	touch $@

$(VENV)/peers: $(VENV)/dev benchmarks/peers.txt
	$(PIP) install -r benchmarks/peers.txt
	touch $@

$(VENV)/dev: $(VENV)/built $(VENV)/example pyproject.toml
	$(PIP) install --no-build-isolation --editable '.[dev]'
	@command -v cmake >/dev/null || $(PIP) install 'cmake>=3.21'
	@command -v ninja >/dev/null || $(PIP) install ninja
	touch $@
