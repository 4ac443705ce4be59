PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: run test setup lock lint docs clean

run: setup  ## Migrate and serve, embedded unless the environment says otherwise
	$(BIN)/python run.py serve

setup: $(VENV)/ready

$(VENV)/ready: requirements.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.txt
	touch $@

test: setup  ## Lint, types, imports, and the whole suite on whatever answers here
	BIN=$(BIN) sh tests/run.sh
