# SPDX-License-Identifier: MIT
# Sourced: where kernels come from, how one is booted.
top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cache=${KCHAN_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/kchan}
build=$top/build
demo_packages="qemu-system-x86 busybox-static cpio make gcc libc6-dev linux-headers-6.12-cloud-amd64"
packages="qemu-system-x86 busybox-static cpio gzip xz-utils kmod python3 mandoc gcc g++ make bc flex bison libelf-dev libssl-dev gcc-multilib libtsan2 libasan8 clang libclang-rt-14-dev valgrind libc6-dbg liburing-dev libuv1-dev libevent-dev libev-dev libglib2.0-dev pkg-config golang-go linux-headers-cloud-amd64 linux-headers-6.12-cloud-amd64 linux-headers-6.12-rt-amd64 linux-source-6.12"

. "$top/tools/need.sh"
. "$top/vm/newest.sh"
need_packages()
{
	need $packages
}

# Directory of the kernel's headers behind a Debian package: 6.1 -> /usr/src/linux-headers-6.1...
headers_of()
{
	local pkg
	case $1 in
	newest)	newer_headers "$newest"; return ;;
	newer)	newer_headers "$(newest_in_archive)"; return ;;
	6.1)	pkg=linux-headers-cloud-amd64 ;;
	6.12)	pkg=linux-headers-6.12-cloud-amd64 ;;
	6.12-rt) pkg=linux-headers-6.12-rt-amd64 ;;
	esac
	dpkg-query -W -f '${Depends}' "$pkg" | grep -o 'linux-headers-[0-9][^ ,]*' | head -1 | sed 's,^,/usr/src/,'
}

