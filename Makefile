# make demo: the whole way on drawn pictures, in minutes.   make test: every test.
# Each makes its own virtual environment in .venv if there is none.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
export TF_CPP_MIN_LOG_LEVEL ?= 3

.PHONY: help demo test lint types format
.DEFAULT_GOAL := help

help:
	@sed -n '1,2s/^# //p' Makefile

# The stamps are made anew when what they install changes.
$(VENV)/.installed: setup.cfg pyproject.toml
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || { echo "No virtual environment could be made. On Debian: apt-get install python3-venv"; exit 2; }
	$(BIN)/pip install --quiet --disable-pip-version-check -e ".[lite]"
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
