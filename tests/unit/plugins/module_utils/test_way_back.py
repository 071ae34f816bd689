# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How the data from before a linked upgrade come back, on real directories; the restored copy is made by the engine."""

from __future__ import annotations

from dataclasses import replace

import pytest
from ansible_collections.pgkeep.postgres.plugins.module_utils import _upgrade_record as records
from ansible_collections.pgkeep.postgres.plugins.module_utils import _way_back as way_back
from ansible_collections.pgkeep.postgres.plugins.module_utils._container import spec_from_dict
from ansible_collections.pgkeep.postgres.plugins.module_utils._copy import CopyFacts
from ansible_collections.pgkeep.postgres.plugins.module_utils._errors import PgkeepError
from ansible_collections.pgkeep.postgres.plugins.module_utils._release import read_current
from ansible_collections.pgkeep.postgres.plugins.module_utils._swap import Directories

from .restore_host import SYSTEM_ID, Host

LABEL = "20261124-085921F"
RECORD = records.Record(17, 18, "link", records.STARTED, "2026-11-24T09:00:39Z", LABEL, 16, str(SYSTEM_ID))
FACTS = CopyFacts(str(SYSTEM_ID), 17, 1 << 62, None, 3)


class Harness:
    """A linked directory of 17, as pg_upgrade leaves it, and an engine that restores beside it."""

    def __init__(self, host):
        self.host, self.root = host, str(host.path / "volume")
        self.control = (host.data / "global/pg_control").read_bytes()
        (host.data / "global/pg_control").rename(host.data / "global/pg_control.old")
        self.made = 0
        release = read_current(host.layout)
        self.server, self.keeper = spec_from_dict(release["server"]), spec_from_dict(release["keeper"])
        self.knows(clean=True)

    def knows(self, **backup):
        listed = [{"label": LABEL, "size_bytes": 1000, **backup}] if backup else []
        self.host.info = {"backup_info": {"instance": "app", "status": "ok", "status_text": "", "backups": listed}}

    def start(self, run, spec):
        """The container restores."""
        self.made += 1
        inside = spec.environment["PGDATA"]
        (self.host.path / ("volume" + inside[len("/var/lib/postgresql") :]) / "global").mkdir(parents=True)
        beside = self.host.path / ("volume" + inside[len("/var/lib/postgresql") :])
        (beside / "global/pg_control").write_bytes(self.control)

    def restore(self):
        way_back.restore_former(self.host, self.host.layout, self.server, self.root, RECORD)

    def require(self, record=RECORD):
        way_back.require_way_back(self.host, self.host.layout, self.keeper, self.root, record)

    def names(self):
        return sorted(path.name.split("-")[0] for path in self.host.data.parent.iterdir())

    def serves(self):
        return (self.host.data / "global/pg_control").exists()


@pytest.fixture
def found(tmp_path, monkeypatch):
    harness = Harness(Host(tmp_path, monkeypatch))
    monkeypatch.setattr(way_back, "prepare", lambda place: None)
    monkeypatch.setattr(way_back, "start", harness.start)
    monkeypatch.setattr(way_back, "wait_until_open", lambda *words: None)
    monkeypatch.setattr(way_back, "prove", lambda socket_dir: FACTS)
    monkeypatch.setattr(way_back.history.os, "fchown", lambda *words: None)
    return harness


def test_the_restored_data_are_in_place_and_the_linked_ones_are_kept(found):
    found.restore()
    assert found.serves()
    assert found.names() == ["data", "data.previous"]
    assert "from=16 timeline=17" in (found.host.path / "home/state/history").read_text()


def test_a_copy_that_lacks_something_leaves_everything_in_its_place(found, monkeypatch):
    monkeypatch.setattr(way_back, "prove", lambda socket_dir: replace(FACTS, end=0))
    with pytest.raises(PgkeepError, match="not the newest state"):
        found.restore()
    assert not found.serves()
    assert (found.host.data / "global/pg_control.old").exists()
    assert "data.previous" not in found.names()


def test_again_it_restores_nothing_where_that_was_done(found):
    found.restore()
    found.restore()
    assert found.made == 1
    assert found.names() == ["data", "data.previous"]


def test_a_kill_between_the_renames_is_mended(found, monkeypatch):
    def killed(self):
        found.host.data.rename(self.previous)
        raise KeyboardInterrupt

    with monkeypatch.context() as during:
        during.setattr(Directories, "swap", killed)
        with pytest.raises(KeyboardInterrupt):
            found.restore()
    assert not found.host.data.exists()
    found.restore()
    assert found.serves()
    assert found.made == 2
    assert found.names() == ["data", "data.previous"]


def test_the_linked_directory_is_found_under_its_other_name(found):
    """What is in its place cannot serve."""
    found.restore()
    (found.host.data / "global/pg_control").write_bytes(b"")
    found.restore()
    assert found.made == 2
    assert found.serves()
    assert found.names() == ["data", "data.previous", "data.undone"]


@pytest.mark.parametrize("backup, words", [({}, "not in the repository any more"), ({"clean": False}, "not clean")])
def test_without_its_backup_there_is_no_way_back(found, backup, words):
    found.require()
    found.knows(**backup)
    with pytest.raises(PgkeepError, match="%s, from which the data come back, is %s" % (LABEL, words)):
        found.require()


def test_without_the_space_for_a_copy_there_is_no_way_back(found):
    found.knows(clean=True, size_bytes=1 << 60)
    with pytest.raises(PgkeepError, match=r"undo of the upgrade of app cannot start.*are free"):
        found.require()


def test_data_that_are_there_already_need_no_backup(found):
    found.knows()
    found.restore()
    found.require()


def test_without_the_directory_there_is_no_way_back_with_any_way(found):
    (found.host.data / "global/pg_control.old").unlink()
    for way, words in (("link", "no directory beside .* has global/pg_control.old"), ("copy", "there are no data in")):
        with pytest.raises(PgkeepError, match=words):
            found.require(replace(RECORD, way=way))
