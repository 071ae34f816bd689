# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The rows that a dump holds: counted in its own snapshot, compared with what came back. Private to the collection."""

from __future__ import annotations

import contextlib
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from typing import Any, Collection, Iterable, Iterator, Optional

from . import _sql
from ._counts import Check, Reading, Table, compare
from ._counts_read import STATEMENT_SECONDS, Limit, list_tables
from ._dump_manifest import Run

# How much longer than the dump the counting may take.
COUNTING_SECONDS = 60.0

# An extension fills its own tables, and its next version may do so differently.
_OF_EXTENSIONS = """
SELECT n.nspname, c.relname FROM pg_depend d
JOIN pg_class c ON c.oid = d.objid JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE d.classid = 'pg_class'::regclass AND d.deptype = 'e'
"""
# Whatever the server ends idle transactions with, this one holds the snapshot as long as the dump takes.
_PATIENT = ("SET idle_in_transaction_session_timeout = 0", "SET statement_timeout = %d" % (STATEMENT_SECONDS * 1000))
_PATIENT_17 = ("SET transaction_timeout = 0",)

_GONE = ("42P01", "3F000")


@dataclass(frozen=True)
class Counting:
    """snapshot is for pg_dump. tables() may be asked when the block of counted() has ended."""

    snapshot: str
    unlogged: tuple[tuple[str, str], ...]
    future: Future[tuple[Table, ...]]

    def tables(self) -> tuple[Table, ...]:
        """Every table with its rows, None for one that could not be counted; raises psycopg2.Error."""
        return self.future.result()


@contextlib.contextmanager
def counted(opened: Any, database: str) -> Iterator[Counting]:
    """Export a snapshot of the connection's database and count in it, in a thread, while the block runs.

    The counters are read before the snapshot, so that whatever is written after it has not been counted by them.
    """
    listed = list_tables(opened, database, "pu")
    unlogged = tuple(table.key[1:] for table, _name in list_tables(opened, database, "u"))
    foreign = _foreign(opened)
    for setting in _PATIENT + (_PATIENT_17 if opened.server_version >= 170000 else ()):
        _sql.rows(opened, setting)
    _sql.rows(opened, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
    snapshot = str(_sql.rows(opened, "SELECT pg_export_snapshot()")[0][0])
    own = [(table, name) for table, name in listed if table.key[1:] not in foreign]
    limit = Limit()
    limit.watch(opened)
    seconds = 0.0
    with ThreadPoolExecutor(max_workers=1) as pool:
        future = pool.submit(_count, opened, own, limit)
        try:
            yield Counting(snapshot, unlogged, future)
            seconds = COUNTING_SECONDS
        finally:
            limit.end_after(seconds)
            while not wait([future], timeout=seconds).done:
                # Once is not enough: it may fall between two statements.
                limit.cancel()
                seconds = 0.2


def _count(opened: Any, listed: Iterable[tuple[Table, str]], limit: Limit) -> tuple[Table, ...]:
    counted_tables = []
    for table, qualified in listed:
        if limit.reached:
            counted_tables.append(table)
            continue
        _sql.rows(opened, "SAVEPOINT one")
        try:
            rows = _sql.rows(opened, "SELECT count(*) FROM ONLY " + qualified)[0][0]
            counted_tables.append(replace(table, rows=rows))
        except _sql.driver().Error as error:
            if opened.closed:
                raise
            if error.pgcode not in _GONE:
                counted_tables.append(table)
        # Gives the lock on the table back.
        _sql.rows(opened, "ROLLBACK TO SAVEPOINT one")
    return tuple(counted_tables)


def differences(dumped: Iterable[Table], restored: Iterable[Table]) -> list[str]:
    """What does not have the rows that its dump had, in words. A table that was not counted then is only looked for."""
    found = {table.key[1:]: table.rows for table in restored}
    wrong = []
    for table in dumped:
        name = "%s.%s" % (table.schema, table.table)
        if table.key[1:] not in found:
            wrong.append("%s is missing" % name)
        elif table.rows is not None and found[table.key[1:]] != table.rows:
            wrong.append("%s has %s rows, dumped were %d" % (name, found[table.key[1:]], table.rows))
    return wrong


def read_back(sockets: str, database: str, only: Optional[tuple[str, str]] = None) -> tuple[Table, ...]:
    """The tables of a database that nobody writes to, with their rows; raises psycopg2.Error.

    only: (schema, name) of the one that matters. Those that an extension fills are left out, as in a dump.
    """
    with _sql.connection(sockets, database) as opened:
        listed = list_tables(opened, database, "pu")
        foreign = _foreign(opened)
        _sql.rows(opened, "SET statement_timeout = 0")
        return tuple(
            replace(table, rows=_sql.rows(opened, "SELECT count(*) FROM ONLY " + name)[0][0])
            for table, name in listed
            if table.key[1:] not in foreign and only in (None, table.key[1:])
        )


def _foreign(opened: Any) -> set[tuple[str, str]]:
    return set(_sql.rows(opened, _OF_EXTENSIONS))


def crosscheck(run: Run, now: Reading, restored: Reading, blind: Collection[str] = ()) -> list[Check]:
    """Compare a run of dumps with a physical copy that was recovered to a moment after it: one check per table.

    now: the server's counters, read after the copy was counted. When nothing was written since the dump, equality is
    demanded; otherwise the copy may hold from rows - deletes to rows + inserts since the dump. Unlogged tables, which
    a recovery empties, and databases that were not dumped are left out; so are those in blind, which cannot be read.
    """
    databases = {dump.database for dump in run.databases} - set(blind)
    recorded = [
        table
        for dump in run.databases
        for table in dump.tables
        if dump.database in databases and (table.schema, table.table) not in dump.unlogged
    ]
    copy = [table for table in restored.tables if table.database in databases]
    return compare(recorded, now.tables, copy)
