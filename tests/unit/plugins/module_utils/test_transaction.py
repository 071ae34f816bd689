# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The undo of a deploy at every step, which no real engine can be made to fail at, and a run that goes on after a kill
at every command."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest
from ansible_collections.pgkeep.postgres.plugins.module_utils import _files, _gates
from ansible_collections.pgkeep.postgres.plugins.module_utils import _journal as journals
from ansible_collections.pgkeep.postgres.plugins.module_utils import _transaction as transaction
from ansible_collections.pgkeep.postgres.plugins.module_utils._declared import declare
from ansible_collections.pgkeep.postgres.plugins.module_utils._errors import PgkeepError
from ansible_collections.pgkeep.postgres.plugins.module_utils._files import File, FileChange
from ansible_collections.pgkeep.postgres.plugins.module_utils._layout import Layout
from ansible_collections.pgkeep.postgres.plugins.module_utils._outage import Outage
from ansible_collections.pgkeep.postgres.plugins.module_utils._plan import ContainerChange, Plan
from ansible_collections.pgkeep.postgres.plugins.module_utils._run import Result
from ansible_collections.pgkeep.postgres.plugins.module_utils._terms import Terms

from .instance_options import options

LAYOUT = Layout("app")
DECLARED = declare(options(), "sha256:new", "sha256:new-keeper")
# What was committed, as the record of the release in force would say.
in_force = []
NOT_PASSED = _gates.GateError(_gates.Gate("write", False, "read-only", "a row"), "app")


class Killed(BaseException):
    """SIGKILL: nothing that the run could still do happens."""


class Engine:
    """Containers by name; fails, without doing it, at the command that begins with the words fail, and is killed before
    the command number kill."""

    def __init__(self, **images):
        self.containers = {name.replace("_", "-"): {"image": image, "running": True} for name, image in images.items()}
        self.fail = None
        self.kill = None
        self.commands = 0

    def __call__(self, argv, data=None, env=None, timeout=None):
        words = argv[1:]
        if self.commands == self.kill:
            raise Killed
        self.commands += 1
        if self.fail and words[: len(self.fail)] == self.fail:
            self.fail = None
            return Result(1, "", "Error response from daemon: no space left on device")
        if words[0] == "exec":
            return Result(0, json.dumps({"restore_point": {"name": "it"}}))
        if words[0] == "ps":
            ours = [name for name, found in self.containers.items() if found.get("instance", "app") == "app"]
            return Result(0, "\n".join(ours))
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
        nothing = {"NetworkSettings": {}, "HostConfig": {}}
        return Result(0, json.dumps([{"State": state, "Config": {"Labels": labels}, **nothing}]))

    def images(self):
        return {name: found["image"] for name, found in self.containers.items() if found["running"]}


@pytest.fixture(autouse=True)
def host(monkeypatch, tmp_path):
    """PostgreSQL serves whenever its container runs; the folder of the releases is there, and the gates pass."""
    in_force.clear()
    for name in ("home", "config_dir"):
        monkeypatch.setattr(Layout, name, property(lambda self, place=name: str(tmp_path / place)))
    os.makedirs(LAYOUT.releases_dir)
    os.makedirs(LAYOUT.server_config_dir)
    monkeypatch.setattr(journals, "write", write)
    for module in (journals, transaction):
        monkeypatch.setattr(module, "in_force", lambda layout: "".join(in_force))
    monkeypatch.setattr(transaction, "write", write)
    monkeypatch.setattr(transaction, "accepts_writes", lambda layout: True)
    monkeypatch.setattr(transaction, "checkpoint", lambda layout: None)
    monkeypatch.setattr(transaction, "finish_what_began", lambda: None)
    monkeypatch.setattr(transaction, "judge_settings", lambda *arguments: None)
    monkeypatch.setattr(transaction, "_reload", lambda layout: None)
    monkeypatch.setattr(transaction, "pending_restart", lambda layout: [])
    monkeypatch.setattr(transaction, "wait_until_serving", lambda run, layout, seconds: 0.0)
    monkeypatch.setattr(transaction, "pass_gates", lambda run, declared, terms: [])
    monkeypatch.setattr(transaction, "_watched", lambda *arguments: Outage([]))


