#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Clients that mean no good, beside one that does: test_hostile.py SCRIPTED_SERVICE"""
import contextlib
import resource
import select
import socket
import sys
import threading
import time

from service import Model, PATIENCE_S, read_answer, run_tests, service, until
from checks import expect, test

SCRIPTED = sys.argv[1]
MODEL = Model("scripted", "image", [3, 4, 4])
VALUES = [0.5] * MODEL.elements
LARGE = Model("scripted", "image", [3, 64, 64])
INFER = b"POST " + MODEL.path.encode() + b" HTTP/1.1\r\nHost: x\r\n"


def works(s, model=MODEL):
    """Health and an ordinary request, over connections of their own."""
    expect(s.call("GET", "/v2/health/live").status == 200, "health")
    answer = model.ask(s, [0.5] * model.elements)
    expect(answer.status == 200, "an ordinary request:", answer.status, answer.body[:200])


@contextlib.contextmanager
def many(s, count, text, address="127.0.0.1"):
    """So many connections that sent this and nothing more."""
    connections = []
    try:
        for _ in range(count):
            connections.append(s.connect(address))
            connections[-1].sendall(text)
        yield connections
    finally:
        for c in connections:
            c.close()


def closed_by_peer(connections):
    """Those whose other end has closed."""
    closed = 0
    for c in connections:
        c.setblocking(False)
        try:
            while True:
                if not c.recv(1 << 16):
                    closed += 1
                    break
        except BlockingIOError:
            pass
        except OSError:
            closed += 1
    return closed


def most_connections():
    """What the service takes: 2048, or as many as there may be files."""
    return min(2048, resource.getrlimit(resource.RLIMIT_NOFILE)[1] - 400)


@test
def silent_clients_with_expect():
    # A target that is one round: places that silent clients took would be all there are.
    with service(SCRIPTED, 2000, 400000, 1000, 64, 60) as s:
        silent = INFER + b"Expect: 100-continue\r\nContent-Length: 4000\r\n\r\n"
        with many(s, 64, silent) as connections:
            for c in connections:
                expect(read_answer(c).status in (100, 429), "invited, or not")
            for _ in range(3):
                works(s)
            for c in connections:  # and renewed: a byte each
                with contextlib.suppress(OSError):
                    c.sendall(b" ")
            for _ in range(3):
                works(s)


@test
def bodies_that_come_count_for_those_that_ask():
    with service(SCRIPTED, 20000, 3000000, 1, 64, 60) as s:
        head = INFER + b"Expect: 100-continue\r\nContent-Length: 10000\r\n\r\n"
        with many(s, 100, head) as connections:
            for c in connections:
                expect(read_answer(c).status == 100, "nothing is under way")
            for c in connections:
                c.sendall(b" " * 9000)
            statuses = []

            def ask():
                with s.connect() as c:
                    c.sendall(head)
                    statuses.append(read_answer(c).status)
                return statuses[-1] == 429

            until(ask, "one is refused for the 100 that come before it")


@test
def half_requests_on_all_connections():
    with service(SCRIPTED, 5000, 1000, 1000, 64, 600) as s:
        for half in [b"", b"GET /v2/health/live HT", b"GET /v2 HTTP/1.1\r\nHost: x\r\n",
                     INFER + b"Content-Length: 1000\r\n\r\nxyz"]:
            with many(s, most_connections() + 50, half):
                works(s)
                expect(s.metrics()["qosbatch_connections"] <= 2048 + 64, "connections")


@test
def all_the_same_from_another_address():
    with service(SCRIPTED, 5000, 1000, 1000, 64, 600) as s:
        kept = s.connect("127.0.0.3")
        kept.sendall(b"GET /v2 HTTP/1.1\r\nHost: x\r\n\r\n")
        expect(read_answer(kept).status == 200, "a client that stays")
        with many(s, most_connections() + 50, b"GET", "127.0.0.2"):
            kept.sendall(b"GET /v2 HTTP/1.1\r\nHost: x\r\n\r\n")
            expect(read_answer(kept).status == 200, "the one with many gives way, not the one with one")
        kept.close()


