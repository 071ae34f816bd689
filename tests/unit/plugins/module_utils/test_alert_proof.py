# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One alert through the way out, and the proof: in the keeper, on the host and as the module alert_test."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from ansible.module_utils.testing import patch_module_args
from ansible_collections.pgkeep.postgres.plugins.module_utils import _alert_duty as duty
from ansible_collections.pgkeep.postgres.plugins.module_utils import _alert_proof as proof
from ansible_collections.pgkeep.postgres.plugins.module_utils import _alert_queue as queue
from ansible_collections.pgkeep.postgres.plugins.module_utils import _cli as cli
from ansible_collections.pgkeep.postgres.plugins.module_utils import _module
from ansible_collections.pgkeep.postgres.plugins.module_utils._alert_send import Undelivered
from ansible_collections.pgkeep.postgres.plugins.module_utils._errors import PgkeepError
from ansible_collections.pgkeep.postgres.plugins.module_utils._run import Result
from ansible_collections.pgkeep.postgres.plugins.modules import alert_test

from .test_alert_duty import World

TAKEN = {"id": "8f0c", "receivers": [{"name": "ops", "delivered": True, "seconds": 1.2, "answer": "HTTP 200"}]}


@pytest.fixture
def world(tmp_path):
    return World(tmp_path)


def tried(world, seconds=5.0, **options):
    """try_out() while the keeper's duty works in the pauses."""
    return proof.try_out(world.keeper, seconds, clock=lambda: world.now, sleep=world.tick, **options)


def test_everybody_took_it(world):
    found = tried(world)
    identity = found["alert_test"]["id"]
    assert found == {
        "alert_test": {
            "id": identity,
            "receivers": [
                {"name": name, "delivered": True, "seconds": 0.2, "answer": "HTTP 200", "error": None}
                for name in ("ops", "chat")
            ],
        },
        "changed": True,
    }
    assert [content["id"] for _name, content in world.got] == [identity, identity]
    assert world.got[0][1]["status"] == "test"


def test_one_did_not_take_it_and_it_is_taken_back(world):
    world.broken["ops"] = Undelivered("HTTP 401 Unauthorized")
    with pytest.raises(PgkeepError) as caught:
        tried(world)
    assert caught.value.what == "The test alert of orders did not arrive everywhere"
    assert caught.value.why == "ops: HTTP 401 Unauthorized; chat took it (HTTP 200)"
    assert queue.entries(world.state) == []
    world.broken.clear()
    world.tick(60)
    assert world.told("ops") == []
    assert queue.load(world.state).progress == {}


def test_a_keeper_that_does_not_work(world):
    def pause(seconds):
        world.now += seconds

    with pytest.raises(PgkeepError, match="did not look at its queue within 5 s"):
        proof.try_out(world.keeper, 5.0, clock=lambda: world.now, sleep=pause)


def test_check_sends_nothing(world):
    found = tried(world, check=True)
    assert [each["name"] for each in found["alert_test"]["receivers"]] == ["ops", "chat"]
    assert not any(each["delivered"] for each in found["alert_test"]["receivers"])
    assert queue.entries(world.state) == []


@pytest.mark.parametrize("wanted", [{}, {"deadman_url": "https://ping.example.org/"}])
def test_nobody_to_tell(world, wanted):
    world.wants(wanted)
    with pytest.raises(PgkeepError, match="it names no receiver that an alert could be sent to"):
        tried(world)


def test_the_page_of_the_receiver_is_asked_until_it_shows_the_id():
    asked = []

    def get(url):
        asked.append(url)
        return "… 8f0c …" if len(asked) == 3 else None

    params = {"name": "orders", "timeout_seconds": 30, "receiver_check": "https://lists.example.org/?q={id}"}
    answer = Result(0, json.dumps({"alert_test": dict(TAKEN), "changed": True}))
    found = proof.prove(lambda argv, **_rest: answer, params, False, get, lambda: 0.0, lambda pause: None)
    assert asked == ["https://lists.example.org/?q=8f0c"] * 3
    assert found["alert_test"]["seen"] is True
    moments = iter([0.0, 10.0, 31.0])
    with pytest.raises(PgkeepError, match="does not show its id 8f0c within 30 s"):
        proof.prove(
            lambda argv, **_rest: answer, params, False, lambda url: "", lambda: next(moments), lambda pause: None
        )


@pytest.mark.parametrize(
    "options, words",
    [
        ({}, ["alert-test", "--timeout", "30"]),
        ({"timeout_seconds": 5, "_ansible_check_mode": True}, ["alert-test", "--timeout", "5", "--check"]),
    ],
)
def test_the_module_asks_the_keeper(monkeypatch, capsys, options, words):
    calls = []

    def run(argv, data=None, env=None, timeout=None):
        calls.append((argv, timeout))
        return Result(0, json.dumps({"alert_test": dict(TAKEN), "changed": True}))

    monkeypatch.setattr(_module, "run", run)
    with patch_module_args({"name": "orders", **options}), pytest.raises(SystemExit):
        alert_test.main()
    result = json.loads(capsys.readouterr().out)
    assert result["alert_test"] == {**TAKEN, "seen": None}
    argv, timeout = calls[0]
    assert argv[-len(words) :] == words
    assert timeout == float(words[2]) + 30


def test_the_command_alerts(world, monkeypatch, capsys):
    world.broken["ops"] = Undelivered("HTTP 401 Unauthorized")
    world.put("trouble")
    world.tick()
    monkeypatch.setattr(cli, "_keeper", lambda: world.keeper)
    assert cli.main(["alerts"]) == 0
    found = json.loads(capsys.readouterr().out)["alerts"]
    assert (found["queued"], found["sent"], found["dropped"], found["deadman"]) == (1, 0, 0, None)
    assert [each["error"] for each in found["receivers"]] == ["HTTP 401 Unauthorized", None]


def test_the_duty_judges_its_topic(world):
    duty.check(world.keeper)
    world.wants({"webhooks": []})
    with pytest.raises(PgkeepError, match="it names no receiver"):
        duty.check(world.keeper)


def test_a_page_is_read_and_what_is_none_is_said():
    class Page(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200 if self.path == "/seen?q=8f0c" else 404)
            self.send_header("Content-Length", "4")
            self.end_headers()
            self.wfile.write(b"8f0c")

        def log_message(self, *words):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Page)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    url = "http://127.0.0.1:%d" % server.server_address[1]
    try:
        assert proof.fetch(url + "/seen?q=8f0c") == "8f0c"
        assert proof.fetch(url) is None
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
    assert proof.fetch(url) is None
    with pytest.raises(PgkeepError, match="lists.example.org is no URL that begins with"):
        proof.fetch("lists.example.org")
