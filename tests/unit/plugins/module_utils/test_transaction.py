# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The undo of a deploy at every step, which no real engine can be made to fail at."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from ansible_collections.pgkeep.postgres.plugins.module_utils import _transaction as transaction
from ansible_collections.pgkeep.postgres.plugins.module_utils._declared import declare
from ansible_collections.pgkeep.postgres.plugins.module_utils._errors import PgkeepError
from ansible_collections.pgkeep.postgres.plugins.module_utils._layout import Layout
from ansible_collections.pgkeep.postgres.plugins.module_utils._plan import ContainerChange, Plan
from ansible_collections.pgkeep.postgres.plugins.module_utils._run import Result

from .instance_options import options
from .instance_options import pooler as a_pooler

LAYOUT = Layout("app")
DECLARED = declare(options(), "sha256:new", "sha256:new-keeper")
POOLED = options(pooler=a_pooler(), settings={"max_connections": 100})
POOLER = declare(POOLED, "sha256:new", "sha256:new-keeper", "sha256:new-pooler").pooler


class Engine:
    """Containers by name; fails, without doing it, at the command that begins with the words fail."""

    def __init__(self, **images):
        self.containers = {name.replace("_", "-"): {"image": image, "running": True} for name, image in images.items()}
        self.fail = None
        # What the pooler was told.
        self.asked = []

    def __call__(self, argv, data=None, env=None, timeout=None):
        words = argv[1:]
        if self.fail and words[: len(self.fail)] == self.fail:
            self.fail = None
            return Result(1, "", "Error response from daemon: no space left on device")
        name = words[words.index("--name") + 1] if "--name" in words else words[-1]
        if words[0] == "exec":
            name = words[words.index("timeout") - 1]
        if words[0] == "create":
            self.containers[name] = {"image": next(word for word in words if "sha256:" in word), "running": False}
            return Result(0)
        if words[0] == "rename":
            self.containers[name] = self.containers.pop(words[1])
            return Result(0)
        if name not in self.containers:
            return Result(1, "", "Error: No such container: %s" % name)
        if words[0] == "rm":
            del self.containers[name]
            return Result(0)
        container = self.containers[name]
        if words[0] == "exec":
            self.asked.append(" ".join(words[words.index("pgkeep-pooler") + 1 :]))
            return Result(0)
        if words[0] in ("start", "stop"):
            container["running"] = words[0] == "start"
        state = {"Running": container["running"], "Restarting": False}
        labels = {"pgkeep.instance": container.get("instance", "app")}
        return Result(0, json.dumps([{"State": state, "Config": {"Labels": labels}}]))

    def images(self):
        return {name: found["image"] for name, found in self.containers.items() if found["running"]}


@pytest.fixture(autouse=True)
def server(monkeypatch):
    """PostgreSQL serves whenever its container runs."""
    monkeypatch.setattr(transaction, "accepts_writes", lambda layout: False)
    monkeypatch.setattr(transaction, "wait_until_serving", lambda run, layout, seconds: 0.0)
    monkeypatch.setattr(transaction.pooler, "wait_until_ready", lambda run, layout: None)


def plan(server="replace", keeper="replace", pooler=None):
    changes = {
        "pooler": ContainerChange(POOLER, pooler, {}) if pooler else None,
        "server": ContainerChange(DECLARED.server, server, {}) if server else None,
        "keeper": ContainerChange(DECLARED.keeper, keeper, {}) if keeper else None,
    }
    return Plan((), (), (), (), None, **changes, changed_settings=(), restart_settings=(), reload=False)


def test_both_containers_are_replaced_and_nothing_waits_any_more():
    engine = Engine(app="old", app_keeper="old")
    transaction.apply(engine, DECLARED, plan(), 60)
    assert engine.images() == {"app": "sha256:new", "app-keeper": "sha256:new-keeper"}
    assert len(engine.containers) == 2


@pytest.mark.parametrize(
    "fail",
    [
        ["stop", "app"],
        ["rename", "app"],
        ["create", "--name", "app"],
        ["start", "app"],
        ["stop", "app-keeper"],
        ["rename", "app-keeper"],
        ["create", "--name", "app-keeper"],
        ["start", "app-keeper"],
    ],
    ids=" ".join,
)
def test_whatever_fails_the_old_containers_run_again(fail):
    engine = Engine(app="old", app_keeper="old")
    engine.fail = fail
    with pytest.raises(PgkeepError, match="no space left on device; the previous container"):
        transaction.apply(engine, DECLARED, plan(), 60)
    assert engine.images() == {"app": "old", "app-keeper": "old"}
    assert len(engine.containers) == 2


