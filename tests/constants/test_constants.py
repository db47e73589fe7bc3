# SPDX-License-Identifier: Apache-2.0
"""Constants that random nodes compute, in every type, against numpy.

  test_constants.py PROGRAM       PROGRAM prints what a model gives for zeros
"""
import pathlib
import subprocess
import sys
import tempfile
import warnings

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
from checks import chosen_seed, each, expect, needs, run_tests  # noqa: E402

needs(numpy="python3-numpy", onnx="python3-onnx")
import numpy as np  # noqa: E402
from onnx import TensorProto, helper, numpy_helper, save  # noqa: E402

warnings.simplefilter("ignore")
REAL = ["float32", "float64", "float16"]
INTEGER = ["uint8", "int8", "uint16", "int16", "int32", "uint32", "int64", "uint64"]
NUMBERS = REAL + INTEGER
SIGNED = REAL + ["int8", "int16", "int32", "int64"]
ALL = NUMBERS + ["bool"]
MODELS, CASES = 12, 60


class Case:
    """One node with its constants, and what numpy makes of them."""

    def __init__(self, random, opset):
        self.random, self.opset, self.inputs, self.attributes = random, opset, [], {}
        self.expected = []

    def pick(self, choices):
        return choices[self.random.randint(len(choices))]

    def shape(self, least=0, most=4):
        return tuple(self.random.randint(1, 5, self.random.randint(least, most + 1)))

    def values(self, dtype, shape):
        dtype = np.dtype(dtype)
        if dtype == bool:
            return np.asarray(self.random.rand(*shape) < 0.5)
        if dtype.kind == "f":
            return np.asarray(self.random.randn(*shape) * 3).astype(dtype)
        bits = self.random.randint(1, 8 * dtype.itemsize + 1)
        words = self.random.randint(0, 2 ** 62, shape).astype(np.uint64) * np.uint64(4)
        words = (words + self.random.randint(0, 4, shape).astype(np.uint64)) >> np.uint64(64 - bits)
        words = np.asarray(words).astype(dtype)
        if dtype.kind == "i":
            words = np.where(self.random.rand(*shape) < 0.5, words, -words).astype(dtype)
        return np.asarray(words)

    def give(self, values):
        self.inputs.append(np.asarray(values))
        return self.inputs[-1]

    def number(self, dtype, shape):
        return self.give(self.values(dtype, shape))

    def axis(self, x):
        axis = self.random.randint(-x.ndim, x.ndim)
        self.attributes["axis"] = int(axis)
        return axis


def repeated(c, dtype):
    """Two constants that are repeated to a common shape."""
    shape = c.shape()
    parts = []
    for _ in range(2):
        part = tuple(1 if c.random.rand() < 0.3 else d for d in shape)
        parts.append(part[c.random.randint(len(shape) + 1):] if c.random.rand() < 0.3 else part)
    return c.number(dtype, parts[0]), c.number(dtype, parts[1])


def not_zero(b):
    b[b == 0] = 1
    return b


def divide(c):
    a, b = repeated(c, c.pick(NUMBERS))
    not_zero(b)
    if a.dtype.kind == "f":
        return a / b
    quotient = np.abs(a.astype(object)) // np.abs(b.astype(object))
    sign = np.where((a < 0) != (b < 0), -1, 1)
    return wrap(quotient * sign, a.dtype)


def wrap(exact, dtype):
    """Python's integers modulo two to the power of the type's bits."""
    bits = 8 * dtype.itemsize
    flat = [int(v) % 2 ** bits for v in np.asarray(exact, dtype=object).ravel()]
    return np.array(flat, np.uint64).astype(dtype).reshape(np.shape(exact))


def modulo(c):
    like_c = c.random.rand() < 0.5
    a, b = repeated(c, c.pick(NUMBERS if like_c else INTEGER))
    not_zero(b)
    if like_c:
        c.attributes["fmod"] = 1
        if a.dtype.kind == "f":
            return np.fmod(a, b)
        rest = np.abs(a.astype(object)) % np.abs(b.astype(object))
        return wrap(rest * np.where(a < 0, -1, 1), a.dtype)
    return wrap(a.astype(object) % b.astype(object), a.dtype)


def power(c):
    dtype = c.pick(["float32", "float64", "int32", "int64"])
    a, _ = repeated(c, dtype)
    exponent = c.pick(["same", "float32", "int64"])
    b = c.inputs[1] = np.asarray(c.random.randint(0, 4, c.inputs[1].shape))
    b = c.inputs[1] = b.astype(dtype if exponent == "same" else exponent)
    if a.dtype.kind == "f":
        return np.power(a.astype(np.float64), b.astype(np.float64)).astype(a.dtype)
    c.inputs[0] = a = a % 1000
    return np.power(a.astype(np.int64), b.astype(np.int64)).astype(a.dtype)


