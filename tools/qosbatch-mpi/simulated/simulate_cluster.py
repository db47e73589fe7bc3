#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The cluster runner on 16, 256 and 1,024 nodes of four kinds, under SimGrid's SMPI.

usage: ./dev bench simulate-cluster [SECONDS [NODES...]]

The program of qosbatch-mpi with its rounds stood in for by the times of profiles (with noise), on a
network of 10 Gbit/s links with 50 us. A job is as long as all nodes at their best rates need
SECONDS for (60). Undisturbed, and with 5 % of the nodes taking twice as long from half-way on.
Prints the time against the lower bound (all work over all rates) beside equal shares and one fixed
batch, and draws build/simulate/cluster.png.
"""
import copy
import json
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[3]
FOLDER = ROOT / "build/simulate"
SIZES = [int(size) for size in sys.argv[2:]] or [16, 256, 1024]
POLICIES = ["qosbatch", "equal", "32"]
SLOWED = "\\n5 % slowed"
NAMES = {"qosbatch": "qosbatch-mpi", "equal": "equal shares", "32": "batch 32"}
PROGRAM = ROOT / "build/tools/qosbatch-mpi/qosbatch-mpi-simulated.so"


def kind(profile, name, factor):
    """A node whose rounds take factor(batch) times as long."""
    made = copy.deepcopy(profile)
    made["node"]["cpu"] = name
    before = {}
    for point in made["points"]:
        where = (point["instances"], point["threads"])
        for field in ("low_ns", "latency_ns", "high_ns", "p95_ns", "mean_ns"):
            value = round(point[field] * factor(point["batch"]))
            point[field] = max(value, before.get((where, field), 1))
            before[where, field] = point[field]
        point["latency_ns"] = max(point["latency_ns"], point["low_ns"])
        point["high_ns"] = max(point["high_ns"], point["latency_ns"])
        point["p95_ns"] = max(point["p95_ns"], point["latency_ns"])
        point["mean_ns"] = max(point["mean_ns"], point["latency_ns"])
    path = FOLDER / f"{name}.json"
    path.write_text(json.dumps(made))
    return path


def make_kinds():
    profile = json.loads((ROOT / "tests/fixtures/alexnet.json").read_text())
    return [
        kind(profile, "measured", lambda b: 1),
        kind(profile, "old", lambda b: 2.3),
        # Activations leave the cache beyond 8 samples.
        kind(profile, "small-cache", lambda b: 0.8 if b <= 8 else 1.3),
        # Much compute, little bandwidth: weights are dear, so batches want to be large.
        kind(profile, "wide", lambda b: 0.35 + 0.9 / b),
    ]


def platform(nodes):
    path = FOLDER / f"platform-{nodes}.xml"
    path.write_text(f"""<?xml version='1.0'?>
<!DOCTYPE platform SYSTEM "https://simgrid.org/simgrid.dtd">
<platform version="4.1">
  <cluster id="cluster" prefix="node-" suffix="" radical="0-{nodes}" speed="1Gf" bw="1.25GBps"
           lat="50us"/>
</platform>
""")
    (FOLDER / f"hosts-{nodes}").write_text("".join(f"node-{i}\n" for i in range(nodes + 1)))
    return path


def run(nodes, policy, samples, slow_from_s, kinds):
    done = subprocess.run(
        ["smpirun", "-np", str(nodes + 1), "-platform", str(platform(nodes)), "-hostfile",
         str(FOLDER / f"hosts-{nodes}"), "--cfg=smpi/simulate-computation:no",
         # As MPI libraries do: small messages are on their way before anybody receives them.
         "--cfg=smpi/async-small-thresh:65536",
         # SMPI's own 100 us are for programs that poll; asking for a message takes about this long.
         "--cfg=smpi/iprobe:2e-6", "--log=root.thres:error",
         str(PROGRAM), policy, str(samples), repr(slow_from_s), *map(str, kinds)],
        capture_output=True, text=True)
    lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
    if done.returncode or len(lines) != 1:
        sys.exit(f"simulation of {nodes} nodes, {policy}: {done.stdout[-2000:]}{done.stderr[-2000:]}")
    return json.loads(lines[0])


def draw(rows):
    data = FOLDER / "cluster.dat"
    with open(data, "w") as file:
        for slowed in (False, True):
            for nodes in SIZES:
                values = [rows[nodes, slowed, policy] for policy in POLICIES]
                label = f"\"{nodes:,} nodes{SLOWED if slowed else ''}\""
                print(label, *[f"{100 * v:.2f}" for v in values], file=file)
    plots = ", ".join(f"'{data}' using {2 + i}:xtic(1) title '{NAMES[p]}'"
                      for i, p in enumerate(POLICIES))
    script = f"""set terminal pngcairo size 1100,520 font 'sans,11'
set output '{FOLDER}/cluster.png'
set style data histogram
set style histogram clustered gap 1
set style fill solid 0.9 border -1
set yrange [0:105]
set ylabel 'of the lower bound [%]'
set key outside top center horizontal
set grid y
set xtics nomirror font ',10'
plot {plots}
"""
    subprocess.run(["gnuplot"], input=script, text=True, check=True)


def main():
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 60
    FOLDER.mkdir(parents=True, exist_ok=True)
    kinds, rows = make_kinds(), {}
    print(f"{'nodes':>6}  {'slowed':>6}  {'samples':>9}  {'bound [s]':>9}  "
          + "  ".join(f"{NAMES[p]:>14}" for p in POLICIES) + "   (of the bound)")
    for slowed in (False, True):
        for nodes in SIZES:
            probe = run(nodes, "equal", 1000 * nodes, 0, kinds)
            samples = round(1000 * nodes / probe["bound_s"] * seconds)
            cells = []
            for policy in POLICIES:
                result = run(nodes, policy, samples, seconds / 2 if slowed else 0, kinds)
                rows[nodes, slowed, policy] = result["bound_s"] / result["elapsed_s"]
                cells.append(f"{result['elapsed_s']:7.1f} s {rows[nodes, slowed, policy]:.3f}")
            print(f"{nodes:>6}  {'5 %' if slowed else '-':>6}  {samples:>9}  "
                  f"{result['bound_s']:>9.2f}  " + "  ".join(f"{cell:>14}" for cell in cells),
                  flush=True)
    draw(rows)
    print(f"picture: {FOLDER.relative_to(ROOT)}/cluster.png")


main()
