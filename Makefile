# `make demo` and `make test` are all a newcomer needs: each sets up .venv by itself.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Most tests wait for git and for other processes: twice as many as processors keep these busy.
TEST_JOBS ?= $(shell $(PYTHON) -c 'import os; print(2 * (os.cpu_count() or 1))')

# Tests with a real pipeline have an environment of their own: PyTorch is larger than all the rest. One release that is known
# to come as a build for processors; elsewhere set TORCH as pytorch.org says for your machine.
PIPELINES := .venv-pipelines
TORCH ?= torch==2.13.0

.PHONY: demo test pipelines lint wheel bench clean

$(VENV)/.ready: pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit("regen-vcs needs Python 3.11 or newer") if sys.version_info < (3, 11) else None'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev]'
	touch $@

demo: $(VENV)/.ready
	$(BIN)/python examples/demo/demo.py

test: $(VENV)/.ready
	$(BIN)/python -m pytest -n $(TEST_JOBS) --dist worksteal $(PYTEST_ARGS)

$(PIPELINES)/.ready: pyproject.toml
	test -x $(PIPELINES)/bin/python || $(PYTHON) -m venv $(PIPELINES)
	$(PIPELINES)/bin/python -m pip install --quiet --disable-pip-version-check '$(TORCH)'
	$(PIPELINES)/bin/python -m pip install --quiet --disable-pip-version-check -e '.[dev,diffusers,video]'
	touch $@

pipelines: $(PIPELINES)/.ready
	$(PIPELINES)/bin/python -m pytest tests/diffusers $(PYTEST_ARGS)

lint: $(VENV)/.ready
	$(BIN)/ruff check .

wheel: $(VENV)/.ready
	$(BIN)/python -m pip wheel --quiet --no-deps --wheel-dir dist .

bench: $(VENV)/.ready
	$(BIN)/python benchmarks/run.py $(BENCH_ARGS)

# The figures that the requirements ask for, on a film of a thousand images: some minutes.
kpi: $(VENV)/.ready
	$(BIN)/python benchmarks/kpi.py $(KPI_ARGS)

clean:
	rm -rf $(VENV) $(PIPELINES) dist build
