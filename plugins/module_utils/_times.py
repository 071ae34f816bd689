# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""RFC 3339 in UTC, as Docker, pgBackRest's keeper and our results write it. Private to the collection."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Optional

# Clocks of two machines may differ by so much; more is no difference but a jump.
AHEAD_SECONDS = 300

_FORMAT = "%Y-%m-%dT%H:%M:%S"


def rfc3339(epoch: float) -> str:
    return datetime.fromtimestamp(int(epoch), timezone.utc).strftime(_FORMAT) + "Z"


def epoch_of(text: Optional[str]) -> Optional[float]:
    """Seconds since the epoch of 2026-11-21T20:31:05[.fraction]Z; None for None and for Docker's year 1 (never)."""
    if not text or text.startswith("0001-"):
        return None
    # Docker writes nanoseconds, which no format of Python reads.
    return datetime.strptime(text[:19], _FORMAT).replace(tzinfo=timezone.utc).timestamp()


def to_come(moment: float, now: float) -> bool:
    """Whether something that has been noted lies ahead of now: then the clock was set back, and its age is unknown."""
    return moment - now > AHEAD_SECONDS


def younger(moment: float, now: float, seconds: float) -> bool:
    """Whether moment is less than so many seconds ago. What is still to come is not."""
    return now - moment < seconds and not to_come(moment, now)


def set_back(moment: float, now: float) -> str:
    """Words for what to_come() found."""
    return "%s is %s ahead: the clock was set back" % (rfc3339(moment), hours(moment - now))


def hours(seconds: float) -> str:
    """A duration for people: 45 s, 12 min, 5 h, 3 days."""
    for unit, size, until in (("s", 1, 120), ("min", 60, 7200), ("h", 3600, 172800)):
        if seconds < until:
            return "%d %s" % (seconds / size, unit)
    return "%d days" % (seconds / 86400)
