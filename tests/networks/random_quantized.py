# SPDX-License-Identifier: Apache-2.0
"""Random quantized nodes, each with what numpy's integers make of them.

Sums of integers are exact, then become 32-bit floats, are multiplied with one factor and rounded to even:
their results are certain. Those of functions of reals may be one step off where they lie between two.
"""
import numpy as np
from onnx import TensorProto, helper, numpy_helper

F32 = np.float32
RANGES = {np.uint8: (0, 255), np.int8: (-128, 127), np.uint16: (0, 65535), np.int16: (-32768, 32767)}
TYPES = {np.uint8: TensorProto.UINT8, np.int8: TensorProto.INT8, np.uint16: TensorProto.UINT16,
         np.int16: TensorProto.INT16, np.int32: TensorProto.INT32, np.float32: TensorProto.FLOAT,
         np.bool_: TensorProto.BOOL}


class Case:
    """A node, the inputs of its network, and the outputs expected of them, `slack` steps off at most."""

    def __init__(self, seed):
        self.random = np.random.RandomState(seed)
        self.opset, self.domain = 13, ""
        self.inputs, self.constants, self.names, self.attributes = [], [], [], {}
        self.slack, self.outputs, self.is_open = 0, ["y"], None

    def pick(self, *choices):
        return choices[self.random.randint(len(choices))]

    def integers(self, dtype, shape, extreme=False):
        low, high = RANGES[dtype]
        if extreme:  # 120 is as far from two multiples of 16
            return np.where(self.random.rand(*shape) < 0.97, self.pick(high, 120), low).astype(dtype)
        return self.random.randint(low, high + 1, shape).astype(dtype)

    def scale(self, shape=()):
        return np.asarray(np.exp(self.random.uniform(-6, 0, shape)), F32)

    def constant(self, values):
        self.constants.append(numpy_helper.from_array(np.asarray(values), "c%d" % len(self.names)))
        self.names.append(self.constants[-1].name)
        return np.asarray(values)

    def input(self, values):
        self.names.append("x%d" % len(self.inputs))
        self.inputs.append((self.names[-1], values))
        return values

    def leave_out(self):
        self.names.append("")

    def scaling(self, dtype, shape=()):
        """A scale and zero points of its shape."""
        return self.constant(self.scale(shape)), self.constant(self.integers(dtype, shape))

    def operand(self, dtype, shape, constant=False):
        """Integers with their scale and zero point, as reals."""
        q = (self.constant if constant else self.input)(self.integers(dtype, shape))
        scale, zero = self.scaling(dtype)
        return reals(q, scale, zero)

    def open_batch(self):
        if self.is_open is None:
            self.is_open = self.pick(True, False)
        return self.is_open

    def node(self, kind, expected):
        self.kind, self.expected = kind, np.asarray(expected)
        self.batch = self.inputs[0][1].shape[0]
        self.model = self.make_model("N" if self.open_batch() else self.batch)
        return self

    def make_model(self, batch):
        info = [helper.make_tensor_value_info(name, TYPES[v.dtype.type], [batch, *v.shape[1:]])
                for name, v in self.inputs]
        y = helper.make_tensor_value_info("y", TYPES[self.expected.dtype.type], [batch, *self.expected.shape[1:]])
        node = helper.make_node(self.kind, self.names, self.outputs, name="node", domain=self.domain, **self.attributes)
        graph = helper.make_graph([node], "g", info, [y], self.constants)
        opsets = [helper.make_opsetid("", self.opset), helper.make_opsetid("com.microsoft", 1)]
        return helper.make_model(graph, opset_imports=opsets, ir_version=7)


def reals(q, scale, zero):
    return ((q.astype(np.int64) - np.int64(zero)).astype(F32) * F32(scale)).astype(F32)


def saturated(steps, zero):
    low, high = RANGES[zero.dtype.type]
    return np.clip(np.rint(steps).astype(np.float64) + zero.astype(np.float64), low, high).astype(zero.dtype)


def quantized(x, scale, zero):
    return saturated((x / F32(scale)).astype(F32), zero)


def along(values, axis, rank):
    """A vector along an axis of so many dimensions."""
    values = np.asarray(values)
    return values.reshape([-1 if d == axis % rank else 1 for d in range(rank)]) if values.size > 1 else values.reshape(())


