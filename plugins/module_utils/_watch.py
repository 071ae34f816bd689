# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""States that nobody ran a job for: judged from facts, told when they come and when they go. Pure.

Private to the collection. A trouble is told once it has lasted, and its end once that has lasted too, so that what
flickers is not told again and again.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timezone
from functools import lru_cache
from typing import Any, Mapping, Optional

from . import _schedule as schedule
from ._alert import CRITICAL, WARNING
from ._alert_config import Thresholds
from ._drill_turn import Proof
from ._times import hours, rfc3339, set_back, to_come

# A disk that was too full is well again this many points below the threshold.
DISK_MARGIN_PERCENT = 3.0
# So many moments are looked at to find the longest distance between two: a week of jobs that run every hour.
_MOMENTS = 168
_DAY_SECONDS = 86400

# Keys of troubles that an instance has while somebody works on it.
STOPPABLE = frozenset(("server", "archiver", "repository"))


@dataclass(frozen=True)
class Facts:
    """What is known now; times are seconds since the epoch.

    since: when the watch over this instance began, from which an age counts where there is nothing.
    server_error: why the server does not answer. archiver_error: why WAL is not archived, since archiver_since.
    disks: name -> used percent. repository_error: why the backups cannot be judged. started: job -> when it last
    began. clean_at: end of the newest clean backup. proofs: of each repository that drills prove. newest_at: the latest
    moment of all that was noted.
    unknown: keys of troubles that cannot be judged now.
    """

    now: float
    since: float
    wanted: schedule.Schedule
    server_error: Optional[str] = None
    archiver_since: Optional[float] = None
    archiver_error: tuple[str, str] = ("", "")
    disks: Mapping[str, float] = field(default_factory=dict)
    repository_error: Optional[tuple[str, str, str]] = None
    started: Mapping[str, float] = field(default_factory=dict)
    clean_at: Optional[float] = None
    proofs: tuple[Proof, ...] = ()
    newest_at: Optional[float] = None
    unknown: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Trouble:
    """key names the state; it is told when it has lasted for hold_seconds."""

    key: str
    severity: str
    what: str
    why: str
    next_step: str
    hold_seconds: float = 0.0


@dataclass(frozen=True)
class Step:
    """What one look changed: the state for the next one, what is to be told, and what is over."""

    state: dict[str, dict[str, Any]]
    raised: tuple[Trouble, ...]
    resolved: tuple[dict[str, Any], ...]


def troubles(instance: str, facts: Facts, limits: Thresholds, active: frozenset[str]) -> list[Trouble]:
    """Everything that is wrong now. active: keys that were told already, which a little less still keeps alive."""
    return [
        *_clock(instance, facts),
        *_server(instance, facts, limits),
        *_disks(instance, facts, limits, active),
        *_backups(instance, facts, limits),
        *_drills(instance, facts, limits),
        *_overdue(instance, facts, limits),
    ]


def _clock(instance: str, facts: Facts) -> list[Trouble]:
    """Nothing becomes too old while its moment is still to come, so that has to be told by itself."""
    if facts.newest_at is None or not to_come(facts.newest_at, facts.now):
        return []
    return [
        Trouble(
            "clock",
            CRITICAL,
            "The clock of %s was set back" % instance,
            "the newest backup, drill or start of a job, of %s. Until then no age can be judged, and pgBackRest refuses"
            " full backups" % set_back(facts.newest_at, facts.now),
            "set the clock of the host right and look why it was wrong; docs/backup.md says what to do when it is right"
            " now and was ahead",
        )
    ]


def _server(instance: str, facts: Facts, limits: Thresholds) -> list[Trouble]:
    found = []
    if facts.server_error is not None:
        found.append(
            Trouble(
                "server",
                CRITICAL,
                "PostgreSQL of %s does not answer" % instance,
                facts.server_error,
                "read its log (docker logs --tail 50 %s), then docker start %s" % (instance, instance),
                limits.server_down_seconds,
            )
        )
    since = facts.archiver_since
    if since is not None and facts.now - since >= limits.archiver_failing_seconds:
        why, next_step = facts.archiver_error
        found.append(
            Trouble(
                "archiver",
                CRITICAL,
                "WAL of %s is not archived" % instance,
                "since %s; %s" % (rfc3339(since), why),
                next_step,
            )
        )
    return found


def _disks(instance: str, facts: Facts, limits: Thresholds, active: frozenset[str]) -> list[Trouble]:
    found = []
    for name, percent in sorted(facts.disks.items()):
        key = "disk-" + name
        limit = limits.disk_percent - (DISK_MARGIN_PERCENT if key in active else 0)
        if percent > limit:
            found.append(
                Trouble(
                    key,
                    CRITICAL,
                    "The disk of the %s of %s fills up" % (name, instance),
                    "%.0f %% of it are used, more than %.0f %%" % (percent, limits.disk_percent),
                    "free space on it or enlarge it. Never remove files of pg_wal or of the repository by hand",
                )
            )
    return found


