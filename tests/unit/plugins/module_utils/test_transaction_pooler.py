# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A deploy that changes the pooler, or has its clients wait."""

from __future__ import annotations

from dataclasses import replace

import pytest
from ansible_collections.pgkeep.postgres.plugins.module_utils import _transaction as transaction
from ansible_collections.pgkeep.postgres.plugins.module_utils import _undo as undoing
from ansible_collections.pgkeep.postgres.plugins.module_utils._errors import PgkeepError

from .deploy_host import LAYOUT, POOLER, Engine, deploy, not_passed, plan, prepare, setting


@pytest.fixture(autouse=True)
def host(monkeypatch, tmp_path):
    prepare(monkeypatch, tmp_path)


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
    monkeypatch.setattr(transaction, "pass_gates", lambda run, declared, terms, able: asked.extend(engine.asked) or [])
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
