# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json
import socket

import pytest
from ansible_collections.pgkeep.postgres.plugins.module_utils import _plan as planning
from ansible_collections.pgkeep.postgres.plugins.module_utils import _rules as rules
from ansible_collections.pgkeep.postgres.plugins.module_utils._archive_worker import Worker
from ansible_collections.pgkeep.postgres.plugins.module_utils._declared import declare
from ansible_collections.pgkeep.postgres.plugins.module_utils._errors import PgkeepError
from ansible_collections.pgkeep.postgres.plugins.module_utils._run import Result
from ansible_collections.pgkeep.postgres.plugins.module_utils._times import epoch_of

from .instance_options import endpoints, options, pooler, recorded_server


class Engine:
    """Answers inspections from a table and remembers every command."""

    def __init__(self, found):
        self.found = found
        self.commands = []

    def __call__(self, argv, data=None, env=None, timeout=None):
        self.commands.append(argv)
        _docker, kind, verb, name = argv
        assert verb == "inspect"
        if (kind, name) in self.found:
            return Result(0, json.dumps([self.found[kind, name]]))
        return Result(1, "", "Error: No such %s: %s" % (kind, name))


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def declared(pooler_image=None, **more):
    wanted = options(**{"port": free_port(), **more})
    return declare(wanted, recorded_server()["Image"], "sha256:keeper", pooler_image)


def with_pooler(**more):
    wanted = pooler(**{"port": free_port(), **more})
    return declared("sha256:pooler", pooler=wanted, settings={"max_connections": 100})


def test_the_first_plan_creates_everything_and_asks_only():
    engine = Engine({})
    plan = planning.make_plan(engine, declared())
    targets = [step["target"] for step in plan.steps() if step["action"] == "create"]
    assert {"volume app-data", "volume app-repo", "volume app-spool", "network pgkeep"} <= set(targets)
    assert {"container app", "container app-keeper"} <= set(targets)
    assert plan.interruption_seconds == 0
    assert all(argv[2] == "inspect" for argv in engine.commands)


def test_a_replacement_names_its_field_and_expects_an_interruption(monkeypatch):
    monkeypatch.setattr(planning, "accepts_writes", lambda layout: True)
    engine = Engine({("container", "app"): recorded_server()})
    plan = planning.make_plan(engine, declared(port=5432, memory_bytes=2 << 30))
    step = next(step for step in plan.steps() if step["target"] == "container app")
    assert step["action"] == "replace"
    assert "memory_bytes: 1073741824 -> 2147483648" in step["reason"]
    assert plan.interruption_seconds > 0


def test_a_replacement_is_refused_with_its_field_where_restarts_are_refused(monkeypatch):
    monkeypatch.setattr(planning, "accepts_writes", lambda layout: True)
    wanted = declared(port=5432, memory_bytes=2 << 30)
    container = recorded_server()
    with pytest.raises(PgkeepError, match="memory_bytes: 1073741824 -> 2147483648.*postgres_server_restart=allowed"):
        planning.make_plan(Engine({("container", "app"): container}), wanted, restart_allowed=False)
    # Nobody is interrupted by the replacement of a server that does not run.
    container["State"]["Running"] = False
    wanted = declared(port=free_port_of(container), memory_bytes=2 << 30)
    plan = planning.make_plan(Engine({("container", "app"): container}), wanted, restart_allowed=False)
    assert plan.server.action == "replace"


