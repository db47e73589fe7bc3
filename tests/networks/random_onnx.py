# SPDX-License-Identifier: Apache-2.0
"""Random ONNX networks of a few operators, from a seed, whose attributes are often given and often 0."""
import random

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper


class Builder:
    """A network that grows from x, of shape N x C [x H x W], by operators drawn at random."""

    def __init__(self, seed, opset):
        self.random = random.Random(seed)
        self.numbers = np.random.RandomState(seed & 0xFFFFFFFF)
        self.opset = opset
        self.nodes, self.constants = [], []
        self.name, self.shape = "x", [self.pick(1, 2, 3, 4), self.pick(3, 4, 5), self.pick(3, 4, 6)]
        self.input_shape = list(self.shape)

    def pick(self, *choices):
        return self.random.choice(choices)

    def constant(self, values):
        """An initializer, or a node that makes the same; before opset 9 there are none for integers."""
        name = f"c{len(self.constants) + len(self.nodes)}"
        tensor = numpy_helper.from_array(np.asarray(values), name)
        if self.random.random() < 0.3 and (self.opset >= 9 or tensor.data_type == TensorProto.FLOAT):
            return self.add("Constant", [], value=tensor)
        self.constants.append(tensor)
        return name

    def floats(self, *shape):
        return self.constant(self.numbers.uniform(-1, 1, shape).astype(np.float32))

    def integers(self, *values):
        return self.constant(np.array(values, np.int64))

    def add(self, kind, inputs, **attributes):
        """Each attribute is given, or left out where it is None."""
        name = f"n{len(self.nodes)}"
        given = {key: value for key, value in attributes.items() if value is not None}
        self.nodes.append(helper.make_node(kind, inputs, [name], name=f"{kind}_{len(self.nodes)}", **given))
        return name

    def then(self, kind, inputs=(), shape=None, **attributes):
        self.name = self.add(kind, [self.name, *inputs], **attributes)
        self.shape = list(shape or self.shape)

    def model(self):
        graph = helper.make_graph(
            self.nodes, "g", [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", *self.input_shape])],
            [helper.make_tensor_value_info(self.name, TensorProto.FLOAT, ["N", *self.shape])], self.constants)
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", self.opset)], ir_version=8)


def images(step):
    """Applies only to images."""
    step.images = True
    return step


@images
def conv(b):
    channels, height, width = b.shape
    group = b.pick(1, channels)
    kernel = [b.pick(1, 2, 3), b.pick(1, 2, 3)]
    pads = b.pick(None, [0, 0, 0, 0], [0, 1, 0, 1])
    out = group * b.pick(1, 2)
    edge = 2 if pads and pads[1] else 0
    inputs = [b.floats(out, channels // group, *kernel)]
    if b.pick(True, False):
        inputs.append(b.floats(out))
    b.then("Conv", inputs, [out, height - kernel[0] + 1, width + edge - kernel[1] + 1],
           group=group if group > 1 else b.pick(None, 1), pads=pads, auto_pad=b.pick(None, "NOTSET"),
           strides=b.pick(None, [1, 1]), kernel_shape=b.pick(None, kernel))


@images
def pool(b):
    channels, height, width = b.shape
    kind = b.pick("MaxPool", "AveragePool")
    padded = b.pick(True, False)
    extra = {}
    if kind == "AveragePool":
        extra["count_include_pad"] = b.pick(None, 0, 1)
    elif b.opset >= 8:
        extra["storage_order"] = b.pick(None, 0)
    if b.opset >= 10:
        extra["ceil_mode"] = b.pick(None, 0)
    b.then(kind, [], [channels, height - 1, width + 2 * padded - 1], kernel_shape=[2, 2],
           pads=[0, 1, 0, 1] if padded else b.pick(None, [0, 0, 0, 0]), **extra)


@images
def norm(b):
    channels = b.shape[0]
    variance = b.constant(b.numbers.uniform(0.5, 2, channels).astype(np.float32))
    extra = {"training_mode": b.pick(None, 0)} if b.opset >= 14 else {}
    b.then("BatchNormalization", [b.floats(channels), b.floats(channels), b.floats(channels), variance],
           epsilon=b.pick(None, 0.0, 0.1), momentum=b.pick(None, 0.0), **extra)


def activation(b):
    kind = b.pick("LeakyRelu", "HardSigmoid", "Clip", "Relu", "Sigmoid", "Elu", "Softplus", "Tanh")
    if kind == "LeakyRelu":
        b.then(kind, alpha=b.pick(None, 0.0, 0.3))
    elif kind == "HardSigmoid":
        b.then(kind, alpha=b.pick(None, 0.0, 0.4), beta=b.pick(None, 0.0, 0.3))
    elif kind == "Elu":
        b.then(kind, alpha=b.pick(None, 0.0, 0.5))
    elif kind == "Clip" and b.opset < 11:
        b.then(kind, min=b.pick(None, 0.0, -0.5), max=b.pick(None, 0.0, 0.5))
    elif kind == "Clip":
        b.then(kind, [b.constant(np.float32(b.pick(-0.5, 0.0))), b.constant(np.float32(b.pick(0.0, 0.5)))])
    else:
        b.then(kind)


def softmax(b):
    axis = b.pick(None, 1, -1, len(b.shape))
    b.then(b.pick("Softmax", "LogSoftmax"), axis=axis)


def arithmetic(b):
    shape = b.pick([1], [b.shape[-1]], b.shape)
    b.then(b.pick("Add", "Sub", "Mul"), [b.floats(*shape)])


def gemm(b):
    size = int(np.prod(b.shape))
    b.then("Flatten", [], [size], axis=b.pick(None, 1))
    out = b.pick(1, 3, 5)
    turned = b.pick(None, 0, 1)
    inputs = [b.floats(*((out, size) if turned else (size, out))), b.floats(out)]
    b.then("Gemm", inputs, [out], transB=turned, transA=b.pick(None, 0), alpha=b.pick(None, 0.0, 0.5),
           beta=b.pick(None, 0.0, 0.5))


@images
def mean(b):
    keep = b.pick(None, 0, 1)
    shape = [b.shape[0]] if keep == 0 else [b.shape[0], 1, 1]
    if b.opset < 18:
        b.then("ReduceMean", [], shape, axes=[2, 3], keepdims=keep)
    else:
        b.then("ReduceMean", [b.integers(2, 3)], shape, keepdims=keep, noop_with_empty_axes=b.pick(None, 0))


def concat(b):
    b.then("Concat", [b.name], [2 * b.shape[0], *b.shape[1:]], axis=1)


@images
def transpose(b):
    b.then("Transpose", [], [b.shape[2], b.shape[0], b.shape[1]], perm=[0, 3, 1, 2])


def reshape_by_code(b):
    """As exporters write x.view(x.size(0), -1): a chain of shape code whose axes are all 0."""
    extra = {"start": b.pick(None, 0)} if b.opset >= 15 else {}
    size = b.add("Gather", [b.add("Shape", [b.name], **extra), b.constant(np.int64(0))], axis=b.pick(None, 0))
    if b.opset < 13:
        size = b.add("Unsqueeze", [size], axes=[0])
    else:
        size = b.add("Unsqueeze", [size, b.integers(0)])
    to = b.add("Concat", [size, b.integers(-1)], axis=0)
    b.then("Reshape", [to], [int(np.prod(b.shape))], **({"allowzero": b.pick(None, 0)} if b.opset >= 14 else {}))


@images
def pad(b):
    channels, height, width = b.shape
    shape = [channels, height + 1, width + 2]
    pads = [0, 0, 1, 0, 0, 0, 0, 2]
    if b.opset < 11:
        b.then("Pad", [], shape, pads=pads, value=b.pick(None, 0.0, 0.5), mode=b.pick(None, "constant"))
    else:
        values = [b.constant(np.float32(b.pick(0.0, 0.5)))] if b.pick(True, False) else []
        b.then("Pad", [b.integers(*pads), *values], shape)


@images
def split(b):
    if b.shape[0] % 2:
        return
    half = b.shape[0] // 2
    extra = {"num_outputs": 2} if b.opset >= 18 else {"split": [half, half]} if b.opset < 13 else {}
    inputs = [b.name] + ([b.integers(half, half)] if 13 <= b.opset < 18 else [])
    name = f"s{len(b.nodes)}"
    b.nodes.append(helper.make_node("Split", inputs, [name, name + "b"], axis=1, **extra))
    b.name, b.shape = name, [half, *b.shape[1:]]
    b.then("Add", [name + "b"])


def add_scalar(b):
    if b.opset >= 12:
        b.then("Add", [b.add("Constant", [], value_float=b.pick(0.0, 0.5))])


def dropout(b):
    b.then("Dropout", **({"ratio": b.pick(None, 0.0)} if b.opset < 12 else {}))


STEPS = [conv, pool, norm, activation, activation, softmax, arithmetic, gemm, mean, concat, transpose, reshape_by_code,
         pad, split, add_scalar, dropout]


def random_network(seed, opset):
    """Of 1 to 6 steps, one of them twice where a sum makes the graph more than a chain."""
    b = Builder(seed, opset)
    for _ in range(b.pick(1, 2, 3, 4, 5, 6)):
        step = b.pick(*STEPS)
        if hasattr(step, "images") and (len(b.shape) != 3 or min(b.shape[1:]) < 3):
            continue
        step(b)
        if b.random.random() < 0.2:
            before = b.name
            b.then("Relu")
            b.then("Add", [before])
    if not b.nodes:
        b.then("Relu")
    model = b.model()
    onnx.checker.check_model(model)
    return model
