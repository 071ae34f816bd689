# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The queue on disk and its delivery, with receivers that take or refuse and a clock of its own."""

from __future__ import annotations

import json

import pytest
from ansible_collections.pgkeep.postgres.plugins.module_utils import _alert as alerts
from ansible_collections.pgkeep.postgres.plugins.module_utils import _alert_duty as duty
from ansible_collections.pgkeep.postgres.plugins.module_utils import _alert_queue as queue
from ansible_collections.pgkeep.postgres.plugins.module_utils._alert_config import split
from ansible_collections.pgkeep.postgres.plugins.module_utils._alert_send import Undelivered
from ansible_collections.pgkeep.postgres.plugins.module_utils._backup_repository import Keeper
from ansible_collections.pgkeep.postgres.plugins.module_utils._errors import PgkeepError
from ansible_collections.pgkeep.postgres.plugins.module_utils._times import rfc3339

START = 1_800_000_000.0
HOOKS = [
    {"name": "ops", "url": "https://ops.example.org/key-of-ops"},
    {"name": "chat", "url": "https://chat.example.org/"},
]


class World:
    """Two receivers; broken says which of them fails with which error."""

    def __init__(self, tmp_path):
        self.now = START
        self.broken = {}
        self.got = []
        self.attempts = []
        self.config = tmp_path / "config"
        self.config.mkdir()
        self.state = str(tmp_path / "state")
        self.keeper = Keeper("orders", None, "/data", state=self.state, config=str(self.config))
        self.wants({"webhooks": HOOKS})

    def wants(self, wanted):
        made = split(wanted, "db1")
        (self.config / "keeper.json").write_text(json.dumps({"alerts": made["topic"]}))
        for name, content in made["files"].items():
            (self.config / name).write_text(content)

    def put(self, what, severity=alerts.CRITICAL, action="full", status=alerts.FIRING, at=None):
        alert = alerts.Alert("orders", severity, action, what, "why", "next", rfc3339(at or self.now), status=status)
        alerts.put(self.state, alert, self.now)
        self.now += 0.001
        return alert.id

    def deliver(self, receiver, content):
        self.attempts.append((receiver.name, self.now))
        error = self.broken.get(receiver.name)
        if error is not None:
            raise error
        self.got.append((receiver.name, content))
        return "HTTP 200"

    def tick(self, seconds=0.0):
        self.now += seconds
        duty.tick(self.keeper, lambda: self.now, self.deliver)

    def told(self, name):
        return [content["what"] for receiver, content in self.got if receiver == name]

    def summary(self):
        return queue.summary(self.state, ["ops", "chat"], self.now)


@pytest.fixture
def world(tmp_path):
    return World(tmp_path)


def test_everybody_gets_everything_in_order(world):
    for number in range(5):
        world.put("trouble %d" % number)
    world.tick()
    expected = ["trouble %d" % number for number in range(5)]
    assert world.told("ops") == world.told("chat") == expected
    assert world.got[0][1]["host"] == "db1"
    found = world.summary()
    assert (found["queued"], found["sent"]) == (0, 5)
    assert [each["failing_since"] for each in found["receivers"]] == [None, None]
    world.tick()
    assert len(world.got) == 10


def test_who_has_it_does_not_get_it_again_while_the_other_fails(world):
    world.broken["ops"] = Undelivered("HTTP 503 at https://ops.example.org/key-of-ops")
    identity = world.put("trouble")
    world.tick()
    failed_at = world.now
    # After a restart of the keeper only the disk is left.
    world.tick(0.5)
    found = world.summary()
    ops, chat = found["receivers"]
    assert found["queued"] == 1
    assert found["oldest_at"] == rfc3339(START)
    assert (ops["waiting"], ops["failures"], ops["failing_since"]) == (1, 1, rfc3339(failed_at))
    assert ops["error"] == "HTTP 503 at (hidden)"
    assert ops["next_attempt_at"] == rfc3339(failed_at + 1)
    assert (chat["waiting"], chat["error"], chat["delivered_at"]) == (0, None, rfc3339(START))
    world.broken.clear()
    world.tick(1)
    assert world.told("ops") == world.told("chat") == ["trouble"]
    record = queue.sent(world.state, identity)
    assert record["delivered"]["ops"]["answer"] == "HTTP 200"
    assert world.summary()["receivers"][0]["failing_since"] is None


