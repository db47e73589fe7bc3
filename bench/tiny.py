#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Jobs of small networks, 0.1 to 10 MFLOP a sample: predicted against measured. For a quiet machine.

./dev bench tiny [ROUNDS]: each network is profiled once and run ROUNDS (3) times.
"""
import json
import pathlib
import subprocess
import sys
import tempfile

import numpy as np
import onnx
from onnx import helper, numpy_helper

ROUNDS = int(sys.argv[1]) if len(sys.argv) > 1 else 3
TOOL = pathlib.Path(__file__).resolve().parents[1] / "build/tools/qosbatch/qosbatch"
SIDE, SAMPLES = 16, 40000


def network(path, channels):
    """Two convolutions of 3 x 3."""
    some = np.random.RandomState(channels)
    weights = {"w": some.randn(channels, 3, 3, 3), "u": some.randn(channels, channels, 3, 3)}
    nodes = [helper.make_node("Conv", ["x", "w"], ["c"]), helper.make_node("Relu", ["c"], ["r"]),
             helper.make_node("Conv", ["r", "u"], ["d"]),
             helper.make_node("GlobalAveragePool", ["d"], ["y"])]
    graph = helper.make_graph(
        nodes, "g", [helper.make_tensor_value_info("x", 1, ["N", 3, SIDE, SIDE])],
        [helper.make_tensor_value_info("y", 1, None)],
        [numpy_helper.from_array(v.astype("f"), k) for k, v in weights.items()])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), path)


def tool(*arguments):
    done = subprocess.run([TOOL, *map(str, arguments), "--json", "--quiet"], check=True,
                          stdout=subprocess.PIPE)
    return json.loads(done.stdout)


def main():
    print("| MFLOP | configuration | batch | predicted [ms] | measured [ms] | error [%] |\n|--|--|--|--|--|--|")
    worst = 0
    with tempfile.TemporaryDirectory(prefix="qosbatch-tiny-") as name:
        folder = pathlib.Path(name)
        x, profile = folder / "x.npy", folder / "p.json"
        np.save(x, np.random.RandomState(0).rand(SAMPLES, 3, SIDE, SIDE).astype("f"))
        for channels in (4, 8, 16, 24, 32, 48, 60):
            model = folder / f"net{channels}.onnx"
            network(model, channels)
            flops = tool("profile", model, "--time-budget", 12, "-o", profile)["flops_per_sample"]
            for _ in range(ROUNDS):
                job = tool("run", model, "--profile", profile, "--input", x, "--output",
                           folder / "y.npy")
                error = 100 * (job["predicted_ns"] / job["measured_ns"] - 1)
                worst = max(worst, abs(error))
                print(f"| {flops / 1e6:.2f} | {job['instances']} x {job['threads']} | {job['batch']} | "
                      f"{job['predicted_ns'] / 1e6:.0f} | {job['measured_ns'] / 1e6:.0f} | {error:+.1f} |",
                      flush=True)
    print(f"\nworst {worst:.1f} %")


main()
