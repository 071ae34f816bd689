# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which timelines are production's own: a recorded archive, and one that another server wrote into."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.pgkeep.postgres.plugins.module_utils import _backup_repository as repository
from ansible_collections.pgkeep.postgres.plugins.module_utils import _backup_server as server
from ansible_collections.pgkeep.postgres.plugins.module_utils import _history as history
from ansible_collections.pgkeep.postgres.plugins.module_utils import _timelines as timelines
from ansible_collections.pgkeep.postgres.plugins.module_utils._backup_repository import Keeper
from ansible_collections.pgkeep.postgres.plugins.module_utils._errors import PgkeepError
from ansible_collections.pgkeep.postgres.plugins.module_utils._pgbackrest import Archive, Info

from .recorded_pgbackrest import STANZA, snapshot

HISTORY = "1\t0/D001350\tno recovery target specified\n"
INFO = Info(0, "ok", "none", False, (), (Archive("17-1", 1, None, None),), (1, "17"))


@pytest.fixture
def keeper(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Keeper:
    """A keeper whose server writes timeline 2; its archive has a third one, which names its parent."""
    names = ["archive.info", "0000000100000000", "0000000200000000", "00000002.history", "00000003.history"]
    monkeypatch.setattr(server, "ask", lambda keeper, statement: [("77", "00000002")])
    monkeypatch.setattr(repository, "information", lambda keeper: INFO)
    monkeypatch.setattr(repository, "listing", lambda keeper, folder: dict.fromkeys(names))
    texts = {2: HISTORY, 3: HISTORY + "2\t0/F000000\tno recovery target specified\n"}
    monkeypatch.setattr(repository, "timeline_history", lambda keeper, archive_id, timeline, names: texts[timeline])
    return Keeper(STANZA, None, "data", state=str(tmp_path))  # type: ignore[arg-type]


def rows(found: list[timelines.Timeline]) -> list[tuple[Any, ...]]:
    return [(each.timeline, each.parent, each.known) for each in found]


def test_names_in_the_folder_of_an_archive() -> None:
    names = ["0000000100000000", "0000000A00000001", "0000000B.history", "archive.info", "0000000C.history.new"]
    assert timelines.archived(names) == {1, 10, 11}


def test_the_way_to_production_is_known() -> None:
    assert rows(timelines.catalogue({1, 2}, 2, HISTORY, [])) == [(1, None, True), (2, 1, True)]


def test_what_the_history_tells_is_known_and_nothing_else() -> None:
    entries = history.parse(
        "2026-11-21T10:00:00Z restored system-id=7 from=2 timeline=3\n"
        "2026-11-21T10:01:00Z restored system-id=7 from=3 timeline=2\n"
        "2026-11-21T10:02:00Z noticed system-id=7 timeline=2\n"
    )
    found = timelines.catalogue({1, 2, 3, 4}, 2, HISTORY, entries)
    # The undo led from 3 to 2, but 2 did not come from there.
    assert rows(found) == [(1, None, True), (2, 1, True), (3, 2, True), (4, None, False)]
    assert timelines.foreign(found, 2) == [4]
    assert history.following(entries) == 2


def test_a_recorded_archive() -> None:
    taken = snapshot("timelines")
    names = timelines.in_folder(STANZA, taken.info.archive_id, taken.listing)
    assert rows(timelines.catalogue(timelines.archived(names), taken.timeline, taken.history, [])) == [
        (1, None, True),
        (2, 1, True),
    ]


def test_an_older_stranger_is_told_but_leads_nobody_away() -> None:
    found = timelines.catalogue({1, 2, 3}, 3, "1\t0/D001350\tx\n", [])
    assert [each.known for each in found] == [True, False, True]
    assert timelines.foreign(found, 3) == []


def test_the_keeper_notices_what_the_server_writes(keeper: Keeper) -> None:
    path = Path(keeper.state, "history")
    path.write_text("2026-11-21T10:00:00Z restored system-id=77\n")
    timelines.notice(keeper)
    timelines.notice(keeper)
    lines = path.read_text().splitlines()
    assert len(lines) == 2
    assert lines[1].endswith("Z noticed system-id=77 timeline=2")


def test_nothing_is_noticed_on_a_server_in_recovery_or_away(keeper: Keeper, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "ask", lambda keeper, statement: [("77", None)])
    timelines.notice(keeper)

    def away(keeper: Keeper, statement: str) -> Any:
        raise PgkeepError("PostgreSQL does not answer")

    monkeypatch.setattr(server, "ask", away)
    timelines.notice(keeper)
    timelines.watch(keeper)
    assert list(Path(keeper.state).iterdir()) == []


def test_a_stranger_is_alerted_once(keeper: Keeper) -> None:
    timelines.watch(keeper)
    timelines.watch(keeper)
    queued = list(Path(keeper.state, "alerts/queue").iterdir())
    assert len(queued) == 1
    told = json.loads(queued[0].read_text())
    assert told["severity"] == "critical"
    assert "the timeline 3, which production (timeline 2) never took" in told["why"]
