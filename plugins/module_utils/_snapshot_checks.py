# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks that only the keeper's snapshot has, because only a poller knows their values. Pure. Private."""

from __future__ import annotations

from typing import Any, Mapping, Optional, Sequence

from ._breaker import OPEN, Breaker
from ._health_check import ACCEPTING, CRITICAL, HEALTHY, UNKNOWN, WARNING, Check, graded
from ._health_checks import DEPLOY, RENEW
from ._poll_link import DEAD, FULL, HUNG, REFUSED, STARTING, STOPPED, STOPPING, UNTRUSTED
from ._poll_login import Login
from ._poll_server import Answer
from ._starts import Starts
from ._times import hours
from ._units import human

# A server may be starting or recovering for so long before that alone is critical.
STARTING_SECONDS = 300.0

# State -> what it means, and what to do about it.
_STATES = {
    STOPPED: ("the server is stopped: it has no socket", "docker start %(name)s"),
    DEAD: ("nobody listens at the server's socket: it died", "read docker logs %(name)s, then docker start it"),
    STARTING: ("the server is starting up or recovering", "wait; docker logs %(name)s shows how far recovery is"),
    STOPPING: ("the server is shutting down", "wait, then docker start %(name)s"),
    HUNG: (
        "the server hangs: it takes connections and does not answer",
        "docker unpause %(name)s if it is paused; else look at the load and the disks of the host",
    ),
    FULL: ("all connections are in use", "end idle sessions, use a pooler or give the server more connections"),
    REFUSED: ("the server refuses the login of pgkeep_monitor", DEPLOY + ", which sets its password and pg_hba.conf"),
    UNTRUSTED: ("the certificate of the server cannot be trusted", RENEW),
}

_BLOCKED = (5.0, 20.0)
_IDLE_SECONDS = (300.0, 3600.0)
_THROTTLED = (0.25, 0.75)
_MEMORY_PERCENT = (90.0, 97.0)
_XID_RATIO = (0.2, 0.47)
_SLOT_BYTES = (1 << 30, 5 << 30)
_LAG_SECONDS = (30.0, 300.0)


def database(name: str, login: Login, breaker: Breaker, role: Optional[str], down_seconds: Optional[float]) -> Check:
    """A login as an application would log in; down_seconds: for how long the server has not answered at all."""
    if login.state is None:
        message = "login over TLS in %.0f ms, %s" % (login.connect_ms or 0, role or "unknown role")
        return Check("database", HEALTHY, ACCEPTING, message)
    meaning, hint = _STATES.get(login.state, ("the server cannot be reached", "read docker logs %(name)s"))
    # Of a server that is not there libpq tells only where it has looked.
    words = "" if login.state in (STOPPED, DEAD) else login.words
    message = "%s (%s)" % (meaning, words) if words else meaning
    if breaker.state == OPEN:
        message += "; after %d failures it is tried again within %d s" % (breaker.failures, breaker.open_seconds)
    status = CRITICAL
    if login.state == STARTING and (down_seconds or 0.0) < STARTING_SECONDS:
        status = WARNING
    return Check("database", status, login.state, message, hint=hint % {"name": name})


def statistics(answer: Answer, name: str) -> Check:
    """Whether the server tells of itself; where it does not, most of the other checks know nothing."""
    if answer.state is not None:
        return Check("statistics", UNKNOWN, None, "not measured: the server does not answer")
    if answer.frequent is None:
        message = "what the server knows of itself cannot be read: %s" % answer.words
        return Check("statistics", WARNING, None, message, hint="read docker logs %s" % name)
    return Check("statistics", HEALTHY, None, "the server tells of itself")


def restarts(starts: Starts, now: float, name: str) -> Check:
    """One within a day warns, three within an hour are critical; what an operation did is no trouble."""
    found = starts.summary(now)
    value, message = found["last_day"], "no restart within the last day"
    if value:
        message = "%d restart%s within the last day, %d of them crashes, %d within the last hour; the last at %s" % (
            value,
            "" if value == 1 else "s",
            found["crashes_last_day"],
            found["last_hour"],
            found["last_at"],
        )
    status = CRITICAL if found["last_hour"] >= 3 else WARNING if value else HEALTHY
    hint = "read docker logs %s for the cause" % name if value else ""
    return Check("restarts", status, value, message, "per day", 1, 3, hint)


def blocked(sessions: Optional[Mapping[str, Any]]) -> Check:
    if sessions is None:
        return _unknown("blocked_sessions", "sessions", _BLOCKED)
    value = sessions["blocked"]
    blockers = sorted({pid for each in sessions["longest"] for pid in each["blocked_by"]})
    message = "%d sessions wait for a lock" % value
    if blockers:
        message += ", held by process %s" % ", ".join(map(str, blockers))
    hint = "look who holds the lock: pg_blocking_pids(pid); end it with pg_terminate_backend(pid)"
    return _graded("blocked_sessions", value, "sessions", _BLOCKED, message, hint)


def idle_in_transaction(seconds: Optional[float], known: bool) -> Check:
    """seconds: of the session that is idle for the longest within a transaction, None without one."""
    if not known:
        return _unknown("idle_in_transaction", "seconds", _IDLE_SECONDS)
    value = round(seconds or 0.0, 1)
    message = "a session is idle within its transaction for %s" % hours(value)
    if seconds is None:
        message = "no session is idle within a transaction"
    hint = "end it with pg_terminate_backend(pid), or set idle_in_transaction_session_timeout"
    return _graded("idle_in_transaction", value, "seconds", _IDLE_SECONDS, message, hint)


