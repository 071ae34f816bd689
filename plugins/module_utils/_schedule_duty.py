# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The schedule as a duty of the keeper: what is due runs, what was missed is caught up. Private to the collection.

schedule.json in the state folder remembers for each job up to which moment it was seen to. A job moves on when it has
ended well or failed for the last time; one that was busy or was killed with the keeper is still due.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from datetime import datetime, timezone
from typing import Any, Callable, Mapping

from . import _job as jobs
from . import _schedule as schedule
from ._backup_repository import Keeper
from ._files import File, read, write
from ._keeper_config import topic
from ._lock import hold

TOPIC = "schedule"
# Who holds the repository now is asked again after this long.
BUSY_SECONDS = 60.0
# What failed may be a restart or a network that is back in some minutes; after these waits it is due the next time.
FAILED_SECONDS = (600.0, 1800.0)


def check(keeper: Keeper) -> None:
    schedule.parse(keeper.instance, topic(keeper, TOPIC))


def tick(keeper: Keeper, clock: Callable[[], float] = time.time, runner: str = "keeper") -> list[dict[str, Any]]:
    """Run what is due, one after the other, and return their records; nothing when somebody else keeps the time.

    Raises PgkeepError with busy set when a call before has not ended: cron does not wait.
    """
    wanted = schedule.parse(keeper.instance, topic(keeper, TOPIC))
    if wanted.runner not in ("keeper", "cron"):
        # Or the keeper would catch up, when it keeps the time again, what others did meanwhile.
        _forget(keeper)
    if wanted.runner != runner:
        return []
    with hold(keeper.state + "/schedule.lock", "schedule of %s" % keeper.instance, who=runner):
        return _run_due(keeper, wanted, clock)


def _run_due(keeper: Keeper, wanted: schedule.Schedule, clock: Callable[[], float]) -> list[dict[str, Any]]:
    seen = _load(keeper)
    now = clock()
    due = {}
    for job in wanted.jobs:
        entry = seen.setdefault(job.name, {"cron": job.cron, "since": now})
        # A new expression counts from now; so does a moment that lies ahead, for the clock was set back.
        if entry["cron"] != job.cron or entry["since"] > now:
            seen[job.name] = entry = {"cron": job.cron, "since": now}
        if now < entry.get("again_at", 0) <= now + max(BUSY_SECONDS, *FAILED_SECONDS):
            continue
        moment = schedule.last_before(job, _utc(entry["since"]), _utc(now))
        if moment is not None:
            due[job.name] = moment
    _save(keeper, seen)
    records = []
    for name in schedule.to_run(due):
        records.append(jobs.run_job(keeper, name, "cron" if wanted.runner == "cron" else "schedule"))
        result = records[-1]["result"]
        entry, tries = seen[name], int(seen[name].get("tries", 0))
        if result == jobs.BUSY:
            entry["again_at"] = clock() + BUSY_SECONDS
        elif result == jobs.FAILED and tries < len(FAILED_SECONDS):
            entry.update(again_at=clock() + FAILED_SECONDS[tries], tries=tries + 1)
        else:
            for served in schedule.BACKUPS if name in schedule.BACKUPS else (name,):
                if served in due:
                    seen[served] = {"cron": seen[served]["cron"], "since": due[served].timestamp()}
        _save(keeper, seen)
    return records


def upcoming(keeper: Keeper, now: float) -> dict[str, Any]:
    """The schedule for people: runner, and for each job cron, next_at and the record of its last run."""
    wanted = schedule.parse(keeper.instance, topic(keeper, TOPIC))
    return {
        "runner": wanted.runner,
        "jobs": [
            {
                "name": job.name,
                "cron": job.cron,
                "next_at": None
                if wanted.runner == "none"
                else schedule.next_after(job, _utc(now)).strftime("%Y-%m-%dT%H:%M:%SZ"),
                "last": jobs.last(keeper, job.name),
            }
            for job in wanted.jobs
        ],
    }


def _utc(epoch: float) -> datetime:
    return datetime.fromtimestamp(epoch, timezone.utc)


def _path(keeper: Keeper) -> str:
    return keeper.state + "/schedule.json"


def _load(keeper: Keeper) -> dict[str, dict[str, Any]]:
    """Whatever cannot be read is as if it were not there: every job then counts from now."""
    try:
        return {name: dict(entry) for name, entry in json.loads(read(_path(keeper)) or "{}").items()}
    except (ValueError, AttributeError, TypeError):
        return {}


def _forget(keeper: Keeper) -> None:
    with contextlib.suppress(FileNotFoundError):
        os.unlink(_path(keeper))


def _save(keeper: Keeper, seen: Mapping[str, Mapping[str, Any]]) -> None:
    content = json.dumps(seen, sort_keys=True) + "\n"
    if read(_path(keeper)) != content:
        write(File(_path(keeper), content, 0o640, os.getuid(), os.getgid()))
