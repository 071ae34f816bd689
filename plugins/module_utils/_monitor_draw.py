# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Lines of styled words for the monitor, the same on a terminal and in a file. Private to the collection.

A line is a list of spans (words, style); a style is one of STYLES or empty. Colour only says again what a word and a
symbol say already. Words of others (queries, names) pass through clean(), so they can neither steer a terminal nor
break a line.
"""

from __future__ import annotations

import unicodedata
from typing import Any, Optional, Sequence

from ._times import hours

# healthy, warning and critical are levels; now is what just happens.
STYLES = ("healthy", "warning", "critical", "unknown", "title", "dim", "strong", "now")

Span = tuple[str, str]
Line = list[Span]

SYMBOLS = {"healthy": "●", "warning": "▲", "critical": "✖", "unknown": "?"}
NOTHING = "-"

_BLOCKS = "▁▂▃▄▅▆▇█"
_FULL, _EMPTY = "█", "░"


def clean(value: Any) -> str:
    """One line of printable characters: no controls, no escapes, nothing that turns the direction of writing."""
    words = "".join(char if char.isprintable() else " " for char in str(value))
    return " ".join(words.split())


def cells(words: str) -> int:
    """Columns of a terminal: letters of East Asia take two, accents none."""
    return sum(
        0 if unicodedata.combining(char) else 2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in words
    )


def crop(words: str, width: int) -> str:
    """words in at most width columns, with an ellipsis where something is missing."""
    if cells(words) <= width:
        return words
    while words and cells(words) > max(width - 1, 0):
        words = words[:-1]
    return words + "…" if width > 0 else ""


def fit(value: Any, width: int, right: bool = False) -> str:
    """value in exactly width columns; right aligns numbers."""
    words = crop(NOTHING if value is None or value == "" else clean(value), width)
    space = " " * (width - cells(words))
    return space + words if right else words + space


def cut(line: Line, width: int) -> Line:
    """The line in at most width columns."""
    kept: Line = []
    left = width
    for words, style in line:
        if cells(words) > left:
            return [*kept, (crop(words, left), style)] if left > 0 else kept
        kept.append((words, style))
        left -= cells(words)
    return kept


def wrapped(words: str, width: int, most: int) -> list[str]:
    """words in at most so many lines of that width, the last one cut."""
    lines: list[str] = []
    rest = clean(words)
    while rest and len(lines) < most:
        if cells(rest) <= width or len(lines) == most - 1:
            lines.append(crop(rest, width))
            break
        at = rest.rfind(" ", 1, width + 1)
        at = width if at < 1 else at
        lines.append(rest[:at].rstrip())
        rest = rest[at:].lstrip()
    return lines


def plain(line: Line) -> str:
    return "".join(words for words, _style in line).rstrip()


def gauge(percent: Optional[float], width: int) -> str:
    """Full at 100 %; what is over it does not overflow."""
    if percent is None:
        return " " * width
    full = round(min(max(percent, 0.0), 100.0) / 100.0 * width)
    return _FULL * full + _EMPTY * (width - full)


def spark(values: Sequence[Optional[float]], width: int) -> str:
    """All values as blocks between their least and their most; the mean of neighbours where they are more than width.

    A space where nothing is known; the newest is at the right edge.
    """
    columns = min(width, len(values))
    drawn: list[Optional[float]] = []
    for column in range(columns):
        part = values[column * len(values) // columns : (column + 1) * len(values) // columns]
        known = [value for value in part if value is not None]
        drawn.append(sum(known) / len(known) if known else None)
    there = [value for value in drawn if value is not None]
    least = min(there, default=0.0)
    span = max(there, default=0.0) - least
    top = len(_BLOCKS) - 1
    return "".join(
        " " if value is None else _BLOCKS[round((value - least) / span * top)] if span > 0 else _BLOCKS[0]
        for value in drawn
    ).rjust(max(width, 0))


def number(value: Optional[float], digits: int = 0, unit: str = "") -> str:
    """1234567.8 as 1,234,567.8 with that many digits, and its unit."""
    if value is None:
        return NOTHING
    return "{:,.{}f}".format(value, digits) + (" " + unit if unit else "")


def percent(ratio: Optional[float], digits: int = 1) -> str:
    return NOTHING if ratio is None else "%.*f %%" % (digits, ratio * 100)


def ago(seconds: Optional[float]) -> str:
    return NOTHING if seconds is None else hours(max(seconds, 0.0)) + " ago"


def span_of(seconds: Optional[float]) -> str:
    """How long something runs: 3.2 s, 12 min, 5 h, 3 days."""
    if seconds is None:
        return NOTHING
    return "%.1f s" % seconds if seconds < 10 else hours(seconds)


def clock(text: Optional[str], now: Optional[float]) -> str:
    """A moment in UTC as 10:00 today, as 11-24 10:00 otherwise."""
    from ._times import rfc3339

    if not text or len(text) < 16:
        return NOTHING
    today = now is not None and text[:10] == rfc3339(now)[:10]
    return clean(text[11:16] if today else text[5:16].replace("T", " "))
