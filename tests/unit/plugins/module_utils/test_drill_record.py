# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json
import os
from datetime import datetime, timezone

import pytest
from ansible_collections.pgkeep.postgres.plugins.module_utils import _drill_record as records
from ansible_collections.pgkeep.postgres.plugins.module_utils._damage import DamagedBackup
from ansible_collections.pgkeep.postgres.plugins.module_utils._errors import PgkeepError
from ansible_collections.pgkeep.postgres.plugins.module_utils._interrupt import Interrupted
from ansible_collections.pgkeep.postgres.plugins.module_utils._layout import Layout

LABEL = "20261121-225358F"


@pytest.fixture
def layout(tmp_path, monkeypatch):
    monkeypatch.setattr(Layout, "state_dir", property(lambda self: str(tmp_path)))
    monkeypatch.setattr(records, "UID", os.getuid())
    monkeypatch.setattr(records, "GID", os.getgid())
    return Layout("orders")


def failing(error):
    def proof():
        raise error

    return proof


def test_a_proof_that_raises_has_failed_and_knows_what_to_do():
    drill = records.Drill("orders", LABEL)
    assert drill.check("archive", lambda: (True, "it arrived"))
    assert not drill.check("recovery", failing(PgkeepError("It broke", "no space", "free some")))
    assert [(check.id, check.passed, check.detail) for check in drill.checks] == [
        ("archive", True, "it arrived"),
        ("recovery", False, "It broke: no space"),
    ]
    assert [check.id for check in drill.failed()] == ["recovery"]
    assert drill.next_steps == {"recovery": "free some"}
    assert "next_steps" not in drill.to_result()


@pytest.mark.parametrize(
    ("identity", "proof", "condemned"),
    [
        ("recovery", failing(PgkeepError("No space", "the disk is full")), False),
        ("recovery", failing(DamagedBackup("It broke", "invalid checksum")), True),
        ("amcheck", failing(PgkeepError("It took too long")), False),
        ("amcheck", lambda: (False, "an index misses a row"), True),
        ("rows", lambda: (False, "too few"), True),
        ("canary", lambda: (False, "not there"), False),
        ("checksums", lambda: (True, "0 pages"), False),
    ],
)
def test_only_what_is_about_the_backup_condemns_it(identity, proof, condemned):
    drill = records.Drill("orders", LABEL)
    drill.check(identity, proof)
    drill.check("later", lambda: (True, "fine"))
    assert drill.condemned == condemned


def test_an_interrupted_proof_says_nothing_about_the_backup():
    drill = records.Drill("orders", LABEL)
    with pytest.raises(Interrupted):
        drill.check("recovery", failing(Interrupted("stopped")))
    assert drill.checks == []


def test_the_error_is_in_the_object():
    drill = records.Drill("orders", LABEL, passed=False)
    error = records.DrillError(drill, "rows: too few", "compare them")
    assert str(error) == "The drill of orders with backup %s failed. Why: rows: too few. Next: compare them." % LABEL
    assert drill.to_result()["error"] == error.to_result()


def test_only_a_passed_drill_of_that_backup_is_a_proof(layout):
    assert records.newest_passed(layout, LABEL) is None
    for label, passed, started_at in (
        (LABEL, True, "2026-11-21T20:00:00Z"),
        (LABEL, False, "2026-11-21T21:00:00Z"),
        ("20261122-225358F", True, "2026-11-21T22:00:00Z"),
    ):
        records.save(layout, records.Drill("orders", label, passed=passed, started_at=started_at))
    found = records.newest_passed(layout, LABEL)
    assert found is not None
    assert found["started_at"] == "2026-11-21T20:00:00Z"
    assert set(found) == set(records.Drill("orders", LABEL).to_result())


def test_a_record_that_cannot_be_read_is_passed_over(layout, tmp_path):
    records.save(layout, records.Drill("orders", LABEL, passed=True, started_at="2026-11-21T20:00:00Z"))
    (tmp_path / "drills" / "99999999T000000.000000Z.json").write_text("{")
    assert records.newest_passed(layout, LABEL) is not None


def test_old_records_go(layout, tmp_path, monkeypatch):
    monkeypatch.setattr(records, "KEEP", 2)
    for number in range(4):
        records.save(layout, records.Drill("orders", LABEL, rows=number))
    left = sorted((tmp_path / "drills").iterdir())
    assert [json.loads(path.read_text())["rows"] for path in left] == [2, 3]


@pytest.mark.parametrize("seconds,fresh", [(3599, False), (3601, True)])
def test_how_young_a_proof_is(seconds, fresh):
    now = datetime(2026, 11, 21, 21, 0, 0, tzinfo=timezone.utc)
    assert records.is_fresh({"started_at": "2026-11-21T20:00:00Z"}, seconds, now) is fresh
