# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files of a data directory that is not running, read on the host: control file, WAL, timelines.

Private to the collection.
"""

from __future__ import annotations

import os
import re
import struct
from dataclasses import dataclass
from typing import Collection, Iterable, Optional

from ._wal import lsn

_SEGMENT = re.compile(r"[0-9A-F]{24}\Z")
_HISTORY_LINE = re.compile(r"^\s*(\d+)\s+([0-9A-F]+/[0-9A-F]+)", re.MULTILINE)

# ControlFileData in src/include/catalog/pg_control.h, the same from PostgreSQL 11 to 18: system_identifier (8),
# pg_control_version and catalog_version_no (4 each), state (4, padded), time (8), checkPoint (8), then the copy of
# the last checkpoint: redo (8), ThisTimeLineID (4).
_CONTROL = struct.Struct("=QIIi4xqQQI")
_CONTROL_VERSIONS = range(1100, 1900)
_SHUT_DOWN = 1

# XLogLongPageHeaderData in src/include/access/xlog_internal.h, the first bytes of a segment: magic and info (2 each),
# timeline (4), address of the page (8), rest of a record (4, padded), system identifier (8), segment size (4).
_SEGMENT_HEAD = struct.Struct("=HHIQI4xQI")
# With the size of a block (4) behind it, a multiple of 8.
_SEGMENT_HEAD_ALIGNED = 40


@dataclass(frozen=True)
class Control:
    """What pg_control says of its data directory; timeline and checkpoint (bytes) are those of the last checkpoint."""

    system_id: int
    timeline: int
    checkpoint: int
    shut_down: bool


def read_control(data_dir: str, name: str = "global/pg_control") -> Optional[Control]:
    """None when there is no data directory there, or none that this code understands."""
    try:
        with open(os.path.join(data_dir, name), "rb") as handle:
            head = handle.read(_CONTROL.size)
    except OSError:
        return None
    if len(head) < _CONTROL.size:
        return None
    system_id, version, _catalog, state, _time, checkpoint, _redo, timeline = _CONTROL.unpack(head)
    if version not in _CONTROL_VERSIONS:
        return None
    return Control(system_id, timeline, checkpoint, state == _SHUT_DOWN)


def control_from_wal(data_dir: str, system_id: int) -> Optional[Control]:
    """What the WAL of a damaged data directory tells of it, when its control file is lost; None without WAL of the
    cluster system_id. The place of the last checkpoint is not known, 0 stands for it."""
    written = written_segments(data_dir, system_id)
    return Control(system_id, timeline_of(written[-1][0]), 0, False) if written else None


def written_segments(data_dir: str, system_id: int) -> list[tuple[str, int]]:
    """(name, address where it begins) of the segments in pg_wal that hold WAL of the cluster system_id, sorted."""
    folder = os.path.join(data_dir, "pg_wal")
    try:
        names = sorted(name for name in os.listdir(folder) if _SEGMENT.match(name))
    except OSError:
        return []
    found = []
    for name in names:
        with open(os.path.join(folder, name), "rb") as handle:
            address = begins_at(name, handle.read(_SEGMENT_HEAD.size), system_id)
        if address is not None:
            found.append((name, address))
    return found


def begins_at(name: str, head: bytes, system_id: int) -> Optional[int]:
    """The address (bytes) at which the segment called name begins, None when head is not the head of that segment.

    PostgreSQL renames old segments to future names before it needs them; such a file has the address of its old
    life in its head and holds nothing.
    """
    if not _SEGMENT.match(name) or len(head) < _SEGMENT_HEAD.size:
        return None
    _magic, _info, _timeline, address, _rest, found_id, size = _SEGMENT_HEAD.unpack(head[: _SEGMENT_HEAD.size])
    if found_id != system_id or size == 0:
        return None
    number = int(name[8:16], 16) * (0x100000000 // size) + int(name[16:24], 16)
    return int(address) if address == number * size else None


@dataclass(frozen=True)
class Unarchived:
    """WAL that only this data directory has: file names, sorted.

    complete are finished segments and timeline histories, which can still be archived; last is the segment that was
    being written, and last_is_empty says that it holds nothing but the checkpoint of a clean stop.
    """

    complete: tuple[str, ...] = ()
    last: Optional[str] = None
    last_is_empty: bool = True

    @property
    def names(self) -> tuple[str, ...]:
        return (*self.complete, self.last) if self.last else self.complete

    @property
    def segments(self) -> int:
        """How many segments hold something."""
        return sum(1 for name in self.complete if _SEGMENT.match(name)) + (0 if self.last_is_empty else 1)


def unarchived(data_dir: str, control: Control, missing: Collection[str] = ()) -> Unarchived:
    """What the archive has not confirmed, or has lost since: missing are names that it should have and has not."""
    folder = os.path.join(data_dir, "pg_wal")
    try:
        status = frozenset(os.listdir(os.path.join(folder, "archive_status")))
    except OSError:
        return Unarchived()
    histories = sorted(name[: -len(".ready")] for name in status if name.endswith(".history.ready"))
    histories = [name for name in histories if os.path.exists(os.path.join(folder, name))]
    written = [
        (name, address)
        for name, address in written_segments(data_dir, control.system_id)
        if name in missing or name + ".done" not in status
    ]
    if not written or any(written[-1][0] + suffix in status for suffix in (".ready", ".done")):
        return Unarchived((*histories, *(name for name, _address in written)))
    last, address = written.pop()
    # A clean stop begins a segment for its checkpoint: the first record, right behind the head.
    empty = control.shut_down and control.checkpoint == address + _SEGMENT_HEAD_ALIGNED
    return Unarchived((*histories, *(name for name, _address in written)), last, empty)


def position(address: int) -> str:
    """An address (bytes) as PostgreSQL writes it: 0/3000028."""
    return "%X/%X" % (address >> 32, address & 0xFFFFFFFF)


def timeline_of(segment: str) -> int:
    """The timeline in the name of a WAL segment."""
    return int(segment[:8], 16)


def parse_timeline_history(text: str) -> dict[int, int]:
    """Content of NNNNNNNN.history: parent timeline -> address (bytes) where its child left it."""
    return {int(timeline): lsn(address) for timeline, address in _HISTORY_LINE.findall(text)}


def leads_to(timeline: int, address: str, target: int, parents: Iterable[tuple[int, int]]) -> bool:
    """Whether recovery that starts on timeline at address can follow WAL to the timeline target.

    parents are the items of parse_timeline_history() of target's history file. A backup that ended after the fork is
    on a branch that target does not know.
    """
    return timeline == target or any(timeline == parent and lsn(address) <= fork for parent, fork in parents)
