# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lower half of the status page: storage, backups, what is around the server, and what happened. Private to the
collection.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Mapping, Optional, Sequence, Set

from ._page_sparkline import Bar, gauge
from ._page_words import (
    UNKNOWN,
    Fact,
    ago,
    clock,
    date,
    duration,
    known,
    moment,
    number,
    percent,
    plain,
    ratio,
    rows,
    section,
    size,
    text,
)

# Days that a certificate is still good for (checks of the launch gate: H04), and those until a volume is full.
_CERTIFICATE_WARNING, _CERTIFICATE_CRITICAL = 30, 7
_EVENTS = 6
_LISTED = 4


@dataclass(frozen=True)
class Volume:
    """others: what else is on the same disk; status: warning or critical where a check says so, else ""."""

    name: str
    others: str
    used: str
    free: str
    growth: str
    full_in: str
    status: str
    gauge: Optional[Bar]


@dataclass(frozen=True)
class Running:
    """An operation that goes on; share in hundredths, where it is known."""

    words: str
    percent: str
    gauge: Optional[Bar]


@dataclass(frozen=True)
class Event:
    at: str
    shown: str
    age: str
    kind: str
    severity: str
    text: str


def volumes(status: Mapping[str, Any]) -> list[Volume]:
    """One for each disk: volumes on the same one fill together, and are one line."""
    judged = {check.get("id"): check.get("status") for check in rows(status, "checks")}
    disks: dict[Any, list[Mapping[str, Any]]] = {}
    for row in rows(status, "storage"):
        same = (number(row.get("size_bytes")), number(row.get("used_percent")))
        # What is not known is not the same.
        disks.setdefault(id(row) if None in same else same, []).append(row)
    return [_volume(on_it, {judged.get("disk_%s" % row.get("id")) for row in on_it}) for on_it in disks.values()]


def _volume(on_it: Sequence[Mapping[str, Any]], judged: Set[Any]) -> Volume:
    row = on_it[0]
    growth, days = number(row.get("growth_bytes_per_day")), number(row.get("days_to_full"))
    return Volume(
        name=known(row.get("id"), 24),
        others=", ".join(known(other.get("id"), 24) for other in on_it[1:]),
        used="%s of %s" % (percent(row.get("used_percent")), size(row.get("size_bytes"))),
        free=size(row.get("free_bytes")),
        growth=UNKNOWN if growth is None else size(growth),
        full_in=_full_in(growth, days),
        status=next((word for word in ("critical", "warning") if word in judged), ""),
        gauge=gauge(row.get("used_percent"), 100, 70, 85),
    )


def _full_in(growth: Optional[float], days: Optional[float]) -> str:
    if days is None:
        return "never" if growth is not None and growth <= 0 else UNKNOWN
    return "> 10 years" if days > 3650 else duration(days * 86400)


def storage_notes(status: Mapping[str, Any]) -> list[Fact]:
    databases = sorted(rows(status, "databases"), key=lambda row: -(number(row.get("size_bytes")) or 0.0))
    shown = ["%s %s" % (known(row.get("name"), 40), size(row.get("size_bytes"))) for row in databases[:_LISTED]]
    more = len(databases) - len(shown)
    if more > 0:
        shown.append("%d more" % more)
    return [Fact("Databases", ", ".join(shown) or UNKNOWN), Fact("WAL", size(status.get("wal_bytes")))]


def running(status: Mapping[str, Any], now: Optional[float]) -> Optional[Running]:
    found = section(section(status, "backup"), "running")
    if not found:
        return None
    since = moment(found.get("since"))
    words = "%s running" % known(found.get("operation"), 40).capitalize()
    if since is not None and now is not None:
        words += " for %s" % duration(now - since)
    share = found.get("percent")
    return Running(words, "" if number(share) is None else percent(share), gauge(share, 100))


def backup_facts(status: Mapping[str, Any], now: Optional[float]) -> list[Fact]:
    backup = section(status, "backup")
    return [
        *_newest(backup, now),
        _last_run(backup, now),
        Fact("Next backup", ago(backup.get("next_at"), now), _clock_note(backup.get("next_at"))),
        *_drill(section(backup, "drill"), now),
        *(_repository(row) for row in rows(backup, "repositories")),
        _archiver(section(status, "archiver")),
    ]


