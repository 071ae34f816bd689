# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bringing a database, or a table of it, back from a dump: beside the old one first. Private to the collection."""

from __future__ import annotations

import os
import time
from dataclasses import asdict, dataclass
from typing import Any, Optional

from . import _dump_database as database_of
from . import _dump_manifest as manifests
from . import _dump_names as names
from . import _dump_settings as settings_of
from . import _sql
from ._backup_repository import Keeper
from ._dump import locked, read_through
from ._dump_manifest import Dump, Run
from ._dump_pipe import Deadline, flow, nothing, within
from ._dump_rows import differences, read_back
from ._errors import PgkeepError

# The disk of the data has to hold the database and the WAL of writing it.
_MARGIN = 1.2
# Every object takes a lock until the end of the one transaction; the server has room for some 6000.
_ONE_TRANSACTION = 2000
_NAMED = 5


@dataclass(frozen=True)
class Request:
    """What is wanted. database as it was named when it was dumped; file: a dump's file name, else the newest dump.

    table: only this one, with its schema. into: name of the new database. exchange: let the restored one take the name
    of the old one, which confirm must repeat.
    """

    database: str
    file: Optional[str] = None
    schema: str = "public"
    table: Optional[str] = None
    into: Optional[str] = None
    exchange: bool = False
    confirm: Optional[str] = None


@dataclass(frozen=True)
class Plan:
    """into: the database that is made. replaced: the name that the old one gets, None when it stays as it is."""

    database: str
    run: str
    file: str
    table: Optional[str]
    into: str
    replaced: Optional[str]
    needed_bytes: int
    free_bytes: int


def restore(keeper: Keeper, request: Request, *, check: bool = False) -> dict[str, Any]:
    """Make a new database from a dump and return dump_restore, changed and plan; with check only the plan.

    Raises PgkeepError. Whatever fails, the old database is as it was and no half restored one stays.
    """
    deadline = within(settings_of.load(keeper).deadline_seconds)
    what = "The database %s was not restored" % request.database
    _refuse_unconfirmed(what, request)
    with locked(keeper, "restore from a dump of %s" % keeper.instance):
        run, dump = _find(keeper, what, request)
        _refuse_unknown_table(what, request, dump)
        try:
            with _sql.connection(keeper.sockets) as opened:
                opened.set_client_encoding("UTF8")
                there = database_of.databases(opened)
                plan = _plan(keeper, what, request, run, dump, there)
                _refuse_damaged(keeper, what, run, dump, deadline)
                if check:
                    return {"dump_restore": None, "changed": True, "plan": asdict(plan)}
                for name in database_of.unfinished(opened):
                    database_of.drop(opened, name)
                result = _restore(keeper, what, request, run, dump, plan, opened, deadline)
                if plan.replaced:
                    connections = there[plan.database][1]["connection_limit"]
                    database_of.exchange(opened, plan.database, plan.replaced, plan.into, connections)
        except _sql.driver().Error as error:
            why = " ".join(str(error).split())
            raise _with_help(PgkeepError(what, why, "correct what it names, then repeat"), run) from error
    return {"dump_restore": result, "changed": True, "plan": asdict(plan)}


def _refuse_unconfirmed(what: str, request: Request) -> None:
    if request.table and request.exchange:
        raise PgkeepError(
            what,
            "a database with one filled table cannot take the place of the whole one",
            "restore the table without exchanging, then copy its rows",
        )
    if request.exchange and request.confirm != request.database:
        raise PgkeepError(
            what,
            "the restored database would take its place, and confirm does not name it",
            "look at what it holds now, then repeat with confirm set to %s" % request.database,
        )


def _find(keeper: Keeper, what: str, request: Request) -> tuple[Run, Dump]:
    found = manifests.runs(keeper)
    chosen = manifests.newest(found, request.database, request.file)
    if chosen is None:
        known = sorted({dump.database for each in found if each.run for dump in each.run.databases})
        raise PgkeepError(
            what,
            "there is no dump of it%s; there are dumps of %s"
            % (" in " + request.file if request.file else "", ", ".join(known) or "nothing"),
            "choose one that pgkeep dumps lists, or take one with pgkeep dump",
        )
    return chosen


def _refuse_unknown_table(what: str, request: Request, dump: Dump) -> None:
    if request.table is None:
        return
    if (request.schema, request.table) not in {(table.schema, table.table) for table in dump.tables}:
        alike = ["%s.%s" % (table.schema, table.table) for table in dump.tables if table.table == request.table]
        raise PgkeepError(
            what,
            "the dump %s has no table %s.%s" % (dump.file, request.schema, request.table),
            "give the schema too; %s"
            % ("there is %s" % ", ".join(alike) if alike else "of a partitioned table, name a partition"),
        )


