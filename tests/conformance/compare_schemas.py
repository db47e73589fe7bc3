#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The importer's signatures against those of the installed python3-onnx: compare_schemas.py PRINTER"""
import pathlib
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
from checks import expect, needs, note, run_tests, test  # noqa: E402

needs(onnx="python3-onnx")
import onnx.defs  # noqa: E402
from onnx.helper import get_attribute_value  # noqa: E402

VARIADIC = 32767


def expected(schema):
    """One operator as the printer writes it: numbers of inputs and outputs, attributes."""
    most = lambda n: min(n, VARIADIC)
    numbers = [schema.min_input, most(schema.max_input), schema.min_output, most(schema.max_output)]
    attributes = {}
    for name, a in schema.attributes.items():
        kind = int(getattr(a.type, "value", a.type))
        default = ""
        if a.required:
            default = "needed"
        elif a.default_value.name:
            value = get_attribute_value(a.default_value)
            default = value.decode() if isinstance(value, bytes) else value
        attributes[name] = (kind, default)
    return numbers, attributes


def same_default(name, kind, ours, theirs):
    if theirs == "needed" or ours == "needed":
        return theirs == ours
    if kind == 1:
        return theirs == "" or abs(float(ours) - float(theirs)) <= 1e-6 * max(1, abs(float(theirs)))
    if kind == 2:
        return theirs == "" or int(ours) == int(theirs)
    return ours == theirs if kind == 3 else True


@test
def signatures_are_those_of_the_standard():
    printed = subprocess.run([sys.argv[1]], check=True, capture_output=True, text=True).stdout
    newest, compared, wrong, seen = onnx.defs.onnx_opset_version(), 0, [], {}
    for line in printed.splitlines():
        op, opset, *numbers = line.split(" ", 6)[:6]
        rules = dict((name, (int(kind), text)) for name, kind, text in
                     (word.split(":", 2) for word in line.split(" ")[6:]))
        seen.setdefault(op, set()).add(int(opset))
        if int(opset) > newest:
            continue
        place = f"{op}, opset {opset}"
        try:
            schema = onnx.defs.get_schema(op, int(opset), "")
        except onnx.defs.SchemaError:
            wrong.append(f"{place}: the standard does not have it")
            continue
        compared += 1
        their_numbers, attributes = expected(schema)
        if schema.deprecated:
            # Its successor's signature, which files of these opsets use: no numbers are given.
            continue
        if [int(n) for n in numbers] != their_numbers:
            wrong.append(f"{place}: inputs and outputs {numbers}, the standard has {their_numbers}")
        for name in sorted(set(rules) | set(attributes)):
            if name not in rules or name not in attributes:
                wrong.append(f"{place}: attribute '{name}' only in {'ours' if name in rules else 'the standard'}")
            elif rules[name][0] != attributes[name][0] or not same_default(name, rules[name][0], rules[name][1], attributes[name][1]):
                wrong.append(f"{place}: attribute '{name}' is {rules[name]}, in the standard {attributes[name]}")
    for op, opsets in seen.items():
        for opset in range(7, newest + 1):
            try:
                schema = onnx.defs.get_schema(op, opset, "")
            except onnx.defs.SchemaError:
                continue
            if opset not in opsets and not schema.deprecated:
                wrong.append(f"{op}, opset {opset}: missing")
    note(f"onnx {onnx.__version__}: {compared} signatures of {len(seen)} operators up to opset {newest}")
    expect(compared and not wrong, f"{len(wrong)} differ", *wrong[:40])


run_tests()
