# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Codes, bodies and headers of every endpoint, who may read what, and what a bad question is told."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.pgkeep.postgres.plugins.module_utils._board import Board
from ansible_collections.pgkeep.postgres.plugins.module_utils._http_app import Known, allowed, make_app

SNAPSHOT: dict[str, Any] = json.loads((Path(__file__).parents[3] / "fixtures/keeper/status.json").read_text())
NOW = SNAPSHOT["taken_at"] + 1.0
TOKEN = "a-token-of-32-characters-or-more"
BEARER = {"Authorization": "Bearer " + TOKEN}
OPEN = ("/live", "/health", "/ready")
SECRET = ("/", "/status", "/production-readiness", "/metrics")
REPORT = {"verdict": "NOT_READY", "generated_at": "2026-11-24T10:00:00Z", "checks": []}


class Case:
    """A client of an application whose board shows a snapshot; said is what the keeper's log got."""

    def __init__(self, now: float = NOW, report: dict[str, Any] | None = None, **changes: Any) -> None:
        self.said: list[str] = []
        board = Board()
        board.publish({**SNAPSHOT, **changes})
        known = Known(TOKEN, 5.0, report)
        self.client = make_app(board, lambda: known, self.said.append, lambda: now).test_client()

    def get(self, path: str, **more: Any) -> Any:
        return self.client.get(path, **more)


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/live", {"live": True, "snapshot_age_ms": 1000}),
        ("/health", {"status": "warning", "reasons": ["disk_data is warning"]}),
        ("/ready", {"ready": True, "reasons_not_ready": []}),
    ],
)
def test_everybody_may_ask_for_states(path: str, body: dict[str, Any]):
    answer = Case().get(path)
    assert (answer.status_code, answer.json) == (200, body)
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Content-Security-Policy"].startswith("default-src 'none'")


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer wrong"}])
@pytest.mark.parametrize("path", OPEN)
def test_nobody_without_a_token_learns_of_queries_users_or_addresses(path: str, headers: dict[str, str]):
    refused = 'no pg_hba.conf entry for host "172.18.0.3", user "pgkeep_monitor", database "shop"'
    words = "the server refuses the login (%s)" % refused
    check = {**SNAPSHOT["checks"][0], "status": "critical", "message": words}
    case = Case(
        status="critical",
        ready=False,
        checks=[check, *SNAPSHOT["checks"][1:]],
        reasons=["database: " + words],
        reasons_not_ready=["database: " + words, "something: about shop", "about shop"],
    )
    answer = case.get(path, headers=headers)
    assert not [word for word in ("UPDATE", "shop", "172.18", "web", "pgkeep_monitor") if word in answer.text]
    told = {
        "/live": {"live": True, "snapshot_age_ms": 1000},
        "/health": {"status": "critical", "reasons": ["database is critical", "disk_data is warning"]},
        "/ready": {
            "ready": False,
            "reasons_not_ready": [
                "database: no login works, or not for long enough yet",
                "ask with the token for the reason",
                "ask with the token for the reason",
            ],
        },
    }
    assert answer.json == told[path]
    # Who has the token may as well read all of it.
    assert path == "/live" or refused in str(case.get(path, headers=BEARER).json)


def test_every_reason_not_to_be_ready_has_words_for_everybody():
    reasons = ["%s: shop" % name for name in ("snapshot", "maintenance", "database", "circuit", "disk_data")]
    answer = Case(ready=False, reasons_not_ready=reasons).get("/ready")
    assert "shop" not in answer.text
    assert "token" not in answer.text


def test_what_is_critical_stale_or_in_maintenance_is_503():
    for case in (Case(status="critical", reasons=["database: no login"]), Case(now=NOW + 15)):
        assert case.get("/health").status_code == 503
    assert Case(now=NOW + 15).get("/live").status_code == 503
    assert Case(status="unknown").get("/health").status_code == 503
    answer = Case(ready=False, reasons_not_ready=["maintenance: deploy"]).get("/ready")
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
    assert answer.json == {"ready": False, "reasons_not_ready": ["maintenance: the host works on the instance"]}
    # A server that is down is no reason to restart its keeper.
    assert Case(status="critical", ready=False).get("/live").status_code == 200


@pytest.mark.parametrize(
    ("role", "lag", "query", "code"),
    [
        ("primary", None, "role=primary", 200),
        ("primary", None, "role=replica", 503),
        ("primary", None, "lag=16MB", 200),
        ("replica", 1 << 20, "role=replica&lag=16MB", 200),
        ("standby", 1 << 20, "role=replica&lag=1MB", 200),
        ("replica", 1 << 25, "role=replica&lag=16MB", 503),
        ("replica", None, "role=replica&lag=16MB", 503),
        ("replica", 1 << 20, "role=primary", 503),
        ("replica", 1 << 20, "lag=30s", 200),
        ("replica", 1 << 20, "lag=1.5s", 503),
        (None, None, "role=primary", 503),
    ],
)
def test_role_and_lag_are_conditions(role: str | None, lag: int | None, query: str, code: int):
    case = Case(instance={**SNAPSHOT["instance"], "role": role}, replica_lag_bytes=lag, replica_lag_seconds=2.0)
    answer = case.get("/ready?" + query)
    assert answer.status_code == code
    assert bool(answer.json["reasons_not_ready"]) is (code == 503)


