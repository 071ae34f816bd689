# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Words and figures of the status page, and how it reads a status of which any part may be missing. Private to the
collection.

What is not known is said, and never a zero.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Any, Mapping, Optional

from ._times import epoch_of
from ._units import human

UNKNOWN = "unknown"

# Between a figure and its unit: they never part at the end of a line.
_TIE = "\u00a0"

_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")

# Control characters, and those that turn the direction of everything behind them.
_UNWANTED = re.compile("[\x00-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff]+")


@dataclass(frozen=True)
class Fact:
    """A line of a panel. status: healthy, warning, critical or unknown where the value is good or bad news, else "";
    swatch: its colour in a bar."""

    label: str
    value: str
    note: str = ""
    status: str = ""
    swatch: str = ""


def section(data: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    """What is below key, or nothing where it is missing or null."""
    found = data.get(key)
    return found if isinstance(found, Mapping) else {}


def rows(data: Mapping[str, Any], key: str) -> list[Mapping[str, Any]]:
    found = data.get(key)
    return [row for row in found if isinstance(row, Mapping)] if isinstance(found, (list, tuple)) else []


def number(value: Any) -> Optional[float]:
    """None for everything that is not a finite number."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        return None
    return float(value)


def text(value: Any, limit: int = 80) -> str:
    """Words of others in one line of at most limit characters, as the page may show them (it escapes them)."""
    if value is None:
        return ""
    # Half a character of UTF-16, which JSON can carry, has no encoding.
    words = str(value)[: 4 * limit].encode("utf-8", "replace").decode("utf-8")
    words = " ".join(_UNWANTED.sub(" ", words).split())
    return words if len(words) <= limit else words[: limit - 1].rstrip() + "…"


def known(value: Any, limit: int = 80) -> str:
    return text(value, limit) or UNKNOWN


def moment(value: Any) -> Optional[float]:
    """Seconds since the epoch of an RFC 3339 time; None for everything else."""
    try:
        return epoch_of(value) if isinstance(value, str) else None
    except ValueError:
        return None


def plain(value: Any) -> str:
    """A number with as many digits as a glance takes in: 0.2, 23.1, 123, 12 345."""
    found = number(value)
    if found is None:
        return UNKNOWN
    if abs(found) < 99.95:
        return ("%.1f" % found).replace(".0", "")
    return f"{found:,.0f}".replace(",", "\u202f")


def unit(value: Any, name: str) -> str:
    """A number with its unit, which loses its plural where there is one."""
    shown = plain(value)
    if shown == "1" and len(name) > 2:
        name = name.rstrip("s")
    return shown if shown == UNKNOWN or not name else shown + _TIE + name


def percent(value: Any) -> str:
    """Of a number of hundredths. What is neither nothing nor all is not shown as such."""
    found = number(value)
    if found is None:
        return UNKNOWN
    if 0 < found < 0.05:
        return "< 0.1".replace(" ", _TIE) + _TIE + "%"
    if 99.95 <= found < 100:
        return "> 99.9".replace(" ", _TIE) + _TIE + "%"
    return ("%.1f" % found).replace(".0", "") + _TIE + "%"


def ratio(value: Any) -> str:
    found = number(value)
    return UNKNOWN if found is None else percent(100 * found)


def size(value: Any) -> str:
    found = number(value)
    if found is None:
        return UNKNOWN
    return ("-" if found < 0 else "") + human(abs(found)).replace(" ", _TIE)


def duration(value: Any) -> str:
    """Two units while the greater one has one digit, else one: 4.2 s, 3 min 5 s, 12 min, 3 h 24 min, 14 h, 42 d."""
    seconds = number(value)
    if seconds is None:
        return UNKNOWN
    seconds = max(0.0, seconds) if seconds < 10 else round(seconds)
    if seconds < 60:
        return unit(seconds, "s")
    for name, each, smaller, part, until in (
        ("min", 60, "s", 1, 3600),
        ("h", 3600, "min", 60, 172800),
        ("d", 86400, "h", 3600, math.inf),
    ):
        if seconds < until:
            whole, rest = int(seconds // each), int(seconds % each // part)
            return _TIE.join([str(whole), name, *([str(rest), smaller] if whole < 10 and rest else [])])
    raise AssertionError("the last bound is infinite")


def ago(value: Any, now: Optional[float]) -> str:
    """How long ago an RFC 3339 time was, or how far ahead it lies."""
    at = moment(value)
    if at is None or now is None:
        return UNKNOWN
    if at > now:
        return "in" + _TIE + duration(at - now)
    return duration(now - at) + _TIE + "ago"


def clock(value: Any) -> str:
    """24 Nov 10:00 UTC of 2026-11-24T10:00:05Z."""
    return UNKNOWN if moment(value) is None else _TIE.join([*_day(value), value[11:16], "UTC"])


def date(value: Any) -> str:
    """24 Nov 2026 of 2026-11-24T10:00:05Z."""
    return UNKNOWN if moment(value) is None else _TIE.join([*_day(value), value[:4]])


def _day(value: str) -> list[str]:
    return [str(int(value[8:10])), _MONTHS[int(value[5:7]) - 1]]
