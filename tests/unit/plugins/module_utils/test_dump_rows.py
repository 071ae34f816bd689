# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The rows of dumps: what came back, and what a restored physical copy has."""

from __future__ import annotations

from dataclasses import replace

import pytest
from ansible_collections.pgkeep.postgres.plugins.module_utils._counts import Reading, Table
from ansible_collections.pgkeep.postgres.plugins.module_utils._dump_database import setting_values
from ansible_collections.pgkeep.postgres.plugins.module_utils._dump_rows import crosscheck, differences

from .test_dump_manifest import dump, run_of

# 100 rows in the dump; 120 had ever been inserted, 20 deleted.
THEN = Table("shop", "public", "orders", 100, 120, 20, 16384, "2026-11-01T00:00:00Z")
NOW = replace(THEN, rows=None)
FAST = Table("shop", "public", "fast", 9, 9, 0, 16390, "2026-11-01T00:00:00Z")
RUN = replace(
    run_of("2026-11-21_020005"),
    databases=(replace(dump("shop"), tables=(THEN, FAST), unlogged=(("public", "fast"),)),),
)


def reading(*tables: Table) -> Reading:
    return Reading(tables, {})


def test_what_came_back_is_compared_by_table() -> None:
    uncounted = replace(THEN, table="locked", rows=None)
    gone = replace(THEN, table="gone")
    restored = [replace(THEN, database="shop_restored", rows=99), replace(uncounted, rows=3), replace(THEN, schema="x")]
    assert differences([THEN, uncounted, gone], restored) == [
        "public.orders has 99 rows, dumped were 100",
        "public.gone is missing",
    ]
    assert differences([THEN], [replace(THEN, database="other")]) == []


@pytest.mark.parametrize(
    "written, found, expected",
    [
        (0, 100, ("exact", True)),
        (0, 99, ("too_few", False)),
        (0, 101, ("too_many", False)),
        (5, 103, ("within", True)),
        (5, 106, ("too_many", False)),
    ],
)
def test_a_physical_copy_has_what_the_dump_had(written: int, found: int, expected: tuple[str, bool]) -> None:
    (check,) = crosscheck(RUN, reading(replace(NOW, inserts=120 + written)), reading(replace(THEN, rows=found)))
    assert (check.id, check.passed) == expected


def test_a_table_that_the_copy_lost() -> None:
    (check,) = crosscheck(RUN, reading(NOW), reading())
    assert (check.id, check.passed) == ("missing", False)


def test_what_was_not_dumped_is_not_compared() -> None:
    other = replace(THEN, database="other")
    checks = crosscheck(RUN, reading(NOW, other), reading(THEN, other))
    assert [check.subject for check in checks] == ["shop: public.orders"]


@pytest.mark.parametrize(
    "key, value, expected",
    [
        ("work_mem", "7MB", ["7MB"]),
        ("DateStyle", "German, DMY", ["German, DMY"]),
        ("search_path", 'public, "$user", "se""lect, x"', ["public", "$user", 'se"lect, x']),
        ("search_path", '""', [""]),
        ("search_path", "", [""]),
        ("my.search_path", "a, b", ["a, b"]),
    ],
)
def test_a_list_stays_a_list(key: str, value: str, expected: list[str]) -> None:
    assert setting_values(key, value) == expected


def test_what_cannot_be_read_now_is_not_compared() -> None:
    assert crosscheck(RUN, reading(), reading(), ["shop"]) == []
