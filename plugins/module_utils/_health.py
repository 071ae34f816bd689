# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The health of one instance, judged from facts that others read. Pure. Private to the collection."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Mapping, Optional

from . import _health_pooler as pooler
from ._errors import PgkeepError
from ._health_check import CRITICAL, HEALTHY, UNKNOWN, WARNING, Bounds, Check, graded
from ._off_site import LAG_SECONDS, seconds_behind
from ._times import epoch_of, hours, rfc3339, set_back, to_come
from ._units import human

_RANK = {HEALTHY: 0, UNKNOWN: 0, WARNING: 1, CRITICAL: 2}

# A server may be starting or recovering for so long before that alone is critical.
_STARTING_SECONDS = 300

_DEPLOY = "run the playbook deploy.yml"
_RENEW = "renew the certificate: run the playbook renew_tls.yml"

# Words of libpq -> what to do.
_HINTS = (
    ("password authentication failed", "run the playbook deploy.yml, which sets the password of pgkeep_monitor again"),
    ("no pg_hba.conf entry", "add the network of this host to postgres_server_allowed_networks"),
    ("certificate", _RENEW),
    ("starting up", "wait; docker logs shows how far recovery is"),
    ("too many clients", "end idle sessions or give the server more connections"),
    ("remaining connection slots", "end idle sessions or give the server more connections"),
    ("connection refused", "read docker logs; the container runs but nothing listens"),
)


@dataclass(frozen=True)
class Limits:
    """A value from warning on warns, one above critical is critical (requirement E3: < 70 / 70 to 85 / > 85 %)."""

    disk_percent: Bounds = (70, 85)
    restarts: Bounds = (1, 2)
    response_ms: Bounds = (100, 500)
    connections_percent: Bounds = (80, 95)
    archive_ready: Bounds = (10, 100)
    backup_hours: Bounds = (26, 50)
    off_site_seconds: Bounds = LAG_SECONDS
    # All connections of a pool in use is a busy moment; that clients wait for one is what counts.
    pool_percent: Bounds = (80, 100)
    # Of one repository, since they are proven in turn: a drill every week is enough. It only warns.
    drill_days: float = 8
    # The other way round: days that are left. A deploy renews from 30 on, so at 21 none has run for nine days.
    certificate_days: Bounds = (21, 7)


def judge(facts: Mapping[str, Any], limits: Limits = Limits()) -> dict[str, Any]:
    """The object health from the facts of collect()."""
    checks = [
        _container(facts),
        _database(facts),
        _response(facts, limits.response_ms),
        _connections(facts, limits.connections_percent),
        _restarts(facts, limits.restarts),
        _disk(facts, "data", limits.disk_percent),
        _disk(facts, "repository", limits.disk_percent),
        _checksums(facts),
        _archiver(facts, limits.archive_ready),
        _backup(facts, limits.backup_hours),
        _off_site(facts, limits.off_site_seconds),
        _drill(facts, limits.drill_days),
        _timelines(facts),
        _leftovers(facts),
        _certificate(facts, limits.certificate_days),
        pooler.pooler(facts["pooler"], facts["errors"].get("pooler"), facts["login"] is not None),
        pooler.pools(facts["pooler"], facts["errors"].get("pooler"), limits.pool_percent),
    ]
    worst = max(checks, key=lambda check: _RANK[check.status]).status
    login = facts["login"] or {}
    by_id = {check.id: check for check in checks}
    return {
        "instance": facts["instance"],
        "time": rfc3339(facts["now"]),
        "status": worst if worst in (WARNING, CRITICAL) else HEALTHY,
        # Whether an application can work now, whatever else is to be done about the instance.
        "ready": by_id["database"].status == HEALTHY,
        "reasons": ["%s: %s" % (check.id, check.message) for check in checks if check.status in (WARNING, CRITICAL)],
        "checks": [vars(check) for check in checks],
        "connect_ms": login.get("connect_ms"),
        "response_ms": login.get("response_ms"),
        "version": login.get("version"),
        "role": login.get("role"),
        "uptime_seconds": login.get("uptime_seconds"),
    }


