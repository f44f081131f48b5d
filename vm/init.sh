#!/bin/busybox sh
# SPDX-License-Identifier: MIT
# PID 1 of the test machine: load the module, run every test, unload it, look
# for leaks and at the log; the verdict goes to the second serial port, last.
export PATH=/bin HOME=/
bb=/bin/busybox
$bb mkdir -p /proc /sys /dev /tmp
$bb mount -t proc proc /proc
$bb mount -t sysfs sys /sys
$bb mount -t devtmpfs dev /dev 2>/dev/null
$bb --install -s /bin
mount -t debugfs debugfs /sys/kernel/debug 2>/dev/null
mount -t tmpfs tmp /tmp
mkdir -p /dev/shm && mount -t tmpfs shm /dev/shm
ip link set lo up 2>/dev/null || ifconfig lo up 2>/dev/null
echo 1 > /proc/sys/vm/overcommit_memory
mode=$(sed -n 's/.*kchan_mode=\([a-z]*\).*/\1/p' /proc/cmdline)
grep -q kchan_quick=1 /proc/cmdline && export KCHAN_QUICK=1
limit=$(sed -n 's/.*kchan_limit=\([0-9]*\).*/\1/p' /proc/cmdline)
only=$(sed -n 's/.*kchan_only=\([^ ]*\).*/\1/p' /proc/cmdline)
pass=0 fail=0 skip=0
# gcc 12's ThreadSanitizer knows address spaces with at most 28 random bits
echo 28 > /proc/sys/vm/mmap_rnd_bits 2>/dev/null

count()	# log: add up its TAP lines
{
	p=$(grep -c '^ok ' "$1"); s=$(grep -c '^ok .*# SKIP' "$1"); f=$(grep -c '^not ok ' "$1")
	pass=$((pass + p - s)); skip=$((skip + s)); fail=$((fail + f))
}

bad()	# what: a failure that no test reports
{
	echo "not ok $1"; fail=$((fail + 1))
}

run()	# program: a test program
{
	name=$(basename "$1"); t0=$(cut -d. -f1 /proc/uptime)
	timeout -s KILL "${limit:-300}" "$1" > /tmp/log 2>&1; rc=$?
	f0=$fail; count /tmp/log
	grep -E '^(ok .*# SKIP|#.*(SKIP|skip))' /tmp/log
	[ $rc = 0 ] || [ "$fail" != "$f0" ] || bad "$name: exit status $rc"
	[ "$(grep -c '^ok ' /tmp/log)" != 0 ] || bad "$name ran no test"
	[ "$fail" = "$f0" ] || tail -n 60 /tmp/log
	echo "== $name: $(grep -c '^ok ' /tmp/log) ok, $((fail - f0)) failed, $(( $(cut -d. -f1 /proc/uptime) - t0 )) s"
}

example()	# program, arguments...: its output is what its .out file says
{
	name=$1; want=/examples/$1.$2.out; [ -e "$want" ] || want=/examples/$1.out
	timeout -s KILL 60 "/examples/$@" > /tmp/out 2>&1; rc=$?
	if [ $rc = 0 ] && cmp -s /tmp/out "$want"; then
		pass=$((pass + 1)); echo "== example $*: ok"
	else
		bad "example $* (exit status $rc)"; diff "$want" /tmp/out | head -20
	fi
}

chosen()	# name: is it among the tests asked for?
{
	[ -z "$only" ] || case ",$only," in *",$1,"*) ;; *) return 1 ;; esac
}

insmod /kchan.ko || bad "insmod"
[ -c /dev/kchan ] || bad "no /dev/kchan"
case $mode in
demo)	/examples/demo ;;
shell)	echo "kchan is loaded; examples in /examples, tests in /selftests; exit ends the machine"
	setsid cttyhack sh ;;
*)	for t in /selftests/*; do chosen "${t##*/}" && run "$t"; done
	while read -r words; do
		case $words in ''|'#'*) continue ;; esac
		chosen "${words%% *}" && example $words < /dev/null
	done < /examples/tests ;;
esac
sleep 0.2
rmmod kchan || bad "rmmod"
if [ -e /sys/kernel/debug/kmemleak ]; then
	sleep 5; echo scan > /sys/kernel/debug/kmemleak
	sleep 5; echo scan > /sys/kernel/debug/kmemleak
	if [ -s /sys/kernel/debug/kmemleak ]; then
		head -40 /sys/kernel/debug/kmemleak; bad "kmemleak"
	fi
fi
if dmesg | grep -E 'WARNING|BUG|Oops|KASAN|UBSAN|possible (recursive|circular)|blocked for more|unregister_netdevice|leaked' | grep -v 'Debug' > /tmp/splat; then
	cat /tmp/splat; bad "kernel log"
fi
echo "VERDICT pass=$pass fail=$fail skip=$skip" > /dev/ttyS1
sync
poweroff -f
