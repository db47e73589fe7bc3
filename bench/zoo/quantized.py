# SPDX-License-Identifier: Apache-2.0
"""Torchvision's networks in int8, as `qosbatch quantize` makes them: our speed on a file beside ONNX Runtime's
on the same file, beside both engines' speed in f32, and how near both engines' outputs on it are."""
import json
import math
import statistics
import subprocess

import check
import numpy
import speed  # finds sides
import sides

SAMPLES = 16
RATIOS = ("int8 of f32", "int8 of ORT int8", "int8 of ORT f32")


def quantize(build, name, network, samples):
    """The quantized file, and what the tool says of it."""
    path = network.with_suffix(".int8.onnx")
    shape = numpy.load(samples).shape[1:]
    drawn = build / "zoo/quantize-input.npy"
    numpy.save(drawn, numpy.random.default_rng(1).standard_normal((SAMPLES, *shape), dtype=numpy.float32))
    command = [build / "tools/qosbatch/qosbatch", "quantize", network, "--input", drawn, "--output", path, "--json"]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True)
    drawn.unlink()
    return path, json.loads(done.stdout)


def nearness(ours, theirs, folder):
    """The cosine between both engines' outputs of the same samples."""
    a, b = (numpy.array(sides.outputs(side, folder / "side.bin"), dtype=float) for side in (ours, theirs))
    return float(a @ b / math.sqrt((a @ a) * (b @ b)))


def measure(build, network, int8, cores, quick):
    """{(what, batch): samples per second of the best configuration}, and the cosine of int8's outputs."""
    package = build / "rivals/node_modules/onnxruntime-node"
    rounds = [build / "bench/rounds"]
    groups = {}
    groups["f32"], groups["ORT f32"] = sides.start(cores, [*rounds, network], network, package)
    groups["int8"], groups["ORT int8"] = sides.start(cores, [*rounds, "--int8", int8], int8, package)
    near = nearness(groups["int8"][0], groups["ORT int8"][0], build / "zoo")
    every = [side for group in zip(*groups.values()) for side in group]
    turns, turn_s = (1, speed.QUICK_TURN_S) if quick else (speed.TURNS, speed.TURN_S)
    rates = sides.measure(every, speed.BATCHES, turns, turn_s)
    for side in every:
        side.close()
    return {(what, batch): max(rates[side, batch] for side in group)
            for what, group in groups.items() for batch in speed.BATCHES}, near


def compare(build, names, quick):
    exporter = check.Exporter(build / "zoo", keep=True)
    node = json.loads(subprocess.run([build / "tools/qosbatch/qosbatch", "node", "--json"], check=True,
                                     stdout=subprocess.PIPE).stdout)
    print(f"\nour int8 samples/s of a network that `qosbatch quantize` made, divided by those of our f32, of ONNX "
          f"Runtime on the same file, and of ONNX Runtime in f32; opset {speed.OPSET}, the better of "
          + " and ".join(f"{i} x {t}" for i, t in sides.configurations(node["usable_threads"])) + " each")
    print(f"{'network':20}{'layers':>9}{'SQNR':>7}{'cosine':>10}"
          + "".join(f"{f'batch {batch}':>20}" for batch in speed.BATCHES))
    ratios = {what: {} for what in RATIOS}
    for name in names:
        network = speed.export(exporter, name)
        int8, made = quantize(build, name, network, exporter.samples(name)[0])
        rates, near = measure(build, network, int8, node["usable_threads"], quick)
        cells = ""
        for batch in speed.BATCHES:
            for what, other in zip(RATIOS, ("f32", "ORT int8", "ORT f32")):
                ratios[what][name, batch] = rates["int8", batch] / rates[other, batch]
            cells += "   " + " ".join(f"{ratios[what][name, batch]:5.2f}" for what in RATIOS)
        layers = f"{made['integer_layers']}/{made['layers']}"
        print(f"{name:20}{layers:>9}{made['sqnr_db']:>7.1f}{near:>10.6f}{cells}", flush=True)
        int8.unlink()
    exporter.close()
    for what, found in ratios.items():
        least = min(found, key=found.get)
        print(f"{what}: geometric mean {math.exp(statistics.mean(map(math.log, found.values()))):.2f}, least "
              f"{found[least]:.2f} ({least[0]}, batch {least[1]}), {sum(r < 1 for r in found.values())} under 1")
