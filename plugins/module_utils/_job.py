# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A job: one command of the keeper, started by a schedule, with a record of how it went. Private to the collection.

Whoever keeps the time (keeper, systemd, cron), the job itself runs in the keeper and here, so that its record, its
audit trail and its alert are the same.
"""

from __future__ import annotations

import json
import os
import time
from typing import Any, Mapping, Optional

from . import _alert as alert
from ._backup_repository import Keeper
from ._errors import PgkeepError
from ._files import File, read, write
from ._keeper import answer
from ._lock import hold
from ._schedule import JOBS
from ._times import rfc3339

OK, FAILED, BUSY, RUNNING, INTERRUPTED = "ok", "failed", "busy", "running", "interrupted"

# Job -> words of the keeper's command line.
COMMANDS: Mapping[str, list[str]] = {
    "full": ["backup", "--type", "full"],
    "diff": ["backup", "--type", "diff"],
    "incr": ["backup", "--type", "incr"],
    "drill": ["drill", "--repo", "due"],
    "dump": ["dump"],
}


def run_job(keeper: Keeper, name: str, actor: str) -> dict[str, Any]:
    """Run the job and return its record: name, result, started_at, ended_at, duration_seconds, error.

    A failure raises no error: it is in the record, and queued as an alert. busy is no failure, somebody else works.
    Raises PgkeepError for a name that nobody knows and, busy, while the same job runs.
    failing_since in the record lasts until the job succeeds, which is told too.
    """
    if name not in COMMANDS:
        raise PgkeepError(
            "There is no job %s" % name, "known are %s" % ", ".join(JOBS), "choose one of these, or run a command"
        )
    os.makedirs(keeper.state + "/jobs", mode=0o750, exist_ok=True)
    # A second one shall not write over the record of the first.
    with hold("%s/jobs/%s.lock" % (keeper.state, name), "job %s of %s" % (name, keeper.instance), who=actor):
        return _run(keeper, name, actor)


def _run(keeper: Keeper, name: str, actor: str) -> dict[str, Any]:
    began = time.time()
    failing_since = (last(keeper, name) or {}).get("failing_since")
    record: dict[str, Any] = {
        "name": name,
        "actor": actor,
        "started_at": rfc3339(began),
        "result": RUNNING,
        "failing_since": failing_since,
    }
    save(keeper, {**record, "pid": os.getpid()})
    argv = COMMANDS[name]
    try:
        answer(keeper.run(["pgkeep", "--actor", actor, *argv]), argv)
        result, error = OK, None
    except PgkeepError as failure:
        result, error = BUSY if failure.busy else FAILED, failure
    ended = time.time()
    record.update(
        result=result,
        ended_at=rfc3339(ended),
        duration_seconds=round(ended - began, 3),
        error=error.to_result() if error else None,
    )
    if result == OK:
        record["failing_since"] = None
    elif result == FAILED:
        record["failing_since"] = failing_since or rfc3339(began)
    save(keeper, record)
    if error is not None and result == FAILED:
        _tell(keeper, name, error.what, error.why, error.next_step, ended)
    elif result == OK and failing_since:
        _tell_resolved(keeper, name, failing_since, ended)
    return record


def _tell(keeper: Keeper, name: str, what: str, why: str, next_step: str, now: float) -> None:
    told = alert.Alert(keeper.instance, alert.CRITICAL, name, what, why, next_step, rfc3339(now))
    alert.put(keeper.state, told, now)


def _tell_resolved(keeper: Keeper, name: str, failing_since: str, now: float) -> None:
    told = alert.Alert(
        keeper.instance,
        alert.INFO,
        name,
        "The job %s of %s works again" % (name, keeper.instance),
        "it failed since %s and has now ended well" % failing_since,
        "nothing",
        rfc3339(now),
        status=alert.RESOLVED,
    )
    alert.put(keeper.state, told, now)


def _path(keeper: Keeper, name: str) -> str:
    return "%s/jobs/%s.json" % (keeper.state, name)


def save(keeper: Keeper, record: Mapping[str, Any]) -> None:
    path = _path(keeper, str(record["name"]))
    write(File(path, json.dumps(record) + "\n", 0o640, os.getuid(), os.getgid()))


def last(keeper: Keeper, name: str) -> Optional[dict[str, Any]]:
    """The record of the job's last run, None when it never ran or the record cannot be read."""
    try:
        return dict(json.loads(read(_path(keeper, name)) or ""))
    except ValueError:
        return None


def note_interrupted(keeper: Keeper, now: float) -> list[str]:
    """At the start of the keeper nothing runs yet: a job that is said to run was killed. Returns the names."""
    names = []
    for name in JOBS:
        record = last(keeper, name)
        if record and record.get("result") == RUNNING:
            names.append(name)
            since = record.get("failing_since") or record["started_at"]
            ended = {"result": INTERRUPTED, "ended_at": rfc3339(now), "pid": None, "failing_since": since}
            save(keeper, {**record, **ended})
            _tell(
                keeper,
                name,
                "The job %s of %s was interrupted" % (name, keeper.instance),
                "the keeper ended while it ran, since %s" % record["started_at"],
                "nothing, if it is due again by itself; look for a restart of the machine or of the keeper",
                now,
            )
    return names
