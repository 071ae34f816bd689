# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A new database beside the old one, from whoever has the rows: named, filled, compared, exchanged.

Private to the collection.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from typing import Any, Callable, Mapping, Optional, Sequence

from . import _dump_database as database_of
from . import _dump_names as names
from . import _sql
from ._counts import Table
from ._dump_rows import differences, read_back
from ._errors import PgkeepError

# The disk of the data has to hold the database and the WAL of writing it.
MARGIN = 1.2
# Every object takes a lock until the end of the one transaction; the server has room for some 6000.
_ONE_TRANSACTION = 2000
_NAMED = 5

# Database -> (bytes, properties), as databases() of _dump_database says.
Databases = Mapping[str, tuple[int, dict[str, Any]]]


@dataclass(frozen=True)
class Wanted:
    """database as it was named then. table: only this one, with its schema. into: name of the new database.

    exchange: let the restored one take the name of the old one, which confirm must repeat.
    """

    database: str
    schema: str = "public"
    table: Optional[str] = None
    into: Optional[str] = None
    exchange: bool = False
    confirm: Optional[str] = None

    @property
    def what(self) -> str:
        """How every error about it begins."""
        return "The database %s was not restored" % self.database

    @property
    def only(self) -> Optional[tuple[str, str]]:
        """(schema, name) of the one table."""
        return (self.schema, self.table) if self.table else None

    @property
    def table_name(self) -> Optional[str]:
        return "%s.%s" % self.only if self.only else None


@dataclass(frozen=True)
class Names:
    """into: the database that is made. replaced: the name that the old one gets, None when it stays as it is."""

    into: str
    replaced: Optional[str]


def require_confirmed(wanted: Wanted) -> None:
    if wanted.table and wanted.exchange:
        raise PgkeepError(
            wanted.what,
            "a database with one filled table cannot take the place of the whole one",
            "restore the table without exchanging, then copy its rows",
        )
    if wanted.exchange and wanted.confirm != wanted.database:
        raise PgkeepError(
            wanted.what,
            "the restored database would take its place, and confirm does not name it",
            "look at what it holds now, then repeat with confirm set to %s" % wanted.database,
        )


def choose_names(wanted: Wanted, there: Databases) -> Names:
    """Raises PgkeepError where no database could be made, or none exchanged; there: the databases of the server."""
    stamp = names.stamp(time.time())
    into = wanted.into or names.beside(wanted.database, "restored", stamp)
    if not names.fits(into):
        raise PgkeepError(wanted.what, "%r cannot be the name of a database" % into, "give another one with into")
    if into in there:
        raise PgkeepError(
            wanted.what,
            "there is a database %s already" % into,
            "give another name with into; nothing is ever overwritten",
        )
    if wanted.exchange and wanted.database not in there:
        raise PgkeepError(
            wanted.what,
            "there is no database %s that it could take the place of" % wanted.database,
            "repeat without exchanging and with into set to %s" % wanted.database,
        )
    if wanted.exchange and wanted.database == "postgres":
        raise PgkeepError(
            wanted.what, "nobody can exchange the database postgres, the keeper works from it", "restore it beside"
        )
    return Names(into, names.beside(wanted.database, "replaced", stamp) if wanted.exchange else None)


def require_table(wanted: Wanted, tables: Sequence[tuple[str, str]], source: str) -> None:
    """Raises PgkeepError when the wanted table is not one of tables, (schema, name) each, of source."""
    if wanted.only is None or wanted.only in tables:
        return
    alike = ["%s.%s" % table for table in tables if table[1] == wanted.table]
    raise PgkeepError(
        wanted.what,
        "%s has no table %s" % (source, wanted.table_name),
        "give the schema too; %s"
        % ("there is %s" % ", ".join(alike) if alike else "of a partitioned table, name a partition"),
    )


def require_room(wanted: Wanted, folder: str, needed_bytes: int) -> int:
    """Free bytes of the file system of folder, where the data are. Raises PgkeepError when they are too few."""
    disk = os.statvfs(folder)
    free_bytes = disk.f_bavail * disk.f_frsize
    if free_bytes < needed_bytes:
        raise PgkeepError(
            wanted.what,
            "the disk of the data is too full: about %d bytes are needed, %d are free" % (needed_bytes, free_bytes),
            "free space or enlarge the disk, then repeat",
        )
    return free_bytes


def filling(conninfo: str, tables: int) -> list[str]:
    """The command that brings an archive of pg_dump, read from its input, into the new database; tables: how many."""
    words = ["pg_restore", "--exit-on-error", "--no-password", "--dbname=" + conninfo]
    return [*words, "--single-transaction"] if tables <= _ONE_TRANSACTION else words


def make(
    opened: Any,
    sockets: str,
    wanted: Wanted,
    named: Names,
    there: Databases,
    properties: Mapping[str, Any],
    expected: Sequence[Table],
    origin: str,
    fill: Callable[[], None],
) -> dict[str, Any]:
    """Make the database, fill it, compare its rows with those of expected, exchange it if that is wanted.

    opened: a connection to postgres, beside sockets. properties: those that the database had. origin names where the
    rows are from, in the comment of a database that has one table only. Raises PgkeepError and psycopg2.Error; then
    there is no new database, unless only the exchange failed.
    """
    began = time.monotonic()
    for name in database_of.unfinished(opened):
        database_of.drop(opened, name)
    # Outside of the block: a database that turns out to exist already must not be dropped.
    database_of.create(opened, named.into, properties)
    try:
        fill()
        wrong = differences(expected, read_back(sockets, named.into, wanted.only))
        if wrong:
            more = "; and %d more" % (len(wrong) - _NAMED) if len(wrong) > _NAMED else ""
            raise PgkeepError(
                wanted.what,
                "; ".join(wrong[:_NAMED]) + more,
                "restore an older one; the new database was removed",
            )
        with _sql.connection(sockets, named.into) as new:
            # A dump has no statistics, and without them the first queries would be the slowest ever.
            _sql.rows(new, "ANALYZE")
        note = "only the rows of %s, from %s" % (wanted.table_name, origin) if wanted.table else None
        database_of.finish(opened, named.into, properties, note)
    except BaseException:
        database_of.drop(opened, named.into)
        raise
    seconds = time.monotonic() - began
    if named.replaced:
        limit = there[wanted.database][1]["connection_limit"]
        database_of.exchange(opened, wanted.database, named.replaced, named.into, limit)
    return {
        "database": wanted.database if named.replaced else named.into,
        "replaced": named.replaced,
        "table": wanted.table_name,
        "tables": len(expected),
        "rows": sum(table.rows or 0 for table in expected),
        "duration_seconds": round(seconds, 3),
    }


def with_help(error: PgkeepError, roles: str) -> PgkeepError:
    """The same, with what to do about a role that is gone; roles says who knows how it was."""
    if "role" in error.why and "does not exist" in error.why:
        return PgkeepError(error.what, error.why, "create the role (%s), then repeat" % roles)
    return PgkeepError(error.what, error.why, error.next_step + "; the old database is as it was")