def test_the_archivers_worker_ends_with_its_settings_also_when_they_are_taken_back(monkeypatch):
    ended, woken = [], []
    monkeypatch.setattr(transaction.archive_worker, "end", lambda run, server: ended.append(server))
    monkeypatch.setattr(transaction, "query", lambda folder, statement: woken.append(statement))
    engine = Engine(app="old", app_keeper="old")
    transaction.apply(engine, DECLARED, plan(server=None), 60)
    assert (ended, woken) == ([], [])
    wanted = replace(plan(server=None), end_worker="its settings change")
    transaction.apply(engine, DECLARED, wanted, 60)
    assert (ended, len(woken)) == (["app"], 1)
    engine.fail = ["create", "--name", "app-keeper"]
    with pytest.raises(PgkeepError, match="no space left on device"):
        transaction.apply(engine, DECLARED, wanted, 60)
    # Before the change and after it was taken back.
    assert ended == ["app"] * 3


def test_a_first_deploy_that_fails_leaves_no_container():
    engine = Engine()
    engine.fail = ["start", "app-keeper"]
    with pytest.raises(PgkeepError, match="app was removed, volumes were kept"):
        transaction.apply(engine, DECLARED, plan("create", "create"), 60)
    assert engine.containers == {}


def test_a_container_that_another_instance_calls_so_is_never_taken_for_ours():
    engine = Engine(app="old", app_replaced="theirs")
    engine.containers["app-replaced"]["instance"] = "app-replaced"
    transaction.finish_interrupted(engine, LAYOUT)
    assert engine.images() == {"app": "old", "app-replaced": "theirs"}


def test_a_run_that_died_after_putting_the_server_aside_is_finished():
    engine = Engine(app_replaced="old", app_keeper="new", app_keeper_replaced="old")
    transaction.finish_interrupted(engine, LAYOUT)
    assert engine.images() == {"app": "old", "app-keeper": "new"}


@pytest.mark.parametrize(
    "action, image", [("create", "sha256:new-pooler"), ("replace", "sha256:new-pooler"), ("remove", None)]
)
def test_a_pooler_comes_changes_and_goes(action, image):
    engine = Engine(app="new", app_keeper="new", **({} if action == "create" else {"app_pooler": "old"}))
    transaction.apply(engine, DECLARED, plan(None, None, action), 60)
    assert engine.images().get("app-pooler") == image
    assert not any(name.endswith("-replaced") for name in engine.containers)


@pytest.mark.parametrize("action", ["replace", "remove"])
def test_the_former_pooler_runs_again_when_a_later_step_fails(action, monkeypatch):
    engine = Engine(app="new", app_keeper="new", app_pooler="old")

    def fail(*arguments):
        raise PgkeepError("No space", "left")

    monkeypatch.setattr(transaction, "_remove_files", fail)
    with pytest.raises(PgkeepError, match="No space"):
        transaction.apply(engine, DECLARED, plan(None, None, action), 60)
    assert engine.images() == {"app": "new", "app-keeper": "new", "app-pooler": "old"}


def test_a_pooler_that_does_not_come_up_takes_the_deploy_back(monkeypatch):
    engine = Engine(app="old", app_keeper="old", app_pooler="old")

    def fail(run, layout):
        raise PgkeepError("The pooler of app is not ready", "it did not answer")

    monkeypatch.setattr(transaction.pooler, "wait_until_ready", fail)
    with pytest.raises(PgkeepError, match="pooler of app is not ready.*previous container serves again"):
        transaction.apply(engine, DECLARED, plan(pooler="replace"), 60)
    assert engine.images() == {"app": "old", "app-keeper": "old", "app-pooler": "old"}


def test_clients_of_the_pooler_wait_while_the_server_is_replaced():
    engine = Engine(app="old", app_keeper="old", app_pooler="old")
    transaction.apply(engine, DECLARED, plan(), 60)
    assert engine.asked == ["pause 10", "resume"]
    # Nobody waits for a change that interrupts nobody.
    engine.asked.clear()
    transaction.apply(engine, DECLARED, plan(None, "replace"), 60)
    assert engine.asked == []


@pytest.mark.parametrize("fail", [["stop", "app"], ["start", "app"]], ids=" ".join)
def test_they_do_not_wait_any_more_after_a_failure(fail):
    engine = Engine(app="old", app_keeper="old", app_pooler="old")
    engine.fail = fail
    with pytest.raises(PgkeepError):
        transaction.apply(engine, DECLARED, plan(), 60)
    assert (engine.asked[0], engine.asked[-1]) == ("pause 10", "resume")
    assert engine.images()["app"] == "old"


def test_a_run_that_was_killed_in_between_leaves_nobody_waiting():
    engine = Engine(app="new", app_keeper="new", app_pooler="new")
    transaction.finish_interrupted(engine, LAYOUT)
    assert engine.asked == ["resume"]


def test_a_pooler_that_does_not_answer_stops_no_deploy():
    engine = Engine(app="old", app_keeper="old", app_pooler="old")
    engine.fail = ["exec"]
    transaction.apply(engine, DECLARED, plan(), 60)
    assert engine.images()["app"] == "sha256:new"
