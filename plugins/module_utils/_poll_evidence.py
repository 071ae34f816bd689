# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the snapshot tells beside the server: backups, drills, jobs, alerts, certificates. Private to the collection.

Read apart from the poll, because a repository or a certificate may take longer than a poll may. What cannot be read is
None and its reason stands in errors, by the same key; nothing here raises.
"""

from __future__ import annotations

import contextlib
import os
import time
from typing import Any, Callable, Mapping, Optional, Sequence, TypeVar

from . import _alert_queue as queue
from . import _audit as audit
from . import _drill_record as drill_record
from . import _job as jobs
from . import _off_site as off_site
from . import _schedule as schedule
from . import _schedule_duty
from ._alert_config import load as load_alerts
from ._audit_newest import Newest
from ._backup_info import described
from ._backup_repository import BACKUP_OF, Keeper, information, types
from ._drill_turn import proofs
from ._errors import PgkeepError
from ._layout import CONFIG_MOUNT, MONITOR, PORT
from ._lock import holder
from ._poll_login import address_of
from ._probe import Target, certificate
from ._repository_seen import mark_of, seen

T = TypeVar("T")

# What changes without a file of its own, such as the age of WAL elsewhere, is read again this often.
AGAIN_SECONDS = 60.0

_DRILL_EVENTS, _OPERATION_EVENTS = 10, 50
_SERVED = CONFIG_MOUNT + "/tls/server.crt"


class Evidence:
    """latest is what the last look() found; whoever polls takes it as it is."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self.latest: Mapping[str, Any] = {"errors": {}}
        self._clock = clock
        # Told by the poller: the server is asked by nobody here, who would hang with it.
        self.archiver_since: Optional[float] = None
        self._mark: Any = None
        self._looked_at = 0.0
        self._trail = Newest()

    def look(self, keeper: Keeper) -> None:
        """Read everything anew when one of the files has changed or it is time for it."""
        now = self._clock()
        mark = (mark_of(keeper), _files_mark(keeper), self.archiver_since is None)
        due = not 0 <= now - self._looked_at < AGAIN_SECONDS
        # Whether a backup runs is known by its lock alone.
        if mark == self._mark and not due:
            self.latest = {**self.latest, "running": _running(keeper)}
            return
        self.latest = self._read(keeper, mark[0], now)
        self._mark, self._looked_at = mark, now

    def _read(self, keeper: Keeper, mark: Any, now: float) -> dict[str, Any]:
        errors: dict[str, str] = {}

        def tried(key: str, function: Callable[[], T]) -> Optional[T]:
            try:
                return function()
            except (PgkeepError, OSError, ValueError, KeyError) as error:
                errors[key] = str(error)
                return None

        operations = tried("operations", lambda: self._trail.operations(keeper.state)) or []
        found: dict[str, Any] = {
            "errors": errors,
            "looked": True,
            "backup": tried("backup", lambda: described(keeper, seen(keeper, mark, now), lambda: self.archiver_since)),
            "off_site": tried("off_site", lambda: off_site.of(keeper, now)),
            "drills": tried("drills", lambda: proofs(keeper)),
            "drill_records": tried("drill_records", lambda: _newest_drills(keeper)) or [],
            "jobs": {name: record for name in schedule.JOBS for record in [jobs.last(keeper, name)] if record},
            "upcoming": tried("upcoming", lambda: _schedule_duty.upcoming(keeper, now)),
            "alerts": tried("alerts", lambda: _alerts(keeper, now, operations)),
            "operations": operations[-_OPERATION_EVENTS:],
            "backup_runs": [each for each in operations if each["action"] == "backup"],
            "running": tried("running", lambda: _running(keeper)),
            "repository_type": tried("repository_type", lambda: _types(keeper)),
            # Of this moment: one that was served before is not known to be served again.
            "certificate": tried("certificate", lambda: _certificate(keeper, now)),
        }
        return found


def _files_mark(keeper: Keeper) -> list[tuple[str, float]]:
    names = [keeper.state + "/" + audit.FILE, keeper.state + "/alerts/delivery.json", keeper.state + "/schedule.json"]
    names += (queue.sent_dir(keeper.state), drill_record.folder(keeper.state), _SERVED)
    return [(name, written) for name in names for written in [_written(name)] if written is not None]


def _written(path: str) -> Optional[float]:
    with contextlib.suppress(OSError):
        return os.stat(path).st_mtime
    return None


def _certificate(keeper: Keeper, now: float) -> dict[str, Any]:
    target = Target(keeper.instance, PORT, MONITOR, "", CONFIG_MOUNT + "/tls/ca.crt", address=address_of(keeper))
    return certificate(target, now)


def _newest_drills(keeper: Keeper) -> list[dict[str, Any]]:
    found = []
    for record in drill_record.records(keeper.state):
        found.append(record)
        if len(found) == _DRILL_EVENTS:
            break
    return found


def _types(keeper: Keeper) -> Optional[str]:
    return types(keeper).get(1)


def _alerts(keeper: Keeper, now: float, operations: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The part alerts of the snapshot, and recent: those sent, newest first."""
    config = load_alerts(keeper)
    names = [receiver.name for receiver in config.receivers] if config else []
    told = queue.summary(keeper.state, names, now)
    tests = [done for done in operations if done["action"] == "alert-test" and done["result"] == "ok"]
    return {
        "waiting": told["queued"],
        "delivered": told["sent"],
        "failing": [each["name"] for each in told["receivers"] if each["failing_since"]],
        "proven_at": tests[-1]["at"] if tests else None,
        "recent": queue.recent(keeper.state, 20),
    }


def _running(keeper: Keeper) -> Optional[dict[str, Any]]:
    """Who works in the repository now. How far a backup is, pgBackRest knows; it is asked only while one runs."""
    note = holder(keeper.lock_file)
    if note is None:
        return None
    action, percent = str(note.get("action", "")), None
    if action == BACKUP_OF % keeper.instance:
        with contextlib.suppress(PgkeepError):
            percent = information(keeper).percent
    return {"operation": action, "since": note.get("since"), "percent": percent}
