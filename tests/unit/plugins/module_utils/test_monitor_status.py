# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the monitor sees: the keeper's word and the engine's, and what is left when one of them is silent."""

from __future__ import annotations

import http.server
import json
import threading
import urllib.error

import pytest
from ansible_collections.pgkeep.postgres.plugins.module_utils._errors import PgkeepError
from ansible_collections.pgkeep.postgres.plugins.module_utils._layout import Layout
from ansible_collections.pgkeep.postgres.plugins.module_utils._monitor_status import fetch, observe, worst

from .monitor_case import NOW, container, seen, status


def test_the_answer_of_the_keeper_and_the_containers_beside_it(tmp_path, monkeypatch):
    asked = []

    def get(url, token):
        asked.append((url, token))
        return json.dumps(status())

    found = seen(tmp_path, monkeypatch, get)
    assert asked == [("http://127.0.0.1:9432/status", "secret")]
    assert (found["status"], found["silent"], found["snapshot_age_ms"]) == ("warning", None, 1800)
    assert found["containers"]["server"] == {
        "state": "running", "health": "healthy", "restarts": 0, "started_at": "2026-11-24T08:34:40.5Z",
    }  # fmt: skip
    assert [check["id"] for check in found["checks"][:2]] == ["container", "database"]


@pytest.mark.parametrize(
    "state, health, level",
    [
        ("running", "healthy", "healthy"),
        ("running", None, "healthy"),
        ("running", "starting", "warning"),
        ("paused", None, "warning"),
        ("running", "unhealthy", "critical"),
        ("restarting", None, "critical"),
        ("exited", None, "critical"),
        ("dead", None, "critical"),
    ],
)
def test_the_state_of_the_container_counts_in_the_verdict(tmp_path, monkeypatch, state, health, level):
    healthy = json.dumps(status(status="healthy", reasons=[]))
    there = (container("app", state, health), container("app-keeper"))
    found = seen(tmp_path, monkeypatch, lambda url, token: healthy, *there)
    words = "/".join(filter(None, (state, health)))
    assert (found["status"], found["checks"][0]["status"]) == (level, level)
    assert found["reasons"] == ([] if level == "healthy" else ["container: " + words])
    assert found["containers"]["pooler"]["state"] == "absent"


@pytest.mark.parametrize(
    "error, words",
    [
        (urllib.error.URLError(ConnectionRefusedError(111, "Connection refused")), "Connection refused"),
        (TimeoutError("timed out"), "timed out"),
        (urllib.error.HTTPError("u", 401, "UNAUTHORIZED", {}, None), "it answers with 401 UNAUTHORIZED"),
        ("<html>", "Expecting value"),
        ("[]", "its answer is no status"),
        ('{"status": "fine", "checks": []}', "its answer is no status"),
    ],
)
def test_a_keeper_that_gives_no_answer_is_critical_and_said(tmp_path, monkeypatch, error, words):
    def get(url, token):
        if isinstance(error, str):
            return error
        raise error

    found = seen(tmp_path, monkeypatch, get)
    assert (found["status"], found["ready"], found["snapshot_age_ms"]) == ("critical", False, None)
    assert words in found["silent"]
    assert found["reasons"][0].startswith("the keeper does not answer: ")
    # The engine still knows this much.
    assert (found["checks"][0]["value"], found["instance"]["name"]) == ("running/healthy", "app")


def test_a_keeper_that_is_not_there_is_told_by_its_state(tmp_path, monkeypatch):
    found = seen(tmp_path, monkeypatch, None, container("app"), container("app-keeper", "exited", None))
    assert found["silent"] == "its container is exited"
    found = seen(tmp_path, monkeypatch, None, container("app"))
    assert found["silent"] == "its container is absent"


def test_an_engine_that_does_not_answer_hides_nothing():
    def run(argv, data=None, env=None, timeout=None):
        assert timeout == 5.0
        raise PgkeepError("The command docker did not end", "it was still running after 5 s")

    found = observe(run, Layout("app"), NOW, lambda url, token: "")
    assert found["status"] == "critical"
    assert found["containers"]["server"]["state"] == "unknown"
    assert "did not end" in found["silent"]


def test_an_older_keeper_that_knows_less(tmp_path, monkeypatch):
    less = {name: value for name, value in status().items() if name not in ("pool", "events", "slots")}
    found = seen(tmp_path, monkeypatch, lambda url, token: json.dumps(less))
    assert (found["pool"], found["events"], found["slots"]) == (None, [], [])


def test_the_worst_of_levels():
    assert worst() == worst("unknown") == "healthy"
    assert worst("warning", "healthy", "unknown") == "warning"
    assert worst("warning", "critical") == "critical"


def test_the_token_travels_in_a_header_and_past_a_proxy(monkeypatch):
    got = []

    class Answer(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            got.append((self.path, self.headers["Authorization"]))
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"{}")

        def log_message(self, *_words):
            pass

    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    with http.server.HTTPServer(("127.0.0.1", 0), Answer) as server:
        threading.Thread(target=server.handle_request, daemon=True).start()
        assert fetch("http://127.0.0.1:%d/status" % server.server_port, "secret") == "{}"
    assert got == [("/status", "Bearer secret")]
