# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The undo of a deploy at every step, which no real engine can be made to fail at, and a run that goes on after a kill
at every command."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Optional

import pytest
from ansible_collections.pgkeep.postgres.plugins.module_utils import _files, _gates
from ansible_collections.pgkeep.postgres.plugins.module_utils import _instance as instances
from ansible_collections.pgkeep.postgres.plugins.module_utils import _journal as journals
from ansible_collections.pgkeep.postgres.plugins.module_utils import _transaction as transaction
from ansible_collections.pgkeep.postgres.plugins.module_utils import _undo as undoing
from ansible_collections.pgkeep.postgres.plugins.module_utils._crossing import Crossing
from ansible_collections.pgkeep.postgres.plugins.module_utils._declared import declare
from ansible_collections.pgkeep.postgres.plugins.module_utils._errors import PgkeepError
from ansible_collections.pgkeep.postgres.plugins.module_utils._files import File, FileChange
from ansible_collections.pgkeep.postgres.plugins.module_utils._layout import Layout
from ansible_collections.pgkeep.postgres.plugins.module_utils._outage import Outage
from ansible_collections.pgkeep.postgres.plugins.module_utils._plan import ContainerChange, Plan
from ansible_collections.pgkeep.postgres.plugins.module_utils._run import Result
from ansible_collections.pgkeep.postgres.plugins.module_utils._terms import Terms

from .instance_options import options
from .instance_options import pooler as a_pooler

LAYOUT = Layout("app")
DECLARED = declare(options(), "sha256:new", "sha256:new-keeper")
POOLED = options(pooler=a_pooler(), settings={"max_connections": 100})
POOLER = declare(POOLED, "sha256:new", "sha256:new-keeper", "sha256:new-pooler").pooler
WITHOUT = ContainerChange(POOLER, "remove", {})
# What was committed, as the record of the release in force would say.
in_force = []


def not_passed(run, declared, terms):
    raise _gates.GateError(_gates.Gate("write", False, "read-only", "a row"), "app")


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
        # What the pooler was told.
        self.asked = []

    def __call__(self, argv, data=None, env=None, timeout=None):
        words = argv[1:]
        if self.commands == self.kill:
            raise Killed
        self.commands += 1
        if self.fail and words[: len(self.fail)] == self.fail:
            self.fail = None
            return Result(1, "", "Error response from daemon: no space left on device")
        if words[0] == "exec" and "pgkeep-pooler" not in words:
            return Result(0, json.dumps({"restore_point": {"name": "it"}}))
        if words[0] == "ps":
            ours = [name for name, found in self.containers.items() if found.get("instance", "app") == "app"]
            return Result(0, "\n".join(ours))
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
            return Result(0 if container["running"] else 1)
        if words[0] in ("start", "stop"):
            container["running"] = words[0] == "start"
        state = {"Running": container["running"], "Restarting": False}
        labels = {"pgkeep.instance": container.get("instance", "app")}
        nothing = {"NetworkSettings": {}, "HostConfig": {}}
        return Result(0, json.dumps([{"State": state, "Config": {"Labels": labels}, **nothing}]))

    def images(self):
        return {name: found["image"] for name, found in self.containers.items() if found["running"]}

    def waits(self):
        """Whether clients of the pooler were left waiting."""
        told = [words for words in self.asked if words in ("pause 10", "resume")]
        return told[-1:] == ["pause 10"]


