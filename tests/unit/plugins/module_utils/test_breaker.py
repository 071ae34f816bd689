# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A breaker leaves alone who fails, except when something has changed; checks do not flicker."""

from __future__ import annotations

import pytest
from ansible_collections.pgkeep.postgres.plugins.module_utils._breaker import CLOSED, HALF_OPEN, OPEN, Breaker
from ansible_collections.pgkeep.postgres.plugins.module_utils._hysteresis import Hysteresis


def opened(now: float = 0.0, around: object = "same") -> Breaker:
    breaker = Breaker()
    for _number in range(5):
        assert breaker.allows(now, around)
        breaker = breaker.failed(now, around)
    return breaker


def test_it_opens_at_the_fifth_failure_in_a_row() -> None:
    breaker = Breaker()
    for _number in range(4):
        breaker = breaker.failed(0.0, "same")
    assert breaker.state == CLOSED
    assert breaker.succeeded() == Breaker()
    assert breaker.failed(7.0, "same").state == OPEN
    assert breaker.failed(7.0, "same").opened_at == 7.0


def test_the_pause_doubles_up_to_five_minutes() -> None:
    breaker, now, pauses = opened(), 0.0, []
    for _number in range(6):
        wait = breaker.open_seconds
        assert not breaker.allows(now + wait - 0.1, "same")
        now += wait
        assert breaker.allows(now, "same")
        pauses.append(wait)
        breaker = breaker.failed(now, "same")
    assert pauses == [30, 60, 120, 240, 300, 300]


def test_what_has_changed_is_tried_at_once() -> None:
    breaker = opened(around=(1000.0, "old password"))
    assert not breaker.allows(1.0, (1000.0, "old password"))
    assert breaker.allows(1.0, (2000.0, "old password"))
    assert breaker.allows(1.0, (1000.0, "new password"))


def test_two_successes_close_it() -> None:
    half = opened().succeeded()
    assert half.state == HALF_OPEN
    assert half.allows(0.1, "same")
    assert half.succeeded() == Breaker()
    assert half.failed(1.0, "same").state == OPEN
    assert half.failed(1.0, "same").open_seconds == 60


def test_a_clock_that_was_set_back_does_not_prolong_it() -> None:
    assert opened(now=1000.0).allows(10.0, "same")


def told(statuses: list[str], *, at_once: bool = False) -> list[str]:
    hysteresis = Hysteresis()
    return [hysteresis.settle("x", each, float(now), at_once=at_once)[0] for now, each in enumerate(statuses)]


H, W, C, U = "healthy", "warning", "critical", "unknown"


@pytest.mark.parametrize(
    "found, expected",
    [
        ([H, W, H, W, W], [H, H, H, H, W]),
        ([H, C, C, C], [H, H, W, C]),
        ([H, C, C, H, H], [H, H, W, W, H]),
        ([H, W, W, C, C, C], [H, H, W, W, W, C]),
        ([C, H, C, H, H], [C, C, C, C, H]),
        ([C, W, W, H, H], [C, C, W, W, H]),
        # The first word is the truth as far as anybody knows, and so is that nothing is known.
        ([C], [C]),
        ([H, U, C], [H, U, C]),
    ],
)
def test_words_change_when_they_last(found: list[str], expected: list[str]) -> None:
    assert told(found) == expected


def test_a_server_that_is_not_there_needs_no_repetition() -> None:
    assert told([H, C, H, H], at_once=True) == [H, C, C, H]
    assert told([H, W], at_once=True) == [H, W]


def test_since_and_news() -> None:
    hysteresis = Hysteresis()
    found = [hysteresis.settle("x", each, float(now), at_once=True) for now, each in enumerate([H, C, C, U, H, U, C])]
    assert [(since, news) for _status, since, news in found] == [
        (0.0, False),
        (1.0, True),
        (1.0, False),
        (3.0, False),
        (4.0, False),
        (5.0, False),
        (6.0, True),
    ]
