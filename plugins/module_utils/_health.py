# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The health of one instance, judged from facts that others read. Pure. Private to the collection."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Mapping

from . import _health_checks as shared
from . import _health_pooler as pooler
from ._errors import PgkeepError
from ._health_check import CRITICAL, HEALTHY, UNKNOWN, WARNING, Bounds, Check
from ._health_checks import DEPLOY, RENEW
from ._off_site import LAG_SECONDS
from ._times import hours, rfc3339

_RANK = {HEALTHY: 0, UNKNOWN: 0, WARNING: 1, CRITICAL: 2}

# A server may be starting or recovering for so long before that alone is critical.
_STARTING_SECONDS = 300

# Words of libpq -> what to do.
_HINTS = (
    ("password authentication failed", "run the playbook deploy.yml, which sets the password of pgkeep_monitor again"),
    ("no pg_hba.conf entry", "add the network of this host to postgres_server_allowed_networks"),
    ("certificate", RENEW),
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
        shared.response(facts, limits.response_ms),
        shared.connections(facts, limits.connections_percent),
        _restarts(facts, limits.restarts),
        shared.disk(facts, "data", limits.disk_percent),
        shared.disk(facts, "repository", limits.disk_percent),
        shared.checksums(facts),
        shared.archiver(facts, limits.archive_ready),
        shared.backup(facts, limits.backup_hours),
        shared.off_site(facts, limits.off_site_seconds),
        shared.drill(facts, limits.drill_days),
        shared.timelines(facts),
        _leftovers(facts),
        shared.certificate(facts, limits.certificate_days),
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
        hint = DEPLOY if error.startswith("there is no") else "start the engine: systemctl start docker"
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
        return Check("container", WARNING, value, "the container has no health check", hint=DEPLOY)
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


def _restarts(facts: Mapping[str, Any], bounds: Bounds) -> Check:
    value = facts["starts"]
    if value is None:
        return Check("restarts", UNKNOWN, None, "not measured: no container or no log", "per hour", *bounds)
    message = "%d restart%s within the last hour" % (value, "" if value == 1 else "s")
    hint = "read docker logs %s for the cause" % facts["instance"]
    return shared.measured("restarts", value, "per hour", bounds, message, hint)


def _leftovers(facts: Mapping[str, Any]) -> Check:
    found = facts["leftovers"]
    if found is None:
        return Check("leftovers", UNKNOWN, None, "not measured: %s" % facts["errors"].get("leftovers"))
    if not found:
        return Check("leftovers", HEALTHY, 0, "nothing is left of operations that were killed")
    message = "an operation was killed and left %s" % ", ".join(found)
    return Check("leftovers", WARNING, len(found), message, hint=DEPLOY + ", which removes them")


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
