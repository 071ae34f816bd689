# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Expiry never breaks the floor of two clean full backups."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Optional

import pytest
from ansible_collections.pgkeep.postgres.plugins.module_utils._backup_expire import (
    expire,
    fulls_to_keep,
    remove_leftovers,
)
from ansible_collections.pgkeep.postgres.plugins.module_utils._backup_repository import Keeper
from ansible_collections.pgkeep.postgres.plugins.module_utils._errors import PgkeepError
from ansible_collections.pgkeep.postgres.plugins.module_utils._evidence import Backup, judge
from ansible_collections.pgkeep.postgres.plugins.module_utils._run import Result

from .recorded_pgbackrest import STANZA, snapshot, text

TEMPLATE = judge(STANZA, snapshot("ok"), {})[0]


def fulls(words: str) -> list[Backup]:
    """One full backup per letter, oldest first: c is clean, b is bad, i an incremental one on top of it."""
    made: list[Backup] = []
    for number, letter in enumerate(words):
        label = "2026112%d-000000F" % number
        kind = "incr" if letter == "i" else "full"
        made.append(replace(TEMPLATE, label=label, type=kind, clean=letter != "b", reasons=["bad"] * (letter == "b")))
    return made


# backups, how many of the oldest the retention would remove -> how many fulls have to stay
@pytest.mark.parametrize(
    "words, doomed, keep",
    [
        ("ccc", 0, None),
        ("ccc", 1, None),
        ("ccc", 2, 2),
        ("ccc", 3, 2),
        ("cc", 1, 2),
        ("c", 1, 1),
        ("c", 0, None),
        ("", 0, None),
        # The newest two count as two for pgBackRest; the clean ones are behind them.
        ("ccbb", 2, 4),
        ("ccbbc", 3, 4),
        ("cbcb", 1, 4),
        ("bbc", 2, None),
        ("bb", 1, None),
        ("cicic", 3, 2),
    ],
)
def test_floor(words: str, doomed: int, keep: Optional[int]) -> None:
    backups = fulls(words)
    assert fulls_to_keep(backups, [backup.label for backup in backups[:doomed]]) == keep


class Expire:
    """pgbackrest expire: the dry run answers what it was given, everything else with nothing to do."""

    def __init__(self, dry_run: str) -> None:
        self.dry_run = dry_run
        self.calls: list[list[str]] = []

    def __call__(self, argv: list[str], timeout: Any = None) -> Result:
        self.calls.append(argv)
        override = any(word.startswith("--repo1-retention-full=") for word in argv)
        return Result(0, text("log-expire-dry-run-nothing.txt" if override else self.dry_run))


def keeper(run: Expire) -> Keeper:
    return Keeper(STANZA, run, "/nonexistent", "/nonexistent", "/nonexistent", "/nonexistent")


def test_clean_backups_are_not_pushed_out() -> None:
    # Recorded with retention 1 right after a bad full backup; the next one is clean.
    clean, incr, diff, bad, _bad_incr = judge(STANZA, snapshot("page-errors"), {})
    newest = replace(clean, label="20261122-000000F")
    run = Expire("log-expire-dry-run-bad-pushes-good.txt")
    assert expire(keeper(run), [clean, incr, diff, bad, newest], check=False) == {"removed": [], "kept_fulls": 3}
    assert ["--dry-run" in argv for argv in run.calls] == [True, False]
    assert "--repo1-retention-full=3" in run.calls[1]


def test_check_removes_nothing() -> None:
    backups = judge(STANZA, snapshot("ok"), {})
    run = Expire("log-expire-diff.txt")
    assert expire(keeper(run), backups, check=True) == {"removed": [backups[2].label], "kept_fulls": None}
    assert all("--dry-run" in argv for argv in run.calls)


def test_nothing_is_expired_after_a_bad_backup() -> None:
    run = Expire("log-expire-diff.txt")
    with pytest.raises(PgkeepError, match="the newest backup .* is not clean: page checksum errors"):
        expire(keeper(run), judge(STANZA, snapshot("page-errors"), {}), check=False)
    assert run.calls == []


def test_leftovers_are_removed_with_a_retention_that_keeps_everything() -> None:
    run = Expire("log-expire-diff.txt")
    remove_leftovers(keeper(run))
    assert {"--repo1-retention-full=9999999", "--repo1-retention-diff=9999999"} <= set(run.calls[0])
