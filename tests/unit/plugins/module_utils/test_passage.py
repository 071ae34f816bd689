# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The way across and the ways back, on real directories; what containers do is recorded."""

from __future__ import annotations

import pytest
from ansible_collections.pgkeep.postgres.plugins.module_utils import _passage as passage
from ansible_collections.pgkeep.postgres.plugins.module_utils import _upgrade_record as records
from ansible_collections.pgkeep.postgres.plugins.module_utils._crossing import Crossing
from ansible_collections.pgkeep.postgres.plugins.module_utils._declared import declare
from ansible_collections.pgkeep.postgres.plugins.module_utils._errors import PgkeepError
from ansible_collections.pgkeep.postgres.plugins.module_utils._pg_upgrade import Upgrader
from ansible_collections.pgkeep.postgres.plugins.module_utils._run import Result

from .instance_options import options
from .restore_host import SYSTEM_ID, Host

AT = "2026-11-24T09:00:39Z"
ID = str(SYSTEM_ID)


class Harness:
    """A host whose server was stopped for an upgrade from 17 to 18. pg_upgrade does what upgrade does."""

    def __init__(self, host, way):
        self.host, self.way = host, way
        self.new = host.data.parents[1] / "18"
        self.restored = []
        declared = declare(options(major=18, upgrade=way), "sha256:new", "sha256:new-keeper")
        self.passage = passage.Passage(host, declared, Crossing(17, 18, way), stamp="1")
        self.passage._record = records.Record(17, 18, way, records.CROSSING, AT, "20261124-085921F", 3, ID)
        (self.new / "data.upgrade-1/global").mkdir(parents=True)

    def upgrade(self, old, new, way):
        """As pg_upgrade leaves the directories behind."""
        control = (self.host.data / "global/pg_control").read_bytes()
        (self.new / "data.upgrade-1/global/pg_control").write_bytes(control)
        if way == "link":
            (self.host.data / "global/pg_control").rename(self.host.data / "global/pg_control.old")

    def refuse(self, old, new, way):
        self.upgrade(old, new, way)
        raise PgkeepError("pg_upgrade of app from 17 refuses", "a file is lost")

    def restore(self, run, layout, server, root, record):
        self.restored.append((server.image, record.label))

    def history(self):
        with open(self.host.layout.state_dir + "/history") as handle:
            return [line.split(" ", 1)[1].rstrip() for line in handle]

    def registered(self):
        """The majors that the repository was told of."""
        found = [argv for argv in self.host.commands if "stanza-upgrade" in argv]
        return [next(word for word in argv if word.startswith("--pg1-path=")).split("/")[4] for argv in found]


@pytest.fixture
def harness(tmp_path, monkeypatch):
    def write(file):
        with open(file.path, "w") as handle:
            handle.write(file.content)

    monkeypatch.setattr(records, "write", write)
    # In the test's own process a signal has to keep its meaning.
    monkeypatch.setattr(passage, "finish_what_began", lambda: None)
    host = Host(tmp_path, monkeypatch)
    host.history("2026-11-21T20:00:00Z initialised system-id=7711 timeline=3\n")

    def make(way, fails=False):
        found = Harness(host, way)
        monkeypatch.setattr(Upgrader, "upgrade", found.refuse if fails else found.upgrade)
        monkeypatch.setattr(passage, "restore_former", found.restore)
        return found

    return make


def crossed(found):
    found.passage.cross()
    found.passage.embark()
    return found


def test_the_repository_and_the_history_know_the_new_server_before_its_start(harness):
    found = crossed(harness("link"))
    assert sorted(path.name for path in found.new.iterdir()) == ["data"]
    assert found.registered() == ["18"]
    assert found.history()[-1].startswith("upgraded system-id=")
    assert found.history()[-1].endswith("from=3 timeline=16")
    assert records.load(found.host.layout).phase == records.STARTED


def test_wal_that_only_the_old_server_has_is_archived_before_anything_is_linked(harness, monkeypatch):
    found = harness("link")
    status = found.host.data / "pg_wal/archive_status"
    done = next(path for path in sorted(status.glob("*.done")) if (status.parent / path.stem).is_file())
    done.rename(done.with_suffix(".ready"))
    answers = found.host.__class__.__call__

    def fails(self, argv, data=None, env=None, timeout=None):
        answer = answers(self, argv, data, env, timeout)
        return Result(1, "", "no space") if any("archive-push" in word for word in argv) else answer

    monkeypatch.setattr(Host, "__call__", fails)
    with pytest.raises(PgkeepError, match="WAL of the old server does not reach the repository: " + done.stem):
        found.passage.cross()
    assert (found.host.data / "global/pg_control").exists()


def test_a_server_that_was_not_stopped_cleanly_is_not_upgraded(harness):
    found = harness("link")
    (found.host.data / "global/pg_control").write_bytes(b"")
    with pytest.raises(PgkeepError, match="not stopped cleanly"):
        found.passage.cross()


@pytest.mark.parametrize("way", ["link", "copy"])
def test_before_the_start_the_old_directory_is_as_it_was(harness, way):
    found = harness(way, fails=True)
    with pytest.raises(PgkeepError, match="a file is lost"):
        found.passage.cross()
    assert found.passage.take_back() == "its data are as they were"
    assert (found.host.data / "global/pg_control").exists()
    assert list(found.new.iterdir()) == []
    assert found.registered() == []
    assert found.restored == []
    assert records.load(found.host.layout) is None


def test_between_upgrade_and_start_the_repository_is_told_again(harness):
    found = harness("link")
    found.passage.cross()
    assert found.passage.take_back() == "its data are as they were"
    assert found.registered() == ["18", "17"]
    assert list(found.new.iterdir()) == []
    assert (found.host.data / "global/pg_control").exists()


