#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# In a root of its own: builds the Debian packages twice, in other folders and years, says whether they are
# the same, and lets lintian judge them. They are left in /source/build/packages.
set -eu
export DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8
apt-get update -q >/dev/null
apt-get install -y -q --no-install-recommends build-essential debhelper lintian faketime >/dev/null
apt-get build-dep -y -q --no-install-recommends . >/dev/null

for folder in /first/qosbatch /second/a-longer/path/qosbatch; do
	mkdir -p "$folder"
	tar --exclude=./build -cf - . | tar -C "$folder" -xf -
	when=
	[ "${folder#/second}" = "$folder" ] || when="faketime 2031-05-06"
	(cd "$folder" && $when dpkg-buildpackage -b -us -uc) >"$folder.log" 2>&1 || {
		tail -n 40 "$folder.log"
		exit 1
	}
done
out=build/packages
rm -rf "$out" && mkdir -p "$out"
cp /first/*.deb "$out"
same=0
for package in /first/*.deb; do
	name=${package##*/}
	sum=$(sha256sum <"$package" | cut -c1-64)
	again=$(sha256sum <"/second/a-longer/path/$name" | cut -c1-64)
	echo "$sum $name"
	[ "$sum" = "$again" ] || {
		echo "  not reproducible: the second build has $again"
		same=1
	}
done
# Debug symbols are made by debhelper alone.
lintian --fail-on error,warning --suppress-tags initial-upload-closes-no-bugs /first/*.changes && echo "lintian: clean"
exit $same