def memory(found: Optional[Mapping[str, Any]]) -> Check:
    """Of the server's control group; what is used up to its limit ends with a kill and a crash of all sessions."""
    if found is None or found["limit_bytes"] is None or found["held_bytes"] is None:
        return _unknown("memory", "%", _MEMORY_PERCENT, "no limit or no control group")
    value = round(100 * found["held_bytes"] / found["limit_bytes"], 1)
    message = "%s %% of %s are in use beside the cache of files" % (value, human(found["limit_bytes"]))
    if found["oom_kills"]:
        message += "; %d processes were killed for want of memory since the container started" % found["oom_kills"]
    return _graded("memory", value, "%", _MEMORY_PERCENT, message, "raise postgres_server_memory, or lower work_mem")


def throttling(found: Optional[Mapping[str, Any]]) -> Check:
    """The share of moments in which the server had to wait for its processors. It only warns."""
    value = None if found is None else found["throttled_ratio"]
    if value is None:
        return _unknown("cpu_throttling", "ratio", (_THROTTLED[0], None))
    message = "the server waits for its quota of processors in %.0f %% of all periods" % (100 * value)
    status = WARNING if value >= _THROTTLED[0] else HEALTHY
    hint = "" if status == HEALTHY else "raise postgres_server_cpus"
    return Check("cpu_throttling", status, value, message, "ratio", _THROTTLED[0], None, hint)


def xid_age(found: Optional[Mapping[str, Any]]) -> Check:
    if found is None:
        return _unknown("xid_age", "ratio", _XID_RATIO)
    value = round(float(found["ratio"]), 6)
    message = "the oldest transaction of %s is %d transactions old" % (found["database"], found["age"])
    hint = "end old sessions, drop stale slots and prepared transactions, then VACUUM (FREEZE)"
    return _graded("xid_age", value, "ratio", _XID_RATIO, message, hint)


def slots(found: Optional[Sequence[Mapping[str, Any]]]) -> Check:
    """WAL that is kept for somebody who does not come, or does not follow; what fills the disk is the same. One that
    was not kept, or is not kept any more (unreserved), is critical."""
    if found is None:
        return _unknown("slots", "bytes", _SLOT_BYTES)
    idle = [each for each in found if not each["active"]]
    value = max((each["retained_bytes"] or 0 for each in found), default=0)
    message = "%d replication slots, %d of them without a client; the one that keeps most keeps %s of WAL" % (
        len(found),
        len(idle),
        human(value),
    )
    hint = "start its client, look why it does not follow, or SELECT pg_drop_replication_slot(name)"
    for status, words in (("lost", "is lost"), ("unreserved", "goes with one of the next checkpoints")):
        names = [each["name"] for each in found if each["wal_status"] == status]
        if names:
            message = "the WAL of slot %s %s" % (", ".join(names), words)
            return Check("slots", CRITICAL, value, message, "bytes", *_SLOT_BYTES, hint=hint)
    return _graded("slots", value, "bytes", _SLOT_BYTES, message, hint)


def replication(role: Optional[str], lag_seconds: Optional[float], replicas: Sequence[Mapping[str, Any]]) -> Check:
    if role is None:
        return _unknown("replication", "seconds", _LAG_SECONDS)
    hint = "look at the network and the disks of the standby, and for long queries there"
    if role == "standby":
        if lag_seconds is None:
            return _unknown("replication", "seconds", _LAG_SECONDS, "nothing was replayed yet")
        message = "this standby is %s behind" % hours(lag_seconds)
        return _graded("replication", round(lag_seconds, 1), "seconds", _LAG_SECONDS, message, hint)
    value = round(max((each["lag_seconds"] or 0.0 for each in replicas), default=0.0), 1)
    message = "%d standbys, the last is %s behind" % (len(replicas), hours(value))
    if not replicas:
        message = "no standby is connected"
    return _graded("replication", value, "seconds", _LAG_SECONDS, message, hint)


def settings(rare: Optional[Mapping[str, Any]]) -> Check:
    """Files of settings that cannot be read, and settings that wait for a restart. It only warns."""
    if rare is None:
        return Check("settings", UNKNOWN, None, "not measured: the server does not answer")
    waiting, errors = rare["pending_restart"] or [], rare["file_errors"]
    value = len(waiting) + errors
    if errors:
        message = "%d lines of the files of settings have errors" % errors
        return Check("settings", WARNING, value, message, hint="SELECT * FROM pg_file_settings WHERE error IS NOT NULL")
    if waiting:
        message = "wait for a restart: %s" % ", ".join(waiting)
        return Check("settings", WARNING, value, message, hint=DEPLOY + " within the maintenance window")
    return Check("settings", HEALTHY, 0, "every setting is in force")


def alerts(found: Optional[Mapping[str, Any]], error: str) -> Check:
    if found is None:
        return Check("alerts", UNKNOWN, None, "not measured: %s" % error)
    if found["failing"]:
        message = "%s cannot be told anything; %d alerts wait" % (", ".join(found["failing"]), found["waiting"])
        hint = "docker exec the keeper with pgkeep alerts: it says why"
        return Check("alerts", WARNING, found["waiting"], message, hint=hint)
    return Check("alerts", HEALTHY, found["waiting"], "%d alerts wait" % found["waiting"])


def _graded(id: str, value: float, unit: str, bounds: tuple[float, float], message: str, hint: str) -> Check:
    status = graded(value, bounds)
    return Check(id, status, value, message, unit, *bounds, hint="" if status == HEALTHY else hint)


def _unknown(
    id: str, unit: str, bounds: tuple[Optional[float], Optional[float]], why: str = "the server does not answer"
) -> Check:
    return Check(id, UNKNOWN, None, "not measured: %s" % why, unit, *bounds)
