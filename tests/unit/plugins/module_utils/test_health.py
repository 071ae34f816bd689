# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Health is judged from recorded facts; each threshold of requirement E3 is met from both sides."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.pgkeep.postgres.plugins.module_utils._drill_turn import Proof
from ansible_collections.pgkeep.postgres.plugins.module_utils._health import Limits, answer, judge

from .recorded import changed, load


@pytest.fixture
def facts() -> Any:
    recorded = load("health/facts.json")
    return recorded | {"starts": 0, "drills": [Proof(1, "posix", recorded["now"] - 3600, 0)]}


def check(health: dict[str, Any], id: str) -> dict[str, Any]:
    return next(check for check in health["checks"] if check["id"] == id)


def test_a_healthy_instance(facts: Any) -> None:
    health = judge(facts)
    assert (health["status"], health["ready"], health["reasons"]) == ("healthy", True, [])
    assert {check["status"] for check in health["checks"]} == {"healthy"}
    assert {key: health[key] for key in ("instance", "time", "version", "role", "connect_ms", "response_ms")} == {
        "instance": "app-db",
        "time": "2026-11-21T22:58:29Z",
        "version": "17.12",
        "role": "primary",
        "connect_ms": 16.5,
        "response_ms": 0.13,
    }


@pytest.mark.parametrize(
    "path, id, values",
    [
        ("data.used_percent", "disk_data", {69.9: "healthy", 70: "warning", 85: "warning", 85.1: "critical"}),
        ("repository.inodes_percent", "disk_repository", {69: "healthy", 70: "warning", 86: "critical"}),
        ("starts", "restarts", {0: "healthy", 1: "warning", 2: "warning", 3: "critical"}),
        ("login.response_ms", "response_time", {99.9: "healthy", 100: "warning", 500: "warning", 500.1: "critical"}),
        ("login.connections.used", "connections", {27: "healthy", 28: "warning", 34: "critical"}),
        ("login.archiver.ready_count", "archiver", {9: "healthy", 10: "warning", 101: "critical"}),
        ("certificate.days_left", "certificate", {21: "healthy", 20.9: "warning", 7: "warning", 6.9: "critical"}),
    ],
)
def test_thresholds(facts: Any, path: str, id: str, values: dict[float, str]) -> None:
    found = {value: judge(changed(facts, path, value)) for value in values}
    assert {value: check(health, id)["status"] for value, health in found.items()} == values
    assert {value: health["status"] for value, health in found.items()} == values


@pytest.mark.parametrize(
    "days, status",
    [
        (((7.9, 0),), "healthy"),
        (((8, 0),), "warning"),
        (((None, 7.9),), "healthy"),
        (((None, 8),), "warning"),
        # Two are proven in turn, so each has twice the time.
        (((15.9, 0), (1, 0)), "healthy"),
        (((0, 0), (16, 0)), "warning"),
        (((0, 0), (None, 16)), "warning"),
    ],
)
def test_the_age_of_the_proof_of_each_repository(facts: Any, days: Any, status: str) -> None:
    def before(age: Any) -> Any:
        return None if age is None else facts["now"] - age * 86400

    proofs = [Proof(at, "s3", before(proven), before(declared)) for at, (proven, declared) in enumerate(days, 1)]
    health = judge(facts | {"drills": proofs})
    found = check(health, "drill")
    assert (found["status"], health["status"]) == (status, status)
    assert found["warn"] == 8 * len(days)
    assert ("drill --repository %d" % len(days) in found["hint"]) is (status == "warning")
    if days[-1][0] is None:
        assert "repository %d (s3) was never proven by a drill" % len(days) in found["message"]


@pytest.mark.parametrize("passed, status", [(True, "healthy"), (None, "healthy"), (False, "warning")])
def test_the_last_drill_warns_when_it_failed_however_young_the_proof_is(facts: Any, passed: Any, status: str) -> None:
    record = {"passed": passed, "started_at": "2026-11-24T03:00:00Z"}
    found = check(judge(facts | {"drill_record": record}), "drill")
    assert found["status"] == status
    assert ("the last drill, at 2026-11-24T03:00:00Z, failed" in found["message"]) is (status == "warning")
    assert bool(found["hint"]) is (status == "warning")


def test_drills_of_which_nothing_can_be_known(facts: Any) -> None:
    health = judge(facts | {"drills": None, "errors": {"drills": "keeper.json cannot be read"}})
    found = check(health, "drill")
    assert (found["status"], found["message"]) == ("unknown", "not measured: keeper.json cannot be read")


@pytest.mark.parametrize(
    "container, status, words",
    [
        ({"state": "exited", "exit_code": 137}, "critical", "the container is exited, exit code 137"),
        ({"state": "dead"}, "critical", "the container is dead"),
        ({"state": "restarting"}, "critical", "the container is restarting"),
        ({"health": "unhealthy"}, "critical", "the container is unhealthy"),
        ({"state": "paused", "health": "unhealthy"}, "warning", "the container is paused"),
        ({"health": "starting"}, "warning", "did not pass its health check yet"),
        ({"health": None}, "warning", "no health check"),
    ],
)
def test_container(facts: Any, container: dict[str, Any], status: str, words: str) -> None:
    health = judge(facts | {"container": facts["container"] | container})
    assert check(health, "container")["status"] == status == health["status"]
    assert words in health["reasons"][0]
    assert check(health, "container")["hint"]


