# SPDX-License-Identifier: Apache-2.0
"""Random quantized nodes against numpy's integers: test_quantized.py PROGRAM [COUNT]

By the engine and by plain loops. PROGRAM is onnx_answers.
"""
import pathlib
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
from checks import chosen_seed, expect, needs, note, run_tests, test  # noqa: E402

needs(numpy="python3-numpy", onnx="python3-onnx")
import numpy as np  # noqa: E402

from answers import Answers  # noqa: E402
from random_quantized import random_case  # noqa: E402


def objection(case, found):
    """What is wrong with an answer; None if nothing is."""
    if isinstance(found, str):
        return found
    expected = case.expected.astype(np.float32).ravel()
    if found.shape[1] != expected.size:
        return f"{found.shape[1]} elements instead of {expected.size}"
    off = np.abs(found - expected)
    if off.max() <= case.slack and np.mean(off != 0) <= 0.02:
        return None
    way, at = np.unravel_index(off.argmax(), off.shape)
    return (f"{'the engine' if way == 0 else 'plain loops'}: element {at} of {expected.size} is {found[way, at]!r} "
            f"instead of {expected[at]!r}, {np.count_nonzero(off)} differ")


@test
def quantized_nodes_are_those_of_numpy():
    first = chosen_seed() % 10**6
    count = int(sys.argv[2]) if len(sys.argv) > 2 else 270
    failures = []
    with tempfile.TemporaryDirectory(prefix="qosbatch-quantized-") as folder:
        answers = Answers(sys.argv[1], folder)
        for seed in range(first, first + count):
            case = random_case(seed)
            wrong = objection(case, answers.run(case.model, case.batch, [v for _, v in case.inputs]))
            if wrong:
                failures.append(f"seed {seed}, {case.kind} {case.attributes}: {wrong}")
    note(f"seeds {first} to {first + count - 1}")
    expect(not failures, f"{len(failures)} of {count} nodes failed", *failures[:20])


run_tests()
