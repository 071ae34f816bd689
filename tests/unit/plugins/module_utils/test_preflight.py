# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Verdict, waivers, message and report follow from the findings."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.pgkeep.postgres.plugins.module_utils._checks import check_waivers, summary, verdict
from ansible_collections.pgkeep.postgres.plugins.module_utils._errors import PgkeepError
from ansible_collections.pgkeep.postgres.plugins.module_utils._preflight import CHECKS, answer, declared, judge
from ansible_collections.pgkeep.postgres.plugins.module_utils._report import markdown, write
from ansible_collections.pgkeep.postgres.plugins.module_utils._tune import tune

from .recorded import changed, load

GOOD = load("preflight/after.json")
BEFORE = load("preflight/before.json")
PARAMS: dict[str, Any] = {
    "name": "app-db", "memory": None, "cpus": None, "port": None, "bind_address": "127.0.0.1", "major": None,
    "profile": "web", "disk": "ssd", "connections": 0, "settings": None, "users": [], "databases": [], "init_sql": [],
    "keys": None, "neighbours": [], "memory_overcommit": 1.0, "cpu_overcommit": 4.0, "restart_window": "",
}  # fmt: skip


def found(result: str, severity: str = "blocker") -> dict[str, Any]:
    return {"result": result, "severity": severity}


@pytest.mark.parametrize(
    "findings, expected",
    [
        ([found("pass")], "READY"),
        ([found("pass"), found("fail", "blocker")], "NOT_READY"),
        ([found("fail", "critical"), found("fail", "warning")], "NOT_READY"),
        ([found("pass"), found("fail", "warning")], "READY_WITH_WARNINGS"),
        ([found("pass"), found("waived", "blocker")], "READY_WITH_WARNINGS"),
        ([found("pass"), found("skip", "critical")], "READY_WITH_WARNINGS"),
    ],
)
def test_verdict(findings: list[dict[str, Any]], expected: str) -> None:
    assert verdict(findings) == expected


def test_summary() -> None:
    findings = [found("pass"), found("fail", "warning"), found("fail"), found("skip"), found("waived"), found("pass")]
    assert summary(findings) == {"pass": 2, "warn": 1, "fail": 1, "skip": 1, "waived": 1}


@pytest.mark.parametrize("until", [None, "2026-11-21", "2027-01-31"])
def test_a_waiver_accepts_one_failure_until_its_day(until: Any) -> None:
    result = judge(GOOD, "after", {"B05": {"reason": "the bucket is ordered", "until": until}})
    waived = next(check for check in result["checks"] if check["id"] == "B05")
    assert (waived["result"], waived["waiver"]) == ("waived", "the bucket is ordered")
    assert (result["verdict"], result["summary"]["waived"]) == ("READY_WITH_WARNINGS", 1)


def test_a_waiver_ends() -> None:
    result = judge(GOOD, "after", {"B05": {"reason": "the bucket is ordered", "until": date(2026, 11, 20)}})
    assert result["verdict"] == "NOT_READY"
    failed = next(check for check in result["checks"] if check["id"] == "B05")
    assert failed["evidence"].endswith("; the waiver ended on 2026-11-20")


def test_a_waiver_never_makes_a_skip_or_a_pass_of_anything() -> None:
    plain, waived = (
        judge(GOOD, "after", waivers)["checks"] for waivers in ({}, {"C12": {"reason": "x"}, "P01": {"reason": "x"}})
    )
    assert plain == waived


@pytest.mark.parametrize(
    "waivers, what",
    [
        ({"B99": {"reason": "x"}}, "There is no check B99 to waive"),
        ({"B05": {}}, "The waiver of B05 is not accepted"),
        ({"B05": {"reason": "  "}}, "The waiver of B05 is not accepted"),
        ({"B05": "because"}, "The waiver of B05 is not accepted"),
        ({"B05": {"reason": "x", "until": "soon"}}, "The waiver of B05 is not accepted"),
    ],
)
def test_bad_waivers(waivers: dict[str, Any], what: str) -> None:
    with pytest.raises(PgkeepError) as caught:
        check_waivers(waivers, CHECKS)
    assert caught.value.what == what
    assert caught.value.why
    assert caught.value.next_step


