# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest
from ansible_collections.pgkeep.postgres.plugins.module_utils import _drill_rows as drill_rows
from ansible_collections.pgkeep.postgres.plugins.module_utils._counts import Reading, Table
from ansible_collections.pgkeep.postgres.plugins.module_utils._errors import PgkeepError


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


@pytest.mark.parametrize(
    "copy", [copy_of(skipped={"app": "could not open file"}), copy_of(damaged=("app: public.items (XX001)",))]
)
def test_what_cannot_be_read_has_not_passed(copy):
    verdict, _slept = compared([table(100)], copy, table(None))
    assert verdict[0] is False
    assert "cannot be read: app" in verdict[1]


def test_many_differences_are_counted():
    recorded = [table(100, name="t%d" % number) for number in range(7)]
    copy = copy_of(*(table(1, name="t%d" % number) for number in range(7)))
    passed, detail = drill_rows.compare_copy(recorded, copy, lambda: Reading(tuple(recorded), {}), lambda seconds: None)
    assert not passed
    assert detail.endswith("; and 2 more")


def test_no_server(tmp_path):
    nowhere = str(tmp_path)
    assert drill_rows.find_canary(nowhere, {"id": 1, "written_at": "now"})[0] is False
    for function in (drill_rows.production_timeline, drill_rows.read_copy, drill_rows.checksum_failures):
        with pytest.raises(PgkeepError, match="No such file or directory"):
            function(nowhere)