# A bootable image of that very kernel: installed with its headers, or fetched.
image_of()
{
	local hdr ver img
	hdr=$(headers_of "$1") || return
	case $hdr in "$cache"/*) echo "${hdr%/root/*}/vmlinuz"; return ;; esac
	ver=${hdr#/usr/src/linux-headers-}; img=/boot/vmlinuz-$ver
	[ -r "$img" ] || img=$cache/vmlinuz-$ver
	[ -s "$img" ] || fetch_image "$ver" "$img" || return 1
	echo "$img"
}

fetch_image()	# version, where to put it
{
	local dir=$cache/fetch.$$
	mkdir -p "$dir"
	(cd "$dir" && { apt-get download -qq "linux-image-$1" > /dev/null 2>&1 ||
			apt-get download -qq "linux-image-$1-unsigned" >&2; } &&
	 for d in *.deb; do dpkg -x "$d" x; done && mv "x/boot/vmlinuz-$1" "$2") ||
		{ echo "no image of $1" >&2; return 1; }
	rm -rf "$dir"
}

# A kernel from Debian's source, kept by the hash of source and configuration.
source_kernel()	# debug or kcsan: its directory
{
	local dir
	dir=$(source_dir "$1")
	mkdir -p "$cache"
	[ -e "$dir/done" ] ||
		(flock 9; [ -e "$dir/done" ] || build_kernel "$1" "$dir") 9> "$dir.lock" || return 1
	echo "$dir"
}

source_dir()	# debug or kcsan
{
	echo "$cache/$1-$( (dpkg-query -W linux-source-6.12; cat $(configs "$1")) | sha256sum | cut -c1-16)"
}

configs()	# debug or kcsan: its files, the later ones count
{
	echo "$top/vm/debug.config"
	[ "$1" = debug ] || echo "$top/vm/$1.config"
}

# KCSAN looks at the module alone: the kernel has races of its own, which it would report,
# and what it watches there it doesn't watch here.
build_kernel()	# debug or kcsan, directory
{
	local o set="KASAN PROVE_LOCKING DEBUG_ATOMIC_SLEEP DEBUG_KMEMLEAK FAILSLAB UBSAN" words=
	[ "$1" = debug ] || set="KCSAN KCSAN_STRICT" words=KCSAN_SANITIZE=n
	echo "building the $1 kernel, once (10-20 minutes)..." >&2
	rm -rf "$2"; mkdir -p "$2"
	tar -C "$2" --strip-components=1 -xf /usr/src/linux-source-6.12.tar.xz
	(cd "$2" && make -s tinyconfig && ./scripts/kconfig/merge_config.sh -m .config $(configs "$1") &&
		make -s olddefconfig && make -s -j"$(nproc)" $words bzImage modules_prepare) > "$2/build.log" 2>&1 ||
		{ tail -20 "$2/build.log" >&2; return 1; }
	for o in $set; do
		grep -q "^CONFIG_$o=y" "$2/.config" || { echo "CONFIG_$o is not set" >&2; return 1; }
	done
	touch "$2/done"
}

build_module()	# kernel build dir, name: kchan.ko in build/NAME; a warning is an error
{
	local dir=$build/$2
	mkdir -p "$dir"
	cp -ru "$top/kmod" "$top/uapi" "$dir/"
	if ! module_make "$1" "$dir" -j"$(nproc)" KBUILD_MODPOST_WARN=${3:-} > "$dir/log" 2>&1 ||
	   grep -i 'warning:' "$dir/log" | grep -v 'the compiler differs\|undefined!\|unresolved symbol\|Module.symvers'; then
		grep -iE 'error|warning' -A5 "$dir/log" >&2 || tail "$dir/log" >&2
		return 1
	fi
}

# the harness of the kernel's own self tests, taken out of its source once
harness()
{
	[ ! -e "$build/kselftest/kselftest_harness.h" ] || return 0
	mkdir -p "$build/kselftest"
	tar -C "$build/kselftest" --strip-components=4 -xf /usr/src/linux-source-6.12.tar.xz \
		linux-source-6.12/tools/testing/selftests/kselftest_harness.h \
		linux-source-6.12/tools/testing/selftests/kselftest.h
}

build_programs()
{
	local pid
	harness & pid=$!	# one processor is enough for it
	make -s -C "$top/libchan"
	make -s -j2 -C "$top/examples" OUT="$build/examples"
	"$top/tools/check-docs" --programs
	wait $pid
	make -s -j2 -C "$top/selftests" OUT="$build/selftests"
}

libraries()	# directory: what its dynamic programs need goes below it
{
	local lib
	for lib in $(find "$1" -type f -perm -1 -exec ldd {} + 2>/dev/null | grep -o '/[^ :]*\.so[^ :]*' | sort -u); do
		[ -e "$1$lib" ] || install -D "$lib" "$1$lib"
	done
}

memcheck()	# directory: valgrind's memcheck, and the symbols of the loader that it asks for
{
	local f id
	[ -e "$1/selftests/memcheck_calls" ] || return 0
	for f in /usr/bin/valgrind.bin /usr/libexec/valgrind/{default.supp,memcheck-amd64-linux,vgpreload_{core,memcheck}-amd64-linux.so}; do
		install -D "$f" "$1$f"
	done
	id=$(readelf -n /lib64/ld-linux-x86-64.so.2 | sed -n 's/.*Build ID: //p')
	f=/usr/lib/debug/.build-id/${id:0:2}/${id:2}.debug
	install -D $f "$1$f"
}

python()	# directory: an interpreter, what its example and its test import, libchan
{
	local py=/usr/bin/python3 f
	install -D "$(readlink -f $py)" "$1/bin/python3"
	$py -B -c 'import asyncio, ctypes, dataclasses, select, socket, sys, tempfile, traceback
for m in list(sys.modules.values()):
	f = getattr(m, "__file__", None)
	if f: print(f)
import encodings; print(encodings.__path__[0] + "/ascii.py"); print(encodings.__path__[0] + "/idna.py")
import stringprep; print(stringprep.__file__)' | sort -u |
		while read -r f; do [ ! -e "$f" ] || install -D -m 755 "$f" "$1$f"; done
	# not in the machine: it takes long there
	$py -m compileall -q -s "$1" --invalidation-mode unchecked-hash "$1/usr/lib" > /dev/null || true
	install -D -m 755 "$top/libchan/libchan.so.1" "$1/usr/lib/libchan.so.1"
	install -D -m 644 "$top/bindings/python/kchan.py" "$1/usr/lib/python3/dist-packages/kchan.py"
}

# The same with pause points, for tests of races: in build/NAME/pause.
build_pause_module()
{
	KCHAN_TEST=1 build_module "$1" "$2/pause" "${3:-}"
}

# What every machine has in its memory: build/files, packed once.
files()
{
	local root=$build/files
	rm -rf "$root"; mkdir -p "$root/selftests" "$root/examples" "$root/docs"
	cp "$build"/selftests/* "$root/selftests/"
	cp "$build"/examples/* "$top"/examples/*.out "$top/examples/tests" "$root/examples/"
	cp "$build"/docs/bin/* "$root/docs/"
	strip "$root"/selftests/* "$root"/examples/* "$root"/docs/* 2>/dev/null || true
	python "$root"
	memcheck "$root"
	libraries "$root"
	pack "$root" > "$root.cpio"
}

pack()	# directory
{
	(cd "$1" && find . | cpio -o -H newc --quiet -R 0:0)
}

initramfs()	# name, archive...: build/NAME/initrd from build/NAME/kmod/kchan.ko and the archives
{
	local root=$build/$1/root
	rm -rf "$root"; mkdir -p "$root/bin" "$root/dev"
	cp /bin/busybox "$root/bin/"
	cp "$top/vm/init.sh" "$root/init"; chmod 755 "$root/init"
	strip -g -o "$root/kchan.ko" "$build/$1/kmod/kchan.ko"
	[ ! -e "$build/$1/pause/kmod/kchan.ko" ] ||
		strip -g -o "$root/kchan-pause.ko" "$build/$1/pause/kmod/kchan.ko"
	mknod "$root/dev/console" c 5 1 2>/dev/null || true
	# not compressed: to unpack it takes longer in there than to load it
	{ pack "$root" && cat "${@:2}" /dev/null; } > "$build/$1/initrd"
}

# An idle processor halts, and leaves the host's to others. The kernel is told that the clock
# goes on meanwhile, else it rewrites its own code while the other processor wakes up from
# that, and QEMU may go on with what it has translated halfway. It need not test its timer
# against a loop either, and is patient with what it takes for a stall: a busy host may hold
# one of its processors up for half a minute.
boot()	# image, name, seconds, kernel words, qemu words...
{
	local image=$1 dir=$build/$2 secs=$3 words=$4 cpus="-accel tcg,thread=multi -smp 2" clock="tsc=reliable no_timer_check"; shift 4
	case " $words " in	# a nanosecond is an instruction, and idle time costs nothing
	*" kchan_icount=1 "*) cpus="-accel tcg -icount shift=0,sleep=off -smp 1" clock=no_timer_check ;;
	esac
	timeout -k 5 "$secs" qemu-system-x86_64 $cpus -M q35 -cpu max -m 2G \
		-nodefaults -display none -no-reboot "$@" -kernel "$image" -initrd "$dir/initrd" \
		-append "console=ttyS0 quiet loglevel=4 panic=-1 panic_on_warn=1 oops=panic log_buf_len=16M mitigations=off $clock \
			rcupdate.rcu_cpu_stall_timeout=300 watchdog_thresh=60 $words"
}
