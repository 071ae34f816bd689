# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Lines of an hour, and how fast a disk fills."""

from __future__ import annotations

import pytest
from ansible_collections.pgkeep.postgres.plugins.module_utils import _trend as trend

DAY = 86400.0


def test_each_minute_has_its_mean_and_those_without_a_value_have_none() -> None:
    minutes = trend.Minutes()
    assert minutes.summary()["response_ms"] == []
    for now, value in ((0, 1.0), (5, 3.0), (60, 4.0), (185, None)):
        minutes.add(float(now), {"response_ms": value})
    assert minutes.summary()["response_ms"] == [2.0, 4.0, None, None]
    assert minutes.summary()["sessions_active"] == [None] * 4


def test_no_more_than_an_hour_is_kept() -> None:
    minutes = trend.Minutes()
    for minute in range(200):
        minutes.add(minute * 60.0, {"response_ms": float(minute)})
    assert minutes.summary()["response_ms"] == [float(minute) for minute in range(140, 200)]
    minutes.add(100_000 * 60.0, {"response_ms": 1.0})
    assert minutes.summary()["response_ms"] == [None] * 59 + [1.0]


def test_a_clock_that_was_set_back_begins_another_minute() -> None:
    minutes = trend.Minutes()
    minutes.add(6000.0, {"response_ms": 1.0})
    minutes.add(0.0, {"response_ms": 2.0})
    assert minutes.summary()["response_ms"] == [1.0, 2.0]


def samples(count: int, per_day: float) -> list[tuple[float, float]]:
    found: list[tuple[float, float]] = []
    for number in range(count):
        now = number * trend.SAMPLE_SECONDS
        found = trend.sampled(found, now, 1000.0 + per_day * now / DAY)
    return found


def test_growth_is_told_from_twelve_samples_on() -> None:
    assert trend.growth_per_day(samples(11, 100.0)) is None
    assert trend.growth_per_day(samples(12, 100.0)) == 100.0
    assert trend.growth_per_day(samples(400, -7.0)) == -7.0
    assert len(samples(400, 1.0)) == trend.SAMPLES


def test_a_sample_is_taken_every_ten_minutes() -> None:
    assert trend.sampled([(0.0, 1.0)], 599.0, 2.0) == [(0.0, 1.0)]
    assert trend.sampled([(0.0, 1.0)], 600.0, 2.0) == [(0.0, 1.0), (600.0, 2.0)]
    # Set back: what is of a time to come is gone.
    assert trend.sampled([(0.0, 1.0), (9000.0, 5.0)], 600.0, 2.0) == [(0.0, 1.0), (600.0, 2.0)]


@pytest.mark.parametrize("growth, days", [(None, None), (0.0, None), (-5.0, None), (50.0, 20.0)])
def test_days_to_full(growth: float | None, days: float | None) -> None:
    assert trend.days_to_full(1000.0, growth) == days
