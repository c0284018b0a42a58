# The commands of the project. `make report` and `make test` need nothing but Python 3.11-3.13 and the
# package index; the environment is made once, in .venv, and made again only when the lock changes.

PYTHON ?= python3
TEST_PROCESSES ?= 2
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: report sample test faults lab lint types bench bench-live clean lock

report: $(STAMP)
	@$(BIN)/voicerace report

# What is committed of the report: the sample page of data/sample-run, and the README's picture.
sample: $(STAMP)
	@$(BIN)/voicerace report --run data/sample-run --out reports/sample.html
	@$(BIN)/python -m voicerace.report.race docs/race.svg

# First what only computes, in two processes, a file in one of them because its fixtures are made once; then what keeps the real clock, alone on the machine.
test: $(STAMP)
	@$(BIN)/python -m pytest -n $(TEST_PROCESSES) --dist loadfile -m "not real_clock"
	@$(BIN)/python -m pytest -m real_clock

# Damaged files, messages and frames: 10,000 each; `make faults INPUTS=500 CUTS=20` takes fewer. Then every kept capture, cut
# at 200 places and damaged otherwise, held against the whole one.
faults: $(STAMP)
	@$(BIN)/python -m tests.faults --inputs $(or $(INPUTS),10000)
	@$(BIN)/python -m tests.faults.damage --cuts $(or $(CUTS),200)

lab: $(STAMP)
	@$(BIN)/jupyter lab notebooks

lint: $(STAMP)
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/lint-imports

types: $(STAMP)
	@$(BIN)/mypy

# How fast, and what it costs; `make bench TRIALS=1000000` goes on to sweeps of that size.
bench: $(STAMP)
	@$(BIN)/python benchmarks/sessions.py $(TRIALS)

# The real clock: how late delays end, and what a relay costs. Only on a machine that does nothing else.
bench-live: $(STAMP)
	@$(BIN)/python benchmarks/live.py
	@$(BIN)/python benchmarks/relay.py

# The project itself goes in last and without dependencies: hash mode refuses a local project.
$(STAMP): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(0 if (3, 11) <= sys.version_info[:2] <= (3, 13) else "voicerace: error: PYTHON is %d.%d; allowed are 3.11, 3.12 and 3.13" % sys.version_info[:2])'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	@touch $(STAMP)

# One lock for 3.11-3.13, with hashes and without addresses. Needs uv on the PATH.
lock:
	uv pip compile pyproject.toml --all-extras --universal --python-version 3.11 \
	  --generate-hashes --no-emit-index-url --no-header --quiet -o requirements.lock

clean:
	rm -rf $(VENV) build dist runs .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