@pytest.fixture(autouse=True)
def host(monkeypatch, tmp_path):
    """PostgreSQL serves whenever its container runs; the folder of the releases is there, and the gates pass."""
    in_force.clear()
    for name in ("home", "config_dir"):
        monkeypatch.setattr(Layout, name, property(lambda self, place=name: str(tmp_path / place)))
    os.makedirs(LAYOUT.releases_dir)
    os.makedirs(LAYOUT.server_config_dir)
    os.makedirs(LAYOUT.pooler_config_dir)
    monkeypatch.setattr(journals, "write", write)
    for module in (journals, transaction):
        monkeypatch.setattr(module, "in_force", lambda layout: "".join(in_force))
    for module in (undoing, transaction):
        monkeypatch.setattr(module, "accepts_writes", lambda layout: True)
        monkeypatch.setattr(module, "reload", lambda layout: None)
        monkeypatch.setattr(module, "wait_until_serving", lambda run, layout, seconds: 0.0)
    monkeypatch.setattr(transaction, "write", write)
    monkeypatch.setattr(transaction, "checkpoint", lambda layout: None)
    monkeypatch.setattr(transaction, "finish_what_began", lambda: None)
    monkeypatch.setattr(transaction, "judge_settings", lambda *arguments: None)
    monkeypatch.setattr(undoing, "pending_restart", lambda layout: [])
    monkeypatch.setattr(undoing, "crossed", lambda layout: False)
    monkeypatch.setattr(transaction, "pass_gates", lambda run, declared, terms: [])
    monkeypatch.setattr(transaction, "_watched", lambda *arguments: Outage([]))


def write(file):
    """The real one gives files to the container's group, which only root can."""
    _files.write(File(file.path, file.content, file.mode, os.getuid(), os.getgid()))


def setting(name, content="after\n", before="before\n", folder=None):
    path = (folder or LAYOUT.server_config_dir) + "/" + name
    if before is not None and not os.path.exists(path):
        with open(path, "w") as handle:
            handle.write(before)
    return FileChange(File(path, content), before, "content")


def plan(server="replace", keeper="replace", files=(), removals=(), pooler=None):
    changes = {
        "pooler": ContainerChange(POOLER, pooler, {}) if pooler else None,
        "server": ContainerChange(DECLARED.server, server, {}) if server else None,
        "keeper": ContainerChange(DECLARED.keeper, keeper, {}) if keeper else None,
    }
    settings = {"changed_settings": (), "restart_settings": (), "reload": bool(files) and not server}
    return Plan((), tuple(files), tuple(removals), (), None, **changes, **settings)


def deploy(engine, planned, commit=lambda applied: in_force.append("release"), pooler=None):
    return transaction.apply(engine, replace(DECLARED, pooler=pooler), planned, Terms(), commit)


def on_disk():
    folders = (LAYOUT.server_config_dir, LAYOUT.pooler_config_dir)
    return {path.name: path.read_text() for folder in folders for path in Path(folder).iterdir()}


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
    monkeypatch.setattr(transaction, "pass_gates", not_passed)
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
    for module in (undoing, transaction):
        monkeypatch.setattr(module, "accepts_writes", lambda layout: False)
    monkeypatch.setattr(transaction, "pass_gates", None)
    engine = Engine()
    engine.fail = ["start", "app-keeper"]
    with pytest.raises(PgkeepError, match="app was removed, volumes were kept"):
        deploy(engine, plan("create", "create"))
    assert engine.containers == {}
    deploy(engine, plan("create", "create"))
    assert engine.images() == {"app": "sha256:new", "app-keeper": "sha256:new-keeper"}


