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

LABEL = "20261121-225358F"


@pytest.fixture
def state(tmp_path, monkeypatch):
    monkeypatch.setattr(records, "UID", os.getuid())
    monkeypatch.setattr(records, "GID", os.getgid())
    return str(tmp_path)


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


def test_only_a_passed_drill_of_that_backup_is_a_proof(state):
    assert records.newest_passed(state, LABEL) is None
    for label, passed, started_at in (
        (LABEL, True, "2026-11-21T20:00:00Z"),
        (LABEL, False, "2026-11-21T21:00:00Z"),
        ("20261122-225358F", True, "2026-11-21T22:00:00Z"),
    ):
        records.save(state, records.Drill("orders", label, passed=passed, started_at=started_at))
    found = records.newest_passed(state, LABEL)
    assert found is not None
    assert found["started_at"] == "2026-11-21T20:00:00Z"
    assert set(found) == set(records.Drill("orders", LABEL).to_result())


def test_a_proof_is_of_one_repository(state):
    for repository, passed, started_at in ((2, True, "2026-11-21T20:00:00Z"), (1, False, "2026-11-22T20:00:00Z")):
        drill = records.Drill("orders", LABEL, repository=repository, passed=passed, started_at=started_at)
        records.save(state, drill)
    assert records.newest_passed(state, LABEL) is None
    assert records.newest_passed(state, LABEL, 2)["started_at"] == "2026-11-21T20:00:00Z"
    kept = {number: records.summary(state, number) for number in (1, 2)}
    assert (kept[1]["last_passed_at"], kept[1]["last_failed_at"]) == (None, "2026-11-22T20:00:00Z")
    assert (kept[2]["last_passed_at"], kept[2]["last_failed_at"]) == ("2026-11-21T20:00:00Z", None)


def test_a_failure_names_a_repository_that_is_not_the_first():
    error = records.DrillError(records.Drill("orders", LABEL, repository=2), "rows: too few", "compare them")
    assert error.what == "The drill of orders with backup %s of repository 2 failed" % LABEL


def test_a_record_that_cannot_be_read_is_passed_over(state, tmp_path):
    records.save(state, records.Drill("orders", LABEL, passed=True, started_at="2026-11-21T20:00:00Z"))
    (tmp_path / "drills" / "99999999T000000.000000Z.json").write_text("{")
    assert records.newest_passed(state, LABEL) is not None


def test_old_records_go(state, tmp_path, monkeypatch):
    monkeypatch.setattr(records, "KEEP", 2)
    for number in range(4):
        records.save(state, records.Drill("orders", LABEL, rows=number))
    left = sorted((tmp_path / "drills").iterdir())
    assert [json.loads(path.read_text())["rows"] for path in left] == [2, 3]


@pytest.mark.parametrize(
    "started_at, seconds, fresh",
    [
        ("2026-11-21T20:00:00Z", 3599, False),
        ("2026-11-21T20:00:00Z", 3601, True),
        # Noted before the clock was set back.
        ("2026-11-22T20:00:00Z", 3601, False),
    ],
)
def test_how_young_a_proof_is(started_at, seconds, fresh):
    now = datetime(2026, 11, 21, 21, 0, 0, tzinfo=timezone.utc)
    assert records.is_fresh({"started_at": started_at}, seconds, now) is fresh


def saved(state, *drills):
    """Oldest first: (passed, where, started_at, rto)."""
    for passed, where, started_at, rto in drills:
        records.save(
            state, records.Drill("orders", LABEL, where, passed=passed, started_at=started_at, rto_seconds=rto)
        )


def test_the_summary_is_of_the_newest_of_each_kind(state):
    assert set(records.summary(state).values()) == {None}
    saved(
        state,
        (True, "host", "2026-11-21T20:00:00Z", 1.0),
        (False, "host", "2026-11-22T20:00:00Z", 9.0),
        (True, "keeper", "2026-11-23T20:00:00Z", 3.0),
    )
    assert records.summary(state) == {
        "last_passed_at": "2026-11-23T20:00:00Z",
        "last_failed_at": "2026-11-22T20:00:00Z",
        "last_rto_seconds": 3.0,
        "last_rpo_seconds": None,
    }


def test_the_trend_compares_drills_of_one_place(state):
    times = [(True, "keeper", 10.0), (True, "keeper", 12.0), (False, "keeper", 999.0), (True, "host", 2.0)]
    times += [(True, "keeper", 11.0), (True, "keeper", 20.0), (True, "keeper", 99.0), (True, "keeper", 22.0)]
    saved(state, *((passed, where, "2026-11-21T20:00:00Z", rto) for passed, where, rto in times))
    assert records.trend(list(records.records(state))) == {
        "keeper": {"drills": 6, "oldest_rto_seconds": 11.0, "newest_rto_seconds": 22.0, "growth_percent": 100.0}
    }


def test_the_trend_tells_repositories_apart():
    times = ((1, 2.0), (2, 30.0), (1, 2.0), (2, 20.0))
    found = [{"passed": True, "where": "keeper", "repository": each, "rto_seconds": rto} for each, rto in times]
    assert {key: trend["growth_percent"] for key, trend in records.trend(found).items()} == {
        "keeper": 0.0,
        "keeper-2": 50.0,
    }


def test_a_record_of_an_earlier_release_counts_as_one_on_the_host():
    assert records.trend([{"passed": True, "rto_seconds": 4.0}, {"passed": True, "rto_seconds": 2.0}]) == {
        "host": {"drills": 2, "oldest_rto_seconds": 2.0, "newest_rto_seconds": 4.0, "growth_percent": 100.0}
    }


def test_a_record_becomes_the_object_again():
    drill = records.Drill("orders", LABEL, "keeper", passed=False)
    drill.check("rows", lambda: (False, "too few"))
    assert records.Drill.from_result(drill.to_result()) == drill.__class__(**{**vars(drill), "condemned": False})