def test_after_the_start_linked_data_come_from_the_repository(harness):
    found = crossed(harness("link"))
    told = found.passage.take_back()
    assert told.startswith("its data were restored from backup 20261124-085921F")
    assert told.endswith("lies in %s" % (found.new / "data.undone-1"))
    assert found.restored == [("sha256:server", "20261124-085921F")]
    # Never again under the name that the entrypoint starts.
    assert not (found.host.data / "global/pg_control").exists()
    assert [path.name for path in found.new.iterdir()] == ["data.undone-1"]
    assert found.registered() == ["18", "17"]


def test_data_that_cannot_be_restored_take_no_others_away(harness, monkeypatch):
    found = crossed(harness("link"))

    def fails(*words):
        raise PgkeepError("The copy is not usable", "a file is damaged")

    monkeypatch.setattr(passage, "restore_former", fails)
    with pytest.raises(PgkeepError, match="a file is damaged"):
        found.passage.take_back()
    assert [path.name for path in found.new.iterdir()] == ["data"]
    assert records.load(found.host.layout).phase == records.STARTED
    assert found.registered() == ["18"]


def test_after_the_start_copied_data_are_simply_there(harness):
    found = crossed(harness("copy"))
    words = "its data are as they were; what was committed to the new server meanwhile lies in "
    assert found.passage.take_back() == words + str(found.new / "data.undone-1")
    assert found.restored == []
    assert (found.host.data / "global/pg_control").exists()
    assert [path.name for path in found.new.iterdir()] == ["data.undone-1"]
    assert found.history()[-1].endswith("restored system-id=%s from=1 timeline=3" % ID)


def test_a_failure_does_not_forget_the_upgrade_before(harness):
    found = harness("link", fails=True)
    former = records.Record(16, 17, "copy", records.DONE, AT, "20261101-000000F", 1, "7700")
    found.passage.known = former
    with pytest.raises(PgkeepError, match="a file is lost"):
        found.passage.cross()
    found.passage.take_back()
    assert records.load(found.host.layout) == former


def test_one_that_was_killed_after_the_start_is_not_done_twice(harness):
    found = crossed(harness("link"))
    again = passage.Passage(found.host, found.passage.declared, Crossing(17, 18, "link"))
    assert again.started
    assert again.resumed
    assert not found.passage.resumed
    before = len(found.host.commands)
    again.cross()
    again.embark()
    assert len(found.host.commands) == before
    assert found.history().count(found.history()[-1]) == 1


@pytest.mark.parametrize("way, restored", [("link", [("sha256:new", "20261124-085921F")]), ("copy", [])])
def test_an_undo_brings_the_old_data_and_tells_the_repository(harness, way, restored):
    found = crossed(harness(way))
    undo = passage.Passage(found.host, found.passage.declared, Crossing(18, 17, "undo"), stamp="2")
    undo.cross()
    assert found.restored == restored
    assert found.registered() == ["18", "17"]
    assert undo.take_back() == "its data are as they were"
    assert records.load(found.host.layout).way == way


@pytest.mark.parametrize("way, needed", [("link", 1.1), ("clone", 0), ("copy", 1)])
def test_space_for_a_second_copy_is_asked_for_before_anything_stops(harness, monkeypatch, way, needed):
    found = harness(way)
    size = 4096 * passage.MB
    monkeypatch.setattr(passage, "require_serving", lambda layout: None)
    monkeypatch.setattr(passage, "refuse_left_behind", lambda layout: None)
    monkeypatch.setattr(passage, "newest_clean", lambda run, layout: "20261124-085921F")
    monkeypatch.setattr(passage, "query", lambda socket_dir, statement: [("", size, 3, ID)])
    asked = []

    def require(path, needed_bytes, what):
        asked.append(needed_bytes)
        raise PgkeepError("The %s cannot start" % what, "no space")

    monkeypatch.setattr(passage, "require_space", require)
    with pytest.raises(PgkeepError, match="The upgrade of app cannot start"):
        found.passage.leave(lambda: None)
    assert asked == [256 * passage.MB + int(size * needed)]
    assert found.host.writing() == []


def test_an_undo_looks_for_its_way_back_before_anything_stops(harness, monkeypatch):
    found = crossed(harness("link"))
    found.host.info = {"backup_info": {"instance": "app", "status": "ok", "status_text": "", "backups": []}}
    undo = passage.Passage(found.host, found.passage.declared, Crossing(18, 17, "undo"), stamp="2")
    before = len(found.host.writing())
    with pytest.raises(PgkeepError, match="backup 20261124-085921F, from which the data come back, is not in"):
        undo.leave(lambda: None)
    assert len(found.host.writing()) == before


def test_the_way_needs_a_clean_backup(harness, monkeypatch):
    found = harness("link")
    info = {"status": "ok", "status_text": "no backup", "newest_clean": None}
    monkeypatch.setattr(passage, "ask", lambda run, layout, words: {"backup_info": info})
    with pytest.raises(PgkeepError, match="no backup is clean, so there would be no way back"):
        passage.newest_clean(found.host, found.host.layout)


def test_what_would_be_left_behind_is_refused(harness, monkeypatch):
    layout = harness("link").host.layout
    found = [("logical replication slot feed",), ("tablespace fast",)]
    monkeypatch.setattr(passage, "query", lambda socket_dir, statement: found)
    with pytest.raises(PgkeepError, match="does not bring along logical replication slot feed; tablespace fast"):
        passage.refuse_left_behind(layout)
    found.clear()
    passage.refuse_left_behind(layout)
