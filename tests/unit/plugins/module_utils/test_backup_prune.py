# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from dataclasses import replace

import pytest
from ansible_collections.pgkeep.postgres.plugins.module_utils._backup_prune import make_plan
from ansible_collections.pgkeep.postgres.plugins.module_utils._errors import PgkeepError
from ansible_collections.pgkeep.postgres.plugins.module_utils._evidence import judge

from .recorded_pgbackrest import STANZA, snapshot

TEMPLATE = judge(STANZA, snapshot("ok"), {})[0]


def made(words):
    """F, D and I are full, diff and incr, small letters not clean; each is called by its place: F0 D1 I2 …"""
    return [
        replace(
            TEMPLATE,
            label="%d%s" % (number, letter),
            type={"f": "full", "d": "diff", "i": "incr"}[letter.lower()],
            clean=letter.isupper(),
            repository_bytes=10**number,
        )
        for number, letter in enumerate(words)
    ]


def plan(words, keep, **builds_on):
    backups = made(words)
    needs = {name[1:]: value.split() for name, value in builds_on.items()}
    return make_plan(backups, [backup for backup in backups if backup.clean], needs, keep)


def test_old_sets_go_and_the_newest_stays():
    found = plan("FIFI", 2, _3I="2F")
    assert (found.kept, found.removed) == (("2F", "3I"), ("0F", "1I"))
    assert (found.fulls, found.freed_bytes) == (1, 11)


def test_what_is_needed_stays_also_when_it_is_not_among_the_newest():
    found = plan("FIDI", 1, _3I="0F 2D")
    assert (found.kept, found.removed, found.fulls) == (("0F", "2D", "3I"), ("1I",), 1)


def test_one_that_is_not_clean_never_counts_and_goes():
    found = plan("FfFf", 2)
    assert (found.kept, found.removed, found.fulls) == (("0F", "2F"), ("1f", "3f"), 4)


def test_fewer_than_wanted_all_stay():
    assert plan("FI", 3, _1I="0F").removed == ()


@pytest.mark.parametrize("words, keep, why", [("F", 0, "no clean backup would be left"), ("ff", 3, "none of the 2")])
def test_without_a_clean_one_nothing_is_removed(words, keep, why):
    with pytest.raises(PgkeepError, match=why):
        plan(words, keep)