def _container(facts: Mapping[str, Any]) -> Check:
    found = facts["container"]
    if found is None:
        error = facts["errors"]["container"]
        hint = _DEPLOY if error.startswith("there is no") else "start the engine: systemctl start docker"
        return Check("container", CRITICAL, None, error, hint=hint)
    name, state, health = facts["instance"], found["state"], found["health"]
    # The verdict of a health check outlives the container it was about.
    value = "/".join(filter(None, (state, health))) if state == "running" else state
    if state in ("exited", "dead", "created"):
        error = ": " + found["error"] if found["error"] else ""
        message = "the container is %s, exit code %d%s" % (state, found["exit_code"], error)
        return Check(
            "container", CRITICAL, value, message, hint="read docker logs %s, then docker start %s" % (name, name)
        )
    if state == "paused":
        return Check("container", WARNING, value, "the container is paused", hint="docker unpause %s" % name)
    if state in ("restarting", "removing") or health == "unhealthy":
        message = "the container is %s" % (state if state != "running" else "unhealthy")
        return Check("container", CRITICAL, value, message, hint="read docker logs %s" % name)
    if health == "starting":
        return Check(
            "container", WARNING, value, "the container did not pass its health check yet", hint="wait a minute"
        )
    if health is None:
        return Check("container", WARNING, value, "the container has no health check", hint=_DEPLOY)
    return Check("container", HEALTHY, value, "the container is running and %s" % health)


def _database(facts: Mapping[str, Any]) -> Check:
    found = facts["login"]
    if found is not None:
        message = "login over TLS in %(connect_ms).0f ms, PostgreSQL %(version)s, %(role)s" % found
        return Check("database", HEALTHY, "accepting", message)
    error = facts["errors"]["login"]
    if error.startswith("not tried"):
        return Check("database", CRITICAL, "unreachable", error)
    lower = error.lower()
    hint = next((hint for words, hint in _HINTS if words in lower), "read docker logs %s" % facts["instance"])
    age = (facts["container"] or {}).get("started_age_seconds")
    if "starting up" in lower and age is not None and age < _STARTING_SECONDS:
        return Check("database", WARNING, "starting", "the database is starting up for %s" % hours(age), hint=hint)
    return Check("database", CRITICAL, "unreachable", error, hint=hint)


def _measured(id: str, value: Optional[float], unit: str, bounds: Bounds, message: str, hint: str) -> Check:
    """A value against its bounds, or unknown when there was no login that could have measured it."""
    if value is None:
        return Check(id, UNKNOWN, None, "not measured: no login", unit, *bounds)
    status = graded(value, bounds)
    return Check(id, status, value, message, unit, *bounds, hint="" if status == HEALTHY else hint)


def _response(facts: Mapping[str, Any], bounds: Bounds) -> Check:
    value = (facts["login"] or {}).get("response_ms")
    message = "SELECT 1 on an open connection takes %s ms" % value
    hint = "look at the load of the host and at pg_stat_activity"
    return _measured("response_time", value, "ms", bounds, message, hint)


def _connections(facts: Mapping[str, Any], bounds: Bounds) -> Check:
    found = (facts["login"] or {}).get("connections")
    value = round(100 * found["used"] / found["maximum"], 1) if found else None
    message = "%(used)d of %(maximum)d connections are used" % found if found else ""
    hint = "use a pooler, shorten idle sessions or give the server more connections"
    return _measured("connections", value, "%", bounds, message, hint)


def _restarts(facts: Mapping[str, Any], bounds: Bounds) -> Check:
    value = facts["starts"]
    if value is None:
        return Check("restarts", UNKNOWN, None, "not measured: no container or no log", "per hour", *bounds)
    message = "%d restart%s within the last hour" % (value, "" if value == 1 else "s")
    hint = "read docker logs %s for the cause" % facts["instance"]
    return _measured("restarts", value, "per hour", bounds, message, hint)


def _disk(facts: Mapping[str, Any], key: str, bounds: Bounds) -> Check:
    id, found = "disk_" + key, facts[key]
    if found is None:
        return Check(id, UNKNOWN, None, "not measured: %s" % facts["errors"][key], "%", *bounds)
    inodes = found["inodes_percent"] > found["used_percent"]
    value = max(found["inodes_percent"], found["used_percent"])
    message = "%s %% of the %s are used, %s free below %s" % (
        value,
        "inodes" if inodes else "space",
        human(found["free_bytes"]),
        found["path"],
    )
    return _measured(id, value, "%", bounds, message, "free space or extend the disk")


