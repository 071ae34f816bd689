# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The schedule as a duty, over days that a clock of its own makes short; jobs are what pgkeep answered to them."""

from __future__ import annotations

import json
from datetime import datetime

import pytest
from ansible_collections.pgkeep.postgres.plugins.module_utils import _alert as alert
from ansible_collections.pgkeep.postgres.plugins.module_utils import _job as jobs
from ansible_collections.pgkeep.postgres.plugins.module_utils import _schedule_duty as duty
from ansible_collections.pgkeep.postgres.plugins.module_utils._backup_repository import Keeper
from ansible_collections.pgkeep.postgres.plugins.module_utils._errors import PgkeepError
from ansible_collections.pgkeep.postgres.plugins.module_utils._lock import hold
from ansible_collections.pgkeep.postgres.plugins.module_utils._run import Result

ERROR = {"what": "The backup of orders failed", "why": "no space", "next_step": "free some", "busy": False}
MONDAY = datetime.fromisoformat("2026-11-23T00:00:00+00:00").timestamp()
HOUR = 3600.0


class World:
    def __init__(self, tmp_path):
        self.path = tmp_path
        self.now = MONDAY
        self.ran = []
        self.answers = {}
        (tmp_path / "state/jobs").mkdir(parents=True)
        (tmp_path / "config").mkdir()
        self.keeper = Keeper("orders", self, "/data", state=str(tmp_path / "state"), config=str(tmp_path / "config"))
        self.wants(full="0 2 * * 0", diff="0 2 * * *", drill="0 3 * * *")

    def wants(self, runner="keeper", **expressions):
        content = {"schedule": {"runner": runner, "jobs": expressions}}
        (self.path / "config/keeper.json").write_text(json.dumps(content))

    def __call__(self, argv, data=None, env=None, timeout=None):
        assert argv[:2] == ["pgkeep", "--actor"]
        name = argv[-1] if argv[3] == "backup" else argv[3]
        self.ran.append(name)
        error = self.answers.get(name)
        return Result(1, json.dumps({"error": error})) if error else Result(0, json.dumps({"changed": True}))

    def until(self, hours):
        """Let the time pass in steps of half an hour; returns what ran meanwhile."""
        self.ran = []
        end = MONDAY + hours * HOUR
        while self.now < end:
            self.now += HOUR / 2
            duty.tick(self.keeper, lambda: self.now)
        return self.ran

    def alerts(self):
        folder = self.path / "state/alerts/queue"
        return [json.loads(path.read_text()) for path in sorted(folder.glob("*"))] if folder.is_dir() else []


@pytest.fixture
def world(tmp_path):
    return World(tmp_path)


def test_a_week(world):
    assert world.until(24) == ["diff", "drill"]
    assert world.until(6 * 24) == ["diff", "drill"] * 5
    # Sunday: one full backup and no differential one beside it.
    assert world.until(7 * 24) == ["full", "drill"]
    assert jobs.last(world.keeper, "full")["result"] == "ok"


def test_what_was_missed_while_the_keeper_was_down_runs_once(world):
    world.until(1)
    world.now = MONDAY + 3.4 * 24 * HOUR
    assert world.until(3.5 * 24) == ["diff", "drill"]


def test_nothing_runs_only_because_the_keeper_is_new(world):
    world.now = MONDAY + 12 * HOUR
    assert world.until(13) == []


def test_a_new_expression_counts_from_now(world):
    world.until(12)
    world.wants(diff="0 11 * * *")
    assert world.until(13) == []
    assert world.until(36) == ["diff"]


def test_a_clock_that_was_set_back_does_not_stop_the_schedule(world):
    world.until(24)
    world.now = MONDAY - 30 * 24 * HOUR
    duty.tick(world.keeper, lambda: world.now)
    world.now += 24 * HOUR
    world.ran = []
    duty.tick(world.keeper, lambda: world.now)
    assert world.ran == ["diff", "drill"]


def test_busy_is_tried_again_and_is_no_alert(world):
    world.answers["diff"] = {**ERROR, "busy": True}
    assert world.until(2.5)[-1] == "diff"
    assert world.alerts() == []
    world.answers.clear()
    assert world.until(3) == ["diff", "drill"]


