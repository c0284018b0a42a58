# Commands of the project. `make report`, `make field` and `make test` need only Python 3.11-3.13 and the package index.
# The environment is created in .venv, and again after a change of the lock.

PYTHON ?= python3
TEST_PROCESSES ?= 2
VENV := .venv
BIN := $(VENV)/bin
RUNTIME := $(VENV)/.runtime
DEV := $(VENV)/.dev

# Containers often set it. Without compiled files every process compiles all its imports again.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: report field sample test test-all faults lab lint types bench bench-live clean lock docs

report: $(RUNTIME)
	@$(BIN)/voicerace report

# The page of the clients in data/field. It installs and starts none of them.
field: $(RUNTIME)
	@$(BIN)/voicerace report --field

# The committed parts of the reports: the sample page of data/sample-run, the page of the clients with the sessions of one
# client, and the README's picture.
sample: $(RUNTIME)
	@$(BIN)/voicerace report --run data/sample-run --out reports/sample.html
	@$(BIN)/voicerace report --field --client openai-agents --out reports/sample-field.html
	@$(BIN)/python -m voicerace.report.race docs/race.svg

# The generated pages of docs/.
docs: $(RUNTIME)
	@$(BIN)/python docs/generate.py

# The tests that take minutes: unit and property tests, replays of the running proxies, the page, one live session.
test: $(DEV)
	@$(BIN)/python -m pytest -n $(TEST_PROCESSES) --dist worksteal -m "not long" --durations=5

# Also the long tests: those that only compute; then sessions on the real clock, which mostly wait, four files at a time; then
# those with tolerances of a few milliseconds or computed outcomes, which run alone on the machine.
test-all: test
	@$(BIN)/python -m pytest -n $(TEST_PROCESSES) --dist loadgroup -m "long and not real_clock" --durations=10
	@$(BIN)/python -m pytest -n 4 --dist loadfile -m "long and real_clock and not quiet" --durations=10
	@$(BIN)/python -m pytest -m quiet

# Damaged files, messages and frames: 10,000 each, fewer with `make faults INPUTS=500 CUTS=20`. Then every kept capture, cut
# at 200 places and damaged in other forms, compared with the complete one.
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

# Speed and memory; `make bench TRIALS=1000000` includes sweeps up to that size.
bench: $(DEV)
	@$(BIN)/python benchmarks/sessions.py $(TRIALS)

# The real clock: lateness of delays, and the cost of a relay. Only on an otherwise idle machine.
bench-live: $(DEV)
	@$(BIN)/python benchmarks/live.py
	@$(BIN)/python benchmarks/relay.py

# Each lock is installed once, by uv, which is locked too; pip is the fallback if uv cannot reach the index.
# The project is installed last and without dependencies, because hash mode refuses a local project.
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

# The dependencies of `make report`. The developers' lock has all of them, in the same versions.
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
