# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A deploy that is killed before every command, and whoever comes next."""

from __future__ import annotations

import os

import pytest
from ansible_collections.pgkeep.postgres.plugins.module_utils import _files
from ansible_collections.pgkeep.postgres.plugins.module_utils import _journal as journals
from ansible_collections.pgkeep.postgres.plugins.module_utils import _transaction as transaction
from ansible_collections.pgkeep.postgres.plugins.module_utils import _undo as undoing
from ansible_collections.pgkeep.postgres.plugins.module_utils._errors import PgkeepError
from ansible_collections.pgkeep.postgres.plugins.module_utils._run import Result

from .deploy_case import CASES, PLAIN, Case, kills
from .deploy_host import LAYOUT, Engine, deploy, in_force, not_passed, on_disk, plan, prepare, setting


@pytest.fixture(autouse=True)
def host(monkeypatch, tmp_path):
    prepare(monkeypatch, tmp_path)


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