@pytest.mark.parametrize(
    "worker, reason",
    [(None, None), (Worker(200, 100), None), (Worker(100, 200), "it hangs with stale configuration")],
)
def test_a_worker_with_old_settings_is_ended_also_where_nothing_changes(worker, reason, monkeypatch):
    monkeypatch.setattr(planning, "accepts_writes", lambda layout: True)
    monkeypatch.setattr(planning, "_container_change", lambda spec, existing: None)
    monkeypatch.setattr(planning, "_needing_restart", lambda layout, names: ())
    monkeypatch.setattr(planning, "_reload_due", lambda declared, changed: False)
    monkeypatch.setattr(planning.archive_worker, "hanging", lambda *words: asked.append(words) or worker)
    asked = []
    container = recorded_server()
    wanted = declared(port=free_port_of(container))
    engine = Engine({("container", "app"): container})
    assert planning.make_plan(engine, wanted).end_worker == "its settings change"
    monkeypatch.setattr(planning, "changes", lambda files: [])
    plan = planning.make_plan(engine, wanted)
    assert plan.end_worker == reason
    steps = [(step["target"], step["reason"]) for step in plan.steps() if step["action"] == "end"]
    assert steps == ([("worker of the archiver", reason)] if reason else [])
    assert [words[1:] for words in asked] == [("app", "/etc/pgkeep/app/pgbackrest/archive.conf")]


def test_a_stopped_container_is_only_started():
    container = recorded_server()
    container["State"]["Running"] = False
    plan = planning.make_plan(Engine({("container", "app"): container}), declared(port=free_port_of(container)))
    assert plan.server is not None
    assert plan.server.action == "start"


def free_port_of(container):
    port = free_port()
    container["HostConfig"]["PortBindings"]["5432/tcp"][0]["HostPort"] = str(port)
    return port


def test_a_stranger_with_our_name_is_left_alone():
    container = recorded_server()
    container["Config"]["Labels"] = {}
    with pytest.raises(PgkeepError, match="did not make"):
        planning.make_plan(Engine({("container", "app"): container}), declared())


def test_a_taken_port_is_found_before_anything_is_done():
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        with pytest.raises(PgkeepError, match="cannot be published.*Address already in use.*ss -ltnp"):
            planning.make_plan(Engine({}), declared(port=holder.getsockname()[1]))


def test_changed_settings_are_the_effective_ones(monkeypatch):
    wanted = declared(tuned={"work_mem": "4MB", "jit": "off"}, settings={"work_mem": "8MB"})
    before = declared(tuned={"work_mem": "5MB", "max_connections": "20"}, settings={"work_mem": "8MB"})
    disk = {file.path: file.content for file in before.files}
    monkeypatch.setattr(planning, "read", disk.get)
    assert planning.changed_settings(wanted) == ("jit", "max_connections")


def test_only_files_that_a_server_reads_again_cause_a_reload():
    wanted = declared(name="server")
    read_again = {file.path.rsplit("/", 1)[1] for file in wanted.files if planning._is_reloaded(wanted.layout, file)}
    assert {"90-user.conf", "pg_hba.conf", "server.crt"} <= read_again
    assert not {"on_empty", "initdb.args", "pgpass", "pgbackrest.conf", "monitor.password"} & read_again


def test_another_passphrase_for_an_existing_repository_is_refused(monkeypatch):
    wanted = declared(backup={**options()["backup"], "cipher_pass": "other-secret"})
    monkeypatch.setattr(rules, "read", {file.path: file.content for file in declared().files}.get)
    with pytest.raises(PgkeepError, match=r"passphrase.*cannot be changed.*repository\.passphrase") as refused:
        planning.make_plan(Engine({("volume", "app-repo"): {}}), wanted)
    assert "secret" not in str(refused.value).replace("secrets", "")
    # Without the volume there is nothing that it could make unreadable.
    assert planning.make_plan(Engine({}), wanted).changed


def test_another_locale_for_existing_data_is_refused(monkeypatch):
    wanted = declared(initdb_args=["--locale=de_DE.UTF-8"])
    monkeypatch.setattr(rules, "read", {file.path: file.content for file in declared().files}.get)
    with pytest.raises(PgkeepError, match="locale of app cannot be changed.*C.UTF-8, declared is --locale=de_DE"):
        planning.make_plan(Engine({("volume", "app-data"): {}}), wanted)
    assert planning.make_plan(Engine({}), wanted).changed


def test_an_address_of_another_machine_is_told_from_a_taken_port():
    with pytest.raises(PgkeepError, match="Cannot assign requested address.*postgres_server_bind_address"):
        planning.make_plan(Engine({}), declared(bind_address="192.0.2.77"))


