#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Prints how the ABI of a library differs from that of the last release, and fails if an old host would notice:
# compare.sh LIBRARY
set -eu
here=$(dirname "$0")
last=$(find "$here" -name libqosbatch.abi.xml | sort -V | tail -n 1)
release=$(basename "$(dirname "$last")")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
sh "$here/describe.sh" "$1" "$work/now.xml"

# abidiff's statuses are sums: 1 and 2 of a failure, 4 and 8 of a difference.
abidiff --harmless --leaf-changes-only "$last" "$work/now.xml" || [ $(($? & 3)) = 0 ]

# Structs grow at their end, but for the value types. Those that grew are named, since abidiff takes a struct
# without a new member for one with all of its new members at the end.
grown=$(awk -F"'" '/<class-decl name=.* size-in-bits=/ { if (NR == FNR) was[$2] = $4; else if ($4 > was[$2] + 0) print $2 }' \
	"$last" "$work/now.xml" | grep -vxE 'qb_(configuration|nearest|billing)' | sort -u | paste -sd '|' -)
printf '[suppress_type]\n  type_kind = struct\n  name_regexp = ^(%s)$\n  has_data_member_inserted_at = end\n' "$grown" \
	>"$work/growth"
abidiff --leaf-changes-only --no-added-syms --suppressions "$work/growth" "$last" "$work/now.xml" >/dev/null || {
	echo "this breaks hosts of $release: docs/abi.md"
	exit 1
}
echo "hosts of $release run with this library"