def arithmetic(function):
    def compute(c):
        a, b = repeated(c, c.pick(NUMBERS))
        return function(a, b).astype(a.dtype)
    return compute


def comparison(function, types=NUMBERS):
    def compute(c):
        a, b = repeated(c, c.pick(types))
        chosen = c.random.rand(*b.shape) < 0.3
        if a.shape == b.shape:
            b[chosen] = a[chosen]
        return function(a, b)
    return compute


def variadic(function, types):
    def compute(c):
        a, b = repeated(c, c.pick(types))
        result = function(a, b).astype(a.dtype)
        if c.random.rand() < 0.5:
            result = function(result, c.number(a.dtype, b.shape)).astype(a.dtype)
        return result
    return compute


def mean(c):
    a, b = repeated(c, c.pick(["float32", "float64"]))
    return ((a + b) / 2).astype(a.dtype)


def unary(function, types=REAL, prepare=lambda x: x):
    def compute(c):
        dtype = c.pick(types)
        x = c.give(prepare(c.values(dtype, c.shape())))
        return function(x.astype(np.float64) if dtype == "float16" else x).astype(x.dtype)
    return compute


def erf(x):
    from math import erf as exact
    return np.array([exact(v) for v in x.ravel()]).reshape(x.shape)


def is_nan(c):
    x = c.number(c.pick(REAL), c.shape())
    x[c.random.rand(*x.shape) < 0.3] = np.nan
    return np.isnan(x)


def cast(c):
    source, target = c.pick(ALL), c.pick(ALL)
    x = c.number(source, c.shape())
    if x.dtype.kind == "f" and np.dtype(target).kind in "iu":
        limit = 100 if np.dtype(target).kind == "i" else 255
        x[...] = np.clip(np.abs(x) if np.dtype(target).kind == "u" else x, -limit, limit)
    if target == "float16" and x.dtype.kind != "b":
        x[...] = np.clip(x, 0 if x.dtype.kind == "u" else -100, 100)
    c.attributes["to"] = int(helper.np_dtype_to_tensor_dtype(np.dtype(target))
                             if hasattr(helper, "np_dtype_to_tensor_dtype")
                             else NUMPY_TO_ONNX[target])
    return x.astype(target)


NUMPY_TO_ONNX = {name: getattr(TensorProto, name.upper()) for name in ALL if name[:5] != "float"}
NUMPY_TO_ONNX.update(float32=TensorProto.FLOAT, float64=TensorProto.DOUBLE,
                     float16=TensorProto.FLOAT16)


def where(c):
    a, b = repeated(c, c.pick(ALL))
    condition = c.values("bool", a.shape)
    c.inputs.insert(0, condition)
    return np.where(condition, a, b)


def clip(c):
    x = c.number(c.pick(["float32", "float64", "int8", "int64", "uint64"]), c.shape())
    low, high = c.number(x.dtype, ()), c.number(x.dtype, ())
    return np.minimum(np.maximum(x, low), high)


def reduction(function, types):
    def compute(c):
        x = c.number(c.pick(types), c.shape(1))
        axes = sorted(c.random.choice(x.ndim, c.random.randint(1, x.ndim + 1), replace=False))
        keep = bool(c.random.randint(2))
        c.attributes["keepdims"] = int(keep)
        axes = [int(a) - x.ndim if c.random.rand() < 0.3 else int(a) for a in axes]
        if function is summed and c.opset >= 13:
            c.give(np.array(axes))
        else:
            c.attributes["axes"] = axes
        wide = x.astype(np.float64) if x.dtype.kind == "f" else x
        return np.asarray(function(wide, tuple(axes), keep)).astype(x.dtype)
    return compute


def sums(function):
    def compute(x, axes, keep):
        return function(x, axis=axes, keepdims=keep)
    return compute


def summed(x, axes, keep):
    return np.sum(x, axis=axes, keepdims=keep, dtype=x.dtype if x.dtype.kind in "iu" else None)


def extreme(find):
    def compute(c):
        x = c.number(c.pick(NUMBERS), c.shape(1))
        axis = c.axis(x)
        c.attributes["keepdims"] = 0
        return find(x, axis=axis)
    return compute


