# SPDX-License-Identifier: Apache-2.0
"""Clients that mean no good, beside five ordinary requests a second to qosbatch-serve.

Every kind of hostile client has its turn against one service of AlexNet, in processes of its own. For
each turn it prints how many of the ordinary requests were answered within the target, how long they and
health took, and the most memory that the service had, next to what the limits allow: twice what it has
when idle, the requests' memory and what connections receive into.

usage: hostile.py [SECONDS_A_KIND [LATENCY_MS]]
"""
import multiprocessing
import re
import resource
import socket
import struct
import sys
import threading
import time

import load

SECONDS = float(sys.argv[1]) if len(sys.argv) > 1 else 20
LATENCY_MS = float(sys.argv[2]) if len(sys.argv) > 2 else 500
RATE_PER_S, CONNECTIONS, CONNECTION_BYTES, REQUEST_MIB = 5, 2048, 32 << 10, 256
ELEMENTS = 3 * 227 * 227
PATH = b"POST /v2/models/alexnet/infer HTTP/1.1\r\nHost: x\r\n"


def connect(port):
    return socket.create_connection(("127.0.0.1", port), 10)


def again_and_again(function):
    """Until the process is ended; whatever the service does to it."""

    def run(port):
        resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
        while True:
            try:
                function(port)
            except OSError:
                time.sleep(0.01)

    return run


def hold(port, count, text, more=b"", every_s=1.0):
    """So many connections that sent this, and then a little now and then."""
    held = []
    for _ in range(count):
        held.append(connect(port))
        held[-1].sendall(text)
    while True:
        time.sleep(every_s)
        for i, c in enumerate(held):
            try:
                if more:
                    c.sendall(more)
                c.setblocking(False)
                if not c.recv(4096):
                    raise OSError
            except BlockingIOError:
                pass
            except OSError:
                held[i] = connect(port)
                held[i].sendall(text)
            held[i].settimeout(10)


def send_all(port, head, piece, count):
    with connect(port) as c:
        c.sendall(PATH + head + b"Content-Length: %d\r\n\r\n" % (len(piece) * count))
        for _ in range(count):
            c.sendall(piece)
        while c.recv(65536):
            pass


def leave(port):
    for text in [b"", b"GET /v2 HT", PATH + b"Content-Length: 900000\r\n\r\n" + b"x" * 1000,
                 PATH + b"Content-Length: 2\r\n\r\n{}", b"GET /v2/models/alexnet HTTP/1.1\r\nHost: x\r\n\r\n"]:
        with connect(port) as c:
            c.sendall(text)


@again_and_again
def silent_expect(port):
    hold(port, 64, PATH + b"Expect: 100-continue\r\nContent-Length: 600000\r\n\r\n", every_s=0.1)


@again_and_again
def half_requests(port):
    hold(port, CONNECTIONS + 64, b"GET /v2/models HTTP/1.1\r\nHost: x\r\n")


@again_and_again
def byte_a_minute(port):
    hold(port, 500, PATH + b"Content-Length: 600000\r\n\r\n" + b"x" * 300000, b"x", 2)


