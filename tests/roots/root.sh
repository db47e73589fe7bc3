#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Runs a command in this tree inside a Debian root of its own: root.sh RELEASE [--keep FOLDER] COMMAND...
#
# The root is bare, as debootstrap's minbase variant leaves it, and gone afterwards; with --keep it stays
# in FOLDER with what was installed and built. Debootstrap's result and the packages that apt fetched
# are kept in the user's cache. What the command starts, and /proc, end with it, however it ends.
set -eu
release=$1
shift
keep=
if [ "$1" = --keep ]; then
	keep=$2
	shift 2
fi
source=$(cd "$(dirname "$0")/../.." && pwd)
cache=${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/qosbatch/$release
[ "$(id -u)" = 0 ] || {
	echo "root.sh: run this as root; others cannot make a root" >&2
	exit 1
}

# Until the next call, or the end.
lock()
{
	exec 9>"$cache/$1.lock"
	flock -n 9 || {
		echo "root.sh: waiting for another $1 $release root" >&2
		flock 9
	}
}

mkdir -p "$cache/archives"
lock bare
bare=$cache/bare
if [ ! -d "$bare" ]; then
	echo "root.sh: making a bare $release root in $cache" >&2
	rm -rf "$bare.new"
	debootstrap --variant=minbase "$release" "$bare.new" >"$cache/debootstrap.log" 2>&1 || {
		tail -n 20 "$cache/debootstrap.log" >&2
		exit 1
	}
	mv "$bare.new" "$bare"
fi

if [ -n "$keep" ]; then
	root=$keep
	exec 9>&-
else
	root=$cache/passing
	lock passing
	rm -rf "$root"
fi
[ -d "$root" ] || {
	mkdir -p "$(dirname "$root")"
	rm -rf "$root.new"
	cp -a --reflink=auto "$bare" "$root.new"
	mv "$root.new" "$root"
}
cp -L /etc/resolv.conf "$root/etc/resolv.conf"
archives=$root/var/cache/apt/archives
find "$cache/archives" -name '*.deb' -exec cp -u -t "$archives" {} +

# The tree as somebody gets it who fetches it: without git and what was built.
mkdir -p "$root/source"
find "$root/source" -mindepth 1 -maxdepth 1 ! -name build -exec rm -rf {} +
tar -C "$source" --exclude=./.git --exclude=./build -cf - . | tar -C "$root/source" -xf -

# A first process takes no SIGTERM, and unshare neither: they die with this script.
status=0
setpriv --pdeathsig KILL env -i HOME=/root PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
	${http_proxy:+http_proxy="$http_proxy"} ${https_proxy:+https_proxy="$https_proxy"} \
	unshare --mount --pid --fork --kill-child --mount-proc --root="$root" --wd=/source "$@" \
	9>&- || status=$?

find "$archives" -name '*.deb' -exec cp -u -t "$cache/archives" {} +
[ -n "$keep" ] || rm -rf "$root"
exit "$status"
