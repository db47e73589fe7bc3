#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What requests may be, against a scripted engine: test_protocol.py SCRIPTED_SERVICE"""
import gzip
import json
import random
import struct
import sys
import zlib

from service import Model, Service, chunked, run_tests
from checks import expect, test

SCRIPTED = sys.argv[1]
MODEL = Model("scripted", "image", [3, 4, 4])
VALUES = [i / 8 - 2 for i in range(MODEL.elements)]
# 5 s: whatever the machine does, a sample is in time; at most 8 s for 1000 samples are not.
S = Service(SCRIPTED, 5000, 1000, 8000)


def post(body, **headers):
    return S.call("POST", MODEL.path, body, **headers)


def refused(status, answer, *words):
    expect(answer.status == status, f"expected {status}, got", answer.status, answer.body[:300])
    for word in words:
        expect(word in answer.error(), f"expected {word!r} in", answer.error())


def good(answer, values=VALUES, samples=1):
    expect(answer.status == 200, answer.status, answer.body[:300])
    out = json.loads(answer.body)["outputs"][0]
    expect(out["name"] == "first" and out["shape"] == [samples, 4], out)
    expect(out["data"] == values[:4], out)
    return json.loads(answer.body)


def text(**changes):
    """A request as JSON, with texts in place of values."""
    parts = {"name": '"image"', "datatype": '"FP32"', "shape": "[1,3,4,4]", "data": json.dumps(VALUES)}
    parts.update(changes)
    return ('{"inputs":[{' + ",".join(f'"{k}":{v}' for k, v in parts.items() if v) + "}]}").encode()


@test
def good_requests():
    good(post(MODEL.plain(VALUES)))
    good(MODEL.ask(S, VALUES))
    nested = [[[VALUES[16 * c + 4 * y:16 * c + 4 * y + 4] for y in range(4)] for c in range(3)]]
    good(post(MODEL.plain(nested)))
    good(post(text(data=None)[:-3] + b',"data":' + json.dumps(VALUES).encode() + b"}]}"))
    good(post(b' \n{"unknown": [{"a": [1, {}, "]"]}], "inputs" : ' + text()[10:]))
    answer = MODEL.ask(S, VALUES, parameters={"binary_data_output": True})
    head = int(answer.headers["inference-header-content-length"])
    expect(struct.unpack("<4f", answer.body[head:]) == tuple(VALUES[:4]), answer.body)
    asked = {"name": "first", "parameters": {"binary_data": False}}
    good(MODEL.ask(S, VALUES, outputs=[asked], parameters={"binary_data_output": True}))


@test
def numbers_that_are_no_floats():
    for bad in ["1e39", "-1e39", "1e999", "3.5e38", "9" * 400]:
        refused(400, post(text(data=json.dumps(VALUES).replace("[-2.0", "[" + bad))), "data", "0", bad[:20])
    for bad in ["NaN", "Infinity", "-Infinity", "nan", "+1", ".5", "1.", "01", "0x10", "1e", "--1", "1 2"]:
        refused(400, post(text(data=json.dumps(VALUES).replace("[-2.0", "[" + bad))), "byte")
    for bad in ['"1"', "true", "null", "{}", '{"a":1}']:
        refused(400, post(text(data=json.dumps(VALUES).replace("[-2.0", "[" + bad))), "data")


@test
def numbers_are_read_as_the_nearest_float():
    rng = random.Random(7)
    for _ in range(40):
        values = []
        for _ in range(MODEL.elements):
            x = struct.unpack("<f", struct.pack("<I", rng.getrandbits(32)))[0]
            values.append(x if abs(x) < 3.4e38 else rng.random())  # NaN is not less, too
        out = json.loads(post(MODEL.plain(values)).body)["outputs"][0]["data"]
        expect([struct.pack("<f", v) for v in out] == [struct.pack("<f", v) for v in values[:4]], out,
               values[:4])


