# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a gate makes of what it is told; the real ones are tried in molecule/transaction."""

from __future__ import annotations

import time

import pytest
from ansible_collections.pgkeep.postgres.plugins.module_utils import _gates as gates
from ansible_collections.pgkeep.postgres.plugins.module_utils import _outage as outages
from ansible_collections.pgkeep.postgres.plugins.module_utils import _pgpass as pgpass
from ansible_collections.pgkeep.postgres.plugins.module_utils import _probe as probe
from ansible_collections.pgkeep.postgres.plugins.module_utils._declared import declare
from ansible_collections.pgkeep.postgres.plugins.module_utils._errors import PgkeepError
from ansible_collections.pgkeep.postgres.plugins.module_utils._layout import Layout
from ansible_collections.pgkeep.postgres.plugins.module_utils._run import Result
from ansible_collections.pgkeep.postgres.plugins.module_utils._sql import driver
from ansible_collections.pgkeep.postgres.plugins.module_utils._terms import Terms
from ansible_collections.pgkeep.postgres.plugins.module_utils._times import rfc3339

from .instance_options import options, recorded_server
from .instance_options import pooler as a_pooler

NOBODY = gates.Terms(gates=("login", "write", "latency"))


@pytest.fixture(name="declared")
def declared_fixture(tmp_path, monkeypatch):
    for name in ("home", "config_dir"):
        monkeypatch.setattr(Layout, name, property(lambda self, place=name: str(tmp_path / place)))
    (tmp_path / "config_dir/client").mkdir(parents=True)
    return declare(options(), "sha256:server", "sha256:keeper")


def test_without_the_role_nobody_can_be_asked_and_nothing_fails(declared, monkeypatch):
    monkeypatch.setattr(gates, "query", lambda folder, statement, values: [])
    found = gates.pass_gates(None, declared, NOBODY)
    assert [(each["gate"], each["passed"]) for each in found] == [("login", None), ("write", None), ("latency", None)]


def test_a_login_that_fails_is_told_in_the_words_of_the_server(declared, monkeypatch):
    def connect(target):
        raise driver().OperationalError("FATAL:  no pg_hba.conf entry\nfor host")

    monkeypatch.setattr(gates, "query", lambda folder, statement, values: [(1,)])
    monkeypatch.setattr(probe, "connect", connect)
    with pytest.raises(
        gates.GateError, match="gate login of app did not pass. Why: measured: FATAL: no pg_hba"
    ) as told:
        gates.pass_gates(None, declared, Terms())
    evidence = told.value.to_result()["gate"]
    assert (evidence["gate"], evidence["passed"], evidence["measured"]) == (
        "login",
        False,
        "FATAL: no pg_hba.conf entry for host",
    )


def test_an_application_that_is_no_longer_declared_need_not_log_in(declared, monkeypatch):
    path = declared.layout.client_dir + "/pgpass"
    with open(path, "w") as handle:
        handle.write("127.0.0.1:5432:shop:gone:secret\n")
    only = Terms(gates=("applications",))
    for able, words in (([("shop", "gone")], "none could log in"), ([], "none could log in"), (None, "not touched")):
        gate = gates.pass_gates(None, declared, only, able)[0]
        assert gate["passed"] is None
        assert words in gate["measured"]


def test_a_declared_application_that_is_kept_out_fails_the_gate(declared, monkeypatch):
    def connect(target):
        raise driver().OperationalError("FATAL:  no pg_hba.conf entry")

    wanted = next(file.content for file in declared.files if file.path.endswith("/pgpass"))
    entry = pgpass.parse(wanted)[0]
    monkeypatch.setattr(probe, "connect", connect)
    with pytest.raises(
        gates.GateError, match="applications .*%s in database %s.*no pg_hba" % (entry.user, entry.database)
    ):
        gates.pass_gates(None, declared, Terms(gates=("applications",)), [[entry.database, entry.user]])


def test_a_role_gets_its_password_after_the_deploy_so_those_before_count_too(declared):
    folder = declared.layout.client_dir
    for name, text in (("monitor.password", "half"), ("monitor.password.before", "former")):
        with open("%s/%s" % (folder, name), "w") as handle:
            handle.write(text + "\n")
    found = gates.targets(declared, (("127.0.0.1", 6000),))
    assert [(target.port, target.password) for target in found] == [
        (6000, "former"),
        (6000, "half"),
        (6000, "monitor-secret"),
        (5432, "former"),
        (5432, "half"),
        (5432, "monitor-secret"),
    ]


