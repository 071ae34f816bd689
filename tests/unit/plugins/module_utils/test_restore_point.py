# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Restore points as the keeper remembers them, and which of them a recorded repository still leads to."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.pgkeep.postgres.plugins.module_utils import _backup_canary as canary
from ansible_collections.pgkeep.postgres.plugins.module_utils import _restore_point as points
from ansible_collections.pgkeep.postgres.plugins.module_utils._backup_repository import Keeper
from ansible_collections.pgkeep.postgres.plugins.module_utils._errors import PgkeepError
from ansible_collections.pgkeep.postgres.plugins.module_utils._evidence import judge
from ansible_collections.pgkeep.postgres.plugins.module_utils._pgbackrest import Snapshot
from ansible_collections.pgkeep.postgres.plugins.module_utils._restore_point import Point

from .recorded_pgbackrest import STANZA, snapshot, without

FULL = "20261121-225418F"
DIFF = FULL + "_20261121-225420D"


@pytest.fixture
def keeper(tmp_path: Path) -> Keeper:
    return Keeper(STANZA, None, "data", state=str(tmp_path))  # type: ignore[arg-type]


def remember(keeper: Keeper, name: str, lsn: str, created_at: str, timeline: int = 1) -> None:
    with open(keeper.state + "/" + points.FILE, "a") as handle:
        line = {"name": name, "lsn": lsn, "timeline": timeline, "created_at": created_at, "system_id": "7"}
        handle.write(json.dumps(line) + "\n")


def reachable(keeper: Keeper, taken: Snapshot) -> list[tuple[str, str]]:
    found = points.reachable(keeper, taken, judge(STANZA, taken, {}))
    return [(point["name"], point["label"]) for point in found]


def test_a_point_leads_from_the_newest_backup_before_it(keeper: Keeper) -> None:
    remember(keeper, "too-early", "0/1000100", "2026-11-21T22:54:10Z")
    remember(keeper, "first", "0/3000100", "2026-11-21T22:54:19.5Z")
    remember(keeper, "last", "0/6000100", "2026-11-21T22:54:21.9Z")
    assert reachable(keeper, snapshot("ok")) == [("first", FULL), ("last", DIFF)]


def test_a_point_behind_missing_wal_is_reached_from_no_backup_before_it(keeper: Keeper) -> None:
    remember(keeper, "in-the-gap", "0/4000100", "2026-11-21T22:54:19.5Z")
    remember(keeper, "at-its-start", "0/4000000", "2026-11-21T22:54:19.5Z")
    taken = without(snapshot("ok"), "000000010000000000000004-")
    # A record that ends with segment 3 needs no other.
    assert reachable(keeper, taken) == [("at-its-start", FULL)]


def test_what_a_crash_left_half_written_is_passed_over(keeper: Keeper) -> None:
    remember(keeper, "first", "0/3000100", "2026-11-21T22:54:19.5Z")
    with open(keeper.state + "/" + points.FILE, "a") as handle:
        handle.write('{"name": "sec')
    assert [point.name for point in points.recorded(keeper.state)] == ["first"]


@pytest.fixture
def writing(keeper: Keeper, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What is waited for; the server answers."""
    waited: list[Any] = []

    def make(keeper: Keeper, name: str) -> tuple[Point, str]:
        remember(keeper, name, "0/3000100", "2026-11-21T22:54:19.5Z")
        return points.recorded(keeper.state)[-1], "000000010000000000000003"

    monkeypatch.setattr(points, "_make", make)
    monkeypatch.setattr(canary, "require_archive", lambda keeper: "17-1")
    monkeypatch.setattr(canary, "wait_until_archived", lambda *words: waited.append(words[2]))
    return waited


def test_a_point_is_made_once(keeper: Keeper, writing: list[Any]) -> None:
    assert points.create(keeper, "before-release", 60)["lsn"] == "0/3000100"
    assert writing == ["000000010000000000000003"]
    with pytest.raises(PgkeepError, match="there is one of that name, from 2026-11-21T22:54:19.5Z at 0/3000100"):
        points.create(keeper, "before-release", 60)


def test_checking_makes_nothing(keeper: Keeper, writing: list[Any]) -> None:
    found = points.create(keeper, "before-release", 60, check=True)
    assert (found["name"], found["lsn"], found["archived_seconds"]) == ("before-release", None, None)
    assert points.recorded(keeper.state) == []
    assert writing == []


@pytest.mark.parametrize("name", ["", "a b", "-x", "x" * 64, "a'b", "ä"])
def test_a_name_that_would_not_survive_the_way(keeper: Keeper, name: str) -> None:
    with pytest.raises(PgkeepError, match="cannot be used"):
        points.create(keeper, name, 60)
