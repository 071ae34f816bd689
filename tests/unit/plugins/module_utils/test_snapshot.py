# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The snapshot from recorded answers: every part of the contract, the states of a server, and when it is ready."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.pgkeep.postgres.plugins.module_utils import _poll_link as link
from ansible_collections.pgkeep.postgres.plugins.module_utils import _poll_sql as sql
from ansible_collections.pgkeep.postgres.plugins.module_utils._board import Board, present
from ansible_collections.pgkeep.postgres.plugins.module_utils._breaker import Breaker
from ansible_collections.pgkeep.postgres.plugins.module_utils._drill_turn import Proof
from ansible_collections.pgkeep.postgres.plugins.module_utils._hysteresis import Hysteresis
from ansible_collections.pgkeep.postgres.plugins.module_utils._maintenance import Maintenance
from ansible_collections.pgkeep.postgres.plugins.module_utils._poll_login import Login
from ansible_collections.pgkeep.postgres.plugins.module_utils._poll_server import Answer
from ansible_collections.pgkeep.postgres.plugins.module_utils._snapshot import events, make
from ansible_collections.pgkeep.postgres.plugins.module_utils._snapshot_checks import slots
from ansible_collections.pgkeep.postgres.plugins.module_utils._starts import (
    CRASH,
    PLANNED,
    RESTART,
    Seen,
    Start,
    Starts,
)
from ansible_collections.pgkeep.postgres.plugins.module_utils._times import rfc3339

from .recorded import load

DISK = {
    "id": "data",
    "path": "/var/lib/postgresql",
    "size_bytes": 1000,
    "free_bytes": 600,
    "used_percent": 40.0,
    "inodes_percent": 3.0,
    "growth_bytes_per_day": None,
    "days_to_full": None,
}
GOOD = Login(None, "", 0.2, 21.0)
BACKUP = {
    "label": "20261124-020000F",
    "type": "full",
    "stopped_at": "2026-11-24T02:00:09Z",
    "size_bytes": 5,
    "repository_bytes": 3,
    "proven_at": None,
}

RUN = {"at": "2026-11-24T02:00:00Z", "action": "backup", "actor": "schedule", "result": "ok"}


@pytest.fixture
def facts() -> dict[str, Any]:
    frequent = load("poll/frequent.json")
    now = frequent["now"]
    return {
        "instance": "app",
        "environment": "production",
        "now": now,
        "answer": Answer(None, "", frequent, load("poll/rare.json"), (), 1),
        "login": GOOD,
        "breaker": Breaker(),
        "down_since": None,
        "rates": sql.rates(None, frequent),
        "cpu": None,
        "maintenance": None,
        "starts": Starts(Seen(frequent["started_at"], frequent["reset_at"])),
        "storage": [DISK],
        "pooler": (None, None),
        "archive_waiting": [],
        "archive_failing_since": None,
        "evidence": {
            "errors": {},
            "looked": True,
            "backup": {
                "status": "ok",
                "status_text": "ok",
                "backups": [BACKUP],
                "newest_clean": "20261124-020000F",
                "warnings": [],
                "wal": {},
            },
            "off_site": [],
            "drills": [Proof(1, "posix", now - 60, 0)],
            "drill_records": [{"label": "x", "passed": True, "started_at": "2026-11-24T03:00:00Z", "rto_seconds": 1.5}],
            "upcoming": {"jobs": [{"name": "full", "next_at": "2026-11-29T02:00:00Z"}]},
            "alerts": {"waiting": 0, "delivered": 1, "failing": [], "proven_at": None, "recent": []},
            "operations": [RUN],
            "backup_runs": [RUN],
            "certificate": {"days_left": 397.0, "not_after": "2027-12-26T16:15:14Z", "error": None},
            "repository_type": "posix",
        },
    }


def status_of(facts: dict[str, Any], id: str) -> str:
    snapshot, _checks = make(facts, Hysteresis())
    return str(next(check for check in snapshot["checks"] if check["id"] == id)["status"])


def gone(facts: dict[str, Any], state: str, words: str = "words") -> dict[str, Any]:
    return {**facts, "answer": Answer(state, words), "login": Login(state, words), "down_since": facts["now"]}


def test_everything_of_the_contract_is_there(facts: dict[str, Any]) -> None:
    board = Board()
    snapshot, _checks = make(facts, Hysteresis())
    known = present(None, 0.0, 5.0)
    assert known.keys() - snapshot.keys() == {"time", "snapshot_age_ms", "live", "history", "events"}
    for name, part in known.items():
        if isinstance(part, dict) and name != "history":
            assert part.keys() - {"longest"} <= snapshot[name].keys(), name
    board.publish(snapshot)
    assert present(board.latest(), facts["now"] + 1, 5.0)["ready"]


