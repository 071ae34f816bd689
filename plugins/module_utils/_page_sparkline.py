# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Lines and bars of the status page as numbers for SVG. Private to the collection.

All of it is drawn by attributes of the elements: the page allows no style but its own sheet.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Optional, Sequence

from ._page_words import number

# The canvas of a line; the page stretches it.
WIDTH, HEIGHT = 240, 40
_MARGIN = 3


@dataclass(frozen=True)
class Sparkline:
    """line and area are paths, last is the newest point where it is known; low and high the values between which all
    points lie; missing counts those that are not known."""

    line: str
    area: str
    last: str
    low: Optional[float]
    high: Optional[float]
    missing: int


@dataclass(frozen=True)
class Bar:
    """All in hundredths of its length. A bound beyond its end is None."""

    filled: float
    warn: Optional[float] = None
    crit: Optional[float] = None


def sparkline(points: Sequence[Any], length: int = 60, floor: Optional[float] = 0.0) -> Sparkline:
    """The newest length points, the newest at the right end; what is not known is a gap, and no zero.

    The scale begins at floor, or where that is None at the lowest point.
    """
    newest = [number(point) for point in points][-length:]
    values = [*([None] * (length - len(newest))), *newest]
    found = [value for value in values if value is not None]
    if not found:
        return Sparkline("", "", "", None, None, length)
    low, high = min(found), max(found)
    bottom = low if floor is None else min(floor, low)
    # A flat line is one whatever the rounding of its values.
    span = max(high - bottom, abs(high) * 0.01, 1e-9)
    step = WIDTH / max(length - 1, 1)

    def place(index: int, value: float) -> str:
        height = HEIGHT - _MARGIN - (value - bottom) / span * (HEIGHT - 2 * _MARGIN)
        return "%.1f %.1f" % (index * step, height)

    line, area = [], []
    for run in _runs(values):
        corners = [place(index, value) for index, value in run]
        # A point alone is a line of no length, which its round ends make visible.
        line.append("M%s L%s" % (corners[0], " ".join(corners[1:]) or corners[0]))
        area.append(
            "M%.1f %d L%s L%.1f %d Z" % (run[0][0] * step, HEIGHT, " ".join(corners), run[-1][0] * step, HEIGHT)
        )
    end = values[-1]
    last = "" if end is None else "M{0} L{0}".format(place(length - 1, end))
    return Sparkline(" ".join(line), " ".join(area), last, low, high, length - len(found))


def _runs(values: Sequence[Optional[float]]) -> list[list[tuple[int, float]]]:
    """(index, value) of what is known, in pieces without a gap."""
    runs: list[list[tuple[int, float]]] = []
    for index, value in enumerate(values):
        if value is None:
            continue
        if runs and runs[-1][-1][0] == index - 1:
            runs[-1].append((index, value))
        else:
            runs.append([(index, value)])
    return runs


def gauge(value: Any, whole: Any, warn: Any = None, crit: Any = None) -> Optional[Bar]:
    """value of whole with its bounds; None where either is not known."""
    filled, full = number(value), number(whole)
    if filled is None or full is None or full <= 0:
        return None

    def mark(bound: Any) -> Optional[float]:
        place = number(bound)
        return None if place is None or not 0 < place < full else round(100 * place / full, 1)

    return Bar(round(min(100.0, max(0.0, 100 * filled / full)), 1), mark(warn), mark(crit))
