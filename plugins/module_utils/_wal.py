# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""WAL segments as numbers: names, ranges, timelines, gaps. Private to the collection.

A segment's name is 24 hexadecimal digits: timeline, log, segment within the log, 8 each. A log is 4 GiB of WAL, so with
the default segment size of 16 MiB the last 8 digits go from 00000000 to 000000FF (PostgreSQL: access/xlog_internal.h).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Collection, Iterable, Optional, Sequence

DEFAULT_SIZE = 16 * 1024 * 1024
_LOG_BYTES = 1 << 32

_SEGMENT = re.compile(r"[0-9A-F]{24}\Z")
# In a repository the name is followed by the content's SHA-1 and the suffix of the compression. A segment that was
# archived incomplete at the end of a timeline is called <name>.partial-<sha1> and never serves as a whole one.
_IN_REPOSITORY = re.compile(r"([0-9A-F]{24})-[0-9a-f]{40}(?:\.[a-z0-9]+)?\Z")


@dataclass(frozen=True, order=True)
class Segment:
    """One segment: number counts all segments since the beginning of the cluster, whatever the timeline."""

    timeline: int
    number: int


@dataclass(frozen=True)
class Branch:
    """A timeline on the way to the newest one. It serves the segments from first on, until the next branch begins."""

    timeline: int
    first: int


def parse(name: str, size: int = DEFAULT_SIZE) -> Segment:
    """The segment of that name. Raises ValueError when name is no segment of a cluster with segments of size bytes."""
    if not _SEGMENT.match(name):
        raise ValueError("%r is not the name of a WAL segment" % name)
    timeline, log, within = (int(name[start : start + 8], 16) for start in (0, 8, 16))
    per_log = _LOG_BYTES // size
    if within >= per_log:
        raise ValueError("%s cannot belong to a cluster with segments of %d bytes" % (name, size))
    return Segment(timeline, log * per_log + within)


def name_of(segment: Segment, size: int = DEFAULT_SIZE) -> str:
    log, within = divmod(segment.number, _LOG_BYTES // size)
    return "%08X%08X%08X" % (segment.timeline, log, within)


def lsn(text: str) -> int:
    """The byte position written as ``16/B374D848``."""
    high, _slash, low = text.partition("/")
    return (int(high, 16) << 32) + int(low, 16)


def segment_size(starts: Iterable[tuple[str, str]]) -> int:
    """The cluster's segment size in bytes, from pairs of a position and the name of the segment that holds it.

    The position of a backup's start says it exactly, as soon as one of them is not in the first segment of its log.
    Without any evidence it is the default.
    """
    possible = {1 << power for power in range(20, 31)}
    for position, name in starts:
        within = int(name[16:], 16)
        possible = {size for size in possible if lsn(position) % _LOG_BYTES // size == within}
    return DEFAULT_SIZE if DEFAULT_SIZE in possible or not possible else max(possible)


def archived_name(file_name: str) -> Optional[str]:
    """The segment's name of a file in the repository's archive, None for anything that is not a whole segment."""
    match = _IN_REPOSITORY.match(file_name)
    return match.group(1) if match else None


def missing_in_range(start: str, stop: str, archived: Collection[str], size: int = DEFAULT_SIZE) -> list[str]:
    """Names from start to stop, both included, that are not in archived. Raises ValueError when they are no range."""
    first, last = parse(start, size), parse(stop, size)
    if first.timeline != last.timeline or last.number < first.number:
        raise ValueError("%s to %s is not a range of one timeline" % (start, stop))
    names = (name_of(Segment(first.timeline, number), size) for number in range(first.number, last.number + 1))
    return [name for name in names if name not in archived]


def branches(newest_timeline: int, history: str, size: int = DEFAULT_SIZE) -> list[Branch]:
    """The way to the newest timeline, oldest first. history is the text of its .history file, empty for the first.

    A line of it reads ``parent timeline <tab> position of the switch <tab> reason``.
    """
    way: list[Branch] = []
    first = 0
    for line in history.splitlines():
        words = line.split()
        if len(words) >= 2 and words[0].isdigit():
            way.append(Branch(int(words[0]), first))
            first = lsn(words[1]) // size
    return [*way, Branch(newest_timeline, first)]


def serving(number: int, way: list[Branch]) -> Segment:
    """The segment that a recovery to the newest timeline reads at number."""
    return Segment([branch.timeline for branch in way if branch.first <= number][-1], number)


def on_the_way(stop: str, way: list[Branch], size: int = DEFAULT_SIZE) -> bool:
    """Whether a recovery to the newest timeline can begin with the backup whose last segment is stop.

    Not when the server was taken back to a moment before that backup: the newest timeline then left its own earlier.
    The segment of the switch itself is the parent's too, and a backup may end in it.
    """
    segment = parse(stop, size)
    for position, branch in enumerate(way):
        if branch.timeline == segment.timeline:
            return position + 1 == len(way) or segment.number <= way[position + 1].first
    return False


def reach(start: str, archived: Collection[str], way: list[Branch], size: int = DEFAULT_SIZE) -> Optional[str]:
    """The last segment that a recovery from start can read without a gap; None when not even the first is there."""
    number = parse(start, size).number
    reached: Optional[str] = start if start in archived else None
    while reached is not None:
        number += 1
        name = name_of(serving(number, way), size)
        if name not in archived:
            break
        reached = name
    return reached


def gaps(start: str, archived: Collection[str], way: list[Branch], size: int = DEFAULT_SIZE) -> list[str]:
    """Names missing between start and the newest segment archived on the way to the newest timeline.

    What a timeline wrote after the next one had left it is on no way, so it neither fills a gap nor makes one.
    """
    first = parse(start, size).number
    on_way = (
        segment.number
        for segment in (parse(name, size) for name in archived)
        if serving(segment.number, way) == segment
    )
    names = (name_of(serving(number, way), size) for number in range(first, max(on_way, default=first) + 1))
    return [name for name in names if name not in archived]


def runs(missing: Sequence[str], size: int = DEFAULT_SIZE) -> list[tuple[str, str]]:
    """First and last name of each unbroken run in missing, which gaps() returned."""
    found: list[tuple[str, str]] = []
    for name in missing:
        if found and parse(name, size).number == parse(found[-1][1], size).number + 1:
            found[-1] = (found[-1][0], name)
        else:
            found.append((name, name))
    return found
