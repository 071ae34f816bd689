# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from datetime import datetime, timezone

import pytest
from ansible_collections.pgkeep.postgres.plugins.module_utils import _target as targets
from ansible_collections.pgkeep.postgres.plugins.module_utils import _target_choice as choices
from ansible_collections.pgkeep.postgres.plugins.module_utils._errors import PgkeepError
from ansible_collections.pgkeep.postgres.plugins.module_utils._pgfiles import parse_timeline_history

from .recorded import changed, load

NOW = datetime(2026, 11, 21, 22, 54, 40, tzinfo=timezone.utc)
REACH = datetime(2026, 11, 21, 22, 54, 37, tzinfo=timezone.utc)
PARENTS = tuple(parse_timeline_history(load("pgfiles/clean.json")["histories"]["00000010.history"]).items())


def backups():
    return load("drill/info.json")["backup_info"]["backups"]


def choose(target, found=None, **more):
    values = {"timeline": 16, "parents": PARENTS, "reach": REACH, "open_end": True, "now": NOW}
    archive = choices.Archive(backups() if found is None else found, **{**values, **more})
    return choices.choose(target, archive)


def hole(first, last=None, after=REACH, until=None):
    return choices.Hole(first, last or first, after, until)


def at(text):
    return targets.parse_target(None, text)


@pytest.mark.parametrize(
    "text,moment",
    [
        ("2026-11-21T20:12:31Z", "2026-11-21 20:12:31.000000+00"),
        ("2026-11-21t20:12:31z", "2026-11-21 20:12:31.000000+00"),
        ("2026-11-21 20:12:31.275932+00", "2026-11-21 20:12:31.275932+00"),
        ("2026-11-21 21:12:31.5+01:00", "2026-11-21 20:12:31.500000+00"),
        ("2026-11-21 21:12:31 +0100", "2026-11-21 20:12:31.000000+00"),
        ("2026-11-21 20:12 UTC", "2026-11-21 20:12:00.000000+00"),
        ("2026-11-20 18:42:31-05:30", "2026-11-21 00:12:31.000000+00"),
    ],
)
def test_a_time_in_the_words_of_pgbackrest(text, moment):
    assert targets.pgbackrest_time(targets.parse_time(text)) == moment


@pytest.mark.parametrize(
    "text,why",
    [
        ("2026-11-21 20:12:31", "it has no timezone"),
        ("2026-11-21", "it is not a date with a time of day"),
        ("yesterday", "it is not a date with a time of day"),
        ("2026-11-21 20:12:31 CET", "it is not a date with a time of day"),
        ("2026-02-30T20:12:31Z", "day"),
        ("2026-11-21T25:12:31Z", "does not match"),
    ],
)
def test_a_time_that_cannot_be_used(text, why):
    with pytest.raises(PgkeepError) as caught:
        targets.parse_time(text)
    assert why in caught.value.why
    assert text in caught.value.what
    assert "2026-11-21T20:12:31Z" in caught.value.next_step


def test_the_newest_state_begins_with_the_newest_clean_backup():
    choice = choose(targets.parse_target(None, None))
    assert str(choice.target) == "latest"
    assert choice.restore_args() == "--set=20261121-225358F --target-timeline=16"


def test_a_backup_that_is_not_clean_is_passed_over():
    found = changed({"backups": backups()}, "backups.12.clean", False)["backups"]
    assert choose(targets.parse_target(None, None), found).label == found[11]["label"]


def test_a_backup_on_a_branch_that_was_left_is_passed_over():
    # Timeline 8 was undone: its backup is newer than all, and production cannot be reached from it.
    found = [*backups(), {**backups()[-1], "label": "20261121-225400F", "wal_stop": "000000080000000000000030"}]
    assert choose(targets.parse_target(None, None), found).label == "20261121-225358F"


def test_no_clean_backup():
    found = [{**backups()[0], "clean": False, "reasons": ["page checksum errors in base/5/16384"]}]
    with pytest.raises(PgkeepError) as caught:
        choose(targets.parse_target(None, None), found)
    assert caught.value.what == "There is nothing to restore from"
    assert "page checksum errors in base/5/16384" in caught.value.why
    assert found[0]["label"] in caught.value.next_step


def test_no_backup_at_all():
    with pytest.raises(PgkeepError, match="the repository has no backup"):
        choose(targets.parse_target(None, None), [])


def test_a_hole_behind_the_newest_backup_is_refused():
    with pytest.raises(PgkeepError) as caught:
        choose(targets.parse_target(None, None), holes=[hole("000000100000000000000086")])
    assert "000000100000000000000086" in caught.value.why
    assert caught.value.next_step == (
        "name the backup with label to restore its end, or a time before 2026-11-21T22:54:37Z"
    )


def test_a_hole_before_it_does_not_matter():
    assert (
        choose(targets.parse_target(None, None), holes=[hole("0000000F0000000000000080")]).label == "20261121-225358F"
    )