def test_a_healthy_instance(facts: dict[str, Any]) -> None:
    snapshot, _checks = make(facts, Hysteresis())
    assert (snapshot["status"], snapshot["ready"], snapshot["reasons"]) == ("healthy", True, [])
    assert snapshot["instance"]["pg_version"] == "17.12"
    assert snapshot["instance"]["role"] == "primary"
    assert snapshot["backup"]["newest"]["label"] == "20261124-020000F"
    assert snapshot["backup"]["last_run"] == {"job": "backup", "result": "ok", "at": "2026-11-24T02:00:00Z"}
    assert snapshot["backup"]["next_at"] == "2026-11-29T02:00:00Z"
    assert snapshot["backup"]["drill"]["rto_seconds"] == 1.5
    assert snapshot["certificates"] == [{"of": "server", "not_after": "2027-12-26T16:15:14Z", "days_left": 397.0}]


@pytest.mark.parametrize("total, status", [(6, "healthy"), (7, "warning"), (8, "critical")])
def test_connections_that_are_reserved_are_of_no_use_to_applications(
    facts: dict[str, Any], total: int, status: str
) -> None:
    frequent = facts["answer"].frequent
    assert (frequent["maximum"], frequent["usable"]) == (13, 8)
    frequent["sessions"]["total"] = total
    assert status_of(facts, "connections") == status


def test_a_drill_that_failed_is_a_reason(facts: dict[str, Any]) -> None:
    facts["evidence"]["drill_records"][0]["passed"] = False
    snapshot, _checks = make(facts, Hysteresis())
    assert snapshot["status"] == "warning"
    assert snapshot["reasons"][0].startswith("drill: the last drill, at 2026-11-24T03:00:00Z, failed; ")


def test_a_drill_that_failed_does_not_hide_the_one_that_passed(facts: dict[str, Any]) -> None:
    passed = [
        Proof(1, "posix", facts["now"] - 7 * 86400, 0),
        Proof(2, "s3", facts["now"] - 600, 0),
        Proof(3, "s3", None, 0),
    ]
    failed = [{"label": "x", "passed": False, "started_at": rfc3339(facts["now"] - 60)}]
    found, _checks = make(
        {**facts, "evidence": {**facts["evidence"], "drills": passed, "drill_records": failed}}, Hysteresis()
    )
    drill = found["backup"]["drill"]
    assert (drill["result"], drill["passed_at"]) == ("failed", rfc3339(facts["now"] - 600))


@pytest.mark.parametrize(
    "state, status",
    [
        (link.STOPPED, "critical"),
        (link.DEAD, "critical"),
        (link.STOPPING, "critical"),
        (link.STARTING, "warning"),
        (link.UNREACHABLE, "critical"),
    ],
)
def test_a_server_that_is_not_there(facts: dict[str, Any], state: str, status: str) -> None:
    hysteresis = Hysteresis()
    make(facts, hysteresis)
    snapshot, checks = make(gone(facts, state), hysteresis)
    # At once, and nothing is called well or ill that nobody could measure.
    assert (snapshot["status"], snapshot["ready"], checks[0]["status"]) == (status, False, status)
    assert checks[0]["value"] == state
    assert next(check for check in checks if check["id"] == "connections")["status"] == "unknown"
    assert snapshot["sessions"]["total"] is None
    again, _checks = make(facts, hysteresis)
    assert not again["ready"]
    assert make(facts, hysteresis)[0]["ready"]


def test_one_silent_moment_is_no_fault_but_takes_no_traffic_either(facts: dict[str, Any]) -> None:
    hysteresis, silent = Hysteresis(), gone(facts, link.HUNG, "no answer")
    make(facts, hysteresis)
    snapshot, checks = make(silent, hysteresis)
    assert (snapshot["status"], snapshot["ready"], checks[0]["status"]) == ("healthy", False, "healthy")
    again, _checks = make(facts, hysteresis)
    assert again["ready"]
    told = [make(silent, hysteresis)[1][0]["status"] for _poll in range(3)]
    assert told == ["healthy", "warning", "critical"]
    # The other way round too: two good ones.
    told = [make(facts, hysteresis)[1][0]["status"] for _poll in range(2)]
    assert told == ["critical", "healthy"]


