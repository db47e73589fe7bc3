#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A job on four unequal ranks of this machine: qosbatch-mpi against equal shares, in turn.

usage: ./dev bench cluster [SAMPLES] [TURNS]

Rank 0 has a core, the three others share one. Equal shares are four jobs of a quarter each on the
same cores at the same time; they end with the last one. Printed are medians, and the throughput
against the sum of the rates that the ranks' own profiles promise.
"""
import json
import pathlib
import statistics
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[1]
RUNNER = ROOT / "build/tools/qosbatch-mpi/qosbatch-mpi"
CORES = [0, 1, 1, 1]
SIDE = 227


def write_samples(path, count):
    header = f"{{'descr': '|u1', 'fortran_order': False, 'shape': ({count}, 3, {SIDE}, {SIDE}), }}"
    sample = bytes((7 * i) % 251 for i in range(3 * SIDE * SIDE))
    with open(path, "wb") as file:
        text = header.ljust(117) + "\n"
        file.write(b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode())
        for i in range(count):
            file.write(sample[i % 97:] + sample[:i % 97])


def rank(core, folder, name, samples):
    return ["taskset", "-c", str(core), str(RUNNER), "alexnet", "--input", str(samples), "--output",
            str(folder / name), "--json", "--quiet", "--profile-time", "8"]


MPIRUN = ["mpirun", "--allow-run-as-root", "--oversubscribe", "--bind-to", "none"]


def balanced(folder, samples):
    command = list(MPIRUN)
    for i, core in enumerate(CORES):
        command += ([":"] if i else []) + ["-np", "1", *rank(core, folder, "all.npy", samples)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    (folder / "all.npy").unlink()
    return json.loads(done.stdout)


def equal(folder, quarter):
    jobs = [subprocess.Popen([*MPIRUN, "-np", "1", *rank(core, folder, f"{i}.npy", quarter)],
                             stdout=subprocess.PIPE, text=True) for i, core in enumerate(CORES)]
    results = [json.loads(job.communicate()[0]) for job in jobs]
    return max(result["measured_ns"] for result in results)


def main():
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 2000
    turns = int(sys.argv[2]) if len(sys.argv) > 2 else 1
    with tempfile.TemporaryDirectory(prefix="qosbatch-bench-") as name:
        folder = pathlib.Path(name)
        write_samples(folder / "x.npy", count)
        write_samples(folder / "quarter.npy", count // 4)
        ours, theirs, shares = [], [], []
        for _ in range(turns):
            result = balanced(folder, folder / "x.npy")
            ours.append(result["measured_ns"] / 1e9)
            promised = sum(r["profiled_per_s"] for r in result["ranks"])
            shares.append(result["throughput_per_s"] / promised)
            for i, r in enumerate(result["ranks"]):
                print(f"rank {i}, core {CORES[i]}: {r['samples']} samples in rounds of {r['batch']}, "
                      f"profiled {r['profiled_per_s']:.1f}/s, at the end {r['speed']:.2f} of it")
            theirs.append(equal(folder, folder / "quarter.npy") / 1e9)
        a, b = statistics.median(ours), statistics.median(theirs)
        print(f"{count} samples, {turns} turn(s): qosbatch-mpi {a:.2f} s, equal shares {b:.2f} s: "
              f"{b / a:.2f}x")
        print(f"throughput: {statistics.median(shares):.3f} of the sum of the ranks' profiles")


main()