@dataclass(frozen=True)
class Case:
    """A deploy that replaces server and keeper, writes two files, and has a pooler from this image to that one."""

    before: Optional[str] = None
    after: Optional[str] = None

    @property
    def pooler(self):
        return POOLER if self.after else None

    def begin(self):
        setting("a.conf")
        if self.before:
            setting("pgbouncer.ini", folder=LAYOUT.pooler_config_dir)
        return Engine(app="old", app_keeper="old", **({"app_pooler": self.before} if self.before else {}))

    def plan(self, engine):
        """What a new plan would find, also after a kill."""

        def change(spec):
            found = engine.containers.get(spec.name)
            if found is None:
                return ContainerChange(spec, "create", {})
            if found["image"] != spec.image:
                return ContainerChange(spec, "replace", {})
            return None if found["running"] else ContainerChange(spec, "start", {})

        ini = LAYOUT.pooler_config_dir + "/pgbouncer.ini"
        wanted = {LAYOUT.server_config_dir + "/a.conf": "before\n", LAYOUT.server_config_dir + "/new.conf": None}
        if self.after:
            wanted[ini] = "before\n" if self.before else None
        files = [
            FileChange(File(path, "after\n"), before, "content")
            for path, before in wanted.items()
            if on_disk().get(os.path.basename(path)) != "after\n"
        ]
        unwanted = WITHOUT if LAYOUT.pooler in engine.containers else None
        return Plan(
            (),
            tuple(files),
            # What the release in force wrote.
            (ini,) if self.before and not self.after and os.path.exists(ini) else (),
            (),
            None,
            server=change(DECLARED.server),
            keeper=change(DECLARED.keeper),
            changed_settings=(),
            restart_settings=(),
            reload=False,
            pooler=change(POOLER) if self.after else unwanted,
            pooler_reload=self.after == self.before is not None and "reload" not in engine.asked,
        )

    def is_as_before(self, engine):
        pooler = {"app-pooler": self.before} if self.before else {}
        files = {"pgbouncer.ini": "before\n"} if self.before else {}
        assert engine.images() == {"app": "old", "app-keeper": "old", **pooler}
        assert on_disk() == {"a.conf": "before\n", **files}
        self.is_whole(engine)

    def is_as_wanted(self, engine):
        pooler = {"app-pooler": self.after} if self.after else {}
        files = {"pgbouncer.ini": "after\n"} if self.after else {}
        assert engine.images() == {"app": "sha256:new", "app-keeper": "sha256:new-keeper", **pooler}
        assert on_disk() == {"a.conf": "after\n", "new.conf": "after\n", **files}
        self.is_whole(engine)

    def is_whole(self, engine):
        assert len(engine.containers) == len(engine.images())
        assert not engine.waits()
        assert os.listdir(LAYOUT.releases_dir) == []

    def killed_at(self, number):
        engine = self.begin()
        engine.kill = number
        try:
            deploy(engine, self.plan(engine), pooler=self.pooler)
        except Killed:
            engine.kill = None
            return engine
        return None


PLAIN = Case()
CASES = [
    pytest.param(PLAIN, id="no pooler"),
    pytest.param(Case(None, "sha256:new-pooler"), id="a pooler comes"),
    pytest.param(Case("old", "sha256:new-pooler"), id="another pooler"),
    pytest.param(Case("sha256:new-pooler", "sha256:new-pooler"), id="the same pooler"),
    pytest.param(Case("old", None), id="a pooler goes"),
]


def kills():
    """A number for each command of a deploy."""
    return range(50)


@pytest.mark.parametrize("case", CASES)
def test_there_is_a_kill_for_each_command(case):
    assert case.killed_at(kills()[-1]) is None


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("number", kills())
def test_a_run_that_was_killed_is_finished_by_the_next_one(number, case):
    engine = case.killed_at(number)
    if engine is not None:
        journals.close_committed(engine, LAYOUT)
        deploy(engine, case.plan(engine), pooler=case.pooler)
        case.is_as_wanted(engine)
    assert os.listdir(LAYOUT.releases_dir) == []


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("number", kills())
def test_what_the_next_run_takes_back_is_the_whole(number, case, monkeypatch):
    """The killed run changed things too, and they are no part of a release."""
    engine = case.killed_at(number)
    if engine is None:
        return

    monkeypatch.setattr(transaction, "pass_gates", not_passed)
    journals.close_committed(engine, LAYOUT)
    if in_force:
        case.is_as_wanted(engine)
    else:
        journal = journals.begun(LAYOUT)
        with pytest.raises(PgkeepError):
            deploy(engine, case.plan(engine), pooler=case.pooler)
        case.is_as_before(engine)
        assert journal is None or journal.killed


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("number", kills())
def test_another_operation_finds_what_was_in_force(number, case):
    engine = case.killed_at(number)
    if engine is None:
        return
    undoing.finish_interrupted(engine, LAYOUT)
    (case.is_as_wanted if in_force else case.is_as_before)(engine)


def test_another_operation_cannot_go_on_with_what_cannot_be_taken_back():
    PLAIN.killed_at(10)
    with pytest.raises(PgkeepError, match="could not be taken back. Why: but going back failed"):
        undoing.finish_interrupted(lambda argv, **more: Result(1, "", "Cannot connect to the Docker daemon"), LAYOUT)


