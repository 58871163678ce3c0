"""Calls over a UNIX socket, from a client that does next to nothing itself, so that its own time does not hide the service's.

varlink-load.py SOCKET CALLS AHEAD EACH reads one call from standard input and prints as JSON: the milliseconds of the first call, its
connection included; those of CALLS on one connection, one after the other; calls per second with AHEAD on their way; and
the milliseconds of EACH calls with a connection of their own.
"""

import json
import socket
import sys
import time


def connected(path):
    client = socket.socket(socket.AF_UNIX)
    client.connect(path)
    return client


def ask(client, call, times):
    client.sendall(call * times)
    replies, last = 0, b""
    while replies < times:
        last = client.recv(1 << 16)
        if not last:
            raise SystemExit("the service has ended the connection")
        replies += last.count(0)
    return last


def milliseconds(count, work):
    times = []
    for _ in range(count):
        begun = time.perf_counter()
        work()
        times.append(1000 * (time.perf_counter() - begun))
    return times


def call_once(path, call):
    with connected(path) as client:
        ask(client, call, 1)


path, calls, ahead, each = sys.argv[1], *map(int, sys.argv[2:])
call = sys.stdin.buffer.read()
begun = time.perf_counter()
with connected(path) as client:
    reply = ask(client, call, 1)
    first = 1000 * (time.perf_counter() - begun)
    row = milliseconds(calls, lambda: ask(client, call, 1))
    together = milliseconds(calls // 10, lambda: ask(client, call, ahead))
print(
    json.dumps(
        {
            "reply": reply.decode(),
            "firstMs": first,
            "rowMs": row,
            "aheadPerSecond": 1000 * ahead * len(together) / sum(together),
            "eachMs": milliseconds(each, lambda: call_once(path, call)),
        }
    )
)