@pytest.mark.parametrize(
    ("query", "allowed_words"),
    [
        ("role=x", "role=primary or role=replica"),
        ("role=", "role=primary or role=replica"),
        ("lag=abc", "lag=16MB"),
        ("lag=-1", "lag=16MB"),
        ("rol=replica", "ask with role or lag"),
        ("role=primary&role=replica", "ask with one of them"),
        ("role=" + "x" * 5000, "role=primary or role=replica"),
    ],
)
def test_a_question_that_cannot_be_answered_is_told_what_can(query: str, allowed_words: str):
    answer = Case().get("/ready?" + query)
    assert answer.status_code == 400
    assert allowed_words in answer.json["next_step"]
    assert len(answer.text) < 400


@pytest.mark.parametrize("path", SECRET)
def test_the_rest_is_for_who_has_the_token(path: str):
    case = Case(report=REPORT)
    for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": "Bearer "}, {"Authorization": TOKEN}):
        answer = case.get(path, headers=headers)
        assert answer.status_code == 401
        assert "Bearer" in " ".join(answer.headers.getlist("WWW-Authenticate"))
        assert set(answer.json) == {"what", "why", "next_step"}
    assert case.get(path, headers=BEARER).status_code == 200
    basic = base64.b64encode(("anybody:" + TOKEN).encode()).decode()
    assert case.get(path, headers={"Authorization": "Basic " + basic}).status_code == 200
    assert not [words for words in case.said if TOKEN in words or "wrong" in words]


def test_what_is_no_authorization_lets_nobody_in():
    for header in ("Basic !!!", "Basic " + base64.b64encode(b"\xff\xfe").decode(), "Bearer \xff", "Digest x", ""):
        assert not allowed(header, TOKEN)
    assert not allowed("Bearer ", "")


def test_status_is_the_whole_and_always_200():
    answer = Case(now=NOW + 60, status="healthy").get("/status", headers=BEARER)
    assert answer.status_code == 200
    assert (answer.json["status"], answer.json["instance"]["name"]) == ("critical", "app")


def test_the_report_of_the_launch_gate_has_an_age_and_strict_means_it():
    case = Case(report=REPORT)
    answer = case.get("/production-readiness", headers=BEARER)
    assert (answer.status_code, answer.json) == (200, {**REPORT, "age_seconds": 4})
    assert case.get("/production-readiness?strict=1", headers=BEARER).status_code == 503
    assert case.get("/production-readiness?strict=yes", headers=BEARER).status_code == 400
    ready = Case(report={**REPORT, "verdict": "READY"})
    assert ready.get("/production-readiness?strict=1", headers=BEARER).status_code == 200
    none = Case().get("/production-readiness?strict=1", headers=BEARER)
    assert (none.status_code, none.json["verdict"]) == (503, None)
    assert "preflight.yml" in none.json["next_step"]


@pytest.mark.parametrize("path", ["/nothing", "/ready/", "/../etc/passwd", "/%2e%2e/x", "/static/x", "/%00", "/\u00e9"])
def test_what_is_not_there_is_404_and_says_what_is(path: str):
    answer = Case().get(path)
    assert answer.status_code == 404
    assert "/production-readiness" in answer.json["why"]


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "BREW"])
def test_nothing_but_get_and_head(method: str):
    answer = Case().client.open("/ready", method=method)
    assert (answer.status_code, answer.headers["Allow"]) == (405, "GET, HEAD")


@pytest.mark.parametrize("path", [*OPEN, *SECRET])
def test_head_is_get_without_the_body(path: str):
    case = Case()
    full, head = case.get(path, headers=BEARER), case.client.head(path, headers=BEARER)
    assert (head.status_code, head.data) == (full.status_code, b"")
    assert head.headers["Content-Length"] == full.headers["Content-Length"]


def test_a_fault_of_ours_tells_where_and_not_what():
    case = Case(instance=None)
    answer = case.get("/ready?role=primary")
    assert (answer.status_code, answer.json["why"]) == (500, "TypeError")
    assert case.said[0].startswith("http: /ready failed with TypeError at ")


def test_the_page_is_html_with_the_policy_of_its_style():
    answer = Case().get("/", headers=BEARER)
    assert answer.mimetype == "text/html"
    assert '<meta http-equiv="refresh" content="5">' in answer.text
    assert "unsafe" not in answer.headers["Content-Security-Policy"]
    assert "http-equiv" not in Case().get("/?refresh=0", headers=BEARER).text
    assert Case().get("/?refresh=1", headers=BEARER).status_code == 400
