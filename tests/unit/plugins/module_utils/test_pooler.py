# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The running pooler as others see it: its answers, its health, its place in the launch gate."""

from __future__ import annotations

import csv
import json
from typing import Any

import pytest
from ansible_collections.pgkeep.postgres.plugins.module_utils import _pooler as pooler
from ansible_collections.pgkeep.postgres.plugins.module_utils._checks_pooler import c13, c14
from ansible_collections.pgkeep.postgres.plugins.module_utils._errors import PgkeepError
from ansible_collections.pgkeep.postgres.plugins.module_utils._health_pooler import pooler as judge
from ansible_collections.pgkeep.postgres.plugins.module_utils._health_pooler import pools
from ansible_collections.pgkeep.postgres.plugins.module_utils._interrupt import Interrupted
from ansible_collections.pgkeep.postgres.plugins.module_utils._layout import Layout
from ansible_collections.pgkeep.postgres.plugins.module_utils._pooler_rows import busiest, totals
from ansible_collections.pgkeep.postgres.plugins.module_utils._run import Result

from .recorded import FIXTURES, changed

LAYOUT = Layout("app")
INSPECT = json.loads((FIXTURES / "docker/pooler_inspect.json").read_text())[0]
BOUNDS = (80.0, 100.0)


def shown(name: str) -> list[dict[str, str]]:
    """Recorded while seven clients wanted four connections."""
    with open(FIXTURES / "pgbouncer" / (name + ".csv"), encoding="utf-8") as handle:
        return list(csv.DictReader(handle))


def facts(**more: Any) -> dict[str, Any]:
    return {
        "name": "app-pooler",
        "inspect": INSPECT,
        "state": "running",
        "address": "127.0.0.1:6432",
        "connect_ms": 25.4,
        "login_error": None,
        "busiest": {"pool": None, "used": 0, "size": 0, "used_percent": 0.0, "waiting": 0, "wait_seconds": 0},
        "pools_error": None,
        **more,
    }


class Console:
    """A pooler that runs and answers every exec alike."""

    def __init__(self, answer: Any) -> None:
        self.answer = answer
        self.asked: list[list[str]] = []

    def __call__(self, argv: Any, **options: Any) -> Result:
        if argv[1:3] == ["container", "inspect"]:
            state = {"Running": True, "Restarting": False}
            return Result(0, json.dumps([{"State": state, "Config": {"Labels": {"pgkeep.instance": "app"}}}]))
        self.asked.append(argv)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


@pytest.mark.parametrize("act", [pooler.pause, pooler.resume])
@pytest.mark.parametrize("answer", [Result(1, "", "psql: error"), Result(124), PgkeepError("docker did not end")])
def test_a_pooler_that_does_not_answer_stops_nobody(act: Any, answer: Any) -> None:
    console = Console(answer)
    act(console, LAYOUT)
    # Ended by the container itself, whatever becomes of who asked.
    assert "timeout" in console.asked[0]


def test_the_wish_to_stop_is_no_answer_of_a_pooler() -> None:
    with pytest.raises(Interrupted):
        pooler.pause(Console(Interrupted("The operation was stopped")), LAYOUT)


def test_clients_are_resumed_whatever_happens_to_what_they_wait_for() -> None:
    console = Console(Result(0))
    with pytest.raises(PgkeepError), pooler.held(console, LAYOUT):
        raise PgkeepError("The server does not start")
    assert [argv[-1] for argv in console.asked] == ["10", "resume"]


def test_settings_that_it_does_not_take_are_an_error() -> None:
    with pytest.raises(PgkeepError, match="does not take its settings.*RELOAD FAILED"):
        pooler.reload(Console(Result(1, "", "ERROR:  RELOAD FAILED, see logs")), LAYOUT)


