# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""States that nobody ran a job for: when they count, when they are told, when they are over."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from datetime import datetime

import pytest
from ansible_collections.pgkeep.postgres.plugins.module_utils import _deadman as deadman
from ansible_collections.pgkeep.postgres.plugins.module_utils import _watch as watch
from ansible_collections.pgkeep.postgres.plugins.module_utils import _watch_duty as duty
from ansible_collections.pgkeep.postgres.plugins.module_utils._alert_config import Thresholds, split
from ansible_collections.pgkeep.postgres.plugins.module_utils._alert_send import Undelivered
from ansible_collections.pgkeep.postgres.plugins.module_utils._backup_repository import Keeper
from ansible_collections.pgkeep.postgres.plugins.module_utils._backup_server import Archiver
from ansible_collections.pgkeep.postgres.plugins.module_utils._drill_turn import Proof
from ansible_collections.pgkeep.postgres.plugins.module_utils._errors import PgkeepError
from ansible_collections.pgkeep.postgres.plugins.module_utils._maintenance import Maintenance
from ansible_collections.pgkeep.postgres.plugins.module_utils._schedule import parse

HOUR, DAY = 3600.0, 86400.0
MONDAY = datetime.fromisoformat("2026-11-23T12:00:00+00:00").timestamp()
JOBS = {"full": "0 2 * * 0", "diff": "0 2 * * 1-6", "drill": "0 3 * * *"}
LIMITS = Thresholds()


def schedule(jobs=None, runner="keeper"):
    return parse("orders", {"runner": runner, "jobs": JOBS if jobs is None else jobs})


def facts(**changes):
    """A Monday noon at which all is well."""
    well = watch.Facts(
        now=MONDAY,
        since=MONDAY - 30 * DAY,
        wanted=schedule(),
        disks={"repository": 50.0, "data": 50.0},
        started={"full": MONDAY - DAY - 10 * HOUR, "diff": MONDAY - 10 * HOUR, "drill": MONDAY - 9 * HOUR},
        clean_at=MONDAY - 10 * HOUR,
        proofs=(Proof(1, "posix", MONDAY - 9 * HOUR, 0),),
    )
    return replace(well, **changes)


def keys(active=frozenset(), **changes):
    return [trouble.key for trouble in watch.troubles("orders", facts(**changes), LIMITS, active)]


@pytest.mark.parametrize(
    "changes, expected",
    [
        ({}, []),
        ({"server_error": "refused"}, ["server"]),
        ({"archiver_since": MONDAY - 299}, []),
        ({"archiver_since": MONDAY - 300}, ["archiver"]),
        ({"disks": {"repository": 85.0, "data": 85.1}}, ["disk-data"]),
        ({"clean_at": MONDAY - 35.9 * HOUR}, []),
        ({"clean_at": MONDAY - 36.1 * HOUR}, ["backup-age"]),
        ({"clean_at": None}, ["backup-age"]),
        ({"clean_at": None, "since": MONDAY - HOUR}, []),
        ({"proofs": (Proof(1, "posix", MONDAY - 35 * HOUR, 0),)}, []),
        ({"proofs": (Proof(1, "posix", MONDAY - 37 * HOUR, 0),)}, ["drill-age"]),
        ({"proofs": (Proof(1, "posix", None, 0),), "since": MONDAY - 37 * HOUR}, ["drill-age"]),
        ({"proofs": (Proof(1, "posix", None, MONDAY - HOUR),)}, []),
        # Two are proven in turn, so each has twice the time.
        ({"proofs": (Proof(1, "posix", MONDAY - 37 * HOUR, 0), Proof(2, "s3", MONDAY - 71 * HOUR, 0))}, []),
        ({"proofs": (Proof(1, "posix", MONDAY, 0), Proof(2, "s3", MONDAY - 73 * HOUR, 0))}, ["drill-age-2"]),
        ({"proofs": (Proof(1, "posix", MONDAY, 0), Proof(2, "s3", None, MONDAY - 73 * HOUR))}, ["drill-age-2"]),
        ({"repository_error": ("It cannot be used", "wrong passphrase", "put it back")}, ["repository"]),
        ({"started": {"diff": MONDAY - 34 * HOUR, "drill": MONDAY}}, ["overdue-full", "overdue-diff"]),
        ({"started": {"full": MONDAY - DAY, "diff": MONDAY - 34 * HOUR, "drill": MONDAY}}, ["overdue-diff"]),
        ({"started": {"full": MONDAY, "drill": MONDAY - 35 * HOUR}}, ["overdue-drill"]),
        # The clock was set back: nothing is too old any more, whatever it is.
        ({"newest_at": MONDAY + 300}, []),
        ({"newest_at": MONDAY + 301}, ["clock"]),
        ({"newest_at": MONDAY + DAY, "clean_at": MONDAY + DAY, "started": {}, "since": MONDAY + DAY}, ["clock"]),
    ],
)
def test_what_is_wrong(changes, expected):
    assert keys(**changes) == expected


