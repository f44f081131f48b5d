# SPDX-License-Identifier: MIT
# Sourced by vm/lib.sh: kernels newer than this Debian's, from the next one's backports. Their
# tools need a newer C library, so that all they take to build a module is unpacked, and not
# configured, in a root of its own in the cache; the module is built in there.
# $cache/linux-VERSION: debs/, what was fetched; root/; vmlinuz; done.

newest=7.3.4+deb13	# counts, and README names it
newer_suite=trixie
newer_tools="base-files bash dash coreutils sed grep findutils mawk diffutils libc-bin make gcc kmod libelf1t64"

# Debian's archive, as apt knows it: without a list yet, apt does not know whose it is.
archive()
{
	apt-get indextargets --format '$(REPO_URI) $(RELEASE) $(COMPONENT) $(ORIGIN)' 'Created-By: Packages' |
		awk '$3 == "main" && $2 !~ /-/ && ($4 == "Debian" || $4 ~ /^[$]/) { print $1; exit }'
}

# apt of that suite: with the machine's words for how to fetch, without its sources and packages
newer_apt()	# tool, words...
{
	local dir=$cache/$newer_suite tool=$1; shift
	"$tool" -qq -o Dir::State="$dir" -o Dir::State::status="$dir/status" -o Dir::Cache="$dir" \
		-o Dir::Etc::sourcelist="$dir/sources.list" -o Dir::Etc::sourceparts=/dev/null \
		-o Dir::Etc::preferences=/dev/null -o Dir::Etc::preferencesparts=/dev/null \
		-o APT::Sandbox::User=root -o APT::Install-Recommends=false "$@"
}

newer_lists()
{
	local dir=$cache/$newer_suite uri suite
	uri=$(archive); [ -n "$uri" ] || { echo "apt has no source of Debian's main" >&2; return 1; }
	mkdir -p "$dir/lists/partial" "$dir/archives/partial" && : > "$dir/status"
	for suite in "$newer_suite" "$newer_suite-backports"; do
		echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $uri $suite main"
	done > "$dir/sources.list"
	newer_apt apt-get -o APT::Update::Error-Mode=any update > /dev/null
}

# The version that the archive has now; fails if it can't be asked.
newest_in_archive()
{
	mkdir -p "$cache"
	(flock 9; newer_lists) 9> "$cache/$newer_suite.lock" 2>&1 || return 1
	newer_apt apt-cache show "linux-headers-cloud-amd64/$newer_suite-backports" |
		sed -n 's/^Depends:.*linux-headers-\([0-9][^ ,]*\)-cloud-amd64.*/\1/p' | head -n 1 | grep .
}

# Is there one to test? Says what there is, or why not. newest: the one named above; newer:
# what the archive has now, if that is another.
newer_there()	# newest or newer
{
	local dir now rc=0
	if [ "$1" = newest ]; then
		echo "newest is Linux $newest"
		dir=$(newer_kernel "$newest") || rc=$?
		[ $rc != 2 ]	# else it has been said
	elif ! now=$(newest_in_archive); then
		echo "the archive can't be asked for newer kernels"; return 1
	elif [ "$(printf '%s\n' "$newest" "$now" | sort -V | tail -n 1)" = "$newest" ]; then
		echo "the archive has none that is newer than $newest"; return 1
	else
		echo "the archive has a newer one than $newest: Linux $now"
	fi
}

# Directory of that kernel; 2 if the archive does not have it any more.
newer_kernel()	# version
{
	local dir=$cache/linux-$1
	mkdir -p "$cache"
	[ -e "$dir/done" ] || (flock 9; [ -e "$dir/done" ] || fetch_newer "$1" "$dir") 9> "$dir.lock" >&2 || return
	echo "$dir"
}

newer_headers()	# version
{
	local dir
	dir=$(newer_kernel "$1") && echo "$dir/root/usr/src/linux-headers-$1-cloud-amd64"
}

fetch_newer()	# version, directory
{
	echo "fetching Linux $1, once..."
	mkdir -p "$2/debs/partial"
	if [ ! -e "$2/fetched" ]; then
		newest_in_archive > /dev/null || { echo "the archive can't be asked for Linux $1"; return 1; }
		newer_apt apt-cache show "linux-headers-$1-cloud-amd64" > /dev/null 2>&1 ||
			{ echo "the archive does not have Linux $1 any more"; return 2; }
		newer_apt apt-get -o Dir::Cache::archives="$2/debs" install --download-only -y \
			$newer_tools "linux-headers-$1-cloud-amd64" > /dev/null &&
			fetch_newer_image "$1" "$2/debs" && touch "$2/fetched" || return 1
	fi
	unpack_newer "$1" "$2" && touch "$2/done"
}

fetch_newer_image()	# version, directory; newer ones have it in linux-binary
{
	local p
	for p in "linux-binary-$1-cloud-amd64" "linux-binary-unsigned-$1-cloud-amd64" \
			"linux-image-$1-cloud-amd64" "linux-image-$1-cloud-amd64-unsigned"; do
		! (cd "$2" && newer_apt apt-get download "$p") 2> /dev/null || return 0
	done
	echo "the archive has no image of Linux $1"; return 1
}

unpack_newer()	# version, directory
{
	local d root=$2/root image
	rm -rf "$root" "$2/image"; mkdir -p "$root"
	for d in "$2"/debs/base-files_*.deb "$2"/debs/*.deb; do	# its links bin and lib first
		case $d in
		*/linux-image-*|*/linux-binary-*) dpkg-deb -x "$d" "$2/image" ;;
		*) dpkg-deb -x "$d" "$root" ;;
		esac || return 1
	done
	image=$(find "$2/image" -type f -name 'vmlinuz*') && mv "$image" "$2/vmlinuz" && rm -rf "$2/image" || return 1
	ln -sf mawk "$root/usr/bin/awk" && ln -sf dash "$root/usr/bin/sh" || return 1
	# objtool looks up its own stack, to know an overflow of it by
	mkdir -p "$root/dev" "$root/proc/self" && grep 'stack' /proc/self/maps > "$root/proc/self/maps"
	: > "$root/dev/null"
	[ "$(id -u)" != 0 ] || { rm "$root/dev/null" && mknod -m 666 "$root/dev/null" c 1 3; }
}

in_root()	# root, command...: who is not root is so in a user namespace
{
	if [ "$(id -u)" = 0 ]; then
		chroot "$@"
	else
		unshare --map-root-user --mount sh -c 'mount --bind /dev/null "$0/dev/null" && exec chroot "$0" "$@"' "$@"
	fi
}

# make modules of DIRECTORY/kmod, in the root that the headers are in, if they are.
module_make()	# headers, directory with kmod and uapi, words for make...
(
	root=${1%/usr/src/*}
	if [ -z "$root" ] || [ "$root" = "$1" ]; then
		make -C "$1" M="$2/kmod" "${@:3}" modules; exit
	fi
	work=$(mktemp -d "$root/tmp/kchan.XXXXXX") || exit
	trap 'rm -rf "$work"' EXIT
	cp -r "$2/kmod" "$2/uapi" "$work" || exit
	in_root "$root" make -C "${1#"$root"}" M="${work#"$root"}/kmod" "${@:3}" modules || exit
	cp "$work/kmod/kchan.ko" "$2/kmod/"
)
