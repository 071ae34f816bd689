# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The maintenance window of an inventory: whether it is open, and when it opens. Pure but for the clock of its caller.

It is open while the wall clock of its time zone shows a time inside. So an hour that the clock skips in spring is in no
window, and one that it shows twice in autumn is twice in it. Private to the collection.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone, tzinfo
from typing import Optional
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from ._errors import PgkeepError

_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_DAY = 24 * 60
_TEXT = re.compile(r"(?:([A-Za-z,-]+) +)?(\d\d):(\d\d) ?- ?(\d\d):(\d\d)(?: +([A-Za-z0-9_+/-]+))?\Z")
# A window once a week that lies in the hour that is skipped opens in the second week.
_SEARCHED = timedelta(days=15)


@dataclass(frozen=True)
class Window:
    """days: on which it opens, Monday is 0. Minutes of the day; end is beyond 24 hours where it crosses midnight."""

    days: frozenset[int]
    begin: int
    end: int
    zone: tzinfo

    def is_open(self, now: datetime) -> bool:
        """now has a time zone, any."""
        local = now.astimezone(self.zone)
        minute = local.hour * 60 + local.minute
        today, yesterday = local.weekday(), (local.weekday() - 1) % 7
        return (today in self.days and self.begin <= minute < self.end) or (
            yesterday in self.days and minute + _DAY < self.end
        )

    def opens(self, now: datetime) -> datetime:
        """The next minute after now in which it is open, in UTC."""
        moment = now.astimezone(timezone.utc).replace(second=0, microsecond=0)
        last = moment + _SEARCHED
        while moment < last:
            moment += timedelta(minutes=1)
            if self.is_open(moment):
                return moment
        raise PgkeepError("The maintenance window never opens", "its hours are skipped by the clock", "name others")


def parse(text: str) -> Window:
    """From "[days] HH:MM-HH:MM [zone]", such as "02:00-04:00", "Sun 23:00-01:30" or "Mon-Fri,Sun 02:00-03:00
    Europe/Berlin". Raises PgkeepError for anything else."""
    found = _TEXT.match(text.strip())
    if found is None:
        raise _refused(text, "it is not [days] HH:MM-HH:MM [time zone]")
    days, *clock, zone = found.groups()
    hours, minutes = [int(part) for part in clock[::2]], [int(part) for part in clock[1::2]]
    begin, end = (hour * 60 + minute for hour, minute in zip(hours, minutes))
    if max(minutes) > 59 or begin >= _DAY or end > _DAY:
        raise _refused(text, "times are 00:00 to 24:00")
    if begin == end:
        raise _refused(text, "it ends when it begins")
    return Window(_days(text, days), begin, end if end > begin else end + _DAY, _zone(text, zone))


def _refused(text: str, why: str) -> PgkeepError:
    return PgkeepError(
        "The maintenance window %r cannot be used" % text,
        why,
        'set postgres_server_restart_window, for example to "Sun 02:00-04:00 Europe/Berlin"; without a zone it is UTC',
    )


def _days(text: str, words: Optional[str]) -> frozenset[int]:
    if words is None:
        return frozenset(range(7))
    found: set[int] = set()
    for word in words.lower().split(","):
        first, dash, last = word.partition("-")
        if first not in _DAYS or (dash and last not in _DAYS):
            raise _refused(text, "days are Mon, Tue, Wed, Thu, Fri, Sat, Sun, lists and ranges of them")
        begin = _DAYS.index(first)
        length = (_DAYS.index(last) - begin) % 7 if dash else 0
        found |= {(begin + step) % 7 for step in range(length + 1)}
    return frozenset(found)


def _zone(text: str, name: Optional[str]) -> tzinfo:
    if name in (None, "UTC"):
        # Also on a machine without the database of time zones.
        return timezone.utc
    try:
        return ZoneInfo(str(name))
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        why = "the time zone %s is not known on this machine: a typing error, or the package tzdata is missing" % name
        raise _refused(text, why) from error
