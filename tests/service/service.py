# SPDX-License-Identifier: Apache-2.0
"""What the tests of the service share: starting one, and speaking HTTP to it.

No test decides by an absolute time: waits are bounded, and generously.
"""
import contextlib
import json
import os
import pathlib
import re
import resource
import shlex
import signal
import socket
import struct
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
import checks  # noqa: E402
from checks import expect  # noqa: E402

UNDER = shlex.split(os.environ.get("QB_TEST_UNDER", ""))  # what runs the service, such as valgrind
PATIENCE_S = 600 if UNDER else 60  # for whatever a busy machine may take


def until(condition, what):
    """Waits until a condition holds."""
    end = time.monotonic() + PATIENCE_S
    while not condition():
        expect(time.monotonic() < end, "waited in vain until", what)
        time.sleep(0.02)


class Answer:
    """An HTTP answer that was read from a socket."""

    def __init__(self, text):
        head, _, self.body = text.partition(b"\r\n\r\n")
        lines = head.decode("latin-1").split("\r\n")
        self.status = int(lines[0].split()[1]) if lines[0].startswith("HTTP/") else 0
        self.headers = {}
        for line in lines[1:]:
            name, _, value = line.partition(":")
            self.headers[name.strip().lower()] = value.strip()

    def error(self):
        return json.loads(self.body)["error"]


def read_answer(connection, head_only=False):
    """One answer; an empty one when the connection was closed."""
    text = b""
    while b"\r\n\r\n" not in text:
        piece = connection.recv(1 << 16)
        if not piece:
            return Answer(text)
        text += piece
    answer = Answer(text)
    length = 0 if head_only or answer.status == 100 else int(answer.headers.get("content-length", 0))
    while len(answer.body) < length:
        piece = connection.recv(1 << 16)
        expect(piece, "the answer ends early:", text[:300])
        answer.body += piece
    return answer


class Service:
    def __init__(self, *command):
        # Room for the sockets of as many clients as the service takes.
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        self.process = subprocess.Popen(UNDER + [str(c) for c in command], stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, text=True)
        first = self.process.stdout.readline()
        found = re.search(r"http://127\.0\.0\.1:(\d+)", first)
        if not found:
            self.process.kill()
            raise AssertionError(first + self.process.stderr.read())
        self.first_line = first
        self.port = int(found.group(1))

    def connect(self, address="127.0.0.1"):
        return socket.create_connection(("127.0.0.1", self.port), PATIENCE_S, (address, 0))

    def raw(self, text, head_only=False):
        with self.connect() as connection:
            connection.sendall(text)
            return read_answer(connection, head_only)

    def call(self, method, path, body=b"", **headers):
        """Headers are given with '_' for '-'."""
        lines = [f"{method} {path} HTTP/1.1", "Host: localhost"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        if body and not any(name.lower() == "content_length" for name in headers):
            lines.append(f"Content-Length: {len(body)}")
        return self.raw("\r\n".join(lines + ["", ""]).encode() + body, method == "HEAD")

    def metrics(self):
        text = self.call("GET", "/metrics").body.decode()
        return {line.rsplit(" ", 1)[0]: float(line.rsplit(" ", 1)[1])
                for line in text.splitlines() if not line.startswith("#")}

    def memory_bytes(self):
        """The most it ever had; 0 where /proc is not mounted."""
        try:
            with open(f"/proc/{self.process.pid}/status") as status:
                return int(re.search(r"VmHWM:\s+(\d+) kB", status.read()).group(1)) << 10
        except FileNotFoundError:
            return 0

    def expect_memory(self, most_bytes):
        """Sanitizers keep what is freed for a while, and Valgrind much beside it."""
        if UNDER:
            return
        with open(self.process.args[0], "rb") as program:
            if not re.search(b"__[at]san_init", program.read()):
                expect(self.memory_bytes() < most_bytes, self.memory_bytes(), "of memory, allowed", most_bytes)

    def stop(self):
        """SIGTERM; returns what it said."""
        self.process.send_signal(signal.SIGTERM)
        out, err = self.process.communicate(timeout=PATIENCE_S)
        expect(self.process.returncode == 0, "exit status", self.process.returncode, err)
        expect("Sanitizer" not in err, err)
        return out


@contextlib.contextmanager
def service(*command):
    s = Service(*command)
    try:
        yield s
        s.stop()
    finally:
        if s.process.poll() is None:
            s.process.kill()
            s.process.communicate()


class Model:
    """Requests for a model with one input."""

    def __init__(self, name, tensor, shape):
        self.path = f"/v2/models/{name}/infer"
        self.tensor, self.shape = tensor, list(shape)
        self.elements = 1
        for size in shape:
            self.elements *= size

    def input(self, samples=1, **changes):
        tensor = {"name": self.tensor, "datatype": "FP32", "shape": [samples] + self.shape}
        tensor.update(changes)
        return {k: v for k, v in tensor.items() if v is not None}

    def plain(self, values, samples=1, tensor={}, **more):
        """All in JSON."""
        return json.dumps({"inputs": [self.input(samples, data=values, **tensor)], **more}).encode()

    def binary(self, values, samples=1, **more):
        """The body, and the bytes of JSON in it."""
        data = struct.pack(f"<{len(values)}f", *values)
        head = json.dumps({"inputs": [self.input(samples, parameters={"binary_data_size": len(data)})],
                           **more}).encode()
        return head + data, len(head)

    def ask(self, s, values, samples=1, **more):
        body, head = self.binary(values, samples, **more)
        return s.call("POST", self.path, body, Inference_Header_Content_Length=head)


def chunked(pieces):
    return b"".join(b"%x\r\n%s\r\n" % (len(p), p) for p in pieces) + b"0\r\n\r\n"


def run_tests():
    checks.run_tests(sys.argv[-1] if "--only" in sys.argv else "")