def test_a_failure_is_told_and_tried_three_times_until_it_is_due_again(world):
    world.answers["diff"] = ERROR
    assert world.until(24) == ["diff", "diff", "diff", "drill"]
    told = world.alerts()
    assert [(each["action"], each["severity"], each["why"]) for each in told] == [
        ("diff", alert.CRITICAL, "no space")
    ] * 3
    assert jobs.last(world.keeper, "diff")["error"] == ERROR
    assert world.until(48) == ["diff", "diff", "diff", "drill"]


def test_a_failure_that_a_while_cures(world):
    world.answers["diff"] = ERROR
    world.until(2)
    world.answers.clear()
    assert world.until(24) == ["diff", "drill"]
    assert world.until(48) == ["diff", "drill"]


def test_a_clock_that_only_wakes_the_keeper(world):
    world.wants("cron", diff="0 2 * * *")
    assert duty.tick(world.keeper, lambda: MONDAY, runner="cron") == []
    (record,) = duty.tick(world.keeper, lambda: MONDAY + 3 * HOUR, runner="cron")
    assert (record["name"], record["result"], record["actor"]) == ("diff", "ok", "cron")


def test_a_second_call_while_the_first_works(world):
    busy = "schedule of orders cannot start"
    with hold(world.keeper.state + "/schedule.lock", "schedule of orders"), pytest.raises(PgkeepError, match=busy):
        duty.tick(world.keeper, lambda: world.now)


def test_the_same_job_twice(world):
    world.until(3)
    with hold(world.keeper.state + "/jobs/diff.lock", "job"), pytest.raises(PgkeepError, match="job diff of orders"):
        jobs.run_job(world.keeper, "diff", "shell")
    assert jobs.last(world.keeper, "diff")["result"] == "ok"


@pytest.mark.parametrize("runner", ["systemd", "cron", "none"])
def test_another_runner_keeps_the_time(world, runner):
    world.wants(runner, diff="0 2 * * *")
    assert world.until(48) == []


def test_what_another_clock_saw_to_is_not_caught_up(world):
    world.until(24)
    world.wants("systemd", diff="0 2 * * *")
    world.until(80)
    world.wants(diff="0 2 * * *")
    assert world.until(96) == []
    assert world.until(99) == ["diff"]


def test_a_line_of_cron_that_somebody_left_takes_nothing_from_the_keeper(world):
    world.until(24)
    assert duty.tick(world.keeper, lambda: world.now, runner="cron") == []
    world.now += 24 * HOUR
    duty.tick(world.keeper, lambda: world.now)
    assert world.ran[-2:] == ["diff", "drill"]


def test_what_comes_next(world):
    world.until(24)
    told = duty.upcoming(world.keeper, world.now)
    assert told["runner"] == "keeper"
    assert {job["name"]: job["next_at"] for job in told["jobs"]} == {
        "full": "2026-11-29T02:00:00Z",
        "diff": "2026-11-24T02:00:00Z",
        "drill": "2026-11-24T03:00:00Z",
    }
    assert [job["last"] and job["last"]["result"] for job in told["jobs"]] == [None, "ok", "ok"]
    world.wants("none", diff="0 2 * * *")
    assert duty.upcoming(world.keeper, world.now)["jobs"][0]["next_at"] is None


def test_a_schedule_that_cannot_be_used_is_told_by_the_check(world):
    world.wants(diff="often")
    with pytest.raises(PgkeepError, match="it has 1 fields"):
        duty.check(world.keeper)


@pytest.mark.parametrize("content", ["", "nonsense", "[]", '{"diff": 1}'])
def test_a_memory_that_cannot_be_read_is_as_if_it_were_new(world, content):
    (world.path / "state/schedule.json").write_text(content)
    assert world.until(2.5) == ["diff"]


def test_a_job_that_was_killed_with_its_keeper(world):
    jobs.save(world.keeper, {"name": "drill", "result": "running", "started_at": "2026-11-23T03:00:00Z"})
    assert jobs.note_interrupted(world.keeper, world.now) == ["drill"]
    assert jobs.last(world.keeper, "drill")["result"] == "interrupted"
    assert [told["action"] for told in world.alerts()] == ["drill"]
    assert jobs.note_interrupted(world.keeper, world.now) == []


def test_a_job_that_nobody_knows(world):
    with pytest.raises(PgkeepError, match="There is no job weekly"):
        jobs.run_job(world.keeper, "weekly", "shell")
