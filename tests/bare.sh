#!/bin/bash
# Try this checkout's HEAD in a bare Debian 12, with only git, make and a network in it:
#
#   first root    make run   make run
#   second root   make test  make test
#
# Each is the first command typed there.  The mirror, apt's settings and the certificates are this machine's own.
# The bare root is kept as an archive in $XDG_CACHE_HOME/closerace; remove it to have a new one made.
# Exit status: 0 all held; 1 something failed; 2 wrong usage.
set -euo pipefail

readonly SUITE=bookworm
readonly CACHE=${XDG_CACHE_HOME:-$HOME/.cache}/closerace
archive=$CACHE/bare-$SUITE-$(dpkg --print-architecture).tar.gz
checkout=$(cd "$(dirname "$0")/.." && pwd)
readonly archive checkout

say() { printf 'bare: %s\n' "$*"; }

if [ "$(id -u)" != 0 ]; then
	echo 'tests/bare.sh: only root can make a bare root' >&2
	exit 2
fi

work=$(mktemp -d /tmp/closerace-bare-XXXXXX)
running=

clean_up() {
	if [ -n "$running" ]; then
		kill -KILL "$running" 2>/dev/null || true
		wait "$running" 2>/dev/null || true
	fi
	rm -rf --one-file-system "$work"
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

# Run a command in a process and a mount namespace of its own: when its first process ends, all of them end, and
# nothing stays mounted.  A signal to this script does not wait for it.
run() {
	unshare --mount --pid --fork --kill-child "$@" </dev/null &
	running=$!
	local status=0
	wait "$running" || status=$?
	running=
	return $status
}

# ------------------------------------------------------------- this machine's apt --

# "URI SUITE COMPONENT" for each of Debian's sources.
sources() {
	local found
	# shellcheck disable=SC2016
	found=$(apt-get indextargets --format '$(REPO_URI) $(RELEASE) $(COMPONENT)' 'Identifier: Packages' |
		grep -E " $SUITE(-updates|-security)? main\$" | sort -u || true)
	if [ -z "$found" ]; then
		echo "tests/bare.sh: apt has no source for $SUITE; run apt-get update" >&2
		exit 1
	fi
	printf '%s\n' "$found"
}

mirror() { sources | awk -v suite=$SUITE '$2 == suite { print $1; exit }'; }

needs_certificates() { sources | grep -q '^https:'; }

copy_apt_settings() {
	local root=$1
	sources | sed 's/^/deb /' >"$root/etc/apt/sources.list"
	apt-config dump | grep -E '^Acquire::(https?::|Retries|Check-)' >"$root/etc/apt/apt.conf.d/90this-machine" || true
	for file in /etc/apt/auth.conf /etc/apt/auth.conf.d; do
		if [ -e "$file" ]; then cp -a "$file" "$root/etc/apt/"; fi
	done
	cp -L /etc/resolv.conf /etc/hosts "$root/etc/"
	if needs_certificates; then
		mkdir -p "$root/usr/local/share/ca-certificates"
		cp -a /usr/local/share/ca-certificates/. "$root/usr/local/share/ca-certificates/"
		cp -L /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/"
	fi
}

# debootstrap fetches by itself, but apt knows through whom.
export_proxy() {
	local proxy
	eval "$(apt-config shell proxy Acquire::http::Proxy)"
	if [ -n "${proxy:-}" ] && [ "$proxy" != DIRECT ]; then export http_proxy=$proxy; fi
}

# --------------------------------------------------------------------------- roots --

# in_root ROOT COMMAND: with an environment as after a login, in a clone of the checkout.
in_root() {
	local root=$1 command=$2
	# shellcheck disable=SC2016
	run setsid sh -c '
		mount -t proc proc "$0/proc"
		mount -t devpts -o newinstance,ptmxmode=0666 devpts "$0/dev/pts"
		mount -t tmpfs tmpfs "$0/dev/shm"
		exec chroot "$@"' "$root" "$root" /usr/bin/env -i HOME=/root TERM=dumb LANG=C.UTF-8 \
		PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
		${http_proxy:+http_proxy="$http_proxy"} ${https_proxy:+https_proxy="$https_proxy"} \
		${no_proxy:+no_proxy="$no_proxy"} \
		sh -c "cd /root 2>/dev/null; $command"
}

make_archive() {
	local root=$work/new more=
	if needs_certificates; then more=,ca-certificates; fi
	say "making a bare root from $(mirror | sed 's,//[^/@]*@,//,')"
	run debootstrap --variant=minbase --include=git,make$more $SUITE "$root" "$(mirror)" >"$work/log" 2>&1 || {
		cat "$work/log"
		return 1
	}
	rm -rf "$root"/var/cache/apt/archives/*.deb "$root"/var/lib/apt/lists/*
	mkdir -p "$CACHE"
	run tar -C "$root" -czf "$archive.$$" .
	mv "$archive.$$" "$archive"
	rm -rf --one-file-system "$root"
}

# fresh_root NAME: a bare root with a clone in it.
fresh_root() {
	local root=$work/$1
	mkdir "$root"
	run tar -C "$root" -xzpf "$archive"
	copy_apt_settings "$root"
	git clone --quiet --no-hardlinks "$checkout" "$root/root/closerace"
}

# try ROOT COMMAND: once more, with its time and how it ended.
try() {
	local root=$work/$1 command=$2 status=0 start=$SECONDS
	say "$command, in the $1 root"
	in_root "$root" "cd closerace && $command" || status=$?
	say "$command: exit status $status after $((SECONDS - start)) s"
	return $status
}

export_proxy
[ -f "$archive" ] || make_archive
if [ -n "$(git -C "$checkout" status --porcelain)" ]; then say 'what is not committed is not tried'; fi

fresh_root first
try first 'make run'
try first 'make run'
rm -rf --one-file-system "$work/first"

fresh_root second
try second 'make test'
try second 'make test'
say 'all held'
