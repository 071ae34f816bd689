# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The middle of the status page: sessions, rates, and who has been busy longest. Private to the collection."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Mapping, Optional

from ._page_sparkline import Sparkline, sparkline
from ._page_words import UNKNOWN, Fact, duration, known, number, percent, plain, ratio, rows, section, size, text, unit

# How many of the longest transactions the page has room for, and how much of a query.
LONGEST = 5
_QUERY = 220

# In the order of the bar.
_KINDS = ("active", "idle_in_transaction", "idle")


@dataclass(frozen=True)
class Trend:
    """The value now and the line of the last hour; summary is the line in words."""

    key: str
    label: str
    value: str
    summary: str
    line: Sparkline


@dataclass(frozen=True)
class Share:
    """A part of the bar of sessions, in hundredths of its length."""

    kind: str
    begin: float
    width: float


@dataclass(frozen=True)
class Session:
    seconds: str
    pid: str
    who: str
    where: str
    state: str
    wait: str
    blocked_by: str
    query: str


def trends(status: Mapping[str, Any]) -> list[Trend]:
    rates, latency = section(status, "rates"), section(status, "latency")
    data = next((row for row in rows(status, "storage") if row.get("id") == "data"), {})
    hits = _Scale("%", floor=None, factor=100)
    return [
        _trend(status, "transactions_per_second", "Transactions", rates.get("transactions_per_second"), _Scale("/s")),
        _trend(status, "sessions_active", "Active sessions", section(status, "sessions").get("active"), _Scale("")),
        _trend(status, "response_ms", "Response", latency.get("response_ms"), _Scale("ms")),
        _trend(status, "cache_hit_ratio", "Cache hits", rates.get("cache_hit_ratio"), hits),
        _trend(status, "disk_data_percent", "Data volume", data.get("used_percent"), _Scale("%", floor=None)),
    ]


@dataclass(frozen=True)
class _Scale:
    """How values become figures, and where their line begins: a ratio near one would be straight above zero."""

    unit: str
    floor: Optional[float] = 0.0
    factor: float = 1.0

    def of(self, value: Any) -> Optional[float]:
        found = number(value)
        return None if found is None else found * self.factor

    def shown(self, value: Optional[float]) -> str:
        return percent(value) if self.unit == "%" else unit(value, self.unit)


def _trend(status: Mapping[str, Any], key: str, label: str, value: Any, scale: _Scale) -> Trend:
    history = section(status, "history")
    points = history.get(key)
    values = [scale.of(point) for point in points] if isinstance(points, (list, tuple)) else []
    length = max(2, int(number(history.get("points")) or 60))
    line = sparkline(values, length, scale.floor)
    span = duration(length * (number(history.get("interval_seconds")) or 60.0))
    bounds = "no history yet" if line.low is None else "%s to %s in %s" % (plain(line.low), plain(line.high), span)
    return Trend(key, label, scale.shown(scale.of(value)), bounds, line)


def rates(status: Mapping[str, Any]) -> list[Fact]:
    found = section(status, "rates")
    deadlocks = number(found.get("deadlocks"))
    return [
        Fact("Rolled back", ratio(found.get("rollback_ratio"))),
        Fact("Rows written", unit(found.get("rows_written_per_second"), "/s")),
        Fact("WAL", _per_second(found.get("wal_bytes_per_second"))),
        Fact("Temporary files", _per_second(found.get("temp_bytes_per_second"))),
        Fact("Deadlocks", plain(deadlocks), status="warning" if deadlocks else ""),
    ]


def _per_second(value: Any) -> str:
    shown = size(value)
    return shown if shown == UNKNOWN else shown + "/s"


def sessions(status: Mapping[str, Any]) -> list[Fact]:
    found = section(status, "sessions")
    blocked = number(found.get("blocked"))
    return [
        *(Fact(kind.replace("_", " "), plain(found.get(kind)), swatch=kind) for kind in _KINDS),
        Fact("blocked", plain(blocked), status="warning" if blocked else ""),
    ]


def session_total(status: Mapping[str, Any]) -> str:
    sessions = section(status, "sessions")
    total, maximum = sessions.get("total"), sessions.get("maximum")
    if number(total) is None and number(maximum) is None:
        return "Sessions unknown"
    return "%s of %s sessions" % (plain(total), plain(maximum))


def shares(status: Mapping[str, Any]) -> list[Share]:
    """What of the allowed sessions is taken by which kind; empty where that is not known."""
    sessions = section(status, "sessions")
    maximum = number(sessions.get("maximum"))
    if not maximum or maximum <= 0:
        return []
    found, begin = [], 0.0
    for kind in _KINDS:
        width = min(100.0 - begin, 100.0 * max(0.0, number(sessions.get(kind)) or 0.0) / maximum)
        if width > 0:
            found.append(Share(kind, round(begin, 2), round(width, 2)))
        begin += width
    return found


def longest(status: Mapping[str, Any]) -> list[Session]:
    found = rows(section(status, "sessions"), "longest")
    found.sort(key=lambda row: -(number(row.get("seconds")) or 0.0))
    return [_session(row) for row in found[:LONGEST]]


def _session(row: Mapping[str, Any]) -> Session:
    origin = [text(row.get("application"), 40), text(row.get("client"), 45) or "local socket"]
    blockers = row.get("blocked_by")
    pids = [text(pid, 12) for pid in blockers[:4]] if isinstance(blockers, (list, tuple)) else []
    return Session(
        seconds=duration(row.get("seconds")),
        pid=known(row.get("pid"), 12),
        who="%s @ %s" % (known(row.get("user"), 40), known(row.get("database"), 40)),
        where=" · ".join(word for word in origin if word),
        state=known(row.get("state"), 40),
        wait=text(row.get("wait"), 40),
        blocked_by=", ".join(pids),
        query=text(row.get("query"), _QUERY),
    )


def none(status: Mapping[str, Any]) -> str:
    """What is to be read where there is no transaction."""
    return UNKNOWN if number(section(status, "sessions").get("total")) is None else "none"
