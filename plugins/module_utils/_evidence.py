# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What makes a backup clean, from evidence alone. Pure; private to the collection.

pgBackRest's exit codes and its info say "ok" for a backup with damaged pages, for one whose folder was deleted and for
one whose WAL has a hole. Clean is a backup that is in info, without page errors, made by a command that ended with 0,
with its manifest in the repository and every WAL segment it needs in the archive, and whose base backups are clean too.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Collection, Mapping, Optional

from . import _wal as wal
from ._pgbackrest import DRILL_ANNOTATION, Info, RawBackup, Snapshot, archived, backup_folder, labels_with_manifest
from ._times import rfc3339

_NAMED = 5


@dataclass(frozen=True)
class Note:
    """What the keeper wrote down when it made a backup: pgBackRest's exit code, the rows it counted (None when not one
    table could be counted) and the tables that could not be read because they are damaged."""

    rc: int = 0
    rows: Optional[int] = None
    unreadable: tuple[str, ...] = ()


@dataclass(frozen=True)
class Backup:
    """One backup as modules and keeper return it. Times are RFC 3339 UTC; page_errors are the damaged files; major is
    that of the server, None when nobody knows it."""

    label: str
    type: str
    major: Optional[int]
    prior: Optional[str]
    started_at: str
    stopped_at: str
    duration_seconds: int
    size_bytes: int
    repository_bytes: int
    wal_start: str
    wal_stop: str
    lsn_start: str
    lsn_stop: str
    clean: bool
    reasons: list[str]
    proven_at: Optional[str]
    rows: Optional[int]
    page_errors: list[str]

    def to_result(self) -> dict[str, Any]:
        return asdict(self)


def _archive_of(backup: RawBackup, info: Info) -> str:
    """The id of the archive that holds the backup's WAL, empty when it is gone."""
    return next((archive.id for archive in info.archives if archive.database_id == backup.database_id), "")


def segment_size(info: Info, archive_id: str) -> int:
    return wal.segment_size((b.lsn_start, b.wal_start) for b in info.backups if _archive_of(b, info) == archive_id)


def judge(instance: str, snapshot: Snapshot, notes: Mapping[str, Note]) -> list[Backup]:
    """All backups of the snapshot, oldest first, each with the reasons why it is not clean."""
    info = snapshot.info
    manifests = labels_with_manifest(snapshot.listing, backup_folder(instance))
    segments = {archive.id: archived(instance, archive.id, snapshot.listing) for archive in info.archives}
    sizes = {archive.id: segment_size(info, archive.id) for archive in info.archives}
    judged: list[Backup] = []
    # Label -> what is wrong with its files. Whoever builds on it inherits that, but not its WAL: each needs its own.
    broken: dict[str, list[str]] = {}
    # A backup comes after everything it builds on, so one pass is enough.
    for raw in sorted(info.backups, key=lambda backup: backup.label):
        archive_id = _archive_of(raw, info)
        errors = snapshot.page_errors.get(raw.label, ())
        note = notes.get(raw.label, Note())
        broken[raw.label] = [
            *_file_reasons(raw, manifests, errors, note),
            *(
                "%s, which it builds on, is not clean" % label
                for label in raw.references
                if broken.get(label, ["gone"])
            ),
        ]
        missing = _wal_reasons(raw, segments.get(archive_id, {}), sizes.get(archive_id, wal.DEFAULT_SIZE))
        judged.append(_backup(raw, broken[raw.label] + missing, errors, note))
    return judged


def _file_reasons(raw: RawBackup, manifests: Collection[str], errors: Collection[str], note: Note) -> list[str]:
    found = []
    if raw.label not in manifests:
        found.append("its manifest is not in the repository: the backup was deleted there")
    if raw.error or errors:
        found.append("page checksum errors in %s" % (_some(sorted(errors)) or "files that pgBackRest does not name"))
    if note.rc != 0:
        found.append("pgBackRest ended with exit code %d" % note.rc)
    outcome, _at, failed_at = raw.annotations.get(DRILL_ANNOTATION, "").partition("@")
    if outcome == "failed":
        found.append("a drill of it failed at %s" % failed_at)
    if note.unreadable:
        found.append("tables could not be read: %s" % _some(note.unreadable))
    return found


def _wal_reasons(raw: RawBackup, segments: Collection[str], size: int) -> list[str]:
    try:
        missing = wal.missing_in_range(raw.wal_start, raw.wal_stop, segments, size)
    except ValueError as error:
        return ["its WAL range cannot be checked: %s" % error]
    return ["WAL that it needs is not in the archive: %s" % _some(missing)] if missing else []


