# SPDX-License-Identifier: Apache-2.0
"""Whole networks that ONNX Runtime's tools quantize, by each recipe, against its answers:
test_peer_networks.py BENCH PROGRAM EXPORT [CHOSEN]

The built-in ones and five of torchvision's. BENCH is the folder of bench/zoo, PROGRAM onnx_answers, EXPORT
export_onnx. Skipped where onnxruntime is missing: Debian 13 has it. CHOSEN is a part of the names of tests.
"""
import functools
import logging
import pathlib
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
from checks import each, expect, needs, note, run_tests, skip_all  # noqa: E402

needs(numpy="python3-numpy", onnx="python3-onnx", torch="python3-torch", torchvision="python3-torchvision")
import numpy as np  # noqa: E402
import onnx  # noqa: E402

import peer  # noqa: E402
from answers import Answers  # noqa: E402
from recipes import Agreement, quantize, static_recipes, step_of  # noqa: E402

sys.path.insert(0, sys.argv[1])
import check  # noqa: E402

BUILTIN = ("alexnet", "resnet50")
TORCHVISION = ("mobilenet_v2", "shufflenet_v2_x1_0", "squeezenet1_1", "densenet121", "regnet_y_400mf")
OPSET = 17
SAMPLES = 4
FEWEST = 5  # elements to move: what one does depends on which it is, and not all shapes of a network may be known
OTHERWISE = 17 / 23.5e6  # results so near to the middle of two steps that either is right, by test_lowering

RUNTIME = peer.import_quietly("onnx.reference", "onnxruntime.quantization")
if not RUNTIME:
    skip_all("onnxruntime is not installed")
logging.disable(logging.WARNING)  # advice on preparing models
SCRATCH = tempfile.TemporaryDirectory(prefix="qosbatch-peer-")
FOLDER = pathlib.Path(SCRATCH.name)
EXPORTER = check.Exporter(FOLDER)
ANSWERS = Answers(sys.argv[2], SCRATCH.name)
note(f"onnxruntime {RUNTIME.__version__}, PyTorch {EXPORTER.versions['torch']}")


def export_builtin(name):
    """Up to its logits: probabilities of 1,000 classes are hardly a step of 1/256."""
    path = FOLDER / f"{name}.onnx"
    subprocess.run([sys.argv[3], name, path], check=True)
    model = onnx.load(path)
    last = model.graph.node.pop()
    assert last.op_type == "Softmax"
    model.graph.output[0].name = last.input[0]
    onnx.save(model, path)
    return path


@functools.lru_cache(maxsize=1)
def plain(name):
    """The file of a network in floats, the name of its input, and samples: to find ranges, and others."""
    path = export_builtin(name) if name in BUILTIN else EXPORTER.export(name, OPSET)[0]
    x = onnx.load(path).graph.input[0]
    dims = [d.dim_value for d in x.type.tensor_type.shape.dim[1:]]
    random = np.random.RandomState(1)
    return path, x.name, *(random.randn(SAMPLES, *dims).astype(np.float32) for _ in range(2))


def written(path):
    """How many elements the operators of a network write for a sample."""
    graph = onnx.shape_inference.infer_shapes(onnx.load(path)).graph
    shapes = [[d.dim_value for d in value.type.tensor_type.shape.dim[1:]] for value in graph.value_info]
    return sum(int(np.prod(dims)) for dims in shapes if dims)


def moved(samples, count):
    """The same, but for some elements of each sample, which are a step of 8 bits larger."""
    other = samples.copy()
    for sample in other:
        places = np.random.RandomState(2).choice(sample.size, count, replace=False)
        sample.reshape(-1)[places] += (samples.max() - samples.min()) / 255
    return other


@each([(f"{name}, {label}", name, how) for name in BUILTIN + TORCHVISION
       for label, how in static_recipes(RUNTIME.quantization)])
def answers_are_those_of_onnxruntime(_, name, how):
    network, x, ranges, samples = plain(name)
    path = FOLDER / "quantized.onnx"
    quantize(RUNTIME.quantization, network, path, x, ranges[:, None], how)
    step = step_of(path)
    expected = [peer.answers(RUNTIME, path, samples, fused) for fused in (False, True)]
    found = ANSWERS.run_file(path, SAMPLES, [samples], ("f32", "int8"))
    expect(not isinstance(found, str), found)
    count = max(FEWEST, round(OTHERWISE * written(network)))
    limit = Agreement(peer.answers(RUNTIME, path, moved(samples, count), False), expected[:1], step)
    note(f"onnxruntime with and without optimizations: {Agreement(expected[1], expected[:1], step)}")
    note(f"onnxruntime with {count} elements of each sample a step larger: {limit}")
    for way, values in zip(("f32", "int8"), found):
        agreement = Agreement(values, expected, step)
        note(f"{way}: {agreement}")
        expect(agreement.holds(limit), f"other answers in {way}")


try:
    run_tests(*sys.argv[4:])
finally:
    EXPORTER.close()
