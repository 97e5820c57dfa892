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

.PHONY: demo test pipelines bpy addon addon-bundles addon-test lint wheel bench kpi clean

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

# Blender as a module of Python, in the versions that the addon is tried with; each has wheels for Python 3.11 alone.
BPY_PYTHON ?= $(shell command -v python3.11 || echo $(PYTHON))
BPY_4.2 := bpy==4.2.23
BPY_4.5 := bpy==4.5.15
BPY_5.0 := bpy==5.0.1
BPY_VENVS := .venv-bpy-4.2 .venv-bpy-4.5 .venv-bpy-5.0

bpy: $(BPY_VENVS:=/.ready)

.venv-bpy-%/.ready:
	test -x .venv-bpy-$*/bin/python || $(BPY_PYTHON) -m venv .venv-bpy-$*
	.venv-bpy-$*/bin/python -m pip install --quiet --disable-pip-version-check '$(BPY_$*)'
	touch $@

# The zips that Blender installs. With `-bundles` also those that bring regen-vcs along: some hundred megabytes to download.
addon: $(VENV)/.ready
	$(BIN)/python packaging/addon.py

addon-bundles: $(VENV)/.ready
	$(BIN)/python packaging/addon.py --bundle all

# The addon inside every Blender there is, the one installed and the modules, and in a window.
addon-test: $(VENV)/.ready bpy
	REGEN_REQUIRE_BPY=1 REGEN_ADDON_TESTS=all $(BIN)/python -m pytest -n $(TEST_JOBS) --dist worksteal tests/addon/test_in_blender.py tests/addon/test_window.py $(PYTEST_ARGS)

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
	rm -rf $(VENV) $(PIPELINES) $(BPY_VENVS) dist build