def pooled(**more: Any) -> tuple[dict[str, Any], None]:
    use = {"pool": None, "used": 0, "size": 0, "used_percent": 0.0, "waiting": 0, "wait_seconds": 0}
    found = {"name": "app-pooler", "address": "app-pooler:6432", "state": None, "connect_ms": 20.0, "busiest": use}
    return {**found, "login_error": None, "pools_error": None, "pool": {"up": True}, **more}, None


def test_the_pooler_is_judged_as_the_health_of_the_host_judges_it(facts: dict[str, Any]) -> None:
    down = {"login_error": "no answer", "pools_error": "no answer", "busiest": None, "pool": {"up": False}}
    hysteresis = Hysteresis()
    snapshot, _checks = make({**facts, "pooler": pooled()}, hysteresis)
    assert (snapshot["pool"], snapshot["status"]) == ({"up": True}, "healthy")
    assert next(check for check in snapshot["checks"] if check["id"] == "pooler")["value"] == "accepting"
    # Clients wait while an operation interrupts the server, so it has to last.
    found = [make({**facts, "pooler": pooled(**down)}, hysteresis)[0] for _poll in range(3)]
    assert [each["status"] for each in found] == ["healthy", "warning", "critical"]
    assert found[0]["pool"] == {"up": False}
    # The server is there, whatever becomes of its pooler.
    assert found[-1]["ready"]
    assert found[-1]["reasons"] == ["pooler: no answer"]


def test_an_instance_without_a_pooler_misses_none(facts: dict[str, Any]) -> None:
    snapshot, _checks = make(facts, Hysteresis())
    assert snapshot["pool"] is None
    found = {check["id"]: check["message"] for check in snapshot["checks"] if check["id"].startswith("pool")}
    assert found == dict.fromkeys(("pooler", "pools"), "no pooler is declared")
    assert status_of({**facts, "pooler": (None, "it was not looked at yet")}, "pooler") == "unknown"


def test_a_start_that_takes_too_long_is_critical(facts: dict[str, Any]) -> None:
    long = {**gone(facts, link.STARTING), "down_since": facts["now"] - 300}
    assert status_of(long, "database") == "critical"


@pytest.mark.parametrize("state", [link.FULL, link.REFUSED, link.UNTRUSTED])
def test_a_login_that_fails_while_the_socket_answers(facts: dict[str, Any], state: str) -> None:
    snapshot, _checks = make({**facts, "login": Login(state, "words")}, Hysteresis())
    assert (snapshot["status"], snapshot["ready"]) == ("critical", False)
    assert snapshot["sessions"]["total"] is not None
    assert snapshot["reasons_not_ready"][0].startswith("database: ")


def test_a_server_that_tells_nothing_of_itself_but_serves(facts: dict[str, Any]) -> None:
    hysteresis = Hysteresis()
    silent = {**facts, "answer": Answer(None, "canceling statement due to statement timeout")}
    make(facts, hysteresis)
    # Once is nothing.
    assert make(silent, hysteresis)[0]["status"] == "healthy"
    snapshot, _checks = make(silent, hysteresis)
    assert (snapshot["status"], snapshot["ready"]) == ("warning", True)
    assert snapshot["reasons"] == [
        "statistics: what the server knows of itself cannot be read: canceling statement due to statement timeout"
    ]
    assert status_of(silent, "connections") == "unknown"
    assert status_of(gone(facts, link.HUNG), "statistics") == "unknown"


def test_what_else_makes_it_not_ready(facts: dict[str, Any]) -> None:
    words = []
    drains = Maintenance("move", "me", "2026-11-24T10:00:00Z", "2026-11-24T11:00:00Z", drains=True)
    breaker = Breaker()
    for _number in range(5):
        breaker = breaker.failed(0.0, None)
    for more in ({"maintenance": drains}, {"storage": [{**DISK, "used_percent": 95.0}]}, {"breaker": breaker}):
        snapshot, _checks = make({**facts, **more}, Hysteresis())
        assert not snapshot["ready"]
        words += snapshot["reasons_not_ready"]
    assert [each.split(":")[0] for each in words] == ["maintenance", "disk_data", "circuit"]
    working = Maintenance("restart", "me", "2026-11-24T10:00:00Z", None, drains=False)
    snapshot, _checks = make({**facts, "maintenance": working}, Hysteresis())
    assert (snapshot["ready"], snapshot["maintenance"]["reason"]) == (True, "restart")


@pytest.mark.parametrize(
    "kinds, status",
    [
        ([], "healthy"),
        ([PLANNED] * 9, "healthy"),
        ([RESTART], "warning"),
        ([CRASH] * 2, "warning"),
        ([CRASH] * 3, "critical"),
    ],
)
def test_restarts(facts: dict[str, Any], kinds: list[str], status: str) -> None:
    starts = Starts(facts["starts"].seen, tuple(Start(facts["now"] - 60, kind) for kind in kinds))
    assert status_of({**facts, "starts": starts}, "restarts") == status