def test_a_label_restores_the_end_of_that_backup():
    label = backups()[0]["label"]
    choice = choose(targets.parse_target(label, None))
    assert str(choice.target) == label
    assert choice.restore_args() == "--set=%s --type=immediate --target-action=promote" % label


def test_a_label_may_be_of_a_backup_that_is_not_clean():
    found = changed({"backups": backups()}, "backups.0.clean", False)["backups"]
    assert choose(targets.parse_target(found[0]["label"], None), found).label == found[0]["label"]


def test_a_label_that_is_not_there():
    with pytest.raises(PgkeepError) as caught:
        choose(targets.parse_target("20200101-000000F", None))
    assert "20200101-000000F" in caught.value.what
    assert backups()[-1]["label"] in caught.value.why


def test_a_time_begins_with_the_newest_backup_that_had_ended():
    # The backups ended at :53:09 and :53:59; one of the same second may have ended after the target.
    assert choose(at("2026-11-21T22:54:00Z")).label == "20261121-225358F"
    choice = choose(at("2026-11-21T22:53:59.900Z"))
    assert choice.label == "20261121-225308F"
    assert choice.restore_args() == (
        "--set=20261121-225308F --target-timeline=16 --type=time --target=2026-11-21 22:53:59.900000+00"
        " --target-action=promote"
    )
    assert str(choice.target) == "2026-11-21T22:53:59.900000Z"


@pytest.mark.parametrize(
    "time,more,why",
    [
        ("2026-11-21T22:19:05Z", {}, "it is before the end of the oldest usable backup"),
        ("2026-11-21T22:54:41Z", {}, "it is in the future"),
        ("2026-11-21T22:54:38Z", {"open_end": False}, "it is later than the last archived WAL"),
        ("2026-11-21T22:54:38Z", {"holes": [hole("000000100000000000000086")]}, "it lies in a gap of the archive"),
    ],
)
def test_a_time_outside_the_window(time, more, why):
    with pytest.raises(PgkeepError) as caught:
        choose(at(time), **more)
    assert why in caught.value.why
    assert time in caught.value.what
    assert caught.value.next_step.startswith("choose a")


def test_the_window_is_told():
    with pytest.raises(PgkeepError, match="window is 2026-11-21T22:19:06Z to 2026-11-21T22:54:37Z"):
        choose(at("2026-11-21T22:00:00Z"), open_end=False)


@pytest.mark.parametrize(
    "more,words,args",
    [
        ({"lsn": "0/8600a000"}, "lsn 0/8600A000", "--type=lsn --target=0/8600A000 --target-exclusive"),
        ({"xid": "771"}, "xid 771", "--type=xid --target=771"),
        ({"immediate": True}, "immediate", "--type=immediate"),
    ],
)
def test_a_target_in_the_words_of_pgbackrest(more, words, args):
    choice = choose(targets.parse_target(None, None, **more))
    assert str(choice.target) == words
    assert choice.label == "20261121-225358F"
    timeline = "" if more.get("immediate") else "--target-timeline=16 "
    assert choice.restore_args("pause") == "--set=20261121-225358F %s%s --target-action=pause" % (timeline, args)


@pytest.mark.parametrize(
    "more", [{"lsn": "3000060"}, {"lsn": "0/3000060 "}, {"xid": "0"}, {"xid": "x"}, {"restore_point": "a b"}]
)
def test_a_target_that_cannot_be_read(more):
    with pytest.raises(PgkeepError, match="cannot be used.*Next: write it as"):
        targets.parse_target(None, None, **more)


def test_a_position_begins_with_the_newest_backup_that_ended_before_it():
    # The last two backups of the recording ended at 0/85024AE8 and 0/80000158.
    assert choose(targets.parse_target(None, None, lsn="0/85024AE8")).label == "20261121-225358F"
    assert choose(targets.parse_target(None, None, lsn="0/85024AE7")).label == "20261121-225308F"


@pytest.mark.parametrize(
    "position,more,why",
    [
        ("0/28", {}, "it is before the end of the oldest usable backup; the recoverable WAL goes from 0/"),
        ("0/9000000A", {"end": 0x90000000}, "no WAL was written so far; the recoverable WAL goes from 0/"),
        ("0/86000000", {"holes": [hole("000000100000000000000086")]}, "it lies in a gap of the archive"),
        ("0/99000000", {"holes": [hole("000000100000000000000086")]}, "it lies in a gap of the archive"),
    ],
)
def test_a_position_that_cannot_be_reached(position, more, why):
    with pytest.raises(PgkeepError) as caught:
        choose(targets.parse_target(None, None, lsn=position), **more)
    assert caught.value.what == "The position %s cannot be restored" % position
    assert why in caught.value.why
    assert caught.value.next_step.startswith("choose a")


