# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which backup leads to a target, or why none does. Pure. Private to the collection."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Mapping, Optional, Sequence

from ._errors import PgkeepError
from ._pgfiles import leads_to, position, timeline_of
from ._target import IMMEDIATE, LABEL, LATEST, LSN, NAME, TIME, XID, Target, moment_of, rfc3339
from ._wal import lsn

Backup = Mapping[str, Any]

_UNDO = "bring the former version back: upgrade.yml with way=undo, as long as its data are kept"


@dataclass(frozen=True)
class Choice:
    """A target with the backup to start from and the timeline to follow (None: the backup's own).

    moment is the target's, as far as it is known before recovery.
    """

    target: Target
    backup: Backup
    timeline: Optional[int]
    moment: Optional[datetime] = None

    @property
    def label(self) -> str:
        return str(self.backup["label"])

    def restore_args(self, action: str = "promote") -> str:
        """The words for PGKEEP_RESTORE_ARGS, options of pgbackrest restore. action: what is done at the target."""
        words = ["--set=" + self.label]
        if not self.target.ends_with_backup:
            # For the end of a backup pgBackRest follows the backup's own timeline and takes no other.
            words.append("--target-timeline=%s" % (self.timeline or "current"))
        ending = self.target.words()
        return " ".join([*words, *ending, *(["--target-action=" + action] if ending else [])])


@dataclass(frozen=True)
class Hole:
    """A gap in the archive, as backup_info lists it; digits 8 to 23 of a name count through all timelines."""

    first: str
    last: str
    after: datetime
    until: Optional[datetime]

    def behind(self, backup: Backup) -> bool:
        return self.first[8:] > str(backup["wal_stop"])[8:]

    def __str__(self) -> str:
        return self.first if self.first == self.last else "%s to %s" % (self.first, self.last)


@dataclass(frozen=True)
class Archive:
    """What a choice stands on. backups, points: those of backup_info, oldest first.

    timeline is the one to follow and parents its history (parse_timeline_history). reach is when the last segment was
    archived that the newest backup reaches. open_end: WAL newer than the archive's is at hand. end is the position
    (bytes) where WAL ends, None when that is not known. major is the one of the instance, which alone can read its own
    backups; None where it does not matter. A keeper from before upgrades does not tell the major of a backup.
    """

    backups: Sequence[Backup]
    timeline: int
    parents: Sequence[tuple[int, int]]
    now: datetime
    open_end: bool
    holes: Sequence[Hole] = ()
    reach: Optional[datetime] = None
    end: Optional[int] = None
    segment_bytes: int = 16 * 1024 * 1024
    points: Sequence[Mapping[str, Any]] = ()
    major: Optional[int] = None

    def readable(self, backup: Backup) -> bool:
        """Whether the server of the instance can start with its data."""
        return self.major is None or backup.get("major") in (None, self.major)

    def usable(self) -> list[Backup]:
        """The clean backups on the way to timeline, oldest first. Raises PgkeepError when there is none."""
        clean = sorted((backup for backup in self.backups if backup["clean"]), key=lambda each: str(each["stopped_at"]))
        found = [
            backup
            for backup in clean
            if self.readable(backup)
            and leads_to(timeline_of(backup["wal_stop"]), backup["lsn_stop"], self.timeline, self.parents)
        ]
        if not found:
            raise PgkeepError("There is nothing to restore from", _why_none(self, clean), _next_label(self))
        return found

    def former(self, moment: Optional[datetime] = None) -> Optional[int]:
        """The other major version whose clean backups are there, made before moment if that is given; None for none."""
        return next(
            (
                int(backup["major"])
                for backup in reversed(self.backups)
                if backup["clean"]
                and not self.readable(backup)
                and (moment is None or moment_of(backup["stopped_at"]) <= moment)
            ),
            None,
        )


