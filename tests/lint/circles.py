#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Finds circles between the sources of lib/ and tools/: circles.py [ROOT]

Two graphs are read: which file includes which, and which room calls a function that another room defines. A room
is a .c file with the headers of its name, X.h and X_impl.h. Files that are not built here are read too. A name in
a table of functions, or passed as an argument, is not a call. A definition is recognised by its layout, which
lint.sh checks: it begins in the first column and its braces stand alone there. Prints each circle and the names
that tie it; fails if there is one."""
import pathlib
import re
import sys

COMMENT = re.compile(r'/\*.*?\*/|//[^\n]*', re.DOTALL)
TEXT = re.compile(r'"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'')
INCLUDE = re.compile(r'^#\s*include "([^"]+)"', re.MULTILINE)
FUNCTION = re.compile(r'^([a-z][^;{}#=]*?\b)(\w+)\([^;{}]*\)\n\{\n(.*?)^\}', re.DOTALL | re.MULTILINE)
CALL = re.compile(r'(?<![.>\w])(\w+)\(')


def without_comments(text):
    """Quotes are matched too: what looks like a comment in a string is none."""
    either = re.compile(TEXT.pattern + '|' + COMMENT.pattern, re.DOTALL)
    return either.sub(lambda m: ' ' if m[0].startswith(('/*', '//')) else m[0], text)


def includes(files):
    """A name in quotes is looked for beside the file and then in the folders above, for which the build has -I."""
    graph = {}
    for path, text in files.items():
        found = [next((folder / name for folder in path.parents if folder / name in files), None)
                 for name in INCLUDE.findall(text)]
        graph[path] = {other: {'#include'} for other in found if other}
    return graph


def room_of(path):
    return path.with_name(path.stem.removesuffix('_impl'))


def program(path):
    """What is linked together: tools have functions of the same name."""
    return path.parts[:1] if path.parts[0] == 'lib' else path.parts[:2]


def calls(files):
    defined, used = {}, {}
    for path, text in files.items():
        functions = FUNCTION.findall(TEXT.sub('""', text))
        own = {name for head, name, _ in functions if 'static' in head.split()} if path.suffix == '.c' else set()
        for _, name, _ in functions:
            if name not in own:
                defined.setdefault(name, set()).add(path)
        used[path] = {name for _, _, body in functions for name in CALL.findall(body)} - own
    graph = {room_of(path): {} for path in files}
    for path, names in used.items():
        room = room_of(path)
        for name in names & defined.keys():
            near = {other for other in defined[name] if program(other) == program(path)} or defined[name]
            if room not in {room_of(other) for other in near}:
                for other in near:
                    graph[room].setdefault(room_of(other), set()).add(name)
    return graph


def circles(graph):
    """Strongly connected components of several members (Tarjan, SIAM Journal on Computing 1(2), 1972)."""
    order, low, stack, found = {}, {}, [], []

    def visit(v):
        order[v] = low[v] = len(order)
        stack.append(v)
        for w in sorted(graph[v]):
            if w not in order:
                visit(w)
            if w in stack:
                low[v] = min(low[v], low[w])
        if low[v] == order[v]:
            first = stack.index(v)
            if len(stack) - first > 1:
                found.append(sorted(stack[first:]))
            del stack[first:]

    for v in sorted(graph):
        if v not in order:
            visit(v)
    return found


def main():
    root = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else '.')
    paths = sorted(path for folder in ('lib', 'tools') for path in (root / folder).glob('**/*.[ch]'))
    files = {path.relative_to(root): without_comments(path.read_text(encoding='utf-8')) for path in paths}
    count = 0
    for kind, graph in (('includes', includes(files)), ('calls', calls(files))):
        for circle in circles(graph):
            count += 1
            print(f'a circle of {kind}:')
            for a in circle:
                for b in circle:
                    if b in graph[a]:
                        print(f'  {a} -> {b}: {", ".join(sorted(graph[a][b]))}')
    print(f'{count} circles among {len(files)} files')
    return count > 0 or not files


sys.exit(main())
