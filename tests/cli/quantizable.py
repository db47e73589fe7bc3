# SPDX-License-Identifier: Apache-2.0
"""A small network that can be quantized, for the tests of the tool; needs python3-onnx."""
import random

import onnx
from onnx import helper

from jobs import SIDE


def network(path, seed=1):
    """Two convolutions and the mean of twelve channels."""
    some = random.Random(seed)
    shapes = {"w": (8, 3, 3, 3), "v": (12, 8, 3, 3)}
    weights = [helper.make_tensor(name, 1, dims, [some.gauss(0, 0.2) for _ in range(dims[0] * dims[1] * 9)])
               for name, dims in shapes.items()]
    nodes = [helper.make_node("Conv", ["x", "w"], ["a"], name="first", pads=[1] * 4),
             helper.make_node("Relu", ["a"], ["b"]), helper.make_node("Conv", ["b", "v"], ["c"], name="second"),
             helper.make_node("GlobalAveragePool", ["c"], ["y"])]
    infos = [helper.make_tensor_value_info("x", 1, ["N", 3, SIDE, SIDE]), helper.make_tensor_value_info("y", 1, None)]
    graph = helper.make_graph(nodes, "g", infos[:1], infos[1:], weights)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), path)
    return path
