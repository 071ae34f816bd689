# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the keeper asks the server about its archiver and its size. Private to the collection."""

from __future__ import annotations

import glob
import os
import time
from dataclasses import dataclass
from typing import Any, Callable, Optional

from . import _sql
from ._archive_worker import WAKE
from ._backup_repository import Keeper
from ._errors import PgkeepError

# The archiver goes on to the next segment only when the one that failed is archived. Which of the two times is later
# would say the same, but not after the clock was set back.
_ARCHIVER = """
SELECT exists(SELECT FROM pg_ls_archive_statusdir() WHERE name = last_failed_wal || '.ready'),
       extract(epoch FROM last_failed_time)::float8
FROM pg_stat_archiver
"""
_DATABASES_BYTES = "SELECT coalesce(sum(pg_database_size(oid)), 0)::bigint FROM pg_database WHERE datallowconn"

WAKE_SECONDS = 10.0


@dataclass(frozen=True)
class Archiver:
    """failing_since is seconds since the epoch, None while the archiver works. ready_count: segments that wait."""

    ready_count: int
    failing_since: Optional[float]


def ask(keeper: Keeper, statement: str) -> list[tuple[Any, ...]]:
    """One statement in the database postgres. Raises PgkeepError when the server does not answer."""
    try:
        with _sql.connection(keeper.sockets) as opened:
            return _sql.rows(opened, statement)
    except _sql.driver().Error as error:
        raise PgkeepError(
            "PostgreSQL of %s does not answer" % keeper.instance,
            " ".join(str(error).split()),
            "start the server and read its log (docker logs %s), then repeat" % keeper.instance,
        ) from error


def archiver(keeper: Keeper) -> Archiver:
    """The archiver's state; failing is the server's own word, since when is told by the oldest segment that waits."""
    failing, failed_at = ask(keeper, _ARCHIVER)[0]
    waiting = ready(keeper)
    return Archiver(len(waiting), failing_since(waiting, failed_at) if failing else None)


def failing_since(waiting: list[float], failed_at: float) -> float:
    """Since when an archiver fails whose segments wait since these moments and that failed last at failed_at."""
    return min([*waiting, failed_at])


def ready(keeper: Keeper) -> list[float]:
    """Since when each segment waits to be archived, in seconds since the epoch."""
    times = []
    for path in glob.glob(glob.escape(keeper.data) + "/pg_wal/archive_status/*.ready"):
        try:
            times.append(os.stat(path).st_mtime)
        except FileNotFoundError:
            # Archived in this moment.
            continue
    return times


def waits(keeper: Keeper, segment: Optional[str]) -> bool:
    """Whether this very segment, the one that failed last, still waits: then the archiver fails."""
    return segment is not None and os.path.exists("%s/pg_wal/archive_status/%s.ready" % (keeper.data, segment))


def wake_archiver(
    keeper: Keeper, clock: Callable[[], float] = time.monotonic, sleep: Callable[[float], None] = time.sleep
) -> Archiver:
    """Make a failing archiver try now and say how it ended: the cause may have been repaired a second ago."""
    deadline = clock() + WAKE_SECONDS
    ask(keeper, WAKE)
    state = archiver(keeper)
    while state.failing_since is not None and clock() < deadline:
        sleep(0.25)
        state = archiver(keeper)
    return state


def databases_bytes(keeper: Keeper) -> int:
    return int(ask(keeper, _DATABASES_BYTES)[0][0])