def choose(target: Target, archive: Archive) -> Choice:
    """The backup to start from. Raises PgkeepError when nothing leads to target."""
    if target.kind == NAME:
        return _for_point(target, archive)
    if target.label is not None:
        backup = _labelled(target.label, archive)
        if target.kind == LABEL:
            return Choice(target, backup, None, moment_of(backup["stopped_at"]))
        return Choice(target, backup, archive.timeline)
    usable = archive.usable()
    if target.kind == TIME and target.moment is not None:
        return _for_time(target, target.moment, usable, archive)
    if target.kind == LSN and target.value is not None:
        return _for_lsn(target, target.value, usable, archive)
    if target.kind == IMMEDIATE:
        return Choice(target, usable[-1], None, moment_of(usable[-1]["stopped_at"]))
    if target.kind == XID:
        # No backup tells which transactions it holds; recovery ends with an error when it is this one.
        return Choice(target, usable[-1], archive.timeline)
    _refuse_hole(usable[-1], archive)
    return Choice(Target(LATEST), usable[-1], archive.timeline)


def _for_time(target: Target, moment: datetime, usable: Sequence[Backup], archive: Archive) -> Choice:
    _check_window(moment, usable, archive)
    # Backup times are whole seconds, so one that ended within the second of the target may have ended after it.
    backup = [each for each in usable if moment_of(each["stopped_at"]) + timedelta(seconds=1) <= moment][-1]
    hole = next((hole for hole in archive.holes if hole.behind(backup)), None)
    if hole is not None and moment > hole.after:
        raise _in_hole(
            "The time %s cannot be restored" % rfc3339(moment),
            hole,
            "choose a time up to %s" % rfc3339(hole.after),
        )
    return Choice(target, backup, archive.timeline, moment)


