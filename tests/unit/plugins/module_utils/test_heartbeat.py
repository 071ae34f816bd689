# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a heartbeat says about lost work, and when none is written. That it beats is shown by tests/integration."""

from __future__ import annotations

import json

import pytest
from ansible_collections.pgkeep.postgres.plugins.module_utils import _heartbeat as heartbeat
from ansible_collections.pgkeep.postgres.plugins.module_utils._backup_repository import Keeper
from ansible_collections.pgkeep.postgres.plugins.module_utils._errors import PgkeepError
from ansible_collections.pgkeep.postgres.plugins.module_utils._heartbeat import Beat, Beginning, exposure
from ansible_collections.pgkeep.postgres.plugins.module_utils._run import run

SEGMENT = 16 << 20
# Right behind the header of the fourth segment: all that was before it is in the third.
BEHIND = 3 * SEGMENT + 40


@pytest.mark.parametrize(
    ("beats", "began", "seconds"),
    [
        pytest.param([Beat(100, None, 50)], Beginning(130, 125, True), 0.0, id="idle and all archived"),
        pytest.param(
            [Beat(100, None, BEHIND)], Beginning(130, 125, True), 0.0, id="only the beat itself is not archived"
        ),
        pytest.param([Beat(100, None, 50)], Beginning(130, 125, False), 5, id="written after the last look"),
        pytest.param([Beat(100, None, 50)], Beginning(130, None, False), 30, id="written, and nobody looked"),
        pytest.param(
            [Beat(100, None, 50), Beat(110, None, BEHIND + 1), Beat(120, None, BEHIND + 99)],
            Beginning(130, 120, False),
            30,
            id="a busy server, one beat archived",
        ),
        pytest.param(
            [Beat(100, None, 50), Beat(7210, 7200, BEHIND + 1)],
            Beginning(7215, 7210, True),
            15,
            id="quiet for two hours, then a write",
        ),
        pytest.param(
            [Beat(100, None, 50), Beat(140, None, BEHIND + 1)],
            Beginning(130, 125, True),
            0.0,
            id="what was written after the beginning does not count",
        ),
        pytest.param([Beat(100, 90, BEHIND + 1)], Beginning(130, 125, False), None, id="nothing that old in the ring"),
        pytest.param([], Beginning(130, 125, True), None, id="no beats"),
        pytest.param([Beat(131, None, 50)], Beginning(130.5, 125, True), None, id="only later beats"),
    ],
)
def test_the_work_that_would_have_been_lost(beats, began, seconds):
    assert exposure(beats, 3 * SEGMENT, began) == seconds


def test_a_clock_that_was_set_back_gives_no_negative_time():
    assert exposure([Beat(100, None, 50)], 3 * SEGMENT, Beginning(100, 200, False)) == 0.0


@pytest.mark.parametrize(("topic", "seconds"), [({}, 10), ({"interval_seconds": 0}, 0), ({"interval_seconds": 60}, 60)])
def test_the_interval(topic, seconds):
    assert heartbeat.seconds("app", topic) == seconds


@pytest.mark.parametrize("interval", [-1, "10", True, 3601, None])
def test_what_is_no_interval(interval):
    with pytest.raises(PgkeepError, match="postgres_backup_heartbeat_seconds is"):
        heartbeat.seconds("app", {"interval_seconds": interval})


def test_no_server_is_no_trouble(tmp_path):
    keeper = Keeper("app", run, "", sockets=str(tmp_path), config=str(tmp_path))
    heart = heartbeat.Heart(lambda: 0.0)
    heart.tick(keeper)
    heart.tick(keeper)
    assert heartbeat.beginning(str(tmp_path)) is None
    assert heartbeat.measure(str(tmp_path), "000000010000000000000003", Beginning(1, None, True)) is None
    assert heartbeat.measure(str(tmp_path), None, Beginning(1, None, True)) is None


class Server:
    """A connection that remembers what it was asked. writable and exists are what it answers."""

    def __init__(self, writable=True, error=None):
        self.asked, self.writable, self.error = [], writable, error

    def rows(self, _opened, statement, values=None):
        self.asked.append((statement.split()[0], values))
        if statement.startswith("WITH") and self.error:
            raise self.error
        if statement == heartbeat._READY:
            return [(self.writable, True)]
        return [(1000.0,)] if statement == heartbeat._NOW else []

    def beats(self):
        return [values for word, values in self.asked if word == "WITH"]


@pytest.fixture
def beating(monkeypatch, tmp_path):
    """(heart, keeper, clock) of a heart that asks server."""
    clock = [0.0]
    keeper = Keeper("app", run, "", sockets=str(tmp_path), config=str(tmp_path))

    def connect(server):
        import contextlib

        def connection(*_given, settings):
            # What the server says about writing has to be its own word.
            assert settings["role"] == "none"
            assert "default_transaction_read_only" not in settings
            return contextlib.nullcontext(server)

        monkeypatch.setattr(heartbeat, "connection", connection)
        monkeypatch.setattr(heartbeat, "rows", server.rows)
        return heartbeat.Heart(lambda: clock[0]), keeper, clock

    return connect


def test_a_beat_tells_when_the_server_was_last_seen_quiet(beating):
    server = Server()
    heart, keeper, clock = beating(server)
    for clock[0] in (0, 5, 10, 15, 20):
        heart.tick(keeper)
    # Every ten seconds, and the first has seen nothing before.
    assert server.beats() == [(None,), (1000.0,), (1000.0,)]


def test_a_read_only_server_is_not_asked_to_write(beating):
    server = Server(writable=False)
    heart, keeper, _clock = beating(server)
    heart.tick(keeper)
    assert server.beats() == []


def test_a_server_that_refuses_is_left_alone_for_a_while(beating):
    psycopg2 = pytest.importorskip("psycopg2")
    server = Server(error=psycopg2.errors.lookup("42501")("permission denied"))
    heart, keeper, clock = beating(server)
    for clock[0] in (0, 10, 100, 299):
        heart.tick(keeper)
    assert len(server.beats()) == 1
    clock[0] = 301
    heart.tick(keeper)
    assert len(server.beats()) == 2


def test_it_can_be_turned_off(beating, tmp_path):
    (tmp_path / "keeper.json").write_text(json.dumps({"heartbeat": {"interval_seconds": 0}}))
    server = Server()
    heart, keeper, _clock = beating(server)
    heart.tick(keeper)
    assert server.asked == []
