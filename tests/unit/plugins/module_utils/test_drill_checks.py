# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the inventory may ask of a copy. That it is asked, and cannot write, is shown by tests/integration."""

from __future__ import annotations

from decimal import Decimal

import pytest
from ansible_collections.pgkeep.postgres.plugins.module_utils import _drill_checks as checks
from ansible_collections.pgkeep.postgres.plugins.module_utils._errors import PgkeepError

GOOD = {"name": "orders", "database": "app", "sql": "select count(*) from orders", "expect": 3}


def test_nothing_said_is_the_default():
    assert checks.parse("app", {}) == checks.Wanted(6 * 3600.0, ())


def test_a_check_is_as_it_was_written():
    wanted = checks.parse("app", {"timeout_minutes": 0.5, "checks": [GOOD, {**GOOD, "name": "paid", "expect": True}]})
    assert wanted.timeout_seconds == 30
    assert [(check.name, check.database, check.expect) for check in wanted.checks] == [
        ("orders", "app", "3"),
        ("paid", "app", "true"),
    ]


@pytest.mark.parametrize(
    ("topic", "why"),
    [
        ({"timeout_minutes": 0}, "is 0, not a number above 0"),
        ({"timeout_minutes": "60"}, "is '60', not a number above 0"),
        ({"timeout_minutes": True}, "is True"),
        ({"checks": ["select 1"]}, "has not exactly the keys name, database, sql, expect: 'select 1'"),
        ({"checks": [{**GOOD, "timeout": 3}]}, "has not exactly the keys"),
        ({"checks": [{"name": "orders"}]}, "has not exactly the keys"),
        ({"checks": [{**GOOD, "sql": " "}]}, "sql of a check is not a text: ' '"),
        ({"checks": [{**GOOD, "database": 5}]}, "database of a check is not a text: 5"),
        ({"checks": [{**GOOD, "expect": [1]}]}, r"the check orders expects \[1\], not one value"),
        ({"repositories": 2}, "postgres_backup_drill_repositories is 2, not a list of numbers"),
        ({"repositories": ["2"]}, "not a list of numbers"),
        ({"repositories": [0]}, "not a list of numbers"),
        ({"checks": [GOOD, GOOD]}, "two checks have the name orders"),
    ],
)
def test_what_cannot_be_asked(topic, why):
    with pytest.raises(PgkeepError, match=why) as caught:
        checks.parse("app", topic)
    assert "postgres_backup_drill_checks" in caught.value.next_step


@pytest.mark.parametrize(
    ("found", "expect", "passed"),
    [
        ([(3,)], "3", True),
        ([(Decimal("1.50"),)], "1.50", True),
        ([(True,)], "true", True),
        ([(None,)], "null", True),
        ([("off",)], "off", True),
        ([(4,)], "3", False),
        ([(None,)], "0", False),
        ([], "3", False),
        ([(3,), (3,)], "3", False),
        ([(3, 3)], "3", False),
    ],
)
def test_one_value_and_no_other(found, expect, passed):
    assert checks.judge(found, expect)[0] is passed


def test_a_long_answer_is_cut():
    assert len(checks.judge([("x" * 5000,)], "y" * 5000)[1]) < 250


def test_a_copy_that_does_not_answer_has_not_passed(tmp_path):
    pytest.importorskip("psycopg2")
    check = checks.parse("app", {"checks": [GOOD]}).checks[0]
    assert checks.run_check(str(tmp_path), check)[0] is False
