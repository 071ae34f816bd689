# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A deploy with everything that it may do to containers and files, and what it leaves at a kill."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Optional

import pytest
from ansible_collections.pgkeep.postgres.plugins.module_utils._files import File, FileChange
from ansible_collections.pgkeep.postgres.plugins.module_utils._plan import ContainerChange, Plan

from .deploy_host import DECLARED, LAYOUT, POOLER, WITHOUT, Engine, Killed, deploy, on_disk, setting


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
            pooler_reload=self.before is not None and self.after == self.before and "reload" not in engine.asked,
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
