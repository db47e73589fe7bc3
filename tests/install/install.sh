#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Installs into a staging folder and tests what is there as the Debian packages are tested.
set -eu
source=$1
build=$2
stage=$(mktemp -d)
trap 'rm -rf "$stage"' EXIT
DESTDIR=$stage meson install -C "$build" --no-rebuild --quiet

pc=$(find "$stage" -name qosbatch.pc)
library=$(find "$stage" -name 'libqosbatch.so')
tool=$(find "$stage" -path '*/bin/qosbatch')
export PKG_CONFIG_PATH="${pc%/*}" PKG_CONFIG_SYSROOT_DIR="$stage" LD_LIBRARY_PATH="${library%/*}"
export CMAKE_PREFIX_PATH="${tool%/bin/qosbatch}" PATH="${tool%/qosbatch}:$PATH"
[ "$(pkg-config --modversion qosbatch)" = "$(qosbatch --version | sed -n '1s/^qosbatch \([0-9.]*\).*/\1/p')" ]

mkdir "$stage/work"
cd "$source"
AUTOPKGTEST_TMP=$stage/work sh debian/tests/readme

# Each part that the list of contents relates to is in it, with version and licence.
python3 - "$(find "$stage" -name qosbatch.spdx.json)" <<'TEXT'
import json
import sys

parts = json.load(open(sys.argv[1]))
names = {"SPDXRef-DOCUMENT", *(p["SPDXID"] for p in parts["packages"])}
assert parts["spdxVersion"] == "SPDX-2.3" and len(names) == len(parts["packages"]) + 1 >= 4, names
for relation in parts["relationships"]:
    assert {relation["spdxElementId"], relation["relatedSpdxElement"]} <= names, relation
assert all(p["versionInfo"] and p["licenseDeclared"] for p in parts["packages"]), parts
TEXT
