# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a restore shall end, and which backup leads there. Pure. Private to the collection."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Any, Mapping, Optional, Sequence

from ._errors import PgkeepError
from ._pgfiles import leads_to, timeline_of

LATEST, LABEL, TIME = "latest", "label", "time"

_TIME = re.compile(
    r"(?P<date>\d{4}-\d{2}-\d{2})[T ](?P<clock>\d{2}:\d{2})(?P<second>:\d{2})?(?:[.,](?P<fraction>\d{1,6}))?"
    r"\s*(?P<zone>Z|UTC|[+-]\d{2}(?::?\d{2})?)?\Z",
    re.IGNORECASE,
)
_EXAMPLES = "write it as 2026-11-21T20:12:31Z or 2026-11-21 21:12:31.5+01:00"


@dataclass(frozen=True)
class Target:
    """kind is latest, label or time; moment (UTC) belongs to time, label to label."""

    kind: str
    label: Optional[str] = None
    moment: Optional[datetime] = None

    def __str__(self) -> str:
        if self.kind == TIME and self.moment is not None:
            return rfc3339(self.moment)
        return self.label if self.kind == LABEL and self.label else LATEST


@dataclass(frozen=True)
class Choice:
    """A target with the backup to start from and the timeline to follow (None: the backup's own)."""

    target: Target
    backup: Mapping[str, Any]
    timeline: Optional[int]

    @property
    def label(self) -> str:
        return str(self.backup["label"])

    def restore_args(self) -> str:
        """The words for PGKEEP_RESTORE_ARGS, options of pgbackrest restore."""
        words = ["--set=" + self.label]
        if self.target.kind == LABEL:
            # Ends where the backup became consistent: the database as it was when that backup ended. pgBackRest
            # follows the backup's own timeline then and takes no other.
            return " ".join([*words, "--type=immediate", "--target-action=promote"])
        words.append("--target-timeline=%s" % (self.timeline or "current"))
        if self.target.moment is not None:
            words += ["--type=time", "--target=" + pgbackrest_time(self.target.moment), "--target-action=promote"]
        return " ".join(words)


def parse_target(label: Optional[str], time: Optional[str]) -> Target:
    """From the options of the module; neither of them means latest."""
    if time is not None:
        return Target(TIME, moment=parse_time(time))
    return Target(LABEL, label=label) if label is not None else Target(LATEST)


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


def choose(
    target: Target,
    backups: Sequence[Mapping[str, Any]],
    *,
    timeline: int,
    parents: Sequence[tuple[int, int]],
    missing: Sequence[str],
    reach: Optional[datetime],
    open_end: bool,
    now: datetime,
) -> Choice:
    """The backup to start from. Raises PgkeepError when nothing leads to target.

    timeline is the one to follow and parents its history (parse_timeline_history). missing are segments that the
    archive should have and nobody has; reach is when the last one before the first of them was archived. open_end: WAL
    newer than the archive's is at hand.
    """
    if target.kind == LABEL:
        return Choice(target, _labelled(target, backups), None)
    clean = sorted((backup for backup in backups if backup["clean"]), key=lambda backup: str(backup["stopped_at"]))
    usable = [
        backup for backup in clean if leads_to(timeline_of(backup["wal_stop"]), backup["lsn_stop"], timeline, parents)
    ]
    if not usable:
        raise PgkeepError("There is nothing to restore from", _why_none(backups, clean, timeline), _next_label(backups))
    if target.kind == LATEST or target.moment is None:
        _refuse_hole(usable[-1], missing, reach)
        return Choice(target, usable[-1], timeline)
    hole = _holes(usable[-1], missing)
    _check_window(target.moment, moment_of(usable[0]["stopped_at"]), None if open_end and not hole else reach, now)
    # Backup times are whole seconds, so one that ended within the second of the target may have ended after it.
    before = [b for b in usable if moment_of(b["stopped_at"]) + timedelta(seconds=1) <= target.moment]
    return Choice(target, before[-1], timeline)


def _holes(backup: Mapping[str, Any], missing: Sequence[str]) -> list[str]:
    """The missing segments behind the backup; digits 8 to 23 of a name count through all timelines."""
    return [name for name in missing if name[8:] > str(backup["wal_stop"])[8:]]


def _refuse_hole(backup: Mapping[str, Any], missing: Sequence[str], reach: Optional[datetime]) -> None:
    """PostgreSQL would end recovery at the hole and start without a word about what it left out."""
    holes = _holes(backup, missing)
    if holes:
        raise PgkeepError(
            "The newest state cannot be restored",
            "WAL is missing behind backup %s: %s%s; what was committed later is out of reach"
            % (backup["label"], ", ".join(holes[:5]), " and more" if len(holes) > 5 else ""),
            "name the backup with label to restore its end%s"
            % (", or a time before %s" % rfc3339(reach) if reach else ""),
        )


def _labelled(target: Target, backups: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    for backup in backups:
        if backup["label"] == target.label:
            return backup
    labels = [str(backup["label"]) for backup in backups]
    raise PgkeepError(
        "The backup %s cannot be restored" % target.label,
        "the repository has no backup of that label; it has %s" % (", ".join(labels[-10:]) or "none at all"),
        "choose one of them, or leave the label out for the newest",
    )


def _check_window(moment: datetime, oldest: datetime, until: Optional[datetime], now: datetime) -> None:
    first = oldest + timedelta(seconds=1)
    window = "the recoverable window is %s to %s" % (rfc3339(first), rfc3339(until or now))
    if moment > now:
        raise PgkeepError(
            "The time %s cannot be restored" % rfc3339(moment),
            "it is in the future; now it is %s" % rfc3339(now.replace(microsecond=0)),
            "choose an earlier time, or leave the time out for the newest state",
        )
    if moment < first:
        raise PgkeepError(
            "The time %s cannot be restored" % rfc3339(moment),
            "it is before the end of the oldest usable backup; %s" % window,
            "choose a later time",
        )
    if until is not None and moment > until:
        raise PgkeepError(
            "The time %s cannot be restored" % rfc3339(moment),
            "it is later than the last archived WAL; %s" % window,
            "choose an earlier time, or leave the time out for the newest state, unarchived WAL included",
        )


def _why_none(backups: Sequence[Mapping[str, Any]], clean: Sequence[Mapping[str, Any]], timeline: int) -> str:
    if not backups:
        return "the repository has no backup"
    if not clean:
        newest = backups[-1]
        return "none of the %d backups is clean; the newest, %s: %s" % (
            len(backups),
            newest["label"],
            "; ".join(newest["reasons"]) or "no reason is known",
        )
    return "none of the %d clean backups lies on the way to timeline %d, which is in production" % (
        len(clean),
        timeline,
    )


def _next_label(backups: Sequence[Mapping[str, Any]]) -> str:
    if not backups:
        return "run the playbook backup.yml, or look for the right repository"
    return "name a backup with label to restore the state at its end; the newest is %s" % backups[-1]["label"]