def test_a_position_before_a_gap():
    target = targets.parse_target(None, None, lsn="0/85FFFFF0")
    assert choose(target, holes=[hole("000000100000000000000086")]).label == "20261121-225358F"


def test_a_time_in_a_gap_and_one_behind_it():
    until = targets.moment_of(backups()[-1]["stopped_at"])
    holes = [hole("000000100000000000000083", None, targets.moment_of("2026-11-21T22:53:30Z"), until)]
    with pytest.raises(PgkeepError) as caught:
        choose(at("2026-11-21T22:53:40Z"), holes=holes)
    assert "WAL is missing, 000000100000000000000083; what was committed after 2026-11-21T22:53:30Z" in caught.value.why
    assert caught.value.next_step == "choose a time up to 2026-11-21T22:53:30Z, or one after 2026-11-21T22:53:59Z"
    assert choose(at("2026-11-21T22:53:29Z"), holes=holes).label == "20261121-225308F"
    assert choose(at("2026-11-21T22:54:10Z"), holes=holes).label == "20261121-225358F"


POINT = {"name": "rp", "created_at": "2026-11-21T22:53:20.5Z", "label": "20261121-225308F", "follow": 7}


def test_a_known_point_says_its_backup_and_its_timeline():
    choice = choose(targets.parse_target(None, None, "rp"), points=[POINT])
    assert choice.restore_args() == (
        "--set=20261121-225308F --target-timeline=7 --type=name --target=rp --target-action=promote"
    )
    assert choice.moment == targets.moment_of(POINT["created_at"])


def test_an_unknown_point_needs_a_label():
    with pytest.raises(PgkeepError, match="those that can are: rp. Next: choose one of them, or name with label"):
        choose(targets.parse_target(None, None, "other"), points=[POINT])
    choice = choose(targets.parse_target("20261121-225308F", None, "other"), points=[POINT])
    assert (choice.label, choice.timeline) == ("20261121-225308F", 16)


def test_a_label_beside_a_transaction_is_where_recovery_begins():
    choice = choose(targets.parse_target("20261121-225308F", None, xid="9"))
    assert choice.restore_args() == (
        "--set=20261121-225308F --target-timeline=16 --type=xid --target=9 --target-action=promote"
    )


def upgraded(after):
    """The backups up to the one of that index are of PostgreSQL 15, the later ones of 17."""
    return [{**one, "major": 15 if number <= after else 17} for number, one in enumerate(backups())]


def test_a_backup_of_another_major_is_passed_over():
    found = [*upgraded(11), {**backups()[-1], "label": "20261121-225400F", "major": 18}]
    assert choose(targets.parse_target(None, None), found, major=17).label == "20261121-225358F"
    assert choose(targets.parse_target(None, None), found, major=15).label == found[11]["label"]


def test_a_keeper_from_before_tells_no_major():
    assert choose(targets.parse_target(None, None), major=17).label == "20261121-225358F"


def test_a_label_of_another_major_is_refused_at_once():
    found = upgraded(11)
    with pytest.raises(PgkeepError) as caught:
        choose(targets.parse_target(found[0]["label"], None), found, major=17)
    assert caught.value.why == "it is of PostgreSQL 15 and the instance has 17, which cannot read it"
    assert caught.value.next_step == (
        "choose one of PostgreSQL 17, which are 20261121-225358F; or bring the former version back: upgrade.yml with"
        " way=undo, as long as its data are kept"
    )


def test_a_point_of_another_major_is_refused_at_once():
    found = upgraded(11)
    point = {"name": "before", "label": found[11]["label"], "follow": 16, "created_at": "2026-11-21T22:53:50Z"}
    with pytest.raises(PgkeepError, match="of PostgreSQL 15"):
        choose(targets.parse_target(None, None, "before"), found, points=[point], major=17)


@pytest.mark.parametrize("target", [at("2026-11-21T22:53:50Z"), targets.parse_target(None, None, lsn="0/7000CB8")])
def test_a_moment_before_the_upgrade_is_refused(target):
    with pytest.raises(PgkeepError) as caught:
        choose(target, upgraded(11), major=17)
    assert "earlier backups are of PostgreSQL 15, which 17 cannot read" in caught.value.why
    assert "way=undo" in caught.value.next_step


def test_a_moment_before_all_backups_has_nothing_to_do_with_an_upgrade():
    with pytest.raises(PgkeepError) as caught:
        choose(at("2026-11-21T01:00:00Z"), upgraded(11), major=17)
    assert caught.value.next_step == "choose a later time"


def test_only_backups_of_another_major():
    with pytest.raises(PgkeepError) as caught:
        choose(targets.parse_target(None, None), upgraded(99), major=17)
    assert "clean backups are of PostgreSQL 15, which 17 cannot read" in caught.value.why
    assert "backup.yml" in caught.value.next_step
