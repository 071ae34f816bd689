# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Named restore points: made in the WAL, remembered with their position. Private to the collection.

PostgreSQL finds a name only by reading WAL, from a backup that is older than the point; restore_points.jsonl in the
state folder says which that is, and whether the point can still be reached.
"""

from __future__ import annotations

import json
import os
import time
from dataclasses import asdict, dataclass
from typing import Any, Callable, Mapping, Optional, Sequence

from . import _backup_canary as canary
from . import _sql
from . import _wal as wal
from ._backup_repository import Keeper, timeline_history
from ._errors import PgkeepError
from ._evidence import Backup, segment_size
from ._files import read
from ._lock import hold
from ._pgbackrest import Snapshot, archived
from ._pgfiles import leads_to, parse_timeline_history, timeline_of
from ._target import moment_of, parse_target
from ._timelines import in_folder

FILE = "restore_points.jsonl"

_CREATE = """
select l::text, substr(pg_walfile_name(l), 1, 8), (select system_identifier::text from pg_control_system()),
       to_char(clock_timestamp() at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')
from pg_create_restore_point(%s) l
"""
_SWITCH = "select pg_walfile_name(l) from pg_switch_wal() l"


@dataclass(frozen=True)
class Point:
    """One restore point. lsn is where its record ends, as PostgreSQL writes it; created_at is RFC 3339 UTC."""

    name: str
    lsn: str
    timeline: int
    created_at: str
    system_id: str


def parse(text: str) -> list[Point]:
    """The lines that can be read, oldest first; one half written by a crash is passed over."""
    found = []
    for line in text.splitlines():
        try:
            found.append(Point(**json.loads(line)))
        except (ValueError, TypeError):
            continue
    return found


def recorded(state_dir: str) -> list[Point]:
    return parse(read(os.path.join(state_dir, FILE)) or "")


def create(
    keeper: Keeper,
    name: str,
    timeout_seconds: float,
    *,
    check: bool = False,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> dict[str, Any]:
    """Make the point, remember it, finish its WAL segment and wait until that is in the repository.

    Returns the object restore_point; with check nothing is done and what is not known yet is None.
    """
    parse_target(None, None, restore_point=name)
    begun = clock()
    archive_id = canary.require_archive(keeper)
    path, what = os.path.join(keeper.state, "restore_points.lock"), "restore point of %s" % keeper.instance
    with hold(path, what, 10, who=keeper.actor):
        _refuse_known(keeper, name)
        if check:
            unknown = ("lsn", "timeline", "created_at", "system_id", "archived_seconds")
            return {"name": name, **dict.fromkeys(unknown)}
        point, segment = _make(keeper, name)
    canary.wait_until_archived(
        keeper,
        archive_id,
        segment,
        "The restore point %s was made at %s, but is not in the repository yet" % (name, point.lsn),
        begun + timeout_seconds,
        clock,
        sleep,
    )
    return {**asdict(point), "archived_seconds": round(clock() - begun, 3)}


def _refuse_known(keeper: Keeper, name: str) -> None:
    for point in recorded(keeper.state):
        if point.name == name:
            raise PgkeepError(
                "The restore point %s cannot be made" % name,
                "there is one of that name, from %s at %s" % (point.created_at, point.lsn),
                "choose another name; PostgreSQL would stop at the first one",
            )


def _make(keeper: Keeper, name: str) -> tuple[Point, str]:
    try:
        with _sql.connection(keeper.sockets) as opened:
            lsn, timeline, system_id, created_at = _sql.rows(opened, _CREATE, (name,))[0]
            point = Point(name, lsn, int(timeline, 16), created_at, system_id)
            # Before anything else can fail: the name is taken from here on.
            _remember(keeper, point)
            segment = _sql.rows(opened, _SWITCH)[0][0]
    except _sql.driver().Error as error:
        raise PgkeepError(
            "The restore point %s could not be made" % name,
            " ".join(str(error).split()),
            "start the server and read its log (docker logs %s), then repeat" % keeper.instance,
        ) from error
    return point, segment


def _remember(keeper: Keeper, point: Point) -> None:
    with open(os.path.join(keeper.state, FILE), "a", encoding="utf-8") as handle:
        handle.write(json.dumps(asdict(point)) + "\n")
        handle.flush()
        os.fsync(handle.fileno())


def reachable(keeper: Keeper, snapshot: Snapshot, backups: Sequence[Backup]) -> list[dict[str, Any]]:
    """The points that a clean backup leads to without a gap, oldest first.

    Each with the label of the newest such backup and follow, the timeline that the recovery follows: production's where
    that came by the point, else the point's own.
    """
    archive_id = snapshot.info.archive_id or ""
    segments = archived(keeper.instance, archive_id, snapshot.listing)
    size = segment_size(snapshot.info, archive_id)
    names = in_folder(keeper.instance, archive_id, snapshot.listing)
    texts: dict[int, str] = {snapshot.timeline: snapshot.history}
    found = []
    for point in recorded(keeper.state):
        parents = parse_timeline_history(snapshot.history)
        follow = snapshot.timeline
        if not leads_to(point.timeline, point.lsn, follow, parents.items()):
            follow = point.timeline
        if follow not in texts:
            texts[follow] = timeline_history(keeper, archive_id, follow, names)
        label = _backup_for(point, follow, texts[follow], backups, segments, size)
        if label is not None:
            found.append({**asdict(point), "label": label, "follow": follow})
    return found


def _backup_for(
    point: Point, follow: int, text: str, backups: Sequence[Backup], segments: Mapping[str, int], size: int
) -> Optional[str]:
    parents, way = parse_timeline_history(text), wal.branches(follow, text, size)
    # The position is the end of the record, which may be the end of its segment.
    last = (wal.lsn(point.lsn) - 1) // size
    for backup in reversed(backups):
        if (
            backup.clean
            and moment_of(backup.started_at) <= moment_of(point.created_at)
            and wal.lsn(backup.lsn_stop) <= wal.lsn(point.lsn)
            and leads_to(timeline_of(backup.wal_stop), backup.lsn_stop, follow, parents.items())
        ):
            first = wal.parse(backup.wal_start, size).number
            needed = (wal.name_of(wal.serving(number, way), size) for number in range(first, last + 1))
            if all(name in segments for name in needed):
                return backup.label
    return None
