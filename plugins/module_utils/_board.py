# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The board between the poller, who writes, and everybody who asks over HTTP: one snapshot. Private to the collection.

Whoever asks gets what is on the board and never waits for the database. A snapshot that nobody renews is not news, so
its age is part of every answer and decides about it.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Any, Mapping, Optional

from ._times import hours, rfc3339

SCHEMA = 1

# A snapshot that is older than so many polls is stale.
STALE_POLLS = 3

_INSTANCE = (
    "name",
    "environment",
    "image",
    "pg_version",
    "role",
    "timeline",
    "system_id",
    "uptime_seconds",
    "started_at",
)
_RATES = (
    "transactions_per_second",
    "rollback_ratio",
    "cache_hit_ratio",
    "rows_written_per_second",
    "wal_bytes_per_second",
    "temp_bytes_per_second",
    "deadlocks",
)
_HISTORY = ("transactions_per_second", "sessions_active", "response_ms", "cache_hit_ratio", "disk_data_percent")
_CPU = ("periods", "throttled_periods", "throttled_ratio", "used_ratio", "quota_cpus")
_ARCHIVER = ("mode", "ready_count", "failing_since", "last_archived_age_seconds", "failed_count", "archived_count")
_SESSIONS = ("total", "active", "idle", "idle_in_transaction", "blocked", "maximum")


class Board:
    """The newest snapshot. Reading takes no lock: a reference is exchanged, never the snapshot changed."""

    def __init__(self) -> None:
        self._snapshot: Optional[Mapping[str, Any]] = None

    def publish(self, snapshot: Mapping[str, Any]) -> None:
        self._snapshot = MappingProxyType(dict(snapshot))

    def latest(self) -> Optional[Mapping[str, Any]]:
        """None until something was published."""
        return self._snapshot


def present(snapshot: Optional[Mapping[str, Any]], now: float, interval_seconds: float) -> dict[str, Any]:
    """What /status answers at now (seconds since the epoch): the snapshot with time, snapshot_age_ms and live.

    Every key of the contract is there, null or empty where nothing is known. A snapshot that is missing, stale or of a
    time to come (the clock was set back, so its age is unknown) makes the whole critical and not ready.
    """
    status: dict[str, Any] = {**_nothing(), **(snapshot or {})}
    taken_at = None if snapshot is None else float(snapshot["taken_at"])
    age = None if taken_at is None else now - taken_at
    status["time"] = rfc3339(now)
    status["snapshot_age_ms"] = None if age is None else max(0, round(age * 1000))
    trouble = _trouble(age, interval_seconds)
    status["live"] = trouble is None
    if trouble is None:
        return status
    bound = STALE_POLLS * interval_seconds
    check = {
        "id": "snapshot",
        "status": "critical",
        "value": None if age is None else round(max(0.0, age), 1),
        "message": trouble,
        "unit": "s",
        "warn": None,
        "crit": bound,
        "hint": "docker logs of the keeper tells what its poller waits for; docker restart starts it anew",
        "since": None if taken_at is None else rfc3339(min(now, taken_at + bound)),
        "target": "",
    }
    reason = "snapshot: %s" % trouble
    status.update(
        status="critical",
        ready=False,
        checks=[*(each for each in status["checks"] if each["id"] != "snapshot"), check],
        reasons=[reason, *status["reasons"]],
        reasons_not_ready=[reason, *status["reasons_not_ready"]],
    )
    return status


def _trouble(age: Optional[float], interval_seconds: float) -> Optional[str]:
    if age is None:
        return "nothing has been looked at yet"
    if age >= STALE_POLLS * interval_seconds:
        return "what is known is %s old, one look every %g s is due" % (hours(age), interval_seconds)
    if age < -interval_seconds:
        return "what is known is of a time to come: the clock was set back"
    return None


def _nothing() -> dict[str, Any]:
    """The snapshot of somebody who knows nothing; new for each caller, since it is filled."""
    return {
        "schema": SCHEMA,
        "status": "critical",
        "ready": False,
        "taken_at": None,
        "version": None,
        "instance": dict.fromkeys(_INSTANCE),
        "checks": [],
        "reasons": [],
        "reasons_not_ready": [],
        "maintenance": None,
        "circuit": dict.fromkeys(("state", "failures", "opened_at")),
        "latency": dict.fromkeys(("response_ms", "connect_ms")),
        "sessions": {**dict.fromkeys(_SESSIONS), "longest": []},
        "rates": dict.fromkeys(_RATES),
        "restarts": dict.fromkeys(("last_hour", "last_day", "crashes_last_day", "last_at")),
        "storage": [],
        "databases": [],
        "wal_bytes": None,
        "memory": dict.fromkeys(("limit_bytes", "used_bytes", "working_set_bytes", "oom_kills")),
        "cpu": dict.fromkeys(_CPU),
        "archiver": dict.fromkeys(_ARCHIVER),
        "slots": [],
        "replicas": [],
        "replica_lag_seconds": None,
        "replica_lag_bytes": None,
        "backup": {
            **dict.fromkeys(("newest", "status", "status_text", "running", "last_run", "next_at", "drill")),
            "repositories": [],
        },
        "alerts": {"waiting": None, "delivered": None, "failing": [], "proven_at": None},
        "pool": None,
        "certificates": [],
        "settings": {"pending_restart": [], "errors": None},
        "xid_age": None,
        "checksum_failures": None,
        "statements": [],
        "history": {"interval_seconds": 60, "points": 60, **{name: [] for name in _HISTORY}},
        "events": [],
    }