@pytest.mark.parametrize("first, second", [("sha256:new-pooler", None), (None, "sha256:new-pooler")])
@pytest.mark.parametrize("before", ["old", None])
@pytest.mark.parametrize("number", kills())
def test_who_goes_on_may_have_another_mind_about_the_pooler(number, before, first, second, monkeypatch):
    """The killed run was about to bring one and the next one does without, or the other way round."""
    case, other = Case(before, first), Case(before, second)
    engine = case.killed_at(number)
    if engine is None or in_force:
        return
    monkeypatch.setattr(transaction, "pass_gates", not_passed)
    with pytest.raises(PgkeepError):
        deploy(engine, other.plan(engine), pooler=other.pooler)
    case.is_as_before(engine)


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
        deploy(run, PLAIN.plan(engine))
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


@pytest.mark.parametrize(
    "action, image", [("create", "sha256:new-pooler"), ("replace", "sha256:new-pooler"), ("remove", None)]
)
def test_a_pooler_comes_changes_and_goes(action, image):
    engine = Engine(app="new", app_keeper="new", **({} if action == "create" else {"app_pooler": "old"}))
    applied = deploy(engine, plan(None, None, pooler=action))
    assert engine.images().get("app-pooler") == image
    assert len(engine.containers) == len(engine.images())
    # Nobody of the server was interrupted.
    assert applied.restore_point is None


@pytest.mark.parametrize("action", ["replace", "remove"])
def test_the_former_pooler_runs_again_when_a_later_step_fails(action, monkeypatch):
    engine = Engine(app="new", app_keeper="new", app_pooler="old")

    def fail(*arguments):
        raise PgkeepError("No space", "left")

    monkeypatch.setattr(transaction, "_remove_files", fail)
    with pytest.raises(PgkeepError, match="No space"):
        deploy(engine, plan(None, None, pooler=action))
    assert engine.images() == {"app": "new", "app-keeper": "new", "app-pooler": "old"}


def test_a_pooler_that_does_not_come_up_takes_the_deploy_back(monkeypatch):
    engine = Engine(app="old", app_keeper="old", app_pooler="old")

    def fail(run, layout):
        raise PgkeepError("The pooler of app is not ready", "it did not answer")

    monkeypatch.setattr(transaction.pooler, "wait_until_ready", fail)
    with pytest.raises(PgkeepError, match="pooler of app is not ready.*previous container serves again"):
        deploy(engine, plan(pooler="replace"), pooler=POOLER)
    assert engine.images() == {"app": "old", "app-keeper": "old", "app-pooler": "old"}


def test_the_pooler_reads_its_files_again_when_they_are_taken_back(monkeypatch):
    engine = Engine(app="new", app_keeper="new", app_pooler="new")
    files = [setting("pgbouncer.ini", folder=LAYOUT.pooler_config_dir)]
    wanted = replace(plan(None, None, files=files), reload=False, pooler_reload=True)
    deploy(engine, wanted)
    assert engine.asked == ["reload"]
    monkeypatch.setattr(transaction, "pass_gates", not_passed)
    with pytest.raises(PgkeepError, match="expected: a row; the pooler has its previous settings"):
        deploy(engine, wanted)
    assert engine.asked == ["reload"] * 3


def test_clients_of_the_pooler_wait_while_the_server_is_replaced(monkeypatch):
    engine = Engine(app="old", app_keeper="old", app_pooler="old")
    asked = []
    # Gates may take longer than anybody waits.
    monkeypatch.setattr(transaction, "pass_gates", lambda run, declared, terms: asked.extend(engine.asked) or [])
    deploy(engine, plan())
    assert engine.asked == asked == ["pause 10", "resume"]
    # Nobody waits for a change that interrupts nobody.
    engine.asked.clear()
    deploy(engine, plan(None, "replace"))
    assert engine.asked == []


def test_nobody_waits_while_the_successor_is_made():
    engine = Engine(app="old", app_keeper="old", app_pooler="old")
    engine.fail = ["create", "--name", "app.next"]
    with pytest.raises(PgkeepError):
        deploy(engine, plan())
    assert engine.asked == []


