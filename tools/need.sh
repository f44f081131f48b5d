# SPDX-License-Identifier: MIT
# Sourced. need PACKAGE...: install the Debian packages that are missing, as root;
# else print the command that does, and fail.
need()
{
	local p missing=()
	for p; do
		dpkg-query -W -f '${Status}' "$p" 2>/dev/null | grep -q 'ok installed' || missing+=("$p")
	done
	[ ${#missing[@]} -gt 0 ] || return 0
	if [ "$(id -u)" != 0 ]; then
		echo "missing packages; install them with:" >&2
		echo "  sudo apt-get install ${missing[*]}" >&2
		exit 1
	fi
	(
		flock 9		# another tool installs what it needs, perhaps the same
		echo "installing: ${missing[*]}" >&2
		apt-get update -qq &&
			DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" > /dev/null
	) 9> "${TMPDIR:-/tmp}/kchan-need.lock" || { echo "apt-get could not install: ${missing[*]}" >&2; exit 1; }
}
