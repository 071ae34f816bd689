# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One command, several repositories: the first one first, and none keeps another from its own. Private."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Callable, Optional, Sequence

from ._backup_repository import Keeper, all_keepers, types
from ._errors import PgkeepError

ALL = "all"


def chosen(keeper: Keeper, word: str) -> list[Keeper]:
    """The keeper before each repository that word means: all or a number. Raises PgkeepError for anything else."""
    return all_keepers(keeper) if word == ALL else [one(keeper, word)]


def one(keeper: Keeper, word: str) -> Keeper:
    """The keeper before the repository with this number. Raises PgkeepError for anything else."""
    known = types(keeper)
    if not word.isdigit() or int(word) not in known:
        raise PgkeepError(
            "There is no repository %s of %s" % (word, keeper.instance),
            "its repositories are %s" % ", ".join(map(str, sorted(known))),
            "name one of these, or declare it in postgres_backup_repositories and deploy",
        )
    return replace(keeper, repo=int(word))


def each(keepers: Sequence[Keeper], noun: str, act: Callable[[Keeper], dict[str, Any]]) -> dict[str, Any]:
    """What act returns for the first of keepers, changed if any did, and repositories with the result of each.

    An error at the first repository is raised at once: what the others get comes from there or meets the same server.
    One at another repository is raised when all have had their turn; it then says what succeeded nevertheless.
    """
    results: list[dict[str, Any]] = []
    errors: list[PgkeepError] = []
    for keeper in keepers:
        error: Optional[PgkeepError] = None
        try:
            result = act(keeper)
        except PgkeepError as failed:
            if keeper is keepers[0] or failed.busy:
                raise
            error, result = failed, {}
            errors.append(failed)
        results.append({"repository": keeper.repo, **result, "error": error.to_result() if error else None})
    if errors:
        raise _some_failed(noun, results, errors)
    first = {name: value for name, value in results[0].items() if name not in ("repository", "error")}
    return {**first, "changed": any(result.get("changed") for result in results), "repositories": results}


def _some_failed(noun: str, results: Sequence[dict[str, Any]], errors: Sequence[PgkeepError]) -> PgkeepError:
    done = [str(result["repository"]) for result in results if result["error"] is None]
    failed = [str(result["repository"]) for result in results if result["error"] is not None]
    return PgkeepError(
        "The %s in repository %s failed; in repository %s it is done"
        % (noun, " and ".join(failed), " and ".join(done)),
        "; ".join("%s: %s" % (error.what, error.why) for error in errors),
        errors[0].next_step,
    )
