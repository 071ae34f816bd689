# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What also passes, what is skipped, what only a restart shows; the registry of checks and its page of the manual."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.pgkeep.postgres.plugins.module_utils._checklist import STEPS, checklist
from ansible_collections.pgkeep.postgres.plugins.module_utils._preflight import CHECKS, judge

from .preflight_bad import BAD, BAD_RESTART, GOOD, GOOD_TOO, RESTART, SKIPPED
from .recorded import changed

PAGE = Path(__file__).parents[4] / "docs/launch-gate.md"


def finding(facts: dict[str, Any], id: str) -> dict[str, Any]:
    return next(check for check in judge(facts, "after", {})["checks"] if check["id"] == id)


@pytest.mark.parametrize("id, path, value", GOOD_TOO)
def test_what_also_passes(id: str, path: str, value: Any) -> None:
    found = finding(changed(GOOD, path, value), id)
    assert found["result"] == "pass", found["evidence"]


@pytest.mark.parametrize("id, path, value, words", SKIPPED)
def test_what_cannot_be_looked_at_is_skipped(id: str, path: str, value: Any, words: str) -> None:
    found = finding(changed(GOOD, path, value), id)
    assert found["result"] == "skip"
    assert words in found["evidence"]


@pytest.mark.parametrize("id, part, words", BAD_RESTART)
def test_what_a_restart_shows(id: str, part: dict[str, Any], words: str) -> None:
    assert finding(GOOD | {"restart_test": RESTART}, id)["result"] == "pass"
    found = finding(GOOD | {"restart_test": RESTART | part}, id)
    assert found["result"] == "fail"
    assert words in found["evidence"]


def test_a_restart_that_failed_is_told_once() -> None:
    found = finding(GOOD | {"restart_test": {"error": "it did not come back"}}, "K05")
    assert found["evidence"] == "the restart failed, see C12"


def test_what_older_servers_do_not_know_is_not_missed() -> None:
    facts = changed(GOOD, "sql.major", 15)
    del facts["sql"]["settings"]["reserved_connections"]
    assert finding(facts, "P10")["evidence"] == "superuser_reserved_connections=3"
    assert finding(facts, "P09")["result"] == "pass"


def test_many_connections_are_a_warning_and_too_many_pools_a_blocker() -> None:
    many = finding(changed(GOOD, "sql.settings.max_connections.setting", "501"), "P09")
    assert (many["result"], many["severity"]) == ("fail", "warning")
    pools = {"connections": 600, "clients": 500, "open_files": 1048576}
    assert finding(changed(GOOD, "pools", pools), "P09")["severity"] == "blocker"


def test_nobody_goes_live_whom_no_alert_reaches() -> None:
    for path, value in (("alerts.receivers", []), ("alerts.proven_at", None)):
        result = judge(changed(GOOD, path, value), "after", {"B05": {"reason": "x"}})
        assert result["verdict"] == "NOT_READY"
        assert [each["id"] for each in result["checks"] if each["result"] == "fail"] == ["M04"]


def test_a_time_zone_of_the_inventory_is_as_wanted() -> None:
    facts = changed(GOOD, "declared.settings", {"timezone": "Europe/Berlin"})
    assert finding(facts, "P14")["evidence"] == "TimeZone is UTC and not Europe/Berlin"
    facts["sql"]["settings"]["TimeZone"]["setting"] = "Europe/Berlin"
    assert finding(facts, "P14")["result"] == "pass"


def test_a_role_with_a_timeout_of_its_own_is_not_endless() -> None:
    facts = changed(GOOD, "sql.timeouts", {"idle_in_transaction_session_timeout": "10min"})
    assert finding(facts, "P08")["result"] == "fail"
    for role in facts["sql"]["rights"]:
        role["settings"] = ["statement_timeout"]
    assert finding(facts, "P08")["result"] == "pass"


def test_every_fix_of_the_new_checks_can_be_waived() -> None:
    for id, path, value, _words in BAD:
        result = judge(changed(GOOD, path, value), "after", {id: {"reason": "known", "until": "2099-01-31"}})
        waived = next(check for check in result["checks"] if check["id"] == id)
        assert (waived["result"], waived["waiver"], waived["waived_until"]) == ("waived", "known", "2099-01-31")


def test_the_list_before_going_live() -> None:
    ids = {check.id for _area, check in CHECKS}
    assert {id for _step, checks in STEPS for id in checks} <= ids
    steps = {step["step"]: step["done"] for step in judge(GOOD, "after", {})["checklist"]}
    assert steps == {step: step not in ("Backups have a schedule", "A restart is simulated") for step, _ids in STEPS}
    results = dict.fromkeys(ids, "pass") | {"M04": "waived", "B03": "fail"}
    steps = {
        step["step"]: step["done"] for step in checklist([{"id": id, "result": word} for id, word in results.items()])
    }
    assert [step for step, done in steps.items() if not done] == ["A restore is tested"]


def test_the_manual_lists_every_check_and_no_other() -> None:
    rows = re.findall(r"^\| ([A-Z]\d\d) \| (\w+) \| (.+?) \| (.+?) \| (.+?) \|$", PAGE.read_text(), re.MULTILINE)
    assert all(what for _id, _severity, _title, what, _fix in rows)
    told = [(id, severity, title, fix) for id, severity, title, _what, fix in rows]
    assert told == [(check.id, check.severity, check.title, check.fix) for _area, check in CHECKS]
