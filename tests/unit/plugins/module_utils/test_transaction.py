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

LAYOUT = Layout("app")
DECLARED = declare(options(), "sha256:new", "sha256:new-keeper")


class Engine:
    """Containers by name; fails, without doing it, at the command that begins with the words fail."""

    def __init__(self, **images):
        self.containers = {name.replace("_", "-"): {"image": image, "running": True} for name, image in images.items()}
        self.fail = None

    def __call__(self, argv, data=None, env=None, timeout=None):
        words = argv[1:]
        if self.fail and words[: len(self.fail)] == self.fail:
            self.fail = None
            return Result(1, "", "Error response from daemon: no space left on device")
        name = words[words.index("--name") + 1] if "--name" in words else words[-1]
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


def plan(server="replace", keeper="replace"):
    changes = {
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
    "found, images, left",
    [
        ({"app": "new", "app_replaced": "old"}, {"app": "new"}, ["app"]),
        ({"app_replaced": "old"}, {}, ["app"]),
    ],
    ids=["the new one is there", "the new one is gone"],
)
def test_an_old_server_never_runs_again_once_the_new_major_was_started(monkeypatch, found, images, left):
    monkeypatch.setattr(transaction, "crossed", lambda layout: True)
    engine = Engine(**found)
    for name in engine.containers:
        engine.containers[name]["running"] = name == "app"
    transaction.finish_interrupted(engine, LAYOUT)
    assert engine.images() == images
    assert list(engine.containers) == left
