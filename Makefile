# The targets that docs and CI rely on. The virtual environment is .venv; the command is .venv/bin/regatta.
#   TORCH_REQUIREMENTS=   (empty) keeps a torch of your own, such as a CUDA build: make setup TORCH_REQUIREMENTS=

PYTHON ?= python3
TORCH_REQUIREMENTS ?= requirements/cpu.txt
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.regatta-setup
AS_ROOT := $(if $(filter 0,$(shell id -u)),,sudo -n)
INSTALL_BWRAP := DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends bubblewrap
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check

.PHONY: setup demo test lint bench clean

setup: $(STAMP)

# bubblewrap is what candidates run in; where it cannot be installed from here, `regatta doctor` says what to type.
# torch first and by exact version: an open range would fetch gigabytes of CUDA where there is no GPU.
$(STAMP): pyproject.toml $(wildcard requirements/*.txt)
	@echo "setting up $(VENV): a few minutes, once"
	@command -v bwrap >/dev/null || $(AS_ROOT) sh -c '$(INSTALL_BWRAP) || { apt-get update && $(INSTALL_BWRAP); }' >/dev/null 2>&1 \
		|| echo "bubblewrap is missing: install it with your package manager (apt-get install bubblewrap)"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@test -z "$(TORCH_REQUIREMENTS)" || $(PIP) -r $(TORCH_REQUIREMENTS)
	@$(PIP) --editable '.[dev]'
	@touch $(STAMP)

demo: setup
	@$(BIN)/regatta prepare nanotrain
	@rm -rf runs/demo
	$(BIN)/regatta run configs/laptop.yaml --run-dir runs/demo

test: setup
	$(BIN)/python -m pytest --numprocesses=2 --dist=loadgroup --no-loadscope-reorder

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: setup
	$(BIN)/python benchmarks/trial_gap.py
	$(BIN)/python benchmarks/journal.py
	$(BIN)/python benchmarks/notebook.py
	$(BIN)/python benchmarks/kill_resume.py
	$(BIN)/python benchmarks/sandbox.py
	$(BIN)/python benchmarks/audits.py
	$(BIN)/python benchmarks/proposals.py
	$(BIN)/python benchmarks/kernel_gates.py
	$(BIN)/python benchmarks/gates_ahead.py
	$(BIN)/python benchmarks/kernels_cpu.py

clean:
	rm -rf $(VENV) runs build dist
