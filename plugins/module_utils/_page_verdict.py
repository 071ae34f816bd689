# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The top of the status page: what the instance is, the verdict with its reasons, and the checks. Private to the
collection.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Callable, Mapping, Optional

from ._page_sparkline import Bar, gauge
from ._page_words import (
    UNKNOWN,
    clock,
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
    unit,
)

# Worst first; in a list of all, what nobody knows comes last.
_STATES = ("critical", "warning", "unknown", "healthy")
_SHOWN = ("critical", "warning", "healthy", "unknown")
_SYMBOLS = {"critical": "✕", "warning": "▲", "unknown": "?", "healthy": "✓"}

_TITLES = {
    "database": "Database",
    "server": "Server",
    "disk": "Disk",
    "memory": "Server memory",
    "restarts": "Restarts",
    "response_time": "Response time",
    "xid_age": "Wraparound",
    "cpu": "CPU",
    "cpu_throttling": "CPU throttling",
    "off_site": "Off-site",
}

# Checks of which there is one for each of some things: disk_data, certificate_server.
_OF_SEVERAL = ("disk", "certificate", "repository")

# The five that everybody needs: the first of these checks that exists, or the worst of those that begin so.
_REQUIRED = (
    ("database", ("database",), ""),
    ("server", ("server", "container", "memory"), ""),
    ("disk", ("disk",), "disk_"),
    ("restarts", ("restarts",), ""),
    ("response_time", ("response_time",), ""),
)

# How the units of checks are written; any other word stands behind its number.
_FORMS: Mapping[str, Callable[[Any], str]] = {
    "": plain,
    "%": percent,
    "ratio": ratio,
    "bytes": size,
    "s": duration,
    "seconds": duration,
    "hours": lambda hours: duration(hours * 3600),
    "days": lambda days: duration(days * 86400),
}

# A bar goes on behind the critical bound, so that one can see how far.
_BEYOND = 1.25


@dataclass(frozen=True)
class Check:
    title: str
    status: str
    word: str
    value: str
    message: str
    limits: str
    since: str
    gauge: Optional[Bar] = None


@dataclass(frozen=True)
class Reason:
    status: str
    title: str
    message: str
    hint: str
    since: str


@dataclass(frozen=True)
class Verdict:
    """stale: the data are not of now, whatever they say; maintenance: a band below it, "" where there is none."""

    status: str
    symbol: str
    headline: str
    sentence: str
    ready: str
    reasons: list[Reason]
    stale: bool
    maintenance: str


def state(value: Any) -> str:
    return value if isinstance(value, str) and value in _STATES else "unknown"


def title(check: Mapping[str, Any]) -> str:
    """disk_data -> Data disk, response_time -> Response time"""
    name = text(check.get("id"), 40)
    kind, _line, one = name.partition("_")
    if kind in _OF_SEVERAL and one:
        return "%s %s" % (one.replace("_", " ").capitalize(), kind)
    return _TITLES.get(name) or name.replace("_", " ").capitalize() or UNKNOWN


def verdict(status: Mapping[str, Any], now: Optional[float]) -> Verdict:
    judged = state(status.get("status"))
    stale = status.get("live") is False
    reasons = _reasons(status, now)
    ready = status.get("ready")
    headline, sentence = _stale(status) if stale else ("", _sentence(judged, len(reasons), status))
    return Verdict(
        status=judged,
        symbol=_SYMBOLS[judged],
        headline=judged.capitalize() + headline,
        sentence=sentence,
        ready=UNKNOWN if ready is None else "yes" if ready is True else "no",
        reasons=reasons,
        stale=stale,
        maintenance=_maintenance(status, now),
    )


def _stale(status: Mapping[str, Any]) -> tuple[str, str]:
    """Headline and sentence."""
    found = number(status.get("snapshot_age_ms"))
    if found is None:
        return ": no data yet", "The keeper has not finished its first look."
    return (
        ": the data is %s old" % duration(found / 1000),
        "The keeper has not been able to look since. All below is how it was then.",
    )


def _sentence(judged: str, count: int, status: Mapping[str, Any]) -> str:
    if judged == "healthy":
        newest = section(section(status, "backup"), "newest")
        if not newest:
            return "All checks are good; there is no backup yet."
        proof = "proven by restoring it" if newest.get("proven_at") else "not proven yet"
        return "All checks are good. The newest backup is %s old and %s." % (duration(newest.get("age_seconds")), proof)
    if judged == "unknown":
        return "Nobody has looked yet."
    return "One thing needs attention." if count == 1 else "%d things need attention." % count


