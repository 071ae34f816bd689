# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A host as a deploy finds it: containers by name, folders of its own, a server that serves whenever it runs."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

from ansible_collections.pgkeep.postgres.plugins.module_utils import _files, _gates
from ansible_collections.pgkeep.postgres.plugins.module_utils import _journal as journals
from ansible_collections.pgkeep.postgres.plugins.module_utils import _pooler as pooler
from ansible_collections.pgkeep.postgres.plugins.module_utils import _transaction as transaction
from ansible_collections.pgkeep.postgres.plugins.module_utils import _undo as undoing
from ansible_collections.pgkeep.postgres.plugins.module_utils._declared import declare
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


def not_passed(run, declared, terms, able):
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


def prepare(monkeypatch, tmp_path):
    """PostgreSQL serves whenever its container runs; the folder of the releases is there, and the gates pass."""
    in_force.clear()
    for name in ("home", "config_dir"):
        monkeypatch.setattr(Layout, name, property(lambda self, place=name: str(tmp_path / place)))
    os.makedirs(LAYOUT.releases_dir)
    os.makedirs(LAYOUT.server_config_dir)
    os.makedirs(LAYOUT.pooler_config_dir)
    os.makedirs(LAYOUT.socket_dir)
    for module in (journals, pooler):
        monkeypatch.setattr(module, "write", write)
    for module in (journals, transaction):
        monkeypatch.setattr(module, "in_force", lambda layout: "".join(in_force))
    for module in (undoing, transaction):
        monkeypatch.setattr(module, "accepts_writes", lambda layout: True)
        monkeypatch.setattr(module, "reload", lambda layout: None)
        monkeypatch.setattr(module, "pending_restart", lambda layout: [])
        monkeypatch.setattr(module, "wait_until_serving", lambda run, layout, seconds: 0.0)
    monkeypatch.setattr(transaction, "write", write)
    monkeypatch.setattr(transaction, "checkpoint", lambda layout: None)
    monkeypatch.setattr(transaction, "finish_what_began", lambda: None)
    monkeypatch.setattr(transaction, "judge_settings", lambda *arguments: None)
    monkeypatch.setattr(undoing, "crossed", lambda layout: False)
    monkeypatch.setattr(transaction, "pass_gates", lambda run, declared, terms, able: [])
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
