# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One command for several repositories: order, results, and what a failure of one means."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ansible_collections.pgkeep.postgres.plugins.module_utils._backup_all import chosen, each, one
from ansible_collections.pgkeep.postgres.plugins.module_utils._backup_repository import Keeper
from ansible_collections.pgkeep.postgres.plugins.module_utils._errors import PgkeepError
from ansible_collections.pgkeep.postgres.plugins.module_utils._run import Result


@pytest.fixture
def keeper(tmp_path: Path) -> Keeper:
    (tmp_path / "pgbackrest.conf").write_text("[global]\nrepo1-path=/x\nrepo12-type=s3\nrepo3-type=sftp\n")
    return Keeper("orders", lambda argv: Result(0), "/data", tool_config=str(tmp_path))


def test_which_repositories_a_word_means(keeper: Keeper) -> None:
    assert [one.repo for one in chosen(keeper, "all")] == [1, 3, 12]
    assert [one.repo for one in chosen(keeper, "3")] == [3]
    for word in ("2", "x", "-1", ""):
        with pytest.raises(PgkeepError, match="its repositories are 1, 3, 12"):
            chosen(keeper, word)
    with pytest.raises(PgkeepError, match="no repository all"):
        one(keeper, "all")


def test_the_evidence_of_each_is_its_own(keeper: Keeper) -> None:
    assert len({one.evidence_dir for one in chosen(keeper, "all")}) == 3
    assert chosen(keeper, "1")[0].evidence_dir.endswith("/evidence")


def test_the_result_is_the_first_ones_and_all_are_listed(keeper: Keeper) -> None:
    result = each(chosen(keeper, "all"), "backup", lambda one: {"label": one.repo, "changed": one.repo == 12})
    assert (result["label"], result["changed"]) == (1, True)
    assert [(one["repository"], one["label"], one["error"]) for one in result["repositories"]] == [
        (1, 1, None),
        (3, 3, None),
        (12, 12, None),
    ]


def test_one_that_is_away_is_told_when_all_had_their_turn(keeper: Keeper) -> None:
    asked = []

    def act(one: Keeper) -> dict[str, Any]:
        asked.append(one.repo)
        if one.repo == 3:
            raise PgkeepError("Repository 3 gives no information", "it is away", "repair the line")
        return {"changed": True}

    with pytest.raises(PgkeepError) as caught:
        each(chosen(keeper, "all"), "backup", act)
    assert asked == [1, 3, 12]
    assert caught.value.what == "The backup in repository 3 failed; in repository 1 and 12 it is done"
    assert caught.value.why == "Repository 3 gives no information: it is away"
    assert caught.value.next_step == "repair the line"


@pytest.mark.parametrize("number, busy", [(1, False), (3, True)])
def test_the_first_one_or_a_busy_one_ends_it(keeper: Keeper, number: int, busy: bool) -> None:
    asked = []

    def act(one: Keeper) -> dict[str, Any]:
        asked.append(one.repo)
        if one.repo == number:
            raise PgkeepError("It did not work", "because", "do this", busy=busy)
        return {}

    with pytest.raises(PgkeepError) as caught:
        each(chosen(keeper, "all"), "backup", act)
    assert caught.value.busy == busy
    assert asked[-1] == number