def _plan(
    keeper: Keeper, what: str, request: Request, run: Run, dump: Dump, there: dict[str, tuple[int, dict[str, Any]]]
) -> Plan:
    stamp = names.stamp(time.time())
    into = request.into or names.beside(request.database, "restored", stamp)
    if not names.fits(into):
        raise PgkeepError(what, "%r cannot be the name of a database" % into, "give another one with into")
    if into in there:
        raise PgkeepError(
            what, "there is a database %s already" % into, "give another name with into; nothing is ever overwritten"
        )
    if request.exchange and request.database not in there:
        raise PgkeepError(
            what,
            "there is no database %s that it could take the place of" % request.database,
            "repeat without exchanging and with into set to %s" % request.database,
        )
    if request.exchange and request.database == "postgres":
        raise PgkeepError(
            what, "nobody can exchange the database postgres, the keeper works from it", "restore it beside"
        )
    disk = os.statvfs(keeper.data)
    plan = Plan(
        database=request.database,
        run=run.run,
        file=dump.file,
        table="%s.%s" % (request.schema, request.table) if request.table else None,
        into=into,
        replaced=names.beside(request.database, "replaced", stamp) if request.exchange else None,
        needed_bytes=int(dump.database_bytes * _MARGIN),
        free_bytes=disk.f_bavail * disk.f_frsize,
    )
    if plan.free_bytes < plan.needed_bytes:
        raise PgkeepError(
            what,
            "the disk of the data is too full: about %d bytes are needed, %d are free"
            % (plan.needed_bytes, plan.free_bytes),
            "free space or enlarge the disk, then repeat",
        )
    return plan


def _refuse_damaged(keeper: Keeper, what: str, run: Run, dump: Dump, deadline: Deadline) -> None:
    """The checksum first, for it names the file; then pg_restore has to be able to read all of it."""
    folder = "%s/%s" % (keeper.dumps, run.run)
    wrong = manifests.problem(folder, dump, reread=True)
    if wrong:
        raise PgkeepError(what, wrong, "restore an older dump (pgkeep dumps lists them), and replace the disk")
    if run.encrypted:
        settings_of.require_passphrase(keeper)
    try:
        read_through(keeper, what, "%s/%s" % (folder, dump.file), deadline, encrypted=run.encrypted, whole=True)
    except PgkeepError as error:
        if not run.encrypted or deadline.left == 0:
            raise
        # The disk gives back what was written, so what cannot be read was written with another key.
        help_ = "put the passphrase back with which it was encrypted (dumps.passphrase), then repeat"
        raise PgkeepError(error.what, error.why, help_) from error


def _restore(
    keeper: Keeper, what: str, request: Request, run: Run, dump: Dump, plan: Plan, opened: Any, deadline: Deadline
) -> dict[str, Any]:
    began = time.monotonic()
    # Outside of the block: a database that turns out to exist already must not be dropped.
    database_of.create(opened, plan.into, dump.properties)
    try:
        _fill(keeper, what, request, run, dump, plan.into, deadline)
        expected = [table for table in dump.tables if _is_wanted(request, table.schema, table.table)]
        wrong = differences(expected, read_back(keeper.sockets, plan.into))
        if wrong:
            more = "; and %d more" % (len(wrong) - _NAMED) if len(wrong) > _NAMED else ""
            raise PgkeepError(
                what, "; ".join(wrong[:_NAMED]) + more, "restore an older dump; the new database was removed"
            )
        with _sql.connection(keeper.sockets, plan.into) as new:
            # A dump has no statistics, and without them the first queries would be the slowest ever.
            _sql.rows(new, "ANALYZE")
        note = "only the rows of %s, from %s" % (plan.table, dump.file) if request.table else None
        database_of.finish(opened, plan.into, dump.properties, note)
    except BaseException:
        database_of.drop(opened, plan.into)
        raise
    return {
        "database": plan.database if plan.replaced else plan.into,
        "replaced": plan.replaced,
        "file": dump.file,
        "dumped_at": run.started_at,
        "table": plan.table,
        "tables": len(expected),
        "rows": sum(table.rows or 0 for table in expected),
        "duration_seconds": round(time.monotonic() - began, 3),
    }


def _is_wanted(request: Request, schema: str, table: str) -> bool:
    return request.table is None or (schema, table) == (request.schema, request.table)


def _fill(keeper: Keeper, what: str, request: Request, run: Run, dump: Dump, into: str, deadline: Deadline) -> None:
    target = ["pg_restore", "--exit-on-error", "--no-password", "--dbname=" + _sql.conninfo(keeper.sockets, into)]
    if len(dump.tables) <= _ONE_TRANSACTION:
        target.append("--single-transaction")
    # One table needs the types, functions and the schema it stands on, so all definitions come, but only its rows.
    passes = (
        [
            [*target, "--section=pre-data"],
            [*target, "--data-only", "--schema=" + request.schema, "--table=" + request.table],
        ]
        if request.table
        else [target]
    )
    source = "%s/%s/%s" % (keeper.dumps, run.run, dump.file)
    decrypt = [settings_of.encryption(keeper, decrypt=True)] if run.encrypted else []
    for argv in passes:
        try:
            # It ends when it has what it wants, which need not be at the end of the dump.
            flow(what, [*decrypt, argv], nothing, deadline, source=source, partly=True)
        except PgkeepError as error:
            raise _with_help(error, run) from error


def _with_help(error: PgkeepError, run: Run) -> PgkeepError:
    if "role" in error.why and "does not exist" in error.why:
        helped = "create the role (the globals of run %s have all of them), then repeat" % run.run
        return PgkeepError(error.what, error.why, helped)
    return PgkeepError(error.what, error.why, error.next_step + "; the old database is as it was")
