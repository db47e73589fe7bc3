# SPDX-License-Identifier: Apache-2.0
"""Prints how many functions each header and tier declares, and fails above the limits."""
import pathlib
import re
import sys

FIRST_TIER, ALL = 45, 85
include = pathlib.Path(sys.argv[1])


def functions(header):
    return set(re.findall(r"QB_API[^;{]*?\b(qb_\w+)\(", (include / f"{header}.h").read_text()))


def headers(umbrella):
    names = re.findall(r"#include <qosbatch/(\w+)\.h>", (include / f"{umbrella}.h").read_text())
    return [name for name in names if name not in ("qosbatch", "export")]


seen = set()
for tier in ("qosbatch", "planning", "lab"):
    count = 0
    for header in headers(tier):
        found = functions(header)
        seen |= found
        count += len(found)
        print(f"  {header:14}{len(found):3}")
    print(f"{tier}.h: {count}")
    if tier == "qosbatch":
        first = count
print(f"all: {len(seen)}, limits {FIRST_TIER} and {ALL}")
sys.exit(first > FIRST_TIER or len(seen) > ALL)
