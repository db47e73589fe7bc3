# SPDX-License-Identifier: Apache-2.0
"""Small networks that ONNX Runtime's tools quantize, against its answers: test_onnxruntime.py PROGRAM

In every form the tools have: quantizing nodes around those of floats (QDQ) and quantized operators, of
tensors and of channels, unsigned and signed, with 7-bit weights, and dynamic. PROGRAM is onnx_answers.
Skipped where onnxruntime is missing: Debian 13 has it.
"""
import logging
import pathlib
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
from checks import each, expect, needs, note, run_tests, skip_all  # noqa: E402

needs(numpy="python3-numpy", onnx="python3-onnx")
import numpy as np  # noqa: E402
import onnx  # noqa: E402
from onnx import TensorProto, helper, numpy_helper  # noqa: E402

import peer  # noqa: E402
from answers import Answers  # noqa: E402
from recipes import TYPES, Agreement, dynamic_recipes, quantize, static_recipes, step_of  # noqa: E402

SAMPLES = 8


class Network:
    """A chain of nodes on an image x."""

    def __init__(self, seed, shape):
        self.random = np.random.RandomState(seed)
        self.nodes, self.constants, self.shape, self.count = [], [], shape, 0

    def weights(self, *shape):
        """Of channels of different size, as trained ones are."""
        values = self.random.randn(*shape) * np.sqrt(2 / np.prod(shape[1:] or (8,)))
        values = values * np.exp(self.random.uniform(-1, 1, (shape[0],) + (1,) * (len(shape) - 1)))
        return self.constant(values.astype(np.float32))

    def constant(self, values):
        self.constants.append(numpy_helper.from_array(np.asarray(values), f"c{len(self.constants)}"))
        return self.constants[-1].name

    def add(self, kind, *inputs, **attributes):
        self.count += 1
        self.nodes.append(helper.make_node(kind, list(inputs), [f"t{self.count}"], name=f"{kind}_{self.count}", **attributes))
        return f"t{self.count}"

    def conv(self, x, inputs, outputs, kernel, group=1, stride=1):
        pad = kernel // 2
        weights = self.weights(outputs, inputs // group, kernel, kernel)
        return self.add("Conv", x, weights, self.weights(outputs), group=group, strides=[stride] * 2, pads=[pad] * 4)

    def model(self, y):
        infos = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
                 for name, shape in (("x", ["N", *self.shape]), (y, None))]
        graph = helper.make_graph(self.nodes, "g", infos[:1], infos[1:], self.constants)
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)


def residual():
    n = Network(1, [3, 16, 16])
    x = n.add("Relu", n.conv("x", 3, 16, 3, stride=2))
    x = n.add("MaxPool", x, kernel_shape=[2, 2], strides=[2, 2])
    y = n.conv(n.add("Relu", n.conv(x, 16, 16, 3)), 16, 16, 3)
    x = n.add("Relu", n.add("Add", x, y))
    x = n.add("Concat", n.conv(x, 16, 8, 1), n.add("AveragePool", x, kernel_shape=[3, 3], pads=[1, 1, 1, 1]), axis=1)
    x = n.add("Flatten", n.add("GlobalAveragePool", x))
    return n.model(n.add("Softmax", n.add("Gemm", x, n.weights(10, 24), n.weights(10), transB=1), axis=-1))


def depthwise():
    n = Network(2, [8, 12, 12])
    x = n.add("Clip", n.conv("x", 8, 24, 1), n.constant(np.float32(0)), n.constant(np.float32(6)))
    x = n.add("LeakyRelu", n.conv(x, 24, 24, 3, group=24), alpha=0.1)
    scale = n.add("Sigmoid", n.conv(n.add("GlobalAveragePool", x), 24, 24, 1))
    x = n.conv(n.add("Mul", x, scale), 24, 8, 1)
    x = n.add("Transpose", n.add("Add", x, "x"), perm=[0, 2, 3, 1])
    return n.model(n.add("MatMul", x, n.constant(n.random.randn(8, 6).astype(np.float32))))


def rows():
    n = Network(3, [6, 32])
    x = n.add("Add", n.add("MatMul", "x", n.constant(n.random.randn(32, 64).astype(np.float32) / 6)), n.weights(64))
    x = n.add("Relu", x)
    y = n.add("Mul", n.add("MatMul", x, n.add("Transpose", x, perm=[0, 2, 1])), n.constant(np.float32(0.02)))
    # Not so far apart that a probability is 1: ONNX Runtime 1.21 makes -128 of that for int8.
    y = n.add("MatMul", n.add("Softmax", y, axis=-1), x)
    return n.model(n.add("MatMul", y, n.constant(n.random.randn(64, 5).astype(np.float32) / 8)))


def inputs_of(model, seed):
    dims = [d.dim_value for d in model.graph.input[0].type.tensor_type.shape.dim[1:]]
    return np.random.RandomState(seed).randn(SAMPLES, *dims).astype(np.float32)


# onnx.reference comes first: onnxruntime would stand in its way.
RUNTIME = peer.import_quietly("onnx.reference", "onnxruntime.quantization")
if not RUNTIME:
    skip_all("onnxruntime is not installed")
logging.disable(logging.WARNING)  # advice on preparing models
note(f"onnxruntime {RUNTIME.__version__}")
SCRATCH = tempfile.TemporaryDirectory(prefix="qosbatch-peer-")
ANSWERS = Answers(sys.argv[1], SCRATCH.name)
RECIPES = [*static_recipes(RUNTIME.quantization, TYPES), *dynamic_recipes(RUNTIME.quantization)]


def quantized(make, how):
    plain, path = (f"{SCRATCH.name}/{name}.onnx" for name in ("plain", "quantized"))
    model = make()
    onnx.save(model, plain)
    quantize(RUNTIME.quantization, plain, path, "x", [inputs_of(model, seed) for seed in range(100, 104)], how)
    return path, inputs_of(model, 1)


@each([(f"{make.__name__}, {label}", make, how) for make in (residual, depthwise, rows) for label, how in RECIPES])
def answers_are_those_of_onnxruntime(_, make, how):
    path, x = quantized(make, how)
    # Its own differ with what it fuses, by ties that floats or integers decide and by its softmax of
    # integers. Ours may be like either.
    expected = [peer.answers(RUNTIME, path, x, fused) for fused in (True, False)]
    step = step_of(path)
    step = np.abs(expected).max() / 255 if step is None else step
    ways = ("f32", "int8") if "quant_format" in how else ("f32",)
    found = ANSWERS.run_file(path, len(x), [x], ways)
    expect(not isinstance(found, str), found)
    for way, values in zip(ways, found):
        agreement = Agreement(values, expected, step)
        note(f"{way}: {agreement}")
        expect(agreement.holds(), f"other answers in {way}")


run_tests()