def test_a_job_is_overdue_an_hour_after_it_was_due():
    # It was due at 02:00 and last began the day before.
    began = {**facts().started, "diff": MONDAY - 58 * HOUR}
    two = MONDAY - 10 * HOUR
    assert watch.troubles("orders", facts(started=began, now=two + HOUR), LIMITS, frozenset()) == []
    found = watch.troubles("orders", facts(started=began, now=two + HOUR + 1), LIMITS, frozenset())
    assert [trouble.what for trouble in found] == ["The job diff of orders is overdue"]
    assert found[0].why == "it was due at 2026-11-23T02:00:00Z and has not begun since; keeper keeps the time"


def test_where_nobody_keeps_the_time_nothing_is_overdue():
    never = (Proof(1, "posix", None, 0),)
    assert keys(wanted=schedule(runner="none"), started={}, clean_at=None, proofs=never) == []
    assert keys(wanted=schedule({}), started={}, clean_at=None, proofs=never) == []


def test_an_old_proof_names_its_repository():
    found = watch.troubles(
        "orders", facts(proofs=(Proof(1, "posix", MONDAY, 0), Proof(2, "s3", None, 0))), LIMITS, frozenset()
    )
    assert [trouble.what for trouble in found] == [
        "The backups of orders in repository 2 are not proven by a drill that is young enough"
    ]
    assert found[0].why == "no drill has passed yet; with this schedule one is younger than 3 days"
    assert found[0].next_step == "docker exec orders-keeper pgkeep drill --repo 2, and read what it says"


@pytest.mark.parametrize(
    "jobs, hours",
    [
        (JOBS, 24),
        ({"full": "0 2 * * 0"}, 168),
        ({"full": "0 2 * * 0", "incr": "*/15 * * * *"}, 0.25),
        # Not on the weekend, so Friday to Monday.
        ({"incr": "0 2 * * 1-5"}, 72),
    ],
)
def test_the_longest_distance_of_the_schedule(jobs, hours):
    for now in (MONDAY, MONDAY + 1.7 * DAY, MONDAY + 5.1 * DAY):
        assert watch.allowed_age(schedule(jobs), ("full", "diff", "incr"), now, 1.5) == hours * HOUR * 1.5


def test_a_disk_is_well_again_some_points_below():
    told = frozenset(["disk-data"])
    assert keys(told, disks={"data": 83.0}) == ["disk-data"]
    assert keys(told, disks={"data": 81.9}) == []


class Steps:
    """A watch over states that the test names, a look every 30 seconds."""

    def __init__(self):
        self.state, self.now = {}, 0.0

    def look(self, *found, unknown=()):
        self.now += 30
        troubles = [watch.Trouble(key, "critical", key, "", "", hold_seconds=60) for key in found]
        made = watch.step(self.state, troubles, facts(now=self.now, unknown=frozenset(unknown)), LIMITS)
        # As it comes back from the disk.
        self.state = json.loads(json.dumps(made.state))
        return [trouble.key for trouble in made.raised], [ended["key"] for ended in made.resolved]


def test_told_once_when_it_lasts_and_over_when_that_lasts():
    steps = Steps()
    looks = [steps.look(*found) for found in ["a", "a", "a", "a", "", "", "", ""]]
    assert looks == [([], []), ([], []), (["a"], []), ([], []), ([], []), ([], []), ([], ["a"]), ([], [])]


def test_what_flickers_is_told_once():
    steps = Steps()
    looks = [steps.look(*found) for found in ["a", "a", "a", "", "a", "", "a", ""]]
    assert sum(len(raised) for raised, _ended in looks) == 1
    assert sum(len(ended) for _raised, ended in looks) == 0


