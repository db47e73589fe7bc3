# SPDX-License-Identifier: Apache-2.0
"""onnx_answers as a process."""
import subprocess

import numpy as np
import onnx


class Answers:
    def __init__(self, program, folder):
        self.folder = folder
        self.process = subprocess.Popen([program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def run(self, model, batch, inputs, ways=("f32", "plain")):
        """What each way gives, or why there is nothing: a session's precision, or "plain" loops."""
        path = f"{self.folder}/model.onnx"
        onnx.save(model, path)
        return self.run_file(path, batch, inputs, ways)

    def run_file(self, path, batch, inputs, ways):
        given, found = (f"{self.folder}/{name}" for name in ("inputs", "outputs"))
        with open(given, "wb") as file:
            for values in inputs:
                file.write(np.ascontiguousarray(values, np.float32).tobytes())
        print(path, batch, given, found, *ways, file=self.process.stdin, flush=True)
        line = self.process.stdout.readline()
        if line != "done\n":
            return line.strip() or f"ended with status {self.process.wait()}"
        return np.fromfile(found, np.float32).reshape(len(ways), -1)