def test_a_budget_is_for_each_of_the_three():
    client = gates._Client(None)
    client._opened = object()
    client._times = {"login": 20.0, "write": 1.0}

    def measure():
        client._times["SELECT 1"] = 0.2
        return "measured"

    client._latency = measure
    assert client.latency(20).passed
    assert client.latency(19) == gates.Gate("latency", False, "measured", "at most 19 ms each")


def test_without_a_repository_nothing_can_be_archived(declared, monkeypatch):
    answers = {"canary": PgkeepError("It did not arrive", "no stanza"), "info": {"status": "missing"}}

    def ask(run, layout, argv):
        if argv[0] == "canary":
            raise answers["canary"]
        if answers["info"] is None:
            raise PgkeepError("The keeper gave no answer")
        return {"backup_info": answers["info"]}

    monkeypatch.setattr(gates, "ask", ask)
    assert gates._archive(None, declared.layout).passed is None
    for info in ({"status": "ok"}, {"status": "empty"}, {"status": "error"}, None):
        answers["info"] = info
        found = gates._archive(None, declared.layout)
        assert (found.passed, found.measured) == (False, "It did not arrive: no stanza")


@pytest.mark.parametrize(
    "state, restarts, wrong",
    [
        ({}, 0, ""),
        ({}, 3, "was restarted 3 times, the last time 1 s ago"),
        ({"Running": False, "ExitCode": 2}, 0, "does not run, exit code 2"),
        ({"Restarting": True, "ExitCode": 1}, 1, "does not run, exit code 1"),
        ({"Paused": True}, 0, "is paused"),
    ],
)
def test_containers_that_do_not_live(state, restarts, wrong):
    container = recorded_server()
    container["State"].update(state)
    container["RestartCount"] = restarts
    now = gates.epoch_of(container["State"]["StartedAt"]) + 1
    assert gates._state(container, now) == wrong
    assert gates._state(None) == "is not there"


@pytest.mark.parametrize("gone, passed", [(None, True), ("app", False), ("app-keeper", False), ("app-pooler", False)])
def test_every_container_has_to_live(gone, passed, monkeypatch):
    pooled = options(pooler=a_pooler(), settings={"max_connections": 100})
    declared = declare(pooled, "sha256:server", "sha256:keeper", "sha256:pooler")
    monkeypatch.setattr(gates, "_settled", lambda run, name: "is paused" if name == gone else "")
    monkeypatch.setattr(gates.docker, "execute", lambda *arguments, **more: Result(0))
    found = gates._health(None, declared)
    assert found.passed is passed
    assert passed or found.measured == gone + " is paused"


def test_a_container_that_was_restarted_gets_a_while_to_show_that_it_lives(monkeypatch):
    container = recorded_server()
    container["RestartCount"] = 1
    began = gates.epoch_of(container["State"]["StartedAt"])
    moment = [began + 1]
    monkeypatch.setattr(gates.docker, "inspect", lambda run, name: container)
    monkeypatch.setattr(gates.time, "time", lambda: moment[0])

    def sleep(seconds):
        moment[0] += seconds

    assert gates._settled(None, "app", lambda: moment[0], sleep) == ""
    assert moment[0] == began + 5
    moment[0] = began + 1

    def sleep_and_restart(seconds):
        moment[0] += seconds
        container["State"]["StartedAt"] = rfc3339(moment[0])

    assert "was restarted" in gates._settled(None, "app", lambda: moment[0], sleep_and_restart)


class Server:
    """Connections that break when it goes down, and none while it is."""

    def __init__(self):
        self.up = True
        self.logins = 0

    def connect(self):
        self.ask()
        self.logins += 1
        return self

    def ask(self):
        if not self.up:
            raise driver().OperationalError("connection refused")

    def close(self):
        """Of one connection."""


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setattr(outages, "rows", lambda opened, statement: opened.ask())
    monkeypatch.setattr(outages, "_PAUSE_SECONDS", 0.001)
    return Server()


def test_the_interruption_is_what_a_client_sees(server):
    with outages.Outage([server.connect]) as outage:
        time.sleep(0.02)
        assert outage.milliseconds == 0
        server.up = False
        time.sleep(0.05)
        assert outage.milliseconds > 0
        server.up = True
        assert 50 <= outage.stop() < 1000
    assert server.logins == 2


def test_nobody_is_interrupted_who_was_not_served(server):
    server.up = False
    with outages.Outage([server.connect, server.connect]) as outage:
        time.sleep(0.01)
    assert (outage.milliseconds, server.logins) == (0, 0)


def test_a_server_that_stays_down_is_not_waited_for_for_ever(server):
    with outages.Outage([server.connect]) as outage:
        server.up = False
        time.sleep(0.02)
        assert outage.stop(wait_seconds=0.02) >= 20
