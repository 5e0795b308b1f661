# Everything a person or a machine does with this repository. `make` alone explains itself.

SHELL       := bash
.SHELLFLAGS := -euo pipefail -c
MAKEFLAGS   += --no-print-directory
.DEFAULT_GOAL := help

GO           ?= go
PYTHON       ?= python3
VERSION      ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo devel)
GOTEST_TIMEOUT ?= 15m
BENCH        ?= .
BENCHTIME    ?= 1s
FUZZTIME     ?= 20s
SIM_SEEDS    ?= 2000
SIM_FROM     ?= 1
PKG          ?= ./...

STATICCHECK := $(GO) tool -modfile=tools/go.mod staticcheck
LDFLAGS     := -s -w -X github.com/continuo-rt/continuo/internal/ops/cli.version=$(VERSION)

# The version comes from the linker flag above, so no build needs to ask git (which may refuse a foreign checkout).
export GOFLAGS += -buildvcs=false
export GO PYTHON GOTEST_TIMEOUT BENCH BENCHTIME FUZZTIME PKG

.PHONY: help
help: ## show this help
	@echo "Continuo $(VERSION). Targets:"
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo "Variables: PKG=./internal/core/... BENCH=regexp BENCHTIME=$(BENCHTIME) FUZZTIME=$(FUZZTIME) SIM_SEEDS=$(SIM_SEEDS) SIM_FROM=$(SIM_FROM) GOTEST_TIMEOUT=$(GOTEST_TIMEOUT)"

.PHONY: build
build: ## build the static binary bin/continuo
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '$(LDFLAGS)' -o bin/continuo ./cmd/continuo

PLATFORMS := linux/amd64 linux/arm64 darwin/amd64 darwin/arm64

.PHONY: release
release: ## build the static binaries of a release into dist/, with their checksums
	rm -rf dist && mkdir -p dist
	for p in $(PLATFORMS); do \
	  CGO_ENABLED=0 GOOS=$${p%/*} GOARCH=$${p#*/} $(GO) build -trimpath -ldflags '$(LDFLAGS) -buildid=' -o dist/continuo-$${p%/*}-$${p#*/} ./cmd/continuo; \
	done
	cd dist && sha256sum continuo-* > SHA256SUMS && cat SHA256SUMS

.PHONY: test
test: build ## run everything: format, vet, staticcheck, import rules, Go with -race, JavaScript, TypeScript, Python
	@scripts/debian-packages.sh
	@scripts/test.sh all

.PHONY: check
check: ## run what a commit must pass: format, vet, staticcheck, import rules, short tests with -race
	@scripts/test.sh quick

.PHONY: fmt
fmt: ## format every Go file
	@scripts/gofmt.sh -w

.PHONY: fmt-check
fmt-check: ## list the Go files that gofmt would change; fail if there are any
	@scripts/gofmt.sh

.PHONY: vet
vet: ## go vet, for the server and the tools
	$(GO) vet $(PKG)
	$(GO) -C tools vet ./...

.PHONY: staticcheck
staticcheck: ## staticcheck, at the version pinned in tools/go.mod
	$(STATICCHECK) $(PKG)

.PHONY: arch
arch: ## the rules of the tree: imports, purity, sizes, package comments, fuzz targets
	$(GO) test -count=1 ./internal/arch/

.PHONY: bench
bench: ## Go benchmarks (BENCH, BENCHTIME and PKG choose)
	$(GO) test -run '^$$' -bench '$(BENCH)' -benchtime '$(BENCHTIME)' -benchmem -p 1 $(PKG)

.PHONY: bench-compare
bench-compare: build ## Continuo beside the peers that install as packages, same machine, same load
	@scripts/bench-compare.sh

.PHONY: fuzz
fuzz: ## run each fuzz target of the tree for FUZZTIME
	@scripts/fuzz.sh

.PHONY: sim
sim: ## worlds from seeds, as many as SIM_SEEDS from SIM_FROM on, with the race detector
	$(GO) test -race -count=1 -timeout 0 ./internal/sim -run TestSeeds -v -sim.seeds=$(SIM_SEEDS) -sim.from=$(SIM_FROM) | grep -v -e '^=== ' -e '--- PASS'

.PHONY: clean
clean: ## remove what the other targets made
	rm -rf bin dist .venv coverage.out
