# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From what the poller read to the snapshot that everybody gets. Pure. Private to the collection."""

from __future__ import annotations

from typing import Any, Mapping, Optional, Sequence

from . import _health_checks as shared
from . import _health_pooler as pooler
from . import _poll_machine as machine
from . import _poll_sql as sql
from . import _snapshot_checks as own
from ._board import SCHEMA
from ._breaker import OPEN
from ._health import Limits
from ._health_check import CRITICAL, HEALTHY, WARNING, Check
from ._hysteresis import Hysteresis
from ._poll_link import HUNG
from ._schedule import BACKUPS
from ._times import epoch_of, rfc3339
from ._version import VERSION

_EVENTS = 20
# From here on PostgreSQL may stop at any moment, so nobody should send it work.
_DISK_READY_PERCENT = 95.0

# Their values change with the load, so they are told when they last. For a pooler it is also that its clients wait
# while an operation interrupts the server.
_STEADY = (
    "response_time",
    "connections",
    "memory",
    "cpu_throttling",
    "blocked_sessions",
    "replication",
    "disk_",
    "pool",
    "statistics",
)

_RANK = {WARNING: 1, CRITICAL: 2}


def make(facts: Mapping[str, Any], hysteresis: Hysteresis) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The snapshot without events and history, and its checks with changed: whether it is another word since now."""
    now, answer, login = facts["now"], facts["answer"], facts["login"]
    evidence, maintenance = facts["evidence"], facts["maintenance"]
    found, rare = answer.frequent, answer.rare or {}
    role = None if found is None else "standby" if found["recovering"] else "primary"
    sessions = None if found is None else sql.sessions(found)
    memory = None if found is None else machine.memory(found["cgroup"])
    archiver = _archiver(facts)
    checks = _settled(_checks(facts, role, sessions, memory, archiver), hysteresis, now)
    worst = max((_RANK.get(each["status"], 0) for each in checks), default=0)
    not_ready = _not_ready(facts, checks)
    started_at = None if found is None else found["started_at"]
    snapshot = {
        "schema": SCHEMA,
        "status": {0: HEALTHY, 1: WARNING, 2: CRITICAL}[worst],
        "ready": not not_ready,
        "taken_at": now,
        "version": VERSION,
        "instance": {
            "name": facts["instance"],
            "environment": facts["environment"],
            # The keeper has no engine to ask.
            "image": None,
            "pg_version": (rare.get("version") or "").split(" ")[0] or None,
            "role": role,
            "timeline": rare.get("timeline"),
            "system_id": rare.get("system_id"),
            "uptime_seconds": None if started_at is None else round(max(now - started_at, 0.0), 1),
            "started_at": None if started_at is None else rfc3339(started_at),
        },
        "checks": [{name: value for name, value in each.items() if name != "changed"} for each in checks],
        "reasons": ["%(id)s: %(message)s" % each for each in checks if _RANK.get(each["status"])],
        "reasons_not_ready": not_ready,
        "maintenance": None if maintenance is None else {name: getattr(maintenance, name) for name in _MAINTENANCE},
        "circuit": {
            "state": facts["breaker"].state,
            "failures": facts["breaker"].failures,
            "opened_at": None if facts["breaker"].opened_at is None else rfc3339(facts["breaker"].opened_at),
        },
        "latency": {"response_ms": login.response_ms, "connect_ms": login.connect_ms},
        "sessions": sessions or {**dict.fromkeys(_SESSIONS), "longest": []},
        "rates": facts["rates"],
        "restarts": facts["starts"].summary(now),
        "storage": facts["storage"],
        "databases": rare.get("databases") or [],
        "wal_bytes": rare.get("wal_bytes"),
        "memory": {name: (memory or {}).get(name) for name in _MEMORY},
        "cpu": {name: (facts["cpu"] or {}).get(name) for name in _CPU},
        "archiver": {name: (archiver or {}).get(name) for name in _ARCHIVER},
        "slots": (found or {}).get("slots") or [],
        "replicas": (found or {}).get("replicas") or [],
        **{name: (found or {}).get(name) for name in ("replica_lag_seconds", "replica_lag_bytes")},
        "backup": _backup(facts),
        "alerts": {name: (evidence.get("alerts") or {}).get(name) for name in ("waiting", "delivered", "proven_at")},
        "pool": None if facts["pooler"][0] is None else facts["pooler"][0]["pool"],
        "certificates": _certificates(evidence.get("certificate")),
        "settings": {"pending_restart": rare.get("pending_restart") or [], "errors": rare.get("file_errors")},
        "xid_age": rare.get("xid_age"),
        "checksum_failures": None if found is None else found["checksum_failures"],
        "statements": [{**each, "query": sql.shown(each["query"])} for each in answer.statements],
    }
    snapshot["alerts"]["failing"] = (evidence.get("alerts") or {}).get("failing") or []
    return snapshot, checks


_BESIDE = ("backup", "off_site", "drills", "certificate")
_MAINTENANCE = ("reason", "since", "until")
_SESSIONS = ("total", "active", "idle", "idle_in_transaction", "blocked", "maximum")
_MEMORY = ("limit_bytes", "used_bytes", "working_set_bytes", "oom_kills")
_CPU = ("periods", "throttled_periods", "throttled_ratio", "used_ratio", "quota_cpus")
_ARCHIVER = ("mode", "ready_count", "failing_since", "last_archived_age_seconds", "failed_count", "archived_count")


def _archiver(facts: Mapping[str, Any]) -> Optional[dict[str, Any]]:
    found = facts["answer"].frequent
    if found is None:
        return None
    known = found["archiver"]
    since, age = facts["archive_failing_since"], known["last_archived_age_seconds"]
    return {
        **known,
        "last_archived_age_seconds": None if age is None else round(age, 1),
        "ready_count": len(facts["archive_waiting"]),
        "failing": since is not None,
        "failing_since": None if since is None else rfc3339(since),
    }


def _checks(
    facts: Mapping[str, Any],
    role: Optional[str],
    sessions: Optional[Mapping[str, Any]],
    memory: Optional[Mapping[str, Any]],
    archiver: Optional[Mapping[str, Any]],
) -> list[Check]:
    now, answer, login, evidence = facts["now"], facts["answer"], facts["login"], facts["evidence"]
    limits, name, found = Limits(), facts["instance"], answer.frequent
    pooled, unpooled = facts["pooler"]
    down = None if facts["down_since"] is None else now - facts["down_since"]
    # As the health of the host has them.
    known: dict[str, Any] = {
        "instance": name,
        "now": now,
        "container": None,
        "errors": {**dict.fromkeys(_BESIDE, "it was not read yet"), **evidence["errors"]},
        "login": None
        if found is None or sessions is None
        else {
            "role": role,
            "response_ms": login.response_ms,
            "connections": {"used": sessions["total"], "maximum": found["usable"]},
            "checksum_failures": found["checksum_failures"],
            "archiver": archiver,
        },
        **{name: evidence.get(name) for name in _BESIDE},
        "drill_record": next(iter(evidence.get("drill_records", ())), None),
        **{each["id"]: each for each in facts["storage"]},
    }
    return [
        own.database(name, login, facts["breaker"], role, down),
        shared.response(known, limits.response_ms),
        shared.connections(known, limits.connections_percent),
        own.statistics(answer, name),
        own.restarts(facts["starts"], now, name),
        *(shared.disk(known, each["id"], limits.disk_percent) for each in facts["storage"]),
        own.memory(memory),
        own.throttling(facts["cpu"]),
        own.blocked(sessions),
        own.idle_in_transaction(found["sessions"]["idle_seconds"] if found else None, found is not None),
        shared.checksums(known),
        own.xid_age((answer.rare or {}).get("xid_age")),
        own.slots(None if found is None else found["slots"] or []),
        own.replication(role, (found or {}).get("replica_lag_seconds"), (found or {}).get("replicas") or []),
        own.settings(answer.rare),
        shared.archiver(known, limits.archive_ready),
        *([shared.backup(known, limits.backup_hours)] if evidence.get("looked") else []),
        shared.off_site(known, limits.off_site_seconds),
        shared.drill(known, limits.drill_days),
        shared.timelines(known),
        shared.certificate(known, limits.certificate_days),
        own.alerts(evidence.get("alerts"), evidence["errors"].get("alerts", "it was not read yet")),
        pooler.pooler(pooled, unpooled, login.state is None),
        pooler.pools(pooled, unpooled, limits.pool_percent),
    ]


def _settled(found: Sequence[Check], hysteresis: Hysteresis, now: float) -> list[dict[str, Any]]:
    settled = []
    for each in found:
        # That nobody answers is told by a deadline, which one slow moment passes too.
        lasting = each.id.startswith(_STEADY) or (each.id == "database" and each.value == HUNG)
        status, since, changed = hysteresis.settle(each.id, each.status, now, at_once=not lasting)
        settled.append({**vars(each), "status": status, "since": rfc3339(since), "target": "", "changed": changed})
    return settled


def _not_ready(facts: Mapping[str, Any], checks: Sequence[Mapping[str, Any]]) -> list[str]:
    """Why no traffic should be sent now; empty when it may."""
    reasons = []
    maintenance = facts["maintenance"]
    if maintenance is not None and maintenance.drains:
        reasons.append("maintenance: %s until %s" % (maintenance.reason, maintenance.until))
    database = next(each for each in checks if each["id"] == "database")
    if facts["login"].state is not None or database["status"] != HEALTHY:
        words = database["message"]
        if facts["login"].state is None:
            words = "the server answers again; one more poll will say whether it lasts"
        reasons.append("database: %s" % words)
    if facts["breaker"].state == OPEN:
        reasons.append("circuit: open after %d failed logins" % facts["breaker"].failures)
    for disk in facts["storage"]:
        if disk["id"] == "data" and disk["used_percent"] >= _DISK_READY_PERCENT:
            reasons.append("disk_data: %s %% are used" % disk["used_percent"])
    return reasons


def _backup(facts: Mapping[str, Any]) -> dict[str, Any]:
    evidence, now = facts["evidence"], facts["now"]
    found = evidence.get("backup") or {}
    newest = next((each for each in found.get("backups", ()) if each["label"] == found["newest_clean"]), None)
    runs = evidence.get("backup_runs", ())
    last = next((each for each in reversed(runs) if each["result"] not in ("busy", "unfinished")), None)
    upcoming = {each["name"]: each["next_at"] for each in (evidence.get("upcoming") or {}).get("jobs", ())}
    return {
        "newest": None if newest is None else _newest(newest, now),
        "status": found.get("status"),
        "status_text": found.get("status_text"),
        "running": evidence.get("running"),
        "last_run": None if last is None else {"job": "backup", "result": last["result"], "at": last["at"]},
        "next_at": min((upcoming[name] for name in BACKUPS if upcoming.get(name)), default=None),
        "drill": _drill(evidence, upcoming.get("drill")),
        "repositories": _repositories(facts, found),
    }


def _newest(found: Mapping[str, Any], now: float) -> dict[str, Any]:
    stopped = epoch_of(found["stopped_at"])
    return {
        **{name: found[name] for name in ("label", "type", "stopped_at")},
        "age_seconds": None if stopped is None else round(max(now - stopped, 0.0), 1),
        **{name: found[name] for name in ("size_bytes", "repository_bytes", "proven_at")},
    }


def _drill(evidence: Mapping[str, Any], next_at: Optional[str]) -> Optional[dict[str, Any]]:
    """Of the newest one, but for passed_at: when the newest one that passed began, of whatever repository."""
    found: Optional[Mapping[str, Any]] = next(iter(evidence.get("drill_records", ())), None)
    passed_at = max((proof.proven_at for proof in evidence.get("drills") or () if proof.proven_at), default=None)
    if found is None and next_at is None:
        return None
    record = found or {}
    return {
        "at": record.get("started_at"),
        "result": None if found is None else "ok" if record.get("passed") else "failed",
        "passed_at": None if passed_at is None else rfc3339(passed_at),
        "rto_seconds": record.get("rto_seconds"),
        "rpo_seconds": record.get("rpo_seconds"),
        "next_at": next_at,
    }


def _repositories(facts: Mapping[str, Any], found: Mapping[str, Any]) -> list[dict[str, Any]]:
    evidence, waiting = facts["evidence"], facts["archive_waiting"]
    kind = evidence.get("repository_type")
    if kind is None:
        return []
    first = {
        "number": 1,
        "type": kind,
        "lag_seconds": round(max(facts["now"] - min(waiting, default=facts["now"]), 0.0), 1),
        "error": (found.get("wal") or {}).get("error"),
    }
    names = ("number", "type", "lag_seconds", "error")
    return [first, *({name: each[name] for name in names} for each in evidence.get("off_site") or ())]


def _certificates(found: Optional[Mapping[str, Any]]) -> list[dict[str, Any]]:
    if found is None or found["not_after"] is None:
        return []
    return [{"of": "server", "not_after": found["not_after"], "days_left": found["days_left"]}]


def events(known: Sequence[Mapping[str, Any]], evidence: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The newest of everything that happened, newest first: known (of the poller), operations, drills and alerts."""
    found = [dict(each) for each in known]
    for done in evidence.get("operations", ()):
        if done["action"] == "drill":
            # Its record tells more.
            continue
        failed = done["result"] not in ("ok", "busy", "unfinished")
        text = "%(action)s by %(actor)s: %(result)s" % done
        kind = "backup" if done["action"] == "backup" else "operation"
        found.append(_event(done["at"], kind, "warning" if failed else "info", text))
    for record in evidence.get("drill_records", ()):
        text = "drill of %s: %s" % (record.get("label"), "passed" if record.get("passed") else "failed")
        found.append(_event(record.get("started_at"), "drill", "info" if record.get("passed") else "warning", text))
    for alert in (evidence.get("alerts") or {}).get("recent", ()):
        found.append(_event(alert["at"], "alert", alert["severity"], alert["what"]))
    return sorted((each for each in found if each["at"]), key=lambda each: str(each["at"]), reverse=True)[:_EVENTS]


def _event(at: Optional[str], kind: str, severity: str, text: str) -> dict[str, Any]:
    return {"at": at, "kind": kind, "severity": severity, "text": text}
