# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reading the rows and the counters of user tables. Private to the collection."""

from __future__ import annotations

import time
from typing import Any, Callable, Iterable, Mapping, Optional

from . import _sql
from ._counts import Reading, Table

# A locked table is left out rather than waited for; a table that takes longer than this is too.
LOCK_MILLISECONDS = 200
STATEMENT_SECONDS = 600

_SETTINGS = (
    "SET default_transaction_read_only = on",
    "SET lock_timeout = %d" % LOCK_MILLISECONDS,
    "SET statement_timeout = %d" % (STATEMENT_SECONDS * 1000),
    # One process: the application's queries keep the other processors.
    "SET max_parallel_workers_per_gather = 0",
    "SET jit = off",
    "SET row_security = off",
)

# -2 is what a DROP DATABASE leaves that was killed.
_DATABASES = (
    "SELECT datname, datallowconn FROM pg_database WHERE datconnlimit <> -2 AND datname <> 'template0' ORDER BY 1"
)

# Small ones first, so that a short backup has counted as many as possible. ONLY the table itself: an inheritance child
# has its own line. Without track_counts the counters stand still and prove nothing. A crash throws all counters away,
# and only the archiver's own tell when they began anew.
_TABLES = """
SELECT n.nspname, c.relname, quote_ident(n.nspname) || '.' || quote_ident(c.relname),
       pg_relation_filenode(c.oid),
       CASE WHEN s.counted THEN pg_stat_get_tuples_inserted(c.oid) END,
       CASE WHEN s.counted THEN pg_stat_get_tuples_deleted(c.oid) END,
       s.reset, c.oid::bigint
FROM pg_class c
JOIN pg_namespace n ON n.oid = c.relnamespace
CROSS JOIN (
    SELECT current_setting('track_counts')::boolean AS counted,
           to_char(greatest(d.stats_reset, a.stats_reset) AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') AS reset
    FROM pg_stat_database d CROSS JOIN pg_stat_archiver a WHERE d.datname = current_database()
) s
WHERE c.relkind = 'r' AND c.relpersistence = ANY (%s)
  AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pgkeep')
ORDER BY c.relpages, 1, 2
"""

# SQLSTATEs: lock_not_available; data_corrupted, index_corrupted, and undefined_file for a file that is gone.
_LOCKED = "55P03"
_DAMAGED = ("XX001", "XX002", "58P01")


class Limit:
    """When to stop counting: asked between two tables, and able to cancel the one that is being counted.

    Another thread calls end_after(); until then there is no limit.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._end: Optional[float] = None
        self._connection: Any = None

    def end_after(self, seconds: float) -> None:
        self._end = self._clock() + seconds

    def watch(self, connection: Any) -> None:
        self._connection = connection

    @property
    def reached(self) -> bool:
        return self._end is not None and self._clock() >= self._end

    def cancel(self) -> None:
        """Stop the statement that runs now, if any."""
        self.end_after(0)
        if self._connection is not None:
            self._connection.cancel()


def read(
    sockets: str,
    *,
    count: bool,
    known: Iterable[Table] = (),
    limit: Optional[Limit] = None,
    user_databases: Iterable[str] = (),
) -> Reading:
    """All persistent user tables of all databases that allow connections, over the socket directory sockets.

    count: also their rows. known: an earlier reading; a table that has not changed since is not counted again.
    Raises psycopg2.Error only when not even the list of databases can be read.
    """
    limit = limit or Limit()
    by_key = {table.key: table for table in known if table.rows is not None}
    tables: list[Table] = []
    skipped: dict[str, str] = {}
    damaged: list[str] = []
    names = list(user_databases)
    closed: tuple[str, ...] = ()
    if not names:
        with _sql.connection(sockets) as opened:
            known_databases = _sql.rows(opened, _DATABASES)
        names = [name for name, is_open in known_databases if is_open]
        closed = tuple(name for name, is_open in known_databases if not is_open)
    for database in names:
        try:
            with _sql.connection(sockets, database) as opened:
                limit.watch(opened)
                for table, qualified in list_tables(opened, database):
                    counted = _count(opened, table, qualified, by_key, limit, damaged) if count else table
                    tables.append(counted)
        except (_sql.driver().Error, UnicodeError) as error:
            skipped[database] = " ".join(str(error).split())
            if getattr(error, "pgcode", None) in _DAMAGED:
                damaged.append("database %s (%s)" % (database, skipped.pop(database)))
        finally:
            limit.watch(None)
    return Reading(tuple(tables), skipped, tuple(damaged), closed)


def list_tables(opened: Any, database: str, persistence: str = "p") -> list[tuple[Table, str]]:
    """The tables with counters but without rows, each with its qualified name for SQL; the session is set up for
    counting. persistence: characters of relpersistence."""
    opened.set_client_encoding("UTF8")
    for setting in _SETTINGS:
        _sql.rows(opened, setting)
    return [
        (Table(database, schema, name, None, inserts, deletes, filenode, reset, oid), qualified)
        for schema, name, qualified, filenode, inserts, deletes, reset, oid in _sql.rows(
            opened, _TABLES, (list(persistence),)
        )
    ]


def _count(
    opened: Any,
    table: Table,
    qualified: str,
    known: Mapping[tuple[str, str, str], Table],
    limit: Limit,
    damaged: list[str],
) -> Table:
    before = known.get(table.key)
    if before is not None and table.unchanged(before):
        return Table(**{**table.to_dict(), "rows": before.rows})
    if limit.reached:
        return table
    try:
        rows = _sql.rows(opened, "SELECT count(*) FROM ONLY " + qualified)[0][0]
    except _sql.driver().Error as error:
        if opened.closed:
            raise
        if error.pgcode in _DAMAGED:
            damaged.append("%s (%s)" % (table.name, " ".join(str(error).split())))
        if error.pgcode == _LOCKED:
            # Who locks one table may hold hundreds: from here on none of this database is waited for.
            _sql.rows(opened, "SET lock_timeout = 1")
        return table
    return Table(**{**table.to_dict(), "rows": rows})