def test_all_failures_are_one_message() -> None:
    facts = changed(changed(GOOD, "sql.settings.fsync.setting", "off"), "container.inspect.HostConfig.Privileged", True)
    facts["container"]["inspect"]["HostConfig"]["RestartPolicy"]["Name"] = "no"
    result = answer(judge(facts, "after", {"B05": {"reason": "x"}}), True)
    assert result["failed"] is True
    assert result["msg"] == (
        "The instance app-db is not ready: 3 checks failed. Why: C02 (The container restarts by itself) restart policy"
        " no; C08 (The container has no rights it does not need) privileged; P01 (What is committed is on the disk)"
        " fsync=off, full_page_writes=on, synchronous_commit=on, wal_sync_method=fdatasync. Next: C02, C08: run the"
        " playbook deploy.yml; P01: remove these settings."
    )
    assert result["error"]["what"] == "The instance app-db is not ready: 3 checks failed"
    assert result["preflight"]["summary"]["fail"] == 3


def test_without_enforce_nothing_fails() -> None:
    result = answer(judge(GOOD, "after", {}), False)
    assert result["preflight"]["verdict"] == "NOT_READY"
    assert "failed" not in result


def test_warnings_do_not_fail() -> None:
    result = answer(judge(changed(BEFORE, "host.system.id", "ubuntu"), "before", {}), True)
    assert result["preflight"]["verdict"] == "READY_WITH_WARNINGS"
    assert "failed" not in result


def test_what_is_declared() -> None:
    limits = {"memory": "1GB", "cpus": 2.0, "major": 16, "profile": "dw", "disk": "hdd", "connections": 20}
    tuned = tune("1GB", cpus=2, pg_major=16, profile="dw", disk="hdd", connections=20)
    values = declared(PARAMS | limits | {"settings": {"max_connections": 50}})
    assert values["memory_bytes"] == 1073741824
    assert values["settings"] == {**tuned["settings"], "max_connections": 50}
    assert declared(PARAMS)["memory_bytes"] is None
    assert declared(PARAMS)["settings"] == {}
    assert declared(PARAMS | {"bind_address": "[0:0::1]"})["wants"]["addresses"]["postgres_server_port"] == "::1"


@pytest.mark.parametrize(
    "option, value, words",
    [
        ("memory", "lots", "cannot be read"),
        ("memory", "64MB", "too small.*more than.*give the instance at least"),
        ("connections", 5, "number of connections.*raise it"),
        ("major", 13, "PostgreSQL 13 is not supported.*knows the majors 14, 15, 16, 17, 18.*declare one"),
        ("port", 99999, "port 99999.*1 to 65535.*correct postgres_server_port"),
        ("port", 0, "port 0.*1 to 65535"),
        ("bind_address", "300.1.1.1", "300.1.1.1.*postgres_server_bind_address"),
        ("restart_window", "Sunday", "maintenance window 'Sunday' cannot be used"),
        ("neighbours", [{"name": "wiki-db", "memory": "64MB"}], "wiki-db cannot be counted.*64 MB is too small"),
        ("users", [{"name": "a%b"}], "a%b.*percent signs.*correct postgres_server_users"),
        ("databases", [{"name": "shop", "owner": "nobody"}], "owner nobody.*postgres_server_users"),
        ("init_sql", [{"database": "a", "file": "x/i.sql"}, {"database": "a", "file": "y/i.sql"}], "cannot be told"),
    ],
)
def test_what_cannot_be_declared(option: str, value: Any, words: str) -> None:
    with pytest.raises(PgkeepError, match=words):
        declared(PARAMS | {"memory": "1GB"} | {option: value})


def test_report(tmp_path: Path) -> None:
    folder = tmp_path / "reports" / "app-db"
    result = judge(changed(GOOD, "sql.hba.0.error", "a | b\n<script>"), "after", {"B05": {"reason": "ordered"}})
    write(str(folder), result)
    write(str(folder), result)
    assert sorted(path.name for path in folder.iterdir()) == ["preflight.json", "preflight.md"]
    assert json.loads((folder / "preflight.json").read_text()) == result
    text = (folder / "preflight.md").read_text()
    assert text.startswith("# app-db: NOT_READY\n\nPhase after, 2026-11-21T")
    assert text.index("## fail") < text.index("## waived") < text.index("## skip") < text.index("## pass")
    assert "| B05 | critical | A copy is on another host | repositories: repo1 (posix) | waived: ordered |" in text
    # Words of the server cannot end a cell or become markup.
    assert "a \\| b \\<script\\>" in text


def test_report_without_failures_has_no_such_table() -> None:
    text = markdown(judge(BEFORE, "before", {}))
    assert text.startswith("# app-db: READY\n")
    assert "## fail" not in text


def test_a_report_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(PgkeepError, match="The report cannot be written"):
        write(str(tmp_path / "file"), judge(BEFORE, "before", {}))
