#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Makes the archive of this commit twice, in other folders, and fails unless both are the same: archive.sh FOLDER
# keeps it.
set -eu
folder=$1
source=$(cd "$(dirname "$0")/../.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
for copy in "$work/first" "$work/second/a-longer/path"; do
	git clone -q "$source" "$copy"
	(cd "$copy" && meson setup build -Dtests=disabled -Dtool=disabled -Dpython=disabled -Donednn=disabled -Donnx=disabled &&
		meson dist -C build --no-tests) >"$work/log" 2>&1 || {
		cat "$work/log"
		exit 1
	}
	sleep 1 # the clock shows another second
done
mkdir -p "$folder"
cp "$work"/first/build/meson-dist/*.tar.xz "$folder"
(cd "$work/first/build/meson-dist" && sha256sum ./*.tar.xz | sed 's|\./||')
cmp "$work"/first/build/meson-dist/*.tar.xz "$work"/second/a-longer/path/build/meson-dist/*.tar.xz
