#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# In a bare root: installs the packages as a user does, and runs what debian/tests has.
set -eu
export DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8
apt-get update -q >/dev/null
rm -f build/packages/*-dbgsym_*.deb
apt-get install -y -q ./build/packages/*.deb >/dev/null
apt-get install -y -q --no-install-recommends gcc libc6-dev pkgconf cmake make >/dev/null
for test in readme python; do
	sh "debian/tests/$test"
	echo "installed packages: debian/tests/$test passes"
done
