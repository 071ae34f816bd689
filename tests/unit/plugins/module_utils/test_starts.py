# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Starts of the server are counted and told apart, and a restart of the keeper forgets none."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.pgkeep.postgres.plugins.module_utils import _poll_memory as memories
from ansible_collections.pgkeep.postgres.plugins.module_utils._backup_repository import Keeper
from ansible_collections.pgkeep.postgres.plugins.module_utils._run import run
from ansible_collections.pgkeep.postgres.plugins.module_utils._starts import CRASH, PLANNED, RESTART, Seen, Starts
from ansible_collections.pgkeep.postgres.plugins.module_utils._trend import NAMES, POINTS

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
    memory = memories.load(keeper(tmp_path), NOW)
    memory.starts, _start = Starts(FIRST).look(NOW, Seen(NOW - 3, NOW - 4, 2), False)
    memory.tell(NOW, "restart", "critical", "it crashed")
    memory.disks["data"] = [(NOW, 5.0)]
    memory.minutes.add(NOW - 60, {"response_ms": 2.0})
    memory.minutes.add(NOW, {"response_ms": 9.0})
    memories.save(keeper(tmp_path), memory)
    again = memories.load(keeper(tmp_path), NOW)
    assert again.starts.starts == memory.starts.starts
    assert again.disks == memory.disks
    assert again.events == [
        {"at": "2027-01-15T08:00:00Z", "kind": "restart", "severity": "critical", "text": "it crashed"}
    ]
    # The minute that was not over is lost.
    assert again.minutes.summary()["response_ms"] == [2.0, None]
    # The same server, seen by another keeper: nothing happened.
    starts, start = again.starts.look(NOW + 5, Seen(NOW - 3, NOW - 4, 1), False)
    assert (start, len(starts.starts)) == (None, 1)


def test_nothing_is_written_while_nothing_is_new(tmp_path: Path) -> None:
    memory = memories.load(keeper(tmp_path), NOW)
    memories.save(keeper(tmp_path), memory)
    before = (tmp_path / "poller.json").stat().st_ino
    memory.minutes.add(NOW, {"response_ms": 2.0})
    memories.save(keeper(tmp_path), memory)
    began = (tmp_path / "poller.json").stat().st_ino
    for second in range(5, 60, 5):
        memory.minutes.add(NOW + second, {"response_ms": 2.0})
        memories.save(keeper(tmp_path), memory)
    assert (tmp_path / "poller.json").stat().st_ino == began != before
    memory.minutes.add(NOW + 60, {"response_ms": 2.0})
    memories.save(keeper(tmp_path), memory)
    assert (tmp_path / "poller.json").stat().st_ino != began


@pytest.mark.parametrize("content", ["", "{", "[]", '{"starts": 1}', '{"starts": {"seen": {"x": 1}, "starts": []}}'])
def test_a_memory_that_cannot_be_read_is_none(tmp_path: Path, content: str) -> None:
    (tmp_path / "poller.json").write_text(content)
    assert memories.load(keeper(tmp_path), NOW) == memories.Memory()


@pytest.mark.parametrize(
    "change",
    [
        None,
        {},
        {"names": ["response_ms"]},
        {"seconds": 10},
        {"minute": NOW},
        {"minute": "now"},
        {"points": [[1.0]]},
        {"points": [["1"] * 5]},
        {"points": [[True] * 5]},
        {"points": [[float("inf")] * 5]},
        {"points": 7},
    ],
)
def test_lines_that_cannot_be_read_cost_nothing_else(tmp_path: Path, change: Any) -> None:
    """change: what the file of another version, or one that somebody damaged, has in its minutes."""
    memory = memories.Memory(events=[{"kind": "restart"}])
    memory.minutes.add(NOW - 60, {"response_ms": 2.0})
    memory.minutes.add(NOW, {})
    memories.save(keeper(tmp_path), memory)
    path = tmp_path / "poller.json"
    found = json.loads(path.read_text())
    assert found["minutes"]["points"] == [[None, None, 2.0, None, None]]
    if change:
        found["minutes"].update(change)
    else:
        found.pop("minutes") if change is None else found.update(minutes=change)
    path.write_text(json.dumps(found))
    again = memories.load(keeper(tmp_path), NOW)
    assert again.events == memory.events
    assert again.minutes.summary()["response_ms"] == []


def test_what_is_kept_of_a_year_is_an_hour(tmp_path: Path) -> None:
    memory = memories.Memory()
    for minute in range(3000):
        memory.minutes.add(NOW - (3000 - minute) * 60, dict.fromkeys(NAMES, 123456.789))
    memories.save(keeper(tmp_path), memory)
    assert (tmp_path / "poller.json").stat().st_size < 6000
    assert len(memories.load(keeper(tmp_path), NOW).minutes.summary()["response_ms"]) == POINTS
