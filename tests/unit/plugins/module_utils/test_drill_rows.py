# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from dataclasses import replace

import pytest
from ansible_collections.pgkeep.postgres.plugins.module_utils import _drill_rows as drill_rows
from ansible_collections.pgkeep.postgres.plugins.module_utils._counts import Reading, Table
from ansible_collections.pgkeep.postgres.plugins.module_utils._drill_record import Drill
from ansible_collections.pgkeep.postgres.plugins.module_utils._errors import PgkeepError

from .test_dump_manifest import dump, run_of


def table(rows, inserts=100, deletes=0, name="items", reset=None):
    return Table("app", "public", name, rows, inserts, deletes, 16384, reset)


def copy_of(*tables, **more):
    return Reading(tuple(tables), more.pop("skipped", {}), **more)


def compared(recorded, copy, *counters):
    """The verdict, and how long the comparison slept."""
    slept = []
    answers = iter(counters)
    verdict = drill_rows.compare_copy(recorded, copy, lambda: copy_of(next(answers)), slept.append)
    return verdict, slept


def test_the_rows_of_the_backup_and_what_was_written_since():
    verdict, slept = compared([table(100)], copy_of(table(103)), table(None, inserts=105))
    assert verdict == (True, "1 of 1 tables could be compared, all hold the rows they must hold")
    assert slept == []


def test_rows_that_are_gone():
    verdict, slept = compared([table(100)], copy_of(table(90)), table(None), table(None))
    assert verdict == (False, "app: public.items: 90 rows in the copy, at least 100 expected")
    assert slept == [drill_rows.STATISTICS_LAG_SECONDS]


def test_rows_that_the_server_counted_a_moment_later():
    verdict, slept = compared([table(100)], copy_of(table(103)), table(None), table(None, inserts=103))
    assert verdict[0] is True
    assert slept == [drill_rows.STATISTICS_LAG_SECONDS]


def test_counters_that_began_anew_are_named():
    verdict, _slept = compared(
        [table(100)], copy_of(table(90)), table(None, inserts=0, reset="2026-11-21T22:54:00.000000Z")
    )
    assert verdict[0] is True
    assert verdict[1].startswith("0 of 1 tables could be compared; not comparable")
    assert "not comparable: app: public.items (the server's statistics were reset after the backup)" in verdict[1]


def test_a_backup_without_recorded_rows():
    assert compared([], copy_of(), table(None))[0] == (
        True,
        "nothing to compare: no rows were recorded with this backup",
    )


def test_a_damaged_table_has_not_passed():
    verdict, _slept = compared([table(100)], copy_of(damaged=("app: public.items (XX001)",)), table(None))
    assert verdict == (False, "cannot be read: app: public.items (XX001)")


def test_a_database_that_nobody_could_look_at_does_not_condemn_the_backup():
    done = Drill("app", "20261121-225358F")
    copy = copy_of(skipped={"app": "too many connections"})
    assert not done.check("rows", lambda: compared([table(100)], copy, table(None))[0])
    assert done.failed()[0].detail.endswith("could be looked at: app (too many connections)")
    assert not done.condemned
    assert done.check("rows", lambda: compared([table(1)], copy_of(table(0)), table(None), table(None))[0]) is False
    assert done.condemned


def test_a_database_that_could_not_be_read_is_named_and_its_tables_are_not_new():
    lost = Table("lost", "public", "t", 5, 5, 0, 1)
    copy = Reading((table(100), lost), {}, closed=("shut",))
    now = Reading((table(None), lost), {"away": "only app may log in"}, closed=("shut",))
    slept = []
    recorded = [table(100), Table("away", "public", "t", 9, 9, 0, 1)]
    assert drill_rows.compare_copy(
        recorded, copy, lambda: now, slept.append, {"lost": "timeout", "shut": "it allows no connections"}
    ) == (
        True,
        (
            "1 of 1 tables could be compared, all hold the rows they must hold; not comparable:"
            " database shut (its tables could not be read when the backup was made: it allows no connections);"
            " database away (its tables could not be read on the server: only app may log in);"
            " database lost (its tables could not be read when the backup was made: timeout)"
        ),
    )
    assert slept == []


def test_a_backup_of_which_no_database_could_be_read():
    lost = Table("lost", "public", "t", 5, 5, 0, 1)
    reading = Reading((lost,), {})
    passed, detail = drill_rows.compare_copy([], reading, lambda: reading, lambda seconds: None, {"lost": "timeout"})
    assert passed
    assert detail.startswith("0 of 0 tables could be compared; not comparable: database lost (")


DUMPS = replace(run_of("2026-11-21_020005"), databases=(replace(dump("app"), tables=(table(100),)),))


def against_dumps(copy, *counters):
    answers, slept = iter(counters), []
    return drill_rows.compare_dump(DUMPS, copy, lambda: next(answers), slept.append), slept


def test_a_dump_and_the_copy_have_the_same_rows():
    new = Table("app", "public", "new", 5, 5, 0, 1)
    verdict, slept = against_dumps(copy_of(table(100), new), copy_of(table(None), new))
    assert verdict == (
        True,
        "dumps of 2026-11-21T02:00:05Z: 1 of 1 tables could be compared, all hold the rows they must hold",
    )
    assert slept == []


def test_a_dump_that_has_other_rows_fails_the_drill_and_condemns_no_backup():
    done = Drill("app", "20261121-225358F")
    again = copy_of(table(None))
    assert not done.check("dumps", lambda: against_dumps(copy_of(table(99)), again, again)[0])
    assert done.failed()[0].detail.endswith("app: public.items: 99 rows in the copy, at least 100 expected")
    assert not done.condemned


def test_rows_written_since_the_dump_that_were_counted_a_moment_later():
    verdict, slept = against_dumps(copy_of(table(103)), copy_of(table(None)), copy_of(table(None, inserts=103)))
    assert verdict[0]
    assert slept == [drill_rows.STATISTICS_LAG_SECONDS]


def test_a_dumped_database_that_is_closed_now():
    verdict, _slept = against_dumps(Reading((), {}, closed=("app", "other")), copy_of())
    assert verdict[0]
    assert "0 of 0 tables could be compared; not comparable: database app (it allows no connections in" in verdict[1]
    assert "other" not in verdict[1]


def test_many_differences_are_counted():
    recorded = [table(100, name="t%d" % number) for number in range(7)]
    copy = copy_of(*(table(1, name="t%d" % number) for number in range(7)))
    passed, detail = drill_rows.compare_copy(recorded, copy, lambda: Reading(tuple(recorded), {}), lambda seconds: None)
    assert not passed
    assert detail.endswith("; and 2 more")


def test_no_server(tmp_path):
    nowhere = str(tmp_path)
    assert drill_rows.find_canary(nowhere, {"id": 1, "written_at": "now"})[0] is False
    for function in (
        drill_rows.production_timeline,
        drill_rows.read_copy,
        drill_rows.checksum_failures,
        drill_rows.closed,
    ):
        with pytest.raises(PgkeepError, match="No such file or directory"):
            function(nowhere)
