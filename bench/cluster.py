#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A job on unequal ranks of this machine: qosbatch-mpi against equal shares, in turn.

usage: ./dev bench cluster [SAMPLES] [TURNS]

Two scenes: two ranks with a core each, one of them limited to SSE4.1; and four ranks, of which one
has a core and three share the other. Equal shares are as many jobs of a part each on the same cores at
the same time; they end with the last one. Printed are medians, and the throughput against the sum of
the rates that the ranks' own profiles promise: where ranks share a core, each of them promises what it
can do in an undisturbed moment, which they cannot do together.
"""
import json
import pathlib
import statistics
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[1]
RUNNER = ROOT / "build/tools/qosbatch-mpi/qosbatch-mpi"
SCENES = {  # of each rank: its core, and the best instruction set it may use
    "two ranks, a core each, one limited to SSE4.1": [(0, "ALL"), (1, "SSE41")],
    "four ranks, one with a core, three on the other": [(0, "ALL"), (1, "ALL"), (1, "ALL"), (1, "ALL")],
}
SIDE = 227


def write_samples(path, count):
    header = f"{{'descr': '|u1', 'fortran_order': False, 'shape': ({count}, 3, {SIDE}, {SIDE}), }}"
    sample = bytes((7 * i) % 251 for i in range(3 * SIDE * SIDE))
    with open(path, "wb") as file:
        text = header.ljust(117) + "\n"
        file.write(b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode())
        for i in range(count):
            file.write(sample[i % 97:] + sample[:i % 97])


def rank(where, folder, name, samples):
    core, isa = where
    return ["env", f"ONEDNN_MAX_CPU_ISA={isa}", "taskset", "-c", str(core), str(RUNNER), "alexnet",
            "--input", str(samples), "--output", str(folder / name), "--json", "--quiet",
            "--profile-time", "8"]


MPIRUN = ["mpirun", "--allow-run-as-root", "--oversubscribe", "--bind-to", "none"]


def balanced(ranks, folder, samples):
    command = list(MPIRUN)
    for i, where in enumerate(ranks):
        command += ([":"] if i else []) + ["-np", "1", *rank(where, folder, "all.npy", samples)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    (folder / "all.npy").unlink()
    return json.loads(done.stdout)


def equal(ranks, folder, part):
    jobs = [subprocess.Popen([*MPIRUN, "-np", "1", *rank(where, folder, f"{i}.npy", part)],
                             stdout=subprocess.PIPE, text=True) for i, where in enumerate(ranks)]
    results = [json.loads(job.communicate()[0]) for job in jobs]
    for i in range(len(ranks)):
        (folder / f"{i}.npy").unlink()
    return max(result["measured_ns"] for result in results)


def play(name, ranks, folder, count, turns):
    print(f"{name}:")
    write_samples(folder / "part.npy", count // len(ranks))
    ours, theirs, shares = [], [], []
    for _ in range(turns):
        result = balanced(ranks, folder, folder / "x.npy")
        ours.append(result["measured_ns"] / 1e9)
        promised = sum(r["profiled_per_s"] for r in result["ranks"])
        shares.append(result["throughput_per_s"] / promised)
        for (core, isa), r in zip(ranks, result["ranks"]):
            print(f"  core {core}, {isa}: {r['samples']} samples in rounds of {r['batch']}, "
                  f"profiled {r['profiled_per_s']:.1f}/s, at the end {r['speed']:.2f} of it")
        theirs.append(equal(ranks, folder, folder / "part.npy") / 1e9)
    a, b = statistics.median(ours), statistics.median(theirs)
    print(f"  {count} samples, {turns} turn(s): qosbatch-mpi {a:.2f} s, equal shares {b:.2f} s: "
          f"{b / a:.2f}x; throughput {statistics.median(shares):.3f} of the sum of the ranks' profiles",
          flush=True)


def main():
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 2000
    turns = int(sys.argv[2]) if len(sys.argv) > 2 else 1
    with tempfile.TemporaryDirectory(prefix="qosbatch-bench-") as name:
        folder = pathlib.Path(name)
        write_samples(folder / "x.npy", count)
        for scene, ranks in SCENES.items():
            play(scene, ranks, folder, count, turns)


main()