def test_yesterdays_restart_is_forgiven(facts: dict[str, Any]) -> None:
    starts = Starts(facts["starts"].seen, tuple(Start(facts["now"] - 86401, CRASH) for _number in range(5)))
    assert status_of({**facts, "starts": starts}, "restarts") == "healthy"


@pytest.mark.parametrize(
    "id, values",
    [
        ("disk_data", {69.9: "healthy", 70.0: "warning", 85.0: "warning", 85.1: "critical"}),
        ("response_time", {99.9: "healthy", 100.0: "warning", 500.1: "critical"}),
    ],
)
def test_thresholds(facts: dict[str, Any], id: str, values: dict[float, str]) -> None:
    for value, status in values.items():
        changed = {"storage": [{**DISK, "used_percent": value}], "login": Login(None, "", value, 1.0)}
        assert status_of({**facts, **changed}, id) == status


def test_what_the_server_tells_of_itself(facts: dict[str, Any]) -> None:
    frequent, rare = facts["answer"].frequent, facts["answer"].rare
    cases = {
        "blocked_sessions": ({"sessions": {**frequent["sessions"], "blocked": 5}}, {}),
        "idle_in_transaction": ({"sessions": {**frequent["sessions"], "idle_seconds": 300}}, {}),
        "slots": ({"slots": [{"name": "s", "active": False, "retained_bytes": 1 << 30, "wal_status": "reserved"}]}, {}),
        "replication": ({"recovering": True, "replica_lag_seconds": 31.0}, {}),
        "settings": ({}, {"pending_restart": ["shared_buffers"]}),
        "xid_age": ({}, {"xid_age": {"database": "app", "age": 450_000_000, "ratio": 0.21}}),
    }
    for id, (more, rarely) in cases.items():
        answer = Answer(None, "", {**frequent, **more}, {**rare, **rarely}, (), 1)
        assert status_of({**facts, "answer": answer}, id) == "warning", id
        assert status_of(facts, id) == "healthy", id


@pytest.mark.parametrize(
    "active, retained, wal_status, status, words",
    [
        (False, None, "reserved", "healthy", "the one that keeps most keeps 0 bytes of WAL"),
        (True, (1 << 30) - 1, "reserved", "healthy", ""),
        (True, 1 << 30, "extended", "warning", "the one that keeps most keeps 1 GB of WAL"),
        (True, (5 << 30) + 1, "extended", "critical", ""),
        (False, (5 << 30) + 1, "extended", "critical", "1 of them without a client"),
        (True, 5, "unreserved", "critical", "the WAL of slot s goes with one of the next checkpoints"),
        (False, None, "lost", "critical", "the WAL of slot s is lost"),
    ],
)
def test_slots(active: bool, retained: int | None, wal_status: str, status: str, words: str) -> None:
    found = slots([{"name": "s", "active": active, "retained_bytes": retained, "wal_status": wal_status}])
    assert (found.status, words in found.message) == (status, True), found


def test_a_failing_archiver(facts: dict[str, Any]) -> None:
    failing = {**facts, "archive_failing_since": facts["now"] - 60, "archive_waiting": [facts["now"] - 60]}
    snapshot, _checks = make(failing, Hysteresis())
    assert status_of(failing, "archiver") == "critical"
    assert snapshot["archiver"]["failing_since"] is not None
    assert snapshot["backup"]["repositories"][0]["lag_seconds"] == 60.0


def test_before_the_first_look_at_the_files_no_backup_is_missed(facts: dict[str, Any]) -> None:
    snapshot, _checks = make({**facts, "evidence": {"errors": {}}}, Hysteresis())
    assert snapshot["status"] == "healthy"
    assert snapshot["backup"]["newest"] is None


def test_events_are_the_newest_of_all_kinds(facts: dict[str, Any]) -> None:
    alert = {"at": "2026-11-24T05:00:00Z", "severity": "critical", "what": "The disk fills up"}
    evidence = {**facts["evidence"], "alerts": {"recent": [alert]}}
    known = [{"at": "2026-11-24T04:00:00Z", "kind": "restart", "severity": "critical", "text": "it crashed"}]
    found = events(known, evidence)
    assert [(each["kind"], each["severity"]) for each in found] == [
        ("alert", "critical"),
        ("restart", "critical"),
        ("drill", "info"),
        ("backup", "info"),
    ]
    assert len(events(known * 30, evidence)) == 20