@again_and_again
def json_of_94_mb(port):
    send_all(port, b"", b"0.123456789," * 1000, 94000000 // 12000)


@again_and_again
def json_within_the_limit(port):
    head = b'{"inputs":[{"name":"image","shape":[3,3,227,227],"datatype":"FP32","data":['
    piece = b",".join([b"0.1234567890123"] * ELEMENTS)
    with connect(port) as c:
        body = head + b",".join([piece] * 3) + b"]}]}"
        c.sendall(PATH + b"Content-Length: %d\r\n\r\n" % len(body) + body)
        c.recv(65536)


@again_and_again
def brackets(port):
    send_all(port, b"", b"[]," * 4096, 40000000 // 12288)


@again_and_again
def brackets_within_the_limit(port):
    send_all(port, b"", b"[]," * 4096, 10000000 // 12288)


clients_that_leave = again_and_again(leave)

KINDS = [("nobody else", []), ("silent Expect", [silent_expect]), ("half requests", [half_requests]),
         ("a byte every 2 s", [byte_a_minute]), ("94 MB of JSON", [json_of_94_mb] * 2),
         ("3 samples as JSON", [json_within_the_limit] * 2), ("40 MB of []", [brackets] * 2),
         ("10 MB of []", [brackets_within_the_limit] * 2), ("leave at once", [clients_that_leave] * 2),
         ("all of them", [silent_expect, half_requests, byte_a_minute, json_of_94_mb, json_within_the_limit,
                          brackets, brackets_within_the_limit, clients_that_leave])]


def ordinary_request():
    data = struct.pack("<f", 0.25) * ELEMENTS
    tensor = b'{"inputs":[{"name":"image","shape":[1,3,227,227],"datatype":"FP32",' \
             b'"parameters":{"binary_data_size":%d}}]}' % len(data)
    return PATH + b"Inference-Header-Content-Length: %d\r\nContent-Length: %d\r\n\r\n" % (
        len(tensor), len(tensor) + len(data)) + tensor + data


REQUEST = ordinary_request()
HEALTH = b"GET /v2/health/live HTTP/1.1\r\nHost: x\r\n\r\n"


def ask(port, request, results):
    """The time until an answer of 200 has begun, or None."""
    start = time.monotonic()
    try:
        with connect(port) as c:
            c.sendall(request)
            good = c.recv(65536).startswith(b"HTTP/1.1 200 ")
        results.append(time.monotonic() - start if good else None)
    except OSError:
        results.append(None)


def memory_mib(pid, name):
    with open(f"/proc/{pid}/status") as status:
        return int(re.search(name + r":\s+(\d+)", status.read()).group(1)) / 1024


def percentile_ms(times, share):
    good = sorted(t for t in times if t is not None)
    return 1e3 * good[min(int(share * len(good)), len(good) - 1)] if good else float("nan")


def take_turn(port, pid, attackers):
    """Ordinary requests beside these attackers: their times, those of health, the most memory."""
    processes = [multiprocessing.Process(target=a, args=(port,), daemon=True) for a in attackers]
    for p in processes:
        p.start()
    time.sleep(2 if attackers else 0)
    requests, health, threads, most = [], [], [], 0
    start = time.monotonic()
    for i in range(int(SECONDS * RATE_PER_S)):
        time.sleep(max(start + i / RATE_PER_S - time.monotonic(), 0))
        for request, results in [(REQUEST, requests), (HEALTH, health)]:
            threads.append(threading.Thread(target=ask, args=(port, request, results)))
            threads[-1].start()
        most = max(most, memory_mib(pid, "VmRSS"))
    for t in threads:
        t.join()
    for p in processes:
        p.kill()
        p.join()
    return requests, health, most


def main():
    service, port = load.serve("alexnet", load.make_profile("alexnet"), "--rate", RATE_PER_S, "--latency",
                               LATENCY_MS, "--request-memory", REQUEST_MIB)
    try:
        ask(port, REQUEST, [])
        idle = memory_mib(service.pid, "VmRSS")
        limit = 2 * idle + REQUEST_MIB + CONNECTIONS * CONNECTION_BYTES / 2**20
        print(f"idle {idle:.0f} MiB, limit {limit:.0f} MiB; in time: within {LATENCY_MS:g} ms\n"
              f"{'beside':18} {'asked':>6} {'in time':>8} {'p50':>7} {'p99':>7} {'health p99':>11} {'memory':>9}")
        for name, attackers in KINDS:
            requests, health, most = take_turn(port, service.pid, attackers)
            in_time = sum(t is not None and t * 1e3 <= LATENCY_MS for t in requests)
            print(f"{name:18} {len(requests):6} {100 * in_time / len(requests):6.1f} % "
                  f"{percentile_ms(requests, 0.5):4.0f} ms {percentile_ms(requests, 0.99):4.0f} ms "
                  f"{percentile_ms(health, 0.99):8.1f} ms {most:5.0f} MiB", flush=True)
    finally:
        service.terminate()
        print(service.communicate()[0], end="")


if __name__ == "__main__":
    main()
