# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import contextlib
from dataclasses import replace

import pytest
from ansible_collections.pgkeep.postgres.plugins.module_utils import _upgrade as upgrade
from ansible_collections.pgkeep.postgres.plugins.module_utils import _upgrade_record as records
from ansible_collections.pgkeep.postgres.plugins.module_utils._audit import Outcome
from ansible_collections.pgkeep.postgres.plugins.module_utils._errors import PgkeepError
from ansible_collections.pgkeep.postgres.plugins.module_utils._rehearsal import Rehearsal, Request
from ansible_collections.pgkeep.postgres.plugins.module_utils._release import read_current
from ansible_collections.pgkeep.postgres.plugins.module_utils._run import Result

from .restore_host import Host

AT = "2026-11-24T09:00:39Z"
REQUEST = Request("sha256:new", 17, "refuse", {}, {}, [], 60)


@pytest.fixture
def host(tmp_path, monkeypatch):
    """An instance that was upgraded from 16 to 17, with both directories on its volume."""

    def write(file):
        with open(file.path, "w") as handle:
            handle.write(file.content)

    monkeypatch.setattr(records, "write", write)
    monkeypatch.setattr(upgrade, "recorded", lambda *words: contextlib.nullcontext(Outcome()))
    found = Host(tmp_path, monkeypatch)
    records.save(found.layout, records.Record(16, 17, "link", records.DONE, AT, "20261124-085921F", 1, "7711"))
    (tmp_path / "volume/16/data").mkdir(parents=True)
    return found


def backups(monkeypatch, started_at, clean=True, proven_at=AT):
    listed = [{"started_at": started_at, "clean": clean, "proven_at": proven_at}]
    monkeypatch.setattr(upgrade, "ask", lambda run, layout, words: {"backup_info": {"backups": listed}})


@pytest.mark.parametrize(
    "backup",
    [
        {"started_at": "2026-11-24T09:00:00Z"},
        {"started_at": "2026-11-24T10:00:00Z", "clean": False},
        {"started_at": "2026-11-24T10:00:00Z", "proven_at": None},
    ],
    ids=["older than the upgrade", "not clean", "not proven"],
)
def test_old_data_are_kept_until_a_backup_of_the_new_major_is_proven(host, monkeypatch, backup):
    backups(monkeypatch, **backup)
    with pytest.raises(PgkeepError, match="of PostgreSQL 16 of app are kept.*no backup of PostgreSQL 17 is proven yet"):
        upgrade.upgrade(host, "app", "clean", None, False)
    assert (host.path / "volume/16/data").is_dir()


def test_old_data_go_and_nothing_else(host, monkeypatch):
    backups(monkeypatch, "2026-11-24T10:00:00Z")
    planned = upgrade.upgrade(host, "app", "clean", None, True)
    assert (host.path / "volume/16/data").is_dir()
    done = upgrade.upgrade(host, "app", "clean", None, False)
    assert done["changed"]
    assert done["upgrade"]["steps"] == planned["upgrade"]["steps"] == ["Removed %s" % (host.path / "volume/16")]
    assert sorted(path.name for path in (host.path / "volume").iterdir()) == ["17"]
    again = upgrade.upgrade(host, "app", "clean", None, False)
    assert not again["changed"]


@pytest.mark.parametrize("left", ["the release is of the former major", "a journal", "both"])
def test_data_that_a_server_may_run_on_are_never_removed(host, monkeypatch, left):
    backups(monkeypatch, "2026-11-24T10:00:00Z")
    if left != "a journal":
        # An undo was committed, and whoever did it was killed before it forgot the upgrade.
        records.save(host.layout, records.Record(17, 18, "copy", records.DONE, AT, "20261124-085921F", 1, "7711"))
        (host.path / "volume/18/data").mkdir(parents=True)
    if left != "the release is of the former major":
        (host.path / "home/releases/journal").write_text("{}")
    with pytest.raises(PgkeepError, match="may serve from them"):
        upgrade.upgrade(host, "app", "clean", None, False)
    assert (host.data / "global/pg_control").exists()
    assert (host.path / "volume/16/data").is_dir()


def test_a_removal_that_is_killed_leaves_nothing_to_start_and_is_finished_by_the_next(host, monkeypatch):
    backups(monkeypatch, "2026-11-24T10:00:00Z")

    def killed(path):
        assert path == str(host.path / "volume/16.removed")
        raise KeyboardInterrupt

    with monkeypatch.context() as during:
        during.setattr(upgrade.shutil, "rmtree", killed)
        with pytest.raises(KeyboardInterrupt):
            upgrade.upgrade(host, "app", "clean", None, False)
    assert records.load(host.layout) is None
    assert sorted(path.name for path in (host.path / "volume").iterdir()) == ["16.removed", "17"]
    assert upgrade.upgrade(host, "app", "clean", None, False)["changed"]
    assert sorted(path.name for path in (host.path / "volume").iterdir()) == ["17"]


def test_what_is_of_the_declared_major_needs_no_rehearsal(host):
    assert not upgrade.upgrade(host, "app", "rehearse", REQUEST, False)["changed"]
    assert host.commands == []


@pytest.mark.parametrize("way, done", [("link", "link"), ("clone", "link"), ("copy", "copy")])
def test_a_rehearsal_takes_the_time_of_its_way(host, way, done):
    used = []

    class Upgrader:
        def fetch_old(self, image):
            pass

        def initialise(self, *words):
            pass

        def upgrade(self, old, new, way):
            used.append(way)

    release = {"major": 17, "server": read_current(host.layout)["server"]}
    Rehearsal(host, host.layout, release, replace(REQUEST, way=way))._upgrade(Upgrader())
    assert used == [done]


def test_a_repository_elsewhere_that_is_away_is_told(host, monkeypatch):
    with open(host.layout.pgbackrest_config_dir + "/pgbackrest.conf", "w") as handle:
        handle.write("repo1-path=/a\nrepo2-path=/b\nrepo2-type=sftp\n")
    monkeypatch.setattr(upgrade, "_extensions", lambda layout: [])
    made = []
    monkeypatch.setattr(upgrade, "_statistics", lambda run, layout, major: made.append(major) or [])
    failing = Result(62, "2026-11-24 09:30:00.000 P00  ERROR: [049]: unable to connect\n")
    monkeypatch.setattr(upgrade.docker, "execute", lambda *words, **more: failing)
    with pytest.raises(PgkeepError, match=r"Repository 2 of app does not take.*\[049\]: unable to connect"):
        upgrade.upgrade(host, "app", "finish", None, False)
    # Applications need them, wherever the repository is.
    assert made == [17]
    for said, steps in (("already up to date", []), ("", ["Told repository 2 from which server WAL comes now"])):
        monkeypatch.setattr(upgrade.docker, "execute", lambda *words, told=said, **more: Result(0, told))
        assert upgrade.upgrade(host, "app", "finish", None, False)["upgrade"]["steps"] == steps
