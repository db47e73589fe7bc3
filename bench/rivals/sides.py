# SPDX-License-Identifier: Apache-2.0
"""libqosbatch and ONNX Runtime as processes that run rounds in turn, one for each configuration."""
import array
import pathlib
import statistics
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
SETTLE_S = 0.05  # idle teams stop spinning


class Side:
    """A process that runs rounds in one configuration."""

    def __init__(self, name, argv):
        self.name = name
        self.process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.expect("ready")

    def ask(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        return self.answer()

    def answer(self):
        line = self.process.stdout.readline()
        if not line:
            sys.exit(f"rivals: {self.name} ended with status {self.process.wait()}")
        return line.strip()

    def expect(self, what):
        line = self.answer()
        if line != what:
            sys.exit(f"rivals: {self.name} says '{line}', not '{what}'")

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def configurations(cores):
    return [(cores // t, t) for t in range(cores, 0, -1) if cores % t == 0]


def start(cores, program, network, package):
    """Our sides, which `program` starts, and those of ONNX Runtime on the file `network`."""
    ours, theirs = [], []
    for instances, threads in configurations(cores):
        shape = [str(instances), str(threads)]
        name = f"{instances} x {threads}"
        ours.append(Side(f"ours {name}", [*program, *shape]))
        theirs.append(Side(f"ONNX Runtime {name}", ["node", HERE / "onnxruntime.mjs", package, network, *shape]))
    return ours, theirs


def outputs(side, path):
    if side.ask(f"output 4 {path}") != "written":
        sys.exit(f"rivals: {side.name} wrote no output")
    values = array.array("f")
    values.frombytes(path.read_bytes())
    path.unlink()
    return values


def difference(ours, theirs, folder):
    """Of the outputs for the same input: the largest, as a share of the largest output."""
    a = outputs(ours, folder / "ours.bin")
    b = outputs(theirs, folder / "theirs.bin")
    if len(a) != len(b):
        return float("inf")
    return max(abs(x - y) for x, y in zip(a, b)) / max(map(abs, b))


def measure(sides, batches, turns, turn_s):
    """Samples per second of every side and batch size: medians over turns."""
    seen = {(side, batch): [] for side in sides for batch in batches}
    for turn in range(turns):
        for batch in batches:
            for side in sides if turn % 2 else sides[::-1]:
                time.sleep(SETTLE_S)
                seen[side, batch].append(float(side.ask(f"run {batch} {turn_s}")))
    return {key: statistics.median(values) for key, values in seen.items()}


def ratio_of_best(rates, ours, theirs, batch):
    best = [max(rates[side, batch] for side in group) for group in (ours, theirs)]
    return best[0] / best[1]
