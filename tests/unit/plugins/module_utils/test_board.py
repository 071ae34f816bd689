# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is on the board, what an old snapshot becomes, and what is said before the first one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.pgkeep.postgres.plugins.module_utils._board import Board, present

SNAPSHOT: dict[str, Any] = json.loads((Path(__file__).parents[3] / "fixtures/keeper/status.json").read_text())
TAKEN = SNAPSHOT["taken_at"]


def test_a_fresh_snapshot_is_told_as_it_is():
    status = present(SNAPSHOT, TAKEN + 1.84, 5.0)
    assert status == {**SNAPSHOT, "time": "2026-11-24T10:00:05Z", "snapshot_age_ms": 1840, "live": True}


@pytest.mark.parametrize("age", [15.0, 15.1, 86400.0, -6.0])
def test_a_stale_snapshot_is_critical_and_not_ready_whatever_it_says(age: float):
    status = present(SNAPSHOT, TAKEN + age, 5.0)
    assert (status["status"], status["ready"], status["live"]) == ("critical", False, False)
    assert status["checks"][-1]["id"] == "snapshot"
    assert status["checks"][-1]["status"] == "critical"
    assert status["reasons"][0].startswith("snapshot: ")
    assert status["reasons_not_ready"] == status["reasons"][:1]
    assert status["reasons"][1:] == SNAPSHOT["reasons"]


def test_just_before_that_it_is_not():
    assert present(SNAPSHOT, TAKEN + 14.9, 5.0)["ready"]
    assert present(SNAPSHOT, TAKEN + 14.9, 1.0)["ready"] is False


def test_a_clock_that_goes_back_a_little_gives_no_negative_age():
    status = present(SNAPSHOT, TAKEN - 0.5, 5.0)
    assert (status["snapshot_age_ms"], status["live"]) == (0, True)


def test_before_the_first_snapshot_every_key_is_there_and_nothing_is_invented():
    status = present(None, TAKEN, 5.0)
    assert set(status) == {*SNAPSHOT, "time", "snapshot_age_ms", "live"}
    for key, value in SNAPSHOT.items():
        if isinstance(value, dict) and status[key] is not None:
            assert set(status[key]) == set(value), key
    assert (status["status"], status["ready"], status["live"], status["snapshot_age_ms"]) == (
        "critical",
        False,
        False,
        None,
    )
    assert status["reasons"] == ["snapshot: nothing has been looked at yet"]


def test_the_board_gives_what_was_published_last_and_cannot_be_written_on():
    board = Board()
    assert board.latest() is None
    board.publish({"taken_at": 1.0})
    board.publish({"taken_at": 2.0})
    assert board.latest() == {"taken_at": 2.0}
    with pytest.raises(TypeError):
        board.latest()["taken_at"] = 3.0
