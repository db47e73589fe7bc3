# SPDX-License-Identifier: Apache-2.0
"""Networks that were trained, quantized, by what they lose on labels: test_trained.py TOOL

A residual and a depthwise network learn scikit-learn's handwritten digits; the images that they have not seen
are what they are quantized by and judged on. Where onnxruntime is installed (Debian 13), it has to give the
file's answers, too.
"""
import io
import json
import pathlib
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
from checks import each, expect, needs, note, run_tests  # noqa: E402

needs(torch="python3-torch", sklearn="python3-sklearn", onnx="python3-onnx")
import numpy as np  # noqa: E402
import onnx  # noqa: E402
import torch  # noqa: E402
from sklearn.datasets import load_digits  # noqa: E402
from torch import nn  # noqa: E402

from peer import import_quietly  # noqa: E402

TRAINED, EPOCHS = 1000, 30
MOST_LOSS = 0.005


def unit(inputs, outputs, kernel=3, groups=1, last=nn.ReLU):
    layers = [nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, groups=groups, bias=False),
              nn.BatchNorm2d(outputs)]
    return nn.Sequential(*layers, *([last()] if last else []))


class Residual(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = unit(1, 16)
        self.first = nn.Sequential(unit(16, 16), unit(16, 16, last=None))
        self.second = nn.Sequential(unit(16, 16), unit(16, 16, last=None))
        self.head = nn.Linear(16, 10)

    def forward(self, x):
        x = self.stem(x)
        x = torch.relu(x + self.first(x))
        x = nn.functional.max_pool2d(x, 2)
        x = torch.relu(x + self.second(x))
        return self.head(torch.flatten(nn.functional.adaptive_avg_pool2d(x, 1), 1))


class Depthwise(nn.Module):
    def __init__(self):
        super().__init__()
        widths, layers = [16, 32, 48], [unit(1, 16, last=nn.ReLU6)]
        for inputs, outputs in zip(widths, widths[1:]):
            layers += [unit(inputs, inputs, groups=inputs, last=nn.ReLU6), unit(inputs, outputs, 1, last=nn.ReLU6)]
        self.features = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.head = nn.Linear(widths[-1], 10)

    def forward(self, x):
        return self.head(self.features(x))


def data():
    digits = load_digits()
    order = np.random.RandomState(0).permutation(len(digits.target))
    images = (digits.images[order, None] / 16).astype(np.float32)
    return images, digits.target[order]


def train(network, images, labels):
    optimizer = torch.optim.Adam(network.parameters(), 3e-3)
    network.train()
    x, y = torch.from_numpy(images), torch.from_numpy(labels)
    for _ in range(EPOCHS):
        for part in torch.randperm(len(x)).split(50):
            optimizer.zero_grad()
            nn.functional.cross_entropy(network(x[part]), y[part]).backward()
            optimizer.step()
    return network.eval()


def export(network, path):
    file = io.BytesIO()
    torch.onnx.export(network, torch.zeros(1, 1, 8, 8), file, opset_version=13, input_names=["x"],
                      output_names=["y"], dynamic_axes={"x": {0: "N"}, "y": {0: "N"}})
    path.write_bytes(file.getvalue())


def quantize(folder, network, images, labels):
    np.save(folder / "x.npy", images)
    (folder / "labels").write_text("".join(f"{label}\n" for label in labels))
    done = subprocess.run([sys.argv[1], "quantize", network, "--input", folder / "x.npy", "--labels",
                           folder / "labels", "--samples", "100", "-o", folder / "int8.onnx", "--json"],
                          stdout=subprocess.PIPE, check=True)
    return json.loads(done.stdout)


RUNTIME = import_quietly()
torch.manual_seed(0)
IMAGES, LABELS = data()


@each([("residual", Residual), ("depthwise", Depthwise)])
def a_quantized_network_loses_half_a_point_at_most(name, make):
    with tempfile.TemporaryDirectory(prefix="qosbatch-trained-") as scratch:
        folder = pathlib.Path(scratch)
        network = train(make(), IMAGES[:TRAINED], LABELS[:TRAINED])
        export(network, folder / "f32.onnx")
        held, answers = IMAGES[TRAINED:], LABELS[TRAINED:]
        found = quantize(folder, folder / "f32.onnx", held, answers)
        onnx.checker.check_model(str(folder / "int8.onnx"), full_check=True)
        right = found["accuracy"]["share"]
        note(f"{found['integer_layers']} of {found['layers']} layers, accuracy {found['float_accuracy']:.2%} -> "
             f"{right:.2%}, agreement {found['agreement']['share']:.2%}, {found['sqnr_db']:.1f} dB")
        expect(found["float_accuracy"] > 0.93, "the network has not learnt", found["float_accuracy"])
        expect(found["integer_layers"] == found["layers"], "layers in floats", found["integer_layers"])
        expect(found["float_accuracy"] - right <= MOST_LOSS, "it loses", found["float_accuracy"] - right)
        if RUNTIME:
            session = RUNTIME.InferenceSession(str(folder / "int8.onnx"), providers=["CPUExecutionProvider"])
            theirs = session.run(None, {"x": held})[0].argmax(1)
            note(f"onnxruntime {RUNTIME.__version__}: accuracy {np.mean(theirs == answers):.2%}")
            expect(abs(np.mean(theirs == answers) - found["float_accuracy"]) <= MOST_LOSS, "another accuracy")


run_tests()
