# Everything runs from a fresh clone with Python 3.11 or newer, make and the package index. The .venv folder is made here.
# To choose an interpreter: make run PYTHON=python3.12

PYTHON ?= $(shell for name in python3 python3.14 python3.13 python3.12 python3.11 python; do \
	$$name -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$name && break; done)
VENV := .venv
BIN := $(VENV)/bin
RUNTIME := $(VENV)/.runtime-installed
DEVELOPMENT := $(VENV)/.development-installed
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet --require-hashes
# Commands that only look need settings of their own, so that they never touch the data of `make run`.
APART := ENVIRONMENT=test DATA_DIR=var/check
TEST_FLAGS ?=
# Compiled modules are kept, whatever the shell says: each part of the product is a start of Python, and compiles a third longer.
export PYTHONDONTWRITEBYTECODE :=

.DEFAULT_GOAL := help
.PHONY: help run test check chaos machine bench mutate lock clean format screenshot

help:
	@echo "make run | test | check | chaos | machine | bench | mutate | format | lock | clean"

run: $(RUNTIME)
	@exec $(BIN)/python manage.py up --end-with-parent

# More processes than cores, since many tests wait: for a page, an answer that does not come, a part that starts. What judges
# times runs first, beside tests that step back for it; then what starts the product and judges none.
PROCESS_TESTS := tests/processes tests/chaos tests/instances/novita/simulator
test: $(DEVELOPMENT)
	@mkdir -p var && rm -f var/tests-left-out.txt
	@status=0; \
	$(BIN)/python -m pytest -p tests.environment -n 4 --dist loadgroup -m "alone or not process" $(TEST_FLAGS) || status=1; \
	$(BIN)/python -m pytest -p tests.environment -n 5 --dist loadgroup -m "process and not alone" $(PROCESS_TESTS) $(TEST_FLAGS) || status=1; \
	$(BIN)/python -m tests.left_out; \
	exit $$status

check: $(DEVELOPMENT)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy .
	$(BIN)/lint-imports
	$(APART) $(BIN)/python manage.py makemigrations --check --dry-run
	$(BIN)/python -m scripts.deploy_check
	$(BIN)/python -m scripts.secret_scan
	$(BIN)/python -m scripts.module_length
	$(BIN)/python -m scripts.openapi --check
	$(BIN)/python -m scripts.errors --check
	$(BIN)/hadolint Dockerfile
	$(BIN)/check-jsonschema --builtin-schema vendor.compose-spec docker-compose.yml

# Minutes of killing; `make test` holds the short form.
chaos: $(DEVELOPMENT)
	@$(BIN)/python -m tests.chaos --into docs/chaos.md

# Ten thousand steps of what people, rules, Novita and power cuts may do, in any order; `make test` holds two thousand.
machine: $(DEVELOPMENT)
	@MACHINE_STEPS=$${MACHINE_STEPS:-10000} $(BIN)/python -m pytest -p tests.environment tests/machine $(TEST_FLAGS)

bench: $(DEVELOPMENT)
	@$(BIN)/python -m benchmarks

# Each small change to the decisions of auto-stop must make a test fail; prints the share that does.
mutate: $(DEVELOPMENT)
	@$(BIN)/python -m scripts.mutate

format: $(DEVELOPMENT)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

ifneq ($(wildcard scripts/screenshot.py),)
screenshot: $(DEVELOPMENT)
	$(BIN)/python -m scripts.screenshot
endif

LOCK := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links
lock: $(DEVELOPMENT)
	$(LOCK) pyproject.toml -o requirements/runtime.lock
	$(LOCK) pyproject.toml --group dev -c requirements/runtime.lock -o requirements/development.lock

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache test-results static-collected var/check
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(BIN)/python:
	@$(or $(PYTHON),python3) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("novita-manager needs Python 3.11 or newer, this is " + sys.version.split()[0] + ": name one with make PYTHON=/path/to/python")'
	@$(or $(PYTHON),python3) -m venv $(VENV) || { rm -rf $(VENV); exit 1; }

$(RUNTIME): requirements/runtime.lock | $(BIN)/python
	$(PIP) -r requirements/runtime.lock
	@touch $@

# Holds all that the runtime lock holds, in the same versions.
$(DEVELOPMENT): requirements/development.lock | $(BIN)/python
	$(PIP) -r requirements/development.lock
	@touch $@ $(RUNTIME)
