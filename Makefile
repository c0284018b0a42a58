# The commands of the project. `make report` and `make test` need nothing but Python 3.11-3.13 and the
# package index; the environment is made once, in .venv, and made again only when the lock changes.

PYTHON ?= python3
TEST_PROCESSES ?= 2
VENV := .venv
BIN := $(VENV)/bin
RUNTIME := $(VENV)/.runtime
DEV := $(VENV)/.dev

# Containers often set it. Without compiled files every process compiles all that it imports again.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: report sample test test-all faults lab lint types bench bench-live clean lock docs

report: $(RUNTIME)
	@$(BIN)/voicerace report

# What is committed of the report: the sample page of data/sample-run, and the README's picture.
sample: $(RUNTIME)
	@$(BIN)/voicerace report --run data/sample-run --out reports/sample.html
	@$(BIN)/python -m voicerace.report.race docs/race.svg

# The pages of docs/ that are made from tables.
docs: $(RUNTIME)
	@$(BIN)/python docs/generate.py

# The proof that a stranger wants, in minutes: unit and property tests, replays of the running proxies, the page, one live session.
test: $(DEV)
	@$(BIN)/python -m pytest -n $(TEST_PROCESSES) --dist worksteal -m "not long" --durations=5

# And the long ones: what only computes; then sessions on the real clock, which mostly wait, four files at a time; then those
# of them that allow few milliseconds or must come out as computed, alone on the machine.
test-all: test
	@$(BIN)/python -m pytest -n $(TEST_PROCESSES) --dist loadgroup -m "long and not real_clock" --durations=10
	@$(BIN)/python -m pytest -n 4 --dist loadfile -m "long and real_clock and not quiet" --durations=10
	@$(BIN)/python -m pytest -m quiet

# Damaged files, messages and frames: 10,000 each; `make faults INPUTS=500 CUTS=20` takes fewer. Then every kept capture, cut
# at 200 places and damaged otherwise, held against the whole one.
faults: $(DEV)
	@$(BIN)/python -m tests.faults --inputs $(or $(INPUTS),10000)
	@$(BIN)/python -m tests.faults.damage --cuts $(or $(CUTS),200)

lab: $(DEV)
	@$(BIN)/jupyter lab notebooks

lint: $(DEV)
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/lint-imports

types: $(DEV)
	@$(BIN)/mypy

# How fast, and what it costs; `make bench TRIALS=1000000` goes on to sweeps of that size.
bench: $(DEV)
	@$(BIN)/python benchmarks/sessions.py $(TRIALS)

# The real clock: how late delays end, and what a relay costs. Only on a machine that does nothing else.
bench-live: $(DEV)
	@$(BIN)/python benchmarks/live.py
	@$(BIN)/python benchmarks/relay.py

# Each lock is installed once. uv, itself locked, installs it; pip is the fallback where uv cannot reach the index.
# The project goes in last and without dependencies: hash mode refuses a local project.
$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(0 if (3, 11) <= sys.version_info[:2] <= (3, 13) else "voicerace: error: PYTHON is %d.%d; allowed are 3.11, 3.12 and 3.13" % sys.version_info[:2])'
	@$(PYTHON) -m venv $(VENV)

define install
@$(BIN)/python -m pip install $(QUIET) --require-hashes -r requirements/installer.lock || true
@$(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes -r requirements/$(1).lock \
  || $(BIN)/python -m pip install $(QUIET) --require-hashes -r requirements/$(1).lock
@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --editable . \
  || $(BIN)/python -m pip install $(QUIET) --no-deps --editable .
endef
QUIET := --quiet --disable-pip-version-check

# What `make report` needs. The developers' lock holds all of it, in the same versions.
$(RUNTIME): requirements/runtime.lock pyproject.toml | $(BIN)/python
	$(call install,runtime)
	@touch $@

$(DEV): requirements/dev.lock pyproject.toml | $(BIN)/python
	$(call install,dev)
	@touch $(RUNTIME) $@

# One set of locks for 3.11-3.13, with hashes and without addresses. Needs uv on the PATH.
COMPILE := uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --no-annotate --quiet
lock:
	$(COMPILE) pyproject.toml -o requirements/runtime.lock
	$(COMPILE) pyproject.toml --extra dev -c requirements/runtime.lock --no-emit-package voicerace -o requirements/dev.lock
	echo uv | $(COMPILE) - -o requirements/installer.lock

clean:
	rm -rf $(VENV) build dist runs .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
