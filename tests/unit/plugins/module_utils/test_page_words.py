# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest
from ansible_collections.pgkeep.postgres.plugins.module_utils import _page_words as words

NOW = words.moment("2026-11-24T10:00:00Z")


def untied(shown: str) -> str:
    return shown.replace("\u00a0", " ").replace("\u202f", " ")


@pytest.mark.parametrize("form", [words.plain, words.percent, words.ratio, words.size, words.duration])
@pytest.mark.parametrize("value", [None, "", "12", True, [], {}, float("nan"), float("inf")])
def test_what_is_no_number_is_unknown_and_never_zero(form, value):
    assert form(value) == "unknown"


@pytest.mark.parametrize(
    "value, shown", [(0, "0"), (0.2, "0.2"), (23.14, "23.1"), (99.97, "100"), (1284310, "1 284 310"), (-2.5, "-2.5")]
)
def test_a_number_has_as_many_digits_as_a_glance_takes_in(value, shown):
    assert untied(words.plain(value)) == shown


@pytest.mark.parametrize(
    "value, shown",
    [(0.0, "0 %"), (0.0001, "< 0.1 %"), (75.24, "75.2 %"), (99.99, "> 99.9 %"), (100.0, "100 %"), (103, "103 %")],
)
def test_nearly_all_is_not_all_and_little_is_not_nothing(value, shown):
    assert untied(words.percent(value)) == shown


@pytest.mark.parametrize(
    "seconds, shown",
    [
        (0.0, "0 s"),
        (4.21, "4.2 s"),
        (59.4, "59 s"),
        (59.6, "1 min"),
        (185, "3 min 5 s"),
        (722, "12 min"),
        (3599, "59 min"),
        (12240, "3 h 24 min"),
        (34211, "9 h 30 min"),
        (172799, "47 h"),
        (273600, "3 d 4 h"),
        (44 * 86400, "44 d"),
        (-3, "0 s"),
    ],
)
def test_a_duration_has_two_units_while_the_greater_one_is_small(seconds, shown):
    assert untied(words.duration(seconds)) == shown


def test_a_size_is_that_of_the_rest_of_the_project():
    assert [untied(words.size(value)) for value in (0, 16777216, -536870912)] == ["0 bytes", "16 MB", "-512 MB"]


def test_a_unit_loses_its_plural():
    shown = [untied(words.unit(value, "sessions")) for value in (0, 1, 2)] + [untied(words.unit(1, "s"))]
    assert shown == ["0 sessions", "1 session", "2 sessions", "1 s"]


def test_a_moment_is_told_by_its_distance():
    moments = ("2026-11-24T09:30:00Z", "2026-11-25T00:30:00Z", None, "yesterday")
    assert [untied(words.ago(at, NOW)) for at in moments] == ["30 min ago", "in 14 h", "unknown", "unknown"]
    assert untied(words.ago(moments[0], None)) == "unknown"
    assert [untied(words.clock(at)) for at in moments[1:3]] == ["25 Nov 00:30 UTC", "unknown"]
    assert [untied(words.date(at)) for at in moments[1:3]] == ["25 Nov 2026", "unknown"]


@pytest.mark.parametrize(
    "value, shown",
    [
        (None, ""),
        ("one\n\ttwo\x00", "one two"),
        ("a\u202egnp.exe", "a gnp.exe"),
        ("\ud83d alone", "? alone"),
        ("a" * 30, "a" * 9 + "…"),
        ("مرحبا", "مرحبا"),
        (7, "7"),
    ],
)
def test_words_of_others_are_one_short_line_without_tricks(value, shown):
    assert words.text(value, 10) == shown


def test_a_section_or_a_list_that_is_something_else_is_empty():
    data = {"a": None, "b": [1, None, {"c": 2}], "d": {"e": 1}}
    assert [words.section(data, key) for key in ("a", "b", "d", "x")] == [{}, {}, {"e": 1}, {}]
    assert [words.rows(data, key) for key in ("a", "b", "d", "x")] == [[], [{"c": 2}], [], []]
