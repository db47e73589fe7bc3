# SPDX-License-Identifier: Apache-2.0
"""The first network of each of torchvision's families, in the oldest and the newest opset that PyTorch
exports here, gives what PyTorch gives: test_zoo.py BENCH TOOL, with the folder of bench/zoo."""
import collections
import importlib.util
import pathlib
import sys
import tempfile

if not importlib.util.find_spec("torchvision"):
    print("python3-torch and python3-torchvision are not installed; ./dev test-slow installs them")
    sys.exit(77)
sys.path.insert(0, sys.argv[1])
import check  # noqa: E402
import networks  # noqa: E402


def main():
    kinds = collections.Counter()
    with tempfile.TemporaryDirectory(prefix="qosbatch-zoo-") as folder:
        exporter = check.Exporter(pathlib.Path(folder))
        print(f"PyTorch {exporter.versions['torch']}, torchvision {exporter.versions['torchvision']}")
        for name in networks.FIRST:
            for opset in (exporter.opsets()[0], exporter.opsets()[-1]):
                result = check.check(exporter, sys.argv[2], name, opset)
                word = {"right": "ok  ", "not exported": "skip"}.get(result.kind, "FAIL")
                kinds[word] += 1
                print(f"{word} {name}, opset {opset}: {result} {result.reason or ''}", flush=True)
        exporter.close()
    print(f"{kinds['ok  ']} passed, {kinds['FAIL']} failed, {kinds['skip']} skipped")
    return 1 if kinds["FAIL"] or not kinds["ok  "] else 0


sys.exit(main())