@test
def names():
    refused(400, post(MODEL.plain(VALUES, tensor={"name": "input"})), "inputs[0].name", "image", "input")
    refused(400, post(MODEL.plain(VALUES, tensor={"name": "é" * 400})), "inputs[0].name")
    refused(400, post(MODEL.plain(VALUES, tensor={"name": "é" * 4000})), "inputs[0].name", "longer")
    raw = json.dumps({"inputs": [MODEL.input(data=VALUES, name="xé" * 300)]}, ensure_ascii=False).encode()
    refused(400, post(raw), "inputs[0].name")
    refused(400, post(MODEL.plain(VALUES, tensor={"name": None})), "inputs[0].name", "missing")
    refused(400, post(MODEL.plain(VALUES, tensor={"name": 7})), "inputs[0].name")
    refused(400, post(MODEL.plain(VALUES, outputs=[{"name": "probabilities"}])), "outputs[0].name", "first")
    refused(400, post(MODEL.plain(VALUES, outputs=[{}])), "outputs[0].name")
    refused(400, post(MODEL.plain(VALUES, outputs=[{"name": "first"}, {"name": "first"}])), "outputs")
    good(post(MODEL.plain(VALUES, outputs=[])))
    good(post(text(name='"im\\u0061ge"')))
    two = json.loads(MODEL.plain(VALUES))
    refused(400, post(json.dumps({"inputs": two["inputs"] * 2}).encode()), "inputs", "one tensor")


@test
def shapes_and_nesting():
    rows = [VALUES[4 * i:4 * i + 4] for i in range(12)]
    for bad in [rows, [rows], [VALUES], [rows[:4], rows[4:8], rows[8:]],
                [[rows[:4], rows[4:8]]], [[rows[:4], rows[4:8], rows[8:] + [rows[0]]]],
                [[rows[:4], rows[4:8], rows[8:11] + [VALUES[44:47]]]], [0.5] + [[rows[:4]]], [[0.5] * 48],
                VALUES[:47], VALUES + [1], [], [[]], [[[[]]]], [[[[[1.0]]]]]]:
        refused(400, post(MODEL.plain(bad)), "inputs[0].data")
    for shape in [[1, 3, 4], [1, 3, 4, 5], [3, 4, 4], [0, 3, 4, 4], [-1, 3, 4, 4], [1.5, 3, 4, 4],
                  ["1", 3, 4, 4], [1, 3, 4, 4, 1], [], [1e3, 3, 4, 4], [2**60, 3, 4, 4]]:
        refused(400, post(MODEL.plain(VALUES, tensor={"shape": shape})), "inputs[0].shape")
    refused(400, post(MODEL.plain(VALUES, tensor={"shape": None})), "inputs[0].shape")
    refused(400, post(MODEL.plain(VALUES, tensor={"datatype": "INT8"})), "inputs[0].datatype", "FP32")


@test
def duplicate_keys():
    data = json.dumps(VALUES)
    twice = text()[:-3] + b',"shape":[1,3,4,4]}]}'
    refused(400, post(twice), "inputs[0].shape", "twice")
    refused(400, post(text()[:-3] + b',"d\\u0061ta":' + data.encode() + b"}]}"), "inputs[0].data", "twice")
    refused(400, post(text()[:-1] + b',"inputs":[]}'), "inputs", "twice")
    refused(400, post(b'{"id":"a","id":"a",' + text()[1:]), "id", "twice")


@test
def ids():
    for name in ["", "a", "a" * 64, "a" * 1024, "é" * 512, 'q"\\/\b\n\t\u0001', "\u0000x", "\U0001f600"]:
        expect(good(post(MODEL.plain(VALUES, id=name)))["id"] == name, name)
    expect("id" not in good(post(MODEL.plain(VALUES))), "an id that nobody gave")
    refused(400, post(MODEL.plain(VALUES, id="a" * 1025)), "id", "1024")
    for name in [7, None, True, ["a"]]:
        refused(400, post(MODEL.plain(VALUES, id=name)), "id", "string")
    for bad in [b'"\\ud800"', b'"\\udc00x"', b'"\xff"', b'"\xc0\x80"', b'"\n"', b'"\\x"', b'"']:
        refused(400, post(b'{"id":' + bad + b"," + text()[1:]), "byte")


@test
def broken_json():
    whole = text()
    for cut in range(len(whole)):
        refused(400, post(whole[:cut] or b" "))
    refused(400, post(whole + b"x"), "byte")
    refused(400, post(b"[" * 100 + b"]" * 100), "JSON object")
    refused(400, post(b'{"a":' + b"[" * 100 + b"]" * 100 + b"}"), "nested")
    refused(400, post(b""), "byte 0")
    rng = random.Random(11)
    for _ in range(300):
        at = rng.randrange(len(whole))
        answer = post(whole[:at] + bytes([rng.randrange(256)]) + whole[at + 1:])
        expect(answer.status in (200, 400), answer.status, answer.body)


