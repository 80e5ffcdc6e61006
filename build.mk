# What `sam build` runs: a target for every `BuildMethod: makefile` in template.yaml, with ARTIFACTS_DIR set by SAM.
#
# No Docker, and any Python on the host: uv resolves wheels for Lambda's Python and processor. Versions and hashes are
# those of requirements/local.txt, so what runs on AWS is what the tests ran. The bed that a first call hears lies in
# duckline/shipped_bed and comes along; a bare `sam build` makes it first, as everything here does.

.PHONY: build-VoiceFunction build-RenderFunction build-StreamFunction build-AudioLayer

ARCHITECTURE ?= arm64
LAMBDA_PYTHON ?= 3.13
# Amazon Linux 2023 has glibc 2.34. Wheels for 2.28 are what numpy and soxr publish.
PLATFORM_arm64  := aarch64-manylinux_2_28
PLATFORM_x86_64 := x86_64-manylinux_2_28

# In the managed runtime already: what boto3 brings. Of Twilio's library voice needs the TwiML and the signature, and
# not the REST client with what that one requires.
RUNTIME_HAS := boto3 botocore s3transfer jmespath python-dateutil six urllib3
REST_CLIENT := aiohttp aiohttp-retry pyjwt requests

# $(call install,requirements of,into,packages left out)
define install
	@test -n "$(ARTIFACTS_DIR)" || { echo "ARTIFACTS_DIR is not set: run make build (sam build), which sets it" >&2; exit 2; }
	@test -n "$(PLATFORM_$(ARCHITECTURE))" || { echo "ARCHITECTURE is $(ARCHITECTURE): arm64 or x86_64 would be right" >&2; exit 2; }
	@printf '%s\n' $(3) | $(BIN)/uv pip install --quiet --python $(BIN)/python --target "$(2)" \
	  --python-platform $(PLATFORM_$(ARCHITECTURE)) --python-version $(LAMBDA_PYTHON) --only-binary :all: \
	  --require-hashes --requirement requirements/$(1).in --constraint requirements/local.txt --excludes /dev/stdin
	@rm -rf "$(2)/bin" "$(2)/.lock"
endef

# $(call copy,packages,into): our own code, without what a run of it left behind
define copy
	@cp -R $(1) "$(2)"
	@find "$(2)" -name __pycache__ -prune -exec rm -rf {} +
endef

build-VoiceFunction: $(BIN)/uv $(SHIPPED)
	$(call install,voice,$(ARTIFACTS_DIR),$(RUNTIME_HAS) $(REST_CLIENT))
	@rm -rf "$(ARTIFACTS_DIR)/twilio/rest"
	$(call copy,functions/voice layers/audio/duckline,$(ARTIFACTS_DIR))

build-StreamFunction: $(BIN)/uv $(SHIPPED)
	$(call install,stream,$(ARTIFACTS_DIR),$(RUNTIME_HAS))
	$(call copy,functions/stream layers/audio/duckline,$(ARTIFACTS_DIR))

build-RenderFunction:
	$(call copy,functions/render,$(ARTIFACTS_DIR))

build-AudioLayer: $(BIN)/uv $(SHIPPED)
	$(call install,render,$(ARTIFACTS_DIR)/python,$(RUNTIME_HAS))
	$(call copy,layers/audio/duckline,$(ARTIFACTS_DIR)/python)
