# From a fresh clone, with Python 3.11+ and make: make demo, make test. CONTRIBUTING.md says more.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install -c constraints.txt

.PHONY: demo test check format bench peers clean

demo: $(VENV)/.runtime
	$(BIN)/neurosim demo

test: $(VENV)/.dev
	$(BIN)/python -m pytest -n auto --maxprocesses 4

check: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo
	$(MAKE) --no-print-directory test

format: $(VENV)/.dev
	$(BIN)/ruff check --fix-only .
	$(BIN)/ruff format .

bench: $(VENV)/.runtime
	@test -n '$(and $(NAME),$(wildcard benchmarks/*/$(NAME).py))' || { echo 'make bench NAME=..., one of:' \
	  $(basename $(notdir $(wildcard benchmarks/*/*.py))) >&2; exit 2; }
	$(BIN)/python benchmarks/*/'$(NAME).py' $(DATA)

# The extra `peers` without torchvision and torchaudio, which would bring a CUDA build of torch, and without cairo.
peers: $(VENV)/.runtime
	$(PIP) --no-deps norse spikingjelly nir nirtorch loguru badcrossbar pathvalidate sigfig

# Numba's cache does not see an edit in a function of another file that a kernel calls.
clean:
	rm -rf build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache
	find neurosim tests benchmarks -name __pycache__ -prune -exec rm -rf {} +

$(VENV)/.runtime: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; v >= (3, 11) or sys.exit("neurosim needs Python 3.11 or newer, \
	this is %d.%d: say make PYTHON=/path/to/a/newer/python" % v)'
	$(PYTHON) -m venv $(VENV)
	$(PIP) -e '.[speech]'
	touch $@

$(VENV)/.dev: $(VENV)/.runtime
	$(PIP) -e '.[dev,esn,export,quantum,speech,study]'
	touch $@
