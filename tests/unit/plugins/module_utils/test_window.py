# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""When a maintenance window is open and when it opens, by clocks that are given."""

from __future__ import annotations

from datetime import datetime, timezone

import pytest
from ansible_collections.pgkeep.postgres.plugins.module_utils._errors import PgkeepError
from ansible_collections.pgkeep.postgres.plugins.module_utils._window import parse


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=timezone.utc)


# 2026-01-04 is a Sunday.
@pytest.mark.parametrize(
    "window, now, is_open, opens",
    [
        ("Sun 02:00-04:00", "2026-01-04 01:59:59", False, "2026-01-04 02:00"),
        ("Sun 02:00-04:00", "2026-01-04 02:00:00", True, "2026-01-04 02:01"),
        ("Sun 02:00-04:00", "2026-01-04 03:59:59", True, "2026-01-11 02:00"),
        ("Sun 02:00-04:00", "2026-01-04 04:00:00", False, "2026-01-11 02:00"),
        ("Sun 02:00-04:00", "2026-01-05 03:00:00", False, "2026-01-11 02:00"),
        # Without days, and with the end of the day as its end.
        ("22:00-24:00", "2026-01-05 23:59:00", True, "2026-01-06 22:00"),
        ("22:00-24:00", "2026-01-06 00:00:00", False, "2026-01-06 22:00"),
        # Across midnight it belongs to the day on which it opens.
        ("Sun 23:00-01:30", "2026-01-04 23:30:00", True, "2026-01-04 23:31"),
        ("Sun 23:00-01:30", "2026-01-05 01:29:00", True, "2026-01-11 23:00"),
        ("Sun 23:00-01:30", "2026-01-04 00:30:00", False, "2026-01-04 23:00"),
        ("Sun 23:00-01:30", "2026-01-05 23:30:00", False, "2026-01-11 23:00"),
        # Ranges go on over the end of the week, and words are of any case.
        ("fri-MON,wed 02:00-03:00", "2026-01-04 02:30:00", True, "2026-01-04 02:31"),
        ("fri-MON,wed 02:00-03:00", "2026-01-05 03:00:00", False, "2026-01-07 02:00"),
        ("fri-MON,wed 02:00-03:00", "2026-01-08 02:30:00", False, "2026-01-09 02:00"),
        # Its own clock counts, the day included: 00:30 of Sunday in Berlin is Saturday in UTC.
        ("Sun 00:00-01:00 Europe/Berlin", "2026-01-03 23:30:00", True, "2026-01-03 23:31"),
        ("Sun 00:00-01:00 Europe/Berlin", "2026-01-04 00:30:00", False, "2026-01-10 23:00"),
        ("Sun 00:00-01:00 Europe/Berlin", "2026-07-04 22:30:00", True, "2026-07-04 22:31"),
        # 2026-03-29: from 02:00 to 03:00 in one step, at 01:00 UTC. The hour is in no window.
        ("Sun 02:00-03:00 Europe/Berlin", "2026-03-28 12:00:00", False, "2026-04-05 00:00"),
        ("Sun 02:30-04:00 Europe/Berlin", "2026-03-29 00:59:00", False, "2026-03-29 01:00"),
        ("Sun 02:30-04:00 Europe/Berlin", "2026-03-29 01:59:00", True, "2026-04-05 00:30"),
        # 2026-10-25: from 03:00 back to 02:00, at 01:00 UTC. The hour is in it twice.
        ("Sun 02:00-03:00 Europe/Berlin", "2026-10-24 23:59:00", False, "2026-10-25 00:00"),
        ("Sun 02:00-03:00 Europe/Berlin", "2026-10-25 01:59:00", True, "2026-11-01 01:00"),
        ("Sun 02:30-03:00 Europe/Berlin", "2026-10-25 01:10:00", False, "2026-10-25 01:30"),
    ],
)
def test_it_is_open_while_its_own_clock_shows_a_time_inside(window: str, now: str, is_open: bool, opens: str) -> None:
    found = parse(window)
    assert found.is_open(at(now)) is is_open
    assert found.opens(at(now)) == at(opens)


def test_the_zone_of_the_asking_clock_does_not_matter() -> None:
    now = at("2026-01-04 01:30:00")
    berlin = now.astimezone(parse("00:00-01:00 Europe/Berlin").zone)
    assert berlin.hour == 2
    assert not parse("02:00-03:00").is_open(berlin)
    assert parse("02:00-03:00 Europe/Berlin").is_open(now)


@pytest.mark.parametrize(
    "window, why",
    [
        ("", "it is not"),
        ("sometimes", "it is not"),
        ("Sun 2-4", "it is not"),
        ("Sunday 02:00-04:00", "days are Mon, Tue"),
        ("Sun- 02:00-04:00", "days are Mon, Tue"),
        ("Sun,,Mon 02:00-04:00", "days are Mon, Tue"),
        ("02:00-25:00", "times are 00:00 to 24:00"),
        ("24:00-02:00", "times are 00:00 to 24:00"),
        ("02:60-03:00", "times are 00:00 to 24:00"),
        ("02:00-02:00", "it ends when it begins"),
        ("02:00-04:00 Europe/Nowhere", "the time zone Europe/Nowhere is not known"),
        ("02:00-04:00 Europe", "the time zone Europe is not known"),
        ("02:00-04:00 /etc/localtime", "the time zone /etc/localtime is not known"),
    ],
)
def test_anything_else_is_refused_with_an_example(window: str, why: str) -> None:
    with pytest.raises(PgkeepError) as caught:
        parse(window)
    assert caught.value.what == "The maintenance window %r cannot be used" % window
    assert caught.value.why.startswith(why)
    assert "Sun 02:00-04:00 Europe/Berlin" in caught.value.next_step


def test_a_window_that_never_opens_is_told() -> None:
    """Whatever it is that skips its hours: nobody may search for ever."""
    found = parse("02:00-03:00")
    with pytest.raises(PgkeepError, match="never opens"):
        type(found)(frozenset(), found.begin, found.end, found.zone).opens(at("2026-01-01 00:00"))