def _checksums(facts: Mapping[str, Any]) -> Check:
    """What the server met itself; a backup names the damaged files of the rest."""
    found = (facts["login"] or {}).get("checksum_failures")
    if found is None:
        return Check("checksums", UNKNOWN, None, "not measured: no login", "pages")
    if not found:
        return Check("checksums", HEALTHY, 0, "the server met no page with a wrong checksum", "pages")
    message = "the server met pages with a wrong checksum %d times: the disk or the memory damages data" % found
    hint = "restore the newest clean backup; when the damage is gone, SELECT pg_stat_reset() in its database"
    return Check("checksums", CRITICAL, found, message, "pages", hint=hint)


def _archiver(facts: Mapping[str, Any], bounds: Bounds) -> Check:
    found = (facts["login"] or {}).get("archiver")
    unit = "segments"
    if found is None:
        return Check("archiver", UNKNOWN, None, "not measured: no login", unit, *bounds)
    if facts["login"]["role"] == "standby":
        return Check("archiver", HEALTHY, None, "a standby archives nothing", unit, *bounds)
    ready = found["ready_count"]
    wal = (facts["backup"] or {}).get("wal") or {}
    if found["mode"] == "off":
        message = "archive_mode is off: what was committed since the last backup is lost with the disk"
        return Check("archiver", CRITICAL, ready, message, unit, *bounds, hint=_DEPLOY)
    if found["failing"]:
        age = found["last_archived_age_seconds"]
        since = "never worked" if age is None else "worked last %s ago" % hours(age)
        message = "archiving %s: %s failed, %d segments wait" % (since, found["last_failed_wal"], ready)
        # A keeper from before tells no cause.
        if wal.get("cause") or wal.get("error"):
            message += ": %s" % (wal.get("cause") or wal["error"])
        hint = (
            wal.get("next_step") or "read docker logs %s for the words of pgbackrest archive-push" % facts["instance"]
        )
        return Check("archiver", CRITICAL, ready, message, unit, *bounds, hint=hint)
    if wal.get("missing"):
        message = "the repository misses WAL: %s; nothing after it can be recovered" % ", ".join(wal["missing"])
        # The new backup begins behind the gap.
        return Check("archiver", CRITICAL, ready, message, unit, *bounds, hint="run the playbook backup.yml")
    message = "%d segments wait, %d were archived" % (ready, found["archived_count"])
    return _measured(
        "archiver", ready, unit, bounds, message, "the repository is slower than the writes: look at its disk"
    )


def _backup(facts: Mapping[str, Any], bounds: Bounds) -> Check:
    found = facts["backup"]
    if found is None:
        # Not unknown: a backup that nobody can see is none.
        message = "the age of the newest backup is unknown: %s" % facts["errors"]["backup"]
        hint = "docker start %s-keeper" % facts["instance"] if facts["container"] else ""
        return Check("backup", CRITICAL, None, message, "hours", *bounds, hint=hint)
    hint = "run the playbook backup.yml"
    newest = next((backup for backup in found["backups"] if backup["label"] == found["newest_clean"]), None)
    stopped = epoch_of(newest["stopped_at"]) if newest else None
    if newest is None or stopped is None:
        reason = found["status_text"] or found["status"]
        if found["status"] == "error":
            return Check("backup", CRITICAL, None, "the backups cannot be judged: %s" % reason, "hours", *bounds)
        words = "there is no clean backup (%s)" % reason
        return Check("backup", CRITICAL, None, words, "hours", *bounds, hint=hint)
    seconds = facts["now"] - stopped
    if to_come(stopped, facts["now"]):
        words = "the age of the newest clean backup %s is unknown: %s" % (
            newest["label"],
            set_back(stopped, facts["now"]),
        )
        return Check("backup", CRITICAL, None, words, "hours", *bounds, hint="set the clock of the host right")
    proven = "proven by a drill" if newest.get("proven_at") else "not proven by a drill"
    message = "the newest clean backup %s is %s old, %s" % (newest["label"], hours(seconds), proven)
    return _measured("backup", round(seconds / 3600, 1), "hours", bounds, message, hint)


