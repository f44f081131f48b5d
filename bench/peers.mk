# SPDX-License-Identifier: MIT
# $(OUT)/bench_go: the benchmark's program in Go, static and made without a
# network. If it cannot be made, it says which package is missing.
OUT ?= build/bench
GO ?= go
peers := $(dir $(lastword $(MAKEFILE_LIST)))

$(OUT)/bench_go: $(peers)go/bench.go
	@command -v $(GO) > /dev/null || { echo "bench_go: there is no $(GO): apt-get install golang-go" >&2; exit 1; }
	@mkdir -p $(@D)
	CGO_ENABLED=0 GO111MODULE=off $(GO) build -ldflags '-s -w' -o $@ $<
