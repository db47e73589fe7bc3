# SPDX-License-Identifier: Apache-2.0
"""What must hold for any ONNX file, tried on random networks: test_properties.py PROGRAM [COUNT]

Attributes of value 0 whose field was left out, as proto3 writers do, mean 0. The order of nodes means
nothing. Attributes are accepted only where onnx.checker accepts them, and what it accepts is refused for
want of support at most. PROGRAM is network_values; QB_TEST_SEED is the first seed, or "any".
"""
import copy
import pathlib
import random
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
from checks import chosen_seed, expect, needs, note, run_tests, test  # noqa: E402

needs(numpy="python3-numpy", onnx="python3-onnx")
import onnx  # noqa: E402
from onnx import helper  # noqa: E402

import random_attributes  # noqa: E402
from random_onnx import random_network  # noqa: E402

OLDEST, NEWEST = 7, min(onnx.defs.onnx_opset_version(), 22)
TOLERANCE = 1e-5


class Importer:
    """network_values as a process."""

    def __init__(self, program, folder):
        self.path = folder + "/network.onnx"
        self.process = subprocess.Popen([program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def run(self, model):
        """("values", [...]), or ("refused", why)."""
        onnx.save(model, self.path)
        print(self.path, file=self.process.stdin, flush=True)
        line = self.process.stdout.readline()
        if not line:
            return "ended", f"status {self.process.wait()}"
        kind, _, rest = line.strip().partition(" ")
        return kind, [float(word) for word in rest.split()] if kind == "values" else rest


def alike(a, b):
    """Both have the same values, or neither is read."""
    if a[0] != "values" or b[0] != "values":
        return a[0] == b[0] == "refused"
    scale = max(map(abs, a[1]))
    return len(a[1]) == len(b[1]) and all(abs(x - y) <= TOLERANCE * scale for x, y in zip(a[1], b[1]))


def without_zeros(model):
    model = copy.deepcopy(model)
    for node in model.graph.node:
        for attribute in node.attribute:
            for field in ("f", "i", "s"):
                if attribute.HasField(field) and not getattr(attribute, field):
                    attribute.ClearField(field)
    return model


def shuffled(model, seed):
    model = copy.deepcopy(model)
    nodes = list(model.graph.node)
    random.Random(seed).shuffle(nodes)
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    return model


def describe(model):
    def text(attribute):
        value = helper.get_attribute_value(attribute)
        return f"{attribute.name}={'tensor' if isinstance(value, onnx.TensorProto) else value}"

    nodes = (f"{node.op_type}({', '.join(map(text, node.attribute))})" for node in model.graph.node)
    return f"opset {model.opset_import[0].version}: {'; '.join(nodes)}"


def short(answer):
    return f"{answer[0]} {str(answer[1])[:200]}"


def graphs(importer, first, count):
    """Networks whose zeros are wiped and whose nodes are shuffled: how many are read, and failures."""
    read, failures = 0, []
    for seed in range(first, first + count):
        model = random_network(seed, random.Random(seed).randint(OLDEST, NEWEST))
        right = importer.run(model)
        read += right[0] == "values"
        for name, other in (("zeros left out", without_zeros(model)), ("nodes shuffled", shuffled(model, seed))):
            found = importer.run(other)
            if not alike(right, found):
                failures.append(f"seed {seed}, {name}: {describe(other)}\n    {short(found)}\n    {short(right)}")
    return read, failures


def attributes(importer, first, count):
    """Nodes with attributes that are right or wrong: how many are read, and failures."""
    read, failures = 0, []
    for seed in range(first, first + count):
        model = random_attributes.random_node(seed, random.Random(seed).randint(OLDEST, NEWEST))
        why_not = random_attributes.objection(model)
        found = importer.run(model)
        read += found[0] == "values"
        if why_not and found[0] != "refused":
            failures.append(f"seed {seed}: {describe(model)}\n    {short(found)}\n    onnx.checker: {why_not}")
        elif not why_not and not (found[0] == "values" or random_attributes.may_be_refused(found)):
            failures.append(f"seed {seed}: {describe(model)}\n    {short(found)}\n    onnx.checker accepts it")
    return read, failures


COUNT = int(sys.argv[2]) if len(sys.argv) > 2 else 300
FIRST = chosen_seed() % 10**6


def check(property_of):
    with tempfile.TemporaryDirectory(prefix="qosbatch-onnx-") as folder:
        read, failures = property_of(Importer(sys.argv[1], folder), FIRST, COUNT)
    note(f"seeds {FIRST} to {FIRST + COUNT - 1}, {read} read, {len(failures)} failed")
    expect(not failures, f"{len(failures)} failed", *failures[:20])
    expect(read >= COUNT / 4, "most are refused")


@test
def zeros_left_out_and_shuffled_nodes_change_nothing():
    check(graphs)


@test
def attributes_are_accepted_where_the_checker_accepts_them():
    check(attributes)


run_tests()