def cum_sum(c):
    x = c.number(c.pick(["float32", "float64", "int32", "int64", "uint32", "uint64"]), c.shape(1))
    axis = c.random.randint(-x.ndim, x.ndim)
    c.give(np.int64(axis))
    reverse, exclusive = c.random.randint(2), c.random.randint(2)
    c.attributes.update(reverse=int(reverse), exclusive=int(exclusive))
    rows = np.moveaxis(np.flip(x, axis) if reverse else x, axis, -1)
    result = np.cumsum(rows, axis=-1, dtype=x.dtype)
    if exclusive:
        result = np.concatenate([np.zeros_like(result[..., :1]), result[..., :-1]], -1)
    result = np.moveaxis(result, -1, axis)
    return np.flip(result, axis) if reverse else result


def cut(c):
    x = c.number(c.pick(ALL), c.shape(1))
    axes = c.random.choice(x.ndim, c.random.randint(1, x.ndim + 1), replace=False)
    index, lists = [slice(None)] * x.ndim, [[], [], [], []]
    for axis in axes:
        size = x.shape[axis]
        for _ in range(100):
            step = int(c.pick([-3, -2, -1, 1, 2, 3]))
            start = int(c.random.randint(0, size))
            end = int(c.random.randint(start + 1, size + 3) if step > 0 else c.random.randint(-1, start))
            end = end if end >= 0 else -size - 2
            index[axis] = slice(start, end, step)
            if len(range(*index[axis].indices(size))):
                break
        for values, value in zip(lists, (start, end, axis - x.ndim if c.random.rand() < .3 else axis, step)):
            values.append(value)
    dtype = c.pick(["int32", "int64"])
    for values in lists:
        c.give(np.array(values, dtype))
    return x[tuple(index)]


def concat(c):
    x = c.number(c.pick(ALL), c.shape(1))
    axis = c.axis(x)
    shape = list(x.shape)
    shape[axis] = c.random.randint(1, 5)
    return np.concatenate([x, c.number(x.dtype, tuple(shape))], axis)


def transpose(c):
    x = c.number(c.pick(ALL), c.shape(1))
    order = c.random.permutation(x.ndim)
    c.attributes["perm"] = [int(d) for d in order]
    return x.transpose(order)


def expand(c):
    x, other = repeated(c, c.pick(ALL))
    c.inputs[1] = np.array(other.shape, "int64")
    return np.broadcast_to(x, np.broadcast_shapes(x.shape, other.shape))


def tile(c):
    x = c.number(c.pick(ALL), c.shape(1))
    return np.tile(x, c.give(c.random.randint(1, 4, x.ndim)))


def gather(c):
    x = c.number(c.pick(ALL), c.shape(1, 3))
    axis = c.axis(x)
    size = x.shape[axis]
    return np.take(x, c.give(np.asarray(c.random.randint(-size, size, c.shape(0, 2)))), axis, mode="wrap")


def gather_elements(c):
    x = c.number(c.pick(ALL), c.shape(1))
    axis = c.axis(x)
    size = x.shape[axis]
    indices = c.give(c.random.randint(-size, size, x.shape))
    return np.take_along_axis(x, indices % size, axis)


def scatter_nd(c):
    x = c.number(c.pick(ALL), c.shape(1, 3))
    rows = c.random.permutation(x.shape[0])[: c.random.randint(1, x.shape[0] + 1)]
    c.give(rows.astype(np.int64).reshape(-1, 1))
    result = x.copy()
    result[rows] = c.number(x.dtype, (len(rows),) + x.shape[1:])
    return result


def trilu(c):
    x = c.number(c.pick(ALL), c.shape(2))
    k = int(c.give(np.int64(c.random.randint(-4, 5))))
    c.attributes["upper"] = int(c.random.randint(2))
    return np.triu(x, k) if c.attributes["upper"] else np.tril(x, k)


def steps(c):
    dtype = c.pick(["int16", "int32", "int64", "float32", "float64"])
    start, step = c.random.randint(-20, 20), c.pick([-3, -2, -1, 1, 2, 3])
    limit = start + step * c.random.randint(1, 10) + c.random.randint(0, 2)
    for v in (start, limit, step):
        c.give(np.array(v, dtype))
    return np.arange(start, limit, step).astype(dtype)


def one_hot(c):
    depth = c.random.randint(1, 6)
    indices = c.give(c.random.randint(-depth, depth, c.shape(1, 3)))
    c.give(np.int64(depth))
    off, on = c.number(c.pick(ALL), (2,))
    axis = c.attributes["axis"] = int(c.random.randint(-indices.ndim - 1, indices.ndim + 1))
    places = np.moveaxis(np.eye(depth, dtype=bool)[indices % depth], -1, axis)
    return np.where(places, on, off)


