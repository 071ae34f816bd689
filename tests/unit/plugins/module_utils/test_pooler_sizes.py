# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The sum of all pools against what the server has."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.pgkeep.postgres.plugins.module_utils._errors import PgkeepError
from ansible_collections.pgkeep.postgres.plugins.module_utils._pooler_sizes import pools

ONE = [("app", "app")]
THREE = [("app", "app"), ("app", "reader"), ("shop", "shop")]


def sized(pairs: Any, connections: Any = 100, major: int = 17, settings: Any = None, **options: Any) -> Any:
    values = {"max_connections": str(connections), **(settings or {})}
    return pools({"size": 0, "sizes": {}, "min_size": 2, **options}, pairs, values, major)


@pytest.mark.parametrize(
    "pairs, connections, size",
    [
        # 80 % of 80 connections without 4 of our own = 60 for three pools.
        (THREE, 100, 20),
        (THREE, 80, 20),
        (THREE, 79, 19),
        # Of few connections what is reserved matters more: 17 - 5 - 2 for health checks - 4 = 6.
        (THREE, 17, 2),
        (ONE, 13, 2),
        (ONE, 31, 20),
        (ONE, 30, 19),
    ],
)
def test_a_size_that_nobody_names_is_lowered_until_the_sum_fits(pairs: Any, connections: int, size: int) -> None:
    found = sized(pairs, connections)
    assert set(found.size.values()) == {size}
    assert found.total <= found.available


def test_below_two_connections_each_nothing_fits() -> None:
    with pytest.raises(PgkeepError) as refused:
        sized(THREE, 16)
    assert str(refused.value) == (
        "The pools of the pooler could exhaust the server. Why: 2 x 2 for app + 1 x 2 for shop + 4 of our own = 10,"
        " more than 9 = max_connections 16 - 5 reserved - 2 for health checks. Next: lower postgres_pooler_size to 1"
        " or less, or give the server 17 connections (postgres_server_connections)."
    )


def test_a_size_of_the_inventory_is_not_lowered_but_refused_with_the_sum() -> None:
    with pytest.raises(PgkeepError, match=r"2 x 40 for app \+ 1 x 40 for shop \+ 4 of our own = 124, more than 93"):
        sized(THREE, 100, size=40)
    assert sized(THREE, 100, size=29).total == 91


def test_a_database_with_a_size_of_its_own_leaves_less_to_the_others() -> None:
    found = sized(THREE, 40, sizes={"shop": 25})
    # 40 - 7 - 4 - 25 = 4 for the two pools of app.
    assert found.size == {"app": 2, "shop": 25}
    assert (found.most("app"), found.most("shop"), found.total) == (4, 25, 33)


def test_a_size_for_a_database_that_nobody_uses_is_a_typing_error() -> None:
    with pytest.raises(PgkeepError, match="shpo cannot be sized.*app, shop.*postgres_pooler_sizes"):
        sized(THREE, sizes={"shpo": 3})


@pytest.mark.parametrize(
    "major, settings, available",
    [
        (17, {}, 93),
        # Before 16 there are no reserved_connections.
        (15, {}, 95),
        (17, {"reserved_connections": 20}, 75),
        (17, {"max_connections": 50}, 43),
        (17, {"superuser_reserved_connections": "10"}, 86),
    ],
)
def test_what_is_left_follows_the_settings_of_the_inventory(major: int, settings: Any, available: int) -> None:
    assert sized(ONE, major=major, settings=settings).available == available


def test_without_users_there_is_nothing_to_share() -> None:
    assert sized([]).total == 4