@pytest.mark.parametrize("fail", [["stop", "app"], ["start", "app"]], ids=" ".join)
def test_they_do_not_wait_any_more_after_a_failure(fail):
    engine = Engine(app="old", app_keeper="old", app_pooler="old")
    engine.fail = fail
    with pytest.raises(PgkeepError):
        deploy(engine, plan())
    assert (engine.asked[0], engine.asked[-1]) == ("pause 10", "resume")
    assert engine.images()["app"] == "old"


def test_they_wait_again_while_a_server_that_did_not_pass_a_gate_is_taken_back(monkeypatch):
    monkeypatch.setattr(transaction, "pass_gates", not_passed)
    engine = Engine(app="old", app_keeper="old", app_pooler="old")
    with pytest.raises(PgkeepError):
        deploy(engine, plan())
    assert engine.asked == ["pause 10", "resume"] * 2


def test_a_run_that_was_killed_in_between_leaves_nobody_waiting():
    engine = Engine(app="new", app_keeper="new", app_pooler="new")
    undoing.finish_interrupted(engine, LAYOUT)
    assert engine.asked == ["resume"]


def test_a_pooler_that_does_not_answer_stops_no_deploy():
    engine = Engine(app="old", app_keeper="old", app_pooler="old")
    engine.fail = ["exec", "--user", transaction.docker.USER, "app-pooler"]
    deploy(engine, plan())
    assert engine.fail is None
    assert engine.images()["app"] == "sha256:new"


class Passage:
    """A change of the major version: what is on disk stays when it is killed."""

    phase = None

    def __init__(self, run, declared, crossing):
        self.run = run
        self.started = Passage.phase == "started"

    def leave(self):
        for name in ("app-keeper", "app"):
            self.run(["docker", "stop", name])
        Passage.phase = "left"

    def cross(self):
        if not self.started:
            # The server that is left does not run, and its files are not those of the other one yet.
            assert not self.run.containers["app"]["running"]
            self.run(["docker", "version", "app"])
            Passage.phase = "crossing"

    def embark(self):
        Passage.phase, self.started = "started", True

    def take_back(self):
        assert "app" not in self.run.images(), "a server runs on data that are taken back"
        Passage.phase = None
        return "its data are as they were"


def recover(run, layout):
    """As the real one: only before the start of the new server."""
    if Passage.phase != "crossing":
        return []
    Passage.phase = None
    return ["Took back an upgrade"]


@pytest.fixture
def crossing(monkeypatch):
    Passage.phase = None
    monkeypatch.setattr(transaction, "Passage", Passage)
    monkeypatch.setattr(undoing, "read_current", lambda layout: None)
    for module in (instances, undoing):
        monkeypatch.setattr(module, "recover", recover)
        monkeypatch.setattr(module, "crossed", lambda layout: Passage.phase == "started" and not in_force)


def crossing_plan(engine, case=PLAIN):
    return replace(case.plan(engine), crossing=Crossing(17, 18, "link"))


def killed_crossing(number, case=PLAIN):
    engine = case.begin()
    engine.kill = number
    try:
        deploy(engine, crossing_plan(engine, case), pooler=case.pooler)
    except Killed:
        engine.kill = None
        return engine
    return None


def test_the_files_of_another_major_are_written_when_its_server_has_stopped(crossing, monkeypatch):
    engine = PLAIN.begin()

    def written(file):
        # The restore point was made before that.
        assert "app" not in engine.images()
        assert journals.begun(LAYOUT).restore_point
        write(file)

    monkeypatch.setattr(transaction, "write", written)
    applied = deploy(engine, crossing_plan(engine))
    assert applied.restore_point
    assert Passage.phase == "started"
    PLAIN.is_as_wanted(engine)


def test_clients_of_the_pooler_do_not_wait_for_an_upgrade(crossing):
    case = Case("old", "sha256:new-pooler")
    engine = case.begin()
    deploy(engine, crossing_plan(engine, case), pooler=case.pooler)
    assert "pause 10" not in engine.asked


