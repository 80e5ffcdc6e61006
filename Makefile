# Duckline: `make` alone lists the commands.

.DEFAULT_GOAL := help
.PHONY: help demo dev build deploy test simulate lint format lock clean

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
UV     := $(BIN)/uv pip
export PYTHONPATH := layers/audio:functions:.
export PYTHONUNBUFFERED := 1
unexport PYTHONDONTWRITEBYTECODE  # every process of the stack would compile everything anew

help:  ## list the commands
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# -- set-up ---------------------------------------------------------------------------------------
# uv, itself a wheel, installs the pinned and hashed packages about ten times as fast as pip.

$(BIN)/uv: requirements/uv.txt
	@echo "· a virtual environment in $(VENV)"
	@$(PYTHON) -c 'import sys; sys.exit("Duckline needs Python 3.11 or newer; $(PYTHON) is " + sys.version.split()[0] if sys.version_info < (3, 11) else 0)'
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --no-compile --disable-pip-version-check --require-hashes -r requirements/uv.txt
	@touch $@

$(VENV)/local: requirements/local.txt $(BIN)/uv
	@echo "· packages of the local stack"
	@$(UV) install --python $(BIN)/python --require-hashes -r $<
	@touch $@

$(VENV)/dev: requirements/dev.txt $(BIN)/uv
	@echo "· packages of the local stack and of the tests"
	@$(UV) install --python $(BIN)/python --require-hashes -r $<
	@touch $@ $(VENV)/local

# SAM pins other versions of what we pin, so it lives by itself.
$(VENV)/sam: requirements/sam.txt $(BIN)/uv
	@echo "· the AWS SAM command line"
	@$(BIN)/uv venv --quiet --python $(BIN)/python $@
	@$(UV) install --quiet --python $@/bin/python --require-hashes -r $<
	@touch $@

# The music that ships with the code is made by it, once; see local/shipped.py.
SHIPPED := layers/audio/duckline/shipped_bed/playlist.json
$(SHIPPED): $(VENV)/local local/shipped.py $(wildcard local/music/*.py)
	@echo "· composing the music that ships"
	@$(BIN)/python -m local.shipped

# -- running --------------------------------------------------------------------------------------

demo: $(SHIPPED)  ## place a simulated call over real music, speak three times, report (BED=song.mp3 for yours)
	@$(BIN)/python -m local.demo

dev: $(SHIPPED)  ## the local stack on PORT (8080) until Ctrl-C (BED=song.mp3 for your music)
	@$(BIN)/python -m local.stack

# -- AWS ------------------------------------------------------------------------------------------

ARCHITECTURE ?= arm64
SAM := SAM_CLI_TELEMETRY=0 ARCHITECTURE=$(ARCHITECTURE) $(VENV)/sam/bin/sam

build: $(VENV)/sam $(SHIPPED)  ## what AWS gets, in .aws-sam/ (ARCHITECTURE=x86_64 for the other processor)
	@$(SAM) build --parameter-overrides Architecture=$(ARCHITECTURE)

deploy: build  ## sam deploy, which asks for what it needs and shows what it will change
	@$(SAM) deploy --guided --parameter-overrides Architecture=$(ARCHITECTURE)

# -- checking -------------------------------------------------------------------------------------

test: $(VENV)/dev $(SHIPPED)  ## all tests
	@$(BIN)/python -m pytest

SEEDS ?= 1000
simulate: $(VENV)/dev  ## SEEDS=1000 calls in virtual time, with every fault, checked against the rules (SEED=7: one)
	@$(BIN)/python -m local.simulation $(if $(SEED),--seed $(SEED),--seeds $(SEEDS))

lint: $(VENV)/dev  ## ruff, the import rules, the template
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/lint-imports --no-cache
	@$(BIN)/cfn-lint template.yaml

format: $(VENV)/dev  ## let ruff lay out the code
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

lock: $(BIN)/uv  ## pin and hash what requirements/*.in ask for
	@for name in uv local dev sam; do \
	  $(UV) compile --universal --python-version 3.11 --quiet --no-header --no-annotate --generate-hashes \
	    requirements/$$name.in -o requirements/$$name.txt || exit 1; done

clean:  ## remove what the commands made
	@rm -rf $(VENV) .local out .aws-sam .pytest_cache .ruff_cache

include build.mk