def _reasons(status: Mapping[str, Any], now: Optional[float]) -> list[Reason]:
    """Every check that is not good, worst first, then what is said and belongs to no check."""
    bad = [check for check in rows(status, "checks") if state(check.get("status")) in ("critical", "warning")]
    bad.sort(key=lambda check: _STATES.index(state(check.get("status"))))
    found = [
        Reason(
            status=state(check.get("status")),
            title=title(check),
            message=text(check.get("message"), 300) or _value(check),
            hint=text(check.get("hint"), 300),
            since=_since(check, now),
        )
        for check in bad
    ]
    told = tuple("%s:" % check.get("id") for check in bad)
    for name, kind in (("reasons", state(status.get("status"))), ("reasons_not_ready", "critical")):
        words = status.get(name)
        for word in words if isinstance(words, (list, tuple)) else ():
            message = text(word, 300)
            if message and not message.startswith(told) and message not in [reason.message for reason in found]:
                message = message[0].upper() + message[1:]
                found.append(Reason(kind if kind in ("critical", "warning") else "warning", "", message, "", ""))
    return found


def _maintenance(status: Mapping[str, Any], now: Optional[float]) -> str:
    found = section(status, "maintenance")
    if not found:
        return ""
    words = "Maintenance: %s since %s" % (known(found.get("reason")), clock(found.get("since")))
    return words + (", until %s at the latest." % clock(found.get("until")) if moment(found.get("until")) else ".")


def required(status: Mapping[str, Any], now: Optional[float]) -> list[Check]:
    """The five in their order; one that nobody made is there and unknown."""
    checks = rows(status, "checks")
    shown = []
    for name, ids, prefix in _REQUIRED:
        found = _pick(checks, ids, prefix)
        if found is None:
            shown.append(Check(_TITLES[name], "unknown", UNKNOWN, UNKNOWN, "", "", ""))
        else:
            shown.append(_check(found, now, status.get("live") is False))
    return shown


def others(status: Mapping[str, Any], now: Optional[float]) -> list[Check]:
    """All checks that are neither among the five nor the headline."""
    checks = [check for check in rows(status, "checks") if check.get("id") != "snapshot"]
    taken = [_pick(checks, ids, prefix) for _name, ids, prefix in _REQUIRED]
    left = [check for check in checks if not any(check is one for one in taken)]
    left.sort(key=lambda check: _SHOWN.index(state(check.get("status"))))
    return [_check(check, now, status.get("live") is False) for check in left]


def _pick(checks: list[Mapping[str, Any]], ids: tuple[str, ...], prefix: str) -> Optional[Mapping[str, Any]]:
    for name in ids:
        for check in checks:
            if check.get("id") == name:
                return check
    family = [check for check in checks if prefix and str(check.get("id")).startswith(prefix)]
    # The worst; of those that are equally bad the fullest.
    family.sort(key=lambda check: (_STATES.index(state(check.get("status"))), -(number(check.get("value")) or 0.0)))
    return family[0] if family else None


def _check(check: Mapping[str, Any], now: Optional[float], stale: bool) -> Check:
    judged = state(check.get("status"))
    return Check(
        title=title(check),
        status=judged,
        # What was good then may be so no longer.
        word="was %s" % judged if stale and judged != "unknown" else judged,
        value=_value(check),
        message=text(check.get("message"), 160),
        limits=_limits(check),
        since=_since(check, now),
        gauge=_gauge(check),
    )


def _value(check: Mapping[str, Any]) -> str:
    value = check.get("value")
    return _measured(value, check) if number(value) is not None else known(value, 40)


def _measured(value: Any, check: Mapping[str, Any]) -> str:
    """A number with the unit of its check."""
    name = text(check.get("unit"), 20)
    form = _FORMS.get(name)
    return form(value) if form else unit(value, name)


def _limits(check: Mapping[str, Any]) -> str:
    warn, crit = number(check.get("warn")), number(check.get("crit"))
    sign = "<" if warn is not None and crit is not None and crit < warn else "≥"
    bounds = [("warn", warn), ("critical", crit)]
    shown = [
        "%s\u00a0%s\u00a0%s" % (word, sign, _measured(bound, check)) for word, bound in bounds if bound is not None
    ]
    return ", ".join(shown)


def _gauge(check: Mapping[str, Any]) -> Optional[Bar]:
    value, warn, crit = (number(check.get(key)) for key in ("value", "warn", "crit"))
    if value is None or crit is None or (warn is not None and crit < warn):
        return None
    whole = 100.0 if check.get("unit") == "%" else max(crit * _BEYOND, value)
    return gauge(value, whole, warn, crit)


def _since(check: Mapping[str, Any], now: Optional[float]) -> str:
    since = moment(check.get("since"))
    return "" if since is None or now is None else duration(now - since)


def age(status: Mapping[str, Any]) -> str:
    """data 1.8 s old"""
    found = number(status.get("snapshot_age_ms"))
    return "no data" if found is None else "data %s old" % duration(found / 1000)


def identity(status: Mapping[str, Any]) -> list[str]:
    """What the instance is, for the line behind its name."""
    instance = section(status, "instance")
    version, role = text(instance.get("pg_version"), 20), text(instance.get("role"), 20)
    timeline, up = plain(instance.get("timeline")), duration(instance.get("uptime_seconds"))
    return [
        role or "role unknown",
        "PostgreSQL %s" % (version or UNKNOWN),
        "timeline %s" % timeline,
        "up %s" % up if up != UNKNOWN else "uptime unknown",
    ]
