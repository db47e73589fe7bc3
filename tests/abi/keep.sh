#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Keeps what hosts of a release were built with, in tests/abi/RELEASE: the headers for old_host.c, the layout
# of structs for layout.py, and the ABI for ./dev abi.
# usage: tests/abi/keep.sh RELEASE [LIBRARY]; the library is build/lib/libqosbatch.so unless named
set -eu
cd "$(dirname "$0")/../.."
kept=tests/abi/$1
rm -rf "$kept/include"
mkdir -p "$kept/include/qosbatch"
cp include/qosbatch/*.h "$kept/include/qosbatch"
python3 tests/abi/layout.py --keep include "$kept/layout.txt" "${CC:-cc}"
sh tests/abi/describe.sh "${2:-build/lib/libqosbatch.so}" "$kept/libqosbatch.abi.xml"
