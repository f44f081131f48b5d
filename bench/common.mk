# SPDX-License-Identifier: MIT
# What all programs in C are made with and of.
top := $(abspath $(dir $(lastword $(MAKEFILE_LIST)))/..)
CFLAGS = -std=gnu11 -D_GNU_SOURCE -O2 -g -Wall -Wextra -pthread -I$(top)/libchan/include -I$(top)/uapi
LIB := $(top)/libchan/libchan.a
common := $(addprefix $(top)/bench/,bench.c herd.c peer.c)
headers := $(wildcard $(top)/bench/*.h)
