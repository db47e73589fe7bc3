# SPDX-License-Identifier: Apache-2.0
"""Torchvision's networks as ONNX files with inputs and PyTorch's outputs: export.py FOLDER.

Reads lines "NETWORK OPSET" and answers each with a line of JSON: the path of a file in FOLDER, or the
exporter's error. Beside NETWORK-opsetN.onnx stand NETWORK-input.npy and NETWORK-expected.npy.

Weights are random. So that every operator has a share in the result, batch norms get random scales and
statistics near those of the data (a random deep network's outputs would not depend on its inputs
otherwise), and parameters that a network starts with as constants, as ConvNeXt's scales of 1e-6 and
ViT's head of zeros, become random. A draw whose outputs hardly differ between samples, or that makes
much of a rounding error, is drawn again: neither tells right from wrong. Opset 11 is exported as it stands; the others, as PyTorch does by
default, with batch norms folded into convolutions.
"""
import contextlib
import json
import os
import pathlib
import sys
import warnings
import zlib

import numpy
import torch
import torchvision

SAMPLES = 3
MOST_DRAWS = 5
NOISE = 1e-6  # some roundings
LEAST = 3e-3  # difference between samples: 30 times of what is tolerated
SIZES = {"inception_v3": (3, 299, 299), "swin_v2_t": (3, 256, 256)}
TRANSFORMED = "+transform_input"  # networks that normalise their input: "googlenet+transform_input"


def builder_of(name):
    for module in (torchvision.models, torchvision.models.segmentation, torchvision.models.video):
        if hasattr(module, name):
            return module, getattr(module, name)
    raise ValueError(f"torchvision has no '{name}'")


def input_shape(name):
    module, _ = builder_of(name)
    if module is torchvision.models.video:
        return (3, 8, 64, 64) if name.endswith("_18") else (3, 16, 224, 224)
    if module is torchvision.models.segmentation:
        return (3, 128, 128)
    return SIZES.get(name, (3, 224, 224))


class FirstOutput(torch.nn.Module):
    """Segmentation networks answer with a dictionary."""

    def __init__(self, network):
        super().__init__()
        self.network = network

    def forward(self, x):
        return self.network(x)["out"]


def new_network(name):
    name, transformed, _ = name.partition(TRANSFORMED)
    options = {"transform_input": True} if transformed else {}
    if name in ("googlenet", "inception_v3"):
        options.update(aux_logits=False, init_weights=True)
    module, builder = builder_of(name)
    if module is torchvision.models.segmentation:
        return FirstOutput(builder(weights=None, weights_backbone=None, **options))
    return builder(weights=None, **options)


def randomize(network, inputs):
    norms = [m for m in network.modules() if isinstance(m, torch.nn.modules.batchnorm._BatchNorm)]
    with torch.no_grad():
        for parameter in network.parameters():
            first = float(parameter.flatten()[0])
            if parameter.numel() > 1 and bool((parameter == first).all()):
                if first:
                    parameter.uniform_(0.5, 1.5)
                else:  # rounding errors grow least where activations are above 0 more often than not
                    parameter.normal_(0.5 if parameter.dim() == 1 else 0, 0.2)
        for norm in norms:
            norm.train()
            norm.momentum = 1
        if norms:
            network(inputs)
        for norm in norms:
            norm.eval()
            variance = norm.running_var
            variance.clamp_(min=float(variance.mean()) * 1e-2 + 1e-6)
            norm.running_mean += 0.1 * variance.sqrt() * torch.randn_like(variance)
            variance *= torch.empty_like(variance).uniform_(0.8, 1.25)


def samples(shape):
    """Noise of another mean and spread for every sample and channel."""
    few = (SAMPLES, shape[0]) + (1,) * (len(shape) - 1)
    return torch.randn(SAMPLES, *shape) * (0.5 + torch.rand(few)) + torch.randn(few)


class Exporter:
    def __init__(self, folder):
        self.folder = folder
        self.name = None

    def prepare(self, name):
        self.name = None
        for draw in range(MOST_DRAWS):
            torch.manual_seed(zlib.crc32(f"{name} {draw}".encode()))
            network = new_network(name).eval()
            inputs = samples(input_shape(name.partition(TRANSFORMED)[0]))
            randomize(network, inputs)
            with torch.no_grad():
                expected = network(inputs)
                off = network(inputs * (1 + NOISE * torch.randn_like(inputs))) - expected
            largest = expected.abs().max()
            if (expected[1:] - expected[:1]).abs().max() > LEAST * largest and off.abs().max() < 100 * NOISE * largest:
                break
        else:
            raise ValueError(f"none of {MOST_DRAWS} draws of weights tells right from wrong")
        self.name, self.network, self.inputs = name, network, inputs
        numpy.save(self.folder / f"{name}-input.npy", inputs.numpy())
        numpy.save(self.folder / f"{name}-expected.npy", expected.numpy())

    def export(self, name, opset):
        if self.name != name:
            self.prepare(name)
        path = self.folder / f"{name}-opset{opset}.onnx"
        mode = torch.onnx.TrainingMode
        batch = {0: "N"}
        torch.onnx.export(self.network, self.inputs, str(path), opset_version=opset, input_names=["x"],
                          output_names=["y"], dynamic_axes={"x": batch, "y": batch},
                          training=mode.PRESERVE if opset == 11 else mode.EVAL)
        return path


def main():
    folder = pathlib.Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    warnings.simplefilter("ignore")
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    exporter = Exporter(folder)
    print(json.dumps({"torch": torch.__version__, "torchvision": torchvision.__version__}), flush=True)
    for line in sys.stdin:
        name, opset = line.split()
        try:
            with contextlib.redirect_stdout(sys.stderr):
                answer = {"path": exporter.export(name, int(opset)).name}
        except Exception as error:  # of whatever kind: the next network is exported all the same
            answer = {"error": (str(error).strip() or repr(error)).splitlines()[0]}
        print(json.dumps(answer), flush=True)


main()