def _off_site(facts: Mapping[str, Any], bounds: Bounds) -> Check:
    found = facts["off_site"]
    if found is None:
        words = "not measured: %s" % facts["errors"].get("off_site")
        return Check("off_site", UNKNOWN, None, words, "seconds", *bounds)
    if not found:
        words = "no repository is declared besides the first one"
        return Check("off_site", HEALTHY, None, words, "seconds", *bounds)
    value = round(seconds_behind(found))
    status = graded(value, bounds)
    if status == HEALTHY and any(each["error"] or not each["begun"] for each in found):
        status = WARNING
    if status == HEALTHY and any(each["lag_seconds"] is None for each in found):
        status = UNKNOWN
    message = "; ".join(
        "repository %d (%s) %s%s"
        % (
            each["number"],
            each["type"],
            "has no WAL yet" if not each["begun"] else "is %s behind" % hours(seconds_behind([each])),
            ": %s" % each["error"] if each["error"] else "",
        )
        for each in found
    )
    hint = "" if status == HEALTHY else "correct what it names; docker logs %s-keeper has more" % facts["instance"]
    return Check("off_site", status, value, message, "seconds", *bounds, hint=hint)


def _drill(facts: Mapping[str, Any], days: float) -> Check:
    found = facts["drills"]
    if not found:
        return Check("drill", UNKNOWN, None, "not measured: %s" % facts["errors"].get("drills"), "days", days)
    limit = days * len(found)
    oldest = max(found, key=lambda proof: proof.age(facts["now"]))
    seconds = oldest.age(facts["now"])
    message = "; ".join(
        "repository %d (%s) was %s"
        % (
            proof.number,
            proof.type,
            "never proven by a drill, and declared %s ago" % hours(proof.age(facts["now"]))
            if proof.proven_at is None
            else "proven by a drill %s ago" % hours(proof.age(facts["now"])),
        )
        for proof in found
    )
    status = WARNING if seconds >= limit * 86400 else HEALTHY
    hint = "pgkeep %s drill --repository %d, and read what it says" % (facts["instance"], oldest.number)
    value = round(seconds / 86400, 1)
    return Check("drill", status, value, message, "days", limit, hint="" if status == HEALTHY else hint)


def _timelines(facts: Mapping[str, Any]) -> Check:
    if facts["backup"] is None:
        return Check("timelines", UNKNOWN, None, "not measured: the keeper does not answer")
    warnings = facts["backup"].get("warnings") or []
    if not warnings:
        return Check("timelines", HEALTHY, 0, "the archive has the timelines of this instance alone")
    hint = "find the server that was promoted, stop it, and take a full backup"
    return Check("timelines", WARNING, len(warnings), "; ".join(warnings), hint=hint)


def _leftovers(facts: Mapping[str, Any]) -> Check:
    found = facts["leftovers"]
    if found is None:
        return Check("leftovers", UNKNOWN, None, "not measured: %s" % facts["errors"].get("leftovers"))
    if not found:
        return Check("leftovers", HEALTHY, 0, "nothing is left of operations that were killed")
    message = "an operation was killed and left %s" % ", ".join(found)
    return Check("leftovers", WARNING, len(found), message, hint=_DEPLOY + ", which removes them")


def _certificate(facts: Mapping[str, Any], bounds: Bounds) -> Check:
    found = facts["certificate"]
    if found is None:
        words = facts["errors"].get("certificate") or facts["errors"].get("login")
        return Check("certificate", UNKNOWN, None, "not measured: %s" % words, "days", *bounds)
    if found["error"] is not None:
        message = "applications refuse it: %s" % found["error"]
        return Check("certificate", CRITICAL, None, message, "days", *bounds, hint=_RENEW)
    left = found["days_left"]
    warn, crit = bounds
    status = CRITICAL if left < crit else WARNING if left < warn else HEALTHY
    message = "it ends in %d days" % left
    return Check("certificate", status, left, message, "days", warn, crit, hint="" if status == HEALTHY else _RENEW)


def answer(health: Mapping[str, Any], fail_on: str) -> dict[str, Any]:
    """What the module returns: a failure, with the object, from the status fail_on (critical, warning, never) on."""
    result: dict[str, Any] = {"changed": False, "health": health}
    bound = _RANK.get(fail_on)
    if bound is not None and _RANK[health["status"]] >= bound:
        # Of every reason: the cause of a critical check may be one that only warns, such as a paused container.
        hints = [check["hint"] for check in health["checks"] if _RANK[check["status"]] and check["hint"]]
        error = PgkeepError(
            "The instance %s is %s" % (health["instance"], health["status"]),
            "; ".join(health["reasons"]),
            "; ".join(dict.fromkeys(hints)),
        )
        result.update(failed=True, msg=str(error), error=error.to_result())
    return result