def _newest(backup: Mapping[str, Any], now: Optional[float]) -> list[Fact]:
    newest = section(backup, "newest")
    if not newest:
        # Without a word of the keeper nobody knows whether there is one.
        none = "none" if backup.get("status") else UNKNOWN
        return [
            Fact("Newest", none, text(backup.get("status_text"), 120), "unknown" if none == UNKNOWN else "critical")
        ]
    stored = number(newest.get("repository_bytes"))
    sizes = size(newest.get("size_bytes")) + ("" if stored is None else ", %s stored" % size(stored))
    proven = newest.get("proven_at")
    return [
        Fact(
            "Newest",
            "%s, %s old" % (known(newest.get("type"), 12), duration(newest.get("age_seconds"))),
            "%s · %s" % (known(newest.get("label"), 40), sizes),
        ),
        Fact("Proven", ago(proven, now), "by restoring it", "healthy")
        if proven
        else Fact("Proven", "not yet", "the next drill restores it", "unknown"),
    ]


def _last_run(backup: Mapping[str, Any], now: Optional[float]) -> Fact:
    run = section(backup, "last_run")
    if not run:
        return Fact("Last run", UNKNOWN)
    return Fact(
        "Last run", "%s %s" % (known(run.get("job"), 30), known(run.get("result"), 30)), ago(run.get("at"), now),
        _outcome(run.get("result")),
    )  # fmt: skip


def _outcome(result: Any) -> str:
    if not isinstance(result, str) or not result:
        return "unknown"
    return "healthy" if result in ("ok", "passed", "success", "done") else "critical"


def _clock_note(value: Any) -> str:
    shown = clock(value)
    return "" if shown == UNKNOWN else shown


def _drill(drill: Mapping[str, Any], now: Optional[float]) -> list[Fact]:
    if not drill:
        return [Fact("Drill", UNKNOWN, status="unknown")]
    measured = "RTO %s · RPO %s" % (duration(drill.get("rto_seconds")), duration(drill.get("rpo_seconds")))
    return [
        Fact("Drill", "%s %s" % (known(drill.get("result"), 20), ago(drill.get("at"), now)), measured,
             _outcome(drill.get("result"))),
        Fact("Next drill", ago(drill.get("next_at"), now), _clock_note(drill.get("next_at"))),
    ]  # fmt: skip


def _repository(row: Mapping[str, Any]) -> Fact:
    label = "Repository %s" % plain(row.get("number"))
    kind, error, lag = known(row.get("type"), 20), text(row.get("error"), 120), number(row.get("lag_seconds"))
    if error:
        return Fact(label, kind + " fails", error, "critical")
    if lag is None:
        return Fact(label, kind, "lag unknown", "unknown")
    return Fact(label, kind, "up to date" if lag < 1 else "%s behind" % duration(lag), "healthy")


def _archiver(archiver: Mapping[str, Any]) -> Fact:
    failing, waiting = archiver.get("failing_since"), number(archiver.get("ready_count"))
    if failing:
        return Fact("Archiving", "fails", "since %s, %s waiting" % (clock(failing), plain(waiting)), "critical")
    if archiver.get("mode") == "off":
        return Fact("Archiving", "off", "", "warning")
    if archiver.get("mode") is None:
        return Fact("Archiving", UNKNOWN, "", "unknown")
    last = duration(archiver.get("last_archived_age_seconds"))
    note = "%s waiting" % plain(waiting) + ("" if last == UNKNOWN else " · last segment %s ago" % last)
    return Fact("Archiving", "works", note, "healthy")


def around(status: Mapping[str, Any]) -> list[Fact]:
    """Pool, replicas and slots."""
    if number(status.get("snapshot_age_ms")) is None:
        return [Fact("Pool", UNKNOWN), Fact("Replicas", UNKNOWN)]
    replicas = [_replica(row) for row in rows(status, "replicas")[:_LISTED]]
    slots = [_slot(row) for row in rows(status, "slots")[:_LISTED]]
    lag = number(status.get("replica_lag_seconds"))
    own = [] if lag is None else [Fact("Behind primary", duration(lag))]
    return [_pool(status.get("pool")), *own, *(replicas or [Fact("Replicas", "none")]), *slots]


