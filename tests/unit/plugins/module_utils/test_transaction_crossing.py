# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A deploy that changes the major version: what fails or is killed before, at and after the start of the new server."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from ansible_collections.pgkeep.postgres.plugins.module_utils import _instance as instances
from ansible_collections.pgkeep.postgres.plugins.module_utils import _journal as journals
from ansible_collections.pgkeep.postgres.plugins.module_utils import _transaction as transaction
from ansible_collections.pgkeep.postgres.plugins.module_utils import _undo as undoing
from ansible_collections.pgkeep.postgres.plugins.module_utils._crossing import Crossing
from ansible_collections.pgkeep.postgres.plugins.module_utils._errors import PgkeepError

from .deploy_case import CASES, PLAIN, Case, kills
from .deploy_host import DECLARED, LAYOUT, Engine, Killed, deploy, in_force, not_passed, on_disk, plan, prepare, write


@pytest.fixture(autouse=True)
def host(monkeypatch, tmp_path):
    prepare(monkeypatch, tmp_path)


class Passage:
    """A change of the major version: what is on disk stays when it is killed."""

    phase = None
    no_way_back = False
    broken_backup = False

    def __init__(self, run, declared, crossing):
        self.run = run
        self.started = self.resumed = Passage.phase == "started"

    def require_way_back(self):
        if Passage.no_way_back:
            raise PgkeepError("The upgrade of app cannot be taken back", "the backup is not in the repository any more")

    def leave(self, stopping):
        self.run(["docker", "stop", "app-keeper"])
        stopping()
        self.run(["docker", "stop", "app"])
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
        # The copy that is restored starts with the files of before.
        assert "after" not in "".join(on_disk().values())
        if Passage.broken_backup:
            raise PgkeepError("The copy is not usable", "a file is damaged")
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
    for name in ("no_way_back", "broken_backup"):
        monkeypatch.setattr(Passage, name, False)
    for module in (transaction, instances):
        monkeypatch.setattr(module, "Passage", Passage)
    monkeypatch.setattr(instances, "given_up", lambda declared: None)
    monkeypatch.setattr(undoing, "checkpoint", lambda layout: None)
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


def test_clients_of_the_pooler_wait_for_an_upgrade(crossing):
    case = Case("old", "sha256:new-pooler")
    engine = case.begin()
    deploy(engine, crossing_plan(engine, case), pooler=case.pooler)
    assert engine.asked[:2] == ["pause 10", "resume"]


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
    def refuse(self, stopping):
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
    steps = instances._take_back_crossing(engine, DECLARED)
    if begun is not None and not started:
        assert steps
        PLAIN.is_as_before(engine)
    if not in_force:
        deploy(engine, crossing_plan(engine))
    PLAIN.is_as_wanted(engine)


@pytest.mark.parametrize("number", kills())
def test_one_that_goes_on_and_fails_leaves_the_new_server_with_what_it_wrote(number, crossing, monkeypatch):
    engine = killed_crossing(number)
    if engine is None or in_force or Passage.phase != "started":
        return
    with monkeypatch.context() as during:
        during.setattr(transaction, "pass_gates", not_passed)
        with pytest.raises(PgkeepError, match="the new major version has the data and stays.*way=undo"):
            deploy(engine, crossing_plan(engine))
    assert engine.images()["app"] == "sha256:new"
    assert Passage.phase == "started"
    assert not engine.waits()
    deploy(engine, crossing_plan(engine))
    PLAIN.is_as_wanted(engine)


def test_a_server_that_a_failing_run_had_stopped_runs_again(crossing):
    engine = next(filter(lambda found: Passage.phase == "started", map(fresh_kill, kills())))
    deploy_stops = replace(crossing_plan(engine), server=plan(server="restart").server)
    engine.containers["app"]["running"] = False
    engine.fail = ["restart", "app"]
    with pytest.raises(PgkeepError, match="the new major version has the data and stays"):
        deploy(engine, deploy_stops)
    assert engine.images()["app"] == "sha256:new"


@pytest.mark.parametrize("number", kills())
def test_an_upgrade_that_is_not_finished_is_undone_where_that_is_asked_for(number, crossing, monkeypatch):
    case = Case("old", "sha256:new-pooler")
    engine = killed_crossing(number, case)
    if engine is None or in_force or Passage.phase != "started":
        return
    monkeypatch.setattr(instances, "given_up", lambda declared: Crossing(17, 18, "link"))
    assert "its data are as they were" in instances._take_back_crossing(engine, DECLARED)[0]
    case.is_as_before(engine)


def unfinished(monkeypatch):
    engine = next(filter(lambda found: Passage.phase == "started", map(fresh_kill, kills())))
    engine.containers["app"]["running"] = True
    monkeypatch.setattr(instances, "given_up", lambda declared: Crossing(17, 18, "link"))
    return engine


def test_an_undo_without_a_way_back_stops_nothing(crossing, monkeypatch):
    engine = unfinished(monkeypatch)
    monkeypatch.setattr(Passage, "no_way_back", True)
    before = engine.commands
    with pytest.raises(PgkeepError, match="not in the repository any more"):
        instances._take_back_crossing(engine, DECLARED)
    assert engine.commands == before
    assert engine.images()["app"] == "sha256:new"


@pytest.mark.parametrize("then", ["undo", "go on"])
def test_an_undo_that_fails_is_repeated_or_the_upgrade_goes_on(then, crossing, monkeypatch):
    engine = unfinished(monkeypatch)
    monkeypatch.setattr(Passage, "broken_backup", True)
    with pytest.raises(PgkeepError, match="a file is damaged.*correct the cause and repeat; or go on"):
        instances._take_back_crossing(engine, DECLARED)
    assert journals.begun(LAYOUT) is not None
    assert Passage.phase == "started"
    monkeypatch.setattr(Passage, "broken_backup", False)
    if then == "undo":
        instances._take_back_crossing(engine, DECLARED)
        PLAIN.is_as_before(engine)
    else:
        deploy(engine, crossing_plan(engine))
        PLAIN.is_as_wanted(engine)


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