def write(file):
    """The real one gives files to the container's group, which only root can."""
    _files.write(File(file.path, file.content, file.mode, os.getuid(), os.getgid()))


def setting(name, content="after\n", before="before\n"):
    path = LAYOUT.server_config_dir + "/" + name
    if before is not None and not os.path.exists(path):
        with open(path, "w") as handle:
            handle.write(before)
    return FileChange(File(path, content), before, "content")


def plan(server="replace", keeper="replace", files=(), removals=()):
    changes = {
        "server": ContainerChange(DECLARED.server, server, {}) if server else None,
        "keeper": ContainerChange(DECLARED.keeper, keeper, {}) if keeper else None,
    }
    settings = {"changed_settings": (), "restart_settings": (), "reload": bool(files) and not server}
    return Plan((), tuple(files), tuple(removals), (), None, **changes, **settings)


def deploy(engine, planned, commit=lambda applied: in_force.append("release")):
    return transaction.apply(engine, DECLARED, planned, Terms(), commit)


def on_disk():
    return {path.name: path.read_text() for path in Path(LAYOUT.server_config_dir).iterdir()}


def test_both_containers_are_replaced_and_nothing_waits_any_more():
    engine = Engine(app="old", app_keeper="old")
    applied = deploy(engine, plan())
    assert engine.images() == {"app": "sha256:new", "app-keeper": "sha256:new-keeper"}
    assert len(engine.containers) == 2
    assert applied.restore_point.startswith("deploy-2")
    assert os.listdir(LAYOUT.releases_dir) == []


@pytest.mark.parametrize(
    "fail",
    [
        ["stop", "app"],
        ["rename", "app"],
        ["create", "--name", "app.next"],
        ["rename", "app.next"],
        ["start", "app"],
        ["stop", "app-keeper"],
        ["rename", "app-keeper"],
        ["create", "--name", "app-keeper.next"],
        ["start", "app-keeper"],
    ],
    ids=" ".join,
)
def test_whatever_fails_the_old_containers_run_again(fail):
    engine = Engine(app="old", app_keeper="old")
    engine.fail = fail
    files = [setting("a.conf"), setting("new.conf", before=None)]
    with pytest.raises(PgkeepError, match="no space left on device; the previous (container|settings)"):
        deploy(engine, plan(files=files))
    assert engine.images() == {"app": "old", "app-keeper": "old"}
    assert len(engine.containers) == 2
    assert on_disk() == {"a.conf": "before\n"}
    assert os.listdir(LAYOUT.releases_dir) == []


def test_a_gate_that_fails_takes_everything_back_and_tells_its_evidence(monkeypatch):
    def fail(run, declared, terms):
        raise NOT_PASSED

    monkeypatch.setattr(transaction, "pass_gates", fail)
    engine = Engine(app="old", app_keeper="old")
    with pytest.raises(
        PgkeepError, match="measured: read-only; expected: a row; the previous container serves"
    ) as told:
        deploy(engine, plan(files=[setting("a.conf")]), commit=None)
    assert told.value.to_result()["gate"]["measured"] == "read-only"
    assert engine.images() == {"app": "old", "app-keeper": "old"}
    assert on_disk() == {"a.conf": "before\n"}


