# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One look at the repository for all duties that judge it. Private to the collection.

It costs two processes of pgBackRest, so it is done every ten minutes and after every job.
"""

from __future__ import annotations

import os
import threading
from typing import Any, Optional

from . import _backup_repository as repository
from ._backup_repository import Keeper
from ._pgbackrest import Snapshot

REPOSITORY_SECONDS = 600.0

Mark = list[list[Any]]


class _Seen:
    """The last look. Whoever comes while somebody looks waits for that one."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.key: Optional[tuple[Keeper, Mark]] = None
        self.at = 0.0
        self.snapshot: Optional[Snapshot] = None


_LAST = _Seen()


def seen(keeper: Keeper, mark: Mark, now: float) -> Snapshot:
    """A snapshot of the repository, no older than REPOSITORY_SECONDS and of the time that mark_of() tells.

    Raises PgkeepError. A look that failed, or found a repository that cannot be used, is not remembered.
    """
    with _LAST.lock:
        fresh = _LAST.key == (keeper, mark) and 0 <= now - _LAST.at < REPOSITORY_SECONDS
        if not fresh or _LAST.snapshot is None:
            _LAST.snapshot = None
            found = repository.snapshot(keeper)
            if repository.problem(keeper, found.info) is not None:
                return found
            _LAST.snapshot, _LAST.key, _LAST.at = found, (keeper, mark), now
        return _LAST.snapshot


def mark_of(keeper: Keeper) -> Mark:
    """What changes with every job, every backup and every verdict about one."""
    return [
        [name, os.stat(os.path.join(folder, name)).st_mtime]
        for folder in (keeper.state + "/jobs", keeper.evidence_dir)
        if os.path.isdir(folder)
        for name in sorted(os.listdir(folder))
        if name.endswith(".json") and os.path.exists(os.path.join(folder, name))
    ]
