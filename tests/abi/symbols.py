# SPDX-License-Identifier: Apache-2.0
"""What the headers declare, the symbol map lists and the library exports has to be the same."""
import re
import subprocess
import sys

library, *headers, symbol_map = sys.argv[1:]
declared = set()
for header in headers:
    declared |= set(re.findall(r"QB_API[^;{]*?\b(qb_\w+)\(", open(header).read()))
listed = set(re.findall(r"^\s+(qb_\w+);", open(symbol_map).read(), re.M))
lines = subprocess.run(["nm", "-D", "--defined-only", library], check=True, capture_output=True,
                       text=True).stdout.splitlines()
exported = {line.split()[2].split("@")[0] for line in lines if line.split()[1] in "TDBRV"}

bad = False
for what, names in (("declared but not in the map", declared - listed),
                    ("in the map but not declared", listed - declared),
                    ("declared but not exported", declared - exported),
                    ("exported but not declared", exported - declared)):
    for name in sorted(names):
        print(f"{name} is {what}")
        bad = True
print(f"{len(declared)} public functions")
sys.exit(bad)
