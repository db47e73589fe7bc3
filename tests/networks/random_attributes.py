# SPDX-License-Identifier: Apache-2.0
"""One random operator with random attributes, some of which its opset does not have, or not so."""
import random

import onnx
from onnx import TensorProto, helper

from random_onnx import STEPS, Builder

WRONG_WORDS = ["", "SAME", "bilinear", "valid"]


def schema_attributes(kind):
    """Those of all opsets, as {name: {types}}."""
    found = {}
    for schema in onnx.defs.get_all_schemas_with_history():
        if schema.name == kind and schema.domain == "":
            for name, attribute in schema.attributes.items():
                found.setdefault(name, set()).add(int(getattr(attribute.type, "value", attribute.type)))
    return found


def value_of(rng, kind):
    """Of an AttributeProto's type."""
    return {1: rng.choice([0.0, 0.5, 1.0]), 2: rng.choice([0, 1, 2, -1]),
            3: rng.choice(["NOTSET", "constant", "nearest", *WRONG_WORDS]),
            4: helper.make_tensor("t", TensorProto.FLOAT, [1], [0.5]), 6: [0.5, 1.0],
            7: rng.choice([[1, 1], [2, 3], [0, 0, 0, 0], [1]]), 8: ["a", "b"]}[kind]


def change_attributes(rng, node):
    known = schema_attributes(node.op_type)
    what = rng.choice(["none", "drop", "foreign", "other opset", "other type", "twice"])
    if what == "drop" and node.attribute:
        del node.attribute[rng.randrange(len(node.attribute))]
    elif what == "twice" and node.attribute:
        node.attribute.append(rng.choice(list(node.attribute)))
    elif what == "foreign":
        name = rng.choice(["axis", "alpha", "min", "axes", "mode", "pads", "consumed_inputs", "broadcast", "flavour"])
        put(node, name, value_of(rng, rng.choice([1, 2, 3, 7])))
    elif what == "other opset" and known:
        name = rng.choice(sorted(known))
        kind = rng.choice(sorted(known[name]))
        if kind in (1, 2, 3, 4, 6, 7, 8):
            put(node, name, value_of(rng, kind))
    elif what == "other type" and known:
        put(node, rng.choice(sorted(known)), value_of(rng, rng.choice([1, 2, 3, 6, 7])))


def put(node, name, value):
    for i, attribute in enumerate(node.attribute):
        if attribute.name == name:
            del node.attribute[i]
            break
    node.attribute.append(helper.make_attribute(name, value))


def random_node(seed, opset):
    """A network of one step, one node of which has other attributes than it should have, perhaps."""
    rng = random.Random(seed)
    builder = Builder(seed, opset)
    builder.input_shape = builder.shape = [rng.choice([2, 4]), 4, 5]
    rng.choice(STEPS)(builder)
    if not builder.nodes:
        builder.then("Relu")
    model = builder.model()
    change_attributes(rng, rng.choice(list(model.graph.node)))
    model.graph.output[0].type.tensor_type.ClearField("shape")  # attributes may change it
    return model


def objection(model):
    """Of onnx.checker and shape inference; None if there is none."""
    try:
        inferred = onnx.shape_inference.infer_shapes(model, check_type=True, strict_mode=True, data_prop=True)
        inferred.graph.output[0].type.tensor_type.shape.dim.add()  # the checker wants one
        onnx.checker.check_model(inferred)
    except Exception as error:  # of several kinds by release
        return str(error).strip().splitlines()[0]
    return None


# Said of a file that is right but asks for more than there is, and of what onnx.checker does not look at:
# words, the order of dimensions, axes named twice, constants that do not fit, windows that fit nowhere.
MAY_BE_REFUSED = ["support", "mixes samples", "expected one of", "is not a permutation of its", "I times groups",
                  "where its weights have", "incompatible", "compatible matrices", "do not match",
                  "names a dimension twice", "expected one value",
                  "dimensions and its image", "pads must be smaller than the window", "is empty or too large"]


def may_be_refused(answer):
    return answer[0] == "refused" and any(words in answer[1] for words in MAY_BE_REFUSED)
