# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A poll publishes what it saw and remembers what a restart may not forget."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.pgkeep.postgres.plugins.module_utils import _audit as audit
from ansible_collections.pgkeep.postgres.plugins.module_utils import _poll_link as link
from ansible_collections.pgkeep.postgres.plugins.module_utils._backup_repository import Keeper
from ansible_collections.pgkeep.postgres.plugins.module_utils._board import Board
from ansible_collections.pgkeep.postgres.plugins.module_utils._errors import PgkeepError
from ansible_collections.pgkeep.postgres.plugins.module_utils._poll import Poller, settled
from ansible_collections.pgkeep.postgres.plugins.module_utils._poll_server import Answer
from ansible_collections.pgkeep.postgres.plugins.module_utils._run import run
from ansible_collections.pgkeep.postgres.plugins.module_utils._times import rfc3339

from .recorded import load

FREQUENT = load("poll/frequent.json")
GOOD = Answer(None, "", FREQUENT, load("poll/rare.json"), (), 1)


class Bench:
    """A poller whose server answers what answer says; logins have no address to go to."""

    def __init__(self, folder: Path) -> None:
        (folder / "keeper.json").write_text(json.dumps({"http": {"interval_seconds": 5}}))
        place = str(folder)
        self.keeper = Keeper("app", run, place, repository=place, spool=place, state=place, sockets=place, config=place)
        self.board = Board()
        self.now = FREQUENT["now"]
        self.answer = GOOD
        self.poller = Poller(self.board, lambda: self.now)
        self.poller._server.ask = lambda keeper, end: self.answer  # type: ignore[method-assign]

    def poll(self, **changes: Any) -> Any:
        self.now += 5
        if changes:
            self.answer = replace(self.answer, **changes)
        self.poller.poll(self.keeper)
        return self.board.latest()


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def restarted(seconds: float) -> dict[str, Any]:
    return {**FREQUENT, "started_at": FREQUENT["now"] + seconds}


def test_a_crash_is_counted_once_and_by_the_next_keeper_too(bench: Bench, tmp_path: Path) -> None:
    assert bench.poll()["restarts"]["last_day"] == 0
    found = bench.poll(frequent={**FREQUENT, "reset_at": FREQUENT["now"] + 6}, session=2)
    assert found["restarts"]["crashes_last_day"] == 1
    assert [event["kind"] for event in found["events"]].count("restart") == 1
    assert bench.poll()["restarts"]["crashes_last_day"] == 1
    again = Bench(tmp_path)
    again.answer = bench.answer
    assert again.poll()["restarts"]["crashes_last_day"] == 1


def test_what_an_operation_did_is_no_trouble(bench: Bench) -> None:
    bench.poll()
    assert bench.poll(frequent=restarted(6))["restarts"]["last_day"] == 1
    with audit.recorded(bench.keeper.state, "deploy", "ansible:me"):
        trail = Path(bench.keeper.state, audit.FILE)
        record = {**json.loads(trail.read_text()), "at": rfc3339(FREQUENT["now"] + 9)}
        trail.write_text(json.dumps(record) + "\n")
        assert bench.poll(frequent=restarted(12))["restarts"]["last_day"] == 1
    # An operation that began afterwards explains nothing.
    assert bench.poll(frequent=restarted(5))["restarts"]["last_day"] == 2


def test_a_server_that_hangs_is_published_and_not_waited_for(bench: Bench) -> None:
    bench.poll()
    bench.poll(state=link.HUNG, words="no answer", frequent=None)
    bench.poll()
    found = bench.poll()
    assert (found["status"], found["ready"], found["taken_at"]) == ("critical", False, bench.now)
    assert found["checks"][0]["value"] == "hung"
    assert found["rates"]["transactions_per_second"] is None


@pytest.mark.parametrize(
    "state, told, enough",
    [
        (None, "healthy", True),
        # One more good one, or silent one, is due at once.
        (None, "critical", False),
        (link.HUNG, "healthy", False),
        (link.HUNG, "warning", False),
        (link.HUNG, "critical", True),
        (link.STARTING, "warning", True),
        (link.DEAD, "critical", True),
    ],
)
def test_what_only_wants_confirming_is_looked_at_again_at_once(state: Any, told: str, enough: bool) -> None:
    assert settled(state, told) is enough


def test_the_last_hour_outlives_the_keeper(bench: Bench, tmp_path: Path) -> None:
    for _poll in range(30):
        before = bench.poll()["history"]
    again = Bench(tmp_path)
    again.now = bench.now
    after = again.poll()["history"]
    # All but the minute that was not over.
    assert after["sessions_active"][: len(before["sessions_active"]) - 1] == before["sessions_active"][:-1]
    assert before["sessions_active"][0] is not None


@pytest.mark.parametrize(
    "change",
    [
        {"loaded_at": FREQUENT["loaded_at"] + 1},
        {"started_at": FREQUENT["started_at"] + 1},
        {"sessions": {**FREQUENT["sessions"], "total": FREQUENT["usable"]}},
    ],
)
def test_what_may_be_a_cure_is_tried_at_once(bench: Bench, change: dict[str, Any]) -> None:
    for _poll in range(7):
        found = bench.poll()
    assert (found["circuit"]["state"], found["circuit"]["failures"]) == ("open", 5)
    frequent = {**FREQUENT, **change}
    assert bench.poll(frequent=frequent)["circuit"]["failures"] == 6
    assert bench.poll(frequent=frequent)["circuit"]["failures"] == 6


def test_without_statistics_the_login_is_tried_all_the_same(bench: Bench) -> None:
    for failures in (1, 2):
        found = bench.poll(words="it told nothing", frequent=None)
        assert (found["circuit"]["failures"], found["checks"][0]["value"]) == (failures, "unreachable")
        assert found["checks"][0]["message"].startswith("the server cannot be reached (The address of app is not known")


def test_without_endpoints_nobody_looks(bench: Bench) -> None:
    Path(bench.keeper.config, "keeper.json").write_text("{}")
    bench.poller.tick(bench.keeper)
    bench.poller.look_beside(bench.keeper)
    bench.poller.look_at_pooler(bench.keeper)
    assert bench.board.latest() is None
    Path(bench.keeper.config, "keeper.json").write_text('{"http": {"interval_seconds": 5}}')
    bench.poller.tick(bench.keeper)
    assert bench.board.latest() is not None


def test_a_state_folder_that_cannot_be_written_hides_nothing(bench: Bench) -> None:
    bench.keeper = replace(bench.keeper, state="/proc/nowhere")
    with pytest.raises(PgkeepError, match="could not be written"):
        bench.poll()
    assert bench.board.latest() is not None
