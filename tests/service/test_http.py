#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""HTTP as clients and proxies use it, against a scripted engine: test_http.py SCRIPTED_SERVICE"""
import http.client
import json
import re
import signal
import socket
import sys
import threading
import time

from service import Model, PATIENCE_S, Service, read_answer, run_tests, service, until
from checks import expect, test

SCRIPTED = sys.argv[1]
MODEL = Model("scripted", "image", [3, 4, 4])
VALUES = [0.5] * MODEL.elements
PLAIN = MODEL.plain(VALUES)
S = Service(SCRIPTED, 5000, 1000, 8000)
INFER = b"POST " + MODEL.path.encode() + b" HTTP/1.1\r\nHost: x\r\n"
GETS = ["/v2", "/v2/health/live", "/v2/health/ready", "/v2/models/scripted", "/v2/models/scripted/ready",
        "/v2/models/scripted/versions/1", "/v2/models/scripted/versions/1/ready", "/metrics"]


@test
def paths():
    for path in GETS:
        expect(S.call("GET", path).status == 200, path)
    for path in ["/", "/nothing", "/v2/", "/v2/models", "/v2/models/", "/v2/models/other/ready",
                 "/v2/models/scripted/", "/v2/models/scriptedx", "/v2/models/scripted/versions/",
                 "/v2/models/scripted/versions/2", "/v2/models/scripted/versions/11/ready"]:
        answer = S.call("GET", path)
        expect(answer.status == 404 and answer.error(), path, answer.status)
    expect("'scripted'" in S.call("GET", "/v2/models/other").error(), "the name of the model")
    versioned = MODEL.path.replace("/infer", "/versions/1/infer")
    expect(S.call("POST", versioned, PLAIN).status == 200, versioned)
    expect(S.call("POST", MODEL.path.replace("/infer", "/versions/2/infer"), PLAIN).status == 404, "v 2")
    metadata = json.loads(S.call("GET", "/v2/models/scripted").body)
    expect(metadata["versions"] == ["1"] and metadata["inputs"][0]["shape"] == [-1, 3, 4, 4], metadata)


@test
def head_is_get_without_a_body():
    for path in GETS[:-1]:
        get, head = S.call("GET", path), S.call("HEAD", path)
        expect(head.status == 200 and head.body == b"", path, head.status)
        for name in ["content-length", "content-type"]:
            expect(head.headers[name] == get.headers[name], path, name)
    expect(S.call("HEAD", "/nothing").status == 404, "HEAD of no path")


@test
def methods():
    for method in ["PUT", "OPTIONS", "GET", "DELETE", "PATCH", "HEAD"]:
        answer = S.call(method, MODEL.path)
        expect(answer.status == 405 and answer.headers["allow"] == "POST", method, answer.status)
    for path in GETS:
        answer = S.call("POST", path)
        expect(answer.status == 405 and answer.headers["allow"] == "GET, HEAD", path, answer.status)
    expect(S.call("POST", "/metrics", b"x").status == 405, "with a body, too")


