# Two commands for newcomers, `make demo` and `make test`; before a commit `make check`, style and types, passes too.
# Each creates .venv and installs what it needs. On a machine where PyPI's torch would bring CUDA that
# is not wanted, add the index of PyTorch's CPU wheels: make demo PIP_ARGS="--extra-index-url ..."

PYTHON ?= python3
PIP_ARGS ?=
PICTURES ?=
RESOLUTION ?= 360x480
CHECKPOINT ?= export/checkpoints/affnet-streets.safetensors

# On a GPU host `make gpu-check` wants no .venv: any Python 3.9 with NumPy, TensorRT and the CUDA bindings will do, and
# OTHER_PYTHON names a second one where torch is not beside TensorRT. The cases come from `make gpu-cases`, made elsewhere.
GPU_PYTHON ?= $(if $(wildcard .venv/bin/python),.venv/bin/python,$(PYTHON))
OTHER_PYTHON ?=
MINUTES ?= 8
CASES ?= gpu-cases
LEDGER ?= benchmarks/results/gpu-check.json
DATA ?=

BIN := .venv/bin
NATIVE := $(wildcard rtseg/native/*.cpp rtseg/native/*.h)

.PHONY: demo test gpu-cases gpu-check check lint types format clean

demo: .venv/installed
	PATH="$(CURDIR)/$(BIN):$$PATH" sh export/demo.sh "$(CHECKPOINT)" "$(RESOLUTION)" $(PICTURES)

test: .venv/installed
	$(BIN)/python -m pytest -q -n auto --dist worksteal

gpu-cases: .venv/installed
	$(BIN)/python -m benchmarks.gpu_check prepare -o "$(CASES)" $(if $(DATA),--data "$(DATA)")

gpu-check:
	$(GPU_PYTHON) -m benchmarks.gpu_check run "$(CASES)" -o "$(LEDGER)" --minutes $(MINUTES) $(addprefix --python ,$(OTHER_PYTHON))

check: lint types

lint: .venv/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: .venv/installed
	$(BIN)/mypy

format: .venv/installed
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

.venv/installed: pyproject.toml setup.py constraints.txt $(NATIVE)
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet $(PIP_ARGS) -c constraints.txt -e '.[cpu,openvino,report,rtx,dev]'
	touch $@

clean:
	rm -rf .venv build demo *.egg-info rtseg/native/*.so
