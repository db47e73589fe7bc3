# SPDX-License-Identifier: Apache-2.0
"""Compares every public struct member's offset and size with those of a release (docs/abi.md), and the
oldest sizes that the library takes with the ends of that release's structs.

layout.py INCLUDE TABLE OLDEST_MEMBERS COMPILER... compares; layout.py --keep INCLUDE TABLE COMPILER...
writes the table."""
import pathlib
import re
import struct
import subprocess
import sys
import tempfile

keep = sys.argv[1] == "--keep"
if keep:
    include, table, *compiler = sys.argv[2:]
else:
    include, table, oldest_members, *compiler = sys.argv[1:]
if struct.calcsize("P") != 8:
    sys.exit(77)


def members(text):
    text = re.sub(r"/\*.*?\*/", "", text, flags=re.S)
    for name, body in re.findall(r"typedef struct (qb_\w+) \{(.*?)\n\} \1;", text, re.S):
        declared = [m for ms in body.split(";")[:-1] for m in ([ms] if "(" in ms else ms.split(","))]
        yield name, [re.search(r"\(\*(\w+)\)|(\w+)(?:\[\w*\])*$", m.strip()) for m in declared]


lines = []
for header in sorted(pathlib.Path(include, "qosbatch").glob("*.h")):
    for name, found in members(header.read_text()):
        lines.append(f'printf("{name} %zu\\n", sizeof({name}));')
        for m in found:
            member = m[1] or m[2]
            lines.append(f'printf("{name}.{member} %zu %zu\\n", offsetof({name}, {member}), '
                         f"sizeof((({name} *)0)->{member}));")
source = ("#include <qosbatch/lab.h>\n#include <qosbatch/planning.h>\n#include <stdio.h>\n"
          "int main(void)\n{\n" + "\n".join(lines) + "\nreturn 0;\n}\n")
with tempfile.TemporaryDirectory() as folder:
    path = pathlib.Path(folder, "layout.c")
    path.write_text(source)
    program = str(path.with_suffix(""))
    subprocess.run([*compiler, f"-I{include}", str(path), "-o", program], check=True)
    today = subprocess.run([program], check=True, capture_output=True, text=True).stdout
if keep:
    pathlib.Path(table).write_text(today)
    sys.exit(0)
now = dict(line.split(" ", 1) for line in today.splitlines())
bad = False
kept = dict(line.split(" ", 1) for line in pathlib.Path(table).read_text().splitlines())
for name, was in kept.items():
    sized = f"{name}.size" in kept
    if "." in name or not sized:
        wrong = now.get(name) != was
    else:
        wrong = name not in now or int(now[name]) < int(was)
    if wrong:
        print(f"{name} was at '{was}', is at '{now.get(name, 'no place')}'")
        bad = True
for name, place in now.items():
    owner = name.split(".")[0]
    if name not in kept and owner in kept and int(place.split()[0]) < int(kept[owner]):
        print(f"{name} begins at {place.split()[0]}, within the {kept[owner]} bytes of the release")
        bad = True
last = {}
for name in kept:
    owner, _, member = name.partition(".")
    if member and f"{owner}.size" in kept:
        last[owner] = member
oldest = dict(re.findall(r"^#define QB__OLDEST_(qb_\w+) +(\w+)$", pathlib.Path(oldest_members).read_text(), re.M))
for owner, member in last.items():
    if oldest.get(owner) != member:
        print(f"{owner} ended with '{member}', the oldest member that is taken is {oldest.get(owner)!r}: "
              f"{pathlib.Path(oldest_members).name}")
        bad = True
sys.exit(bad)
