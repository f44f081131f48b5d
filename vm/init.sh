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
echo 600 > /proc/sys/kernel/hung_task_timeout_secs 2>/dev/null
mode=$(sed -n 's/.*kchan_mode=\([a-z]*\).*/\1/p' /proc/cmdline)
[ "$mode" != check ] || echo "# Linux $(uname -r)"
grep -q kchan_quick=1 /proc/cmdline && export KCHAN_QUICK=1
grep -q kchan_long=1 /proc/cmdline && export KCHAN_LONG=1
kills=$(sed -n 's/.*kchan_kills=\([0-9]*\).*/\1/p' /proc/cmdline)
[ -z "$kills" ] || export KCHAN_KILLS=$kills
limit=$(sed -n 's/.*kchan_limit=\([0-9]*\).*/\1/p' /proc/cmdline)
limit=${limit:-900}
only=$(sed -n 's/.*kchan_only=\([^ ]*\).*/\1/p' /proc/cmdline)
# kchan_part=1/2: every second one, from the first on
part=$(sed -n 's/.*kchan_part=\([0-9/]*\).*/\1/p' /proc/cmdline)
part=${part:-1/1} parts=${part#*/} turn=$((${part#*/} - ${part%/*}))
examples=true
[ -n "$only" ] || ! grep -q kchan_examples=no /proc/cmdline || examples=false
tools=$(sed -n 's/.*kchan_tools=\([a-z]*\).*/\1/p' /proc/cmdline)
pass=0 fail=0 skip=0 found=
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

# What one kernel can't do, others can; a test that is skipped anywhere else is a failure.
may_skip()	# the line that says so
{
	case $(uname -r):$1 in
	6.1.*'no READ_MULTISHOT'|6.1.*"a worker of this kernel's"*) ;;
	*'injects no faults'*) ! grep -q kmemleak=on /proc/cmdline ;;
	*) false ;;
	esac
}

seconds()
{
	cut -d. -f1 /proc/uptime
}

guarded()	# program...: run to its end, or to the watchdog's; its output is in /tmp/log
{
	: > /tmp/log
	echo "$*" > /tmp/new && mv /tmp/new /tmp/now
	setsid "$@" > /tmp/log 2>&1 < /dev/null & wait $!; rc=$?
	rm -f /tmp/now
}

# Processes of sessions of their own are the program's, all of them.
theirs()	# what awk is to print, of /proc/PID/stat behind the name
{
	cat /proc/[0-9]*/stat 2> /dev/null | awk "{ pid = \$1; sub(/.*\\) /, \"\"); if (\$4) print $1 }"
}

# The program is slow as long as there is something to see: a line of its output, or
# processor time and faults of its processes. One that stands still is ended, and so is
# one that is only busy, for $limit seconds without a line. Looks are counted, not time: a
# machine that was held up has looked less often.
watchdog()
{
	last= looks=0 lines= silent=0
	while sleep 2; do
		read -r line < /tmp/now || continue
		now="$line $(wc -c < /tmp/log) $(theirs 'pid, $8, $12, $13')"
		out="$line $(wc -c < /tmp/log)"
		if [ "$now" = "$last" ]; then looks=$((looks + 1)); else looks=0; fi
		if [ "$out" = "$lines" ]; then silent=$((silent + 1)); else silent=0; fi
		last=$now lines=$out
		[ $looks = 45 ] || [ $silent = $((limit / 2)) ] || [ $looks = 60 ] || continue
		echo "not ok $line makes no progress; its output, and who waits where:"
		tail -n 40 /tmp/log
		for pid in $(theirs pid); do
			echo "# $pid $(tr '\0' ' ' < "/proc/$pid/cmdline")"
			for t in /proc/$pid/task/*; do echo "#  ${t##*/}"; head -n 8 "$t/stack"; done
		done | head -n 400
		if [ $looks = 60 ]; then
			echo "not ok and not even a kill ends it: no verdict"
			poweroff -f
		fi
		kill -9 $(theirs pid)
	done 2> /dev/null
}

# What a program has made goes with it: no end, no group and no process of its own is left
# (RM-03). A ring or a killed process may take a moment to end.
left()	# name
{
	for i in 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
		[ $i = 0 ] || sleep 1
		refs=0; read -r refs 2> /dev/null < /sys/module/kchan/refcnt
		procs=$(ls -l /proc/[0-9]*/exe 2> /dev/null | grep -c ' /\(selftests\|examples\|docs\)/')
		[ "$refs $procs" != '0 0' ] || return 0
	done
	bad "$1: $refs references to the module and $procs processes are left"
}

