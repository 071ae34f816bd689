# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The health of a pooler from the facts of _pooler_facts (the host) or _poll_pool (the keeper). Pure. Private."""

from __future__ import annotations

from typing import Any, Mapping, Optional

from ._health_check import CRITICAL, HEALTHY, UNKNOWN, Bounds, Check, graded

# State of a container that is not there.
ABSENT = "absent"

# Who waits so long for a connection to the server is a third of the way to an error.
_WAIT_SECONDS = 5

_DEPLOY = "run the playbook deploy.yml"


def pooler(found: Optional[Mapping[str, Any]], error: Optional[str], database_up: bool) -> Check:
    """Its container, if its state is known, and a login through it; error says why it could not be looked at."""
    if found is None:
        return _nothing("pooler", error)
    name, state = found["name"], found["state"]
    if state == ABSENT:
        return Check("pooler", CRITICAL, state, "there is no container %s" % name, hint=_DEPLOY)
    # None for the keeper, which has no engine to ask.
    if state not in (None, "running"):
        hint = "docker unpause %s" % name if state == "paused" else "read docker logs %s, then docker start it" % name
        return Check("pooler", CRITICAL, state, "its container is %s" % state, hint=hint)
    if found["login_error"] is None:
        message = "login through %(address)s over TLS in %(connect_ms).0f ms" % found
        return Check("pooler", HEALTHY, "accepting", message)
    # A console that answers tells that the pooler itself is well.
    if not database_up and found["pools_error"] is None:
        return Check("pooler", UNKNOWN, None, "not measured: no login to the server, so none through the pooler")
    hint = "read docker logs %s; what the pooler may look up is made by the playbook deploy.yml" % name
    return Check("pooler", CRITICAL, "unreachable", found["login_error"], hint=hint)


def pools(found: Optional[Mapping[str, Any]], error: Optional[str], bounds: Bounds) -> Check:
    """The share of its connections that the busiest pool uses, and how long clients wait for one."""
    if found is None:
        return _nothing("pools", error, bounds)
    busiest = found["busiest"]
    if busiest is None:
        return Check("pools", UNKNOWN, None, "not measured: %s" % found["pools_error"], "%", *bounds)
    value = busiest["used_percent"]
    status = CRITICAL if busiest["wait_seconds"] >= _WAIT_SECONDS else graded(value, bounds)
    message = "no pool is in use"
    if busiest["pool"]:
        message = "the pool %(pool)s uses %(used)d of %(size)d connections" % busiest
    if busiest["waiting"]:
        message += ", %(waiting)d clients wait, the first for %(wait_seconds)d s" % busiest
    hint = "look for long transactions in pg_stat_activity, or raise postgres_pooler_size"
    return Check("pools", status, value, message, "%", *bounds, hint="" if status == HEALTHY else hint)


def _nothing(id: str, error: Optional[str], bounds: Optional[Bounds] = None) -> Check:
    unit = "%" if bounds else ""
    if error is not None:
        return Check(id, UNKNOWN, None, "not measured: %s" % error, unit, *(bounds or ()))
    return Check(id, HEALTHY, None, "no pooler is declared", unit, *(bounds or ()))
