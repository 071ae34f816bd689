# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Restarting, freeing space and deploying, as far as they decide and record; the real engine is for the target host."""

from __future__ import annotations

import contextlib
import json
import os

import pytest
from ansible_collections.pgkeep.postgres.plugins.module_utils import _audit as audit
from ansible_collections.pgkeep.postgres.plugins.module_utils import _files as files
from ansible_collections.pgkeep.postgres.plugins.module_utils import _free as freeing
from ansible_collections.pgkeep.postgres.plugins.module_utils import _instance as instance
from ansible_collections.pgkeep.postgres.plugins.module_utils import _restart as restarting
from ansible_collections.pgkeep.postgres.plugins.module_utils._declared import declare
from ansible_collections.pgkeep.postgres.plugins.module_utils._errors import PgkeepError
from ansible_collections.pgkeep.postgres.plugins.module_utils._files import FileChange, secret_file
from ansible_collections.pgkeep.postgres.plugins.module_utils._layout import Layout
from ansible_collections.pgkeep.postgres.plugins.module_utils._plan import ContainerChange, Plan
from ansible_collections.pgkeep.postgres.plugins.module_utils._run import Result
from ansible_collections.pgkeep.postgres.plugins.module_utils._terms import Terms
from ansible_collections.pgkeep.postgres.plugins.module_utils._transaction import Applied

from .instance_options import options

WHO = "host:anna"
RUNNING = json.dumps([{"State": {"Running": True, "Restarting": False}, "RestartCount": 0}])


@pytest.fixture
def layout(tmp_path, monkeypatch):
    monkeypatch.setattr(audit, "UID", os.getuid())
    monkeypatch.setattr(audit, "GID", os.getgid())
    monkeypatch.setattr(Layout, "home", property(lambda self: str(tmp_path / "home")))
    monkeypatch.setattr(files.os, "chown", lambda path, uid, gid: None)
    (tmp_path / "home/state").mkdir(parents=True)
    return Layout("app")


def trail(layout):
    return [(found["action"], found["result"]) for found in audit.operations(audit.records(layout.state_dir))]


class Engine:
    def __init__(self, container=RUNNING, keeper="{}"):
        self.container, self.keeper, self.commands = container, keeper, []

    def __call__(self, argv, data=None, env=None, timeout=None):
        self.commands.append(argv[1])
        if argv[-1] == "app-pooler":
            return Result(1, "", "Error: No such container: app-pooler")
        if argv[1] == "container" or argv[1] == "inspect":
            return Result(0, self.container) if self.container else Result(1, "", "Error: No such container: app")
        if argv[1] == "exec":
            return Result(0, self.keeper)
        return Result(
            0, json.dumps([{"Mountpoint": self.root}]) if argv[1] == "volume" and argv[2] == "inspect" else ""
        )

    root = ""


@pytest.fixture
def serving(monkeypatch):
    steps = []
    monkeypatch.setattr(restarting, "accepts_writes", lambda layout: bool(steps.append("asked")) or True)
    monkeypatch.setattr(restarting, "checkpoint", lambda layout: steps.append("checkpoint"))
    monkeypatch.setattr(restarting, "wait_until_serving", lambda run, layout, seconds: steps.append("served"))
    monkeypatch.setattr(restarting, "facts", lambda layout: {"version": "17.6", "role": "primary"})
    return steps


def test_a_restart_writes_dirty_pages_first_and_waits_until_it_serves(layout, serving):
    engine = Engine()
    found = restarting.restart(engine, layout, WHO, 60)["restart"]
    assert found["interruption_seconds"] >= 0
    assert found["start_seconds"] is None
    assert serving == ["asked", "checkpoint", "served"]
    assert [word for word in engine.commands if word in ("stop", "start")] == ["stop", "start"]
    assert trail(layout) == [("restart", "ok")]


