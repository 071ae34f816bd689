# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The undo of a deploy at every step, which no real engine can be made to fail at."""

from __future__ import annotations

import os
from dataclasses import replace

import pytest
from ansible_collections.pgkeep.postgres.plugins.module_utils import _pooler as pooler
from ansible_collections.pgkeep.postgres.plugins.module_utils import _transaction as transaction
from ansible_collections.pgkeep.postgres.plugins.module_utils import _undo as undoing
from ansible_collections.pgkeep.postgres.plugins.module_utils._errors import PgkeepError
from ansible_collections.pgkeep.postgres.plugins.module_utils._files import File, FileChange
from ansible_collections.pgkeep.postgres.plugins.module_utils._journal import Journal
from ansible_collections.pgkeep.postgres.plugins.module_utils._terms import Terms

from .deploy_host import (
    DECLARED,
    LAYOUT,
    POOLER,
    Engine,
    deploy,
    not_passed,
    on_disk,
    plan,
    prepare,
    setting,
)


@pytest.fixture(autouse=True)
def host(monkeypatch, tmp_path):
    prepare(monkeypatch, tmp_path)


def test_both_containers_are_replaced_and_nothing_waits_any_more():
    engine = Engine(app="old", app_keeper="old")
    applied = deploy(engine, plan())
    assert engine.images() == {"app": "sha256:new", "app-keeper": "sha256:new-keeper"}
    assert len(engine.containers) == 2
    assert applied.restore_point.startswith("deploy-2")
    assert os.listdir(LAYOUT.releases_dir) == []


def recording(engine):
    """The engine, and the list of the commands that it is asked for."""
    asked = []

    def run(argv, **more):
        asked.append(argv[1])
        return engine(argv, **more)

    return run, asked


@pytest.mark.parametrize("waits, restarts", [(["shared_buffers"], 1), ([], 0)])
def test_a_setting_that_is_in_force_again_before_its_restart_needs_none(waits, restarts, monkeypatch):
    monkeypatch.setattr(transaction, "pending_restart", lambda layout: waits)
    engine = Engine(app="old", app_keeper="old")
    run, asked = recording(engine)
    deploy(run, replace(plan(server=None, files=[setting("a.conf")]), restart_settings=("shared_buffers",)))
    assert asked.count("restart") == restarts


def test_the_pooler_finds_a_file_where_the_server_writes_its_address():
    deploy(Engine(app="old", app_keeper="old"), plan(server=None, pooler="create"), pooler=POOLER)
    assert os.stat(LAYOUT.hosts_file).st_mode & 0o777 == 0o644
    with open(LAYOUT.hosts_file, "w") as handle:
        handle.write("172.18.0.2\tapp\n")
    pooler.ensure_hosts(LAYOUT)
    assert os.stat(LAYOUT.hosts_file).st_size > 0


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


@pytest.mark.parametrize(
    "before, after, restarted, restarts",
    [
        ([], ["shared_buffers"], True, 1),
        # It was never started on other files: what waits is what somebody wrote by hand.
        ([], ["shared_buffers"], False, 0),
        (["shared_buffers"], ["shared_buffers"], True, 0),
        ([], [], True, 0),
    ],
)
def test_going_back_restarts_a_server_for_nothing_but_what_the_deploy_did(
    before, after, restarted, restarts, monkeypatch
):
    monkeypatch.setattr(transaction, "pending_restart", lambda layout: before or ["shared_buffers"] * restarted)
    monkeypatch.setattr(transaction, "pass_gates", not_passed)
    monkeypatch.setattr(undoing, "pending_restart", lambda layout: after)
    engine = Engine(app="old", app_keeper="old")
    run, asked = recording(engine)
    wanted = replace(
        plan(server=None, files=[setting("a.conf")]), restart_settings=("shared_buffers",) if restarted else ()
    )
    monkeypatch.setattr(transaction, "_begin", lambda layout: Journal("", True, list(before)))
    with pytest.raises(PgkeepError, match="the previous settings are back"):
        deploy(run, wanted)
    assert asked.count("restart") == restarted + restarts