@test
def binary_tensors():
    body, head = MODEL.binary(VALUES)
    refused(400, post(body[:-4], Inference_Header_Content_Length=head), "binary_data_size", "192")
    refused(400, post(body + b"xxxx", Inference_Header_Content_Length=head), "196")
    refused(400, post(body, Inference_Header_Content_Length=len(body) + 1), "more than")
    plain = MODEL.plain(VALUES)
    refused(400, post(plain + b"1234", Inference_Header_Content_Length=len(plain)), "4 bytes after")
    both = MODEL.plain(VALUES, tensor={"parameters": {"binary_data_size": 192}})
    refused(400, post(both), "either")
    refused(400, post(text(data=None)), "either")
    for bad in ["-1", "1.5", '"192"', "1e2"]:
        refused(400, post(text(data=None, parameters='{"binary_data_size":' + bad + "}")), "binary_data_size")
    for bad in ["abc", "1e3", "-1", "+5", "0x10", "0", "", "99999999999999999999999"]:
        refused(400, post(body, Inference_Header_Content_Length=bad), "Inference-Header-Content-Length")
    refused(400, post(body, Inference_Header_Content_Length=head, inference_header_content_length=head),
            "Inference-Header-Content-Length")


@test
def not_a_number_in_the_answer():
    nan = [float("nan")] + VALUES[1:]
    infinite = [float("inf")] + VALUES[1:]
    refused(422, MODEL.ask(S, nan), "NaN")
    refused(422, MODEL.ask(S, nan, parameters={"binary_data_output": True}), "NaN")
    refused(422, MODEL.ask(S, infinite), "infinity")
    answer = MODEL.ask(S, infinite, parameters={"binary_data_output": True})
    expect(answer.status == 200, answer.body)


@test
def packed_bodies():
    plain = MODEL.plain(VALUES)
    good(post(gzip.compress(plain), Content_Encoding="gzip"))
    good(post(gzip.compress(plain), Content_Encoding="x-gzip"))
    good(post(zlib.compress(plain), Content_Encoding="deflate"))
    good(post(gzip.compress(plain[:50]) + gzip.compress(plain[50:]), Content_Encoding="GZIP"))
    good(post(plain, Content_Encoding="identity"))
    body, head = MODEL.binary(VALUES)
    good(post(gzip.compress(body), Content_Encoding="gzip", Inference_Header_Content_Length=head))
    for other in ["br", "zstd", "gzip, gzip", "nonsense"]:
        answer = post(plain, Content_Encoding=other)
        refused(415, answer, "Content-Encoding")
        expect("gzip" in answer.headers["accept-encoding"], answer.headers)
    packed = gzip.compress(plain)
    for bad in [plain, packed[:-1], packed[:40], packed + b"x", packed[:20] + b"\xff\xff" + packed[22:], b""]:
        refused(400, post(bad, Content_Encoding="gzip"))
    # A little that unpacks to much: refused before it is there.
    before = S.memory_bytes()
    refused(413, post(gzip.compress(b" " * (100 << 20)), Content_Encoding="gzip"), "unpacked")
    S.expect_memory(before + (50 << 20))


@test
def requests_that_can_never_be_in_time():
    most = int(S.first_line.split("at most ")[1].split()[0])
    for samples in [most + 1, 1000]:
        body, head = MODEL.binary(VALUES * samples, samples)
        answer = post(body, Inference_Header_Content_Length=head)
        refused(413, answer, str(most))
        expect("retry-after" not in answer.headers, answer.headers)
    expect(MODEL.ask(S, VALUES * 65, 65).status == 200, "65 samples in 5 s")


@test
def chunked_bodies():
    plain = MODEL.plain(VALUES)
    head = b"POST " + MODEL.path.encode() + b" HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    for size in [1, 7, 1000]:
        good(S.raw(head + chunked([plain[i:i + size] for i in range(0, len(plain), size)])))
    refused(400, S.raw(head + b"0\r\n\r\n"))


try:
    run_tests()
finally:
    S.stop()
