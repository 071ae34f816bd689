# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What killed operations left is found, and goes without what stands or serves."""

from __future__ import annotations

import os

import pytest
from ansible_collections.pgkeep.postgres.plugins.module_utils import _leftovers as leftovers
from ansible_collections.pgkeep.postgres.plugins.module_utils._lock import hold
from ansible_collections.pgkeep.postgres.plugins.module_utils._run import Result

from .restore_host import Host


@pytest.fixture
def host(tmp_path, monkeypatch):
    """A restore was killed while its copy ran: container, folder, half a copy and its WAL are there."""
    made = Host(tmp_path, monkeypatch)
    for name in ("restore-1", "restore-1.wal", "previous-0", "undone-0"):
        os.mkdir("%s.%s" % (made.data, name))
    os.mkdir(made.layout.home + "/restore")
    left = ["app-restore"]

    def run(argv, **more):
        if argv[1:3] == ["ps", "--all"]:
            return Result(0, "server app\n app-by-hand\n" + "".join("restore %s\n" % name for name in left))
        if argv[1] == "rm" and argv[-1] in left:
            left.remove(argv[-1])
        return made(argv, **more)

    made.run = run
    return made


def test_leftovers_are_found(host):
    found = leftovers.look(host.run, host.layout)
    assert [os.path.basename(each) for each in found] == ["app-restore", "data.restore-1", "data.restore-1.wal"]


def test_what_a_running_operation_has_is_no_leftover(host):
    with hold(host.layout.lock_file, "restore of app"):
        assert leftovers.look(host.run, host.layout) == []


def test_they_go_and_nothing_else(host):
    assert len(leftovers.remove(host.run, host.layout)) == 3
    assert sorted(os.listdir(host.data.parent)) == ["data", "data.previous-0", "data.undone-0"]
    assert not os.path.exists(host.layout.home + "/restore")
    assert leftovers.look(host.run, host.layout) == []


def test_before_the_first_deploy_there_are_none(host):
    os.unlink(host.layout.releases_dir + "/current")
    assert leftovers.remove(host, host.layout) == []


def test_a_deploy_that_was_killed_is_told_until_the_next_one(host):
    leftovers.remove(host.run, host.layout)
    open(host.layout.releases_dir + "/journal", "w").close()
    assert leftovers.look(host.run, host.layout) == ["a deploy in the middle"]
    with hold(host.layout.lock_file, "deploy of app"):
        assert leftovers.look(host.run, host.layout) == []
