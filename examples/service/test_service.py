#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The service as a client sees it: test_service.py SERVICE PROFILE"""
import http.client
import json
import re
import signal
import socket
import struct
import subprocess
import sys

PIXELS = 3 * 227 * 227
service = subprocess.Popen([sys.argv[1], "alexnet", sys.argv[2], "5", "2000", "0"],
                           stdout=subprocess.PIPE, text=True)
first = service.stdout.readline()
port = int(re.search(r"127\.0\.0\.1:(\d+)", first).group(1))
connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)


def call(method, path, body=None, headers={}):
    connection.request(method, path, body, headers)
    answer = connection.getresponse()
    return answer, answer.read()


def expect(good, *what):
    if not good:
        service.kill()
        raise AssertionError(what)


def infer(tensor, binary=b"", **more):
    header = json.dumps({"inputs": [tensor], **more}).encode()
    headers = {"Inference-Header-Content-Length": str(len(header))} if binary else {}
    return call("POST", "/v2/models/alexnet/infer", header + binary, headers)


for path in ["/v2/health/live", "/v2/health/ready", "/v2/models/alexnet/ready", "/v2"]:
    expect(call("GET", path)[0].status == 200, path)
metadata = json.loads(call("GET", "/v2/models/alexnet")[1])
expect(metadata["inputs"][0]["shape"] == [-1, 3, 227, 227], metadata)

binary = struct.pack(f"<{2 * PIXELS}f", *([0.25] * PIXELS + [0.5] * PIXELS))
tensor = {"name": "input", "datatype": "FP32", "shape": [2, 3, 227, 227],
          "parameters": {"binary_data_size": len(binary)}}
answer, body = infer(tensor, binary, id="two")
expect(answer.status == 200, answer.status, body[:200])
result = json.loads(body)
expect(result["id"] == "two" and result["outputs"][0]["shape"] == [2, 1000], body[:200])
values = result["outputs"][0]["data"]
expect(len(values) == 2000 and abs(sum(values[:1000]) - 1) < 1e-3, "a softmax sums to 1")

answer, body = infer(tensor, binary, parameters={"binary_data_output": True})
length = int(answer.headers["Inference-Header-Content-Length"])
floats = struct.unpack("<2000f", body[length:])
expect(all(abs(a - b) < 1e-5 for a, b in zip(floats, values)), "binary and JSON differ")

plain = {"name": "input", "datatype": "FP32", "shape": [1, 3, 227, 227], "data": [0.25] * PIXELS}
answer, body = infer(plain)
expect(answer.status == 200, body[:200])
one = json.loads(body)["outputs"][0]["data"]
expect(all(abs(a - b) < 1e-5 for a, b in zip(one, values)), "one of two differs from it alone")

for wrong, status in [
    ({**plain, "data": [0.25]}, 400),
    ({**plain, "datatype": "INT8"}, 400),
    ({**plain, "shape": [1, 3, 5, 5]}, 400),
    ({**plain, "shape": [0, 3, 227, 227]}, 400),
    ({**tensor, "parameters": {"binary_data_size": 8}}, 400),
]:
    answer, body = infer(wrong)
    expect(answer.status == status and "error" in json.loads(body), wrong, body[:200])
expect(call("POST", "/v2/models/alexnet/infer", b"{")[0].status == 400, "broken JSON")
expect(call("POST", "/v2/models/vgg/infer", b"{}")[0].status == 404, "another model")
expect(call("GET", "/nothing")[0].status == 404, "another path")

# A client that waits with its body until it is welcome.
header = json.dumps({"inputs": [{"name": "input", "datatype": "FP32", "shape": [2, 3, 227, 227],
                                 "parameters": {"binary_data_size": len(binary)}}]}).encode()
with socket.create_connection(("127.0.0.1", port), timeout=60) as waiting:
    waiting.sendall(b"POST /v2/models/alexnet/infer HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n"
                    b"Inference-Header-Content-Length: %d\r\nContent-Length: %d\r\n\r\n"
                    % (len(header), len(header) + len(binary)))
    expect(waiting.recv(4096) == b"HTTP/1.1 100 Continue\r\n\r\n", "not welcome")
    waiting.sendall(header + binary)
    expect(waiting.recv(4096).startswith(b"HTTP/1.1 200 "), "not answered")

metrics = call("GET", "/metrics")[1].decode()
for line in ["qosbatch_requests_total 4", "qosbatch_answered_total 7", "qosbatch_in_time_total 7",
             "qosbatch_queue_samples 0", "qosbatch_latency_seconds_count 7"]:
    expect(line in metrics.splitlines(), line, metrics)

service.send_signal(signal.SIGTERM)
expect(service.wait(timeout=30) == 0, "a graceful stop")
expect("4 requests, 0 refused; 7 samples answered" in service.stdout.read(), "the last words")
print("ok")