def product(c):
    dtype = c.pick(["float32", "float64", "int32", "int64", "uint32", "uint64"])
    m, k, n = c.random.randint(1, 5, 3)
    outer = c.shape(0, 2)
    a = c.number(dtype, outer + (m, k) if c.random.rand() < 0.8 else (k,))
    b = c.number(dtype, outer[c.random.randint(len(outer) + 1):] + (k, n) if c.random.rand() < 0.8 else (k,))
    return np.matmul(a, b)


def dense(c):
    dtype = c.pick(["float32", "float64"])
    m, k, n = c.random.randint(1, 5, 3)
    turn_a, turn_b = (int(v) for v in c.random.randint(0, 2, 2))
    c.attributes.update(transA=turn_a, transB=turn_b, alpha=0.5, beta=2.0)
    a = c.number(dtype, (k, m) if turn_a else (m, k))
    b = c.number(dtype, (n, k) if turn_b else (k, n))
    addend = c.number(dtype, c.pick([(), (n,), (1, n), (m, 1), (m, n)]))
    return 0.5 * np.matmul(a.T if turn_a else a, b.T if turn_b else b) + 2 * addend


OPERATORS = {
    "Add": arithmetic(np.add), "Sub": arithmetic(np.subtract), "Mul": arithmetic(np.multiply),
    "Div": divide, "Mod": modulo, "Pow": power,
    "Min": variadic(np.minimum, NUMBERS), "Max": variadic(np.maximum, NUMBERS),
    "Sum": variadic(np.add, REAL), "Mean": mean,
    "Equal": comparison(np.equal, ALL), "Less": comparison(np.less), "Greater": comparison(np.greater),
    "LessOrEqual": comparison(np.less_equal), "GreaterOrEqual": comparison(np.greater_equal),
    "And": comparison(np.logical_and, ["bool"]), "Or": comparison(np.logical_or, ["bool"]),
    "Xor": comparison(np.logical_xor, ["bool"]), "Not": unary(np.logical_not, ["bool"]),
    "Neg": unary(np.negative, SIGNED), "Abs": unary(np.abs, NUMBERS), "Sign": unary(np.sign, NUMBERS),
    "Sqrt": unary(np.sqrt, REAL, np.abs), "Exp": unary(np.exp),
    "Log": unary(np.log, REAL, lambda x: np.abs(x) + x.dtype.type(0.5)),
    "Floor": unary(np.floor), "Ceil": unary(np.ceil),
    "Round": unary(np.round, REAL, lambda x: np.round(x * 2) / x.dtype.type(2)),
    "Reciprocal": unary(np.reciprocal, REAL, lambda x: np.abs(x) + x.dtype.type(0.5)),
    "Erf": unary(erf, ["float32", "float64"]), "Sin": unary(np.sin), "Cos": unary(np.cos),
    "Tanh": unary(np.tanh), "Sigmoid": unary(lambda x: 1 / (1 + np.exp(-x))),
    "Relu": unary(lambda x: np.maximum(x, 0)), "IsNaN": is_nan, "Cast": cast, "Where": where, "Clip": clip,
    "ReduceSum": reduction(summed, ["float32", "float64", "int32", "int64", "uint32", "uint64"]),
    "ReduceProd": reduction(lambda x, a, k: np.prod(x, axis=a, keepdims=k, dtype=x.dtype),
                            ["float32", "float64", "int32", "int64", "uint64"]),
    "ReduceMax": reduction(sums(np.max), NUMBERS), "ReduceMin": reduction(sums(np.min), NUMBERS),
    "ReduceMean": reduction(sums(np.mean), ["float32", "float64"]),
    "ReduceL1": reduction(lambda x, a, k: np.sum(np.abs(x), axis=a, keepdims=k), ["float32", "float64"]),
    "ReduceL2": reduction(lambda x, a, k: np.sqrt(np.sum(x * x, axis=a, keepdims=k)), ["float32", "float64"]),
    "ReduceSumSquare": reduction(lambda x, a, k: np.sum(x * x, axis=a, keepdims=k), ["float32", "float64"]),
    "ArgMax": extreme(np.argmax), "ArgMin": extreme(np.argmin), "CumSum": cum_sum,
    "Slice": cut, "Concat": concat, "Transpose": transpose, "Expand": expand, "Tile": tile,
    "Gather": gather, "GatherElements": gather_elements, "ScatterND": scatter_nd,
    "Range": steps, "OneHot": one_hot, "MatMul": product, "Gemm": dense,
    "Identity": unary(lambda x: x, ALL),
}
SINCE = {"Trilu": 14}
OPERATORS["Trilu"] = trilu