def test_without_an_engine_nothing_is_healthy_by_default(facts: Any) -> None:
    errors = dict.fromkeys(
        ("container", "login", "data", "repository", "backup", "pooler"), "The Docker engine does not answer"
    )
    health = judge(
        facts
        | dict.fromkeys(("container", "login", "certificate", "starts", "data", "repository", "backup", "leftovers"))
        | {"off_site": [FAR | {"lag_seconds": None}], "drills": None}
        | {"errors": errors}
    )
    assert (health["status"], health["ready"], health["response_ms"]) == ("critical", False, None)
    assert {entry["id"]: entry["status"] for entry in health["checks"]} == {
        "container": "critical",
        "database": "critical",
        "backup": "critical",
        **dict.fromkeys(
            ("response_time", "connections", "restarts", "disk_data", "disk_repository", "archiver", "certificate"),
            "unknown",
        ),
        **dict.fromkeys(
            ("checksums", "off_site", "drill", "timelines", "leftovers", "pooler", "pools"),
            "unknown",
        ),
    }


# Recorded from psycopg2 2.9.13 against a server of ours.
ERRORS = {
    'connection to server at "127.0.0.1", port 15420 failed: FATAL: password authentication failed for user'
    ' "pgkeep_monitor"': "sets the password of pgkeep_monitor again",
    'connection to server at "127.0.0.1", port 15420 failed: SSL error: certificate verify failed': "renew",
    'connection to server at "127.0.0.1", port 15420 failed: Connection refused Is the server running on that host and'
    " accepting TCP/IP connections?": "nothing listens",
}


@pytest.mark.parametrize("error, hint", ERRORS.items(), ids=["password", "certificate", "refused"])
def test_no_login_is_critical_and_says_what_to_do(facts: Any, error: str, hint: str) -> None:
    health = judge(facts | {"login": None, "errors": {"login": error}})
    assert (health["status"], health["ready"]) == ("critical", False)
    assert health["reasons"] == ["database: " + error]
    assert hint in check(health, "database")["hint"]
    assert check(health, "archiver")["status"] == "unknown"


@pytest.mark.parametrize("age, status", [(60, "warning"), (301, "critical")])
def test_a_server_may_start_for_five_minutes(facts: Any, age: float, status: str) -> None:
    error = "connection failed: FATAL: the database system is starting up"
    health = judge(changed(facts, "container.started_age_seconds", age) | {"login": None, "errors": {"login": error}})
    assert (health["status"], health["ready"]) == (status, False)


def test_a_page_with_a_wrong_checksum_is_critical(facts: Any) -> None:
    assert check(judge(facts), "checksums")["status"] == "healthy"
    health = judge(changed(facts, "login.checksum_failures", 2))
    assert health["status"] == "critical"
    assert health["reasons"] == [
        "checksums: the server met pages with a wrong checksum 2 times: the disk or the memory damages data"
    ]


def test_failing_archiver_is_critical_however_few_segments_wait(facts: Any) -> None:
    archiver = facts["login"]["archiver"] | {
        "failing": True,
        "last_failed_wal": "000000010000000000000007",
        "ready_count": 1,
    }
    health = judge(changed(facts, "login.archiver", archiver))
    assert health["reasons"] == [
        "archiver: archiving worked last 8 min ago: 000000010000000000000007 failed, 1 segments wait"
    ]
    assert health["status"] == "critical"


def test_the_repositorys_own_words_explain_a_failure(facts: Any) -> None:
    failing = changed(facts, "login.archiver.failing", True)
    words = (
        "[104]: raised from local-1 protocol: unable to write '/var/lib/pgbackrest/archive': No space left on device"
    )
    assert judge(changed(failing, "backup.wal.error", words))["reasons"][0].endswith(words)


def test_the_cause_of_a_failure_and_its_cure_are_those_of_the_keeper(facts: Any) -> None:
    failing = changed(facts, "login.archiver.failing", True)
    failing["backup"]["wal"].update(error="words", cause="the disk is full: words", next_step="free space")
    health = judge(failing)
    assert health["reasons"][0].endswith("segments wait: the disk is full: words")
    assert check(health, "archiver")["hint"] == "free space"


def test_missing_wal_is_critical(facts: Any) -> None:
    health = judge(changed(facts, "backup.wal.missing", ["00000001000000000000000A"]))
    assert health["status"] == "critical"
    assert health["reasons"] == [
        "archiver: the repository misses WAL: 00000001000000000000000A; nothing after it can be recovered"
    ]
    assert check(health, "archiver")["hint"] == "run the playbook backup.yml"


def test_archiver_off_is_critical_and_a_standby_needs_none(facts: Any) -> None:
    off = changed(facts, "login.archiver.mode", "off")
    assert check(judge(off), "archiver")["status"] == "critical"
    assert check(judge(changed(off, "login.role", "standby")), "archiver")["status"] == "healthy"


