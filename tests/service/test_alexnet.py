#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A real network behind HTTP: test_alexnet.py QOSBATCH_SERVE PROFILE"""
import json
import struct
import sys
import tempfile

from service import Model, Service, read_answer, run_tests
from checks import expect, test
from profiles import of_few_batches

MODEL = Model("alexnet", "image", [3, 227, 227])
SCRATCH = tempfile.TemporaryDirectory(prefix="qosbatch-alexnet-")
PROFILE = of_few_batches(sys.argv[2], SCRATCH.name, 2)
S = Service(sys.argv[1], "alexnet", "--profile", PROFILE, "--rate", 5, "--latency", 30000, "--port", 0)
QUARTER, HALF = [0.25] * MODEL.elements, [0.5] * MODEL.elements


@test
def answers_are_those_of_the_network():
    metadata = json.loads(S.call("GET", "/v2/models/alexnet").body)
    expect(metadata["inputs"][0]["shape"] == [-1, 3, 227, 227], metadata)
    answer = MODEL.ask(S, QUARTER + HALF, 2, id="two")
    expect(answer.status == 200, answer.status, answer.body[:200])
    result = json.loads(answer.body)
    expect(result["id"] == "two" and result["outputs"][0]["shape"] == [2, 1000], answer.body[:200])
    values = result["outputs"][0]["data"]
    expect(len(values) == 2000 and abs(sum(values[:1000]) - 1) < 1e-3, "a softmax sums to 1")
    answer = MODEL.ask(S, QUARTER + HALF, 2, parameters={"binary_data_output": True})
    head = int(answer.headers["inference-header-content-length"])
    floats = struct.unpack("<2000f", answer.body[head:])
    expect(all(abs(a - b) < 1e-5 for a, b in zip(floats, values)), "binary and JSON differ")
    answer = S.call("POST", MODEL.path, MODEL.plain(QUARTER))
    expect(answer.status == 200, answer.body[:200])
    one = json.loads(answer.body)["outputs"][0]["data"]
    expect(all(abs(a - b) < 1e-5 for a, b in zip(one, values)), "one of two differs from it alone")


@test
def what_is_not_finite_is_an_error():
    infinite = QUARTER[:]
    infinite[7] = float("inf")
    for values in [[float("nan")] * MODEL.elements, infinite, [3e38] * MODEL.elements]:
        for how in [{}, {"parameters": {"binary_data_output": True}}]:
            bad = MODEL.ask(S, values, **how)
            expect(bad.status == 422 and "NaN" in bad.error(), bad.status, bad.body[:200])
    both = MODEL.ask(S, QUARTER + infinite, 2)
    expect(both.status == 422, both.status, both.body[:200])


@test
def a_client_that_waits_until_it_is_welcome():
    body, head = MODEL.binary(QUARTER + HALF, 2)
    with S.connect() as waiting:
        waiting.sendall(b"POST /v2/models/alexnet/infer HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n"
                        b"Inference-Header-Content-Length: %d\r\nContent-Length: %d\r\n\r\n"
                        % (head, len(body)))
        expect(read_answer(waiting).status == 100, "not welcome")
        waiting.sendall(body)
        expect(read_answer(waiting).status == 200, "not answered")


@test
def what_is_counted():
    metrics = S.metrics()
    for name, value in [("requests_total", 11), ("answered_total", 7), ("in_time_total", 7),
                        ("queue_samples", 0), ("latency_seconds_count", 7), ('responses_total{code="422"}', 7)]:
        expect(metrics["qosbatch_" + name] == value, name, metrics["qosbatch_" + name])
    expect("11 requests, 0 refused; 7 samples answered" in S.stop(), "the last words")


try:
    run_tests()
finally:
    S.process.kill()
