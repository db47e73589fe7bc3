#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""libqosbatch against ONNX Runtime on the same cores: rivals.py BUILD [MODEL...]

Both run the same networks with the same weights, in turn (A B A B), each with every number of
instances x threads that fills the cores. Prints samples per second (medians over turns), each
side's fraction of the measured multiply-add peak, and for every batch size the ratio of the two
sides' best configurations; writes them as CSV and as a picture next to the build.
"""
import json
import math
import pathlib
import statistics
import subprocess
import sys

import sides

BATCHES = [1, 2, 4, 8, 16, 32]
TURNS = 5
TURN_S = 0.5


def compare(build, model, folder, node, csv):
    flops = json.loads(run_tool(build, "show", model, "--json"))["flops_per_sample"]
    network = folder / f"{model}.onnx"
    subprocess.run([build / "bench/export_onnx", model, network], check=True)
    package = folder / "node_modules/onnxruntime-node"
    ours, theirs = sides.start(node["usable_threads"], [build / "bench/rounds", model], network, package)
    worst = sides.difference(ours[0], theirs[0], folder)
    if not worst <= 1e-3:
        sys.exit(f"rivals: outputs differ by {worst:g} of the largest")
    both = [side for pair in zip(ours, theirs) for side in pair]
    rates = sides.measure(both, BATCHES, TURNS, TURN_S)
    peak = node["compute_flops"]

    print(f"\n{model}: outputs agree to {worst:.1e}; samples/s (of the peak, {peak / 1e9:.0f} GFLOP/s)")
    print(f"{'batch':>5}" + "".join(f"{side.name:>22}" for side in both) + f"{'ratio of best':>15}")
    ratios = []
    for batch in BATCHES:
        ratios.append(sides.ratio_of_best(rates, ours, theirs, batch))
        cells = "".join(f"{rates[s, batch]:>13.1f} ({100 * rates[s, batch] * flops / peak:4.1f} %)" for s in both)
        print(f"{batch:>5}{cells}{ratios[-1]:>15.3f}")
        for side in both:
            csv.write(f"{model},{side.name},{batch},{rates[side, batch]:.2f},{rates[side, batch] * flops / peak:.4f}\n")
    mean = math.exp(statistics.mean(map(math.log, ratios)))
    print(f"geometric mean {mean:.3f}, least {min(ratios):.3f}", flush=True)
    for side in both:
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