@test
def deadlines_whatever_comes():
    with service(SCRIPTED, 5000, 1000, 1000, 64, 0.5) as s:
        body = INFER + b"Content-Length: 1000\r\n\r\n"
        starts = [b"", b"GET /v2 HTTP/1.1\r\nX: ", body]
        connections = []
        for text in starts:
            connections.append(s.connect())
            connections[-1].sendall(text)
        answers = [b""] * 3
        ending = time.monotonic() + PATIENCE_S
        open_ones = set(range(3))
        while open_ones:
            expect(time.monotonic() < ending, "a byte now and then holds", open_ones)
            for i in list(open_ones):
                try:
                    connections[i].sendall(b"x")
                    if select.select([connections[i]], [], [], 0.05)[0]:
                        piece = connections[i].recv(4096)
                        answers[i] += piece
                        if not piece:
                            open_ones.remove(i)
                except OSError:
                    open_ones.remove(i)
        expect(b" 408 " in answers[2], "a body that does not come:", answers[2])
        expect(s.metrics()['qosbatch_connections_closed_total{reason="timeout"}'] >= 3, "counted")
        works(s)


@test
def answers_that_nobody_takes():
    with service(SCRIPTED, 5000, 1000, 1000, 64, 0.5) as s:
        c = socket.socket()
        c.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        c.connect(("127.0.0.1", s.port))
        c.settimeout(0.2)
        with contextlib.suppress(OSError):
            for _ in range(5000):
                c.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n" * 10)
        until(lambda: s.metrics()["qosbatch_connections"] == 1, "it is closed")
        c.close()


@test
def clients_that_left():
    with service(SCRIPTED, 5000, 1000, 1000, 64, 600) as s:
        whole = MODEL.plain(VALUES)
        texts = [b"", b"GET /v2 HTTP/1.1\r\nHost: x\r\n\r\n", b"GET /v2 HT", INFER + b"Content-",
                 INFER + b"Content-Length: 1000\r\n\r\nxyz",
                 INFER + b"Content-Length: %d\r\n\r\n" % len(whole) + whole]
        for _ in range(20):
            for text in texts:
                c = s.connect()
                c.sendall(text)
                c.close()  # the end comes with the last bytes
        until(lambda: s.metrics()["qosbatch_connections"] == 1, "all have been closed")


@test
def nothing_but_brackets():
    with service(SCRIPTED, 60000, 1000, 1000, 200, 60, 64) as s:
        idle = s.memory_bytes()
        most = 30 << 20
        for unit in [b"[],", b"[", b'{"a":', b'"a":1,', b"1,", b'"",']:
            body = b'{"inputs":[{"name":"image","data":[' + unit * (most // len(unit))
            answer = s.call("POST", MODEL.path, body)
            expect(answer.status == 400, unit, answer.status, answer.body[:200])
        s.expect_memory(2 * idle + (200 << 20))
        works(s, LARGE)


@test
def more_bodies_than_there_is_memory():
    with service(SCRIPTED, 60000, 1000, 1000, 8, 600, 64) as s:
        idle = s.memory_bytes()
        head = INFER + b"Content-Length: 1000000\r\n\r\n"
        with many(s, 100, head) as connections:
            for c in connections:
                with contextlib.suppress(OSError):
                    c.sendall(b" " * 500000)
            works(s, LARGE)
            until(lambda: closed_by_peer(connections) >= 80, "the oldest have given way")
            m = s.metrics()
            expect(m["qosbatch_request_memory_bytes"] <= 8 << 20, m["qosbatch_request_memory_bytes"])
        until(lambda: s.metrics()["qosbatch_request_memory_bytes"] == 0, "all is given back")
        s.expect_memory(2 * idle + (8 << 20) + 100 * (32 << 10))
        works(s, LARGE)


@test
def long_json_holds_nobody_up():
    with service(SCRIPTED, 60000, 1000, 1000, 200, 60, 64) as s:
        long_one = LARGE.plain([0.123456] * (LARGE.elements * 50), 50)
        statuses, ending = [], []

        def ask():
            while not ending:
                statuses.append(s.call("POST", LARGE.path, long_one).status)

        threads = [threading.Thread(target=ask) for _ in range(3)]
        for t in threads:
            t.start()
        count = 0
        until(lambda: statuses, "the first of the long ones")
        seen = len(statuses)
        while len(statuses) < seen + 4:  # read, and refused before there is a round to wait for
            expect(s.call("POST", LARGE.path, LARGE.plain([0.5])).status == 400, "a short one")
            count += 1
        ending.append(True)
        for t in threads:
            t.join()
        expect(set(statuses) == {200}, set(statuses))
        expect(count >= 4, "ordinary requests beside 4 long ones:", count)


run_tests()
