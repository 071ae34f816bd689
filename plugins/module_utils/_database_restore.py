# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bringing a database, or a table of it, back from a physical backup: through a server at its side, beside the old one.

The side server is the copy of a restore: no network, no archiving, half of the memory, and removed with the leftovers
of restores when it was killed. Only pg_dump ever speaks to it. Private to the collection.
"""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass
from typing import Any, Iterator, Mapping, Optional

from . import _beside as beside
from . import _docker as docker
from . import _dump_database as database_of
from . import _sql
from ._actor import ANSIBLE, actor
from ._audit import recorded
from ._backup_repository import Keeper
from ._beside import Databases, Wanted
from ._container import spec_from_dict
from ._copy import look, restored_spec
from ._counts import Table
from ._counts_read import list_tables
from ._damage import with_files
from ._database_restore_plan import Plan, make_plan, missing, require_target
from ._dump import compression, locked
from ._dump_pipe import Deadline, flow, nothing, within
from ._dump_rows import read_back
from ._errors import PgkeepError
from ._interrupt import interruptible
from ._layout import SOCKET_MOUNT, SPOOL_MOUNT, Layout
from ._leftovers import remove as remove_killed
from ._lock import hold
from ._restore import push_wal
from ._restore_plan import Request, require_release
from ._run import Run
from ._throwaway import (
    discard,
    host_path,
    prepare,
    remove_leftovers,
    source_of,
    start,
    wait_until_open,
)

# Recovery says so over the zeros of other databases where the server writes WAL without full_page_writes.
_NEEDS_OTHERS = "WAL contains references to invalid pages"

_OID = "SELECT oid::bigint FROM pg_database WHERE datname = %s"
_SIZE = "SELECT pg_total_relation_size(to_regclass(quote_ident(%s) || '.' || quote_ident(%s)))::bigint"


@dataclass(frozen=True)
class Then:
    """The database as it was: bytes of what is wanted, properties as databases() says, tables with rows; unlogged:
    (schema, name) of those that recovery empties."""

    size_bytes: int
    properties: Mapping[str, Any]
    tables: tuple[Table, ...]
    unlogged: tuple[tuple[str, str], ...]


def restore_database(
    run: Run, wanted: Wanted, request: Request, check_mode: bool, who: Optional[str] = None
) -> dict[str, Any]:
    """What the module returns. request holds the target. who stands in the audit trail; without it, it is Ansible.

    Raises PgkeepError. Whatever fails, the old database is as it was, and neither a half restored one nor the side
    server stays.
    """
    beside.require_confirmed(wanted)
    require_target(wanted, request)
    layout = Layout(request.name)
    release = require_release(layout)
    if check_mode:
        with _server(wanted, layout) as opened:
            plan = make_plan(run, wanted, request, database_of.databases(opened))
        return {"database_restore": None, "changed": True, "plan": plan.to_result(), "removed": []}
    what = "restore of a database of %s" % layout.name
    parameters = {name: value for name, value in {**request.told(), **vars(wanted)}.items() if value is not None}
    spool = host_path(run, source_of(spec_from_dict(release["keeper"]), SPOOL_MOUNT))
    with contextlib.ExitStack() as stack:
        stack.enter_context(hold(layout.lock_file, what))
        stack.enter_context(interruptible())
        outcome = stack.enter_context(
            recorded(layout.state_dir, "database_restore", who or actor(ANSIBLE), parameters),
        )
        stack.enter_context(locked(Keeper(layout.name, run, "", spool=spool), what))
        removed = remove_killed(run, layout)
        opened = stack.enter_context(_server(wanted, layout))
        there = database_of.databases(opened)
        plan = make_plan(run, wanted, request, there)
        done = _restore(run, plan, opened, there, within(request.timeout_seconds))
        outcome.details.update(done)
    return {"database_restore": done, "changed": True, "plan": plan.to_result(), "removed": removed}


@contextlib.contextmanager
def _server(wanted: Wanted, layout: Layout) -> Iterator[Any]:
    """A connection to postgres; an error of any server in the block becomes a PgkeepError."""
    try:
        with _sql.connection(layout.socket_dir) as opened:
            opened.set_client_encoding("UTF8")
            yield opened
    except (_sql.driver().Error, UnicodeError) as error:
        raise PgkeepError(
            wanted.what,
            " ".join(str(error).split()),
            "read the server's log (docker logs %s), then repeat; the old database is as it was" % layout.server,
        ) from error


def _restore(run: Run, plan: Plan, opened: Any, there: Databases, deadline: Deadline) -> dict[str, Any]:
    began = time.monotonic()
    wanted, layout = plan.wanted, plan.copy.layout
    try:
        _recover(run, plan, deadline)
        recovered = time.monotonic()
        then = _look(plan)
        beside.require_room(wanted, plan.directories.root, int(then.size_bytes * beside.MARGIN))
        label, target = plan.copy.choice.label, str(plan.copy.choice.target)
        done = beside.make(
            opened,
            layout.socket_dir,
            wanted,
            plan.names,
            there,
            then.properties,
            then.tables,
            "backup %s, %s" % (label, target),
            lambda: _fill(plan, compression(opened), len(then.tables), deadline),
        )
        reached = look(plan.copy.place.socket_dir)
    finally:
        _remove(run, plan)
    return {
        **done,
        "unlogged": ["%s.%s" % table for table in then.unlogged],
        "target": target,
        "label": label,
        "repository": plan.copy.repository,
        "reached_time": reached or str(plan.copy.choice.backup["stopped_at"]),
        "recovery_seconds": round(recovered - began, 3),
        "duration_seconds": round(time.monotonic() - began, 3),
    }


def _recover(run: Run, plan: Plan, deadline: Deadline) -> None:
    """Start the side server with as little as will do, and wait until it is at the target."""
    copy, database = plan.copy, plan.wanted.database
    push_wal(run, copy)
    for only in dict.fromkeys((plan.only, None)):
        _remove(run, plan)
        prepare(copy.place)
        spec = restored_spec(
            copy.server,
            copy.place,
            plan.directories,
            copy.choice,
            fetching=copy.fetching,
            rescue=None,
            beside_server=True,
            repository=copy.repository,
            only=only,
        )
        start(run, spec)
        try:
            wait_until_open(run, copy.container, copy.place.socket_dir, deadline.left)
        except PgkeepError as error:
            if only is not None and _NEEDS_OTHERS in error.why:
                continue
            found = with_files(error, plan.tool, copy.layout.name, copy.choice.label)
            why = "%s: %s; the old database is as it was" % (found.what, found.why)
            raise PgkeepError(plan.wanted.what, why, found.next_step) from error
        # Renamed or made anew behind the backup, it has other files than those that were asked for.
        if only is None or _sql.query(copy.place.socket_dir, _OID, (database,)) in ([], [(only,)]):
            return


def _look(plan: Plan) -> Then:
    """Raises PgkeepError when what is wanted was not there at the target, and psycopg2.Error."""
    wanted, sockets = plan.wanted, plan.copy.place.socket_dir
    at = "%s at %s" % (plan.copy.layout.name, plan.copy.choice.target)
    with _sql.connection(sockets) as opened:
        opened.set_client_encoding("UTF8")
        there = database_of.databases(opened)
    if wanted.database not in there:
        raise missing(wanted, there, at)
    size_bytes, properties = there[wanted.database]
    tables = read_back(sockets, wanted.database, wanted.only)
    with _sql.connection(sockets, wanted.database) as opened:
        listed = [table.key[1:] for table, _name in list_tables(opened, wanted.database, "pu")]
        unlogged = tuple(table.key[1:] for table, _name in list_tables(opened, wanted.database, "u"))
        beside.require_table(wanted, listed, at)
        if wanted.only:
            size_bytes = _sql.rows(opened, _SIZE, wanted.only)[0][0]
    if wanted.only in unlogged:
        raise PgkeepError(
            wanted.what,
            "the table %s is unlogged, and a backup has no rows of such a table" % wanted.table_name,
            "restore it from a dump with the module dump_restore",
        )
    return Then(size_bytes, properties, tables, () if wanted.only else unlogged)


def _fill(plan: Plan, compress: str, tables: int, deadline: Deadline) -> None:
    """One table needs the types, functions and the schema it stands on, so all definitions come, but only its rows.

    Compressed, because each GB through the engine's pipes costs more than ten seconds of a processor.
    """
    copy, wanted = plan.copy, plan.wanted
    source = _sql.conninfo(copy.place.socket_dir, wanted.database, inside=SOCKET_MOUNT)
    target = _sql.conninfo(copy.layout.socket_dir, plan.names.into, inside=SOCKET_MOUNT)
    passes = [["--section=pre-data"], ["--data-only", "--table=" + _pattern(*wanted.only)]] if wanted.only else [[]]
    execute = ["docker", "exec", "--interactive", "--user", docker.USER]
    for words in passes:
        dump = [*execute, copy.container, "pg_dump", "--format=custom", compress, "--no-password", "--dbname=" + source]
        load = [*execute, copy.layout.server, *beside.filling(target, tables)]
        try:
            flow(wanted.what, [[*dump, *words], load], nothing, deadline)
        except PgkeepError as error:
            raise beside.with_help(error, "it was dropped since, or has another name") from error


def _pattern(schema: str, table: str) -> str:
    """For pg_dump's --table: nothing between double quotes has a meaning (psql manual, "Patterns")."""
    return ".".join('"%s"' % word.replace('"', '""') for word in (schema, table))


def _remove(run: Run, plan: Plan) -> None:
    remove_leftovers(run, plan.copy.layout.name, plan.copy.role)
    discard(plan.copy.place)
    plan.directories.remove_copies()