def test_the_waits_grow_and_end_at_five_minutes(world):
    world.broken["ops"] = Undelivered("no")
    world.put("trouble")
    for _second in range(1500):
        world.tick(1)
    moments = [moment for name, moment in world.attempts if name == "ops"]
    waits = [round(later - earlier) for earlier, later in zip(moments, moments[1:])]
    assert waits == [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300]
    assert [duty.wait_seconds(failures) for failures in (1, 2, 9, 10, 10_000)] == [1, 2, 256, 300, 300]


def test_a_clock_that_was_set_back_delays_nobody_for_years(world):
    world.broken["ops"] = Undelivered("no")
    world.put("trouble")
    world.tick()
    world.broken.clear()
    world.tick(-1_000_000)
    assert world.told("ops") == ["trouble"]


def test_what_a_receiver_will_never_take_does_not_block_what_it_takes(world):
    world.broken["ops"] = Undelivered("HTTP 422", hopeless=True)
    world.put("monster")
    for _try in range(3):
        world.tick(10)
    world.broken.clear()
    world.put("trouble")
    world.tick(10)
    assert world.told("ops") == ["trouble"]
    found = world.summary()
    assert (found["refused"], found["queued"]) == (1, 0)


def test_the_same_again_is_counted_and_the_count_is_told(world):
    world.broken["ops"] = Undelivered("no")
    for _time in range(3):
        world.put("trouble")
        world.tick(0.1)
    assert world.summary()["collapsed"] == 2
    assert world.summary()["queued"] == 1
    world.broken.clear()
    world.tick(60)
    assert [content["repeated"] for name, content in world.got if name == "ops"] == [2]
    world.put("trouble")
    world.put("other trouble")
    world.put("trouble", severity=alerts.WARNING)
    world.tick(60)
    assert world.told("ops") == ["trouble", "other trouble", "trouble"]
    # The window is over: it is told again, and what was not told meanwhile with it.
    world.put("trouble")
    world.tick(3600)
    assert world.got[-1][1]["repeated"] == 3
    assert world.told("ops")[-1] == "trouble"


def test_after_its_end_a_trouble_is_new(world):
    world.put("trouble")
    world.tick(5)
    world.put("it works again", alerts.INFO, status=alerts.RESOLVED)
    world.tick(5)
    world.put("trouble")
    world.tick(5)
    assert world.told("chat") == ["trouble", "it works again", "trouble"]
    assert world.summary()["collapsed"] == 0


def test_an_end_that_waits_does_not_forget_what_comes_after_it(world):
    world.broken["ops"] = Undelivered("no")
    world.put("it works again", alerts.INFO, status=alerts.RESOLVED)
    world.tick(5)
    world.put("trouble")
    world.tick(5)
    world.put("trouble")
    world.tick(5)
    assert world.told("chat") == ["it works again", "trouble"]


def test_a_full_queue_drops_the_least_important_and_counts_it(world, monkeypatch):
    monkeypatch.setattr(queue, "overflow", lambda waiting: overflow(waiting, 3))
    world.broken.update(ops=Undelivered("no"), chat=Undelivered("no"))
    world.put("critical")
    for number in range(3):
        world.put("warning %d" % number, alerts.WARNING)
    world.put("info", alerts.INFO)
    world.tick()
    assert world.summary()["dropped"] == 2
    assert [entry.alert["what"] for entry in queue.entries(world.state)] == ["critical", "warning 1", "warning 2"]


overflow = queue.overflow


