# SPDX-License-Identifier: Apache-2.0
"""A job whose calls on files fail, or whose machine loses power: test_job_disk.py TOOL FIXTURES FAULTY MOST

Of all faults and power failures at most MOST of a kind are tried, drawn at random.

The same command finishes it afterwards, and the output is that of an undisturbed run. Until then a reader sees
the old output or the new one.
"""
import pathlib
import random
import shutil
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "cli"))
from jobs import MODEL, npy, samples, SIDE  # noqa: E402
from tool import FOLDER, run, run_tests, TOOL, write  # noqa: E402
from checks import each, expect, note  # noqa: E402
from disk import Disk, Preload, fails_of  # noqa: E402

FAULTY, MOST = sys.argv[3], int(sys.argv[4])
OLD = b"of an earlier job"
REASON = "Input/output error"
PROFILE = FOLDER / "rounds_of_4.json"  # and of no other size, as bits depend on it


def make_profile():
    rounds = write("rounds.csv", "instances,threads,batch,latency_ns\n1,1,4,700000\n")
    result = run("profile", MODEL, "--measurements", rounds, "-o", PROFILE)
    expect(result.code == 0, "cannot make a profile", result)


class Job:
    """A job in a folder of its own, over an older output, run once undisturbed."""

    def __init__(self, name, output, count):
        self.folder = FOLDER / name
        self.folder.mkdir()
        self.given = {}
        for path, called in (MODEL, "net.onnx"), (PROFILE, "net.json"):
            self.given[called] = path.read_bytes()
        self.given["x.npy"] = npy(f"{name}.npy", "|u1", (count, 3, SIDE, SIDE), samples(count)).read_bytes()
        self.output = self.folder / output
        self.given[output] = OLD
        self.preload = Preload(FAULTY, self.folder)
        self.begin(self.given)
        done = self.run()
        expect(done.returncode == 0, done.stderr)
        self.expected, self.calls = self.output.read_bytes(), self.preload.calls()
        expect(self.expected != OLD and self.is_clean(), "not finished", *self.folder.iterdir())

    def begin(self, files):
        shutil.rmtree(self.folder)
        self.folder.mkdir()
        for name, data in files.items():
            (self.folder / name).write_bytes(data)

    def run(self, fail=None):
        command = [TOOL, "run", self.folder / "net.onnx", "--profile", self.folder / "net.json", "--input",
                   self.folder / "x.npy", "--output", self.output, "--quiet"]
        return self.preload.run(command, fail)

    def is_clean(self):
        return sorted(p.name for p in self.folder.iterdir()) == sorted(self.given)

    def expect_finished(self, *why):
        done = self.run()
        expect(done.returncode == 0, "cannot go on", *why, done.stderr)
        found = self.output.read_bytes()
        expect(found == self.expected, "another output", *why, self.expected[:500], found[:500])
        expect(self.is_clean(), "something is left", *why, *self.folder.iterdir())


@each([("npy", "y.npy"), ("csv", "y.csv")])
def each_call_fails_once_and_for_ever(name, output):
    job = Job(f"faults-{name}", output, 5)
    failed = 0
    faults = fails_of(job.calls)
    tried = random.sample(faults, min(MOST, len(faults)))
    for fail in tried:
        job.begin(job.given)
        done = job.run(fail)
        why = (f"after call {fail} of {len(faults) // 2} failed:", done.stderr)
        expect(job.output.read_bytes() in (OLD, job.expected), "half an output", *why)
        expect(not job.output.with_name(output + ".tmp").exists(), "a temporary file is left", *why)
        if done.returncode == 0:
            expect(job.output.read_bytes() == job.expected and job.is_clean(), "not finished", *why)
            continue
        failed += 1
        said = done.stderr.splitlines()[-1] if done.stderr else ""
        expect(done.returncode == 1 and REASON in said and str(job.folder) in said, "another end", *why)
        job.expect_finished(*why)
    expect(failed > len(tried) // 2, "too few of the calls matter", failed)
    note(f"{len(faults) // 2} calls, {len(tried)} of {len(faults)} faults, {failed} failed jobs, each finished by the "
         "same command")


@each([("npy", "y.npy"), ("csv", "y.csv")])
def power_fails_after_any_call(name, output):
    job = Job(f"power-{name}", output, 40)
    redone = 0
    for _ in range(MOST):
        number = random.randint(0, len(job.calls))
        disk = Disk(job.folder, job.given)
        for call in job.calls[:number]:
            disk.do(call)
        files = disk.after_power_failure(random)
        why = f"after call {number} of {len(job.calls)}: {[call[:2] for call in job.calls[:number][-3:]]}"
        expect(files[output] in (OLD, job.expected), "half an output", why)
        expect(number < len(job.calls) or files[output] == job.expected, "not kept", why)
        job.begin(files)
        redone += files[output] == OLD
        job.expect_finished(why)
    note(f"{len(job.calls)} calls, {MOST} power failures, {redone} of them before the output was in place; "
         "each job finished by the same command")


make_profile()
run_tests(need_engine=True)
