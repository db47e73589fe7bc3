# SPDX-License-Identifier: Apache-2.0
"""Power fails after any call, and several processes save one file: test_crashes.py FAULTY STORE

A saved file is always the old one or the new one, whole; after the save it is the new one.
"""
import pathlib
import random
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
from checks import chosen_seed, each, expect, note, run_tests, test  # noqa: E402
from disk import Disk, Preload  # noqa: E402

FAULTY, STORE = (pathlib.Path(path).resolve() for path in sys.argv[1:3])
SCRATCH = tempfile.TemporaryDirectory(prefix="qosbatch-crashes-")
STATES = 100  # after each call
KINDS = [("profile",), ("node",)]
random.seed(chosen_seed())


def folder_of(name):
    folder = pathlib.Path(SCRATCH.name) / name
    folder.mkdir()
    return folder


def store(*words):
    return subprocess.run([STORE, *map(str, words)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def saved_over(kind, old):
    """The folder, the old and the new file, and the calls between them."""
    folder = folder_of(f"{kind}-{'over' if old else 'fresh'}-{random.getrandbits(32)}")
    path = folder / "kept.json"
    preload = Preload(FAULTY, folder)
    before = None
    if old:
        expect(store("save", kind, path, 1).returncode == 0, "cannot save")
        before = path.read_bytes()
    done = preload.run([STORE, "save", kind, path, 2])
    expect(done.returncode == 0, done.stderr)
    after = path.read_bytes()
    expect(before != after, "the two are the same")
    return folder, before, after, preload.calls()


def states_after(folder, before, calls):
    """After each call, the number of calls and what is found of the file."""
    disk = Disk(folder, {"kept.json": before} if before is not None else {})
    for number in range(len(calls) + 1):
        if number:
            disk.do(calls[number - 1])
        for _ in range(STATES):
            yield number, disk.after_power_failure(random).get("kept.json")


@each([(f"{kind[0]}, {'old' if old else 'new'}", kind[0], old) for kind in KINDS for old in (True, False)])
def power_failure_in_a_save_leaves_the_old_or_the_new_file(_, kind, old):
    folder, before, after, calls = saved_over(kind, old)
    found = {"old": 0, "new": 0}
    for number, data in states_after(folder, before, calls):
        expect(data in (before, after), f"neither the old nor the new file after call {number}:",
               *calls[max(0, number - 3):number])
        expect(number < len(calls) or data == after, "not kept, though the save has returned")
        found["new" if data == after else "old"] += 1
    expect(all(found.values()), "the cases are one-sided", found)
    note(f"{len(calls)} calls, {sum(found.values())} power failures: {found['old']} left the old file, "
         f"{found['new']} the new one")


@each([("of the file", 0), ("of the folder", 1)])
def a_save_without_its_sync_is_found_out(_, which):
    """The test above can fail."""
    folder, before, after, calls = saved_over("profile", True)
    syncs = [n for n, call in enumerate(calls) if call[0] == "fsync"]
    expect(len(syncs) == 2, "expected one sync of the file and one of the folder", syncs)
    del calls[syncs[which]]
    wrong = [number for number, data in states_after(folder, before, calls)
             if data not in (before, after) or (number == len(calls) and data != after)]
    expect(wrong, "not found out")


@test
def eight_processes_save_one_profile():
    """Whoever reads meanwhile sees one of them, whole."""
    folder, many = folder_of("eight"), 8
    path, wholes = folder / "kept.json", set()
    for seed in range(1, many + 1):
        expect(store("save", "profile", path, seed).returncode == 0, "cannot save")
        wholes.add(path.read_bytes())
    processes = [subprocess.Popen([STORE, "save", "profile", path, str(seed), "100"], stderr=subprocess.PIPE)
                 for seed in range(1, many + 1)]
    seen, reads = set(), 0
    while any(p.poll() is None for p in processes) or not reads:
        data = path.read_bytes()
        expect(data in wholes, "a mixture", data[:200])
        seen.add(data)
        reads += 1
    for p in processes:
        expect(p.wait() == 0, p.communicate()[1])
    expect([p.name for p in folder.iterdir()] == ["kept.json"], "something was left", *folder.iterdir())
    expect(path.read_bytes() in wholes, "a mixture")
    note(f"800 saves, {reads} reads of {len(seen)} of 8 versions")


run_tests()
