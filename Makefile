# SPDX-License-Identifier: MIT
KDIR ?= /lib/modules/$(shell uname -r)/build
PREFIX ?= /usr/local
PYTHONDIR ?= $(shell python3 -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
VERSION := $(shell cat VERSION)

help:
	@echo "make demo           watch two processes talk over a kernel channel (boots a virtual machine)"
	@echo "make check          all tests, on Debian's 6.1, 6.12, 6.12-rt, the newest kernel and a debug kernel"
	@echo "make check-long     the same with full counts, 10000 kills and long fuzz on each kernel, and KCSAN (hours)"
	@echo "make check-quick    the tests on 6.12 alone, with smaller counts, under 3 minutes"
	@echo "make bench          kchan and its peers measured: tables, goals, plots (about 20 minutes)"
	@echo "make bench-check    kchan beside bench/expected.csv and expected2.csv, in instructions"
	@echo "make shell          a shell in a virtual machine with the module loaded"
	@echo "make modules        kmod/kchan.ko for the kernel in KDIR ($(KDIR))"
	@echo "make lib            libchan/libchan.a and libchan/libchan.so"
	@echo "make install        the library, headers and man pages, udev rule, group (PREFIX, DESTDIR)"
	@echo "make install-python the Python module, where python3 looks for it (PYTHONDIR, DESTDIR)"
	@echo "make dkms-install   the module through DKMS, for every kernel with headers"
	@echo "make check-build    the module for every Debian kernel flavour, the library, what is installed"
	@echo "make check-demo     the demo, with its few packages and nothing else (as root)"
	@echo "make check-dkms     the module through DKMS, for every kernel with headers (as root)"
	@echo "make abi            the library's ABI as libchan/abi/$(VERSION).abi, at a release (abigail-tools)"
	@echo "make docs-pictures  docs/pictures/*.svg from the .dot beside them (graphviz)"
	@echo "make clean          remove what was built"

modules:
	$(MAKE) -C $(KDIR) M=$(CURDIR) modules

lib:
	$(MAKE) -C libchan

demo:
	@vm/run demo

shell:
	@vm/run shell

check:
	@vm/check 6.1 6.12 6.12-rt newest newer debug latency

check-long:
	@vm/check --long 6.1 6.12 6.12-rt newest newer debug kcsan latency

check-quick:
	@vm/check --quick 6.12

bench:
	@bench/run

bench-check:
	@bench/run --check

check-build:
	@tools/check-build

check-demo:
	@tools/check-demo

check-dkms:
	@tools/check-dkms

abi:
	$(MAKE) -C libchan abi

# each picture names what it was drawn from, for tools/check-docs
docs-pictures:
	@set -e; for f in docs/pictures/*.dot; do svg=$${f%.dot}.svg; \
		dot -Tsvg -o $$svg $$f; \
		sed -i "s|^<svg |<!-- SPDX-License-Identifier: MIT -->\n<!-- drawn from $${f##*/}, sha256 $$(sha256sum < $$f | cut -c1-64) -->\n&|" $$svg; \
	done

install:
	$(MAKE) -C libchan install PREFIX=$(PREFIX) DESTDIR=$(DESTDIR)
	install -D -m 644 dist/60-kchan.rules $(DESTDIR)/usr/lib/udev/rules.d/60-kchan.rules
	install -D -m 644 dist/kchan.conf $(DESTDIR)/usr/lib/modules-load.d/kchan.conf
	install -D -m 644 dist/kchan.sysusers $(DESTDIR)/usr/lib/sysusers.d/kchan.conf
	@[ -n "$(DESTDIR)" ] || systemd-sysusers kchan.conf 2> /dev/null || groupadd --force --system kchan || \
		echo "make a group kchan: groupadd --system kchan"

install-python:
	install -D -m 644 bindings/python/kchan.py $(DESTDIR)$(PYTHONDIR)/kchan.py

dkms-install:
	@tools/dkms-install $(VERSION)

clean:
	rm -rf build
	rm -f $(foreach d,. kmod,$(addprefix $(d)/,*.o .*.o *.ko *.mod *.mod.c .*.cmd Module.symvers modules.order))
	$(MAKE) -C libchan clean

.PHONY: help modules lib demo shell check check-long check-quick bench bench-check check-build check-demo check-dkms abi docs-pictures install install-python dkms-install clean
