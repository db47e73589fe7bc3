#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Writes what the public headers tell of a library's ABI, and nothing of this machine: describe.sh LIBRARY FILE
set -eu
command -v abidw >/dev/null || {
	echo "describe.sh: there is no abidw; './dev deps abi' installs it" >&2
	exit 1
}
exec abidw --headers-dir "$(dirname "$0")/../../include/qosbatch" --exported-interfaces-only --drop-private-types \
	--no-elf-needed --no-corpus-path --no-comp-dir-path --no-show-locs --type-id-style hash --out-file "$2" "$1"