@test
def one_end_of_a_request():
    length = b"Content-Length: %d\r\n" % len(PLAIN)
    for bad in [length + b"Content-Length: 5\r\n", length * 2, length + b"Transfer-Encoding: chunked\r\n",
                b"Content-Length: +%d\r\n" % len(PLAIN), b"Content-Length: 1e3\r\n", b"Content-Length: -1\r\n",
                b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"]:
        with S.connect() as connection:
            connection.sendall(INFER + bad + b"\r\n" + PLAIN)
            answer = read_answer(connection)
            expect(answer.status == 400, bad, answer.status)
            expect(connection.recv(1) == b"", bad, "the connection goes on")
    answer = S.raw(INFER + b"Transfer-Encoding: gzip, chunked\r\n\r\n")
    expect(answer.status in (400, 501), answer.status)


@test
def clients_that_ask_before_they_send():
    def ask(first_line, *headers):
        with S.connect() as connection:
            lines = [first_line, "Host: x", "Expect: 100-continue", *headers]
            connection.sendall("\r\n".join(lines + ["", ""]).encode())
            answer = read_answer(connection)
            if answer.status != 100:
                return answer
            connection.sendall(PLAIN)
            return read_answer(connection)

    infer = f"POST {MODEL.path} HTTP/1.1"
    length = f"Content-Length: {len(PLAIN)}"
    expect(ask(infer, length).status == 200, "a good one")
    for status, first, *headers in [
            (404, infer.replace("scripted", "other"), length), (404, "POST /nothing HTTP/1.1", length),
            (405, infer.replace("POST", "PUT"), length), (415, infer, length, "Content-Encoding: br"),
            (413, infer, f"Content-Length: {2**62}"), (413, infer, f"Content-Length: {10**7}"),
            (413, infer, "Content-Length: 200000", "Inference-Header-Content-Length: 100"),
            (400, infer, length, "Inference-Header-Content-Length: abc"),
            (413, "GET /metrics HTTP/1.1", "Content-Length: 5000")]:
        answer = ask(first, *headers)
        expect(answer.status == status, first, headers, "got", answer.status, "expected", status)
        expect("retry-after" not in answer.headers, "when it could be retried")


@test
def bodies_that_are_too_large():
    def sent_until_refused(head, piece, most):
        with S.connect() as connection:
            connection.sendall(head)
            sent = 0
            connection.setblocking(False)
            while sent < most:
                try:
                    sent += connection.send(piece)
                except BlockingIOError:
                    time.sleep(0.001)
                try:
                    start = connection.recv(1, socket.MSG_PEEK)
                    break
                except BlockingIOError:
                    continue
            connection.settimeout(PATIENCE_S)
            return read_answer(connection), sent

    piece = b"x" * 65536
    answer, sent = sent_until_refused(INFER + b"Content-Length: 300000000\r\n\r\n", piece, 300000000)
    expect(answer.status == 413 and "608" in answer.error(), answer.status, answer.body)
    expect(sent < 100 << 20, "refused after", sent)
    answer, sent = sent_until_refused(INFER + b"Transfer-Encoding: chunked\r\n\r\n",
                                      b"10000\r\n" + piece + b"\r\n", 300000000)
    expect(answer.status == 413, answer.status)
    expect(sent < 100 << 20, "refused after", sent)
    # A client that sends all before it reads still sees why.
    with S.connect() as connection:
        connection.sendall(INFER + b"Content-Length: 3000000\r\n\r\n" + b"x" * 3000000)
        expect(read_answer(connection).status == 413, "after all was sent")


@test
def connections_are_kept():
    connection = http.client.HTTPConnection("127.0.0.1", S.port, timeout=PATIENCE_S)
    connection.connect()
    before = connection.sock
    for method, path, body, status in [("GET", "/v2", None, 200), ("POST", MODEL.path, PLAIN, 200),
                                       ("POST", MODEL.path, b"{", 400), ("HEAD", "/v2", None, 200),
                                       ("PUT", MODEL.path, None, 405), ("GET", "/nothing", None, 404),
                                       ("POST", MODEL.path, PLAIN, 200)]:
        connection.request(method, path, body)
        answer = connection.getresponse()
        answer.read()
        expect(answer.status == status, method, path, answer.status)
        expect(connection.sock is before, "closed after", method, path)
    connection.close()


@test
def requests_behind_each_other():
    request = INFER + b"Content-Length: %d\r\n\r\n" % len(PLAIN) + PLAIN
    with S.connect() as connection:
        connection.sendall(request * 5)
        text = b""
        while text.count(b'"data":[') < 5:
            piece = connection.recv(1 << 16)
            expect(piece, text)
            text += piece
    # Who closes his direction after a whole request gets the answer.
    with S.connect() as connection:
        connection.sendall(request)
        connection.shutdown(socket.SHUT_WR)
        expect(read_answer(connection).status == 200, "half closed")


@test
def metrics_as_prometheus_wants_them():
    S.call("POST", MODEL.path, PLAIN)
    S.call("POST", MODEL.path, b"{")
    answer = S.call("GET", "/metrics")
    expect(answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8", answer.headers)
    types, helped, seen = {}, set(), set()
    for line in answer.body.decode().splitlines():
        if line.startswith("# HELP "):
            name, text = line[7:].split(" ", 1)
            expect(text and name not in helped, line)
            helped.add(name)
        elif line.startswith("# TYPE "):
            name, kind = line[7:].split(" ")
            types[name] = kind
        else:
            found = re.fullmatch(r'([a-z_0-9]+)(\{[a-z_]+="[^"]*"(,[a-z_]+="[^"]*")*\})? (\S+)', line)
            expect(found, line)
            float(found.group(4))
            expect(line.rsplit(" ", 1)[0] not in seen, "twice:", line)
            seen.add(line.rsplit(" ", 1)[0])
            name = found.group(1)
            base = re.sub("_(bucket|sum|count)$", "", name)
            expect(name in types or types.get(base) == "histogram", "no type:", line)
    for name, kind in types.items():  # what promtool's lint says
        expect(name in helped, "no help:", name)
        expect((kind == "counter") == name.endswith("_total"), "_total is for counters:", name)
        expect(kind == "histogram" or not re.search("_(bucket|sum|count)$", name), name)
        expect(not re.search("_(counter|gauge|histogram|milliseconds|ms|minutes|kilobytes|mib)(_|$)", name),
               name)
    values = S.metrics()
    for code in ["200", "400", "404", "405", "413", "415"]:
        expect(values['qosbatch_responses_total{code="%s"}' % code] > 0, "no", code)


@test
def sigterm_says_close_first():
    with service(SCRIPTED, 5000, 1000, 8000, 64, 10, 4, 30) as s:
        keeps = [http.client.HTTPConnection("127.0.0.1", s.port, timeout=PATIENCE_S) for _ in range(4)]
        for c in keeps:
            c.request("GET", "/v2")
            c.getresponse().read()
        s.process.send_signal(signal.SIGTERM)
        until(lambda: not can_connect(s), "no new connections are taken")
        for c in keeps:
            c.request("POST", MODEL.path, PLAIN)
            answer = c.getresponse()
            expect(answer.status == 200, answer.status)
            expect(answer.getheader("Connection") == "close", answer.getheaders())
        out = s.stop()
        expect("4 requests, 0 refused; 4 samples answered" in out, out)


def can_connect(s):
    try:
        s.connect().close()
        return True
    except OSError:
        return False


@test
def sigterm_answers_what_waits():
    with service(SCRIPTED, 60000, 200000, 1000) as s:
        answers = []

        def ask():
            answers.append(s.call("POST", MODEL.path, PLAIN).status)

        threads = [threading.Thread(target=ask) for _ in range(20)]
        for t in threads:
            t.start()
        until(lambda: s.metrics()["qosbatch_requests_total"] == 20, "all have been taken")
        expect("20 requests, 0 refused; 20 samples answered" in s.stop(), "what it said")
        for t in threads:
            t.join()
        expect(answers == [200] * 20, answers)


@test
def an_engine_that_was_slow_is_tried_again():
    with service(SCRIPTED, 400, 1000, 1000) as s:
        slow = MODEL.plain(VALUES[:-1] + [1200])
        until(lambda: s.call("POST", MODEL.path, slow).status == 429, "what is late is refused")
        until(lambda: s.call("POST", MODEL.path, PLAIN).status == 200, "it has recovered")


@test
def a_new_profile_loses_nothing():
    with service(SCRIPTED, 60000, 1000, 1000) as s:
        statuses, ending = [], []

        def ask():
            while not ending:
                statuses.append(s.call("POST", MODEL.path, PLAIN).status)

        threads = [threading.Thread(target=ask) for _ in range(6)]
        for t in threads:
            t.start()
        for _ in range(8):
            count = len(statuses)
            s.process.send_signal(signal.SIGHUP)
            until(lambda: len(statuses) > count + 12, "answers after a change")
        ending.append(True)
        for t in threads:
            t.join()
        expect(set(statuses) == {200}, set(statuses))


try:
    run_tests()
finally:
    S.stop()