def test_what_passes_by_is_not_told():
    steps = Steps()
    assert [steps.look(*found) for found in ["a", "", "a", "", "a", ""]] == [([], [])] * 6


def test_the_clock_that_is_set_back_neither_holds_up_nor_repeats():
    steps = Steps()
    steps.look("a")
    steps.now -= DAY
    looks = [steps.look(*found) for found in ["a", "a", "a", "", "", ""]]
    assert looks == [([], []), ([], []), (["a"], []), ([], []), ([], []), ([], ["a"])]
    steps.look("b")
    for _look in range(3):
        steps.look("b")
    steps.look()
    steps.now -= DAY
    assert [steps.look() for _look in range(3)] == [([], []), ([], []), ([], ["b"])]


def test_what_cannot_be_judged_is_not_over():
    steps = Steps()
    for _look in range(3):
        steps.look("archiver")
    for _look in range(5):
        assert steps.look(unknown=["archiver"]) == ([], [])
    assert [steps.look() for _look in range(3)][-1] == ([], ["archiver"])


class World:
    """A keeper whose server and repository answer as the test says."""

    def __init__(self, tmp_path, monkeypatch):
        self.now, self.down, self.failing_since, self.judged = MONDAY, False, None, 0
        self.pings, self.arrives = [], True
        config = tmp_path / "config"
        config.mkdir()
        wanted = {"webhooks": [{"url": "https://ops.example.org/"}], "deadman_url": "https://ping.example.org/the-uuid"}
        made = split({**wanted, "thresholds": {"disk_percent": 100}}, "db1")
        (config / "keeper.json").write_text(json.dumps({"alerts": made["topic"], "schedule": {"jobs": JOBS}}))
        for name, content in made["files"].items():
            (config / name).write_text(content)
        self.queue = tmp_path / "state/alerts/queue"
        (tmp_path / "state/jobs").mkdir(parents=True)
        self.keeper = Keeper("orders", None, str(tmp_path), state=str(tmp_path / "state"), config=str(config))
        monkeypatch.setattr(duty.server, "archiver", self.archiver)
        monkeypatch.setattr(duty.repository, "snapshot", self.snapshot)

    def archiver(self, keeper):
        if self.down:
            raise PgkeepError("PostgreSQL of orders does not answer", "connection refused", "start it")
        return Archiver(0, self.failing_since)

    def snapshot(self, keeper):
        self.judged += 1
        raise PgkeepError("The repository cannot be read", "wrong passphrase", "put it back")

    def ping(self, wanted):
        if not self.arrives:
            raise Undelivered("HTTP 500 of https://ping.example.org/the-uuid")
        self.pings.append(self.now)
        return "HTTP 200"

    def look(self, seconds=30):
        self.now += seconds
        duty.tick(self.keeper, lambda: self.now)
        deadman.tick(self.keeper, lambda: self.now, self.ping)

    def told(self):
        alerts = [json.loads(path.read_text()) for path in sorted(self.queue.glob("*"))] if self.queue.is_dir() else []
        return [(alert["action"], alert["status"]) for alert in alerts]


@pytest.fixture
def world(tmp_path, monkeypatch):
    return World(tmp_path, monkeypatch)


def test_the_watch_looks_as_often_as_wanted_and_queues_what_lasts(world):
    world.down = True
    for _second in range(30):
        world.look(2)
    assert world.told() == []
    world.look(31)
    assert world.told() == [("repository", "firing"), ("server", "firing")] or world.told() == [
        ("server", "firing"),
        ("repository", "firing"),
    ]
    world.down = False
    for _look in range(4):
        world.look()
    assert ("server", "resolved") in world.told()
    assert ("repository", "resolved") not in world.told()


def test_what_stands_still_on_purpose_is_told_to_nobody(world, monkeypatch):
    working = Maintenance("restore of orders", "host:alice", "2026-11-23T12:00:00Z", None, False)
    monkeypatch.setattr(duty, "maintenance", lambda state, now: working)
    world.down = True
    for _look in range(10):
        world.look()
    assert world.told() == []
    # It is still down when the work has ended: that is told as late as any other trouble, and no later.
    monkeypatch.setattr(duty, "maintenance", lambda state, now: None)
    world.look()
    world.look(61)
    assert {key for key, _status in world.told()} == {"server", "repository"}


