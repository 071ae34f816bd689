# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""When jobs are due: cron expressions, what was missed, what comes next. Pure but for the clock of its caller.

Private to the collection. The arithmetic of calendars is APScheduler's (apscheduler.triggers.cron), which only the
keeper has; therefore it is imported late.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Any, Iterator, Mapping, Optional

from ._errors import PgkeepError

# The strongest first: where two types of backup are due at the same moment, the first one serves for both.
BACKUPS = ("full", "diff", "incr")
# What runs after the backups of the same moment, in this order.
JOBS = (*BACKUPS, "dump", "drill")
RUNNERS = ("keeper", "systemd", "cron", "none")

_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat", "sun")


@dataclass(frozen=True)
class Job:
    """name is one of JOBS; cron has five fields in the time zone UTC; offset_seconds spreads the hosts of a fleet."""

    name: str
    cron: str
    offset_seconds: int = 0


@dataclass(frozen=True)
class Schedule:
    """runner says who starts the jobs; the same expressions count for each of them."""

    runner: str
    jobs: tuple[Job, ...]


def parse(instance: str, topic: Mapping[str, Any]) -> Schedule:
    """From the topic schedule: runner, spread_seconds, jobs (name -> cron expression, none or empty for never).

    Raises PgkeepError for an unknown runner or job and for an expression that is none.
    """
    runner = topic.get("runner", "keeper")
    if runner not in RUNNERS:
        raise _refused(instance, "the runner is %r; known are %s" % (runner, ", ".join(RUNNERS)))
    wanted = {name: cron for name, cron in (topic.get("jobs") or {}).items() if cron}
    unknown = sorted(wanted.keys() - set(JOBS))
    if unknown:
        raise _refused(instance, "there is no job %s; known are %s" % (", ".join(unknown), ", ".join(JOBS)))
    offset = _offset(instance, int(topic.get("spread_seconds", 0)))
    jobs = tuple(Job(name, str(wanted[name]), offset) for name in JOBS if name in wanted)
    for job in jobs:
        try:
            next_after(job, datetime(2026, 1, 1, tzinfo=timezone.utc))
        except ValueError as error:
            raise _refused(instance, "the expression %r of %s: %s" % (job.cron, job.name, error)) from error
    return Schedule(runner, jobs)


def _refused(instance: str, why: str) -> PgkeepError:
    return PgkeepError(
        "The schedule of %s cannot be used" % instance,
        why,
        "correct postgres_backup_schedule: five fields as cron has them, such as 0 2 * * 0 for Sundays at 02:00 UTC",
    )


def _offset(instance: str, spread_seconds: int) -> int:
    """The same for an instance every day, and different for instances that share a machine or a store."""
    digest = hashlib.sha256(instance.encode()).digest()
    return int.from_bytes(digest[:4], "big") % spread_seconds if spread_seconds > 0 else 0


def next_after(job: Job, moment: datetime) -> datetime:
    """The first time the job is due after moment. Raises ValueError for an expression that is none or never comes."""
    from apscheduler.triggers.cron import CronTrigger

    fields = job.cron.split()
    if len(fields) != 5:
        raise ValueError("it has %d fields, not 5" % len(fields))
    minute, hour, day, month, weekday = fields
    if day != "*" and weekday != "*":
        # Either day for cron, only a day that is both for systemd and for us.
        raise ValueError("it names a day of the month and a day of the week; one of them has to be *")
    trigger = CronTrigger(
        minute=minute, hour=hour, day=day, month=month, day_of_week=weekdays(weekday), timezone=timezone.utc
    )
    offset = timedelta(seconds=job.offset_seconds)
    # A microsecond later, because the trigger's first moment may be the given one itself.
    found: Optional[datetime] = trigger.get_next_fire_time(None, moment - offset + timedelta(microseconds=1))
    if found is None:
        raise ValueError("it names no day that exists")
    return found + offset


def weekdays(field: str) -> str:
    """The field as names: in cron 0 and 7 are Sunday, for APScheduler 0 is Monday, and systemd knows only names.

    Raises ValueError for what is no day of the week.
    """
    days: set[int] = set()
    for part in field.lower().split(","):
        span, slash, step = part.partition("/")
        first, dash, last = span.partition("-")
        begin, end = (0, 6) if span == "*" else (_weekday(first), _weekday(last if dash else first))
        if slash and not step.isdigit():
            raise ValueError("%r is no step" % step)
        # From Friday to Monday is not what it looks like; 5-7 is.
        days.update(day % 7 for day in range(begin, end + 1, int(step or 1)))
    if not days:
        raise ValueError("%r names no day of the week" % field)
    return ",".join(_DAYS[day] for day in sorted(days))


def _weekday(text: str) -> int:
    if text in _DAYS:
        return _DAYS.index(text)
    if text.isdigit() and int(text) <= 7:
        return int(text)
    raise ValueError("%r is no day of the week" % text)


def last_before(job: Job, since: datetime, now: datetime) -> Optional[datetime]:
    """The newest time in (since, now] that the job was due at, None when there is none: many missed runs are one."""
    found = None
    due = next_after(job, since)
    while due <= now:
        found = due
        due = next_after(job, due)
    return found


def to_run(due: Mapping[str, datetime]) -> Iterator[str]:
    """Names of due in the order they run in; of backups that are due at once only the strongest is taken."""
    strongest = next((name for name in BACKUPS if name in due), None)
    for name in JOBS:
        if name in due and (name not in BACKUPS or name == strongest):
            yield name
