# SPDX-License-Identifier: Apache-2.0
"""Exports networks, runs them with qosbatch, and compares with PyTorch's outputs."""
import json
import os
import pathlib
import subprocess
import tempfile

import numpy

PYTHON = "/usr/bin/python3"  # Debian's PyTorch is for Debian's Python
HERE = pathlib.Path(__file__).resolve().parent
TOLERANCE = 1e-4
ENVIRONMENT = {**os.environ, "OMP_WAIT_POLICY": "passive"}  # spinning threads hold each other up on a busy machine


class Failure(Exception):
    """The exporter ended, and nothing more can be exported."""


class Exporter:
    """export.py as a process, which writes into a folder and may use what is there."""

    def __init__(self, folder, keep=False):
        self.folder, self.keep = folder, keep
        self.process = subprocess.Popen([PYTHON, HERE / "export.py", folder], stdin=subprocess.PIPE, env=ENVIRONMENT,
                                        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        self.versions = self.answer()

    def answer(self):
        line = self.process.stdout.readline()
        if not line:
            raise Failure(f"the exporter ended with status {self.process.wait()}")
        return json.loads(line)

    def opsets(self):
        release = tuple(int(part) for part in self.versions["torch"].split(".")[:2])
        return [11, 13, 17, 20] if release >= (2, 5) else [11, 13, 17]

    def export(self, name, opset):
        """The file's path, and None or what the exporter did not like."""
        path = self.folder / f"{name}-opset{opset}.onnx"
        if self.keep and path.exists():
            return path, None
        print(name, opset, file=self.process.stdin, flush=True)
        answer = self.answer()
        if "error" in answer:
            return None, answer["error"]
        return path, None

    def samples(self, name):
        return self.folder / f"{name}-input.npy", self.folder / f"{name}-expected.npy"

    def close(self):
        self.process.stdin.close()
        self.process.wait()


class Result:
    """'right' or 'wrong' by an error; 'refused' or 'not exported' for a reason."""

    def __init__(self, kind=None, error=None, reason=None):
        self.kind = kind or ("right" if error <= TOLERANCE else "wrong")
        self.error, self.reason = error, reason

    def __str__(self):
        words = [] if self.kind == "right" else [self.kind]
        return " ".join(words + ([] if self.error is None else [f"{self.error:.1e}"]))


def error_of(found, expected):
    """The largest difference of all samples' outputs, as a share of the largest output's magnitude."""
    if found.shape != expected.shape or not numpy.isfinite(found).all():
        return float("inf")
    return float(numpy.abs(found - expected).max() / numpy.abs(expected).max())


def run(tool, network, inputs, expected):
    """By the tool, as a user would: rounds of two samples and of the one that is left."""
    with tempfile.TemporaryDirectory(prefix="qosbatch-zoo-") as folder:
        measurements, profile, output = (f"{folder}/{name}" for name in ("rounds.csv", "profile.json", "output.npy"))
        pathlib.Path(measurements).write_text("instances,threads,batch,latency_ns\n1,2,1,1000000\n1,2,2,1000001\n")
        for command in (["profile", network, "--measurements", measurements, "-o", profile],
                        ["run", network, "--profile", profile, "--input", inputs, "--output", output]):
            done = subprocess.run([tool, *command, "--quiet"], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                                  text=True, env=ENVIRONMENT)
            if done.returncode == 1:
                return Result("refused", reason=done.stderr.strip())
            if done.returncode:
                return Result("wrong", reason=f"status {done.returncode}: {done.stderr.strip()}")
        found, right = numpy.load(output), numpy.load(expected)
    return Result(error=error_of(found.reshape(right.shape) if found.size == right.size else found, right))


def check(exporter, tool, name, opset):
    network, reason = exporter.export(name, opset)
    if not network:
        return Result("not exported", reason=reason)
    result = run(tool, network, *exporter.samples(name))
    if not exporter.keep:
        network.unlink()  # all of them would fill a disk
    return result
