# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""WAL on its way to another repository: what is brought, in which order, and what is remembered."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any, Optional

import pytest
from ansible_collections.pgkeep.postgres.plugins.module_utils import _ship as ship
from ansible_collections.pgkeep.postgres.plugins.module_utils import _ship_duty as duty
from ansible_collections.pgkeep.postgres.plugins.module_utils import _ship_state as state
from ansible_collections.pgkeep.postgres.plugins.module_utils._alert import queue_dir
from ansible_collections.pgkeep.postgres.plugins.module_utils._backup_repository import Keeper
from ansible_collections.pgkeep.postgres.plugins.module_utils._errors import PgkeepError
from ansible_collections.pgkeep.postgres.plugins.module_utils._lock import hold
from ansible_collections.pgkeep.postgres.plugins.module_utils._run import Result

SUM = "-" + "a" * 40
INFO = [
    {
        "name": "orders",
        "status": {"code": 2, "message": "no valid backups", "lock": {"backup": {"held": False}}},
        "repo": [{"status": {"code": 2, "message": "no valid backups"}}],
        "db": [{"id": 1, "version": "17"}],
    }
]


def segment(number: int, timeline: int = 1) -> str:
    return "%08X%016X%s" % (timeline, number, SUM)


@pytest.mark.parametrize(
    "file, name",
    [
        (segment(3) + ".zst", segment(3)),
        (segment(3), segment(3)),
        ("000000010000000000000003.partial%s.gz" % SUM, "000000010000000000000003.partial" + SUM),
        ("00000002.history", "00000002.history"),
        ("000000010000000000000002.00000028.backup", None),
        ("archive.info", None),
        (segment(3) + ".zst.pgbackrest.tmp", None),
    ],
)
def test_what_is_shipped(file: str, name: Optional[str]) -> None:
    assert ship.shipped_name(file) == name


def here(*names: str) -> dict[str, float]:
    return {name: 100.0 + index for index, name in enumerate(names)}


def test_a_new_repository_begins_with_the_newest_segment() -> None:
    assert ship.to_ship(here(segment(1), segment(2), segment(3)), set(), None) == [segment(3)]
    assert ship.to_ship({}, set(), None) == []


def test_what_was_brought_says_where_it_began() -> None:
    assert ship.to_ship(here(*map(segment, range(1, 7))), {segment(3), segment(5)}, None) == [segment(4), segment(6)]


def test_a_backup_there_says_from_where_it_is_needed() -> None:
    found = ship.to_ship(here(*map(segment, range(1, 6))), {segment(5)}, "000000010000000000000003")
    assert found == [segment(3), segment(4)]


def test_timelines_in_the_order_in_which_a_recovery_reads_them() -> None:
    partial = "000000010000000000000004.partial" + SUM
    names = [segment(4, 2), "00000002.history", partial, segment(3), segment(5, 2)]
    found = ship.to_ship(here(*names), {segment(2)}, None)
    assert found == [segment(3), partial, "00000002.history", segment(4, 2), segment(5, 2)]


def test_another_content_under_the_same_name_is_not_taken_for_it() -> None:
    other = segment(3)[:25] + "b" * 40
    assert ship.to_ship(here(other), {segment(3)}, None) == [other]


def test_how_far_behind() -> None:
    files = here(segment(1), segment(2), segment(3), "00000002.history")
    assert ship.behind(files, segment(1)[:24]) == [101.0, 102.0]
    assert ship.behind(files, segment(3)[:24]) == []
    assert ship.behind(files, None) == []


class Pgbackrest:
    """The other repository: there is what it holds, error what it answers every push with."""

    def __init__(self, there: dict[str, Any]) -> None:
        self.there = there
        self.error = ""
        self.code = 2
        self.pushed: list[str] = []
        self.calls: list[tuple[list[str], Optional[float]]] = []

    def __call__(self, argv: list[str], timeout: Optional[float] = None) -> Result:
        self.calls.append((argv, timeout))
        if "info" in argv:
            info = json.loads(json.dumps(INFO))
            info[0]["repo"][0]["status"] = {"code": self.code, "message": self.error or "no valid backups"}
            return Result(0, json.dumps(info))
        if "repo-ls" in argv:
            return Result(0, json.dumps({name: {"type": "file", "size": 1, "time": 1} for name in self.there}))
        if "archive-get" in argv:
            Path(argv[-1]).write_text("wal")
        if "archive-push" in argv:
            assert Path(argv[-1]).read_text() == "wal"
            if self.error:
                return Result(103, "ERROR: [103]: " + self.error)
            self.pushed.append(os.path.basename(argv[-1]))
        return Result(0)


@pytest.fixture
def keeper(tmp_path: Path) -> Keeper:
    folder = tmp_path / "repo/archive/orders/17-1/0000000100000000"
    folder.mkdir(parents=True)
    for number in (1, 2, 3):
        (folder / (segment(number) + ".zst")).write_text("")
    (tmp_path / "repo/archive/orders/archive.info").write_text("")
    (tmp_path / "spool").mkdir()
    (tmp_path / "pgbackrest.conf").write_text("[global]\nrepo1-path=/x\nrepo2-type=s3\n")
    places = [str(tmp_path / name) for name in ("data", "repo", "spool", "state")]
    there = Pgbackrest({"0000000100000000/%s.zst" % segment(1): None})
    return Keeper("orders", there, *places, repo=2, tool_config=str(tmp_path))


def pushed(keeper: Keeper) -> list[str]:
    run = keeper.run
    assert isinstance(run, Pgbackrest)
    return run.pushed


def other(keeper: Keeper) -> Pgbackrest:
    assert isinstance(keeper.run, Pgbackrest)
    return keeper.run