run()	# program: a test program
{
	name=$(basename "$1"); t0=$(seconds)
	guarded "$1"
	f0=$fail; count /tmp/log
	grep '^ok .*# SKIP' /tmp/log > /tmp/skipped
	while read -r line; do
		echo "$line"; may_skip "$line" || bad "$name: skipped"
	done < /tmp/skipped
	[ $rc = 0 ] || [ "$fail" != "$f0" ] || bad "$name: exit status $rc"
	[ "$(grep -c '^ok ' /tmp/log)" != 0 ] || bad "$name ran no test"
	left "$name"
	[ "$fail" = "$f0" ] || { grep -B 12 '^not ok' /tmp/log | head -n 200; tail -n 20 /tmp/log; }
	! grep -q kchan_icount=1 /proc/cmdline || grep '^# .*: woken after' /tmp/log
	echo "== $name: $(grep -c '^ok ' /tmp/log) ok, $((fail - f0)) failed, $(($(seconds) - t0)) s"
}

example()	# program, arguments...: its output is what its .out file says
{
	name=${1#tsan_}; want=/examples/$name.$2.out; [ -e "$want" ] || want=/examples/$name.out
	guarded "/examples/$@"
	if [ $rc = 0 ] && cmp -s /tmp/log "$want"; then
		pass=$((pass + 1)); echo "== example $*: ok"
	else
		bad "example $* (exit status $rc)"; diff "$want" /tmp/log | head -20
	fi
	left "example $*"
}

page()	# program: an example of a man page or the README, which exits with 0
{
	guarded "$1"
	if [ $rc = 0 ]; then
		pass=$((pass + 1)); echo "== page ${1##*/}: ok"
	else
		bad "page ${1##*/} (exit status $rc)"; tail -n 20 /tmp/log
	fi
	left "page ${1##*/}"
}

# What these tools see is the library's doing, and the limits of latency_* hold in a machine
# of their own: for both one kernel is enough. Not for ThreadSanitizer, which sees what the
# kernel lets threads know of one another; a debug kernel takes very long for it and shows
# no more of that.
has_tool()	# name
{
	case $1 in
	asan_*|msan_*|memcheck_*|latency_*) [ "$tools" = all ] ;;
	tsan_*)	[ "$tools" != none ] ;;
	esac
}

chosen()	# name: is it among the tests asked for, and in this machine's part of them?
{
	[ -n "$only" ] || has_tool "$1" || return 1
	[ -z "$only" ] || case ",$only," in *",$1,"*) found=$found,$1, ;; *) return 1 ;; esac
	turn=$(((turn + 1) % parts))
	[ $turn = 0 ]
}

load()	# module
{
	insmod "$1" || bad "insmod $1"
	[ -c /dev/kchan ] || bad "no /dev/kchan"
}

unload()
{
	for i in 1 2 3 4 5 6 7 8 9 10; do	# a ring may be ending still
		sleep 0.2; rmmod kchan 2>/dev/null && break; sleep 1
	done
	[ ! -e /sys/module/kchan ] || bad "rmmod"
}

# Tests of races want a module that stops where they say: another build of the same source.
races()
{
	for t in /selftests/race_*; do
		chosen "${t##*/}" || continue
		[ -e /sys/module/kchan ] || load /kchan-pause.ko
		run "$t"
	done
	[ ! -e /sys/module/kchan ] || unload
}

load /kchan.ko
case $mode in
demo)	/examples/demo || bad "demo" ;;
shell)	echo "kchan is loaded; programs are in /examples, /selftests and /docs; exit ends the machine"
	setsid cttyhack sh ;;
*)	watchdog &
	for t in /selftests/*; do
		case $t in
		*/race_*) continue ;;
		esac
		chosen "${t##*/}" && run "$t"
	done
	while $examples && read -r words <&3; do
		case $words in ''|'#'*) continue ;; esac
		chosen "${words%% *}" && example $words
	done 3< /examples/tests
	for t in /docs/*; do $examples && chosen "${t##*/}" && page "$t"; done ;;
esac
unload
case $mode in
demo|shell) ;;
*)	races
	for t in $(echo "$only" | tr , ' '); do
		case $found in *",$t,"*) ;; *) bad "no test is named $t" ;; esac
	done ;;
esac
if grep -q kmemleak=on /proc/cmdline; then	# which may have turned itself off meanwhile
	sleep 5; echo scan > /sys/kernel/debug/kmemleak || bad "kmemleak is off"
	sleep 5; echo scan > /sys/kernel/debug/kmemleak || bad "kmemleak is off"
	cat /sys/kernel/debug/kmemleak > /tmp/leaks	# a file whose size is always 0
	if [ -s /tmp/leaks ]; then
		head -40 /tmp/leaks; bad "kmemleak"
	fi
fi
if dmesg | grep -E 'WARNING|BUG|Oops|KASAN|UBSAN|possible (recursive|circular)|blocked for more|detected stall|expedited stalls|unregister_netdevice|leaked|non-static key|turning off the|detector disabled' > /tmp/splat; then
	cat /tmp/splat; bad "kernel log"
fi
if [ -e /proc/lockdep_stats ] && ! grep -q 'debug_locks: *1' /proc/lockdep_stats; then
	bad "lockdep is off"
fi
echo "VERDICT pass=$pass fail=$fail skip=$skip" > /dev/ttyS1
sync
poweroff -f
