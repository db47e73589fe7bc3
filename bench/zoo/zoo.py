#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Torchvision's networks, exported by PyTorch: which are right, and how fast beside ONNX Runtime."""
import argparse
import collections
import pathlib
import re
import sys

import check
import networks
import quantized
import speed

HOW = f"""An error is the largest difference from PyTorch's outputs, over all outputs and samples, as a share of
the largest magnitude among them; one up to {check.TOLERANCE:g} is right. Three samples run in rounds of two and of one."""


def parse():
    parser = argparse.ArgumentParser(prog="zoo", description=__doc__, epilog=HOW)
    parser.add_argument("build", type=pathlib.Path)
    parser.add_argument("networks", nargs="*", help="names of torchvision's (those of networks.py)")
    parser.add_argument("--all", action="store_true", help="every size of every family")
    parser.add_argument("--quick", action="store_true", help="the first of each family; short turns, once")
    parser.add_argument("--keep", action="store_true", help="use exported files that are there, and keep them")
    parser.add_argument("--right", action="store_true", help="no speeds")
    parser.add_argument("--speed", action="store_true", help="speeds only")
    parser.add_argument("--quantized", action="store_true", help="speeds in int8 only")
    return parser.parse_intermixed_args()


def reason_in_short(reason):
    """Operators and how often they are refused, or the message without the file's name."""
    operators = collections.Counter(re.findall(r"\((\w+), opset \d+\)", reason))
    if operators:
        return ", ".join(f"{operator} {times}" for operator, times in operators.most_common())
    return re.sub(r"qosbatch \w+: ('[^']*': )?", "", reason)


def compare_with_pytorch(options, names):
    """Prints a table; the number of wrong ones."""
    exporter = check.Exporter(options.build / "zoo", options.keep)
    opsets = exporter.opsets()
    print(f"PyTorch {exporter.versions['torch']}, torchvision {exporter.versions['torchvision']}")
    print(f"\n{'error':30}" + "".join(f"{f'opset {opset}':>16}" for opset in opsets))
    totals = collections.Counter()
    reasons = {}
    for name in names:
        cells = []
        for opset in opsets:
            result = check.check(exporter, options.build / "tools/qosbatch/qosbatch", name, opset)
            totals[result.kind] += 1
            cells.append(f"{str(result):>16}")
            if result.reason:
                reasons.setdefault(f"{result.kind}: {reason_in_short(result.reason)}", []).append(f"{name} {opset}")
        print(f"{name:30}" + "".join(cells), flush=True)
    exporter.close()
    for reason, where in reasons.items():
        print(f"\n{reason}\n    {', '.join(where)}")
    judged = sum(totals[kind] for kind in ("right", "refused", "wrong"))
    print(f"\nof {judged}: right {totals['right']}, refused {totals['refused']}, wrong {totals['wrong']}; "
          f"not exported by PyTorch {totals['not exported']}")
    return totals["wrong"]


def main():
    options = parse()
    options.build = options.build.resolve()
    names = options.networks or (networks.ALL if options.all else networks.FIRST if options.quick else networks.DEFAULT)
    wrong = 0
    if options.quantized:
        quantized.compare(options.build, options.networks or ["alexnet", *networks.TIMED], options.quick)
        return
    if not options.speed:
        wrong = compare_with_pytorch(options, names)
    if not options.right:
        timed = options.networks or networks.TIMED
        speed.compare(options.build, timed, options.quick)
    sys.exit(1 if wrong else 0)


main()
