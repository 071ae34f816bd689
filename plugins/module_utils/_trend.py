# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How values move: an hour of points for lines on a page, and how fast disks fill. Pure. Private to the collection."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, Mapping, Optional, Sequence

POINT_SECONDS = 60
POINTS = 60
NAMES = ("transactions_per_second", "sessions_active", "response_ms", "cache_hit_ratio", "disk_data_percent")

SAMPLE_SECONDS = 600.0
# Two days; the expiry of backups makes a saw, of which less would show one tooth.
SAMPLES = 288
# Before that nobody asks when a disk will be full: two hours.
ENOUGH = 12

_DAY = 86400.0


@dataclass
class Minutes:
    """The mean of what was added in each of the last POINTS minutes, None for a minute without a value."""

    _minute: Optional[int] = None
    _open: dict[str, list[float]] = field(default_factory=dict)
    _closed: list[dict[str, Optional[float]]] = field(default_factory=list)

    def add(self, now: float, values: Mapping[str, Optional[float]]) -> None:
        minute = int(now // POINT_SECONDS)
        if self._minute is not None and minute != self._minute:
            gap = min(max(minute - self._minute - 1, 0), POINTS)
            self._closed += [self._means(), *([dict.fromkeys(NAMES)] * gap)]
            self._closed = self._closed[-POINTS:]
            self._open = {}
        self._minute = minute
        for name in NAMES:
            value = values.get(name)
            if value is not None:
                self._open.setdefault(name, []).append(value)

    def _means(self) -> dict[str, Optional[float]]:
        return {
            name: round(sum(self._open[name]) / len(self._open[name]), 4) if name in self._open else None
            for name in NAMES
        }

    def summary(self) -> dict[str, Any]:
        """The part history of the snapshot; the last point is the minute that is not over."""
        points = [*self._closed, self._means()][-POINTS:] if self._minute is not None else []
        lines = {name: [point[name] for point in points] for name in NAMES}
        return {"interval_seconds": POINT_SECONDS, "points": POINTS, **lines}

    def to_dict(self) -> dict[str, Any]:
        """What outlives the keeper: the minutes that are over, so it is the same until the next one is."""
        points = [[point[name] for name in NAMES] for point in self._closed]
        return {"seconds": POINT_SECONDS, "names": list(NAMES), "minute": self._minute, "points": points}

    @classmethod
    def from_dict(cls, found: Mapping[str, Any], now: float) -> Minutes:
        """The inverse of to_dict(). Raises KeyError, TypeError or ValueError for anything else: other lines, something
        that is no number, or a minute of a time to come."""
        if (found["seconds"], found["names"]) != (POINT_SECONDS, list(NAMES)):
            raise ValueError("it holds other lines")
        minute = found["minute"]
        if minute is not None and not 0 <= minute <= now // POINT_SECONDS:
            raise ValueError("minute %r is not over" % minute)
        points = [[_number(value) for value in point] for point in found["points"][-POINTS:]]
        if any(len(point) != len(NAMES) for point in points):
            raise ValueError("a point has too few values")
        return cls(None if minute is None else int(minute), {}, [dict(zip(NAMES, point)) for point in points])


def _number(value: Any) -> Optional[float]:
    if value is not None and (isinstance(value, bool) or not math.isfinite(value)):
        raise ValueError("%r is no number" % value)
    return None if value is None else float(value)


# (seconds since the epoch, used bytes) of one disk, oldest first.
Samples = Sequence[tuple[float, float]]


def sampled(samples: Samples, now: float, used: float) -> list[tuple[float, float]]:
    """samples with a new one, if it is time for it. Those of a time to come go: the clock was set back."""
    kept = [each for each in samples if each[0] <= now]
    if kept and now - kept[-1][0] < SAMPLE_SECONDS:
        return kept
    return [*kept, (now, used)][-SAMPLES:]


def growth_per_day(samples: Samples) -> Optional[float]:
    """Bytes a day, by the line that fits best; None for less than ENOUGH samples."""
    if len(samples) < ENOUGH:
        return None
    mean_at = sum(at for at, _used in samples) / len(samples)
    mean_used = sum(used for _at, used in samples) / len(samples)
    spread = sum((at - mean_at) ** 2 for at, _used in samples)
    if not spread:
        return None
    return round(sum((at - mean_at) * (used - mean_used) for at, used in samples) / spread * _DAY, 1)


def days_to_full(free_bytes: float, growth: Optional[float]) -> Optional[float]:
    """None where the disk does not fill, or nobody knows."""
    return round(free_bytes / growth, 1) if growth is not None and growth > 0 else None
