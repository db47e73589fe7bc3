# SPDX-License-Identifier: Apache-2.0
"""What 'qosbatch run' makes of 2,000 samples of AlexNet, end to end.

A profile is measured, then jobs run in turn: as planned, and with a profile that knows batch 1 only. The
throughput of a job, from its first round to its last row on disk, is set against that of the best
batch, which is measured again beside each job, and against batch 1.

usage: run.py [SAMPLES] [PAIRS]
"""
import array
import json
import pathlib
import random
import statistics
import struct
import subprocess
import sys
import tempfile

SAMPLES = int(sys.argv[1]) if len(sys.argv) > 1 else 2000
PAIRS = int(sys.argv[2]) if len(sys.argv) > 2 else 1
TOOL = pathlib.Path(__file__).resolve().parent.parent / "build/tools/qosbatch/qosbatch"
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


def best_throughput(job, measured):
    """Samples/s of the job's own batch and configuration, in rounds that are timed alone."""
    tool("profile", "alexnet", "-o", measured, "--batch", job["batch"], "--instances",
         job["instances"], "--threads", job["threads"], "--time-budget", "8", "--quiet")
    point = json.loads(measured.read_text())["points"][0]
    return 1e9 * point["instances"] * point["batch"] / point["latency_ns"]


def main():
    with tempfile.TemporaryDirectory(prefix="qosbatch-bench-") as name:
        folder = pathlib.Path(name)
        samples, planned, single = folder / "x.npy", folder / "planned.json", folder / "single.json"
        write_samples(samples)
        tool("profile", "alexnet", "-o", planned, "--max-batch", "32", "--time-budget", "20", "--quiet")
        profile = json.loads(planned.read_text())
        of_one = [p for p in profile["points"] if p["batch"] == 1]
        single.write_text(json.dumps({**profile, "points": of_one}))
        to_best, to_one, errors = [], [], []
        for pair in range(PAIRS):
            job = tool("run", "alexnet", "--input", samples, "--output", folder / "y.npy", "--profile",
                       planned, "--quiet")
            best = best_throughput(job, folder / "again.json")
            one = tool("run", "alexnet", "--input", samples, "--output", folder / "y1.npy", "--profile",
                       single, "--quiet")
            to_best.append(job["throughput_per_s"] / best)
            to_one.append(job["throughput_per_s"] / one["throughput_per_s"])
            errors.append(job["predicted_ns"] / job["measured_ns"] - 1)
            print(f"{pair + 1}: rounds of {job['batch']} on {job['instances']} x {job['threads']}: "
                  f"{job['throughput_per_s']:.1f} samples/s; timed alone {best:.1f}; "
                  f"batch 1 on {one['instances']} x {one['threads']}: "
                  f"{one['throughput_per_s']:.1f}; predicted {job['predicted_ns'] / 1e9:.2f} s, "
                  f"measured {job['measured_ns'] / 1e9:.2f} s", flush=True)
        print(f"{SAMPLES} samples end to end, medians of {PAIRS}: "
              f"{statistics.median(to_best):.3f} of the best batch's throughput, "
              f"{statistics.median(to_one):.2f} times that of batch 1; "
              f"predicted against measured {100 * statistics.median(errors):+.1f} %")


main()
