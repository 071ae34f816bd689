# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest
from ansible_collections.pgkeep.postgres.plugins.module_utils._page_sparkline import Bar, gauge, sparkline


def test_the_newest_point_is_at_the_right_end_and_the_scale_begins_at_zero():
    line = sparkline([5, 10], length=3)
    assert line.line == "M120.0 20.0 L240.0 3.0"
    assert line.area == "M120.0 40 L120.0 20.0 240.0 3.0 L240.0 40 Z"
    assert line.last == "M240.0 3.0 L240.0 3.0"
    assert (line.low, line.high, line.missing) == (5, 10, 1)


def test_only_the_newest_points_count():
    assert sparkline([1000, 1, 2, 3], length=3).high == 3


def test_what_is_not_known_is_a_gap_and_a_point_alone_is_seen():
    line = sparkline([1, None, 1, 1, None], length=5)
    assert line.line == "M0.0 3.0 L0.0 3.0 M120.0 3.0 L180.0 3.0"
    assert line.last == ""
    assert line.missing == 2


def test_a_scale_of_its_own_shows_what_moves_near_the_top():
    assert sparkline([99.5, 99.9], length=2, floor=None).line == "M0.0 37.0 L240.0 23.4"
    assert sparkline([50, 100], length=2, floor=None).line == "M0.0 37.0 L240.0 3.0"


@pytest.mark.parametrize("points", [[], [None] * 80, ["x", True, float("nan")]])
def test_nothing_known_draws_nothing(points):
    line = sparkline(points)
    assert (line.line, line.area, line.last, line.low, line.high, line.missing) == ("", "", "", None, None, 60)


def test_zeros_are_a_line_at_the_bottom():
    assert sparkline([0, 0], length=2).line == "M0.0 37.0 L240.0 37.0"


@pytest.mark.parametrize(
    "arguments, expected",
    [
        ((75.2, 100, 70, 85), Bar(75.2, 70.0, 85.0)),
        ((130, 100, 70, 100), Bar(100.0, 70.0, None)),
        ((-1, 4, None, 3), Bar(0.0, None, 75.0)),
        ((None, 100), None),
        ((1, None), None),
        ((1, 0), None),
    ],
)
def test_a_bar_ends_at_its_ends(arguments, expected):
    assert gauge(*arguments) == expected
