# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What each endpoint of the keeper answers: a code and an object, from a presented status. Pure. Private.

Whoever comes without the token gets states in words of ours. The reasons for them hold words of the server, of libpq
and of the inventory: users, addresses, databases, receivers.
"""

from __future__ import annotations

import re
from typing import Any, Mapping, Optional

from ._errors import PgkeepError
from ._times import epoch_of
from ._units import parse_bytes

OK, BUSY = 200, 503

# A role in a question -> what a snapshot may call it.
_ROLES = {"primary": ("primary",), "replica": ("replica", "standby")}
_SECONDS = re.compile(r"(\d+(?:\.\d+)?)s\Z")

# Why no traffic should be sent, by what stands before the colon; the rest of the reason is for who has the token.
_NOT_READY = {
    "snapshot": "the keeper has not looked for too long",
    "maintenance": "the host works on the instance",
    "database": "no login works, or not for long enough yet",
    "circuit": "logins failed again and again, so the server is left alone for a while",
    "disk_data": "the disk is nearly full",
}
_WITH_TOKEN = "ask with the token for the reason"

Answer = tuple[int, dict[str, Any]]


def live(status: Mapping[str, Any]) -> Answer:
    """Whether the keeper still looks. Nothing about the database, which no restart of the keeper would help."""
    return (OK if status["live"] else BUSY), {key: status[key] for key in ("live", "snapshot_age_ms")}


def health(status: Mapping[str, Any], trusted: bool) -> Answer:
    """trusted: whether the token came with the question, here and below."""
    code = OK if status["status"] in ("healthy", "warning") else BUSY
    bad = ["%(id)s is %(status)s" % check for check in status["checks"] if check["status"] in ("warning", "critical")]
    return code, {"status": status["status"], "reasons": status["reasons"] if trusted else bad}


def ready(status: Mapping[str, Any], query: Mapping[str, str], trusted: bool) -> Answer:
    """Whether traffic may be sent now; query: role and lag. Raises PgkeepError for a question nobody could answer."""
    refuse_unknown(query, ("role", "lag"))
    known = status["reasons_not_ready"] if trusted else [_public(reason) for reason in status["reasons_not_ready"]]
    reasons = [*known, *_other_role(status, query.get("role")), *_late(status, query.get("lag"))]
    good = bool(status["ready"]) and not reasons
    return (OK if good else BUSY), {"ready": good, "reasons_not_ready": reasons}


def _public(reason: str) -> str:
    name = reason.partition(":")[0]
    return "%s: %s" % (name, _NOT_READY[name]) if name in _NOT_READY else _WITH_TOKEN


def _other_role(status: Mapping[str, Any], wanted: Optional[str]) -> list[str]:
    if wanted is None:
        return []
    if wanted not in _ROLES:
        raise _bad("role", wanted, "role=%s" % " or role=".join(_ROLES))
    role = status["instance"]["role"]
    return [] if role in _ROLES[wanted] else ["role: it is %s, asked for is a %s" % (role or "unknown", wanted)]


def _late(status: Mapping[str, Any], bound: Optional[str]) -> list[str]:
    """A primary is never behind. What a replica is behind in bytes or seconds and nobody knows is too much."""
    if bound is None:
        return []
    seconds = _SECONDS.match(bound)
    most = float(seconds[1]) if seconds else _bytes(bound)
    if status["instance"]["role"] in _ROLES["primary"]:
        return []
    lag = status.get("replica_lag_seconds" if seconds else "replica_lag_bytes")
    if lag is None:
        return ["lag: it is not known"]
    unit = "s" if seconds else "bytes"
    return [] if lag <= most else ["lag: it is %g %s behind, asked for are at most %g" % (lag, unit, most)]


def _bytes(bound: str) -> float:
    try:
        return float(parse_bytes(bound, "lag"))
    except PgkeepError as error:
        raise _bad("lag", bound, "lag=16MB, any number with B, kB, MB, GB or TB, or lag=30s") from error


def production_readiness(report: Optional[Mapping[str, Any]], query: Mapping[str, str], now: float) -> Answer:
    """The last report of the launch gate, with its age; strict=1 makes a bad verdict a bad code."""
    refuse_unknown(query, ("strict",))
    strict = query.get("strict", "0")
    if strict not in ("0", "1"):
        raise _bad("strict", strict, "strict=1 or strict=0")
    if report is None:
        body = error(
            "There is no report", "no preflight has left one on this machine", "run the playbook preflight.yml"
        )
        return (BUSY if strict == "1" else OK), {"verdict": None, "age_seconds": None, **body}
    made = epoch_of(report.get("generated_at"))
    age = None if made is None else max(0, round(now - made))
    refused = strict == "1" and report.get("verdict") not in ("READY", "READY_WITH_WARNINGS")
    return (BUSY if refused else OK), {**report, "age_seconds": age}


def refuse_unknown(query: Mapping[str, str], known: tuple[str, ...]) -> None:
    """A misspelled condition must not look fulfilled."""
    for name in query:
        if name not in known:
            raise PgkeepError(
                "The question cannot be answered", "%.40r is no parameter" % name, "ask with %s" % " or ".join(known)
            )


def _bad(name: str, value: str, allowed: str) -> PgkeepError:
    return PgkeepError("The question cannot be answered", "%s is %.40r" % (name, value), "ask with %s" % allowed)


def error(what: str, why: str, next_step: str) -> dict[str, Any]:
    return {"what": what, "why": why, "next_step": next_step}
