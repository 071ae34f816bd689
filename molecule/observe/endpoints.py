#!/usr/bin/env python
# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ask a keeper for everything, as it is meant and as it is not, and see that nobody is kept out and nothing leaks.

Usage: endpoints.py INSTANCE PORT

Prints one JSON object {"what was tried": "what was seen"} of everything that is not as it should be, and ends with 1
when there is anything. Takes some 15 s, because a slow client has to be waited for.
"""

from __future__ import annotations

import http.client
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

Finding = tuple[str, bool, Any]

INSTANCE, PORT = sys.argv[1], int(sys.argv[2])
TOKEN = Path(f"/etc/pgkeep/{INSTANCE}/client/keeper.token").read_text().strip()
BEARER = {"Authorization": "Bearer " + TOKEN}
LOOPBACK = "127.0.0.1"

# Many times the 50 ms of the benchmark: here other tests may use the same processors.
READY_SECONDS = 2.0
IDLE, CROWD = 300, 1500
PATIENCE_SECONDS = 10


def docker(*argv: str) -> str:
    done = subprocess.run(["docker", *argv], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=True)
    return done.stdout


def ask(path: str, method: str = "GET", **headers: str) -> tuple[int, dict[str, str], bytes]:
    connection = http.client.HTTPConnection(LOOPBACK, PORT, timeout=10)
    try:
        connection.request(method, path, headers=headers)
        answer = connection.getresponse()
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()
    finally:
        connection.close()


def raw(sent: bytes) -> bytes:
    """The first line of the answer to whatever bytes; empty when the connection was only closed."""
    with socket.create_connection((LOOPBACK, PORT), 10) as connection:
        try:
            connection.sendall(sent)
            return connection.recv(4096).split(b"\r\n")[0]
        except ConnectionResetError:
            return b""


def meant() -> Iterator[Finding]:
    for path in ("/live", "/health", "/ready", "/ready?role=primary", "/ready?role=primary&lag=16MB"):
        code, headers, body = ask(path)
        # An instance that was restarted often is critical, and serves.
        expected = 503 if json.loads(body).get("status") == "critical" else 200
        yield path, code == expected and headers["cache-control"] == "no-store", (code, headers, body)
        words = [word for word in ("SELECT", "pgkeep_monitor", "client", "172.") if word.encode() in body]
        yield path + " tells states only", not words, words
    code, headers, body = ask("/ready?role=replica")
    yield "/ready?role=replica", (code, headers.get("retry-after")) == (503, "5") and b"role" in body, (code, body)
    for path in ("/status", "/production-readiness", "/metrics"):
        refused = [ask(path)[0], ask(path, Authorization="Bearer wrong")[0], ask(path, Authorization="Bearer")[0]]
        yield path + " without the token", refused == [401, 401, 401], refused
        code, headers, body = ask(path, **BEARER)
        head = ask(path, "HEAD", **BEARER)
        yield path, code == 200 and len(body) > 50, (code, body)
        yield path + " HEAD", (head[0], head[2]) == (200, b"") and "content-length" in head[1], head
    status = json.loads(ask("/status", **BEARER)[2])
    same = (status["instance"]["name"], status["instance"]["role"], status["live"]) == (INSTANCE, "primary", True)
    yield "/status is about this instance", same, status["instance"]
    series = ask("/metrics", **BEARER)[2].decode().splitlines()
    yield "/metrics", "pgkeep_up 1.0" in series and "pgkeep_ready 1.0" in series, series


def not_meant() -> Iterator[Finding]:
    for path, code in (
        ("/nothing", 404),
        ("/../../etc/passwd", 404),
        ("/%2e%2e/%2e%2e/etc/passwd", 404),
        ("/ready?role=x", 400),
        ("/ready?lag=abc", 400),
        ("/ready?rol=replica", 400),
    ):
        answer = ask(path)
        words = json.loads(answer[2])
        yield path, (answer[0], set(words)) == (code, {"what", "why", "next_step"}), answer
    for method in ("POST", "PUT", "DELETE", "OPTIONS", "BREW"):
        code, headers, _body = ask("/ready", method)
        yield method, (code, headers.get("allow")) == (405, "GET, HEAD"), (code, headers)
    for name, sent, codes in (
        ("a header of 100 kB", b"GET /ready HTTP/1.1\r\nX: " + b"x" * 100_000 + b"\r\n\r\n", (b"431", b"400", b"")),
        ("a query of 100 kB", b"GET /ready?" + b"x" * 100_000 + b" HTTP/1.1\r\n\r\n", (b"431", b"400", b"")),
        ("a body of 1 GB", b"POST /ready HTTP/1.1\r\nContent-Length: 1000000000\r\n\r\n", (b"413", b"405")),
        ("garbage", os.urandom(2000) + b"\r\n\r\n", (b"400", b"431", b"")),
        ("two lengths", b"GET /ready HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", (b"400",)),
        ("TLS", bytes.fromhex("1603010200010001fc0303") + b"\r\n\r\n", (b"400", b"404", b"")),
    ):
        line = raw(sent)
        yield name, [*line.split(b" "), b""][1 if line else 0] in codes, line


def crowded() -> Iterator[Finding]:
    """300 that only connect, some that send a byte now and then, then more than may be there at once."""
    with ExitStack() as stack:
        slow = [stack.enter_context(socket.create_connection((LOOPBACK, PORT), 10)) for _turn in range(20)]
        began = time.monotonic()
        for connection in slow:
            connection.sendall(b"GET /ready HTTP/1.1\r\nX: ")
        idle = [stack.enter_context(socket.create_connection((LOOPBACK, PORT), 10)) for _turn in range(IDLE)]
        yield from _fast("%d idle connections" % IDLE)
        ended = 0.0
        while not ended and time.monotonic() - began < 3 * PATIENCE_SECONDS:
            time.sleep(0.5)
            ended = time.monotonic() - began if all(_is_closed(connection, b"x") for connection in slow) else 0.0
        yield "a request has a deadline", PATIENCE_SECONDS - 1 < ended < PATIENCE_SECONDS + 8, ended
        # They came last, so they may stay a little longer than those above.
        left = idle
        while left and time.monotonic() - began < 3 * PATIENCE_SECONDS:
            left = [connection for connection in left if not _is_closed(connection)]
            time.sleep(0.5)
        yield "so has an idle connection", not left, "%d are still open" % len(left)
    with ExitStack() as stack:
        for _turn in range(CROWD):
            stack.enter_context(socket.create_connection((LOOPBACK, PORT), 10))
        yield from _fast("%d connections" % CROWD)


def _fast(when: str) -> Iterator[Finding]:
    taken = []
    for _turn in range(50):
        began = time.monotonic()
        code = ask("/ready")[0]
        taken.append(time.monotonic() - began)
        if code != 200:
            yield "/ready with " + when, False, code
    yield "/ready at once with " + when, max(taken) < READY_SECONDS, max(taken)


def _is_closed(connection: socket.socket, drip: bytes = b"") -> bool:
    try:
        connection.setblocking(False)
        if drip:
            connection.send(drip)
        return connection.recv(4096) == b""
    except BlockingIOError:
        return False
    except OSError:
        return True


def outside() -> Iterator[Finding]:
    about = docker("inspect", INSTANCE + "-keeper")
    ports = json.loads(about)[0]["HostConfig"]["PortBindings"]
    yield "published", ports == {"8432/tcp": [{"HostIp": LOOPBACK, "HostPort": str(PORT)}]}, ports
    for address in subprocess.run(["hostname", "-I"], stdout=subprocess.PIPE, text=True, check=True).stdout.split():
        with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET) as probe:
            probe.settimeout(2)
            yield f"not on {address}", probe.connect_ex((address, PORT)) != 0, "somebody answers"
    yield "the token is not in docker inspect", TOKEN not in about, "it is"
    seen = [path for path in Path("/proc").glob("[0-9]*/cmdline") if TOKEN in _text(path)]
    seen += [path for path in Path("/proc").glob("[0-9]*/environ") if TOKEN in _text(path)]
    yield "the token is in no argument and no environment", not seen, [str(path) for path in seen]
    log = docker("logs", INSTANCE + "-keeper")
    yield "the token is not in the log", TOKEN not in log, "it is"
    yield "whoever asks often does not fill the log", len(log.splitlines()) < 40, log[-2000:]


def _text(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        # Ended meanwhile.
        return ""


def main() -> int:
    found = {
        what: str(seen) for part in (meant, not_meant, crowded, outside) for what, good, seen in part() if not good
    }
    print(json.dumps(found, indent=1))
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
