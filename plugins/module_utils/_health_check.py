# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What one judged value of the health is. Pure. Private to the collection."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Optional, Union

HEALTHY = "healthy"
WARNING = "warning"
CRITICAL = "critical"
# Could not be measured; the check that is the cause says so and counts.
UNKNOWN = "unknown"

# The value of the check database while logins work.
ACCEPTING = "accepting"

# A value from the first on warns, one above the second is critical.
Bounds = tuple[float, float]


@dataclass(frozen=True)
class Check:
    """One judged value. unit is the unit of value, warn and crit."""

    id: str
    status: str
    value: Union[str, float, None]
    message: str
    unit: str = ""
    warn: Optional[float] = None
    crit: Optional[float] = None
    hint: str = ""


def graded(value: float, bounds: Bounds) -> str:
    warn, crit = bounds
    return CRITICAL if value > crit else WARNING if value >= warn else HEALTHY
