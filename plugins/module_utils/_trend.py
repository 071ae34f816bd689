# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How values move: an hour of points for lines on a page, and how fast disks fill. Pure. Private to the collection."""

from __future__ import annotations

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