def test_clients_of_the_pooler_wait_for_a_restart(layout, serving, monkeypatch):
    @contextlib.contextmanager
    def held(run, layout):
        serving.append("paused")
        yield
        serving.append("resumed")

    monkeypatch.setattr(restarting, "held", held)
    restarting.restart(Engine(), layout, WHO, 60)
    assert serving == ["asked", "checkpoint", "paused", "served", "resumed"]


def test_a_restart_of_a_server_that_is_down_only_starts_it(layout, serving, monkeypatch):
    monkeypatch.setattr(restarting, "accepts_writes", lambda layout: False)
    engine = Engine(RUNNING.replace("true", "false"))
    found = restarting.restart(engine, layout, WHO, 60)["restart"]
    assert found["interruption_seconds"] is None
    assert "stop" not in engine.commands
    assert "start" in engine.commands


def test_a_restart_that_fails_is_recorded_so(layout, serving, monkeypatch):
    def never(run, layout, seconds):
        raise PgkeepError("The server of app does not start", "PANIC: no")

    monkeypatch.setattr(restarting, "wait_until_serving", never)
    with pytest.raises(PgkeepError, match="PANIC"):
        restarting.restart(Engine(), layout, WHO, 60)
    assert trail(layout) == [("restart", "failed")]


def test_a_restart_of_nothing(layout):
    with pytest.raises(PgkeepError, match="pgkeep app restore --confirm app"):
        restarting.restart(Engine(container=None), layout, WHO, 60)
    assert trail(layout) == []


@pytest.fixture
def disk(layout, tmp_path, monkeypatch):
    """A data volume with the data and what a restore, its undo and a killed restore left beside them."""
    declared = declare(options(), "sha256:server", "sha256:keeper")
    release = {"server": declared.server.to_dict(), "major": 17}
    monkeypatch.setattr(freeing, "require_release", lambda layout: release)
    monkeypatch.setattr(freeing, "ask", lambda run, layout, argv, who: {"expire": {"removed": ["L"]}})
    monkeypatch.setattr(freeing, "remove_leftovers", lambda run, name, role: ["app-" + role] if role == "drill" else [])
    monkeypatch.setattr(Engine, "root", str(tmp_path / "volume"))
    for name in ("data", "data.previous-1", "data.undone-2", "data.restore-3", "other"):
        folder = tmp_path / "volume/17" / name / "base"
        folder.mkdir(parents=True)
        (folder / "1").write_bytes(b"x" * 8192)
    return tmp_path / "volume/17"


def test_what_can_be_given_back_is_told_before_it_goes(layout, disk):
    before = sorted(disk.rglob("*"))
    planned = freeing.free(Engine(), layout, WHO, check=True)["free"]
    assert sorted(disk.rglob("*")) == before
    assert trail(layout) == []
    done = freeing.free(Engine(), layout, WHO, check=False)["free"]
    assert done["directories"] == planned["directories"]
    assert [os.path.basename(each["path"]) for each in done["directories"]] == [
        "data.previous-1",
        "data.undone-2",
        "data.restore-3",
    ]
    assert done["freed_bytes"] == 3 * 8192
    assert (done["leftovers"], done["backups"], done["error"]) == (["app-drill"], ["L"], None)
    assert sorted(path.name for path in disk.iterdir()) == ["data", "other"]
    assert trail(layout) == [("free", "ok")]


def test_backups_that_cannot_be_removed_do_not_hide_what_was_freed(layout, disk, monkeypatch):
    def busy(run, layout, argv, who):
        raise PgkeepError("The expiry cannot start", "a backup runs", busy=True)

    monkeypatch.setattr(freeing, "ask", busy)
    done = freeing.free(Engine(), layout, WHO, check=False)["free"]
    assert done["freed_bytes"] == 3 * 8192
    assert done["error"] == "The expiry cannot start. Why: a backup runs."


def test_nothing_goes_while_the_data_are_not_in_their_place(layout, disk):
    (disk / "data").rename(disk / "data.previous-4")
    with pytest.raises(PgkeepError, match="may be the only data"):
        freeing.free(Engine(), layout, WHO, check=False)
    assert (disk / "data.previous-4/base/1").exists()