def largest(arrays):
    """The greatest finite magnitude: sums that cancel are as exact as the terms they had."""
    values = np.concatenate([np.abs(np.asarray(a, np.float64)).ravel() for a in arrays] + [np.zeros(1)])
    return values[np.isfinite(values)].max()


class Model:
    """Cases whose results are joined, as floats, and added to the input."""

    def __init__(self, opset):
        self.opset, self.nodes, self.constants, self.parts = opset, [], [], []
        self.expected, self.owners, self.rounding = [], [], []

    def constant(self, values):
        name = "c%d" % len(self.constants)
        self.constants.append(numpy_helper.from_array(np.asarray(values), name))
        return name

    def node(self, kind, inputs, **attributes):
        name = "n%d" % len(self.nodes)
        self.nodes.append(helper.make_node(kind, inputs, [name], name=name, **attributes))
        return name

    def show(self, name, values, owner, rounding=0.0):
        flat = self.node("Reshape", [self.node("Cast", [name], to=TensorProto.FLOAT), self.constant(np.array([1, -1]))])
        self.parts.append(flat)
        self.expected.append(np.asarray(values).astype(np.float32).ravel())
        self.owners += [owner] * self.expected[-1].size
        self.rounding += [rounding] * self.expected[-1].size

    def add(self, kind, case, expected):
        inputs = [self.constant(v) for v in case.inputs]
        name = self.node(kind, inputs, **case.attributes)
        expected = np.asarray(expected)
        owner = "%s(%s) %s" % (kind, ", ".join("%s %s" % (v.dtype, v.tolist()) for v in case.inputs), case.attributes)
        self.show(name, expected, owner)
        if expected.dtype.kind in "iu" and expected.dtype.itemsize > 2:  # all digits, not those of a float
            modulus = expected.dtype.type(1048573)
            self.show(self.node("Mod", [name, self.constant(modulus)]), expected % modulus, owner)
        if expected.dtype == np.float64:  # and those that a float has not
            less = expected - expected.astype(np.float32)
            single = self.node("Cast", [self.node("Cast", [name], to=TensorProto.FLOAT)], to=TensorProto.DOUBLE)
            scale = self.constant(np.float64(2 ** 20))
            rounding = 2 ** 20 * 2 ** -48 * max(largest(case.inputs) ** 2, largest([expected]))
            self.show(self.node("Mul", [self.node("Sub", [name, single]), scale]), less * 2 ** 20, owner, rounding)

    def save(self, path):
        joined = self.node("Concat", self.parts, axis=1)
        self.node("Add", ["x", joined])
        count = len(self.owners)
        y = self.nodes[-1].output[0]
        graph = helper.make_graph(
            self.nodes, "constants", [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, count])],
            [helper.make_tensor_value_info(y, TensorProto.FLOAT, [1, count])], self.constants)
        save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", self.opset)], ir_version=7), path)


def check(program, path, model):
    done = subprocess.run([program, path], capture_output=True)
    expect(not done.returncode, "refused", done.stderr.decode().strip())
    found, expected = np.frombuffer(done.stdout, np.float32), np.concatenate(model.expected)
    share = np.array([2e-3 if "float16" in o else 1e-5 for o in model.owners])
    most = np.maximum.reduceat(np.where(np.isfinite(expected), np.abs(expected), 0), starts(model))
    scale = np.repeat(most, [len(e) for e in model.expected])
    same = (found == expected) | (np.isnan(found) & np.isnan(expected))
    wrong = np.flatnonzero(~same & ~(np.abs(found - expected) <= share * scale + model.rounding))
    expect(not len(wrong), f"{len(wrong)} elements are wrong",
           *("%s: found %r, numpy has %r" % (model.owners[i], found[i], expected[i]) for i in wrong[:5]))


def starts(model):
    return np.cumsum([0] + [len(e) for e in model.expected[:-1]])


def model_of(number, random):
    """A model of CASES cases, the operators in turn."""
    model, kinds = Model([12, 13, 15, 17][number % 4]), sorted(OPERATORS)
    for i in range(CASES):
        kind = kinds[(number * CASES + i) % len(kinds)]
        case = Case(random, model.opset)
        if SINCE.get(kind, 0) <= model.opset:
            model.add(kind, case, OPERATORS[kind](case))
    return model


RANDOM = np.random.RandomState(chosen_seed() % 2**32)


@each([(f"model {n}", n) for n in range(MODELS)])
def constants_are_those_of_numpy(_, number):
    with tempfile.TemporaryDirectory() as folder:
        path = folder + "/constants.onnx"
        model = model_of(number, RANDOM)
        model.save(path)
        check(sys.argv[1], path, model)


run_tests()
