# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rows of a copy against rows recorded with the backup."""

from __future__ import annotations

from dataclasses import replace
from typing import Optional

import pytest
from ansible_collections.pgkeep.postgres.plugins.module_utils._counts import (
    Reading,
    Table,
    compare,
    table_from_dict,
)

# 100 rows at backup time; 120 had ever been inserted, 20 deleted.
THEN = Table("shop", "public", "orders", 100, 120, 20, 16384, "2026-11-01T00:00:00Z")
NOW = replace(THEN, rows=None)


def outcome(then: Table, now: Optional[Table], copy: Optional[Table]) -> tuple[str, Optional[bool], str]:
    (check,) = compare([then], [now] if now else [], [copy] if copy else [])
    return check.id, check.passed, check.detail


def rows(count: int) -> Table:
    # A copy has counters and files of its own; only its rows count.
    return Table("shop", "public", "orders", count, 0, 0, 99, None)


@pytest.mark.parametrize(
    "inserts, deletes, found, expected",
    [
        (0, 0, 100, ("exact", True, "100 rows")),
        (0, 0, 99, ("too_few", False, "99 rows in the copy, at least 100 expected")),
        (0, 0, 101, ("too_many", False, "101 rows in the copy, at most 100 expected")),
        (7, 0, 100, ("within", True, "100 rows, 100 to 107 expected")),
        (7, 0, 107, ("within", True, "107 rows, 100 to 107 expected")),
        (7, 0, 99, ("too_few", False, "99 rows in the copy, at least 100 expected")),
        (7, 0, 108, ("too_many", False, "108 rows in the copy, at most 107 expected")),
        (0, 30, 70, ("within", True, "70 rows, 70 to 100 expected")),
        (0, 30, 69, ("too_few", False, "69 rows in the copy, at least 70 expected")),
        (500, 500, 0, ("within", True, "0 rows, 0 to 600 expected")),
    ],
)
def test_what_was_written_since_decides(
    inserts: int, deletes: int, found: int, expected: tuple[str, bool, str]
) -> None:
    now = replace(NOW, inserts=120 + inserts, deletes=20 + deletes)
    assert outcome(THEN, now, rows(found)) == expected


def test_a_truncated_table_may_be_empty() -> None:
    now = replace(NOW, filenode=20000, inserts=125)
    assert outcome(THEN, now, rows(0)) == ("within", True, "0 rows, 0 to 105 expected")
    assert outcome(THEN, now, rows(106))[0] == "too_many"


@pytest.mark.parametrize(
    "now",
    [
        replace(NOW, inserts=5, deletes=0),
        replace(NOW, deletes=19),
        # The counters overtook the old ones after the reset; only its time tells.
        replace(NOW, inserts=900, deletes=20, stats_reset="2026-11-20T00:00:00Z"),
        replace(NOW, stats_reset=None),
    ],
)
def test_reset_statistics_are_not_a_pass(now: Table) -> None:
    for count in (100, 5):
        assert outcome(THEN, now, rows(count)) == (
            "not_comparable",
            None,
            "the server's statistics were reset after the backup",
        )


def test_without_counters_nothing_is_comparable() -> None:
    assert outcome(THEN, replace(NOW, inserts=None, deletes=None), rows(100))[:2] == ("not_comparable", None)
    assert outcome(replace(THEN, inserts=None, deletes=None), NOW, rows(100))[:2] == ("not_comparable", None)


def test_rows_that_were_not_counted() -> None:
    assert outcome(replace(THEN, rows=None), NOW, rows(100)) == (
        "not_comparable",
        None,
        "its rows could not be counted when the backup was made",
    )
    assert outcome(THEN, NOW, replace(rows(0), rows=None))[:2] == ("not_comparable", None)


def test_a_table_that_is_missing_in_the_copy() -> None:
    assert outcome(THEN, NOW, None)[:2] == ("missing", False)
    # Also when its rows were never counted.
    assert outcome(replace(THEN, rows=None), NOW, None)[:2] == ("missing", False)


def test_a_table_that_was_dropped() -> None:
    assert outcome(THEN, None, None)[:2] == ("dropped", True)
    assert outcome(THEN, None, rows(42)) == (
        "not_comparable",
        None,
        "it is no longer on the server; 42 rows in the copy, 100 recorded",
    )


def test_a_table_that_was_dropped_and_made_anew() -> None:
    then, anew = replace(THEN, oid=1), replace(NOW, inserts=200, filenode=20000, oid=2)
    # The counters of the new one say nothing about the old one.
    assert outcome(then, anew, replace(rows(1200), oid=2))[:2] == ("anew", True)
    # Recovery ended before it was dropped.
    assert outcome(then, anew, replace(rows(1200), oid=1)) == (
        "not_comparable",
        None,
        "it is no longer on the server; 1200 rows in the copy, 100 recorded",
    )
    # Or between the two.
    assert outcome(then, anew, None)[:2] == ("dropped", True)
    # An earlier version wrote no oid down.
    assert outcome(THEN, replace(NOW, oid=2), replace(rows(99), oid=2))[0] == "too_few"


def test_a_new_table_is_named() -> None:
    new = replace(rows(5), table="new")
    checks = compare([THEN], [NOW, replace(NOW, table="new")], [rows(100), new])
    assert [(check.id, check.subject) for check in checks] == [
        ("exact", "shop: public.orders"),
        ("new", "shop: public.new"),
    ]


def test_tables_of_the_same_name_are_told_apart() -> None:
    other = replace(THEN, database="archive", rows=3)
    checks = compare([THEN, other], [NOW, replace(other, rows=None)], [rows(100), replace(rows(2), database="archive")])
    assert [check.id for check in checks] == ["exact", "too_few"]


def test_unchanged_needs_counters_that_tell() -> None:
    assert NOW.unchanged(THEN)
    for change in ({"inserts": 121}, {"deletes": 21}, {"filenode": 1}, {"stats_reset": None}, {"oid": 1}):
        assert not replace(NOW, **change).unchanged(THEN)
    blind = replace(THEN, inserts=None, deletes=None)
    assert not blind.unchanged(blind)


def test_sum_of_rows() -> None:
    locked = replace(THEN, rows=None)
    assert Reading((THEN, THEN, locked), {}).rows == 200
    assert Reading((), {}).rows == 0
    assert Reading((locked,), {}).rows is None


def test_through_json_and_back() -> None:
    assert table_from_dict(THEN.to_dict()) == THEN
    assert table_from_dict({**THEN.to_dict(), "added_by_a_later_version": 1}) == THEN