def plan(declared, changed=True):
    secret = secret_file("/etc/pgkeep/app/client/pgpass", "app-secret")
    change = ContainerChange(declared.server, "replace", {"memory_bytes": (1, 2)})
    return Plan(
        folders=(),
        files=(FileChange(secret, "old-secret", "content"),) if changed else (),
        removals=(),
        volumes=(),
        network=None,
        server=change if changed else None,
        keeper=None,
        changed_settings=("work_mem",) if changed else (),
        restart_settings=(),
        reload=False,
    )


@pytest.fixture
def deploy(layout, monkeypatch):
    """Deploys a plan; apply can be told to fail."""
    declared = declare(options(), "sha256:server", "sha256:keeper")
    monkeypatch.setattr(instance, "interruptible", contextlib.nullcontext)
    monkeypatch.setattr(instance, "_result", lambda run, declared, plan, *rest: {"changed": plan.changed})
    monkeypatch.setattr(instance, "record", lambda layout, *rest, **more: "20260105T020000.000000Z")
    monkeypatch.setattr(instance, "forget_old", lambda layout, keep: [])
    monkeypatch.setattr(instance, "remove_leftovers", lambda run, layout: list(left))
    left = []
    monkeypatch.setattr(instance, "read_current", lambda layout: {"name": "1", "time": "2026-01-05T02:00:00Z"})

    def run(error=None, changed=True, refused=None, leftovers=()):
        left[:] = leftovers

        def make_plan(run, declared, restart_allowed):
            if refused:
                raise refused
            return plan(declared, changed)

        def apply(run, declared, plan, terms, commit, who=None):
            if error:
                raise error
            applied = Applied(interruption_ms=1500, restore_point="deploy-1")
            commit(applied)
            return applied

        monkeypatch.setattr(instance, "make_plan", make_plan)
        monkeypatch.setattr(instance, "apply", apply)
        return instance.ensure(Engine(), declared, Terms(), False)

    return run


def test_a_deploy_is_recorded_with_its_plan_and_without_any_secret(layout, deploy):
    assert deploy() == {"changed": True}
    (found,) = audit.operations(audit.records(layout.state_dir))
    assert found["actor"].startswith("ansible:")
    assert found["parameters"]["plan"] == [
        "write file /etc/pgkeep/app/client/pgpass: content",
        "replace container app: memory_bytes: 1 -> 2",
    ]
    assert found["details"] == {
        "interruption_ms": 1500,
        "restore_point": "deploy-1",
        "release": "20260105T020000.000000Z",
    }
    with open(os.path.join(layout.state_dir, audit.FILE), encoding="utf-8") as handle:
        text = handle.read()
    assert not [word for word in ("app-secret", "old-secret", "monitor-secret", "cipher-secret", "KEY") if word in text]


def test_a_deploy_that_changes_nothing_leaves_no_record(layout, deploy):
    assert deploy(changed=False) == {"changed": False}
    assert trail(layout) == []


def test_what_a_killed_operation_left_goes_with_the_next_deploy(layout, deploy):
    deploy(changed=False, leftovers=["Removed app-restore, left by a restore that was killed"])
    (found,) = audit.operations(audit.records(layout.state_dir))
    assert (found["action"], found["details"]) == (
        "clean-up",
        {"steps": ["Removed app-restore, left by a restore that was killed"]},
    )


def test_a_deploy_that_fails_or_is_refused_is_recorded(layout, deploy):
    for failure in ({"error": PgkeepError("It failed")}, {"refused": PgkeepError("It cannot work")}):
        with pytest.raises(PgkeepError):
            deploy(**failure)
    assert trail(layout) == [("deploy", "failed")] * 2


def test_a_first_deploy_that_is_refused_has_no_trail(layout, deploy):
    os.rmdir(layout.state_dir)
    with pytest.raises(PgkeepError):
        deploy(refused=PgkeepError("It cannot work"))
    assert not os.path.exists(layout.state_dir)