@pytest.mark.parametrize("hours_ago, status", [(25.9, "healthy"), (26, "warning"), (50, "warning"), (50.1, "critical")])
def test_age_of_the_newest_clean_backup(facts: Any, hours_ago: float, status: str) -> None:
    # The recorded backup ended at 22:47:14 UTC.
    health = judge(facts | {"now": 1795301234 + hours_ago * 3600})
    assert check(health, "backup")["status"] == status
    assert check(health, "backup")["value"] == hours_ago


def test_a_backup_that_is_still_to_come_is_not_young(facts: Any) -> None:
    """The clock was set back."""
    assert check(judge(facts | {"now": 1795301234 - 300}), "backup")["status"] == "healthy"
    found = check(judge(facts | {"now": 1795301234 - 7200}), "backup")
    assert (found["status"], found["value"]) == ("critical", None)
    assert "2026-11-21T22:47:14Z is 2 h ahead: the clock was set back" in found["message"]


def test_a_backup_that_is_not_clean_does_not_count(facts: Any) -> None:
    health = judge(changed(changed(facts, "backup.newest_clean", None), "backup.status_text", "no valid backups"))
    assert health["reasons"] == ["backup: there is no clean backup (no valid backups)"]
    assert health["status"] == "critical"


def test_a_repository_that_cannot_be_read_says_so(facts: Any) -> None:
    backup = facts["backup"] | {"status": "error", "status_text": "a file may not be accessed", "newest_clean": None}
    health = judge(facts | {"backup": backup})
    assert health["reasons"] == ["backup: the backups cannot be judged: a file may not be accessed"]


def test_limits_can_be_set(facts: Any) -> None:
    assert judge(facts, Limits(backup_hours=(0.1, 0.15)))["status"] == "critical"
    assert judge(facts, Limits(certificate_days=(400, 7)))["status"] == "warning"


def test_a_refused_certificate_is_critical(facts: Any) -> None:
    health = judge(facts | {"certificate": {"days_left": None, "error": "certificate has expired"}})
    assert health["reasons"] == ["certificate: applications refuse it: certificate has expired"]


@pytest.mark.parametrize(
    "status, fail_on, fails",
    [
        ("healthy", "warning", False),
        ("warning", "warning", True),
        ("warning", "critical", False),
        ("critical", "critical", True),
        ("critical", "warning", True),
        ("critical", "never", False),
    ],
)
def test_failing_is_asked_for(facts: Any, status: str, fail_on: str, fails: bool) -> None:
    percent = {"healthy": 10, "warning": 75, "critical": 95}[status]
    result = answer(judge(changed(facts, "data.used_percent", percent)), fail_on)
    assert result["health"]["status"] == status
    assert result["changed"] is False
    assert result.get("failed", False) is fails


def test_the_failure_is_one_message(facts: Any) -> None:
    result = answer(judge(changed(facts, "data.used_percent", 95.5)), "critical")
    assert result["msg"] == (
        "The instance app-db is critical. Why: disk_data: 95.5 % of the space are used, 69.6 GB free below"
        " /var/lib/docker/volumes/app-db-data/_data. Next: free space or extend the disk."
    )
    assert result["error"]["next_step"] == "free space or extend the disk"


def test_the_failure_says_what_to_do_about_a_cause_that_only_warns(facts: Any) -> None:
    paused = facts | {"container": facts["container"] | {"state": "paused"}, "login": None, "certificate": None}
    result = answer(judge(paused | {"errors": {"login": "not tried: the container does not run"}}), "critical")
    assert result["error"]["next_step"] == "docker unpause app-db"


FAR = {"number": 2, "type": "s3", "begun": True, "lag_seconds": 0.0, "failing_seconds": None, "error": None}


@pytest.mark.parametrize(
    "told, status",
    [
        ({}, "healthy"),
        ({"lag_seconds": 899.0}, "healthy"),
        ({"lag_seconds": 900.0}, "warning"),
        ({"lag_seconds": 86401.0}, "critical"),
        ({"failing_seconds": 10.0, "error": "no route to host"}, "warning"),
        ({"failing_seconds": 86401.0, "error": "no route to host"}, "critical"),
        ({"begun": False, "lag_seconds": None}, "warning"),
    ],
)
def test_an_off_site_repository(facts: Any, told: dict[str, Any], status: str) -> None:
    found = check(judge(changed(facts, "off_site", [FAR | told])), "off_site")
    assert found["status"] == status
    assert (told.get("error") or "repository 2 (s3)") in found["message"]


def test_a_timeline_of_another_server_warns(facts: Any) -> None:
    found = check(judge(changed(facts, "backup.warnings", ["the archive has the timeline 9"])), "timelines")
    assert (found["status"], found["message"]) == ("warning", "the archive has the timeline 9")


def test_what_a_killed_operation_left_warns(facts: Any) -> None:
    found = check(judge(changed(facts, "leftovers", ["app-db-restore"])), "leftovers")
    assert (found["status"], found["value"]) == ("warning", 1)
    assert "app-db-restore" in found["message"]
    assert found["hint"] == "run the playbook deploy.yml, which removes them"