def test_the_busiest_pool_and_who_waits() -> None:
    assert busiest(shown("pools"), shown("databases")) == {
        "pool": "app@app", "used": 4, "size": 4, "used_percent": 100.0, "waiting": 3, "wait_seconds": 2,
    }  # fmt: skip
    assert busiest([], shown("databases"))["pool"] is None
    assert totals(shown("pools"), shown("databases")) == {
        "clients_active": 4, "clients_waiting": 3, "max_wait_seconds": 2.9, "servers_active": 4, "servers_idle": 1,
    }  # fmt: skip
    # The console counts nowhere, though it is a pool with a client.
    assert totals(shown("pools")[1:2], shown("databases"))["clients_active"] == 0
    assert totals([], [])["max_wait_seconds"] == 0.0


@pytest.mark.parametrize(
    "use, status, words",
    [
        ({}, "healthy", "no pool is in use"),
        ({"pool": "app@app", "used": 15, "size": 20, "used_percent": 75.0}, "healthy", "uses 15 of 20"),
        ({"pool": "app@app", "used": 16, "size": 20, "used_percent": 80.0}, "warning", "uses 16 of 20"),
        ({"pool": "app@app", "used": 20, "size": 20, "used_percent": 100.0, "waiting": 2}, "warning", "2 clients wait"),
        ({"used": 20, "used_percent": 100.0, "waiting": 2, "wait_seconds": 5}, "critical", "the first for 5 s"),
    ],
)
def test_use_of_pools(use: Any, status: str, words: str) -> None:
    found = pools(facts(busiest=facts()["busiest"] | use), None, BOUNDS)
    assert (found.status, words in found.message) == (status, True)
    assert bool(found.hint) == (status != "healthy")


@pytest.mark.parametrize(
    "found, database_up, status, words",
    [
        (facts(), True, "healthy", "login through 127.0.0.1:6432"),
        (facts(state="absent"), True, "critical", "no container app-pooler"),
        (facts(state="exited"), True, "critical", "is exited"),
        (facts(state="paused"), True, "critical", "is paused"),
        (facts(login_error="FATAL:  no such user"), True, "critical", "no such user"),
        # The check of the database tells it.
        (facts(login_error="server login has been failing"), False, "unknown", "no login to the server"),
        # But a console that does not answer is the pooler's own trouble.
        (facts(login_error="gone", pools_error="gone"), False, "critical", "gone"),
        # The keeper has no engine to ask.
        (facts(state=None), True, "healthy", "login through 127.0.0.1:6432"),
        (facts(state=None, login_error="connection refused"), True, "critical", "connection refused"),
        (None, True, "healthy", "no pooler is declared"),
    ],
)
def test_health_of_the_pooler(found: Any, database_up: bool, status: str, words: str) -> None:
    check = judge(found, None, database_up)
    assert (check.status, words in check.message) == (status, True)


def test_what_could_not_be_looked_at_is_not_healthy() -> None:
    checks = (
        judge(None, "no engine", False),
        pools(None, "no engine", BOUNDS),
        pools(facts(busiest=None), None, BOUNDS),
    )
    assert [check.status for check in checks] == ["unknown"] * 3


@pytest.mark.parametrize(
    "path, value, words",
    [
        ("HostConfig.Privileged", True, "privileged"),
        ("HostConfig.CapDrop", [], "capabilities not dropped"),
        ("HostConfig.Memory", 0, "no memory limit"),
        ("HostConfig.LogConfig.Config", {}, "max-size none"),
        ("Config.Healthcheck", None, "no health check"),
        ("Config.Env", ["DB_PASSWORD=x"], "DB_PASSWORD"),
        ("Config.Image", "pgkeep/pooler:latest", "made from pgkeep/pooler:latest"),
    ],
)
def test_the_launch_gate_wants_it_as_confined_as_the_server(path: str, value: Any, words: str) -> None:
    assert c13({"pooler": facts()}).result == "pass"
    found = c13({"pooler": facts(inspect=changed(INSPECT, path, value))})
    assert (found.result, words in found.evidence) == ("fail", True)


def test_the_launch_gate_wants_a_login_through_it() -> None:
    assert c14({"pooler": facts()}).evidence == "login through 127.0.0.1:6432 in 25 ms"
    assert c14({"pooler": facts(login_error="no such user")}).result == "fail"
    assert c14({"pooler": None}).result == c13({"pooler": None}).result == "pass"
