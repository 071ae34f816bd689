# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a restore shall end. Pure. Private to the collection."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Optional

from ._errors import PgkeepError

LATEST, LABEL, TIME, NAME, LSN, XID, IMMEDIATE = "latest", "label", "time", "restore_point", "lsn", "xid", "immediate"

_LSN = re.compile(r"[0-9A-F]{1,8}/[0-9A-F]{1,8}\Z", re.IGNORECASE)
_XID = re.compile(r"[1-9][0-9]{0,19}\Z")
# One word without a quote: it travels through the entrypoint to pgBackRest and into a file of settings.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:+-]{0,62}\Z")

_TIME = re.compile(
    r"(?P<date>\d{4}-\d{2}-\d{2})[T ](?P<clock>\d{2}:\d{2})(?P<second>:\d{2})?(?:[.,](?P<fraction>\d{1,6}))?"
    r"\s*(?P<zone>Z|UTC|[+-]\d{2}(?::?\d{2})?)?\Z",
    re.IGNORECASE,
)
_EXAMPLES = "write it as 2026-11-21T20:12:31Z or 2026-11-21 21:12:31.5+01:00"


@dataclass(frozen=True)
class Target:
    """kind is one of the words above; moment (UTC) belongs to time, value to lsn, xid and restore_point.

    label is the backup to begin with: that of the kind label itself, an optional one for xid and restore_point.
    """

    kind: str
    label: Optional[str] = None
    moment: Optional[datetime] = None
    value: Optional[str] = None

    def __str__(self) -> str:
        if self.kind == TIME and self.moment is not None:
            return rfc3339(self.moment)
        if self.value is not None:
            return "%s %s" % (self.kind.replace("_", " "), self.value)
        return self.label if self.kind == LABEL and self.label else self.kind

    @property
    def ends_with_backup(self) -> bool:
        """Whether WAL behind the end of a backup is not replayed."""
        return self.kind in (LABEL, IMMEDIATE)

    def words(self) -> list[str]:
        """The options of pgbackrest restore that say where to end, without the action."""
        if self.ends_with_backup:
            # Ends where the backup became consistent: the database as it was when that backup ended.
            return ["--type=immediate"]
        if self.kind == TIME and self.moment is not None:
            return ["--type=time", "--target=" + pgbackrest_time(self.moment)]
        if self.kind == NAME:
            return ["--type=name", "--target=%s" % self.value]
        if self.kind == LSN:
            # What ended before the position. Included would be the first record at it, which may be a commit.
            return ["--type=lsn", "--target=%s" % self.value, "--target-exclusive"]
        return ["--type=xid", "--target=%s" % self.value] if self.kind == XID else []


def parse_target(
    label: Optional[str],
    time: Optional[str],
    restore_point: Optional[str] = None,
    lsn: Optional[str] = None,
    xid: Optional[str] = None,
    immediate: bool = False,
) -> Target:
    """From the options of the module; none of them means latest."""
    if time is not None:
        return Target(TIME, moment=parse_time(time))
    if restore_point is not None:
        what = "it is not a name: 1 to 63 letters, digits and _ . : + -"
        return Target(NAME, label, value=_checked(NAME, restore_point, _NAME, what, "write it as it was made"))
    if lsn is not None:
        what = "it is not a position in the WAL"
        return Target(LSN, value=_checked(LSN, lsn, _LSN, what, "write it as pg_current_wal_lsn() does: 0/3000060"))
    if xid is not None:
        what = "it is not the number of a transaction"
        return Target(XID, label, value=_checked(XID, xid, _XID, what, "write it as pg_current_xact_id() does: 771"))
    if label is not None:
        return Target(LABEL, label)
    return Target(IMMEDIATE if immediate else LATEST)


def _checked(kind: str, text: str, form: re.Pattern[str], why: str, next_step: str) -> str:
    if not form.match(text):
        raise PgkeepError("The %s %r cannot be used" % (kind.replace("_", " "), text), why, next_step)
    return text.upper() if kind == LSN else text


def parse_time(text: str) -> datetime:
    """A moment in UTC from ISO 8601 or PostgreSQL's spelling. Without a timezone it is refused: the container's and
    the reader's idea of local time differ, and pgBackRest would take the container's without a word."""
    found = _TIME.match(text.strip())
    if found is None:
        raise PgkeepError("The time %r cannot be read" % text, "it is not a date with a time of day", _EXAMPLES)
    if found["zone"] is None:
        raise PgkeepError("The time %r cannot be used" % text, "it has no timezone", _EXAMPLES)
    zone = found["zone"].upper()
    offset = "+0000" if zone in ("Z", "UTC") else zone.replace(":", "").ljust(5, "0")
    words = "%s %s%s.%s%s" % (
        found["date"],
        found["clock"],
        found["second"] or ":00",
        (found["fraction"] or "0").ljust(6, "0"),
        offset,
    )
    try:
        return datetime.strptime(words, "%Y-%m-%d %H:%M:%S.%f%z").astimezone(timezone.utc)
    except ValueError as error:
        raise PgkeepError("The time %r cannot be read" % text, str(error), _EXAMPLES) from error


def pgbackrest_time(moment: datetime) -> str:
    """The one form that pgBackRest takes on its command line: no T, no Z."""
    return moment.astimezone(timezone.utc).strftime("%Y-%m-%d %H:%M:%S.%f+00")


def rfc3339(moment: datetime) -> str:
    return moment.astimezone(timezone.utc).isoformat().replace("+00:00", "Z")


def moment_of(text: str) -> datetime:
    """The inverse of rfc3339(), for the times in backup objects."""
    return parse_time(text)
