# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the launch gate says of copies elsewhere, of the schedule and of the alerts."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.pgkeep.postgres.plugins.module_utils import _audit as audit
from ansible_collections.pgkeep.postgres.plugins.module_utils._errors import PgkeepError
from ansible_collections.pgkeep.postgres.plugins.module_utils._facts import alerts
from ansible_collections.pgkeep.postgres.plugins.module_utils._layout import Layout
from ansible_collections.pgkeep.postgres.plugins.module_utils._preflight import judge
from ansible_collections.pgkeep.postgres.plugins.module_utils._run import run

from .recorded import changed, load

GOOD = load("preflight/after.json")


def finding(facts: dict[str, Any], id: str) -> dict[str, Any]:
    return next(check for check in judge(facts, "after", {})["checks"] if check["id"] == id)


SECOND = {"number": 2, "type": "s3", "status": "ok", "status_text": "ok", "newest_clean": "F", "error": None}


@pytest.mark.parametrize(
    "told, result, severity",
    [
        ({"wal_lag_seconds": 30}, "pass", "critical"),
        ({"wal_lag_seconds": 901}, "fail", "warning"),
        ({"wal_lag_seconds": 86401}, "fail", "critical"),
        ({"wal_lag_seconds": 0, "status": "error", "status_text": "no route"}, "fail", "warning"),
        ({"wal_lag_seconds": 0, "newest_clean": None}, "fail", "critical"),
    ],
)
def test_a_declared_repository_counts_by_what_is_in_it(told: dict[str, Any], result: str, severity: str) -> None:
    facts = changed(GOOD, "repository.repo2-type", "s3")
    found = finding(changed(facts, "backup.repositories", [{"number": 1}, SECOND | told]), "B05")
    assert (found["result"], found["severity"]) == (result, severity)
    assert "repo2 (s3): " in found["evidence"]


@pytest.mark.parametrize(
    "told, result, severity",
    [
        ({}, "pass", "blocker"),
        ({"proven_at": GOOD["backup"]["backups"][-1]["stopped_at"]}, "pass", "blocker"),
        ({"proven_at": None}, "fail", "warning"),
        ({"proven_at": "2026-01-01T00:00:00Z"}, "fail", "warning"),
    ],
)
def test_each_repository_has_to_be_proven(told: dict[str, Any], result: str, severity: str) -> None:
    found = finding(changed(GOOD, "backup.repositories", [{"number": 1}, SECOND | told]), "B03")
    assert (found["result"], found["severity"]) == (result, severity)
    assert ("no drill proved repository 2 (s3) lately" in found["evidence"]) is (result == "fail")


def test_keys_of_the_control_node() -> None:
    found = finding(GOOD, "B12")
    assert (found["result"], found["evidence"]) == ("pass", "repository.passphrase")
    assert finding(changed(GOOD, "declared.keys", None), "B12")["result"] == "skip"
    assert finding(changed(GOOD, "keys", {}), "B12")["evidence"] == "this host holds no key yet"


def test_a_timeline_of_another_server_warns() -> None:
    found = finding(changed(GOOD, "backup.warnings", ["the archive has the timeline 9"]), "B04")
    assert (found["result"], found["severity"], found["evidence"]) == (
        "fail",
        "warning",
        "the archive has the timeline 9",
    )


@pytest.mark.parametrize(
    "runner, names, result, severity",
    [
        ("keeper", ["full", "incr"], "pass", "critical"),
        ("systemd", ["incr"], "fail", "critical"),
        ("keeper", [], "fail", "critical"),
        ("none", ["full"], "fail", "warning"),
    ],
)
def test_backups_have_a_schedule(runner: str, names: list[str], result: str, severity: str) -> None:
    jobs = [{"name": name, "next_at": "2026-11-22T02:00:00Z"} for name in names]
    found = finding(changed(GOOD, "backup.schedule", {"runner": runner, "jobs": jobs}), "B08")
    assert (found["result"], found["severity"]) == (result, severity)


def test_the_proof_of_the_alerts_is_in_the_audit_trail(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("state_dir", "keeper_config_dir"):
        monkeypatch.setattr(Layout, name, str(tmp_path))
    monkeypatch.setattr(audit, "UID", os.getuid())
    monkeypatch.setattr(audit, "GID", os.getgid())
    assert alerts(run, Layout("app")) == {"receivers": [], "deadman": None, "proven_at": None}
    topic = {"host": "h", "webhooks": [{"name": "ops", "url_file": "url"}]}
    (tmp_path / "keeper.json").write_text(json.dumps({"alerts": topic}))
    (tmp_path / "url").write_text("https://ops.example.com/x")
    with pytest.raises(PgkeepError), audit.recorded(str(tmp_path), "alert-test", "host:anna"):
        raise PgkeepError("It did not arrive")
    assert alerts(run, Layout("app"))["proven_at"] is None
    with audit.recorded(str(tmp_path), "alert-test", "host:anna"):
        pass
    found = alerts(run, Layout("app"))
    assert (found["receivers"], found["proven_at"][:2]) == (["ops"], "20")
