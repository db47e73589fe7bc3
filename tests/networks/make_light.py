# SPDX-License-Identifier: Apache-2.0
"""The seven networks of ONNX's zoo in its light form, where nodes make the weights: ConstantOfShape
instead of data, so that a file of some kilobytes stands for up to 143 million weights.

  make_light.py PROGRAM full|reduced     runs PROGRAM on the files, in a folder of their own
"""
import subprocess
import sys
import tempfile

import make_networks
from make_networks import Network, densenet121, np, squeezenet, vgg


def classifier(n, x, features, classes):
    """Two hidden layers of 4096 and the classes, after Krizhevsky."""
    x = n.add("Reshape", [x, n.constant(np.array([1, features]))])
    for _ in range(2):
        x = n.add("Dropout", [n.relu(n.gemm(x, features, n.width(4096)))], ratio=0.5)
        features = n.width(4096)
    return n.softmax(n.gemm(x, features, classes))


def pool(n, x, **attributes):
    return n.add("MaxPool", [x], kernel_shape=[3, 3], strides=[2, 2], **attributes)


def alexnet(divisor, classes):
    n = Network("alexnet", 9, 1, 224, divisor)
    x = n.relu(n.conv("x", n.width(96), 11, strides=[4, 4], pads=[0] * 4))
    x = pool(n, n.add("LRN", [x], size=5, alpha=1e-4, beta=0.75))
    x = n.relu(n.conv(x, n.width(256), 5, groups=2))
    x = pool(n, n.add("LRN", [x], size=5, alpha=1e-4, beta=0.75))
    x = n.relu(n.conv(x, n.width(384), 3))
    x = n.relu(n.conv(x, n.width(384), 3, groups=2))
    x = pool(n, n.relu(n.conv(x, n.width(256), 3, groups=2)), pads=[0, 0, 1, 1])
    return n, classifier(n, x, n.width(256) * 6 * 6, classes)


def zfnet(divisor, classes):
    n = Network("zfnet512", 9, 1, 224, divisor)
    x = n.relu(n.conv("x", n.width(96), 7, strides=[2, 2], pads=[1] * 4))
    x = pool(n, n.add("LRN", [x], size=3, alpha=5e-5, beta=0.75))
    x = n.relu(n.conv(x, n.width(256), 5, strides=[2, 2], pads=[0] * 4))
    x = pool(n, n.add("LRN", [x], size=3, alpha=5e-5, beta=0.75), pads=[0, 0, 1, 1])
    for channels in (512, 1024, 512):
        x = n.relu(n.conv(x, n.width(channels), 3))
    return n, classifier(n, pool(n, x, pads=[0, 0, 1, 1]), n.width(512) * 6 * 6, classes)


def resnet50(divisor, classes):
    n = Network("resnet50", 9, 1, 224, divisor)

    def conv(x, channels, kernel, stride=1):
        return n.norm(n.conv(x, channels, kernel, bias=False, strides=[stride, stride]))

    x = pool(n, n.relu(conv("x", n.width(64), 7, 2)), pads=[1] * 4)
    for stage, (channels, repeat) in enumerate([(64, 3), (128, 4), (256, 6), (512, 3)]):
        for block in range(repeat):
            stride = 2 if stage and not block else 1
            y = n.relu(conv(x, n.width(channels), 1, stride))
            y = conv(n.relu(conv(y, n.width(channels), 3)), n.width(4 * channels), 1)
            x = n.relu(n.add("Sum", [y, x if block else conv(x, n.width(4 * channels), 1, stride)], n.channels[y]))
    x = n.add("AveragePool", [x], kernel_shape=[7, 7])
    x = n.add("Reshape", [x, n.constant(np.array([1, -1]))])
    return n, n.softmax(n.gemm(x, n.channels[x], classes))


def inception_v1(divisor, classes):
    n = Network("inception_v1", 9, 1, 224, divisor)

    def conv(x, channels, kernel, **attributes):
        return n.relu(n.conv(x, n.width(channels), kernel, **attributes))

    def block(x, a, b0, b1, c0, c1, d):
        pooled = n.add("MaxPool", [x], kernel_shape=[3, 3], pads=[1] * 4)
        parts = [conv(x, a, 1), conv(conv(x, b0, 1), b1, 3), conv(conv(x, c0, 1), c1, 5), conv(pooled, d, 1)]
        return n.add("Concat", parts, sum(n.channels[part] for part in parts), axis=1)

    x = pool(n, conv("x", 64, 7, strides=[2, 2]), pads=[0, 0, 1, 1])
    x = n.add("LRN", [x], size=5, alpha=1e-4, beta=0.75)
    x = n.add("LRN", [conv(conv(x, 64, 1), 192, 3)], size=5, alpha=1e-4, beta=0.75)
    x = pool(n, x, pads=[0, 0, 1, 1])
    x = block(block(x, 64, 96, 128, 16, 32, 32), 128, 128, 192, 32, 96, 64)
    x = block(pool(n, x, pads=[0, 0, 1, 1]), 192, 96, 208, 16, 48, 64)
    x = block(block(x, 160, 112, 224, 24, 64, 64), 128, 128, 256, 24, 64, 64)
    x = block(block(x, 112, 144, 288, 32, 64, 64), 256, 160, 320, 32, 128, 128)
    x = block(pool(n, x, pads=[0, 0, 1, 1]), 256, 160, 320, 32, 128, 128)
    x = n.add("AveragePool", [block(x, 384, 192, 384, 48, 128, 128)], kernel_shape=[7, 7])
    x = n.add("Reshape", [n.add("Dropout", [x], ratio=0.4), n.constant(np.array([1, -1]))])
    return n, n.softmax(n.gemm(x, n.channels[x], classes))


def main():
    program, size = sys.argv[1:]
    divisor, classes = (1, 1000) if size == "full" else (16, 10)
    make_networks.Network.light = True
    networks = [make(divisor, classes) for make in (alexnet, zfnet, resnet50, inception_v1)]
    networks += [make(224, divisor, classes) for make in (densenet121, squeezenet)]
    networks.append(vgg(19, 224, divisor, classes))
    with tempfile.TemporaryDirectory() as folder:
        paths = [network.save(output, classes, folder) for network, output in networks]
        return subprocess.run([program] + paths).returncode


sys.exit(main())
