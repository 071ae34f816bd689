# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Segment arithmetic, against names and positions that PostgreSQL itself gives."""

from __future__ import annotations

import pytest
from ansible_collections.pgkeep.postgres.plugins.module_utils import _wal as wal
from ansible_collections.pgkeep.postgres.plugins.module_utils._wal import Branch, Segment

MB = 1024 * 1024


# number: what pg_walfile_name() numbers from the first byte of the cluster on.
@pytest.mark.parametrize(
    "name, size, segment",
    [
        ("000000010000000000000000", 16 * MB, Segment(1, 0)),
        ("0000000100000000000000FF", 16 * MB, Segment(1, 255)),
        ("000000010000000100000000", 16 * MB, Segment(1, 256)),
        ("0000000A0000001600000B37", 1 * MB, Segment(10, 0x16 * 4096 + 0xB37)),
        ("000000030000000200000003", 1024 * MB, Segment(3, 11)),
    ],
)
def test_names_and_numbers(name: str, size: int, segment: Segment) -> None:
    assert wal.parse(name, size) == segment
    assert wal.name_of(segment, size) == name


@pytest.mark.parametrize(
    "name",
    [
        "",
        "00000002.history",
        "000000010000000000000001.partial",
        "0000000100000000000000g1",
        "000000010000000000000100",
    ],
)
def test_what_is_no_segment_of_16_mb(name: str) -> None:
    with pytest.raises(ValueError, match="segment"):
        wal.parse(name)


def test_positions() -> None:
    assert wal.lsn("16/B374D848") == (0x16 << 32) + 0xB374D848


@pytest.mark.parametrize(
    "starts, size",
    [
        ([("0/2000028", "000000010000000000000002")], 16 * MB),
        ([("0/2000028", "000000010000000000000020")], 1 * MB),
        ([("1/C0000028", "000000010000000100000003")], 1024 * MB),
        # The first segment of a log fits many sizes; the default is one of them, until another backup says more.
        ([("1/28", "000000010000000100000000")], 16 * MB),
        ([("1/28", "000000010000000100000000"), ("1/4000028", "000000010000000100000001")], 64 * MB),
        ([], 16 * MB),
    ],
)
def test_segment_size_from_backups(starts: list[tuple[str, str]], size: int) -> None:
    assert wal.segment_size(starts) == size


@pytest.mark.parametrize(
    "file, name",
    [
        ("000000010000000000000001-2a3162406a4881f22924c41966464137dc647e65.zst", "000000010000000000000001"),
        ("000000010000000000000001-2a3162406a4881f22924c41966464137dc647e65", "000000010000000000000001"),
        ("000000010000000000000001.partial-2a3162406a4881f22924c41966464137dc647e65.zst", None),
        ("000000010000000000000002.00000028.backup", None),
        ("00000002.history", None),
        # What an upload leaves behind that a full disk interrupted.
        ("000000010000000000000001-2a3162406a4881f22924c41966464137dc647e65.zst.pgbackrest.tmp", None),
    ],
)
def test_files_of_the_archive(file: str, name: str | None) -> None:
    assert wal.archived_name(file) == name


def names(timeline: int, *numbers: int) -> set[str]:
    return {wal.name_of(Segment(timeline, number)) for number in numbers}


def test_a_range_crosses_the_end_of_a_log() -> None:
    start, stop = "0000000100000000000000FE", "000000010000000100000001"
    assert wal.missing_in_range(start, stop, names(1, 254, 255, 256, 257)) == []
    assert wal.missing_in_range(start, stop, names(1, 254, 257)) == [
        "0000000100000000000000FF",
        "000000010000000100000000",
    ]


@pytest.mark.parametrize("stop", ["000000020000000000000005", "000000010000000000000003"])
def test_what_is_no_range(stop: str) -> None:
    with pytest.raises(ValueError, match="no range|not a range"):
        wal.missing_in_range("000000010000000000000004", stop, set())


HISTORY = "1\t0/19000068\tbefore 2026-11-21 22:55:04+00\n\n2\t0/30000000\tno recovery target specified\n"


def test_the_way_to_the_newest_timeline() -> None:
    assert wal.branches(3, HISTORY) == [Branch(1, 0), Branch(2, 0x19), Branch(3, 0x30)]
    assert wal.branches(1, "") == [Branch(1, 0)]


def test_a_recovery_changes_timelines_where_they_were_left() -> None:
    way = wal.branches(3, HISTORY)
    assert [wal.serving(number, way).timeline for number in (0x18, 0x19, 0x2F, 0x30)] == [1, 2, 2, 3]


@pytest.mark.parametrize(
    "stop, usable",
    [
        ("000000010000000000000018", True),
        # Where the timelines part both hold the segment.
        ("000000010000000000000019", True),
        ("00000001000000000000001A", False),
        ("00000002000000000000002A", True),
        ("000000030000000000000099", True),
        ("000000040000000000000099", False),
    ],
)
def test_backups_of_a_timeline_that_was_left_are_not_on_the_way(stop: str, usable: bool) -> None:
    assert wal.on_the_way(stop, wal.branches(3, HISTORY)) is usable


def test_reach_ends_at_the_first_gap() -> None:
    way = wal.branches(1, "")
    start = "000000010000000000000004"
    assert wal.reach(start, names(1, 4, 5, 6, 8), way) == "000000010000000000000006"
    assert wal.reach(start, names(1, 5, 6), way) is None


def test_reach_goes_over_to_the_newer_timeline() -> None:
    way = wal.branches(2, "1\t0/6000068\tpromoted\n")
    archived = names(1, 4, 5, 6, 7, 8) | names(2, 6, 7)
    assert wal.reach("000000010000000000000004", archived, way) == "000000020000000000000007"


def test_gaps() -> None:
    way = wal.branches(1, "")
    assert wal.gaps("000000010000000000000004", names(1, 2, 4, 6, 9), way) == [
        "000000010000000000000005",
        "000000010000000000000007",
        "000000010000000000000008",
    ]


def test_what_a_left_timeline_wrote_neither_fills_nor_makes_a_gap() -> None:
    way = wal.branches(2, "1\t0/6000068\tpromoted\n")
    # Timeline 1 went on to segment 9 before it was left at 6; of timeline 2 nothing is archived yet.
    assert wal.gaps("000000010000000000000004", names(1, 4, 5, 6, 7, 8, 9), way) == []
    assert wal.gaps("000000010000000000000004", names(1, 4, 5, 6, 7, 8) | names(2, 7), way) == [
        "000000020000000000000006"
    ]