def test_the_archivers_worker_ends_with_its_settings_also_when_they_are_taken_back(monkeypatch):
    ended, woken = [], []
    monkeypatch.setattr(transaction.archive_worker, "end", lambda run, server: ended.append(server))
    monkeypatch.setattr(transaction, "query", lambda folder, statement: woken.append(statement))
    engine = Engine(app="old", app_keeper="old")
    deploy(engine, plan(server=None))
    assert (ended, woken) == ([], [])
    os.makedirs(os.path.dirname(LAYOUT.archive_config))
    change = FileChange(File(LAYOUT.archive_config, "after\n"), None, "new")
    wanted = replace(plan(server=None, files=[change]), end_worker="its settings change")
    deploy(engine, wanted)
    assert (ended, len(woken)) == (["app"], 1)
    engine.fail = ["create", "--name", "app-keeper.next"]
    with pytest.raises(PgkeepError, match="no space left on device"):
        deploy(engine, wanted)
    # Before the change and after it was taken back.
    assert ended == ["app"] * 3


def test_another_operation_finds_what_was_in_force(monkeypatch):
    for number in kills():
        in_force.clear()
        engine = killed_at(number)
        if engine is None:
            break
        transaction.finish_interrupted(engine, LAYOUT)
        image = "sha256:new" if in_force else "old"
        assert engine.images()["app"] == image
        assert len(engine.containers) == 2
        assert on_disk() == ({"a.conf": "after\n", "new.conf": "after\n"} if in_force else {"a.conf": "before\n"})
        for name in on_disk():
            os.unlink(os.path.join(LAYOUT.server_config_dir, name))
    assert number > 10
    engine = killed_at(10)
    with pytest.raises(PgkeepError, match="could not be taken back. Why: but going back failed"):
        transaction.finish_interrupted(
            lambda argv, **more: Result(1, "", "Cannot connect to the Docker daemon"), LAYOUT
        )


def test_what_cannot_be_recorded_is_no_release():
    def commit(applied):
        raise PgkeepError("The file could not be written", "No space left on device")

    engine = Engine(app="old", app_keeper="old")
    with pytest.raises(PgkeepError, match="No space left on device; the previous container serves again"):
        deploy(engine, plan(), commit)
    assert engine.images() == {"app": "old", "app-keeper": "old"}


def test_an_archive_that_does_not_work_is_told_before_anybody_is_interrupted(monkeypatch):
    def refused(run, layout, argv, who=None):
        raise PgkeepError("The point could not be made", "no space")

    monkeypatch.setattr(transaction, "ask", refused)
    monkeypatch.setattr(transaction, "has_archive", lambda run, layout: True)
    engine = Engine(app="old", app_keeper="old")
    engine.fail = ["stop", "app"]
    with pytest.raises(PgkeepError, match="was not interrupted. Why: .*no space.*gates without archive") as told:
        deploy(engine, plan())
    assert engine.fail is not None, "the server was stopped"
    assert "serves again" not in str(told.value)
    # Without that gate, and before the first backup, there is no point to come back to.
    engine.fail = None
    assert transaction.apply(engine, DECLARED, plan(), Terms(gates=("login",)), lambda done: None).restore_point is None
    monkeypatch.setattr(transaction, "has_archive", lambda run, layout: False)
    assert deploy(engine, plan()).restore_point is None


def test_a_first_deploy_that_fails_leaves_no_container_and_passes_no_gate(monkeypatch):
    monkeypatch.setattr(transaction, "accepts_writes", lambda layout: False)
    monkeypatch.setattr(transaction, "pass_gates", None)
    engine = Engine()
    engine.fail = ["start", "app-keeper"]
    with pytest.raises(PgkeepError, match="app was removed, volumes were kept"):
        deploy(engine, plan("create", "create"))
    assert engine.containers == {}
    deploy(engine, plan("create", "create"))
    assert engine.images() == {"app": "sha256:new", "app-keeper": "sha256:new-keeper"}


def current_plan(engine):
    """What a new plan would find after a kill."""

    def change(spec):
        found = engine.containers.get(spec.name)
        if found is None:
            return ContainerChange(spec, "create", {})
        if found["image"] != spec.image:
            return ContainerChange(spec, "replace", {})
        return None if found["running"] else ContainerChange(spec, "start", {})

    files = [
        FileChange(File(LAYOUT.server_config_dir + "/" + name, "after\n"), before, "content")
        for name, before in [("a.conf", "before\n"), ("new.conf", None)]
        if on_disk().get(name) != "after\n"
    ]
    return Plan(
        (),
        tuple(files),
        (),
        (),
        None,
        server=change(DECLARED.server),
        keeper=change(DECLARED.keeper),
        changed_settings=(),
        restart_settings=(),
        reload=False,
    )


