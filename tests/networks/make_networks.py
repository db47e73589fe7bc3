# SPDX-License-Identifier: Apache-2.0
"""Whole networks as exporters write them, with python3-onnx: VGG-16 (Simonyan and Zisserman, 2014),
MobileNetV2 (Sandler et al., 2018), SqueezeNet 1.1 (Iandola et al., 2016), DenseNet-121 (Huang et al.,
2017), and Inception blocks (Szegedy et al., 2015). Each in another opset and with other ways to
flatten, pad and name the batch. Weights are drawn from a fixed seed.

  make_networks.py PROGRAM full|reduced     runs PROGRAM on the files, in a folder of their own
"""
import functools
import subprocess
import sys
import tempfile

try:
    import numpy as np
    import onnx
    from onnx import TensorProto, helper, numpy_helper
except ImportError:
    print("python3-onnx is not installed")
    sys.exit(77)


class Network:
    light = False  # weights are made by nodes, each of one value

    def __init__(self, name, opset, batch, image, divisor):
        self.name, self.opset, self.divisor = name, opset, divisor
        if self.light:
            self.opset = max(opset, 9)  # the first with ConstantOfShape
        self.nodes, self.constants, self.count = [], [], 0
        self.channels = {"x": 3}
        self.random = np.random.RandomState(len(name))
        self.inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, [batch, 3, image, image])]

    def width(self, channels):
        return max(1, channels // self.divisor)

    def constant(self, values):
        self.count += 1
        name = "c%d" % self.count
        self.constants.append(numpy_helper.from_array(np.asarray(values), name))
        return name

    def floats(self, shape, deviation, mean=0.0):
        if self.light:
            value = mean or deviation * deviation / 2  # of weights: 1 / fan-in, which keeps the mean
            return self.add("ConstantOfShape", [self.constant(np.array(shape))],
                            value=numpy_helper.from_array(np.array([value], np.float32)))
        return self.constant((mean + deviation * self.random.randn(*shape)).astype(np.float32))

    def add(self, kind, inputs, channels=None, **attributes):
        self.count += 1
        name = "%s%d" % (kind.lower(), self.count)
        self.nodes.append(helper.make_node(kind, inputs, [name], name=name, **attributes))
        self.channels[name] = channels if channels else self.channels.get(inputs[0])
        return name

    def conv(self, x, channels, kernel, bias=True, groups=1, **attributes):
        kernel = kernel if isinstance(kernel, tuple) else (kernel, kernel)
        fan_in = self.channels[x] // groups * kernel[0] * kernel[1]
        inputs = [x, self.floats((channels, self.channels[x] // groups) + kernel, (2 / fan_in) ** 0.5)]
        if bias:
            inputs.append(self.floats((channels,), 0.05))
        if not any(key in attributes for key in ("pads", "auto_pad")):
            attributes["pads"] = [kernel[0] // 2, kernel[1] // 2] * 2
        if groups > 1:
            attributes["group"] = groups
        return self.add("Conv", inputs, channels, kernel_shape=list(kernel), **attributes)

    def relu(self, x):
        return self.add("Relu", [x])

    def relu6(self, x):
        if self.opset < 11:
            return self.add("Clip", [x], min=0.0, max=6.0)
        return self.add("Clip", [x, self.constant(np.float32(0)), self.constant(np.float32(6))])

    def norm(self, x):
        c = (self.channels[x],)
        variance = self.floats(c, 0, 1) if self.light else self.constant(
            (1 + 0.2 * self.random.rand(*c)).astype(np.float32))
        return self.add("BatchNormalization", [x, self.floats(c, 0.1, 1), self.floats(c, 0.1), self.floats(c, 0.1),
                                               variance])

    def gemm(self, x, inputs, outputs):
        return self.add("Gemm", [x, self.floats((outputs, inputs), (2 / inputs) ** 0.5),
                                 self.floats((outputs,), 0.05)], outputs, transB=1)

    def softmax(self, x):
        """Left out of light networks: all their classes are alike, and it would hide their value."""
        return x if self.light else self.add("Softmax", [x], axis=1)

    def save(self, x, classes, folder):
        y = helper.make_tensor_value_info(x, TensorProto.FLOAT, [None, classes])
        graph = helper.make_graph(self.nodes, self.name, self.inputs, [y], self.constants)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", self.opset)])
        model.ir_version = 6
        onnx.checker.check_model(model)
        path = "%s/%s.onnx" % (folder, self.name)
        onnx.save(model, path)
        return path


def vgg(layers, image, divisor, classes):
    n = Network("vgg%d" % layers, 9, "N", image, divisor)
    x = "x"
    many = (layers - 7) // 3
    for repeat, channels in [(2, 64), (2, 128), (many, 256), (many, 512), (many, 512)]:
        for _ in range(repeat):
            x = n.relu(n.conv(x, n.width(channels), 3))
        x = n.add("MaxPool", [x], kernel_shape=[2, 2], strides=[2, 2])
    features = n.channels[x] * (image // 32) ** 2
    x = n.add("Flatten", [x], axis=1)
    for _ in range(2):
        x = n.add("Dropout", [n.relu(n.gemm(x, features, n.width(4096)))], ratio=0.5)
        features = n.width(4096)
    return n, n.softmax(n.gemm(x, features, classes))


def mobilenet_v2(image, divisor, classes):
    n = Network("mobilenet_v2", 13, "batch_size", image, divisor)
    x = n.relu6(n.norm(n.conv("x", n.width(32), 3, bias=False, strides=[2, 2])))
    for expand, channels, repeat, stride in [(1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2),
                                             (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1)]:
        for i in range(repeat):
            before, strides = x, [stride if i == 0 else 1] * 2
            hidden = n.channels[x] * expand
            if expand > 1:
                x = n.relu6(n.norm(n.conv(x, hidden, 1, bias=False)))
            x = n.relu6(n.norm(n.conv(x, hidden, 3, bias=False, groups=hidden, strides=strides)))
            x = n.norm(n.conv(x, n.width(channels), 1, bias=False))
            if i:
                x = n.add("Add", [before, x])
    x = n.relu6(n.norm(n.conv(x, n.width(1280), 1, bias=False)))
    features = n.channels[x]
    x = n.add("GlobalAveragePool", [x])
    size = n.add("Gather", [n.add("Shape", [x]), n.constant(np.int64(0))], axis=0)
    to = n.add("Concat", [n.add("Unsqueeze", [size, n.constant(np.array([0]))]), n.constant(np.array([-1]))], axis=0)
    return n, n.gemm(n.add("Reshape", [x, to]), features, classes)


def squeezenet(image, divisor, classes):
    n = Network("squeezenet", 7, 1, image, divisor)

    def fire(x, squeeze, expand):
        s = n.relu(n.conv(x, n.width(squeeze), 1))
        a, b = n.relu(n.conv(s, n.width(expand), 1)), n.relu(n.conv(s, n.width(expand), 3))
        return n.add("Concat", [a, b], 2 * n.width(expand), axis=1)

    def pool(x):
        return n.add("MaxPool", [x], kernel_shape=[3, 3], strides=[2, 2])

    x = pool(n.relu(n.conv("x", n.width(64), 3, strides=[2, 2], pads=[0, 0, 0, 0])))
    x = pool(fire(fire(x, 16, 64), 16, 64))
    x = pool(fire(fire(x, 32, 128), 32, 128))
    for squeeze, expand in [(48, 192), (48, 192), (64, 256), (64, 256)]:
        x = fire(x, squeeze, expand)
    x = n.relu(n.conv(n.add("Dropout", [x], ratio=0.5), classes, 1))
    x = n.add("GlobalAveragePool", [x])
    return n, n.softmax(n.add("Reshape", [x, n.constant(np.array([1, classes]))]))


def densenet121(image, divisor, classes):
    n = Network("densenet121", 11, "N", image, divisor)
    growth = n.width(32)
    x = n.relu(n.norm(n.conv("x", n.width(64), 7, bias=False, strides=[2, 2])))
    x = n.add("MaxPool", [x], kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])
    for block, layers in enumerate([6, 12, 24, 16]):
        parts, channels = [x], n.channels[x]
        for _ in range(layers):
            y = n.add("Concat", parts, channels, axis=1)
            y = n.conv(n.relu(n.norm(y)), 4 * growth, 1, bias=False)
            y = n.conv(n.relu(n.norm(y)), growth, 3, bias=False)
            parts.append(y)
            channels += growth
        x = n.relu(n.norm(n.add("Concat", parts, channels, axis=1)))
        if block < 3:
            x = n.conv(x, channels // 2, 1, bias=False)
            x = n.add("AveragePool", [x], kernel_shape=[2, 2], strides=[2, 2])
    x = n.add("ReduceMean", [x], axes=[2, 3], keepdims=0)
    return n, n.gemm(x, n.channels[x], classes)


def inception(image, divisor, classes):
    n = Network("inception", 10, 2, image, divisor)

    def conv(x, channels, kernel, **attributes):
        return n.relu(n.norm(n.conv(x, n.width(channels), kernel, bias=False, **attributes)))

    def join(*parts):
        return n.add("Concat", list(parts), sum(n.channels[p] for p in parts), axis=1)

    def average(x):
        return n.add("AveragePool", [x], kernel_shape=[3, 3], strides=[1, 1], pads=[1] * 4, count_include_pad=1)

    def largest(x):
        return n.add("MaxPool", [x], kernel_shape=[3, 3], strides=[2, 2], ceil_mode=1)

    x = conv("x", 32, 3, strides=[2, 2], auto_pad="VALID")
    x = n.add("LRN", [largest(conv(x, 64, 3, auto_pad="SAME_UPPER"))], size=5)
    for pooled in [32, 64]:
        x = join(conv(x, 64, 1), conv(conv(x, 48, 1), 64, 5), conv(conv(conv(x, 64, 1), 96, 3), 96, 3),
                 conv(average(x), pooled, 1))
    x = join(conv(x, 384, 3, strides=[2, 2], auto_pad="SAME_LOWER"),
             conv(conv(x, 64, 1), 96, 3, strides=[2, 2], auto_pad="SAME_UPPER"),
             n.add("MaxPool", [x], kernel_shape=[3, 3], strides=[2, 2], auto_pad="SAME_UPPER"))
    for _ in range(2):
        x = join(conv(x, 192, 1), conv(conv(conv(x, 128, 1), 128, (1, 7)), 192, (7, 1)),
                 conv(average(x), 192, 1))
    features = n.channels[x]
    x = n.add("ReduceMean", [x], axes=[-2, -1], keepdims=1)
    x = n.add("Squeeze", [x], axes=[2, 3])
    return n, n.add("Add", [n.add("MatMul", [x, n.floats((features, classes), (1 / features) ** 0.5)]),
                            n.floats((classes,), 0.05)])


def main():
    program, size = sys.argv[1:]
    image, divisor, classes = (224, 1, 1000) if size == "full" else (64, 8, 10)
    with tempfile.TemporaryDirectory() as folder:
        paths = []
        vgg16 = functools.partial(vgg, 16)
        for make in [vgg16, mobilenet_v2, squeezenet, densenet121, inception]:
            network, output = make(image, divisor, classes)
            paths.append(network.save(output, classes, folder))
        return subprocess.run([program] + paths).returncode


if __name__ == "__main__":
    sys.exit(main())
