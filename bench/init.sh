#!/bin/busybox sh
# SPDX-License-Identifier: MIT
# PID 1 of the machine that measures: run the benchmark's programs as often as the
# kernel's command line says. What they measure goes to the second serial port.
export PATH=/bin HOME=/
/bin/busybox --install -s /bin
mkdir -p /proc /sys /dev /tmp
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev 2> /dev/null
mount -t tmpfs tmp /tmp
mkdir -p /dev/shm && mount -t tmpfs shm /dev/shm

word()	# name: its value on the command line
{
	sed -n "s/.*bench_$1=\([^ ]*\).*/\1/p" /proc/cmdline
}

insmod /kchan.ko || echo "FAILED insmod"
sleep 20	# until what a kernel does after it has booted is over
t=0 times=$(word times)
while [ $t -lt "$times" ]; do
	t=$((t + 1))
	[ "$times" = 1 ] || echo "round $t of $times"
	for p in $(word programs | tr , ' '); do
		"/bench/$p" $(word options | tr , ' ') > /dev/ttyS1 || echo "FAILED $p: exit status $?"
	done
done
rmmod kchan || echo "FAILED rmmod"
dmesg | grep -E 'WARNING|BUG|Oops' && echo "FAILED: kernel log"
sync
poweroff -f
