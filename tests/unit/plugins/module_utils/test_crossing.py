# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which changes of the major version a deploy makes, and what a killed one leaves to do."""

from __future__ import annotations

import os

import pytest
from ansible_collections.pgkeep.postgres.plugins.module_utils import _crossing as crossing
from ansible_collections.pgkeep.postgres.plugins.module_utils import _release
from ansible_collections.pgkeep.postgres.plugins.module_utils import _upgrade_record as records
from ansible_collections.pgkeep.postgres.plugins.module_utils._declared import declare
from ansible_collections.pgkeep.postgres.plugins.module_utils._errors import PgkeepError

from .instance_options import options
from .restore_host import Host

AT = "2026-11-24T09:00:39Z"


def written(file):
    with open(file.path, "w") as handle:
        handle.write(file.content)


@pytest.fixture
def host(tmp_path, monkeypatch):
    """An instance of PostgreSQL 17."""
    monkeypatch.setattr(records, "write", written)
    return Host(tmp_path, monkeypatch)


def wish(major, upgrade="refuse", image="sha256:new"):
    return declare(options(major=major, upgrade=upgrade), image, "sha256:new-keeper")


def rehearsed(host, image="sha256:new", before=17, after=18):
    records.save_rehearsal(host.layout, records.Rehearsal(before, after, image, AT))


def upgraded(host, phase, before=16, after=17, way="link"):
    record = records.Record(before, after, way, phase, AT, "20261124-085921F", 1, "7711")
    records.save(host.layout, record)


def test_the_same_major_is_no_change(host):
    assert crossing.find_crossing(wish(17)) is None


def test_a_deploy_does_not_upgrade(host):
    rehearsed(host)
    with pytest.raises(PgkeepError, match=r"17 of app does not become 18 by a deploy.*upgrade.yml with confirm=app"):
        crossing.find_crossing(wish(18))


def test_an_upgrade_needs_a_rehearsal_with_the_same_image(host):
    for other in ("nothing", "image", "major"):
        if other != "nothing":
            rehearsed(host, "sha256:other" if other == "image" else "sha256:new", after=19 if other == "major" else 18)
        with pytest.raises(PgkeepError, match="no rehearsal with this image has passed"):
            crossing.find_crossing(wish(18, "link"))
    assert crossing.find_crossing(wish(18, "link"), check_mode=True) == crossing.Crossing(17, 18, "link")
    rehearsed(host)
    assert crossing.find_crossing(wish(18, "link")) == crossing.Crossing(17, 18, "link")


@pytest.mark.parametrize("upgrade", crossing.CHOICES)
def test_an_older_major_is_refused_whatever_is_asked(host, upgrade):
    with pytest.raises(PgkeepError, match="17 of app cannot become 16.*no upgrade from 16 to undo"):
        crossing.find_crossing(wish(16, upgrade))


def test_an_upgrade_is_undone_only_where_that_is_asked_for(host):
    upgraded(host, records.DONE)
    with pytest.raises(PgkeepError, match="lose what was written since.*way=undo"):
        crossing.find_crossing(wish(16))
    assert crossing.find_crossing(wish(16, "undo")) == crossing.Crossing(17, 16, "undo")


def test_an_upgrade_that_was_killed_after_the_start_goes_on(host):
    upgraded(host, records.STARTED, before=17, after=18, way="copy")
    with pytest.raises(PgkeepError, match=r"to PostgreSQL 18 is not finished.*upgrade.yml with confirm=app"):
        crossing.find_crossing(wish(18))
    # Without another rehearsal: the new server has the data.
    assert crossing.find_crossing(wish(18, "link")) == crossing.Crossing(17, 18, "copy")
    with pytest.raises(PgkeepError, match="18 of app does not become 17"):
        crossing.find_crossing(wish(17))


def test_only_an_upgrade_that_is_not_finished_is_given_up_and_only_where_that_is_asked_for(host):
    assert crossing.given_up(wish(17, "undo")) is None
    upgraded(host, records.STARTED, before=17, after=18, way="copy")
    assert crossing.given_up(wish(17, "undo")) == crossing.Crossing(17, 18, "copy")
    assert crossing.given_up(wish(17)) is None
    assert crossing.given_up(wish(18, "undo")) is None
    for phase, before, after in ((records.DONE, 16, 17), (records.CROSSING, 17, 18)):
        upgraded(host, phase, before=before, after=after)
        assert crossing.given_up(wish(before, "undo")) is None


def test_an_upgrade_that_was_killed_before_the_start_is_taken_back(host):
    old, new = host.data / "global", host.data.parents[1] / "18"
    (old / "pg_control").rename(old / "pg_control.old")
    for folder in ("data/global", "data.upgrade-1/global"):
        (new / folder).mkdir(parents=True)
    upgraded(host, records.CROSSING, before=17, after=18)
    assert crossing.recover(host, host.layout) == ["Took back an upgrade from PostgreSQL 17 to 18 that was killed"]
    assert (old / "pg_control").exists()
    assert os.listdir(new) == []
    assert records.load(host.layout) is None
    assert any("stanza-upgrade" in argv and "--pg1-path=/var/lib/postgresql/17/data" in argv for argv in host.commands)
    assert crossing.recover(host, host.layout) == []


def test_one_that_was_killed_later_is_not_touched(host):
    upgraded(host, records.STARTED, before=17, after=18)
    assert crossing.recover(host, host.layout) == []
    assert host.commands == []
    assert records.serving_major(host.layout) == 18


def test_an_undo_that_was_committed_is_finished(host):
    upgraded(host, records.DONE, before=17, after=18)
    new = host.data.parents[1] / "18"
    (new / "data/global").mkdir(parents=True)
    crossing.recover(host, host.layout)
    assert records.load(host.layout) is None
    assert [path.name.split("-")[0] for path in new.iterdir()] == ["data.undone"]
    assert (host.data / "global/pg_control").exists()


def test_an_upgrade_that_is_done_stays_so(host):
    upgraded(host, records.DONE)
    assert crossing.recover(host, host.layout) == []
    assert records.load(host.layout).phase == records.DONE


def test_a_control_file_that_is_there_is_never_replaced(host):
    (host.data / "global/pg_control.old").write_text("old")
    before = (host.data / "global/pg_control").read_bytes()
    crossing.give_back_control(str(host.data))
    assert (host.data / "global/pg_control").read_bytes() == before


def test_before_the_first_release_every_major_is_right(host):
    os.unlink(os.path.join(host.layout.releases_dir, "current"))
    assert _release.read_current(host.layout) is None
    assert crossing.find_crossing(wish(18)) is None