def test_what_was_told_before_the_work_is_not_over_with_its_beginning(world, monkeypatch):
    judged(world, monkeypatch)
    world.down = True
    world.look()
    world.look(61)
    assert world.told() == [("server", "firing")]
    working = Maintenance("restart of orders", "host:alice", "2026-11-23T12:00:00Z", None, False)
    monkeypatch.setattr(duty, "maintenance", lambda state, now: working)
    for _look in range(10):
        world.look()
    assert world.told() == [("server", "firing")]
    world.down = False
    monkeypatch.setattr(duty, "maintenance", lambda state, now: None)
    for _look in range(4):
        world.look()
    assert world.told() == [("server", "firing"), ("server", "resolved")]


def judged(world, monkeypatch, **found):
    """Let the repository be what found says."""
    answer = {"mark": None, "at": world.now, "clean_at": world.now, "error": None, **found}
    monkeypatch.setattr(duty, "_judged", lambda keeper, memory, now: answer)


def test_pings_only_while_all_is_well(world, monkeypatch):
    judged(world, monkeypatch)
    world.look()
    assert len(world.pings) == 1
    world.look(299)
    assert len(world.pings) == 1
    world.look(1)
    assert len(world.pings) == 2
    judged(world, monkeypatch, clean_at=MONDAY - 40 * HOUR)
    for _look in range(20):
        world.look()
    assert len(world.pings) == 2
    assert deadman.summary(world.keeper)["silent"] == "the watch found: backup-age"
    judged(world, monkeypatch)
    for _look in range(4):
        world.look()
    assert len(world.pings) == 3
    assert deadman.summary(world.keeper)["silent"] is None


def test_a_clock_that_is_set_back_is_told_and_the_watch_goes_on(world, monkeypatch):
    judged(world, monkeypatch, newest_at=MONDAY)
    world.look()
    assert world.told() == []
    world.now -= DAY
    world.look()
    assert world.told() == [("clock", "firing")]
    # Ages of what never happened count from a moment that has been.
    assert duty.remembered(world.keeper)["since"] == duty.remembered(world.keeper)["looked_at"] == world.now
    assert "clock" in deadman.summary(world.keeper)["silent"]


def test_a_ping_that_does_not_arrive_queues_no_alert_and_is_tried_again(world, monkeypatch):
    judged(world, monkeypatch)
    world.arrives = False
    for _look in range(20):
        world.look()
    assert world.told() == []
    assert deadman.summary(world.keeper) == {"arrived_at": None, "silent": None, "error": "HTTP 500 of (hidden)"}
    world.arrives = True
    world.look()
    assert len(world.pings) == 1


def test_no_ping_where_the_watch_has_stopped_or_alerts_are_stuck(world, monkeypatch):
    judged(world, monkeypatch)
    deadman.tick(world.keeper, lambda: world.now, world.ping)
    assert deadman.summary(world.keeper)["silent"] == "the watch does not look"
    world.look()
    assert len(world.pings) == 1
    world.now += 301
    deadman.tick(world.keeper, lambda: world.now, world.ping)
    assert len(world.pings) == 1
    monkeypatch.setattr(deadman.queue, "stuck", lambda *words: True)
    world.look()
    assert deadman.summary(world.keeper)["silent"] == "alerts are not delivered"
    assert len(world.pings) == 1


def test_the_repository_is_judged_when_something_was_done(world, monkeypatch):
    class Info:
        backups = ()

    class Snapshot:
        info = Info()

    def snapshot(keeper):
        world.judged += 1
        return Snapshot()

    monkeypatch.setattr(duty.repository, "snapshot", snapshot)
    monkeypatch.setattr(duty.repository, "problem", lambda keeper, info: None)
    monkeypatch.setattr(duty, "judge", lambda *words: [])
    monkeypatch.setattr(duty, "current", lambda *words: [])
    for _look in range(10):
        world.look()
    assert world.judged == 1
    world.look(600)
    assert world.judged == 2
    record = os.path.join(world.keeper.state, "jobs/drill.json")
    with open(record, "w") as handle:
        json.dump(
            {"name": "drill", "result": "ok", "started_at": "2026-11-23T11:00:00Z", "ended_at": "2026-11-23T11:01:00Z"},
            handle,
        )
    world.look()
    assert world.judged == 3


def test_how_full_a_disk_is(tmp_path):
    assert 0 <= duty.used_percent(str(tmp_path)) <= 100
    assert duty.used_percent(str(tmp_path / "none")) is None
