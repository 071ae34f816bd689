# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a receiver reads, and attempts against real servers on the loopback address. The whole way with TLS and login
is tested by tests/integration/test_alerts.py."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from ansible_collections.pgkeep.postgres.plugins.module_utils import _alert_send as sending
from ansible_collections.pgkeep.postgres.plugins.module_utils._alert import CRITICAL, INFO, RESOLVED, TEST, Alert
from ansible_collections.pgkeep.postgres.plugins.module_utils._alert_config import Email, Webhook

ALERT = Alert(
    "orders", CRITICAL, "full", "The backup of orders\nfailed", "no space", "free some", "2026-11-24T02:00:05Z",
    {"free_bytes": 12}, id="8f0c",
)  # fmt: skip


def content(repeated=0, **changes):
    return sending.payload({**ALERT.to_dict(), **changes}, "db1", repeated)


def test_everything_that_somebody_needs_is_in_the_payload():
    assert content(2) == {
        "id": "8f0c",
        "instance": "orders",
        "host": "db1",
        "status": "firing",
        "severity": "critical",
        "action": "full",
        "what": "The backup of orders\nfailed",
        "why": "no space",
        "next_step": "free some",
        "at": "2026-11-24T02:00:05Z",
        "repeated": 2,
        "details": {"free_bytes": 12},
        "runbook": "/etc/pgkeep/orders/RUNBOOK.md",
    }


@pytest.mark.parametrize(
    "changes, line",
    [
        ({}, "[pgkeep] CRITICAL orders: The backup of orders failed"),
        ({"status": RESOLVED, "severity": INFO}, "[pgkeep] RESOLVED orders: The backup of orders failed"),
        ({"status": TEST, "severity": INFO}, "[pgkeep] TEST orders: The backup of orders failed"),
    ],
)
def test_the_headline_is_one_line(changes, line):
    assert sending.headline(content(**changes)) == line


def test_the_body_tells_what_to_do_first():
    assert sending.body(content(2)).splitlines()[3:] == [
        "Next: free some",
        "",
        "Instance: orders on db1",
        "Time:     2026-11-24T02:00:05Z",
        "Runbook:  /etc/pgkeep/orders/RUNBOOK.md (on that host)",
        "Repeated: 2 times more, not told one by one",
        "",
        'Details: {"free_bytes": 12}',
        "",
        "Action full, alert 8f0c",
    ]


@contextlib.contextmanager
def answering(code):
    """A server that answers every request with code; gives its URL and the requests."""
    seen = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            seen.append(
                (self.path, dict(self.headers), json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            )
            self.send_response(code)
            self.send_header("Location", "/elsewhere")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *words):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield "http://127.0.0.1:%d/hook" % server.server_address[1], seen
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextlib.contextmanager
def dripping():
    """A server that never ends its answer but sends a byte now and then; gives its port."""
    over = threading.Event()
    listener = socket.create_server(("127.0.0.1", 0))

    def drip():
        peer, _address = listener.accept()
        with peer, contextlib.suppress(OSError):
            while not over.wait(0.05):
                peer.sendall(b"2")

    thread = threading.Thread(target=drip)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        over.set()
        thread.join()
        listener.close()


def test_a_webhook_takes_it_with_the_token():
    with answering(204) as (url, seen):
        assert sending.send(Webhook("ops", url, "json", "t0ken"), content()) == "HTTP 204"
    path, headers, data = seen[0]
    assert (path, data) == ("/hook", content())
    assert headers["Authorization"] == "Bearer t0ken"
    assert headers["Idempotency-Key"] == "8f0c"


def test_a_chat_takes_a_text():
    with answering(200) as (url, seen):
        sending.send(Webhook("chat", url, "slack"), content())
    _path, headers, data = seen[0]
    assert list(data) == ["text"]
    assert data["text"].startswith("*[pgkeep] CRITICAL orders: The backup of orders failed*\nWhat: ")
    assert "Authorization" not in headers


@pytest.mark.parametrize("code, hopeless", [(302, False), (401, False), (404, False), (422, True), (500, False)])
def test_whatever_is_not_2xx_is_no_delivery(code, hopeless):
    with answering(code) as (url, seen), pytest.raises(sending.Undelivered, match="HTTP %d" % code) as caught:
        sending.send(Webhook("ops", url, "json", "t0ken"), content())
    assert caught.value.hopeless is hopeless
    # No redirect was followed.
    assert len(seen) == 1


def test_nobody_there_is_said_in_the_words_of_the_system():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    mail = Email("127.0.0.1", port, "none", "a@example.org", ("b@example.org",))
    for receiver in (Webhook("ops", "http://127.0.0.1:%d/" % port), mail):
        with pytest.raises(sending.Undelivered, match=r"^\[Errno 111\] Connection refused$"):
            sending.send(receiver, content())


def test_an_attempt_ends_even_where_the_peer_never_does():
    with dripping() as port:
        receiver = Webhook("drip", "http://127.0.0.1:%d/" % port)
        began = time.monotonic()
        with pytest.raises(sending.Undelivered, match=r"no answer within 0.3 s"):
            sending.send(receiver, content(), 0.3)
        assert time.monotonic() - began < 2
        with pytest.raises(sending.Undelivered, match="still hangs"):
            sending.send(receiver, content(), 0.3)
    # Once the peer is gone the next attempt is made again.
    for thread in threading.enumerate():
        if thread.name == "alert-to-drip":
            thread.join(5)
    with pytest.raises(sending.Undelivered, match="refused"):
        sending.send(receiver, content())