def test_the_sent_ones_are_bounded(world, monkeypatch, tmp_path):
    monkeypatch.setattr(queue, "SENT_MAXIMUM", 3)
    identities = [world.put("trouble %d" % number) for number in range(5)]
    world.tick()
    assert len(list((tmp_path / "state/alerts/sent").iterdir())) == 3
    assert queue.sent(world.state, identities[0]) is None
    assert queue.sent(world.state, identities[-1])["what"] == "trouble 4"


def test_without_receivers_nothing_piles_up_and_nobody_gets_it_later(world):
    world.wants({})
    world.put("trouble")
    world.tick()
    world.wants({"webhooks": HOOKS})
    world.tick()
    assert world.got == []
    assert world.summary()["queued"] == 0


def test_a_receiver_that_is_gone_from_the_inventory_holds_nothing_up(world):
    world.broken["ops"] = Undelivered("no")
    world.put("trouble")
    world.tick()
    world.wants({"webhooks": HOOKS[1:]})
    world.tick(1)
    assert world.summary()["queued"] == 0
    assert queue.load(world.state).receivers.keys() == {"chat"}


def test_a_test_is_tried_at_once_where_a_real_one_would_wait(world):
    world.broken["ops"] = Undelivered("no")
    world.put("trouble")
    for _time in range(20):
        world.tick(30)
    world.broken.clear()
    world.put("a test", alerts.INFO, "test", alerts.TEST)
    world.tick(0.1)
    assert world.told("ops") == ["trouble", "a test"]


def test_a_file_that_is_no_alert_is_put_aside_and_counted(world, tmp_path):
    world.put("trouble")
    (tmp_path / "state/alerts/queue/0.json").write_text("{")
    (tmp_path / "state/alerts/queue/1.json").write_text('{"id": 1}')
    world.tick()
    assert world.told("ops") == ["trouble"]
    assert world.summary()["unreadable"] == 2
    assert [path.name for path in (tmp_path / "state/alerts/queue").glob("0*")] == ["0.json.unreadable"]


@pytest.mark.parametrize("content", ["{", "[]", '{"receivers": 1}'])
def test_a_memory_that_cannot_be_read_means_twice_and_not_never(world, tmp_path, content):
    world.put("trouble")
    (tmp_path / "state/alerts/delivery.json").write_text(content)
    world.tick()
    assert world.told("ops") == ["trouble"]


def test_stuck_is_what_waits_or_fails_for_too_long(world):
    assert not queue.stuck(world.state, world.now, 900)
    world.broken["ops"] = Undelivered("no")
    world.put("trouble")
    world.tick()
    assert not queue.stuck(world.state, world.now + 899, 900)
    assert queue.stuck(world.state, world.now + 901, 900)


def test_what_cannot_be_written_down_is_not_sent_again_and_again(world, monkeypatch):
    def full(*words):
        raise PgkeepError("The file delivery.json could not be written", "No space left on device", "free space")

    world.put("trouble")
    with monkeypatch.context() as patched:
        patched.setattr(queue, "write", full)
        for _time in range(3):
            with pytest.raises(PgkeepError, match="No space left"):
                world.tick(2)
        assert world.told("ops") == world.told("chat") == ["trouble"]
    world.tick(2)
    assert world.told("ops") == ["trouble"]
    assert (world.summary()["queued"], world.summary()["sent"]) == (0, 1)


def test_what_was_dropped_is_no_reason_to_hide_the_next_one(world, monkeypatch):
    monkeypatch.setattr(queue, "overflow", lambda waiting: overflow(waiting, 1))
    world.broken.update(ops=Undelivered("no"), chat=Undelivered("no"))
    world.put("warning", alerts.WARNING)
    world.put("critical")
    world.tick()
    world.broken.clear()
    world.tick(60)
    world.put("warning", alerts.WARNING)
    world.tick(60)
    assert world.told("ops") == ["critical", "warning"]