@pytest.mark.parametrize(
    "state, restarts, looping",
    [
        ({"Running": True, "Restarting": False, "StartedAt": "2026-11-24T06:00:08Z"}, 4, True),
        ({"Running": True, "Restarting": True, "StartedAt": "2026-11-24T05:00:00Z"}, 4, True),
        ({"Running": True, "Restarting": False, "StartedAt": "2026-11-24T05:00:00Z"}, 4, False),
        ({"Running": True, "Restarting": False, "StartedAt": "2026-11-24T06:00:08Z"}, 1, False),
        ({"Running": False, "Restarting": False, "StartedAt": "2026-11-24T06:00:08Z"}, 4, False),
    ],
)
def test_a_container_that_fails_again_and_again(state, restarts, looping):
    now = epoch_of("2026-11-24T06:00:10Z")
    assert planning.is_looping({"State": state, "RestartCount": restarts}, now) is looping


def test_one_that_loops_is_restarted_and_does_not_wait_for_the_engine():
    container = recorded_server()
    container["State"]["Restarting"] = True
    plan = planning.make_plan(Engine({("container", "app"): container}), declared(port=free_port_of(container)))
    assert plan.server is not None
    assert (plan.server.action, plan.interruption_seconds) == ("restart", 0)
    assert any(step["reason"] == "it does not come up" for step in plan.steps())


def test_a_pooler_is_created_with_its_files_and_interrupts_nobody():
    plan = planning.make_plan(Engine({}), with_pooler())
    assert {"container app-pooler", "folder /etc/pgkeep/app/pooler"} <= {step["target"] for step in plan.steps()}
    assert plan.interruption_seconds == 0
    assert "container app-pooler" not in {step["target"] for step in planning.make_plan(Engine({}), declared()).steps()}


def pooler_container(name="app"):
    container = recorded_server()
    container["Name"] = "/app-pooler"
    container["Config"]["Labels"] = {"pgkeep.instance": name, "pgkeep.role": "pooler"}
    return container


def test_a_pooler_that_nobody_declares_any_more_goes_and_a_namesake_stays():
    plan = planning.make_plan(Engine({("container", "app-pooler"): pooler_container()}), declared())
    step = next(step for step in plan.steps() if step["target"] == "container app-pooler")
    assert (step["action"], step["reason"]) == ("remove", "no longer declared")
    # An instance that is called app-pooler.
    namesake = pooler_container("app-pooler")
    plan = planning.make_plan(Engine({("container", "app-pooler"): namesake}), declared())
    assert plan.pooler is None
    with pytest.raises(PgkeepError, match="app-pooler exists that this collection did not make"):
        planning.make_plan(Engine({("container", "app-pooler"): namesake}), with_pooler())


@pytest.mark.parametrize("wanted, verb", [(declared, "removed"), (with_pooler, "replaced")])
def test_who_uses_the_pooler_is_not_interrupted_where_restarts_are_refused(wanted, verb):
    engine = Engine({("container", "app-pooler"): pooler_container()})
    with pytest.raises(
        PgkeepError, match="pooler of app would be interrupted.*must be %s.*restarts are refused" % verb
    ):
        planning.make_plan(engine, wanted(), restart_allowed=False)
    assert planning.make_plan(engine, wanted()).pooler is not None


def test_the_port_of_the_keeper_is_looked_at_too():
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        taken = endpoints(port=holder.getsockname()[1])
        with pytest.raises(PgkeepError, match="cannot be published for app-keeper.*postgres_server_keeper_port"):
            planning.make_plan(Engine({}), declare(options(keeper_http=taken), "sha256:s", "sha256:k"))


def test_the_port_of_the_pooler_is_looked_at_too():
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        with pytest.raises(PgkeepError, match="cannot be published for app-pooler.*postgres_pooler_port"):
            planning.make_plan(Engine({}), with_pooler(port=holder.getsockname()[1]))