def _for_lsn(target: Target, value: str, usable: Sequence[Backup], archive: Archive) -> Choice:
    what = "The position %s cannot be restored" % value
    wanted = lsn(value)
    first = str(usable[0]["lsn_stop"])
    window = "the recoverable WAL goes from %s to %s" % (
        first,
        "its end" if archive.end is None else position(archive.end),
    )
    before = [backup for backup in usable if lsn(backup["lsn_stop"]) <= wanted]
    if not before:
        raise _too_early(what, window, "choose a later position", archive, archive.former())
    if archive.end is not None and wanted > archive.end:
        next_step = "choose an earlier position, or leave it out for the newest state"
        raise PgkeepError(what, "no WAL was written so far; %s" % window, next_step)
    backup = max(before, key=lambda each: lsn(each["lsn_stop"]))
    hole = next((hole for hole in archive.holes if hole.behind(backup)), None)
    log, segment = divmod(wanted, 1 << 32)
    if hole is not None and "%08X%08X" % (log, segment // archive.segment_bytes) >= hole.first[8:]:
        start = int(hole.first[16:], 16) * archive.segment_bytes + (int(hole.first[8:16], 16) << 32)
        raise _in_hole(what, hole, "choose a position before %s" % position(start))
    return Choice(target, backup, archive.timeline)


def _for_point(target: Target, archive: Archive) -> Choice:
    point = next((point for point in archive.points if point["name"] == target.value), None)
    moment = moment_of(point["created_at"]) if point else None
    timeline = int(point["follow"]) if point else archive.timeline
    if target.label is not None:
        return Choice(target, _labelled(target.label, archive), timeline, moment)
    if point is not None:
        return Choice(target, _labelled(point["label"], archive), timeline, moment)
    names = ", ".join(str(each["name"]) for each in archive.points[-10:])
    raise PgkeepError(
        "The restore point %s cannot be restored" % target.value,
        "no point of that name can be reached; those that can are: %s" % (names or "none"),
        "choose one of them, or name with label the backup before a point that was made by hand",
    )


def _in_hole(what: str, hole: Hole, earlier: str) -> PgkeepError:
    later = ", or one after %s" % rfc3339(hole.until) if hole.until else ""
    return PgkeepError(
        what,
        "it lies in a gap of the archive: WAL is missing, %s; what was committed after %s is out of reach%s"
        % (hole, rfc3339(hole.after), " until the backup that ended at %s" % rfc3339(hole.until) if hole.until else ""),
        earlier + later,
    )


def _refuse_hole(backup: Backup, archive: Archive) -> None:
    """PostgreSQL would end recovery at the hole and start without a word about what it left out."""
    holes = [hole for hole in archive.holes if hole.behind(backup)]
    if holes:
        raise PgkeepError(
            "The newest state cannot be restored",
            "WAL is missing behind backup %s: %s%s; what was committed later is out of reach"
            % (backup["label"], ", ".join(map(str, holes[:5])), " and more" if len(holes) > 5 else ""),
            "name the backup with label to restore its end, or a time before %s" % rfc3339(holes[0].after),
        )


def _labelled(label: str, archive: Archive) -> Backup:
    what = "The backup %s cannot be restored" % label
    labels = [str(backup["label"]) for backup in archive.backups if archive.readable(backup)]
    for backup in archive.backups:
        if backup["label"] == label and archive.readable(backup):
            return backup
        if backup["label"] == label:
            raise PgkeepError(
                what,
                _of_another(int(backup["major"]), archive),
                "choose one of PostgreSQL %s, which are %s; or %s"
                % (archive.major, ", ".join(labels[-10:]) or "none so far", _UNDO),
            )
    raise PgkeepError(
        what,
        "the repository has no backup of that label; it has %s" % (", ".join(labels[-10:]) or "none at all"),
        "choose one of them, or leave the label out for the newest",
    )


def _check_window(moment: datetime, usable: Sequence[Backup], archive: Archive) -> None:
    what = "The time %s cannot be restored" % rfc3339(moment)
    first = moment_of(usable[0]["stopped_at"]) + timedelta(seconds=1)
    # Of a gap behind the newest backup speaks whoever looks for gaps.
    until = None if archive.open_end else archive.reach
    window = "the recoverable window is %s to %s" % (rfc3339(first), rfc3339(until or archive.now))
    if moment > archive.now:
        raise PgkeepError(
            what,
            "it is in the future; now it is %s" % rfc3339(archive.now.replace(microsecond=0)),
            "choose an earlier time, or leave the time out for the newest state",
        )
    if moment < first:
        raise _too_early(what, window, "choose a later time", archive, archive.former(moment))
    if until is not None and moment > until and not any(hole.behind(usable[-1]) for hole in archive.holes):
        raise PgkeepError(
            what,
            "it is later than the last archived WAL; %s" % window,
            "choose an earlier time, or leave the time out for the newest state, unarchived WAL included",
        )


def _of_another(major: int, archive: Archive) -> str:
    return "it is of PostgreSQL %d and the instance has %s, which cannot read it" % (major, archive.major)


def _too_early(what: str, window: str, later: str, archive: Archive, former: Optional[int]) -> PgkeepError:
    """former: the major version of earlier backups, None when there are none."""
    why = "it is before the end of the oldest usable backup; %s" % window
    if former is None:
        return PgkeepError(what, why, later)
    return PgkeepError(
        what,
        "%s; earlier backups are of PostgreSQL %d, which %s cannot read" % (why, former, archive.major),
        "%s, or %s" % (later, _UNDO),
    )


def _why_none(archive: Archive, clean: Sequence[Backup]) -> str:
    if not archive.backups:
        return "the repository has no backup"
    if not clean:
        newest = archive.backups[-1]
        return "none of the %d backups is clean; the newest, %s: %s" % (
            len(archive.backups),
            newest["label"],
            "; ".join(newest["reasons"]) or "no reason is known",
        )
    readable = [backup for backup in clean if archive.readable(backup)]
    if not readable:
        return "the %d clean backups are of PostgreSQL %s, which %s cannot read" % (
            len(clean),
            archive.former(),
            archive.major,
        )
    return "none of the %d clean backups lies on the way to timeline %d, which is in production" % (
        len(readable),
        archive.timeline,
    )


def _next_label(archive: Archive) -> str:
    if not archive.backups:
        return "run the playbook backup.yml, or look for the right repository"
    readable = [backup for backup in archive.backups if archive.readable(backup)]
    if not readable:
        return "run the playbook backup.yml if the server serves; or %s" % _UNDO
    return "name a backup with label to restore the state at its end; the newest is %s" % readable[-1]["label"]
