# SPDX-License-Identifier: Apache-2.0
"""Samples per second of torchvision's networks beside ONNX Runtime's, in turn, by best configurations."""
import json
import math
import pathlib
import statistics
import subprocess
import sys

import check

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "rivals"))
import sides  # noqa: E402

BATCHES = [1, 8, 32]
OPSET = 17
TURNS, TURN_S = 3, 0.4
QUICK_TURN_S = 0.2


def export(exporter, name):
    network, reason = exporter.export(name, OPSET)
    if reason:
        sys.exit(f"zoo: {name}: {reason}")
    return network


def measure(build, network, cores, quick):
    """{batch: (our samples per second, theirs, {side: samples per second})} and the outputs' difference."""
    package = build / "rivals/node_modules/onnxruntime-node"
    ours, theirs = sides.start(cores, [build / "bench/rounds", network], network, package)
    differ = sides.difference(ours[0], theirs[0], build / "zoo")
    both = [side for pair in zip(ours, theirs) for side in pair]
    rates = sides.measure(both, BATCHES, 1 if quick else TURNS, QUICK_TURN_S if quick else TURN_S)
    found = {batch: [max(rates[side, batch] for side in group) for group in (ours, theirs)] for batch in BATCHES}
    for side in both:
        side.close()
    return found, differ


def can_import(build, network):
    tool = build / "tools/qosbatch/qosbatch"
    return subprocess.run([tool, "show", network], capture_output=True, check=False).returncode == 0


def compare(build, names, quick):
    folder = build / "zoo"
    exporter = check.Exporter(folder, keep=True)
    files = {name: export(exporter, name) for name in names}
    exporter.close()
    node = json.loads(subprocess.run([build / "tools/qosbatch/qosbatch", "node", "--json"], check=True,
                                     stdout=subprocess.PIPE).stdout)
    print(f"\nsamples/s, ours / ONNX Runtime's (ratio); opset {OPSET}, the better of "
          + " and ".join(f"{i} x {t}" for i, t in sides.configurations(node["usable_threads"])) + " each")
    print(f"{'network':22}" + "".join(f"{f'batch {batch}':>28}" for batch in BATCHES) + f"{'outputs within':>16}")
    ratios = {}
    with open(folder / "speed.csv", "w", encoding="utf-8") as csv:
        csv.write("network,batch,ours_per_s,onnxruntime_per_s\n")
        for name, network in files.items():
            if not can_import(build, network):
                print(f"{name:22}{'refused':>28}", flush=True)
                continue
            found, differ = measure(build, network, node["usable_threads"], quick)
            cells = ""
            for batch, (ours, theirs) in found.items():
                ratios[name, batch] = ours / theirs
                csv.write(f"{name},{batch},{ours:.3f},{theirs:.3f}\n")
                cells += f"{f'{ours:.1f} / {theirs:.1f} ({ours / theirs:.2f})':>28}"
            print(f"{name:22}{cells}{differ:>16.1e}", flush=True)
    summarize(ratios, files)


def summarize(ratios, files):
    if not ratios:
        return
    mean = math.exp(statistics.mean(map(math.log, ratios.values())))
    worst = min(ratios, key=ratios.get)
    under = [key for key in ratios if ratios[key] < 1]
    print(f"\ngeometric mean {mean:.3f} of {len(ratios)}, least {ratios[worst]:.3f} ({worst[0]}, batch {worst[1]}), "
          f"{len(under)} under 1")
    if under:
        print("where the time goes, layer by layer:")
    for name, batch in under:
        print(f"  {ratios[name, batch]:.2f}  qosbatch show {files[name]} --layers --batch {batch}")