def _pool(pool: Any) -> Fact:
    if not isinstance(pool, Mapping):
        return Fact("Pool", "none")
    if pool.get("up") is not True:
        return Fact("Pool", UNKNOWN if pool.get("up") is None else "down", "", "critical")
    waiting = number(pool.get("clients_waiting"))
    note = "%s servers busy, %s idle" % (plain(pool.get("servers_active")), plain(pool.get("servers_idle")))
    if waiting:
        note = "%s wait, the first for %s · %s" % (plain(waiting), duration(pool.get("max_wait_seconds")), note)
    return Fact("Pool", "%s clients" % plain(pool.get("clients_active")), note, "warning" if waiting else "healthy")


def _replica(row: Mapping[str, Any]) -> Fact:
    streaming = row.get("state") == "streaming"
    behind = "%s · %s behind" % (duration(row.get("lag_seconds")), size(row.get("lag_bytes")))
    return Fact(
        known(row.get("application"), 30), known(row.get("state"), 20), behind, "healthy" if streaming else "warning"
    )


def _slot(row: Mapping[str, Any]) -> Fact:
    lost = row.get("wal_status") in ("lost", "unreserved")
    active = row.get("active")
    status = "critical" if lost else "healthy" if active is True else "warning" if active is False else "unknown"
    word = {True: "active", False: "inactive"}.get(active, UNKNOWN) if isinstance(active, bool) else UNKNOWN
    return Fact("Slot %s" % known(row.get("name"), 40), word, "keeps %s" % size(row.get("retained_bytes")), status)


def certificates(status: Mapping[str, Any]) -> list[Fact]:
    found = [_certificate(row) for row in rows(status, "certificates")[:_LISTED]]
    return found or [Fact("Certificates", UNKNOWN)]


def _certificate(row: Mapping[str, Any]) -> Fact:
    days = number(row.get("days_left"))
    label = known(row.get("of"), 40).capitalize()
    if days is None:
        return Fact(label, UNKNOWN, status="unknown")
    status = "healthy" if days >= _CERTIFICATE_WARNING else "warning" if days >= _CERTIFICATE_CRITICAL else "critical"
    if days < 0:
        return Fact(label, "expired", "on %s" % date(row.get("not_after")), status)
    return Fact(label, duration(days * 86400) + " left", "until %s" % date(row.get("not_after")), status)


def alerts(status: Mapping[str, Any], now: Optional[float]) -> list[Fact]:
    found = section(status, "alerts")
    failing = found.get("failing")
    names = [text(name, 40) for name in failing[:_LISTED]] if isinstance(failing, (list, tuple)) else []
    waiting, proven = number(found.get("waiting")), found.get("proven_at")
    facts = [
        Fact("Waiting", plain(waiting), status="warning" if waiting else ""),
        Fact("Delivered", plain(found.get("delivered"))),
        Fact("Path proven", ago(proven, now), "by a test alert", "healthy")
        if proven
        else Fact("Path proven", UNKNOWN if waiting is None else "never", "", "unknown"),
    ]
    return facts + ([Fact("Failing", ", ".join(names), "", "critical")] if names else [])


def settings(status: Mapping[str, Any]) -> list[Fact]:
    found, xid = section(status, "settings"), section(status, "xid_age")
    pending = found.get("pending_restart")
    names = [text(name, 40) for name in pending] if isinstance(pending, (list, tuple)) else []
    broken, failures = number(found.get("errors")), number(status.get("checksum_failures"))
    facts = [
        Fact("Wraparound", ratio(xid.get("ratio")), known(xid.get("database"), 40) if xid else ""),
        Fact("Checksum failures", plain(failures), status="critical" if failures else ""),
    ]
    if names:
        more = "" if len(names) <= _LISTED else " and %d more" % (len(names) - _LISTED)
        facts.append(Fact("Wait for a restart", ", ".join(names[:_LISTED]) + more, "", "warning"))
    if broken:
        facts.append(Fact("Settings with errors", plain(broken), "", "critical"))
    return facts


def events(status: Mapping[str, Any], now: Optional[float]) -> list[Event]:
    kinds = {"info": "info", "warning": "warning", "critical": "critical"}
    return [
        Event(
            at=text(row.get("at"), 30),
            shown=clock(row.get("at")),
            age=ago(row.get("at"), now),
            kind=known(row.get("kind"), 20),
            severity=kinds.get(str(row.get("severity")), "unknown"),
            text=text(row.get("text"), 200),
        )
        for row in rows(status, "events")[:_EVENTS]
    ]
