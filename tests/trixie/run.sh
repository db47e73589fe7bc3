#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Builds and tests against oneDNN 3.x in a Debian 13 root: run.sh FOLDER [COMMAND...], a command being
# run in the root instead of the tests. The root is made once with
# debootstrap and kept in FOLDER; the source is copied in, so that nothing has to be mounted.
set -eu
folder=$1
shift
root=$folder/root
source=$(cd "$(dirname "$0")/../.." && pwd)

[ "$(id -u)" = 0 ] || {
	echo "trixie: making a root needs root; run this as root" >&2
	exit 1
}
if [ ! -f "$root/ready" ]; then
	rm -rf "$root"
	mkdir -p "$folder"
	debootstrap --variant=minbase trixie "$root" >"$folder/debootstrap.log" 2>&1 || {
		tail -n 20 "$folder/debootstrap.log" >&2
		exit 1
	}
	touch "$root/ready"
fi

# Installed by apt: debootstrap's own resolver knows no alternatives among dependencies.
packages="gcc g++ libc6-dev meson ninja-build pkg-config python3
libdnnl-dev libcmocka-dev libjansson-dev libhwloc-dev
libprotobuf-c-dev protobuf-c-compiler libonnx-dev libonnx-testdata python3-onnx
libvips-dev libmicrohttpd-dev zlib1g-dev libonnxruntime-dev"
# shellcheck disable=SC2086
chroot "$root" dpkg-query -W $packages >/dev/null 2>&1 || {
	chroot "$root" sh -c 'apt-get update && DEBIAN_FRONTEND=noninteractive \
		apt-get install -y --no-install-recommends '"$(echo "$packages" | tr '\n' ' ')" >"$folder/packages.log" 2>&1 || {
		tail -n 20 "$folder/packages.log" >&2
		exit 1
	}
}

mounted=
trap 'for m in $mounted; do umount "$m"; done' EXIT
if [ ! -e "$root/proc/self" ]; then
	mount -t proc proc "$root/proc"
	mounted="$root/proc"
fi
if [ ! -e "$root/sys/devices" ]; then
	mount -t sysfs sysfs "$root/sys"
	mounted="$mounted $root/sys"
fi
if [ $# != 0 ]; then
	chroot "$root" "$@"
	exit
fi

rm -rf "$root/source"
mkdir "$root/source"
(cd "$source" && git ls-files -z --cached --others --exclude-standard |
	xargs -0 tar -cf -) | tar -xf - -C "$root/source"
chroot "$root" sh -c '
	cd /source && export LC_ALL=C.UTF-8
	[ -f /build/build.ninja ] || meson setup /build --werror >/build.log 2>&1 || { cat /build.log; exit 1; }
	ninja -C /build --quiet || exit 1
	/build/tools/qosbatch/qosbatch --version
	meson test -C /build --print-errorlogs --no-suite slow --no-suite lint --no-suite install
'
