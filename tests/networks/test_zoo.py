# SPDX-License-Identifier: Apache-2.0
"""The first network of each of torchvision's families, in the oldest and the newest opset that PyTorch
exports here, gives what PyTorch gives: test_zoo.py BENCH TOOL, with the folder of bench/zoo."""
import pathlib
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
from checks import each, expect, needs, note, run_tests, skip  # noqa: E402

needs(torch="python3-torch", torchvision="python3-torchvision")
sys.path.insert(0, sys.argv[1])
import check  # noqa: E402
import networks  # noqa: E402

SCRATCH = tempfile.TemporaryDirectory(prefix="qosbatch-zoo-")
EXPORTER = check.Exporter(pathlib.Path(SCRATCH.name))
OPSETS = EXPORTER.opsets()
note(f"PyTorch {EXPORTER.versions['torch']}, torchvision {EXPORTER.versions['torchvision']}")


@each([(f"{name}, opset {opset}", name, opset) for name in networks.FIRST for opset in (OPSETS[0], OPSETS[-1])])
def values_are_those_of_pytorch(_, name, opset):
    result = check.check(EXPORTER, sys.argv[2], name, opset)
    if result.kind == "not exported":
        skip("PyTorch does not export it")
    expect(result.kind == "right", result, result.reason or "")
    note(result)


try:
    run_tests()
finally:
    EXPORTER.close()
