# make demo: the whole way on drawn pictures, in minutes.   make test: every test.
# Each makes its own virtual environment in .venv if there is none.
# make wheelhouse: all that an installation needs, for a machine without a network.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
export TF_CPP_MIN_LOG_LEVEL ?= 3

.PHONY: help demo test lint types format lock wheelhouse package audit lowest
.DEFAULT_GOAL := help

help:
	@sed -n '1,3s/^# //p' Makefile

# The stamps are made anew when what they install changes. pip checks each file against the lock's hash.
$(VENV)/.installed: setup.cfg pyproject.toml requirements.lock
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || { echo "No virtual environment could be made. On Debian: apt-get install python3-venv"; exit 2; }
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps -e .
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	$(BIN)/pip install --quiet --disable-pip-version-check -e ".[lite,kaggle,dev]"
	@touch $@

demo: $(VENV)/.installed
	$(BIN)/python -m ajl_tf.draw data/drawn
	$(BIN)/python -m ajl_tf.train experiments/demo.toml --data data/drawn

test: $(VENV)/.installed-dev
	$(BIN)/python -m pytest --numprocesses auto --dist loadfile

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.installed-dev
	$(BIN)/mypy

format: $(VENV)/.installed-dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# What follows needs uv, and an environment of its own.
$(VENV)-tools/.installed:
	$(PYTHON) -m venv $(VENV)-tools
	$(VENV)-tools/bin/pip install --quiet --disable-pip-version-check "uv >= 0.9, < 1" "pip-audit >= 2.9, < 3" "build >= 1.3, < 2"
	@touch $@
TOOLS := $(VENV)-tools/bin

# Exact versions, so that an installation is the same tomorrow.
lock: $(VENV)-tools/.installed
	$(TOOLS)/uv pip compile setup.cfg --quiet --extra lite --universal --python-version 3.11 \
	  --generate-hashes --no-emit-index-url --custom-compile-command "make lock" --output-file requirements.lock

# Wheels fit the machine and Python that fetch them.
wheelhouse: $(VENV)-tools/.installed
	$(TOOLS)/python -m pip download --quiet --disable-pip-version-check --require-hashes -r requirements.lock --dest wheelhouse
	$(TOOLS)/python -m build --outdir wheelhouse --wheel .
	cp requirements.lock wheelhouse/
	mkdir -p wheelhouse/experiments && cp experiments/*.toml wheelhouse/experiments/

# Builds sdist and wheel, and uses what each installs, in an environment of its own, where this folder is not seen.
package: $(VENV)-tools/.installed
	rm -rf dist
	$(TOOLS)/python -m build --outdir dist .
	set -e; for file in "$(CURDIR)"/dist/*; do \
	  echo "$$file"; place=$$(mktemp -d); trap "rm -rf $$place" EXIT; \
	  $(PYTHON) -m venv "$$place/installed"; cd "$$place"; unset PYTHONPATH; \
	  installed/bin/pip install --quiet --disable-pip-version-check "$$file"; \
	  installed/bin/python -m ajl_tf; \
	  installed/bin/python -m ajl_tf.draw drawn --images 100 --size 64; \
	  installed/bin/python -m ajl_tf.explore drawn --out explored; \
	  cd "$(CURDIR)"; rm -rf "$$place"; \
	done

audit: $(VENV)-tools/.installed
	$(TOOLS)/pip-audit --disable-pip --require-hashes -r requirements.lock

# Every test with the lowest versions that setup.cfg admits.
lowest: $(VENV)-tools/.installed
	$(TOOLS)/uv venv --quiet --clear --python $(PYTHON) $(VENV)-lowest
	$(TOOLS)/uv pip compile setup.cfg --quiet --extra lite --extra dev --resolution lowest-direct --output-file $(VENV)-lowest/requirements.txt
	$(TOOLS)/uv pip install --quiet --python $(VENV)-lowest -r $(VENV)-lowest/requirements.txt
	$(TOOLS)/uv pip install --quiet --python $(VENV)-lowest --no-deps --editable .
	$(VENV)-lowest/bin/python -m pytest --numprocesses auto --dist loadfile
