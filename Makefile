# SPDX-License-Identifier: MIT
KDIR ?= /lib/modules/$(shell uname -r)/build
PREFIX ?= /usr/local
VERSION := 0.1.0

help:
	@echo "make demo         watch two processes talk over a kernel channel (boots a virtual machine)"
	@echo "make check        all tests, on Debian's 6.1, 6.12, 6.12-rt and a debug kernel"
	@echo "make check-quick  the tests on 6.12 alone, with smaller counts, under 3 minutes"
	@echo "make shell        a shell in a virtual machine with the module loaded"
	@echo "make modules      kmod/kchan.ko for the kernel in KDIR ($(KDIR))"
	@echo "make lib          libchan/libchan.a and libchan/libchan.so"
	@echo "make install      the library, headers and man pages, udev rule (PREFIX, DESTDIR)"
	@echo "make dkms-install the module through DKMS, for every kernel with headers"
	@echo "make clean        remove what was built"

modules:
	$(MAKE) -C $(KDIR) M=$(CURDIR)/kmod modules

lib:
	$(MAKE) -C libchan

demo:
	@vm/run demo

shell:
	@vm/run shell

check:
	@vm/check 6.1 6.12 6.12-rt debug

check-quick:
	@vm/check --quick 6.12

install:
	$(MAKE) -C libchan install PREFIX=$(PREFIX) DESTDIR=$(DESTDIR)
	install -D -m 644 dist/60-kchan.rules $(DESTDIR)/usr/lib/udev/rules.d/60-kchan.rules
	install -D -m 644 dist/kchan.conf $(DESTDIR)/usr/lib/modules-load.d/kchan.conf

dkms-install:
	@command -v dkms > /dev/null || { echo "dkms is missing: apt-get install dkms"; exit 1; }
	rm -rf /usr/src/kchan-$(VERSION)
	mkdir -p /usr/src/kchan-$(VERSION)
	cp -r dkms.conf kmod uapi /usr/src/kchan-$(VERSION)/
	dkms remove kchan/$(VERSION) --all 2> /dev/null || true
	dkms add kchan/$(VERSION)
	for k in /lib/modules/*/build; do \
		dkms install --force kchan/$(VERSION) -k $$(basename $$(dirname $$k)) || exit 1; done

clean:
	rm -rf build
	$(MAKE) -C libchan clean

.PHONY: help modules lib demo shell check check-quick install dkms-install clean
