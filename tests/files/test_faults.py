# SPDX-License-Identifier: Apache-2.0
"""Each call on a file fails, once and for ever: test_faults.py FAULTY STORE FIXTURES

After it the old file is whole, nothing is left beside it, and the message says what failed and why.
"""
import collections
import pathlib
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
from checks import each, expect, note, run_tests  # noqa: E402
from disk import Preload, fails_of  # noqa: E402

FAULTY, STORE, SOURCE = (pathlib.Path(path).resolve() for path in sys.argv[1:4])
SCRATCH = tempfile.TemporaryDirectory(prefix="qosbatch-faults-")
REASON = "Input/output error"


def kinds_of(calls):
    names = {"truncate": "ftruncate", "allocate": "fallocate"}
    kinds = collections.Counter(call[1] if call[0] == "none" else names.get(call[0], call[0]) for call in calls)
    return ", ".join(f"{count} {kind}" for kind, count in sorted(kinds.items()))


@each([(f"{kind}, {'old' if old else 'new'}", kind, old) for kind in ("profile", "node") for old in (True, False)])
def a_save_fails_clearly_and_changes_nothing(_, kind, old):
    folder = pathlib.Path(SCRATCH.name) / f"save-{kind}-{old}"
    folder.mkdir()
    path, preload = folder / "kept.json", Preload(FAULTY, folder)
    texts = []
    for seed in (1, 2):
        done = preload.run([STORE, "save", kind, path, str(seed)])
        expect(done.returncode == 0, done.stderr)
        texts.append(path.read_bytes())
    calls, failed = preload.calls(), 0
    for fail in fails_of(calls):
        for left in folder.iterdir():
            left.unlink()
        if old:
            path.write_bytes(texts[0])
        done = preload.run([STORE, "save", kind, path, "2"], fail)
        expect([p.name for p in folder.iterdir()] in ([path.name], [] if not old else [path.name]),
               f"something is left after call {fail} failed:", *folder.iterdir(), done.stderr)
        if done.returncode == 0:  # a folder that cannot be synced still holds the new file
            expect(path.read_bytes() == texts[1], f"not saved though it says so: {fail}")
            continue
        failed += 1
        expect(done.returncode == 1 and REASON in done.stderr and str(path) in done.stderr,
               f"another end: {fail}", done.returncode, done.stderr)
        expect(path.read_bytes() == texts[0] if old else not path.exists(), f"changed: {fail}")
    expect(failed >= 8, "too few of the calls matter", kinds_of(calls))
    note(f"{kinds_of(calls)}: {len(fails_of(calls))} faults, {failed} failed saves")


@each([("profile", "tests/fixtures/alexnet.json"), ("node", None), ("catalogue", "examples/catalogue.json")])
def a_load_fails_clearly(kind, example):
    folder = pathlib.Path(SCRATCH.name) / f"load-{kind}"
    folder.mkdir()
    path, preload = folder / "kept.json", Preload(FAULTY, folder)
    if example:
        shutil.copy(SOURCE / example, path)
    else:
        subprocess.run([STORE, "save", kind, path], check=True)
    before = path.read_bytes()
    expect(preload.run([STORE, "load", kind, path]).returncode == 0, "cannot be loaded")
    calls, failed = preload.calls(), 0
    for fail in fails_of(calls):
        done = preload.run([STORE, "load", kind, path], fail)
        expect(path.read_bytes() == before and len(list(folder.iterdir())) == 1, "changed", fail)
        failed += done.returncode != 0
        said_why = done.returncode == 1 and REASON in done.stderr and str(path) in done.stderr
        expect(done.returncode == 0 or said_why, f"another end: {fail}", done.returncode, done.stderr)
    expect(failed >= 4, "too few of the calls matter", kinds_of(calls))
    note(f"{kinds_of(calls)}: {len(fails_of(calls))} faults, {failed} failed loads")


run_tests()
