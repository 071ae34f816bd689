# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Starts of the server are counted and told apart, and a restart of the keeper forgets none."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from ansible_collections.pgkeep.postgres.plugins.module_utils import _poll_memory as memories
from ansible_collections.pgkeep.postgres.plugins.module_utils._backup_repository import Keeper
from ansible_collections.pgkeep.postgres.plugins.module_utils._run import run
from ansible_collections.pgkeep.postgres.plugins.module_utils._starts import CRASH, PLANNED, RESTART, Seen, Starts

NOW = 1_800_000_000.0
FIRST = Seen(NOW - 5000, NOW - 9000, 1)


@pytest.mark.parametrize(
    "found, planned, kind",
    [
        (FIRST, False, None),
        # Statistics outlive a clean stop.
        (replace(FIRST, started_at=NOW - 3, session=2), False, RESTART),
        (replace(FIRST, started_at=NOW - 3, session=2), True, PLANNED),
        (Seen(NOW - 3, NOW - 4, 2), False, CRASH),
        (Seen(NOW - 3, NOW - 4, 2), True, PLANNED),
        # One process crashed: the postmaster lives, sessions and statistics do not.
        (replace(FIRST, reset_at=NOW - 2, session=2), False, CRASH),
        # pg_stat_reset_shared('bgwriter'): our session lives.
        (replace(FIRST, reset_at=NOW - 2), False, None),
        # Only we were thrown out.
        (replace(FIRST, session=2), False, None),
    ],
)
def test_what_happened_between_two_answers(found: Seen, planned: bool, kind: str | None) -> None:
    starts, start = Starts(FIRST).look(NOW, found, planned)
    assert (start.kind if start else None) == kind
    assert len(starts.starts) == (kind is not None)
    assert starts.seen == found


def test_the_first_answer_ever_is_no_restart() -> None:
    starts, start = Starts().look(NOW, FIRST, False)
    assert start is None
    assert starts.summary(NOW) == {"last_hour": 0, "last_day": 0, "crashes_last_day": 0, "last_at": None}


def test_planned_ones_are_no_trouble_and_old_ones_are_forgotten() -> None:
    starts = Starts(FIRST)
    for ago, planned in ((8 * 86400, False), (2 * 86400, False), (7200, False), (60, True), (30, False)):
        found = Seen(NOW - ago, NOW - ago - 1, 2)
        starts, _start = starts.look(NOW - ago + 2, found, planned)
    assert [each.kind for each in starts.starts] == [CRASH, CRASH, PLANNED, CRASH]
    summary = starts.summary(NOW)
    assert (summary["last_hour"], summary["last_day"], summary["crashes_last_day"]) == (1, 2, 2)
    assert summary["last_at"] == "2027-01-15T07:59:30Z"


def keeper(tmp_path: Path) -> Keeper:
    return Keeper("app", run, "", state=str(tmp_path))


def test_what_is_remembered_survives_the_keeper(tmp_path: Path) -> None:
    memory = memories.load(keeper(tmp_path))
    memory.starts, _start = Starts(FIRST).look(NOW, Seen(NOW - 3, NOW - 4, 2), False)
    memory.tell(NOW, "restart", "critical", "it crashed")
    memory.disks["data"] = [(NOW, 5.0)]
    memories.save(keeper(tmp_path), memory)
    again = memories.load(keeper(tmp_path))
    assert again.starts.starts == memory.starts.starts
    assert again.disks == memory.disks
    assert again.events == [
        {"at": "2027-01-15T08:00:00Z", "kind": "restart", "severity": "critical", "text": "it crashed"}
    ]
    # The same server, seen by another keeper: nothing happened.
    starts, start = again.starts.look(NOW + 5, Seen(NOW - 3, NOW - 4, 1), False)
    assert (start, len(starts.starts)) == (None, 1)


def test_nothing_is_written_while_nothing_is_new(tmp_path: Path) -> None:
    memory = memories.load(keeper(tmp_path))
    memories.save(keeper(tmp_path), memory)
    before = (tmp_path / "poller.json").stat().st_ino
    memories.save(keeper(tmp_path), memory)
    assert (tmp_path / "poller.json").stat().st_ino == before


@pytest.mark.parametrize("content", ["", "{", "[]", '{"starts": 1}', '{"starts": {"seen": {"x": 1}, "starts": []}}'])
def test_a_memory_that_cannot_be_read_is_none(tmp_path: Path, content: str) -> None:
    (tmp_path / "poller.json").write_text(content)
    assert memories.load(keeper(tmp_path)) == memories.Memory()