def _some(names: Collection[str]) -> str:
    shown = list(names)[:_NAMED]
    more = len(names) - len(shown)
    return ", ".join(shown) + (" and %d more" % more if more else "")


def _backup(raw: RawBackup, reasons: list[str], errors: Collection[str], note: Note) -> Backup:
    outcome, _at, proven_at = raw.annotations.get(DRILL_ANNOTATION, "").partition("@")
    return Backup(
        label=raw.label,
        type=raw.type,
        major=raw.major,
        prior=raw.prior,
        started_at=rfc3339(raw.start),
        stopped_at=rfc3339(raw.stop),
        duration_seconds=raw.stop - raw.start,
        size_bytes=raw.size,
        repository_bytes=raw.delta,
        wal_start=raw.wal_start,
        wal_stop=raw.wal_stop,
        lsn_start=raw.lsn_start,
        lsn_stop=raw.lsn_stop,
        clean=not reasons,
        reasons=reasons,
        proven_at=proven_at if outcome == "passed" else None,
        rows=note.rows,
        page_errors=sorted(errors),
    )


@dataclass(frozen=True)
class Gap:
    """A run of missing WAL segments, from first to last, and the moments it takes away (seconds since the epoch).

    after: what was committed until then is still reached. until: the end of the first clean backup behind the gap, from
    which recovery works again, None when there is none.
    """

    first: str
    last: str
    after: int
    until: Optional[int]


@dataclass(frozen=True)
class Window:
    """Which moments can be restored. since and until are seconds since the epoch, both None when none can.

    since is the end of the oldest clean backup; until is when the last segment was archived that the newest one reaches
    without a gap. What a segment holds was committed a moment before. missing are segments that a recovery from the
    oldest clean backup would need, gaps the moments between since and until that they take away.
    """

    since: Optional[int]
    until: Optional[int]
    missing: tuple[str, ...] = ()
    gaps: tuple[Gap, ...] = ()


def _way(instance: str, snapshot: Snapshot) -> tuple[dict[str, int], list[wal.Branch], int]:
    """The current archive's segments, the way to the server's timeline and the segment size."""
    archive_id = snapshot.info.archive_id or ""
    segments = archived(instance, archive_id, snapshot.listing)
    size = segment_size(snapshot.info, archive_id)
    target = snapshot.timeline
    if not snapshot.certain:
        target = max([target, *(wal.parse(name, size).timeline for name in segments)])
    # A timeline whose history was not archived has no known way to it.
    return segments, wal.branches(target, snapshot.history if target == snapshot.timeline else "", size), size


def current(instance: str, snapshot: Snapshot, backups: list[Backup]) -> list[Backup]:
    """The clean backups from which the server's present can be reached.

    Not those of an earlier major version, nor those made on a timeline after the server had been taken back to a moment
    before them: a restore of such a one ends where that timeline was left.
    """
    _segments, way, size = _way(instance, snapshot)
    archives = {raw.label: _archive_of(raw, snapshot.info) for raw in snapshot.info.backups}
    return [
        backup
        for backup in backups
        if backup.clean
        and archives[backup.label] == snapshot.info.archive_id
        and wal.on_the_way(backup.wal_stop, way, size)
    ]


def window(instance: str, snapshot: Snapshot, backups: list[Backup]) -> Window:
    """The time from the oldest clean backup to now, or to the gap that the newest one runs into, with its gaps."""
    segments, way, size = _way(instance, snapshot)
    usable = current(instance, snapshot, backups)
    if not usable:
        return Window(None, None)
    stops = {raw.label: raw.stop for raw in snapshot.info.backups}
    # A clean backup has all its segments, so something is always reached.
    reached = wal.reach(usable[-1].wal_start, segments, way, size)
    since, newest = stops[usable[0].label], stops[usable[-1].label]
    missing = wal.gaps(usable[0].wal_start, segments, way, size)
    spans = [(stops[each.label], wal.parse(each.wal_start, size), wal.parse(each.wal_stop, size)) for each in usable]
    gaps = []
    for first, last in wal.runs(missing, size):
        start, end = wal.parse(first, size).number, wal.parse(last, size).number
        before = segments.get(wal.name_of(wal.serving(start - 1, way), size), since)
        gaps.append(
            Gap(
                first,
                last,
                max([before, *(stop for stop, _begin, finish in spans if finish.number < start)]),
                next((stop for stop, begin, _finish in spans if begin.number > end), None),
            )
        )
    return Window(since, max(segments.get(reached or "", newest), newest), tuple(missing), tuple(gaps))