def killed_at(number):
    engine = Engine(app="old", app_keeper="old")
    engine.kill = number
    setting("a.conf")
    try:
        deploy(engine, current_plan(engine))
    except Killed:
        engine.kill = None
        return engine
    return None


def kills():
    """A number for each command of a deploy."""
    return range(30)


@pytest.mark.parametrize("number", kills())
def test_a_run_that_was_killed_is_finished_by_the_next_one(number):
    engine = killed_at(number)
    if engine is not None:
        journals.close_committed(engine, LAYOUT)
        deploy(engine, current_plan(engine))
        assert engine.images() == {"app": "sha256:new", "app-keeper": "sha256:new-keeper"}
        assert on_disk() == {"a.conf": "after\n", "new.conf": "after\n"}
    assert os.listdir(LAYOUT.releases_dir) == []


@pytest.mark.parametrize("number", kills())
def test_what_the_next_run_takes_back_is_the_whole(number, monkeypatch):
    """The killed run changed things too, and they are no part of a release."""
    engine = killed_at(number)
    if engine is None:
        return

    def fail(run, declared, terms):
        raise NOT_PASSED

    monkeypatch.setattr(transaction, "pass_gates", fail)
    journals.close_committed(engine, LAYOUT)
    if in_force:
        assert engine.images() == {"app": "sha256:new", "app-keeper": "sha256:new-keeper"}
        assert on_disk() == {"a.conf": "after\n", "new.conf": "after\n"}
    else:
        journal = journals.begun(LAYOUT)
        with pytest.raises(PgkeepError):
            deploy(engine, current_plan(engine))
        assert engine.images() == {"app": "old", "app-keeper": "old"}
        assert on_disk() == {"a.conf": "before\n"}
        assert journal is None or journal.killed
    assert os.listdir(LAYOUT.releases_dir) == []


def test_an_undo_that_fails_is_gone_on_with_by_the_next_run(monkeypatch):
    engine = Engine(app="old", app_keeper="old")
    broken = []

    def run(argv, **more):
        # From the failure on the engine does not answer any more.
        if argv[1] == "create":
            broken.append(True)
        return Result(1, "", "Cannot connect to the Docker daemon") if broken else engine(argv, **more)

    setting("a.conf")
    with pytest.raises(PgkeepError, match="going back failed"):
        deploy(run, current_plan(engine))
    assert "journal" in os.listdir(LAYOUT.releases_dir)
    deploy(engine, plan("create", "replace", files=[setting("a.conf", before=None)]))
    assert engine.images() == {"app": "sha256:new", "app-keeper": "sha256:new-keeper"}
    assert len(engine.containers) == 2


def test_a_journal_that_was_committed_leaves_only_names_to_tidy_up(monkeypatch):
    journal = journals.Journal("the release before", True)
    engine = Engine(app="new", app_keeper="new", **{"app.former": "old"})
    journal.note(Engine(), LAYOUT, {setting("a.conf").file.path: True}, {"app": "replace"})
    _files.keep(LAYOUT.server_config_dir + "/a.conf")
    in_force.append("the release after")
    journals.close_committed(engine, LAYOUT)
    assert list(engine.containers) == ["app", "app-keeper"]
    assert list(on_disk()) == ["a.conf"]
    assert os.listdir(LAYOUT.releases_dir) == []


def test_a_journal_that_cannot_be_read_is_told():
    with open(LAYOUT.releases_dir + "/journal", "w") as handle:
        handle.write("{")
    with pytest.raises(PgkeepError, match="cannot be gone on with.*/journal.*remove that file"):
        journals.begun(LAYOUT)
