# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the snapshot tells beside the server: backups, drills, jobs, alerts, certificates. Private to the collection.

Read apart from the poll, because a repository or a certificate may take longer than a poll may. What cannot be read is
None and its reason stands in errors, by the same key; nothing here raises.
"""

from __future__ import annotations

import os
import time
from typing import Any, Callable, Mapping, Optional, TypeVar

from . import _alert_queue as queue
from . import _audit as audit
from . import _drill_record as drill_record
from . import _job as jobs
from . import _off_site as off_site
from . import _schedule as schedule
from . import _schedule_duty
from ._alert_config import load as load_alerts
from ._backup_info import described
from ._backup_repository import Keeper, types
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
CERTIFICATE_SECONDS = 60.0

_DRILL_EVENTS = 10


class Evidence:
    """latest is what the last look() found; whoever polls takes it as it is."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self.latest: Mapping[str, Any] = {"errors": {}}
        self._clock = clock
        # Told by the poller: the server is asked by nobody here, who would hang with it.
        self.archiver_since: Optional[float] = None
        self._mark: Any = None
        self._looked_at = 0.0
        self._certificate_at = 0.0

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

        found: dict[str, Any] = {
            "errors": errors,
            "looked": True,
            "backup": tried("backup", lambda: described(keeper, seen(keeper, mark, now), lambda: self.archiver_since)),
            "off_site": tried("off_site", lambda: off_site.of(keeper, now)),
            "drills": tried("drills", lambda: proofs(keeper)),
            "drill_records": tried("drill_records", lambda: _newest_drills(keeper)) or [],
            "jobs": {name: record for name in schedule.JOBS for record in [jobs.last(keeper, name)] if record},
            "upcoming": tried("upcoming", lambda: _schedule_duty.upcoming(keeper, now)),
            "alerts": tried("alerts", lambda: _alerts(keeper, now)),
            "operations": tried("operations", lambda: audit.operations(audit.records(keeper.state))[-50:]) or [],
            "running": tried("running", lambda: _running(keeper)),
            "repository_type": tried("repository_type", lambda: _types(keeper)),
        }
        found["certificate"] = self._served_certificate(keeper, now, errors)
        return found

    def _served_certificate(self, keeper: Keeper, now: float, errors: dict[str, str]) -> Optional[Mapping[str, Any]]:
        known: Optional[Mapping[str, Any]] = self.latest.get("certificate")
        if known is not None and 0 <= now - self._certificate_at < CERTIFICATE_SECONDS:
            return known
        try:
            target = Target(
                keeper.instance, PORT, MONITOR, "", CONFIG_MOUNT + "/tls/ca.crt", address=address_of(keeper)
            )
            found = certificate(target, now)
        except (PgkeepError, OSError) as error:
            errors["certificate"] = str(error)
            return known
        self._certificate_at = now
        return found


def _files_mark(keeper: Keeper) -> list[tuple[str, float]]:
    names = [keeper.state + "/" + audit.FILE, keeper.state + "/alerts/delivery.json", keeper.state + "/schedule.json"]
    names += (queue.sent_dir(keeper.state), drill_record.folder(keeper.state))
    return [(name, os.stat(name).st_mtime) for name in names if os.path.exists(name)]


def _newest_drills(keeper: Keeper) -> list[dict[str, Any]]:
    found = []
    for record in drill_record.records(keeper.state):
        found.append(record)
        if len(found) == _DRILL_EVENTS:
            break
    return found


def _types(keeper: Keeper) -> Optional[str]:
    return types(keeper).get(1)


def _alerts(keeper: Keeper, now: float) -> dict[str, Any]:
    """The part alerts of the snapshot, and recent: those sent, newest first."""
    config = load_alerts(keeper)
    names = [receiver.name for receiver in config.receivers] if config else []
    told = queue.summary(keeper.state, names, now)
    tests = [
        done
        for done in audit.operations(audit.records(keeper.state))
        if done["action"] == "alert-test" and done["result"] == "ok"
    ]
    return {
        "waiting": told["queued"],
        "delivered": told["sent"],
        "failing": [each["name"] for each in told["receivers"] if each["failing_since"]],
        "proven_at": tests[-1]["at"] if tests else None,
        "recent": queue.recent(keeper.state, 20),
    }


def _running(keeper: Keeper) -> Optional[dict[str, Any]]:
    """Who works in the repository now."""
    note = holder(keeper.lock_file)
    if note is None:
        return None
    return {"operation": str(note.get("action", "")), "since": note.get("since"), "percent": None}
