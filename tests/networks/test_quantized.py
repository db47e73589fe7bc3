# SPDX-License-Identifier: Apache-2.0
"""Random quantized nodes against numpy's integers: test_quantized.py PROGRAM [SEED|any [COUNT]]

By the engine and by plain loops. PROGRAM is onnx_answers.
"""
import random
import subprocess
import sys
import tempfile

import numpy as np
import onnx

from random_quantized import random_case


class Answers:
    """onnx_answers as a process."""

    def __init__(self, program, folder):
        self.folder = folder
        self.process = subprocess.Popen([program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def run(self, model, batch, inputs):
        """What the engine gives and what the plain loops give, or why there is nothing."""
        path, given, found = (f"{self.folder}/{name}" for name in ("model.onnx", "inputs", "outputs"))
        onnx.save(model, path)
        with open(given, "wb") as file:
            for values in inputs:
                file.write(np.ascontiguousarray(values, np.float32).tobytes())
        print(path, batch, given, found, file=self.process.stdin, flush=True)
        line = self.process.stdout.readline()
        if line != "done\n":
            return line.strip() or f"ended with status {self.process.wait()}"
        return np.fromfile(found, np.float32).reshape(2, -1)


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


def main():
    program = sys.argv[1]
    drawn = random.SystemRandom().randrange(10**6)
    first = drawn if len(sys.argv) < 3 or sys.argv[2] == "any" else int(sys.argv[2])
    count = int(sys.argv[3]) if len(sys.argv) > 3 else 270
    failures = []
    with tempfile.TemporaryDirectory(prefix="qosbatch-quantized-") as folder:
        answers = Answers(program, folder)
        for seed in range(first, first + count):
            case = random_case(seed)
            wrong = objection(case, answers.run(case.model, case.batch, [v for _, v in case.inputs]))
            if wrong:
                failures.append(f"seed {seed}, {case.kind} {case.attributes}: {wrong}")
    print(f"seeds {first} to {first + count - 1}: {len(failures)} of {count} nodes failed")
    print("\n".join(failures[:20]))
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
