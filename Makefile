PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: help run setup test faults bench docs lock clean

help:  ## This list
	@sed -n 's/^\([a-z]*\):.*  ## \(.*\)/make \1\t\2/p' Makefile

run: setup  ## Migrate and serve, embedded unless the environment says otherwise
	$(BIN)/python run.py serve

setup: $(VENV)/ready  ## A .venv with the locked dependencies; PYTHON=… chooses which Python

test: setup  ## Lint, types, imports, and the whole suite on whatever answers here
	BIN=$(BIN) sh tests/run.sh

faults: setup  ## Half an hour of faults on a deployment of its own; FAULTS="--minutes 5 --seed …"
	$(BIN)/python -m tests.faults $(FAULTS)

bench: setup  ## Ours and Node's, side by side; BENCH="--rounds 3 --peers emotrack node"
	cd benchmarks/node && npm ci --ignore-scripts --no-audit --no-fund >&2
	$(BIN)/python -m benchmarks $(BENCH)

docs: setup  ## Write the contract documents, .env.example and the README's table of settings
	$(BIN)/python run.py docs

lock:  ## Lock the dependencies of pyproject.toml anew (needs uv)
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
		--no-header pyproject.toml --group dev -o requirements.txt

clean:  ## Remove what was made here, except var/
	rm -rf $(VENV) tests/node/node_modules benchmarks/node/node_modules .hypothesis .import_linter_cache .mypy_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/ready: requirements.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python >= 3.11 is needed: make PYTHON=…")'
	$(PYTHON) -m venv --clear $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-compile -r requirements.txt
	touch $@