def test_gates_that_another_major_does_not_pass_bring_the_data_back(crossing, monkeypatch):
    monkeypatch.setattr(transaction, "pass_gates", not_passed)
    engine = PLAIN.begin()
    with pytest.raises(PgkeepError, match="its data are as they were; the previous container serves again"):
        deploy(engine, crossing_plan(engine))
    PLAIN.is_as_before(engine)


def test_what_was_stopped_on_the_way_runs_again_whatever_the_plan_does_to_it(crossing, monkeypatch):
    monkeypatch.setattr(transaction, "pass_gates", not_passed)
    engine = Engine(app="old", app_keeper="old")
    with pytest.raises(PgkeepError):
        deploy(engine, replace(plan(keeper=None), crossing=Crossing(17, 18, "link")))
    assert engine.images() == {"app": "old", "app-keeper": "old"}


def test_an_upgrade_that_cannot_begin_leaves_what_serves(crossing, monkeypatch):
    def refuse(self):
        # Stopped in between.
        self.run(["docker", "stop", "app"])
        raise PgkeepError("The upgrade of app cannot begin", "no backup is clean")

    monkeypatch.setattr(Passage, "leave", refuse)
    engine = PLAIN.begin()
    with pytest.raises(PgkeepError, match="is clean; its data are as they were; the previous container serves again"):
        deploy(engine, crossing_plan(engine))
    PLAIN.is_as_before(engine)


@pytest.mark.parametrize("case", [CASES[0], CASES[2]])
@pytest.mark.parametrize("number", kills())
def test_an_upgrade_that_was_killed_goes_back_or_has_the_data(number, case, crossing):
    engine = killed_crossing(number, case)
    if engine is None:
        return
    started = Passage.phase == "started"
    undoing.finish_interrupted(engine, LAYOUT)
    if in_force:
        case.is_as_wanted(engine)
    elif not started:
        case.is_as_before(engine)
        assert Passage.phase in (None, "left")
    else:
        # The old server is there for a passage only, and never runs by itself.
        assert engine.containers["app"]["image"] == "sha256:new"
        assert not engine.containers["app.former"]["running"]
        assert not engine.waits()
        deploy(engine, crossing_plan(engine, case), pooler=case.pooler)
        case.is_as_wanted(engine)


@pytest.mark.parametrize("number", kills())
def test_the_next_run_begins_anew_or_goes_on(number, crossing):
    engine = killed_crossing(number)
    if engine is None:
        return
    started = Passage.phase == "started"
    journals.close_committed(engine, LAYOUT)
    begun = journals.begun(LAYOUT)
    steps = instances._take_back_crossing(engine, LAYOUT)
    if begun is not None and not started:
        assert steps
        PLAIN.is_as_before(engine)
    if not in_force:
        deploy(engine, crossing_plan(engine))
    PLAIN.is_as_wanted(engine)


@pytest.mark.parametrize("number", kills())
def test_one_that_goes_on_and_fails_takes_its_data_back(number, crossing, monkeypatch):
    engine = killed_crossing(number)
    if engine is None or in_force or Passage.phase != "started":
        return
    monkeypatch.setattr(transaction, "pass_gates", not_passed)
    with pytest.raises(PgkeepError, match="its data are as they were; the previous container serves again"):
        deploy(engine, crossing_plan(engine))
    PLAIN.is_as_before(engine)


def test_what_cannot_be_planned_never_brings_the_old_server_back_once_the_new_major_was_started(crossing):
    engine = next(filter(lambda found: Passage.phase == "started", map(fresh_kill, kills())))
    journal = journals.begun(LAYOUT)
    told = undoing.take_back(engine, LAYOUT, journal, PgkeepError("PostgreSQL 17 does not become 18 by a deploy", "x"))
    assert "the new major version has the data and stays" in str(told)
    assert not engine.containers["app.former"]["running"]
    assert journals.begun(LAYOUT) is not None


def fresh_kill(number):
    """A killed upgrade on a host where none was before."""
    in_force.clear()
    Passage.phase = None
    for folder in (LAYOUT.releases_dir, LAYOUT.server_config_dir):
        for entry in Path(folder).iterdir():
            entry.unlink()
    return killed_crossing(number)
