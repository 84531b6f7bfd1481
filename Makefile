# ganops: `make help` lists the targets.
PYTHON ?= python3
VENV := .venv
NEXT := .venv-next
COMPILE := uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header
export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)
# `make setup TORCH=cpu` leaves CUDA's 4 GB out. PyTorch builds such wheels for an index of its own, whose address its page
# "Get Started" names for pip and CPU: TORCH_INDEX=https://...; without it the indexes that pip asks must have them. They
# are pinned by version alone: requirements.lock has no hashes of theirs
TORCH ?=
TORCH_INDEX ?=
CUDA := torch|torchvision|triton|cuda-[^=]*|nvidia-[^=]*
PAIR = $(shell sed -nE 's/^((torch|torchvision)==[0-9.]+).*/\1+cpu/p' requirements.lock)
# not compiled: Python compiles what it imports, which is a quarter of it, where pip would take two minutes for all; pip
# does where Python is told to write nothing, and would compile again whenever it starts
PIP := pip install --quiet --disable-pip-version-check $(if $(PYTHONDONTWRITEBYTECODE),,--no-compile)
# nothing reports home unless its user says so
export DVC_NO_ANALYTICS ?= 1
export RAY_USAGE_STATS_ENABLED ?= 0
export MLFLOW_DISABLE_TELEMETRY ?= true
# tests start hundreds of processes, which are twice as slow where each compiles what it imports
unexport PYTHONDONTWRITEBYTECODE

# an environment holds its own absolute path, so that of a project that was moved or copied is made anew
ELSEWHERE := $(shell grep -qsF -e '$(CURDIR)/$(VENV)' -e '$(realpath $(VENV))' $(VENV)/bin/activate || echo --clear)

.DEFAULT_GOAL := help
.PHONY: help setup repro check test test-slow test-next golden fuzz chaos gpu site notebooks ui format lock pin audit clean $(if $(ELSEWHERE),$(VENV)/.ready)

help:  ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):[^#]*## */\1\t/' | expand -t 12

setup: $(VENV)/.ready  ## make .venv with the pinned and hashed dependencies; TORCH=cpu: without CUDA

$(VENV)/.ready: requirements.lock pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14) and "Python 3.11, 3.12 or 3.13 is needed, this is " + sys.version)'
	$(PYTHON) -m venv $(ELSEWHERE) $(VENV)
ifeq ($(TORCH),cpu)
	$(PIP) --no-deps $(TORCH_INDEX:%=--index-url %) $(PAIR) || \
		{ echo "no index that pip asks has $(PAIR): TORCH_INDEX=https://... names another one" >&2; exit 1; }
	awk '/^[a-z]/ {kept = !/^($(CUDA))==/} kept' requirements.lock | $(PIP) --no-deps --require-hashes -r /dev/stdin
else
	$(PIP) --require-hashes -r requirements.lock
endif
	$(PIP) --no-deps --no-build-isolation --editable .
	@touch $@

repro: setup  ## run the pipeline: from the data set to the champion
	@ganops check --quick
	@dvc repro

check: setup  ## lint and types
	ruff check .
	ruff format --check .
	mypy

test: setup check  ## lint, types and all tests that end within minutes
	OMP_NUM_THREADS=1 pytest --durations=25 -n 2 --dist loadfile --no-loadscope-reorder -m "not slow and not chaos and not engines"
	pytest --durations=25 -n 2 --dist loadgroup --no-loadscope-reorder -m "not slow and not chaos and engines"

test-slow: setup  ## the tests that take longer
	pytest -m slow

test-next: setup  ## the tests of Ray with the newest Ray there is, in .venv-next: may fail, its result is printed
	uv venv --quiet --clear --python $(VENV)/bin/python $(NEXT)
	awk '/^[^ ]/ {kept = !/^ray[-[=]/} kept' requirements.lock > $(NEXT)/lock.txt
	echo 'ray[default,serve,train,tune]' > $(NEXT)/ray.txt
	uv pip install --quiet --python $(NEXT)/bin/python -c $(NEXT)/lock.txt --override $(NEXT)/ray.txt --group dev --all-extras -r pyproject.toml
	uv pip install --quiet --python $(NEXT)/bin/python --no-deps --no-build-isolation --editable .
	@export PATH=$(CURDIR)/$(NEXT)/bin:$$PATH; pytest -m "not slow and not chaos" tests/distributed tests/cluster && told=pass || told=FAIL; \
	echo "the tests of Ray with $$(ray --version): $$told"

golden: setup  ## measure the golden values anew, say what moved, write them
	python tests/golden/golden.py

fuzz: setup  ## ten minutes of foreign bytes at every door; SEED=N draws others
	python tests/fuzz/fuzz.py --seed $(or $(SEED),0)

chaos: setup  ## trainings on a cluster of two hosts under faults at random moments: half an hour, needs root
	pytest -m chaos -s

gpu: setup  ## what only a real GPU can say: parity, bits, speed, graphs; 8 minutes, into gpu.json
	python benchmarks/gpu.py gpu.json

site: setup  ## the documentation as pages, in site/
	@NO_MKDOCS_2_WARNING=1 mkdocs build --strict --config-file infra/site/mkdocs.yml
	@echo site/index.html

notebooks: setup  ## run the example notebooks and keep what they show
	python infra/site/notebooks.py

ui: setup  ## browse runs and models at http://127.0.0.1:5000
	ganops ui

format: setup  ## format the code
	ruff format .
	ruff check --fix .

lock: setup  ## pin and hash the dependencies again
	$(COMPILE) --all-extras --group dev pyproject.toml -o requirements.lock
	$(COMPILE) -c requirements.lock infra/images/cluster.in -o infra/images/cluster.lock
	$(COMPILE) -c requirements.lock infra/mlflow/server.in -o infra/mlflow/server.lock

pin: setup  ## the digests of the images that infra/ names, as their registries have them now: needs docker
	python infra/pin.py

audit: setup  ## known holes of what the locks install, those of infra/ as well: asks api.osv.dev
	pip-audit --disable-pip --no-deps --vulnerability-service osv $(addprefix -r ,requirements.lock $(wildcard infra/*/*.lock))

clean:  ## remove the environment and unfinished runs, but no data, artefact or model
	rm -rf $(VENV) $(NEXT) .ganops .mypy_cache .pytest_cache .ruff_cache
