# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The canary: a row whose way into the repository is measured, and which a restored copy must contain.

Private to the collection.
"""

from __future__ import annotations

import time
from typing import Any, Callable

from . import _backup_repository as repository
from . import _pgbackrest as pgbackrest
from . import _sql
from ._backup_repository import Keeper
from ._errors import PgkeepError
from ._pgbackrest_errors import failure
from ._times import rfc3339
from ._wal import archived_name

DATABASE = "postgres"
KEPT_DAYS = 30
_POLL_SECONDS = 0.25
# A question over the network costs more.
_POLL_ELSEWHERE_SECONDS = 1.0

_TABLE = (
    "CREATE SCHEMA IF NOT EXISTS pgkeep",
    """CREATE TABLE IF NOT EXISTS pgkeep.canary (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        written_at timestamptz NOT NULL DEFAULT clock_timestamp()
    )""",
    "DELETE FROM pgkeep.canary WHERE written_at < now() - interval '%d days'" % KEPT_DAYS,
)
_INSERT = "INSERT INTO pgkeep.canary DEFAULT VALUES RETURNING id, extract(epoch FROM written_at)::float8"
_SWITCH = "SELECT l::text, pg_walfile_name(l) FROM pg_switch_wal() l"


def release(
    keeper: Keeper,
    timeout_seconds: float,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> dict[str, Any]:
    """Write a row, finish its WAL segment and wait until that segment is in the repository of keeper.

    Returns id, written_at (RFC 3339), lsn (everything before it is archived) and archived_seconds.
    """
    begun = clock()
    archive_id = require_archive(keeper)
    identity, written_at, lsn, segment = _write(keeper)
    what = "The canary did not reach %s" % keeper.repository_name.lower()
    wait_until_archived(keeper, archive_id, segment, what, begun + timeout_seconds, clock, sleep)
    return {
        "id": identity,
        "written_at": rfc3339(written_at),
        "lsn": lsn,
        "archived_seconds": round(clock() - begun, 3),
    }


def _write(keeper: Keeper) -> tuple[int, float, str, str]:
    try:
        with _sql.connection(keeper.sockets, DATABASE) as opened:
            _sql.rows(opened, "SET synchronous_commit = local")
            for statement in _TABLE:
                _sql.rows(opened, statement)
            identity, written_at = _sql.rows(opened, _INSERT)[0]
            lsn, segment = _sql.rows(opened, _SWITCH)[0]
    except _sql.driver().Error as error:
        raise PgkeepError(
            "The canary could not be written",
            " ".join(str(error).split()),
            "look at the server's log; a server in recovery or with a full disk cannot write",
        ) from error
    return identity, written_at, lsn, segment


def require_archive(keeper: Keeper) -> str:
    """The id of the archive that WAL goes to. Raises PgkeepError when the repository cannot be used."""
    info = repository.information(keeper)
    problem = repository.problem(keeper, info)
    if problem is not None:
        raise problem
    if info.archive_id is None:
        what = "The canary did not reach %s" % keeper.repository_name.lower()
        raise failure(what, "unable to load info file: FileMissingError")
    return info.archive_id


def wait_until_archived(
    keeper: Keeper,
    archive_id: str,
    segment: str,
    what: str,
    deadline: float,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Raises PgkeepError that says what, with the archiver's own reason, when segment is not there at the deadline."""
    begun = clock()
    while not _is_archived(keeper, archive_id, segment):
        if clock() >= deadline:
            why = "WAL segment %s was not archived before the timeout of %d s" % (segment, deadline - begun)
            raise failure(what, why, 0, repository.circumstances(keeper))
        sleep(_POLL_SECONDS if keeper.repo == 1 else _POLL_ELSEWHERE_SECONDS)


def _is_archived(keeper: Keeper, archive_id: str, segment: str) -> bool:
    folder = pgbackrest.archive_folder(keeper.instance, archive_id) + segment[:16]
    return any(archived_name(name) == segment for name in repository.listing(keeper, folder))