def _backups(instance: str, facts: Facts, limits: Thresholds) -> list[Trouble]:
    if facts.repository_error is not None:
        return [Trouble("repository", CRITICAL, *facts.repository_error, hold_seconds=limits.server_down_seconds)]
    allowed = allowed_age(facts.wanted, schedule.BACKUPS, facts.now, limits.backup_age_factor)
    age = facts.now - (facts.clean_at or facts.since)
    if allowed is None or age <= allowed:
        return []
    newest = "the newest one is of %s" % rfc3339(facts.clean_at) if facts.clean_at else "there is none"
    return [
        Trouble(
            "backup-age",
            CRITICAL,
            "%s has no clean backup that is young enough" % instance,
            "%s; with this schedule one is younger than %s" % (newest, hours(allowed)),
            "docker exec %s-keeper pgkeep backup --type full, and read what it says" % instance,
        )
    ]


def _drills(instance: str, facts: Facts, limits: Thresholds) -> list[Trouble]:
    allowed = allowed_age(facts.wanted, ("drill",), facts.now, limits.drill_age_factor)
    found = []
    for proof in facts.proofs if allowed is not None else ():
        # They are proven in turn.
        limit = (allowed or 0.0) * len(facts.proofs)
        if proof.age(facts.now, facts.since) <= limit:
            continue
        at = proof.proven_at
        newest = "no drill has passed yet" if at is None else "the last drill passed at %s" % rfc3339(at)
        first = proof.number == 1
        found.append(
            Trouble(
                "drill-age" if first else "drill-age-%d" % proof.number,
                WARNING,
                "The backups of %s%s are not proven by a drill that is young enough"
                % (instance, "" if first else " in repository %d" % proof.number),
                "%s; with this schedule one is younger than %s" % (newest, hours(limit)),
                "docker exec %s-keeper pgkeep drill --repo %d, and read what it says" % (instance, proof.number),
            )
        )
    return found


def allowed_age(wanted: schedule.Schedule, names: tuple[str, ...], now: float, factor: float) -> Optional[float]:
    """factor times the longest distance between two runs of any of the jobs; None where nobody runs them."""
    jobs = tuple(job for job in wanted.jobs if job.name in names)
    if wanted.runner == "none" or not jobs:
        return None
    return _longest(jobs, int(now // _DAY_SECONDS)) * factor


@lru_cache(maxsize=8)
def _longest(jobs: tuple[schedule.Job, ...], day: int) -> float:
    """The longest distance in seconds between two of the next runs; day counts from the epoch.

    It begins the day before, or it would change with the hour, and is worked out once a day: the calendar is slow.
    """
    moment = datetime.fromtimestamp((day - 1) * _DAY_SECONDS, timezone.utc)
    moments = []
    for _number in range(_MOMENTS):
        moment = min(schedule.next_after(job, moment) for job in jobs)
        moments.append(moment)
    return max(later - earlier for earlier, later in zip(moments, moments[1:])).total_seconds()


def _overdue(instance: str, facts: Facts, limits: Thresholds) -> list[Trouble]:
    found = []
    for job in facts.wanted.jobs if facts.wanted.runner != "none" else ():
        # A stronger backup of the same moment runs instead of a weaker one.
        served = schedule.BACKUPS[: schedule.BACKUPS.index(job.name)] if job.name in schedule.BACKUPS else ()
        began = max([facts.started.get(name, 0.0) for name in (job.name, *served)] + [facts.since])
        due = schedule.next_after(job, datetime.fromtimestamp(began, timezone.utc)).timestamp()
        if facts.now - due > limits.overdue_seconds:
            found.append(
                Trouble(
                    "overdue-" + job.name,
                    CRITICAL if job.name in schedule.BACKUPS else WARNING,
                    "The job %s of %s is overdue" % (job.name, instance),
                    "it was due at %s and has not begun since; %s keeps the time" % (rfc3339(due), facts.wanted.runner),
                    "docker exec %s-keeper pgkeep job %s, and read docker logs %s-keeper"
                    % (instance, job.name, instance),
                )
            )
    return found


def step(before: Mapping[str, Mapping[str, Any]], found: list[Trouble], facts: Facts, limits: Thresholds) -> Step:
    """From one look to the next. An entry of the state: since, told_at, absent_since, severity, what."""
    now = facts.now
    state: dict[str, dict[str, Any]] = {}
    raised, resolved = [], []
    for trouble in found:
        entry = dict(before.get(trouble.key) or {"since": now, "told_at": None})
        # A moment ahead is one from before the clock was set back.
        entry.update(absent_since=None, severity=trouble.severity, since=min(entry["since"], now))
        if entry["told_at"] is None and now - entry["since"] >= trouble.hold_seconds:
            entry.update(told_at=now, what=trouble.what)
            raised.append(trouble)
        state[trouble.key] = entry
    for key, old in before.items():
        if key in state:
            continue
        if key in facts.unknown:
            state[key] = dict(old)
        elif old["told_at"] is not None:
            absent_since = min(old.get("absent_since") or now, now)
            if now - absent_since >= limits.clear_seconds:
                resolved.append({"key": key, **old})
            else:
                state[key] = {**old, "absent_since": absent_since}
    return Step(state, tuple(raised), tuple(resolved))