def test_what_is_missing_is_fetched_and_pushed_in_order(keeper: Keeper) -> None:
    shipper = ship.Shipper()
    assert shipper.step(keeper) == 2
    assert pushed(keeper) == [segment(2)[:24], segment(3)[:24]]
    assert os.listdir(keeper.spool + "/ship-2") == []
    known = state.load(keeper.state, 2)
    assert (known.last, known.error) == (segment(3)[:24], None)
    # Every call that may reach for the network has a deadline, and pushes know no other repository.
    assert all(timeout for _argv, timeout in other(keeper).calls)
    pushes = [argv for argv, _timeout in other(keeper).calls if "archive-push" in argv]
    assert all("--config=%s/repository2.conf" % keeper.tool_config in argv for argv in pushes)
    # What is there is remembered.
    asked = len(other(keeper).calls)
    assert shipper.step(keeper) == 0
    assert len(other(keeper).calls) == asked


def test_a_new_repository_is_prepared(keeper: Keeper) -> None:
    other(keeper).code = 1
    ship.Shipper().step(keeper)
    assert [argv[-1] for argv, _timeout in other(keeper).calls if "stanza-create" in argv] == ["stanza-create"]
    assert pushed(keeper) == [segment(3)[:24]]


def test_trouble_is_told_remembered_and_forgotten(keeper: Keeper) -> None:
    other(keeper).error = "unable to find a valid repository: HTTP request failed with 403 (Forbidden):\n*** Path"
    shipper = ship.Shipper()
    with pytest.raises(PgkeepError, match="WAL 000000010000000000000002 does not reach repository 2.*credentials"):
        shipper.step(keeper)
    known = state.load(keeper.state, 2)
    assert known.error is not None
    assert "Path" not in known.error["why"]
    assert known.failing_since is not None
    with pytest.raises(PgkeepError):
        shipper.step(keeper)
    assert state.load(keeper.state, 2).failing_since == known.failing_since
    other(keeper).error = ""
    shipper.step(keeper)
    assert (state.load(keeper.state, 2).error, state.load(keeper.state, 2).failing_since) == (None, None)


def test_who_ships_already_is_not_disturbed(keeper: Keeper) -> None:
    with hold(keeper.spool + "/ship-2.lock", "shipping of WAL"):
        assert ship.Shipper().step(keeper) == 0
    assert other(keeper).calls == []


def test_before_the_first_segment_there_is_nothing_to_do(keeper: Keeper, tmp_path: Path) -> None:
    (tmp_path / "repo/archive").rename(tmp_path / "away")
    assert ship.Shipper().step(keeper) == 0
    assert other(keeper).calls == []


def test_folders_that_did_not_change_are_not_read_again(keeper: Keeper, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = keeper.repository + "/archive/orders/17-1/0000000100000000"
    os.utime(folder, (1795301700, 1795301700))
    (Path(folder).parent / "00000002.history").write_text("")
    seen: ship.Seen = {}
    first = ship.archived_here(keeper, seen)
    assert set(first[1]) == {segment(1), segment(2), segment(3), "00000002.history"}
    read = []
    scandir = os.scandir
    monkeypatch.setattr(os, "scandir", lambda path: (read.append(path), scandir(path))[1])
    assert ship.archived_here(keeper, seen) == first
    assert read == [os.path.dirname(folder)]
    (Path(folder) / segment(4)).write_text("")
    assert set(ship.archived_here(keeper, seen)[1]) == {*first[1], segment(4)}


def alerts(keeper: Keeper) -> list[dict[str, Any]]:
    folder = Path(queue_dir(keeper.state))
    return [json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))]


def test_somebody_hears_of_it_once_and_when_it_is_over(keeper: Keeper) -> None:
    now = time.time()
    trouble = {"what": "w", "why": "the host does not answer", "next_step": "repair it", "busy": False}
    behind = state.Shipped(last=segment(1)[:24], failing_since=now - 100, error=trouble)
    state.save(keeper.state, 2, behind)
    duty.tell(keeper, now)
    assert alerts(keeper) == []
    duty.tell(keeper, now + duty.ALERT_SECONDS)
    duty.tell(keeper, now + duty.ALERT_SECONDS + 60)
    (told,) = alerts(keeper)
    assert (told["severity"], told["what"]) == ("critical", "WAL of orders does not reach repository 2")
    assert "the host does not answer" in told["why"]
    # Back, but not all is there yet.
    state.save(keeper.state, 2, state.Shipped(last=segment(2)[:24], alerted=True))
    duty.tell(keeper, now)
    assert len(alerts(keeper)) == 1
    state.save(keeper.state, 2, state.Shipped(last=segment(3)[:24], alerted=True))
    duty.tell(keeper, now)
    assert sorted(each["severity"] for each in alerts(keeper)) == ["critical", "info"]


def test_the_duty_ships_in_a_thread_and_says_what_failed(keeper: Keeper) -> None:
    other(keeper).error = "HTTP request failed with 403"
    shipping = duty.Shipping()
    shipping.act(keeper)
    deadline = time.monotonic() + 60
    while state.load(keeper.state, 2).error is None and time.monotonic() < deadline:
        time.sleep(0.02)
    # The thread notes its error before it says it.
    time.sleep(0.1)
    with pytest.raises(PgkeepError, match="does not reach repository 2"):
        shipping.act(keeper)


def test_a_backup_ships_for_itself(keeper: Keeper) -> None:
    deadline = time.monotonic() + 60
    with duty.meanwhile(keeper):
        while len(pushed(keeper)) < 2 and time.monotonic() < deadline:
            time.sleep(0.02)
    assert len(pushed(keeper)) == 2
