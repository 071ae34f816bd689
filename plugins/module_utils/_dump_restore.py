# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bringing a database, or a table of it, back from a dump: beside the old one first. Private to the collection."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Optional

from . import _beside as beside
from . import _dump_database as database_of
from . import _dump_manifest as manifests
from . import _dump_settings as settings_of
from . import _sql
from ._backup_repository import Keeper
from ._beside import Databases, Names, Wanted
from ._dump import locked, read_through
from ._dump_manifest import Dump, Run
from ._dump_pipe import Deadline, flow, nothing, within
from ._errors import PgkeepError


@dataclass(frozen=True)
class Request(Wanted):
    """file: a dump's file name, else the newest dump of the database, which is named as it was when it was dumped."""

    file: Optional[str] = None


@dataclass(frozen=True)
class Plan:
    """into, replaced: see Names. Sizes are bytes."""

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
    beside.require_confirmed(request)
    with locked(keeper, "restore from a dump of %s" % keeper.instance):
        run, dump = _find(keeper, request)
        beside.require_table(request, [table.key[1:] for table in dump.tables], "the dump " + dump.file)
        try:
            with _sql.connection(keeper.sockets) as opened:
                opened.set_client_encoding("UTF8")
                there = database_of.databases(opened)
                named = beside.choose_names(request, there)
                plan = _plan(keeper, request, run, dump, named)
                _refuse_damaged(keeper, request, run, dump, deadline)
                if check:
                    return {"dump_restore": None, "changed": True, "plan": asdict(plan)}
                result = _restore(keeper, request, run, dump, named, opened, there, deadline)
        except _sql.driver().Error as error:
            why = " ".join(str(error).split())
            raise _with_help(PgkeepError(request.what, why, "correct what it names, then repeat"), run) from error
    return {"dump_restore": result, "changed": True, "plan": asdict(plan)}


def _find(keeper: Keeper, request: Request) -> tuple[Run, Dump]:
    found = manifests.runs(keeper)
    chosen = manifests.newest(found, request.database, request.file)
    if chosen is None:
        known = sorted({dump.database for each in found if each.run for dump in each.run.databases})
        raise PgkeepError(
            request.what,
            "there is no dump of it%s; there are dumps of %s"
            % (" in " + request.file if request.file else "", ", ".join(known) or "nothing"),
            "choose one that pgkeep dumps lists, or take one with pgkeep dump",
        )
    return chosen


def _plan(keeper: Keeper, request: Request, run: Run, dump: Dump, named: Names) -> Plan:
    needed_bytes = int(dump.database_bytes * beside.MARGIN)
    return Plan(
        database=request.database,
        run=run.run,
        file=dump.file,
        table=request.table_name,
        into=named.into,
        replaced=named.replaced,
        needed_bytes=needed_bytes,
        free_bytes=beside.require_room(request, keeper.data, needed_bytes),
    )


def _refuse_damaged(keeper: Keeper, request: Request, run: Run, dump: Dump, deadline: Deadline) -> None:
    """The checksum first, for it names the file; then pg_restore has to be able to read all of it."""
    folder = "%s/%s" % (keeper.dumps, run.run)
    wrong = manifests.problem(folder, dump, reread=True)
    if wrong:
        help_ = "restore an older dump (pgkeep dumps lists them), and replace the disk"
        raise PgkeepError(request.what, wrong, help_)
    if run.encrypted:
        settings_of.require_passphrase(keeper)
    path = "%s/%s" % (folder, dump.file)
    try:
        read_through(keeper, request.what, path, deadline, encrypted=run.encrypted, whole=True)
    except PgkeepError as error:
        if not run.encrypted or deadline.left == 0:
            raise
        # The disk gives back what was written, so what cannot be read was written with another key.
        help_ = "put the passphrase back with which it was encrypted (dumps.passphrase), then repeat"
        raise PgkeepError(error.what, error.why, help_) from error


def _restore(
    keeper: Keeper,
    request: Request,
    run: Run,
    dump: Dump,
    named: Names,
    opened: Any,
    there: Databases,
    deadline: Deadline,
) -> dict[str, Any]:
    done = beside.make(
        opened,
        keeper.sockets,
        request,
        named,
        there,
        dump.properties,
        [table for table in dump.tables if request.only in (None, table.key[1:])],
        dump.file,
        lambda: _fill(keeper, request, run, dump, named.into, deadline),
    )
    return {**done, "file": dump.file, "dumped_at": run.started_at}


def _fill(keeper: Keeper, request: Request, run: Run, dump: Dump, into: str, deadline: Deadline) -> None:
    target = beside.filling(_sql.conninfo(keeper.sockets, into), len(dump.tables))
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
            flow(request.what, [*decrypt, argv], nothing, deadline, source=source, partly=True)
        except PgkeepError as error:
            raise _with_help(error, run) from error


def _with_help(error: PgkeepError, run: Run) -> PgkeepError:
    return beside.with_help(error, "the globals of run %s have all of them" % run.run)
