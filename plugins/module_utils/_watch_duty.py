# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The watch as a duty of the keeper: reads the facts, remembers what was told, queues alerts. Private."""

from __future__ import annotations

import json
import os
import time
from typing import Any, Callable, Mapping, Optional

from . import _alert as alerts
from . import _backup_repository as repository
from . import _backup_server as server
from . import _evidence_files as evidence
from . import _job as jobs
from . import _schedule as schedule
from . import _schedule_duty, _watch
from ._alert_config import Config, load
from ._backup_repository import Keeper
from ._drill_turn import proofs
from ._errors import PgkeepError
from ._evidence import current, judge
from ._files import File, read, write
from ._keeper_config import topic
from ._maintenance import current as maintenance
from ._pgbackrest_errors import not_archived
from ._repository_seen import REPOSITORY_SECONDS, mark_of, seen
from ._times import epoch_of, rfc3339


def check(keeper: Keeper) -> None:
    load(keeper)


def tick(keeper: Keeper, clock: Callable[[], float] = time.time) -> None:
    """Look once, if it is time for it. Without alerts in the inventory there is nobody to tell."""
    config = load(keeper)
    if config is None:
        return
    memory = remembered(keeper)
    now = clock()
    if 0 <= now - memory.get("looked_at", 0) < config.thresholds.watch_seconds:
        return
    memory["since"] = min(memory.get("since", now), now)
    facts = _facts(keeper, config, memory, now)
    states = memory.get("states", {})
    told = frozenset(key for key, entry in states.items() if entry["told_at"] is not None)
    found = _watch.troubles(keeper.instance, facts, config.thresholds, told)
    step = _watch.step(states, found, facts, config.thresholds)
    # Queued before it is remembered: told twice is better than never.
    for trouble in step.raised:
        _tell(keeper, trouble, now)
    for ended in step.resolved:
        _tell_resolved(keeper, ended, now)
    memory.update(states=step.state, looked_at=now)
    _save(keeper, memory)


def _tell(keeper: Keeper, trouble: _watch.Trouble, now: float) -> None:
    alert = alerts.Alert(
        keeper.instance, trouble.severity, trouble.key, trouble.what, trouble.why, trouble.next_step, rfc3339(now)
    )
    alerts.put(keeper.state, alert, now)


def _tell_resolved(keeper: Keeper, ended: Mapping[str, Any], now: float) -> None:
    alert = alerts.Alert(
        keeper.instance,
        alerts.INFO,
        ended["key"],
        "Over: %s" % ended["what"],
        "it was so from %s to %s" % (rfc3339(ended["since"]), rfc3339(ended.get("absent_since") or now)),
        "nothing",
        rfc3339(now),
        status=alerts.RESOLVED,
    )
    alerts.put(keeper.state, alert, now)


def _facts(keeper: Keeper, config: Config, memory: dict[str, Any], now: float) -> _watch.Facts:
    """Everything that is judged; memory keeps what need not be read every time."""
    wanted = schedule.parse(keeper.instance, topic(keeper, _schedule_duty.TOPIC))
    unknown = set()
    server_error: Optional[str] = None
    archiver_since, archiver_error = None, ("", "")
    try:
        archiver_since = server.archiver(keeper).failing_since
    except PgkeepError as error:
        server_error = error.why
        # A server that is down fails at nothing.
        unknown.add("archiver")
    if archiver_since is not None and now - archiver_since >= config.thresholds.archiver_failing_seconds:
        words = not_archived(repository.circumstances(keeper))
        archiver_error = (words.why, words.next_step)
    known = _judged(keeper, memory, now)
    if known["error"] is not None:
        unknown.add("backup-age")
    repository_error = tuple(known["error"]) if known["error"] is not None else None
    if maintenance(keeper.state, now) is not None:
        # It stands still on purpose. What began before is neither over nor told again.
        server_error, archiver_since, repository_error = None, None, None
        unknown |= _watch.STOPPABLE
    started = _started(keeper, wanted, memory)
    proven = tuple(proofs(keeper))
    noted = [known.get("newest_at"), *(proof.proven_at for proof in proven), *started.values()]
    return _watch.Facts(
        now=now,
        since=memory["since"],
        wanted=wanted,
        server_error=server_error,
        archiver_since=archiver_since,
        archiver_error=archiver_error,
        disks={
            name: used
            for name, path in (("repository", keeper.repository), ("data", keeper.data), ("state", keeper.state))
            for used in [used_percent(path)]
            if used is not None
        },
        repository_error=repository_error,
        started=started,
        clean_at=known["clean_at"],
        proofs=proven,
        newest_at=max((moment for moment in noted if moment is not None), default=None),
        unknown=frozenset(unknown),
    )


def used_percent(path: str) -> Optional[float]:
    """As df counts: what only root may use is neither used nor free. None for what is not there."""
    try:
        disk = os.statvfs(path)
    except OSError:
        return None
    used = disk.f_blocks - disk.f_bfree
    return 100.0 * used / (used + disk.f_bavail) if used + disk.f_bavail else None


def _started(keeper: Keeper, wanted: schedule.Schedule, memory: dict[str, Any]) -> dict[str, float]:
    """When each job last began to work. One that found the repository busy did not."""
    started: dict[str, float] = memory.setdefault("started", {})
    for job in wanted.jobs:
        record = jobs.last(keeper, job.name)
        if record and record.get("result") != jobs.BUSY:
            started[job.name] = epoch_of(record.get("started_at")) or 0.0
    return started


def _judged(keeper: Keeper, memory: dict[str, Any], now: float) -> dict[str, Any]:
    """clean_at, newest_at and error, read anew when something was done or it is time for it."""
    mark = mark_of(keeper)
    known: dict[str, Any] = memory.get("judged") or {}
    if known.get("mark") == mark and 0 <= now - known["at"] < REPOSITORY_SECONDS and known["error"] is None:
        return known
    clean_at, newest_at = known.get("clean_at"), known.get("newest_at")
    error = None
    try:
        snapshot = seen(keeper, mark, now)
        problem = repository.problem(keeper, snapshot.info)
        if problem is not None:
            raise problem
        newest_at = max((float(backup.stop) for backup in snapshot.info.backups), default=None)
        backups = judge(keeper.instance, snapshot, evidence.notes(keeper))
        usable = current(keeper.instance, snapshot, backups)
        clean_at = max((epoch_of(backup.stopped_at) or 0.0 for backup in usable), default=None)
    except PgkeepError as failed:
        if not failed.busy:
            error = [failed.what, failed.why, failed.next_step]
    memory["judged"] = {
        "mark": mark,
        "at": now,
        "clean_at": clean_at,
        "newest_at": newest_at,
        "error": error,
    }
    return dict(memory["judged"])


def _path(keeper: Keeper) -> str:
    return keeper.state + "/alerts/watch.json"


def remembered(keeper: Keeper) -> dict[str, Any]:
    """since, looked_at, states (key -> since, told_at, …), started, judged; empty where nobody has looked yet."""
    try:
        return dict(json.loads(read(_path(keeper)) or "{}"))
    except (ValueError, TypeError):
        return {}


def _save(keeper: Keeper, memory: Mapping[str, Any]) -> None:
    os.makedirs(os.path.dirname(_path(keeper)), mode=0o750, exist_ok=True)
    write(File(_path(keeper), json.dumps(memory, sort_keys=True) + "\n", 0o640, os.getuid(), os.getgid()))
