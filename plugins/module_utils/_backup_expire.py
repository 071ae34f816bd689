# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Expiry that never lets a bad backup push out a good one. Private to the collection.

pgBackRest counts backups with damaged pages for its retention, so its own expiry may remove the last clean one. Here it
is asked first what it would remove, and overruled when fewer than two clean full backups would be left.
"""

from __future__ import annotations

from typing import Any, Collection, Optional, Sequence

from ._backup_repository import Keeper, checked
from ._errors import PgkeepError
from ._evidence import Backup
from ._pgbackrest import expired_labels

FLOOR = 2

# pgBackRest's largest count: expiry then removes only what an interrupted backup left behind.
_ALL = 9999999

_WHAT = "Old backups were not expired"


def fulls_to_keep(backups: Sequence[Backup], doomed: Collection[str]) -> Optional[int]:
    """How many of the newest full backups must stay when removing doomed breaks the floor; None when it does not.

    The floor is two clean full backups, or as many as there are. backups are ordered oldest first.
    """
    fulls = [backup for backup in backups if backup.type == "full"]
    clean = [backup.label for backup in fulls if backup.clean]
    wanted = min(FLOOR, len(clean))
    if len([label for label in clean if label not in doomed]) >= wanted:
        return None
    oldest_kept = clean[-wanted]
    return len([backup for backup in fulls if backup.label >= oldest_kept])


def expire(keeper: Keeper, backups: Sequence[Backup], *, check: bool) -> dict[str, Any]:
    """Remove what the retention allows; with check, only say what would go.

    Returns removed (labels) and kept_fulls: how many full backups stay because of the floor, None when the configured
    retention was enough. Raises PgkeepError when the newest backup is not clean: then nothing is removed at all.
    """
    if backups and not backups[-1].clean:
        raise PgkeepError(
            _WHAT,
            "the newest backup %s is not clean: %s" % (backups[-1].label, "; ".join(backups[-1].reasons)),
            "repair the cause and take a new backup; expiry follows by itself",
        )
    log = checked(keeper, _WHAT, [keeper.repository_option, "--dry-run", "expire"])
    keep = fulls_to_keep(backups, expired_labels(log))
    words = [] if keep is None else count_words(keeper, keep)
    if keep is not None and check:
        log = checked(keeper, _WHAT, [keeper.repository_option, *words, "--dry-run", "expire"])
    # Most runs remove nothing; then the dry run was the whole work.
    elif not check and "remove" in log:
        log = checked(keeper, _WHAT, [keeper.repository_option, *words, "expire"])
    return {"removed": expired_labels(log), "kept_fulls": keep}


def remove_leftovers(keeper: Keeper) -> None:
    """Remove what an interrupted backup left in the repository, and nothing else. The space may be needed for WAL."""
    diffs = "--repo%d-retention-diff=%d" % (keeper.repo, _ALL)
    checked(keeper, _WHAT, [keeper.repository_option, *count_words(keeper, _ALL), diffs, "expire"])


def count_words(keeper: Keeper, fulls: int) -> list[str]:
    """Options of expire that keep this many of the newest full backups, whatever the retention says."""
    prefix = "--repo%d-retention-full" % keeper.repo
    return [prefix + "-type=count", "%s=%d" % (prefix, fulls)]
