# SPDX-License-Identifier: MIT
# $(OUT)/bench_go and $(OUT)/bench_crossbeam: the benchmark's programs in Go and
# Rust, static and made without a network; $(OUT)/others_pair, _pingpong and _stream:
# those works through Boost, ZeroMQ and nng, dynamic. One that cannot be made says
# which package is missing.
OUT ?= build/bench
GO ?= go
RUSTC ?= rustc
CRATES ?= /usr/share/cargo/registry
peers := $(dir $(lastword $(MAKEFILE_LIST)))

$(OUT)/bench_go: $(peers)go/bench.go
	@command -v $(GO) > /dev/null || { echo "bench_go: there is no $(GO): apt-get install golang-go" >&2; exit 1; }
	@mkdir -p $(@D)
	CGO_ENABLED=0 GO111MODULE=off $(GO) build -ldflags '-s -w' -o $@ $<

# Debian has crates as sources. There are three, and to call the compiler for
# each needs no cargo, which would want a list of all crates.
crate = $(lastword $(wildcard $(CRATES)/$(1)-[0-9]*))/src/lib.rs
crates := $(OUT)/.crates
extern = --extern $(1)=$(crates)/lib$(1).rlib
rustflags := -C opt-level=3 -C target-feature=+crt-static -L $(crates)
library := $(rustflags) --edition 2018 --crate-type rlib --cap-lints allow --cfg 'feature="std"' --out-dir $(crates)

$(OUT)/bench_crossbeam: $(peers)crossbeam/bench.rs
	@command -v $(RUSTC) > /dev/null || { echo "bench_crossbeam: there is no $(RUSTC): apt-get install rustc" >&2; exit 1; }
	@[ -e "$(call crate,crossbeam-channel)" ] || \
		{ echo "bench_crossbeam: there is no crate: apt-get install librust-crossbeam-channel-dev" >&2; exit 1; }
	@mkdir -p $(crates)
	$(RUSTC) $(library) --crate-name cfg_if $(call crate,cfg-if)
	$(RUSTC) $(library) --crate-name crossbeam_utils $(call extern,cfg_if) $(call crate,crossbeam-utils)
	$(RUSTC) $(library) --crate-name crossbeam_channel $(call extern,cfg_if) $(call extern,crossbeam_utils) \
		$(call crate,crossbeam-channel)
	$(RUSTC) $(rustflags) --edition 2021 $(call extern,crossbeam_channel) -C strip=symbols -o $@ $<

include $(peers)common.mk

$(OUT)/others_%: $(peers)%.c $(common) $(headers) $(wildcard $(peers)others/*) $(LIB)
	@[ -e /usr/include/zmq.h ] && [ -d /usr/include/nng ] && [ -d /usr/include/boost/interprocess ] || \
		{ echo "$(@F): apt-get install libzmq3-dev libnng-dev libboost-dev" >&2; exit 1; }
	@mkdir -p $(@D)
	$(CXX) -std=c++17 -D_GNU_SOURCE -O2 -Wall -Wextra -pthread -c -o $@.o $(peers)others/boost.cc
	$(CC) $(CFLAGS) -o $@ $< $(common) $(peers)others/others.c $@.o $(LIB) -lzmq -lnng -lstdc++ -lrt
	@rm -f $@.o
