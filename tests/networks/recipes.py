# SPDX-License-Identifier: Apache-2.0
"""How ONNX Runtime's tools quantize a network, and how near to its answers on the result ours are."""
import itertools

import numpy as np
import onnx
from onnx import numpy_helper

TYPES = {"u8s8": ("QUInt8", "QInt8"), "s8s8": ("QInt8", "QInt8"), "u8u8": ("QUInt8", "QUInt8")}  # of x, of weights


def static_recipes(quantization, types=("u8s8", "s8s8")):
    """Arguments of quantize_static(), by name: quantizing nodes around those of floats (QDQ) or quantized operators,
    scales of tensors or of channels, each pair of types, and weights of 7 bits where 8 could saturate."""
    for form, channels, pair, reduced in itertools.product(("QDQ", "QOperator"), (False, True), types, (False, True)):
        if (reduced and pair != "u8s8") or (channels and pair == "u8u8"):
            continue
        label = " ".join([form, "channels" if channels else "tensors", pair] + (["7 bits"] if reduced else []))
        activation, weight = (getattr(quantization.QuantType, name) for name in TYPES[pair])
        yield label, dict(quant_format=getattr(quantization.QuantFormat, form), per_channel=channels,
                          reduce_range=reduced, activation_type=activation, weight_type=weight)


def dynamic_recipes(quantization):
    """Arguments of quantize_dynamic(), by name."""
    for channels in (False, True):
        yield f"dynamic {'channels' if channels else 'tensors'}", dict(per_channel=channels,
                                                                       weight_type=quantization.QuantType.QUInt8)


def quantize(quantization, plain, path, name, samples, how):
    """Writes the file `path`, whose ranges are those of samples of the input `name`."""

    class Reader(quantization.CalibrationDataReader):
        def __init__(self):
            self.left = list(samples)

        def get_next(self):
            return {name: self.left.pop()} if self.left else None

    if "quant_format" in how:
        quantization.quantize_static(plain, path, Reader(), **how)
    else:
        quantization.quantize_dynamic(plain, path, **how)


def step_of(path):
    """The scale of a file's output; None where the output is not of integers."""
    graph = onnx.load(path).graph
    makers = {node.output[0]: node for node in graph.node}
    last = makers[graph.output[0].name]
    while last.op_type in ("Flatten", "Reshape"):
        last = makers[last.input[0]]
    constants = {t.name: t for t in graph.initializer}
    return numpy_helper.to_array(constants[last.input[1]]) if last.op_type == "DequantizeLinear" else None


class Agreement:
    """Of answers with those that a peer gives in several ways; ours may be like any of them."""

    def __init__(self, found, several, step):
        off = np.min([np.abs(found - expected) for expected in several], axis=0) / step
        self.most, self.same, self.within = off.max(), np.mean(off < 0.01), np.mean(off < 1.01)
        self.cosine = max(found @ e / np.linalg.norm(found) / np.linalg.norm(e) for e in several)

    def holds(self, limit=None):
        """As near as can be asked for. `limit` is how near the peer's answers are to its own ones when a few elements of
        each sample are rounded otherwise: in a network with random weights a step may move most of what follows, by
        which this share itself varies from one set of elements to another."""
        off, turn = (1.5 * (1 - limit.within), 1.5 * (1 - limit.cosine)) if limit else (0, 0)
        return self.within >= 1 - max(0.001, off) and self.cosine >= 1 - max(0.0001, turn)

    def __str__(self):
        return (f"off by {self.most:.2f} steps at most, {self.same:.2%} the same, {self.within:.2%} within a step, "
                f"cosine {self.cosine:.6f}")
