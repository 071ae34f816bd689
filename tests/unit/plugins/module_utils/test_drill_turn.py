# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which repository a scheduled drill takes, from records and settings as they lie on a machine."""

from __future__ import annotations

import json
import os

import pytest
from ansible_collections.pgkeep.postgres.plugins.module_utils import _drill_record as records
from ansible_collections.pgkeep.postgres.plugins.module_utils import _drill_turn as turn
from ansible_collections.pgkeep.postgres.plugins.module_utils._backup_repository import Keeper
from ansible_collections.pgkeep.postgres.plugins.module_utils._errors import PgkeepError
from ansible_collections.pgkeep.postgres.plugins.module_utils._interrupt import Interrupted
from ansible_collections.pgkeep.postgres.plugins.module_utils._run import run
from ansible_collections.pgkeep.postgres.plugins.module_utils._times import epoch_of, rfc3339

NOW = epoch_of("2026-11-23T03:00:00Z")
DAY = 86400


class World:
    """An instance with three repositories; prove() is a drill at now that fails where broken says so."""

    def __init__(self, home):
        self.home, self.now, self.broken, self.proven = home, NOW, {}, []
        self.keeper = Keeper("orders", run, "", state=str(home), config=str(home), tool_config=str(home))
        (home / "pgbackrest.conf").write_text("repo2-type=s3\nrepo3-type=sftp\n")

    def prove(self, number):
        self.proven.append(number)
        error = self.broken.get(number)
        started_at = rfc3339(self.now)
        records.save(self.keeper.state, records.Drill("orders", "F", "keeper", number, not error, started_at))
        if error:
            raise error
        return {"number": number}

    def night(self):
        """The repositories that are drilled, and what fails."""
        self.proven.clear()
        self.now += DAY
        try:
            turn.take_turns(turn.proofs(self.keeper), self.prove, self.now)
        except PgkeepError as error:
            return self.proven[:], error.what
        return self.proven[:], None


@pytest.fixture
def world(tmp_path, monkeypatch):
    monkeypatch.setattr(records, "UID", os.getuid())
    monkeypatch.setattr(records, "GID", os.getgid())
    return World(tmp_path)


def test_each_is_proven_within_as_many_nights_as_there_are_repositories(world):
    assert [world.night() for _night in range(7)] == [([number], None) for number in (1, 2, 3, 1, 2, 3, 1)]


def test_a_broken_one_keeps_no_other_from_its_proof_and_is_told_every_night(world):
    for _night in range(3):
        world.night()
    world.broken[2] = PgkeepError("second", "damaged")
    assert [world.night() for _night in range(5)] == [
        ([1], None),
        ([2, 3], "second"),
        ([2, 1], "second"),
        ([2, 3], "second"),
        ([2, 1], "second"),
    ]
    del world.broken[2]
    assert world.night() == ([2], None)


def test_what_was_proven_a_moment_ago_is_not_proven_again_for_another_ones_sake(world):
    world.broken[2] = PgkeepError("second", "damaged")
    for _night in range(2):
        world.night()
    world.now -= DAY - 600
    # The same night, tried again: 1 was proven the night before and 3 in this one.
    assert world.night() == ([2, 1], "second")
    world.now -= DAY - 1200
    assert world.night() == ([2], "second")


def test_when_all_fail_the_first_is_told(world):
    world.broken = {number: PgkeepError(str(number), "server down") for number in (1, 2, 3)}
    assert world.night() == ([1, 2, 3], "1")


@pytest.mark.parametrize("error", [PgkeepError("busy", "a backup", busy=True), Interrupted("stopped", "SIGTERM")])
def test_nobody_else_is_tried_while_somebody_works_or_after_a_stop(world, error):
    world.broken = {1: error}
    assert world.night() == ([1], error.what)


def test_the_inventory_names_those_that_are_proven(world):
    (world.home / "keeper.json").write_text(json.dumps({"drill": {"repositories": [3, 1]}}))
    assert [world.night()[0] for _night in range(3)] == [[1], [3], [1]]
    (world.home / "keeper.json").write_text(json.dumps({"drill": {"repositories": [9]}}))
    assert [proof.number for proof in turn.proofs(world.keeper)] == [1, 2, 3]


def test_what_was_never_proven_counts_from_its_declaration(world):
    (world.home / "repository2.conf").touch()
    os.utime(world.home / "repository2.conf", (NOW - 5, NOW - 5))
    os.utime(world.home / "pgbackrest.conf", (NOW - 60, NOW - 60))
    records.save(
        world.keeper.state, records.Drill("orders", "F", repository=3, passed=True, started_at=rfc3339(NOW - 100))
    )
    assert turn.proofs(world.keeper) == [
        turn.Proof(1, "posix", None, NOW - 60),
        turn.Proof(2, "s3", None, NOW - 5),
        turn.Proof(3, "sftp", NOW - 100, NOW - 60),
    ]
    assert [proof.age(NOW) for proof in turn.proofs(world.keeper)] == [60, 5, 100]
    # A watch that began later has not seen more.
    assert turn.Proof(1, "posix", None, NOW - 60).age(NOW, since=NOW - 10) == 10
