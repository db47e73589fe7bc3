#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""libqosbatch against ONNX Runtime on the same cores: rivals.py BUILD [MODEL...]

Both run the same networks with the same weights, in turn (A B A B), each with every number of
instances x threads that fills the cores. Prints samples per second (medians over turns), each
side's fraction of the measured multiply-add peak, and for every batch size the ratio of the two
sides' best configurations; writes them as CSV and as a picture next to the build.
"""
import array
import json
import math
import pathlib
import statistics
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).parent
BATCHES = [1, 2, 4, 8, 16, 32]
TURNS = 5
TURN_S = 0.5
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


def outputs(side, path):
    if side.ask(f"output 4 {path}") != "written":
        sys.exit(f"rivals: {side.name} wrote no output")
    values = array.array("f")
    values.frombytes(path.read_bytes())
    return values


def check_same(ours, theirs, folder):
    a = outputs(ours, folder / "ours.bin")
    b = outputs(theirs, folder / "theirs.bin")
    worst = max(abs(x - y) for x, y in zip(a, b)) / max(map(abs, b))
    if len(a) != len(b) or not worst <= 1e-3:
        sys.exit(f"rivals: outputs differ by {worst:g} of the largest")
    return worst


def configurations(cores):
    return [(cores // t, t) for t in range(cores, 0, -1) if cores % t == 0]


def measure(sides):
    """Samples per second of every side and batch size: medians over turns."""
    seen = {(side, batch): [] for side in sides for batch in BATCHES}
    for turn in range(TURNS):
        for batch in BATCHES:
            for side in sides if turn % 2 else sides[::-1]:
                time.sleep(SETTLE_S)
                seen[side, batch].append(float(side.ask(f"run {batch} {TURN_S}")))
    return {key: statistics.median(values) for key, values in seen.items()}


def compare(build, model, folder, node, csv):
    flops = json.loads(run_tool(build, "show", model, "--json"))["flops_per_sample"]
    network = folder / f"{model}.onnx"
    subprocess.run([build / "bench/export_onnx", model, network], check=True)
    package = folder / "node_modules/onnxruntime-node"
    ours, theirs = [], []
    for instances, threads in configurations(node["usable_threads"]):
        shape = [str(instances), str(threads)]
        name = f"{instances} x {threads}"
        ours.append(Side(f"ours {name}", [build / "bench/rounds", model, *shape]))
        theirs.append(Side(f"ONNX Runtime {name}", ["node", HERE / "onnxruntime.mjs", package, network, *shape]))
    worst = check_same(ours[0], theirs[0], folder)
    sides = [side for pair in zip(ours, theirs) for side in pair]
    rates = measure(sides)
    peak = node["compute_flops"]

    print(f"\n{model}: outputs agree to {worst:.1e}; samples/s (of the peak, {peak / 1e9:.0f} GFLOP/s)")
    print(f"{'batch':>5}" + "".join(f"{side.name:>22}" for side in sides) + f"{'ratio of best':>15}")
    ratios = []
    for batch in BATCHES:
        best = [max(rates[side, batch] for side in group) for group in (ours, theirs)]
        ratios.append(best[0] / best[1])
        cells = "".join(f"{rates[s, batch]:>13.1f} ({100 * rates[s, batch] * flops / peak:4.1f} %)" for s in sides)
        print(f"{batch:>5}{cells}{ratios[-1]:>15.3f}")
        for side in sides:
            csv.write(f"{model},{side.name},{batch},{rates[side, batch]:.2f},{rates[side, batch] * flops / peak:.4f}\n")
    mean = math.exp(statistics.mean(map(math.log, ratios)))
    print(f"geometric mean {mean:.3f}, least {min(ratios):.3f}", flush=True)
    for side in sides:
        side.close()
    return ratios


def run_tool(build, *arguments):
    return subprocess.run([build / "tools/qosbatch/qosbatch", *arguments], check=True, capture_output=True).stdout


def draw(folder, ratios):
    data = "".join(f"{batch} {' '.join(f'{r[i]:.4f}' for r in ratios.values())}\n" for i, batch in enumerate(BATCHES))
    (folder / "ratios.dat").write_text(data)
    plots = ", ".join(
        f"'ratios.dat' using 1:{i + 2} with linespoints lw 2 pt 7 title '{model}'" for i, model in enumerate(ratios))
    script = f"""set terminal svg size 640,400 font 'sans,12' background 'white'
set output 'rivals.svg'
set title 'libqosbatch / ONNX Runtime, best configurations'
set logscale x 2
set xlabel 'batch'
set ylabel 'ratio of samples per second'
set yrange [0:*]
set key bottom right
set arrow from graph 0,first 1 to graph 1,first 1 nohead dashtype 2
plot {plots}
"""
    subprocess.run(["gnuplot"], input=script, text=True, cwd=folder, check=True)


def main():
    build = pathlib.Path(sys.argv[1]).resolve()
    folder = build / "rivals"
    node = json.loads(run_tool(build, "node", "--json"))
    ratios = {}
    with open(folder / "rivals.csv", "w", encoding="utf-8") as csv:
        csv.write("model,side,batch,samples_per_s,peak_fraction\n")
        for model in sys.argv[2:] or ["alexnet", "resnet50"]:
            ratios[model] = compare(build, model, folder, node, csv)
    draw(folder, ratios)
    print(f"\n{folder / 'rivals.csv'}, {folder / 'rivals.svg'}")


main()
