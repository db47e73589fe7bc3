# SPDX-License-Identifier: Apache-2.0
"""What 'qosbatch run' makes of 2,000 samples of AlexNet, end to end.

A profile is measured, then run in turn: rounds of the planned batch and configuration and nothing
else, a job, such rounds again, and a job with a profile that knows batch 1 only. The throughput of a
job, from its first round to its last row, is set against that of the rounds before and after it, which
a busy machine slows alike, and against batch 1; its time against the predicted one.

usage: run.py [SAMPLES] [PAIRS]
"""
import array
import json
import os
import pathlib
import random
import statistics
import struct
import subprocess
import sys
import tempfile

SAMPLES = int(sys.argv[1]) if len(sys.argv) > 1 else 2000
PAIRS = int(sys.argv[2]) if len(sys.argv) > 2 else 3
ALONE_S = 4  # of rounds alone
BUILD = pathlib.Path(__file__).resolve().parent.parent / "build"
TOOL, ROUNDS = BUILD / "tools/qosbatch/qosbatch", BUILD / "bench/rounds"
SHAPE = (3, 227, 227)
ELEMENTS = SHAPE[0] * SHAPE[1] * SHAPE[2]


def tool(*arguments):
    done = subprocess.run([TOOL, *map(str, arguments), "--json"], stdout=subprocess.PIPE, check=True)
    return json.loads(done.stdout)


def write_samples(path):
    random.seed(1)
    some = array.array("f", (b / 255 - 0.5 for b in random.randbytes(2 * ELEMENTS)))
    header = (f"{{'descr': '<f4', 'fortran_order': False, 'shape': {(SAMPLES, *SHAPE)}, }}").encode()
    header += b" " * (-(len(header) + 11) % 64) + b"\n"
    with open(path, "wb") as file:
        file.write(b"\x93NUMPY\1\0" + struct.pack("<H", len(header)) + header)
        for _ in range(SAMPLES):
            start = random.randrange(ELEMENTS)
            file.write(some[start:start + ELEMENTS].tobytes())


class Alone:
    """Rounds as a job has them, without its input and output."""

    def __init__(self, job, profile):
        self.batch = job["batch"]
        self.process = subprocess.Popen(
            [ROUNDS, "alexnet", str(job["instances"]), str(job["threads"]), profile],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.process.stdout.readline()
        self.per_s(0.1)

    def per_s(self, seconds=ALONE_S):
        print("run", self.batch, seconds, file=self.process.stdin, flush=True)
        return float(self.process.stdout.readline())

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        self.process.wait()


def main():
    with tempfile.TemporaryDirectory(prefix="qosbatch-bench-") as name:
        folder = pathlib.Path(name)
        samples, planned, single = folder / "x.npy", folder / "planned.json", folder / "single.json"
        write_samples(samples)
        os.sync()  # or it is written out while jobs run
        tool("profile", "alexnet", "-o", planned, "--max-batch", "32", "--quiet")
        profile = json.loads(planned.read_text())
        of_one = [p for p in profile["points"] if p["batch"] == 1]
        single.write_text(json.dumps({**profile, "points": of_one}))

        def run(of):
            return tool("run", "alexnet", "--input", samples, "--output", folder / "y.npy", "--profile",
                        of, "--quiet")

        job = run(planned)  # not counted: the first to read the samples
        to_alone, to_one, errors, within = [], [], [], 0
        with Alone(job, planned) as alone:
            for pair in range(PAIRS):
                before = alone.per_s()
                job = run(planned)
                after = alone.per_s()
                one = run(single)
                to_alone.append(job["throughput_per_s"] / statistics.mean((before, after)))
                to_one.append(job["throughput_per_s"] / one["throughput_per_s"])
                errors.append(job["predicted_ns"] / job["measured_ns"] - 1)
                within += job["predicted_low_ns"] <= job["measured_ns"] <= job["predicted_high_ns"]
                print(f"{pair + 1}: rounds of {job['batch']} on {job['instances']} x {job['threads']}: "
                      f"{job['throughput_per_s']:.1f} samples/s; rounds alone {before:.1f} before, "
                      f"{after:.1f} after; batch 1 on {one['instances']} x {one['threads']}: "
                      f"{one['throughput_per_s']:.1f}; predicted {job['predicted_ns'] / 1e9:.2f} s, "
                      f"measured {job['measured_ns'] / 1e9:.2f} s", flush=True)
        print(f"{SAMPLES} samples end to end, medians of {PAIRS}: "
              f"{statistics.median(to_alone):.3f} of the throughput of rounds alone, "
              f"{statistics.median(to_one):.2f} times that of batch 1; predicted against measured "
              f"{100 * statistics.median(errors):+.1f} %, {within} of {PAIRS} within the interval")


main()