def convolve(x, w, group, strides, dilations, pads):
    """Sums of 64-bit integers."""
    x = np.pad(x, [(0, 0), (0, 0)] + list(zip(pads[:2], pads[2:])))
    (n, channels, height, width), (out, _, kh, kw) = x.shape, w.shape
    rows = (height - (kh - 1) * dilations[0] - 1) // strides[0] + 1
    columns = (width - (kw - 1) * dilations[1] - 1) // strides[1] + 1
    y = np.zeros((n, out, rows, columns), np.int64)
    for o in range(out):
        part = x[:, o // (out // group) * (channels // group):][:, :channels // group]
        for i in range(kh):
            for j in range(kw):
                seen = part[:, :, i * dilations[0]:, j * dilations[1]:]
                seen = seen[:, :, ::strides[0], ::strides[1]][:, :, :rows, :columns]
                y[:, o] += np.einsum("nchw,c->nhw", seen, w[o, :, i, j])
    return y


def window(c):
    """A convolution's input, weights and attributes; deep ones have sums that 32-bit floats do not hold."""
    deep = c.random.rand() < 0.3
    group = 1 if deep else c.pick(1, 1, 2, 3)
    channels, out = (c.pick(300, 800) if deep else group * c.random.randint(1, 9)), group * c.random.randint(1, 9)
    kernel = [c.pick(1, 2, 3), c.pick(1, 3)]
    strides, dilations = [c.pick(1, 1, 2), c.pick(1, 1, 2)], [c.pick(1, 1, 2), c.pick(1, 1, 2)]
    pads = [int(v) for v in c.random.randint(0, 3, 4)]
    size = [c.random.randint(5, 9), c.random.randint(5, 9)]
    c.attributes.update(group=group, kernel_shape=kernel, strides=strides, dilations=dilations, pads=pads)
    x_type, w_type = c.pick((np.uint8, np.int8), (np.int8, np.int8), (np.uint8, np.uint8))
    x = c.integers(x_type, (c.random.randint(1, 4), channels, *size), deep)
    w = c.integers(w_type, (out, channels // group, *kernel), deep)
    return x, w, (group, strides, dilations, pads)


def requantized(sums, x_scale, w_scale, y_scale, y_zero, axis, alpha=1):
    factors = (F32(alpha) * x_scale * w_scale).astype(F32)
    if y_scale is None:
        return (sums.astype(F32) * along(factors, axis, sums.ndim)).astype(F32)
    factors = (factors / y_scale).astype(F32)
    return saturated((sums.astype(F32) * along(factors, axis, sums.ndim)).astype(F32), y_zero)


def qlinear_conv(c):
    x, w, how = window(c)
    out = w.shape[0]
    c.input(x)
    x_scale, x_zero = c.scaling(x.dtype.type)
    c.constant(w)
    each = c.pick((), (out,))
    w_scale, w_zero = c.constant(c.scale(each)), c.constant(c.integers(w.dtype.type, each))
    size = np.sqrt(float(w[0].size)) * 4000
    y_scale = c.constant(F32(x_scale * np.mean(w_scale) * size / 50))
    y_zero = c.constant(c.integers(c.pick(np.uint8, np.int8), ()))
    shifted = w.astype(np.int64) - along(w_zero, 0, 4).astype(np.int64)
    sums = convolve(x.astype(np.int64) - np.int64(x_zero), shifted, *how)
    if c.pick(True, False):
        bias = c.constant(c.random.randint(-10 ** 5, 10 ** 5, out).astype(np.int32))
        sums += along(bias, 1, 4)
    return c.node("QLinearConv", requantized(sums, x_scale, w_scale, y_scale, y_zero, 1))


def conv_integer(c):
    x, w, how = window(c)
    c.input(x)
    c.constant(w)
    x_zero = w_zero = np.int64(0)
    if c.pick(True, False):
        x_zero = c.constant(c.integers(x.dtype.type, ()))
        w_zero = c.constant(c.integers(w.dtype.type, c.pick((), (w.shape[0],))))
    shifted = w.astype(np.int64) - along(w_zero, 0, 4).astype(np.int64)
    return c.node("ConvInteger", convolve(x.astype(np.int64) - np.int64(x_zero), shifted, *how).astype(np.int32))


def matrices(c):
    """Of rows and columns, the second one of the network's inputs where both have a batch."""
    deep = c.random.rand() < 0.4
    depth = c.pick(400, 1200, 12000) if deep else c.random.randint(1, 20)
    both = c.pick(True, False)
    n, m, k = c.random.randint(1, 4), c.random.randint(1, 6), c.random.randint(1, 9)
    types = c.pick((np.uint8, np.int8), (np.int8, np.int8), (np.uint8, np.uint8))
    a = c.integers(types[0], (n, m, depth), deep)
    b = c.integers(types[1], (n, depth, k) if both else (depth, k), deep)
    return a, b, both


def qlinear_matmul(c):
    a, b, both = matrices(c)
    c.input(a)
    a_scale, a_zero = c.scaling(a.dtype.type)
    (c.input if both else c.constant)(b)
    each = () if both else c.pick((), (b.shape[-1],))
    b_scale, b_zero = c.constant(c.scale(each)), c.constant(c.integers(b.dtype.type, each))
    y_scale = c.constant(F32(a_scale * np.mean(b_scale) * np.sqrt(float(b.shape[-2])) * 80))
    y_zero = c.constant(c.integers(c.pick(np.uint8, np.int8), ()))
    sums = np.matmul(a.astype(np.int64) - np.int64(a_zero), b.astype(np.int64) - b_zero.astype(np.int64))
    return c.node("QLinearMatMul", requantized(sums, a_scale, b_scale, y_scale, y_zero, -1))


def matmul_integer(c):
    a, b, both = matrices(c)
    c.input(a)
    (c.input if both else c.constant)(b)
    a_zero = b_zero = np.zeros((), np.int64)
    if c.pick(True, False):
        a_zero = c.constant(c.integers(a.dtype.type, ()))
        b_zero = c.constant(c.integers(b.dtype.type, () if both else c.pick((), (b.shape[-1],))))
    sums = np.matmul(a.astype(np.int64) - np.int64(a_zero), b.astype(np.int64) - b_zero.astype(np.int64))
    return c.node("MatMulInteger", sums.astype(np.int32))


def qgemm(c):
    c.domain = "com.microsoft"
    a, b, _ = matrices(c)
    a, b = a[0], b.reshape(-1, *b.shape[-2:])[0]
    turned = c.pick(0, 1)
    c.attributes.update(alpha=c.pick(1.0, 0.5), transB=turned)
    c.input(a)
    a_scale, a_zero = c.scaling(a.dtype.type)
    c.constant(b.T.copy() if turned else b)
    each = c.pick((), (b.shape[-1],))
    b_scale, b_zero = c.constant(c.scale(each)), c.constant(c.integers(b.dtype.type, each))
    sums = np.matmul(a.astype(np.int64) - np.int64(a_zero), b.astype(np.int64) - b_zero.astype(np.int64))
    if c.pick(True, False):
        sums = sums + c.constant(c.random.randint(-10 ** 5, 10 ** 5, b.shape[-1]).astype(np.int32))
    else:
        c.leave_out()
    y_scale = y_zero = None
    if c.pick(True, False):
        y_scale = c.constant(F32(a_scale * np.mean(b_scale) * np.sqrt(float(b.shape[-2])) * 80))
        y_zero = c.constant(c.integers(a.dtype.type, ()))
    return c.node("QGemm", requantized(sums, a_scale, b_scale, y_scale, y_zero, -1, c.attributes["alpha"]))


def shape(c):
    return tuple(int(v) for v in c.random.randint(1, 6, c.random.randint(2, 5)))


def halves(c, x, scale):
    """Some of them exactly between two steps."""
    exact = (np.round(x / scale) + F32(0.5)).astype(F32) * F32(scale)
    return np.where(c.random.rand(*x.shape) < 0.3, exact, x).astype(F32)


def quantize(c):
    dtype = c.pick(*RANGES) if c.pick(True, False) else c.pick(np.uint8, np.int8)
    c.opset = 13 if dtype in (np.uint8, np.int8) else 21
    dims = shape(c)
    axis = c.random.randint(1, len(dims))
    each = c.pick((), (dims[axis],))
    scale = c.pick(c.scale(each), np.full(each, 0.25, F32))
    x = (c.random.randn(*dims) * 300 * np.mean(scale)).astype(F32)
    c.input(halves(c, x, F32(0.25)) if np.all(scale == F32(0.25)) else x)
    c.constant(scale)
    zero = np.zeros((), np.uint8)
    if dtype != np.uint8 or c.pick(True, False):
        zero = c.constant(c.integers(dtype, each))
    if each:
        c.attributes["axis"] = c.pick(axis, axis - len(dims))
        zero = along(np.broadcast_to(zero, each), axis, len(dims)) if each != (1,) else zero.reshape(())
    return c.node("QuantizeLinear", quantized_along(c.inputs[0][1], along(scale, axis, len(dims)), zero))


def quantized_along(x, scale, zero):
    return saturated((x / scale).astype(F32), np.asarray(zero))


def dequantize(c):
    dtype = c.pick(np.uint8, np.int8)
    dims = shape(c)
    axis = c.random.randint(1, len(dims))
    each = c.pick((), (dims[axis],))
    q = c.input(c.integers(dtype, dims))
    scale = c.constant(c.scale(each))
    zero = c.constant(c.integers(dtype, each)) if c.pick(True, False) else np.zeros(each, dtype)
    if each:
        c.attributes["axis"] = c.pick(axis, axis - len(dims))
    steps = q.astype(np.int64) - along(zero, axis, len(dims)).astype(np.int64)
    return c.node("DequantizeLinear", (steps.astype(F32) * along(scale, axis, len(dims))).astype(F32))


def of_reals(kind, compute):
    """An operator of com.microsoft on reals."""
    def make(c):
        c.domain, c.slack = "com.microsoft", 1
        y = compute(c)
        dtype = c.inputs[0][1].dtype.type if c.inputs[0][1].dtype != bool else np.uint8
        low, high = RANGES[dtype]
        scale = c.constant(F32((y.max() - y.min() or 1) / 200))
        zero = c.constant(np.asarray(np.clip(low - np.round(y.min() / scale), low, high), dtype))
        return c.node(kind, quantized(y, scale, zero))
    return make


def both(combine):
    def compute(c):
        dims, dtype = shape(c), c.pick(np.uint8, np.int8)
        a = c.operand(dtype, dims)
        if c.pick(True, False):
            return combine(a, c.operand(dtype, dims))
        return combine(a, c.operand(dtype, c.pick((1,), dims[1:], dims[-1:]), constant=True))
    return compute


def one(function):
    return lambda c: function(c, c.operand(c.pick(np.uint8, np.int8), shape(c)))


def leaky(c, x):
    alpha = c.attributes["alpha"] = c.pick(0.0, 0.25)
    return np.where(x < 0, F32(alpha) * x, x).astype(F32)


def softmax(c, x):
    c.attributes.update(axis=-1, opset=13)
    e = np.exp(x - x.max(-1, keepdims=True))
    return (e / e.sum(-1, keepdims=True)).astype(F32)


def global_average(c):
    dims = (c.random.randint(1, 4), c.random.randint(1, 9), c.random.randint(1, 6), c.random.randint(1, 6))
    return c.operand(c.pick(np.uint8, np.int8), dims).astype(np.float64).mean((2, 3), keepdims=True).astype(F32)


def average(c):
    c.attributes.update(kernel_shape=[2, 2], strides=[2, 1])
    x = c.operand(c.pick(np.uint8, np.int8), (2, 3, 6, 5)).astype(np.float64)
    y = (x[:, :, ::2, :-1] + x[:, :, 1::2, :-1] + x[:, :, ::2, 1:] + x[:, :, 1::2, 1:]) / 4
    return y.astype(F32)


def concat(c):
    """The scale and zero point of the output come first, and are known last."""
    c.domain, c.slack = "com.microsoft", 1
    c.attributes["axis"] = 1
    dims, dtype = shape(c), c.pick(np.uint8, np.int8)
    scale, zero = c.scaling(dtype)
    parts = [c.operand(dtype, (dims[0], c.random.randint(1, 5), *dims[2:])) for _ in range(c.pick(1, 2, 3))]
    return c.node("QLinearConcat", quantized(np.concatenate(parts, 1), scale, zero))


def choose(c):
    dims = shape(c)
    condition = c.constant(c.random.rand(1, *dims[1:]) < 0.5)
    dtype = c.pick(np.uint8, np.int8)
    x, y = c.operand(dtype, dims), c.operand(dtype, dims)
    return np.where(condition, x, y)


def dynamic(c):
    """Integers by the range of each sample where the batch is open; of all where its size is fixed."""
    x = c.input((c.random.randn(*shape(c)) * 3).astype(F32))
    c.outputs += ["scale", "zero_point"]
    parts = [x[i:i + 1] for i in range(len(x))] if c.open_batch() else [x]
    c.node("DynamicQuantizeLinear", np.concatenate([quantized(part, *range_of(part)) for part in parts]))
    c.batch = len(parts)
    return c


def range_of(x):
    low, high = min(F32(0), x.min()), max(F32(0), x.max())
    scale = F32(F32(high - low) / F32(255))
    return scale, np.asarray(np.clip(np.rint(F32(-low) / scale), 0, 255), np.uint8)


KINDS = [qlinear_conv, qlinear_conv, conv_integer, qlinear_matmul, matmul_integer, qgemm, quantize, dequantize,
         of_reals("QLinearAdd", both(np.add)), of_reals("QLinearMul", both(np.multiply)),
         of_reals("QLinearSigmoid", one(lambda c, x: (1 / (1 + np.exp(-x.astype(np.float64)))).astype(F32))),
         of_reals("QLinearLeakyRelu", one(leaky)), of_reals("QLinearSoftmax", one(softmax)),
         of_reals("QLinearGlobalAveragePool", global_average), of_reals("QLinearAveragePool", average),
         of_reals("QLinearWhere", choose), concat, dynamic]


def random_case(seed):
    c = Case(seed)
    return KINDS[seed % len(KINDS)](c)
