#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Breaks the library in one place at a time, and sees whether a test fails: mutate.py FOLDER [COUNT [SEED]]

FOLDER gets a copy of the tree and its build; what was tried before, on the same code, is kept there and not
tried again. A mutation that does not compile is drawn again. Prints those that no test caught, and the share of
the others.
"""
import hashlib
import os
import pathlib
import random
import re
import shutil
import subprocess
import sys
import time

FOLDER = pathlib.Path(sys.argv[1]).resolve()
COUNT = int(sys.argv[2]) if len(sys.argv) > 2 else 50
SEED = int(sys.argv[3]) if len(sys.argv) > 3 else 20261128
TREE = pathlib.Path(__file__).resolve().parents[2]
MUTATED = ["lib/optimize/*.[ch]", "lib/profile/statistics.c"]
# The first to fail ends it: those that look closest come first.
PROGRAMS = ["statistics", "round_size", "round_policy", "round_search", "round", "optimizer_refresh", "explain",
            "record", "drift", "coverage", "measurements", "sweep", "simulation"]
QUICKLY, FULLY = {"QB_TEST_CASES": "20"}, {}

SWAPS = {" < ": " <= ", " <= ": " < ", " > ": " >= ", " >= ": " > ", " == ": " != ", " != ": " == ",
         " + ": " - ", " - ": " + ", " * ": " / ", " / ": " * ", " += ": " -= ", " -= ": " += ",
         " && ": " || ", " || ": " && ", "++": "--", "--": "++", "fmin(": "fmax(", "fmax(": "fmin(",
         " ? ": " ? !", "break;": ";", "continue;": ";", "true": "false", "false": "true"}


def without_text(source):
    """Comments, strings and directives as blanks, so that places stay where they are."""
    hidden = re.compile(r'/\*[\s\S]*?\*/|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'|^#(?:[^\n]*\\\n)*[^\n]*', re.M)
    return hidden.sub(lambda m: re.sub(r"[^\n]", " ", m.group()), source)


def sites_of(path):
    """Each place that can be changed: its offset, what is there, and what comes instead."""
    code = without_text(path.read_text())
    for old, new in SWAPS.items():
        pattern = rf"\b{old}\b" if old.isalpha() else re.escape(old)
        for m in re.finditer(pattern, code):
            yield path, m.start(), old, new
    for m in re.finditer(r"(?<![\w.])\d+(?![\w.])", code):
        yield path, m.start(), m.group(), str(int(m.group()) + 1)
    for m in re.finditer(r"(?<![\w.])\d+\.\d+(?![\w.])|(?<![\w.])\d+e-?\d+(?![\w.])", code):
        yield path, m.start(), m.group(), repr(1.5 * float(m.group()) or 1.0)
    for m in re.finditer(r"\bif \((.*)\)$", code, re.M):
        yield path, m.start(1), m.group(1), f"!({m.group(1)})"
    for m in re.finditer(r"^  +(?!return|if|else|for|while|do|case|const|static|struct|enum)[\w>\[\]().*-]+"
                         r"(?: [-+*/|&]?= [^;{}]*|\([^;{}]*\));$", code, re.M):
        yield path, m.start(), m.group(), re.sub(r"\S[\s\S]*", ";", m.group())
    for m in re.finditer(r"\breturn ([^;]+);", code):
        if m.group(1) not in ("0", "NULL", "false", "QB_OK"):
            yield path, m.start(1), m.group(1), "0"


def copy_changed(source, target):
    """With the time of now, for ninja to see that it changed: it may be older than what was broken there."""
    target = pathlib.Path(target)
    if not target.exists() or target.read_bytes() != pathlib.Path(source).read_bytes():
        shutil.copy(source, target)


class Tree:
    """A copy that is broken and mended."""

    def __init__(self):
        self.usual_s = {}  # of each program, with few random cases and with all
        self.source, self.build = FOLDER / "source", FOLDER / "source" / "build"
        shutil.copytree(TREE, self.source, dirs_exist_ok=True, copy_function=copy_changed,
                        ignore=shutil.ignore_patterns("build", ".git", "__pycache__"))
        if not (self.build / "build.ninja").exists():
            subprocess.run(["meson", "setup", self.build, self.source, "-Donednn=disabled", "-Dtests=enabled",
                            "-Dvips=disabled", "-Dmpi=disabled", "-Doptimization=1", "-Ddebug=false"],
                           check=True, stdout=subprocess.DEVNULL)
        self.make(check=True)

    def make(self, check=False):
        targets = [f"tests/unit/test_{name}" for name in PROGRAMS]
        return subprocess.run(["ninja", "-C", self.build, "--quiet", *targets], check=check,
                              capture_output=not check).returncode == 0

    def mutated(self):
        return sorted(path for pattern in MUTATED for path in self.source.glob(pattern))

    def failing(self):
        """The first program that fails, or hangs: with few random cases, and then with all."""
        return self._failing(QUICKLY) or self._failing(FULLY)

    def _failing(self, cases):
        for name in PROGRAMS:
            began = time.monotonic()
            usual_s = self.usual_s.get((name, len(cases)))
            try:
                done = subprocess.run([self.build / "tests" / "unit" / f"test_{name}"], capture_output=True,
                                      timeout=usual_s and 20 + 10 * usual_s, env={**os.environ, **cases})
            except subprocess.TimeoutExpired:
                return f"{name}, which hangs"
            if done.returncode:
                return name
            self.usual_s.setdefault((name, len(cases)), time.monotonic() - began)
        return None


def one_line(text):
    return re.sub(r"\s+", " ", text.strip())


def attempt(tree, site):
    """What became of one mutation, as a line; None if it does not compile."""
    path, at, old, new = site
    text = path.read_text()
    line = text.count("\n", 0, at + len(old) - len(old.lstrip())) + 1
    path.write_text(text[:at] + new + text[at + len(old):])
    try:
        if not tree.make():
            return None
        failing = tree.failing()
    finally:
        path.write_text(text)
    what = f"{path.relative_to(tree.source)}:{line}: '{one_line(old)}' -> '{one_line(new)}'"
    return f"caught by {failing}: {what}" if failing else f"SURVIVED: {what}"


def main():
    FOLDER.mkdir(parents=True, exist_ok=True)
    tree = Tree()
    files = tree.mutated()
    sites = sorted({site for path in files for site in sites_of(path)}, key=str)
    random.Random(SEED).shuffle(sites)
    code = hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()[:8]
    log = FOLDER / f"{code}-{SEED}.log"
    tried = log.read_text().splitlines() if log.exists() else []
    print(f"{len(sites)} places in {len(files)} files, seed {SEED}; {len(tried)} were tried before", flush=True)
    failing = tree.failing()
    if failing:
        sys.exit(f"mutate.py: test_{failing} fails before anything is changed")
    for line in tried:
        print(line)
    results = [line for line in tried if line != "does not compile"]
    for site in sites[len(tried):]:
        if len(results) >= COUNT:
            break
        result = attempt(tree, site)
        with open(log, "a") as to:
            to.write((result or "does not compile") + "\n")
        if result:
            results.append(result)
            print(result, flush=True)
    results = results[:COUNT]
    survived = [r for r in results if r.startswith("SURVIVED")]
    print(f"{len(results) - len(survived)} of {len(results)} mutations caught "
          f"({100 * (1 - len(survived) / len(results)):.0f} %)")


main()
