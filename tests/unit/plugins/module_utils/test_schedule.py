# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest
from ansible_collections.pgkeep.postgres.plugins.module_utils import _schedule as schedule
from ansible_collections.pgkeep.postgres.plugins.module_utils._errors import PgkeepError
from ansible_collections.pgkeep.postgres.plugins.module_utils._schedule import Job


def moment(text):
    return datetime.fromisoformat(text + "+00:00")


# 2026-11-22 is a Sunday.
@pytest.mark.parametrize(
    "cron, after, expected",
    [
        ("0 2 * * 0", "2026-11-22T02:00:00", "2026-11-29T02:00:00"),
        ("0 2 * * 7", "2026-11-21T02:00:00", "2026-11-22T02:00:00"),
        ("0 2 * * sun", "2026-11-22T01:59:59", "2026-11-22T02:00:00"),
        ("0 2 * * 1-6", "2026-11-21T02:00:00", "2026-11-23T02:00:00"),
        ("0 2 * * 5-7", "2026-11-22T02:00:00", "2026-11-27T02:00:00"),
        ("0 2 * * */2", "2026-11-22T02:00:00", "2026-11-24T02:00:00"),
        ("30 4 1,15 * *", "2026-11-02T00:00:00", "2026-11-15T04:30:00"),
        ("*/20 * * * *", "2026-12-31T23:50:00", "2027-01-01T00:00:00"),
        ("0 0 29 2 *", "2026-11-22T00:00:00", "2028-02-29T00:00:00"),
    ],
)
def test_the_next_time_is_the_one_that_cron_means(cron, after, expected):
    assert schedule.next_after(Job("full", cron), moment(after)) == moment(expected)


def test_an_offset_moves_every_run_and_skips_none():
    job = Job("diff", "0 2 * * *", offset_seconds=120)
    first = schedule.next_after(job, moment("2026-11-22T02:01:00"))
    assert first == moment("2026-11-22T02:02:00")
    assert schedule.next_after(job, first) == moment("2026-11-23T02:02:00")


def test_the_spread_is_the_same_every_time_and_differs_between_instances():
    topic = {"jobs": {"full": "0 2 * * *"}, "spread_seconds": 300}
    offsets = [schedule.parse(name, topic).jobs[0].offset_seconds for name in ("orders", "orders", "shop", "office")]
    assert offsets[0] == offsets[1]
    assert len(set(offsets)) == 3
    assert all(0 <= offset < 300 for offset in offsets)
    assert schedule.parse("orders", {"jobs": {"full": "0 2 * * *"}}).jobs[0].offset_seconds == 0


@pytest.mark.parametrize(
    "topic, words",
    [
        ({"runner": "at"}, "the runner is 'at'"),
        ({"jobs": {"weekly": "0 2 * * 0"}}, "there is no job weekly"),
        ({"jobs": {"full": "0 2 * *"}}, "it has 4 fields, not 5"),
        ({"jobs": {"full": "0 25 * * *"}}, "of full"),
        ({"jobs": {"full": "0 2 * * 8"}}, "'8' is no day of the week"),
        ({"jobs": {"full": "0 2 * * 5-1"}}, "names no day of the week"),
        ({"jobs": {"full": "0 2 30 2 *"}}, "it names no day that exists"),
        ({"jobs": {"full": "0 2 1 * 1"}}, "one of them has to be"),
    ],
)
def test_what_cannot_be_a_schedule(topic, words):
    with pytest.raises(PgkeepError) as caught:
        schedule.parse("orders", topic)
    assert words in caught.value.why
    assert "postgres_backup_schedule" in caught.value.next_step


def test_a_job_without_an_expression_is_never_due():
    parsed = schedule.parse("orders", {"jobs": {"full": "0 2 * * 0", "diff": None, "incr": ""}})
    assert [job.name for job in parsed.jobs] == ["full"]
    assert parsed.runner == "keeper"


def test_runs_that_were_missed_are_one():
    job = Job("diff", "0 2 * * *")
    now = moment("2026-11-25T12:00:00")
    assert schedule.last_before(job, now - timedelta(days=4), now) == moment("2026-11-25T02:00:00")
    assert schedule.last_before(job, moment("2026-11-25T02:00:00"), now) is None


def test_of_backups_due_at_once_the_strongest_runs_and_the_drill_comes_last():
    due = dict.fromkeys(("drill", "incr", "full", "diff"), datetime.now(timezone.utc))
    assert list(schedule.to_run(due)) == ["full", "drill"]
    assert list(schedule.to_run({"drill": due["drill"]})) == ["drill"]
